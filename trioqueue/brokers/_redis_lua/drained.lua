-- Whether no task of these types is open in these queues. Arguments: 1 to be told of changes; types:
-- a list; queues: a list or -1. Answers: {open: 0 or 1}, or {1, paused lane, a task that waits there}
local told, kinds, only = arg() == '1', listed(), listed()
local wanted, allowed = {}, {}
for _, kind in ipairs(kinds) do wanted[kind] = true end
for _, queue in ipairs(only or {}) do allowed[queue] = true end

local function first_waiting(lane)
  local first = call('ZRANGE', ready_key(lane), 0, 0)[1]
  if first or call('HEXISTS', NUMBERS, 's' .. US .. lane) == 0 then return first end
  for _, id in ipairs(call('ZRANGE', SCHEDULED, 0, -1)) do
    local record = read(id)
    if record and record[LANE] == lane then return id end
  end
end

local open = 0
for _, lane in ipairs(call('SMEMBERS', LANES)) do
  if wanted[type_of(lane)] and (not only or allowed[queue_of(lane)]) then
    open = 1
    local waiting = is_paused(lane) and first_waiting(lane)
    if waiting then return {1, lane, waiting} end
  end
end
if open == 1 and told then call('SADD', DRAINERS, ME) end
return {open}
