-- Cancel a waiting task, or ask for a running one's cancellation. Argument: the id.
-- Answers: {what happened, code, now, snapshot}: 0 too late, 1 cancelled, 2 asked, 3 asked before
local id = arg()
local at = TASK .. id
tend()
local task = call('HMGET', at, 's', 'f', 'w', 'c', 'h')
local code, found = 0, false
if task[1] == S_SCHEDULED or task[1] == S_READY then
  end_waiting(id, 'c', 'cancelled', S_CANCELLED)
  code = 1
elseif task[1] == S_RUNNING and task[4] then
  code = 3
elseif task[1] == S_RUNNING then
  call('HSET', at, 'c', 1, 'h', grown(task[5], 'q', task[2]))
  if task[3] then send(task[3], 'c ' .. task[2] .. ' ' .. id) end
  operated = true
  code = 2
  found = snapshot(id)
end
finish()
return {happened, code, now_text, found}
