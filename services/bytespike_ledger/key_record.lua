-- Put a key record in place unless a newer one is there. KEYS: record. ARGV: version, record as
-- JSON, ttl in ms (0 = for good). Two ledgers may project two changes of one key in either order;
-- the later change wins. Reply: 1 written, 0 a newer one was there.
local known = redis.call('GET', KEYS[1])
if known and cjson.decode(known).version > tonumber(ARGV[1]) then return 0 end
if ARGV[3] == '0' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
