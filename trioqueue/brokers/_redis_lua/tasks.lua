-- Tasks of one state, or the open ones, in order of acceptance. Arguments: state or -1, type flag,
-- type, queue flag, queue, how many, 1 for the newest first. Answers: {now, the tasks}
-- Of more than this in all, only the first (or last) ones of each set are looked at: the server does nothing
-- else meanwhile, for some 10 us each.
local MOST = 5000
local state, kind, queue, most = numeric(), optional(), optional(), numeric()
local newest = numeric() == 1

local function fits(lane)
  return (not kind or type_of(lane) == kind) and (not queue or queue_of(lane) == queue)
end

local sets = {}
if state == -1 or state == S_SCHEDULED then table.insert(sets, SCHEDULED) end
if state == -1 or state == S_RUNNING then table.insert(sets, LEASED) end
if state == -1 or state == S_READY then
  for _, lane in ipairs(call('SMEMBERS', LANES)) do
    if fits(lane) then table.insert(sets, ready_key(lane)) end
  end
end
if state == S_DEAD then table.insert(sets, DEAD_LETTERS) end
if state > S_DEAD then table.insert(sets, ENDED) end

local found = {}
for _, key in ipairs(sets) do
  local last = math.floor(MOST / #sets)
  local ids = newest and call('ZRANGE', key, 0, last, 'REV') or call('ZRANGE', key, 0, last)
  read_all(ids)
  for _, id in ipairs(ids) do
    local record = records[id]
    if record and fits(record[LANE]) and (state == -1 or record[STATE] == state) then
      found[#found + 1] = {record[SEQ], id}
    end
  end
end
table.sort(found, function(one, other)
  if newest then return one[1] > other[1] end
  return one[1] < other[1]
end)
local answers = {}
for n = 1, math.min(most, #found) do answers[n] = snapshot(found[n][2]) end
return {now_text, answers}
