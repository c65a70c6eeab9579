-- Shared by every account script. One account lives in one hash slot: bs:{account}:…, so KEYS[1]
-- (the wallet) routes the call and the other keys are derived from it.
--
-- wallet          hash  balance, version (settled; the ledger alone writes them), pending, expired
-- holds           hash  hold id -> amount|admitted ms|h or f|scope,scope   (h = held, f = finished)
-- leases          zset  hold id -> lease end in ms; held entries only, so it is also the
-- concurrency slots spend:<scope>   hash  spent, pend (for life); per window i: S/P sums, T oldest
-- bucket, s:/p: per bucket
--
-- Amounts are integer micro-USD; Lua doubles carry them exactly up to 2^53.
local base = string.sub(KEYS[1], 1, -8) -- without ':wallet'
local WALLET, HOLDS, LEASES = KEYS[1], base .. ':holds', base .. ':leases'
-- Length and bucket width of each window in ms (5 h, 1 d, 7 d).
local WINDOWS = {{18000000, 300000}, {86400000, 1800000}, {604800000, 10800000}}

local function clock(argument)
  local given = tonumber(argument)
  if given > 0 then return given end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function number(key, field)
  return tonumber(redis.call('HGET', key, field) or 0) or 0
end

local function spend_key(scope) return base .. ':spend:' .. scope end

local function first_live_bucket(window, now)
  return math.floor((now - WINDOWS[window][1]) / WINDOWS[window][2])
end

-- Take a bucket's amounts out of the window's sums and forget it.
local function forget(key, i, bucket)
  for _, kind in ipairs({'s', 'p'}) do
    local field = kind .. i .. ':' .. bucket
    local amount = number(key, field)
    if amount ~= 0 then redis.call('HINCRBY', key, string.upper(kind) .. i, -amount) end
    redis.call('HDEL', key, field)
  end
end

-- Drop what has left the window. T only moves forward over buckets, so the work is bounded by the
-- number of buckets in a window (at most 61) and is paid once per bucket.
local function evict(key, i, now)
  local tail = tonumber(redis.call('HGET', key, 'T' .. i) or nil)
  if not tail then return end
  local live = first_live_bucket(i, now)
  local span = WINDOWS[i][1] / WINDOWS[i][2] + 1
  for bucket = tail, math.min(live - 1, tail + span) do forget(key, i, bucket) end
  if tail < live then redis.call('HSET', key, 'T' .. i, live) end
end

-- When the oldest counted spend of window i leaves it, in ms; 0 if nothing is counted.
local function reset_ms(key, i, now)
  local tail = tonumber(redis.call('HGET', key, 'T' .. i) or nil)
  if not tail then return 0 end
  local width, current = WINDOWS[i][2], math.floor(now / WINDOWS[i][2])
  for bucket = tail, current do
    if number(key, 's' .. i .. ':' .. bucket) > 0 or number(key, 'p' .. i .. ':' .. bucket) > 0 then
      if bucket > tail then redis.call('HSET', key, 'T' .. i, bucket) end
      return (bucket + 1) * width + WINDOWS[i][1]
    end
  end
  return 0
end

-- Add to one bucket and its sum, unless the bucket has already left the window.
local function add(key, i, kind, bucket, delta, now)
  if delta == 0 or bucket < first_live_bucket(i, now) then return end
  evict(key, i, now)
  local field = kind .. i .. ':' .. bucket
  if redis.call('HINCRBY', key, field, delta) == 0 then redis.call('HDEL', key, field) end
  redis.call('HINCRBY', key, string.upper(kind) .. i, delta)
  local tail = tonumber(redis.call('HGET', key, 'T' .. i) or nil)
  if not tail or bucket < tail then redis.call('HSET', key, 'T' .. i, bucket) end
end

-- Change what is pending by delta: in the wallet, and in each scope in the bucket of the hold's
-- admission.
local function move_pending(scopes, admitted, delta, now)
  if delta == 0 then return end
  redis.call('HINCRBY', WALLET, 'pending', delta)
  for scope in string.gmatch(scopes, '[^,]+') do
    local key = spend_key(scope)
    redis.call('HINCRBY', key, 'pend', delta)
    for i = 1, 3 do add(key, i, 'p', math.floor(admitted / WINDOWS[i][2]), delta, now) end
  end
end

local function read_hold(id)
  local record = redis.call('HGET', HOLDS, id)
  if not record then return nil end
  local amount, admitted, state, scopes = string.match(record, '^(%d+)|(%d+)|(%a)|(.*)$')
  return {amount = tonumber(amount), admitted = tonumber(admitted), state = state, scopes = scopes}
end

local function write_hold(id, amount, admitted, state, scopes)
  redis.call('HSET', HOLDS, id, string.format('%.0f|%.0f|%s|%s', amount, admitted, state, scopes))
end

-- Remove a hold whatever its state; what it had pending returns to the bucket it came from.
local function drop_hold(id, now)
  local hold = read_hold(id)
  redis.call('ZREM', LEASES, id)
  if not hold then return false end
  redis.call('HDEL', HOLDS, id)
  move_pending(hold.scopes, hold.admitted, -hold.amount, now)
  return true
end

-- Return holds whose lease ran out (their owner died). Bounded per call; the next call takes the
-- rest.
local function expire(now, limit)
  local ids = redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    if drop_hold(id, now) then redis.call('HINCRBY', WALLET, 'expired', 1) end
  end
  return ids
end
