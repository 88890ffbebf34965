-- Make a dead letter ready again, its failures and losses forgotten. Arguments: the id; the
-- capacity or -1. Answers: {what happened, code, now, snapshot}: 0 no such dead letter, 1 replayed,
-- 2 its key is held, 3 full
local id, capacity = arg(), numeric()
local at = TASK .. id
local task = call('HMGET', at, 's', 'n', 'o', 'f', 'h', 'k', 'e')
local code, found = 0, false
local function room()
  if capacity < 0 then return true end
  local found = call('HMGET', META, 'n:submitted', 'n:delayed', 'n:replayed', 'n:succeeded', 'n:died',
    'n:cancelled', 'n:expired')
  local open = 0
  for n = 1, 7 do open = open + (n <= 3 and 1 or -1) * (tonumber(found[n]) or 0) end
  return open < capacity
end
if task[1] == S_DEAD then
  local holder = task[6] and P .. ':u:' .. queue_of(task[2]) .. US .. task[6]
  if holder and call('EXISTS', holder) == 1 then
    code, found = 2, snapshot(id)
  elseif not room() then
    call('SADD', P .. ':rw', ME)
    code = 3
  else
    code = 1
    if holder then call('SET', holder, id) end
    call('ZREM', DEAD_LETTERS, id)
    local _, _, interruptions, snoozes, errors = extras(task[7])
    local _, priority = standing(task[3])
    call('HDEL', at, 'u', 'c')
    call('HSET', at, 's', S_READY, 'h', grown(task[5], 'y', task[4]),
      'e', '0 0 ' .. interruptions .. ' ' .. snoozes .. ' ' .. errors)
    enter_ready(id, task[2], place(priority, next_order()))
    count('replayed')
    note('replayed', id)
    found = snapshot(id)
  end
end
finish()
return {happened, code, now_text, found}
