-- The owner of a hold is alive: extend its lease, and put the hold back if Redis lost it. ARGV:
-- now, hold id, amount, admitted ms, scopes, lease ms. Reply: 1 renewed, 2 put back, 0 already
-- finished.
local now, id = clock(ARGV[1]), ARGV[2]
local hold = read_hold(id)
if hold and hold.state == 'f' then return 0 end
redis.call('ZADD', LEASES, now + tonumber(ARGV[6]), id)
if hold then return 1 end
local amount, admitted = tonumber(ARGV[3]), tonumber(ARGV[4])
write_hold(id, amount, admitted, 'h', ARGV[5])
move_pending(ARGV[5], admitted, amount, now)
return 2
