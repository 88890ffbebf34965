-- Note that a worker process is alive, or its goodbye; forget those silent for a day.
-- Arguments: id, record (JSON), 1 if it lives
local SILENT = 86400e6
local id, record, live = arg(), arg(), arg()
call('HSET', P .. ':w', id, string.format('%s %.0f %s %s', now_text, LEASE, live, record))
call('ZADD', P .. ':ws', now, id)
for _, silent in ipairs(call('ZRANGEBYSCORE', P .. ':ws', '-inf', now - SILENT, 'LIMIT', 0, BATCH)) do
  call('HDEL', P .. ':w', silent)
  call('ZREM', P .. ':ws', silent)
end
finish()
return {{}, 1, now_text}
