-- Tasks of one state, or the open ones, in order of acceptance. Arguments: state or '', type flag,
-- type, queue flag, queue, how many. Answers: {now, {{id, snapshot}...}}
-- Where a set is longer than this, only its first ones are looked at: a server does nothing else
-- meanwhile.
local MOST = 20000
local state, has_type, kind, has_queue, queue, most = arg(), arg() == '1', arg(), arg() == '1', arg(), numeric()

local function fits(lane)
  return (not has_type or type_of(lane) == kind) and (not has_queue or queue_of(lane) == queue)
end

local found = {}
local function look(id, checked)
  local task = call('HMGET', TASK .. id, 'o', 'n', 's')
  if task[1] and fits(task[2]) and (checked or task[3] == state) then
    found[#found + 1] = {(standing(task[1])), id}
  end
end
local function walk(key, checked)
  for _, id in ipairs(call('ZRANGE', key, 0, MOST - 1)) do look(id, checked) end
end

if state == '' or state == S_SCHEDULED then walk(SCHEDULED, true) end
if state == '' or state == S_RUNNING then walk(LEASED, true) end
if state == '' or state == S_READY then
  for _, lane in ipairs(call('SMEMBERS', LANES)) do
    if fits(lane) then walk(ready_key(lane), true) end
  end
end
if state == S_DEAD then walk(DEAD_LETTERS, true) end
if state ~= '' and tonumber(state) > 3 then walk(ENDED, false) end
table.sort(found, function(one, other) return one[1] < other[1] end)
local answers = {}
for n = 1, math.min(most, #found) do
  answers[n] = {found[n][2], snapshot(found[n][2])}
end
return {now_text, answers}
