-- The open tasks by lane, and what is paused. Answers: {now, everything paused: 0 or 1, queues
-- paused, {{lane, scheduled, ready, running, oldest accepted at or nothing}...}}
local LOOKED_AT = 1000 -- the oldest of so many that stand first in a lane
local lanes = {}
for _, lane in ipairs(call('SMEMBERS', LANES)) do
  local key = ready_key(lane)
  local numbers = call('HMGET', NUMBERS, 's' .. US .. lane, 'u' .. US .. lane)
  local oldest = false
  local ids = call('ZRANGE', key, 0, LOOKED_AT - 1)
  read_all(ids)
  for _, id in ipairs(ids) do
    local record = records[id]
    if record and (not oldest or record[SEQ] < oldest[SEQ]) then oldest = record end
  end
  lanes[#lanes + 1] = {lane, tonumber(numbers[1]) or 0, call('ZCARD', key),
    tonumber(numbers[2]) or 0, oldest and oldest[ACCEPTED]}
end
return {now_text, all_paused and 1 or 0, call('SMEMBERS', PAUSED), lanes}
