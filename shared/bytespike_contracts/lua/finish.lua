-- The outcome is known: replace the hold by the actual cost (0 = free: remove it) and free the
-- slot. ARGV: now, hold id, cost, admitted ms, scopes joined by commas (the last two for a hold
-- Redis has lost). Reply: 1 done, 2 already finished, 3 nothing to do.
local now, id, cost = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local hold = read_hold(id)
redis.call('ZREM', LEASES, id)
if hold and hold.state == 'f' then return 2 end
if not hold then
  if cost == 0 then return 3 end
  hold = {amount = 0, admitted = tonumber(ARGV[4]), scopes = ARGV[5]}
end
move_pending(hold.scopes, hold.admitted, cost - hold.amount, now)
if cost == 0 then
  redis.call('HDEL', HOLDS, id)
else
  write_hold(id, cost, hold.admitted, 'f', hold.scopes)
end
return 1
