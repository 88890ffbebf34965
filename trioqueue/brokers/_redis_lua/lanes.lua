-- The open tasks by lane, and what is paused. Answers: {now, everything paused: 0 or 1, queues
-- paused, {{lane, scheduled, ready, running, oldest accepted at or ''}...}}
-- Of a lane the oldest of so many that stand first.
local LOOKED_AT = 1000
local lanes = {}
for _, lane in ipairs(call('SMEMBERS', LANES)) do
  local key = ready_key(lane)
  local numbers = call('HMGET', NUMBERS, 's' .. US .. lane, 'u' .. US .. lane)
  local oldest, seq = '', math.huge
  for _, id in ipairs(call('ZRANGE', key, 0, LOOKED_AT - 1)) do
    local number, _, accepted = string.match(call('HGET', TASK .. id, 'o'), '^(%d+) (%d+) (%d+) ')
    if tonumber(number) < seq then seq, oldest = tonumber(number), accepted end
  end
  lanes[#lanes + 1] = {lane, tonumber(numbers[1]) or 0, call('ZCARD', key),
    tonumber(numbers[2]) or 0, oldest}
end
return {now_text, meta[3] == '1' and 1 or 0, call('SMEMBERS', PAUSED), lanes}
