-- The sweeper's call for accounts nobody is using. ARGV: now, limit. Reply: ids of the holds
-- returned.
return expire(clock(ARGV[1]), tonumber(ARGV[2]))
