-- Which of these tasks have ended; of the others this opening is told then. Arguments: a list of
-- ids. Answers: {for each: 0 open, 1 unknown, or its snapshot; now}
local answers = {}
for n, id in ipairs(listed()) do
  local at = TASK .. id
  local task = call('HMGET', at, 's', 'v')
  if not task[1] then
    answers[n] = 1
  elseif task[1] == S_SCHEDULED or task[1] == S_READY or task[1] == S_RUNNING then
    answers[n] = 0
    if not task[2] then
      call('HSET', at, 'v', ME)
    elseif not string.find(' ' .. task[2] .. ' ', ' ' .. ME .. ' ', 1, true) then
      call('HSET', at, 'v', task[2] .. ' ' .. ME)
    end
  else
    answers[n] = snapshot(id)
  end
end
return {answers, now_text}
