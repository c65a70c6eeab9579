-- Put a router's report in place. KEYS: hash of reports. ARGV: router, report as JSON, ttl in ms,
-- whether to look for reports of routers that are gone ('1'). A report's field begins with the time
-- it was made here, which the reader judges its age by.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', now_ms) .. '|' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if ARGV[4] == '1' then
  local reports = redis.call('HGETALL', KEYS[1])
  for i = 1, #reports, 2 do
    local made_ms = tonumber(string.match(reports[i + 1], '^(%d+)|')) or 0
    if now_ms - made_ms > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], reports[i]) end
  end
end
return 1
