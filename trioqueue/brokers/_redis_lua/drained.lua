-- Whether no task of these types is open in these queues. Arguments: 1 to be told of changes; types:
-- a list; queues: a list or -1. Answers: {open lanes: 0 or 1, paused lane or nothing, a task in it}
local told = arg() == '1'
local wanted, allowed = {}, nil
for _, kind in ipairs(listed()) do wanted[kind] = true end
local only = listed()
if only then
  allowed = {}
  for _, queue in ipairs(only) do allowed[queue] = true end
end
local open = 0
for _, lane in ipairs(call('SMEMBERS', LANES)) do
  if wanted[type_of(lane)] and (not allowed or allowed[queue_of(lane)]) then
    open = 1
    if is_paused(lane) then
      local first = call('ZRANGE', ready_key(lane), 0, 0)[1]
      if not first and call('HEXISTS', NUMBERS, 's' .. US .. lane) == 1 then
        for _, id in ipairs(call('ZRANGE', SCHEDULED, 0, -1)) do
          if call('HGET', TASK .. id, 'n') == lane then
            first = id
            break
          end
        end
      end
      if first then return {1, lane, first} end
    end
  end
end
if open == 1 and told then call('SADD', P .. ':dw', ME) end
return {open}
