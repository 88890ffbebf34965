-- Tasks of one state, or the open ones, in order of acceptance. Arguments: state or -1, type flag,
-- type, queue flag, queue, how many. Answers: {now, the tasks}
-- Where a set is longer than this, only its first ones are looked at: a server does nothing else
-- meanwhile.
local MOST = 20000
local state, kind, queue, most = numeric(), optional(), optional(), numeric()
local found = {}

local function fits(lane)
  return (not kind or type_of(lane) == kind) and (not queue or queue_of(lane) == queue)
end

local function walk(key, of_state)
  local ids = call('ZRANGE', key, 0, MOST - 1)
  read_all(ids)
  for _, id in ipairs(ids) do
    local record = records[id]
    if record and fits(record[LANE]) and (not of_state or record[STATE] == of_state) then
      found[#found + 1] = {record[SEQ], id}
    end
  end
end

if state == -1 or state == S_SCHEDULED then walk(SCHEDULED) end
if state == -1 or state == S_RUNNING then walk(LEASED) end
if state == -1 or state == S_READY then
  for _, lane in ipairs(call('SMEMBERS', LANES)) do
    if fits(lane) then walk(ready_key(lane)) end
  end
end
if state == S_DEAD then walk(DEAD_LETTERS) end
if state > S_DEAD then walk(ENDED, state) end
table.sort(found, function(one, other) return one[1] < other[1] end)
local answers = {}
for n = 1, math.min(most, #found) do answers[n] = snapshot(found[n][2]) end
return {now_text, answers}
