-- Take up to so many ready tasks, in order, looking only at those that may start.
-- Arguments: the call's number, how many at most; types: a list of name, room, limit of the whole
-- fleet or -1; queues: a list or -1.
-- Answers: {what happened, leases, now, next alarm}; a lease: {id, fields}
local number, most = arg(), numeric()
local room, limit, kinds = {}, {}, numeric()
for _ = 1, kinds do
  local kind = arg()
  room[kind], limit[kind] = numeric(), numeric()
end
local only = listed()
local allowed = only and {}
for _, queue in ipairs(only or {}) do allowed[queue] = true end

local guard = P .. ':f:' .. ME

-- What claim answers of a task.
local function read(id)
  local fields = call('HMGET', TASK .. id, 'n', 'o', 'f', 'p', 'k', 'e', 'c', 'h')
  if not fields[4] then fields[4] = call('GET', P .. ':b:' .. id) end
  return fields
end

-- The reply to this very claim was lost: what it took, as far as it is still held.
local before = call('GET', guard)
if before and string.sub(before, 1, #number + 1) == number .. ' ' then
  local leases = {}
  for fence, id in string.gmatch(string.sub(before, #number + 2), '(%d+) ([^\31]+)') do
    local task = call('HMGET', TASK .. id, 's', 'f', 'w')
    if task[1] == S_RUNNING and task[2] == fence and task[3] == ME then
      local fields = read(id)
      fields[8] = nil
      leases[#leases + 1] = {id, fields}
    end
  end
  return {{}, leases, now_text, next_alarm()}
end

leave_idle(ME .. '/0')
tend()

-- How many of a type the whole fleet may still start.
local spare = {}
local function spare_of(kind)
  if not spare[kind] then
    spare[kind] = math.huge
    if limit[kind] and limit[kind] >= 0 then
      spare[kind] = limit[kind] - running_of(kind)
      for lane, difference in pairs(running_in) do
        if type_of(lane) == kind then spare[kind] = spare[kind] - difference end
      end
    end
  end
  return spare[kind]
end

-- Of each lane, what stands first; then what stands first in all of them.
local lanes, heads = {}, {}
for _, lane in ipairs(call('SMEMBERS', READY_LANES)) do lanes[lane] = true end
for lane in pairs(made_ready) do lanes[lane] = true end
for lane in pairs(lanes) do
  local kind = type_of(lane)
  if is_paused(lane) then
    lanes[lane] = nil
  elseif not allowed or allowed[queue_of(lane)] then
    local few = math.min(most, room[kind] or 0, spare_of(kind))
    if few > 0 then
      local first = call('ZRANGE', ready_key(lane), 0, few - 1, 'WITHSCORES')
      for n = 1, #first, 2 do
        heads[#heads + 1] = {tonumber(first[n + 1]), first[n], lane, kind}
      end
    end
  end
end
table.sort(heads, function(one, other) return one[1] < other[1] end)

local leases, taken, guarded, ids = {}, {}, {}, {}
local lapse = now + LEASE
for _, head in ipairs(heads) do
  if #ids >= most then break end
  local id, lane, kind = head[2], head[3], head[4]
  if room[kind] > 0 and spare[kind] > 0 then
    room[kind] = room[kind] - 1
    spare[kind] = spare[kind] - 1
    local fields = read(id)
    local fence = fields[3] + 1
    call('HSET', TASK .. id, 's', S_RUNNING, 'f', fence, 'h', grown(fields[8], 'T', fence, ME),
      'w', ME)
    fields[3], fields[8] = fence, nil
    ids[#ids + 1] = id
    leases[#leases + 1] = {id, fields}
    guarded[#guarded + 1] = fence .. ' ' .. id
    taken[lane] = taken[lane] or {}
    table.insert(taken[lane], id)
    shift(running_in, lane, 1)
    maybe_empty[lane] = true
  end
end

for lane, some in pairs(taken) do in_parts('ZREM', ready_key(lane), some) end
if #ids > 0 then
  in_parts('ZREM', EXPIRING, ids)
  in_parts('ZADD', LEASED, ids, lapse)
  moves['started'] = #ids
  if lapse < sooner then sooner = lapse end
  call('SET', guard, number .. ' ' .. table.concat(guarded, US), 'PX', 120000)
end
-- Somebody else may have room for what is ready still, unless no one may start it.
for lane in pairs(lanes) do
  if spare_of(type_of(lane)) > 0 then made_ready[lane] = true end
end
local alarm = next_alarm()
finish()
return {happened, leases, now_text, alarm}
