-- Dead letters by order of death. Arguments: the first, how many, type flag, type, 1 for
-- the last death first. Answers: {now, the tasks, how many were looked at}
local from, most, kind = numeric(), numeric(), optional()
local range = numeric() == 1 and 'ZREVRANGE' or 'ZRANGE'
local answers = {}
local ids = call(range, DEAD_LETTERS, from, from + most - 1)
read_all(ids)
for _, id in ipairs(ids) do
  local record = records[id]
  if record and (not kind or type_of(record[LANE]) == kind) then
    answers[#answers + 1] = snapshot(id)
  end
end
return {now_text, answers, #ids}
