-- The open tasks by lane, and what is paused. Answers: {now, everything paused: 0 or 1, queues
-- paused, {{lane, scheduled, ready, running, oldest accepted at or nothing}...}}
local LOOKED_AT = 20

-- The record that was accepted first, of those that stand first in each priority.
local function oldest_in(key)
  local oldest, from = false, '-inf'
  while true do
    local found = call('ZRANGEBYSCORE', key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, LOOKED_AT)
    if #found == 0 then return oldest end
    local ids = {}
    for n = 1, #found, 2 do table.insert(ids, found[n]) end
    read_all(ids)
    for _, id in ipairs(ids) do
      local record = records[id]
      if record and (not oldest or record[SEQ] < oldest[SEQ]) then oldest = record end
    end
    from = next_priority(tonumber(found[2]))
  end
end

local lanes = {}
for _, lane in ipairs(call('SMEMBERS', LANES)) do
  local key = ready_key(lane)
  local numbers = call('HMGET', NUMBERS, 's' .. US .. lane, 'u' .. US .. lane)
  local oldest = oldest_in(key)
  lanes[#lanes + 1] = {lane, tonumber(numbers[1]) or 0, call('ZCARD', key),
    tonumber(numbers[2]) or 0, oldest and oldest[ACCEPTED]}
end
return {now_text, all_paused and 1 or 0, call('SMEMBERS', PAUSED), lanes}
