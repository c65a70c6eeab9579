-- One account as it is, in one moment, for the sweeper and the audit. KEYS: wallet. ARGV: scopes.
-- Reply: wallet, holds, lease ids, then one hash per scope (hashes as flat lists).
local base = string.sub(KEYS[1], 1, -8) -- without ':wallet'
local reply = {
  redis.call('HGETALL', KEYS[1]),
  redis.call('HGETALL', base .. ':holds'),
  redis.call('ZRANGE', base .. ':leases', 0, -1),
}
for _, scope in ipairs(ARGV) do
  reply[#reply + 1] = redis.call('HGETALL', base .. ':spend:' .. scope)
end
return reply
