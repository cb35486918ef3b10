-- Moves a theoretical arrival time, bounded to a tolerance before now and the furthest after it.
-- KEYS: the count. ARGV: difference, tolerance, furthest, all in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local difference, tolerance, furthest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = tonumber(redis.call('GET', KEYS[1]) or '0')
if arrival > now + furthest + 1000000 then arrival = now + tolerance end
local earliest = now - tolerance
local latest = math.max(arrival, now + furthest)
local moved = math.min(math.max(math.max(arrival, earliest) + difference, earliest), latest)
local keep = math.ceil((moved - earliest) / 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.0f', moved), 'PX', string.format('%.0f', keep))
return 1
