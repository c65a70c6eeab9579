-- Reserve all or nothing. ARGV: now, hold id, amount, lease ms, concurrency cap, then per scope:
-- name, quota cap, 5 h cap, 1 d cap, 7 d cap (0 = unlimited). A negative amount only looks (same
-- reply, nothing taken). Reply: status (1 taken, 0 refused, -1 account not loaded), reason, scope
-- number, state… where state = balance, pending, slots in use, then per scope: spent, pend,
-- (settled, pending, reset) x 3.
local now, hold_id, amount = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local lease, slots = tonumber(ARGV[4]), tonumber(ARGV[5])

local balance = tonumber(redis.call('HGET', WALLET, 'balance') or nil)
if not balance then return {-1} end
expire(now, 100)

local pending, in_use = number(WALLET, 'pending'), redis.call('ZCARD', LEASES)
local state, names = {balance, pending, in_use}, {}
local reason, culprit = nil, 0
local available = balance - pending
if available < amount or (amount >= 0 and available <= 0) then reason = 'balance' end

for n = 0, (#ARGV - 5) / 5 - 1 do
  local at = 6 + n * 5
  local key = spend_key(ARGV[at])
  names[#names + 1] = ARGV[at]
  local spent, pend = number(key, 'spent'), number(key, 'pend')
  state[#state + 1] = spent
  state[#state + 1] = pend
  local quota = tonumber(ARGV[at + 1])
  if not reason and quota > 0 and spent + pend + amount > quota then
    reason, culprit = 'quota', n
  end
  for i = 1, 3 do
    local cap = tonumber(ARGV[at + 1 + i])
    local settled, held, reset = 0, 0, 0
    if cap > 0 then
      evict(key, i, now)
      settled, held, reset = number(key, 'S' .. i), number(key, 'P' .. i), reset_ms(key, i, now)
      if not reason and settled + held + amount > cap then
        reason, culprit = ({'5h', '1d', '7d'})[i], n
      end
    end
    state[#state + 1] = settled
    state[#state + 1] = held
    state[#state + 1] = reset
  end
end
if not reason and in_use >= slots then reason = 'concurrency' end

if amount >= 0 and not reason then
  local scopes = table.concat(names, ',')
  write_hold(hold_id, amount, now, 'h', scopes)
  redis.call('ZADD', LEASES, now + lease, hold_id)
  move_pending(scopes, now, amount, now)
end
local reply = {(reason and amount >= 0) and 0 or 1, reason or '', culprit, now}
for _, value in ipairs(state) do reply[#reply + 1] = value end
return reply
