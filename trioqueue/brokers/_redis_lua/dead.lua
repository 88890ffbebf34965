-- Dead letters by order of death. Arguments: the first, how many, type flag, type.
-- Answers: {now, {{id, snapshot}...}, how many were looked at}
local from, most, has_type, kind = numeric(), numeric(), arg() == '1', arg()
local answers = {}
local ids = call('ZRANGE', DEAD_LETTERS, from, from + most - 1)
for _, id in ipairs(ids) do
  local at = TASK .. id
  if not has_type or type_of(call('HGET', at, 'n')) == kind then
    answers[#answers + 1] = {id, snapshot(id)}
  end
end
return {now_text, answers, #ids}
