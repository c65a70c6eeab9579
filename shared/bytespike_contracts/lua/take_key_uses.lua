-- Take some of the remembered uses out, so that each is somebody's to write down. KEYS: uses.
-- ARGV: how many at most. Reply: key id, "ms address", and so on.
local some = redis.call('HRANDFIELD', KEYS[1], ARGV[1], 'WITHVALUES')
for i = 1, #some, 2 do redis.call('HDEL', KEYS[1], some[i]) end
return some
