-- Stop claims, or let them go on. Arguments: 1 to stop, 0 to go on; queue flag; queue.
local stop, queue = arg() == '1', optional()
if queue then
  call(stop and 'SADD' or 'SREM', PAUSED, queue)
else
  all_paused = stop
  call('HSET', META, 'paused', stop and '1' or '0')
  if not stop then call('DEL', PAUSED) end
end
operated = true
if not stop then
  for _, lane in ipairs(call('SMEMBERS', READY_LANES)) do made_ready[lane] = true end
end
finish()
return {{}, 1, now_text}
