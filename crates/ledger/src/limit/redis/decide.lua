-- Takes on all counts or on none: the arithmetic of pace.rs, in microseconds of this server's clock.
-- KEYS: one per want. ARGV: lease id, lease in microseconds, then per want
--   'rate', slice, tolerance, '1' if everything before must have drained, furthest plausible arrival
--   'permit', amount, '', '', ''
-- Answer: 1 or 0, then per want how far it is ahead and how long to wait (-1: until another ends).
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local lease, lease_us = ARGV[1], tonumber(ARGV[2])
local admitted, afters, answer = 1, {}, {1}
for i, key in ipairs(KEYS) do
  local at = 3 + (i - 1) * 5
  local ahead, wait = 0, 0
  if ARGV[at] == 'rate' then
    local slice, tolerance = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local arrival = tonumber(redis.call('GET', key) or '0')
    if arrival > now + tonumber(ARGV[at + 4]) + 1000000 then
      -- Kept even if the call is refused, so that the jump of the clock counts once.
      arrival = now + tolerance
      redis.call('SET', key, string.format('%.0f', arrival), 'PX', string.format('%.0f', tolerance / 500 + 1000))
    end
    afters[i] = math.max(arrival, now) + slice
    wait = ARGV[at + 3] == '1' and arrival - now or afters[i] - now - tolerance
    ahead = math.max(arrival - now, 0)
  else
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    if redis.call('ZCARD', key) >= tonumber(ARGV[at + 1]) then wait = -1 end
  end
  if ARGV[at] == 'rate' and wait < 0 then wait = 0 end
  if wait ~= 0 then admitted = 0 end
  answer[2 * i], answer[2 * i + 1] = ahead, wait
end
answer[1] = admitted
if admitted == 0 then return answer end
for i, key in ipairs(KEYS) do
  local at = 3 + (i - 1) * 5
  if afters[i] then
    -- Kept a tolerance longer than it matters to admissions, because it matters to corrections.
    local keep = math.ceil((afters[i] - now + tonumber(ARGV[at + 2])) / 1000) + 1000
    redis.call('SET', key, string.format('%.0f', afters[i]), 'PX', string.format('%.0f', keep))
    answer[2 * i] = math.max(afters[i] - now, 0)
  else
    redis.call('ZADD', key, string.format('%.0f', now + lease_us), lease)
    redis.call('PEXPIRE', key, string.format('%.0f', lease_us / 1000))
  end
end
return answer
