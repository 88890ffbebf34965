-- Dead letters by order of death. Arguments: the first, how many, type flag, type, 1 for
-- the last death first. Answers: {now, the tasks, how many were looked at}
local from, most, kind = numeric(), numeric(), optional()
local newest, last = numeric() == 1, from + most - 1
local answers = {}
local ids = newest and call('ZRANGE', DEAD_LETTERS, from, last, 'REV')
  or call('ZRANGE', DEAD_LETTERS, from, last)
read_all(ids)
for _, id in ipairs(ids) do
  local record = records[id]
  if record and (not kind or type_of(record[LANE]) == kind) then
    answers[#answers + 1] = snapshot(id)
  end
end
return {now_text, answers, #ids}
