-- Note that a worker process is alive, or its goodbye; forget those silent for a day.
-- Arguments: id, record (JSON), 1 if it lives
local id, record, live = arg(), arg(), arg()
call('HSET', P .. ':w', id,
  now_text .. ' ' .. string.format('%.0f', LEASE) .. ' ' .. live .. ' ' .. record)
call('ZADD', P .. ':ws', now, id)
for _, silent in ipairs(call('ZRANGEBYSCORE', P .. ':ws', '-inf', now - 86400e6, 'LIMIT', 0, BATCH)) do
  call('HDEL', P .. ':w', silent)
  call('ZREM', P .. ':ws', silent)
end
finish()
return {{}, 1, now_text}
