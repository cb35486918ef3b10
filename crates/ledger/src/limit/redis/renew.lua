-- Extends leases, and brings back those that were lost with the server's memory.
-- KEYS: the count. ARGV: lease in microseconds, then lease ids.
local time = redis.call('TIME')
local expires = string.format('%.0f', time[1] * 1000000 + time[2] + tonumber(ARGV[1]))
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], expires, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[1]) / 1000))
return 1
