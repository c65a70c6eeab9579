-- Remember when and from where keys were last used; never back in time, whichever edge comes first.
-- KEYS: uses. ARGV: key id, Unix ms, address, and so on. Reply: 1.
for i = 1, #ARGV, 3 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if not known or tonumber(string.match(known, '^%d+')) < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 2])
  end
end
return 1
