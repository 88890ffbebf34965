-- Lanes and numbers: where tasks stand, how many there are, who is called for them.

local moves, scheduled_in, running_in = {}, {}, {}
local entering, made_ready, maybe_empty = {}, {}, {}
local freed_room, operated, sooner = false, false, math.huge
local alarm_changed, knows_alarm = false, false

local function next_order()
  counter = counter + 1
  return counter
end

local function count(move, number)
  moves[move] = (moves[move] or 0) + (number or 1)
end

-- Of a task whose record is gone, by eviction or by hand, nothing is left to do but to say so: one
-- must not stop the others. Whoever calls this takes its id out of the set where it was found.
local function vanish(id)
  call('DEL', PAYLOADS .. id)
  count('evicted')
  happened[#happened + 1] = {'evicted', now_text, id}
end

local function shift(numbers, name, difference)
  numbers[name] = (numbers[name] or 0) + difference
end

local function type_of(lane)
  return string.sub(lane, string.find(lane, US, 1, true) + 1)
end

local function queue_of(lane)
  return string.sub(lane, 1, string.find(lane, US, 1, true) - 1)
end

local function ready_key(lane)
  return P .. ':r:' .. lane
end

local function is_paused(lane)
  return all_paused or call('SISMEMBER', PAUSED, queue_of(lane)) == 1
end

-- Leases of a type in the whole fleet, with what this script has done.
local function running_of(kind)
  local number = tonumber(call('HGET', NUMBERS, 't' .. US .. kind)) or 0
  for lane, difference in pairs(running_in) do
    if type_of(lane) == kind then number = number + difference end
  end
  return number
end

-- Tasks that have not ended, with what this script has done.
local function open_tasks()
  local open = 0
  local signs = {submitted = 1, delayed = 1, replayed = 1, succeeded = -1, died = -1, cancelled = -1,
    expired = -1, evicted = -1}
  for move, sign in pairs(signs) do
    open = open + sign * ((tonumber(call('HGET', META, 'n:' .. move)) or 0) + (moves[move] or 0))
  end
  return open
end

-- Where tasks stand -------------------------------------------------------------------------------

-- 8 bits of priority, one that is 0 for what was given back, 44 of order: 53, as a double has.
local ORDERS = 2 ^ 44
local function place(priority, order)
  return (255 - priority) * 2 * ORDERS + ORDERS + order
end
local function front(priority, seq)
  return (255 - priority) * 2 * ORDERS + seq
end
-- Where the places of the next lower priority begin.
local function next_priority(where)
  return (math.floor(where / (2 * ORDERS)) + 1) * 2 * ORDERS
end

local function enter_ready(id, lane, where)
  local members = entering[lane]
  if not members then
    members = {}
    entering[lane] = members
    made_ready[lane] = true
  end
  members[#members + 1] = where
  members[#members + 1] = id
end

-- Before anybody looks into a ready set.
local function write_ready()
  for lane, members in pairs(entering) do in_parts('ZADD', ready_key(lane), members) end
  entering = {}
end

local function enter_scheduled(id, lane, due)
  call('ZADD', SCHEDULED, due, id)
  shift(scheduled_in, lane, 1)
  if due < sooner then sooner = due end
end

local function leave_scheduled(id, lane)
  call('ZREM', SCHEDULED, id)
  shift(scheduled_in, lane, -1)
  maybe_empty[lane] = true
end

local function leave_ready(id, lane)
  write_ready()
  call('ZREM', ready_key(lane), id)
  maybe_empty[lane] = true
end

local function leave_running(id, lane)
  call('ZREM', LEASED, id)
  shift(running_in, lane, -1)
  maybe_empty[lane] = true
end

-- Calling -----------------------------------------------------------------------------------------

-- How many got it: nobody does at an opening that is gone.
local function send(opening, message)
  return call(PUBLISH, P .. ':@' .. opening, message)
end

-- Whether an opening still listens. (In a cluster: on the node that owns the slot, where it does.)
local function is_there(opening)
  local ask = PUBLISH == 'SPUBLISH' and 'SHARDNUMSUB' or 'NUMSUB'
  return call('PUBSUB', ask, P .. ':@' .. opening)[2] > 0
end

-- One who waits is {opening}/{its number there}.
local function leave_idle(who)
  local stands = call('HGET', IDLE, who)
  if not stands then return end
  call('HDEL', IDLE, who)
  for stand in string.gmatch(stands, '[^\30]+') do call('SREM', STANDS .. stand, who) end
end

-- Call one who is idle and would claim from this lane.
local function wake(lane)
  for _, stand in ipairs({lane, US .. type_of(lane), queue_of(lane) .. US, US}) do
    while true do
      local who = call('SPOP', STANDS .. stand)
      if not who then break end
      leave_idle(who)
      local slash = string.find(who, '/', 1, true)
      if send(string.sub(who, 1, slash - 1), 'r ' .. string.sub(who, slash + 1)) > 0 then return end
    end
  end
end

local function call_all(key, message)
  for _, opening in ipairs(call('SMEMBERS', key)) do send(opening, message) end
  call('DEL', key)
end

local function call_one(key, message)
  while true do
    local opening = call('SPOP', key)
    if not opening or send(opening, message) > 0 then return end
  end
end
