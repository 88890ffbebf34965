-- Take up to so many ready tasks, in order, looking only at those that may start.
-- Arguments: the call's number, how many at most; types: how many; for each: name, room, limit of
-- the whole fleet or -1; queues: a list or -1.
-- Answers: {what happened, leases, now, next alarm}; a lease: {id, record, the payload if it is long}
local number, most = arg(), numeric()
local room, limit = {}, {}
for _ = 1, numeric() do
  local kind = arg()
  room[kind], limit[kind] = numeric(), numeric()
end
local only = listed()
local allowed = {}
for _, queue in ipairs(only or {}) do allowed[queue] = true end

local leases = {}

-- The reply to this very claim was lost: what it took, as far as it is still held.
local guard = P .. ':f:' .. ME
local before = call('GET', guard)
local last, taken_then = string.match(before or '0 ', '^(%d+) (.*)$')
if last == number then
  for id in string.gmatch(taken_then, '[^\31]+') do
    local record = read(id)
    if record and record[STATE] == S_RUNNING and record[HOLDER] == ME then
      call('ZADD', LEASED, now + LEASE, id) -- whoever claims counts from when he has asked
      leases[#leases + 1] = snapshot(id)
    end
  end
  return {{}, leases, now_text, next_alarm()}
end
-- A later one was here before: nobody waits for this one any more, which was on its way for long.
if tonumber(last) > tonumber(number) then return {{}, {}, now_text, next_alarm()} end

leave_idle(ME .. '/0')
tend()

-- How many of a type the whole fleet may still start.
local spare = {}
local function spare_of(kind)
  if not spare[kind] then
    local limited = limit[kind] and limit[kind] >= 0
    spare[kind] = limited and limit[kind] - running_of(kind) or math.huge
  end
  return spare[kind]
end

-- Of each lane, what stands first; then what stands first in all of them.
local lanes, heads, looked_at = {}, {}, 0
for _, lane in ipairs(call('SMEMBERS', READY_LANES)) do lanes[lane] = true end
for lane in pairs(made_ready) do lanes[lane] = true end
for lane in pairs(lanes) do
  local kind = type_of(lane)
  if is_paused(lane) then
    lanes[lane] = nil
  elseif not only or allowed[queue_of(lane)] then
    local few = math.min(most, room[kind] or 0, spare_of(kind))
    if few > 0 then
      looked_at = looked_at + 1
      local first = call('ZRANGE', ready_key(lane), 0, few - 1, 'WITHSCORES')
      for n = 1, #first, 2 do
        heads[#heads + 1] = {tonumber(first[n + 1]), first[n], lane, kind}
      end
    end
  end
end
if looked_at > 1 then
  table.sort(heads, function(one, other) return one[1] < other[1] end)
end

local taken, from_lane = {}, {}
for _, head in ipairs(heads) do
  if #taken >= most then break end
  local _, id, lane, kind = unpack(head)
  if room[kind] > 0 and spare[kind] > 0 then
    room[kind], spare[kind] = room[kind] - 1, spare[kind] - 1
    taken[#taken + 1] = id
    from_lane[lane] = from_lane[lane] or {}
    table.insert(from_lane[lane], id)
  end
end

if #taken > 0 then
  read_all(taken)
  local held = {}
  for _, id in ipairs(taken) do
    local record = records[id]
    if record then
      held[#held + 1] = id
      shift(running_in, record[LANE], 1)
      record[STATE], record[FENCE], record[HOLDER] = S_RUNNING, record[FENCE] + 1, ME
      add_entry(record, 'T', ME)
      change(id, record)
      leases[#leases + 1] = snapshot(id)
    else
      vanish(id)
    end
  end
  for lane, ids in pairs(from_lane) do
    in_parts('ZREM', ready_key(lane), ids)
    maybe_empty[lane] = true
  end
  in_parts('ZREM', EXPIRING, taken)
  in_parts('ZADD', LEASED, held, now + LEASE)
  count('started', #held)
  sooner = math.min(sooner, now + LEASE)
end
-- For as long as what it took may be held for nobody.
local known_for = string.format('%.0f', math.max(120000, LEASE / 1000))
call('SET', guard, number .. ' ' .. table.concat(taken, US), 'PX', known_for)
-- Somebody else may have room for what is ready still, unless no one may start it.
for lane in pairs(lanes) do
  if spare_of(type_of(lane)) > 0 then made_ready[lane] = true end
end
local next_look = next_alarm()
finish()
return {happened, leases, now_text, next_look}
