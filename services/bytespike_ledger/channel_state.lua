-- Put a channel's state in place unless a newer one is there. KEYS: hash of states. ARGV: channel,
-- version, state as JSON. Two ledgers may project two changes in either order; the later one wins.
-- Reply: 1 written, 0 a newer one was there.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and cjson.decode(known).version > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
