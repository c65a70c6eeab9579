-- The ledger has committed: drop the settled holds and take over the settled state. Replays and
-- late arrivals are harmless: a hold is dropped once, a balance only moves to a newer version,
-- settled spend only grows. ARGV: now, open (1 = the account may serve from now on), balance,
-- version, number of holds, hold ids…, then per scope: name, spent, number of buckets, (window
-- 1..3, bucket, settled)… Reply: number of holds dropped.
local now, open = clock(ARGV[1]), ARGV[2] == '1'
local at = 6 + tonumber(ARGV[5])
local dropped = 0
for i = 6, at - 1 do
  if drop_hold(ARGV[i], now) then dropped = dropped + 1 end
end

local loaded = redis.call('HEXISTS', WALLET, 'balance') == 1
if (open or loaded) and tonumber(ARGV[4]) >= number(WALLET, 'version') then
  redis.call('HSET', WALLET, 'balance', ARGV[3], 'version', ARGV[4])
end

while at <= #ARGV do
  local key, spent, buckets = spend_key(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if spent > number(key, 'spent') then redis.call('HSET', key, 'spent', ARGV[at + 1]) end
  at = at + 3
  for _ = 1, buckets do
    local window, bucket = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    local known = number(key, 's' .. window .. ':' .. ARGV[at + 1])
    add(key, window, 's', bucket, math.max(0, tonumber(ARGV[at + 2]) - known), now)
    at = at + 3
  end
end
return dropped
