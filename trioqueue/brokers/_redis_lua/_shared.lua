-- What all scripts share. Each is one atomic step: it looks at the time, does its work on the keys
-- below, and finishes by writing the numbers and calling those who wait.
--
-- All keys begin with KEYS[1], which has the hash tag in it, so that they share a cluster slot:
--   :m          hash: counter, clock, paused, warden, alarm, and n:{move} for each move
--   :t:{id}     hash: a task, see FIELDS below
--   :r:{lane}   sorted set: ready tasks by place         :rl  set: lanes that have ready tasks
--   :d  :e  :l  sorted sets: scheduled by due, not started by expiry, running by the lease's end
--   :x  :o      sorted sets: dead letters by order of death, ended tasks by time
--   :k          sorted set: ended tasks whose result is kept for less long than their end
--   :u:{queue}US{key}   string: the id of the live task that holds the key
--   :n          hash: sUS{lane}, uUS{lane} (scheduled, running), tUS{type} (running)
--   :ln         set: lanes that have open tasks          :p   set: paused queues
--   :i:{queue}US{type}  set: who waits for ready tasks ('' is any)   :iw  hash: who -> where it stands
--   :dw  :rw    sets: openings that wait until nothing is open, or for room
--   :w  :ws     hash and sorted set: worker processes
--   :f:{opening}, :g:{opening}:{n}   strings: the last claim, and a publish, to be answered again
-- A lane is {queue}US{type}, where US is the ASCII unit separator. Times are Unix time in
-- microseconds, which a double holds exactly.
--
-- FIELDS of a task: s state, n lane, q number in order of acceptance, y priority, a accepted at,
-- o options (JSON), k key, p payload, f fence (deliveries), h history; and, only if there is any:
-- z token of the lease that was settled last, b failures, l losses, i interruptions, x snoozes,
-- g errors (JSON), c cancellation requested, w holder, v openings that wait for its end,
-- t ended at, u outcome (JSON), r result, j result no longer kept.
--
-- The first arguments are the same for all: see `Setting` in _redis_calls.py.

local call = redis.call
local P = KEYS[1]
local META, TASK = P .. ':m', P .. ':t:'
local SCHEDULED, EXPIRING, LEASED = P .. ':d', P .. ':e', P .. ':l'
local DEAD_LETTERS, ENDED, KEPT = P .. ':x', P .. ':o', P .. ':k'
local NUMBERS, LANES, READY_LANES = P .. ':n', P .. ':ln', P .. ':rl'
local IDLE, PAUSED = P .. ':iw', P .. ':p'
local US = '\31'
local S_SCHEDULED, S_READY, S_RUNNING, S_DEAD, S_SUCCEEDED = '0', '1', '2', '3', '4'
local S_CANCELLED, S_EXPIRED, S_PURGED = '5', '6', '8'

local ME = ARGV[2]
local LEASE, RETENTION, MAX_LOSSES = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local OBSERVED, PUBLISH = ARGV[6] == '1', ARGV[7]
local POLL = tonumber(ARGV[8])
local argument = 8
local function arg()
  argument = argument + 1
  return ARGV[argument]
end
local function numeric()
  return tonumber(arg())
end
-- A list is its length, then its parts; -1 is no list (all).
local function listed()
  local length = numeric()
  if length < 0 then return nil end
  local found = {}
  for n = 1, length do found[n] = arg() end
  return found
end

local TOMBSTONE = math.max(RETENTION, 86400e6)
local BATCH = 200 -- what time brings about is done in batches, so that nobody else waits long

-- Time --------------------------------------------------------------------------------------------

local STEP_BACK = 60e6

local function server_time()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return time[1] * 1e6 + time[2]
end

local meta = call('HMGET', META, 'counter', 'clock', 'paused', 'warden', 'warden_until', 'alarm')
local counter, counted = tonumber(meta[1]) or 0, tonumber(meta[1]) or 0
local now = server_time()
do
  -- A clock that is set back a little stands still until it is right again. Set back far, it is
  -- believed, and leases that would last for ever by it end within one lease.
  local seen = tonumber(meta[2]) or 0
  if now < seen then
    if seen - now < STEP_BACK then
      now = seen
    else
      for _, id in ipairs(call('ZRANGEBYSCORE', LEASED, now + LEASE, '+inf')) do
        call('ZADD', LEASED, now + LEASE, id)
      end
    end
  end
end

local now_text = string.format('%.0f', now)

-- Numbers -----------------------------------------------------------------------------------------

local moves, scheduled_in, running_in = {}, {}, {}
local made_ready, maybe_empty = {}, {}
local ended_any, operated, sooner = false, false, math.huge

local function next_order()
  counter = counter + 1
  return counter
end

local function count(move)
  moves[move] = (moves[move] or 0) + 1
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

-- 8 bits of priority, one that is 0 for what was given back, 44 of order: 53, as a double has.
local ORDERS = 2 ^ 44
local function place(priority, order)
  return (255 - priority) * 2 * ORDERS + ORDERS + order
end
local function front(priority, seq)
  return (255 - priority) * 2 * ORDERS + seq
end

local function shift(numbers, name, difference)
  numbers[name] = (numbers[name] or 0) + difference
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

local function enter_ready(id, lane, where)
  call('ZADD', ready_key(lane), where, id)
  made_ready[lane] = true
end

local function leave_ready(id, lane)
  call('ZREM', ready_key(lane), id)
  maybe_empty[lane] = true
end

local function leave_running(id, lane)
  call('ZREM', LEASED, id)
  shift(running_in, lane, -1)
  maybe_empty[lane] = true
end

-- History and messages ----------------------------------------------------------------------------

local stamp = string.format('%.3f', now / 1e6)
local HISTORY_KEPT = 2000

local function entry(name, delivery, worker)
  return name .. ' ' .. stamp .. ' ' .. delivery .. ' ' .. (worker or '') .. '\n'
end

local function grown(history, line)
  local text = history .. line
  if #text <= 2 * HISTORY_KEPT then return text end
  local first = string.find(text, '\n', 1, true)
  local cut = string.find(text, '\n', #text - HISTORY_KEPT, true)
  return string.sub(text, 1, first) .. string.sub(text, cut + 1)
end

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
  for stand in string.gmatch(stands, '[^\30]+') do call('SREM', P .. ':i:' .. stand, who) end
end

-- Call one who is idle and would claim from this lane.
local function wake(lane)
  local queue, kind = queue_of(lane), type_of(lane)
  for _, stand in ipairs({lane, US .. kind, queue .. US, US}) do
    while true do
      local who = call('SPOP', P .. ':i:' .. stand)
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

-- What happened to a task, for those who are told: a move, when, the task after it.
local happened = {}
local function note(move, id, always)
  if OBSERVED or always then
    happened[#happened + 1] = {move, now_text, id, call('HGETALL', TASK .. id)}
  end
end

-- Ends --------------------------------------------------------------------------------------------

-- The state is written by the caller; here is what any end brings with it.
local function ended(id, lane, key, waiting, has_result)
  ended_any = true
  call('ZADD', ENDED, now, id)
  if has_result and RETENTION < TOMBSTONE then call('ZADD', KEPT, now, id) end
  if key then call('DEL', P .. ':u:' .. queue_of(lane) .. US .. key) end
  if waiting then
    for opening in string.gmatch(waiting, '%S+') do send(opening, 'e ' .. id) end
    call('HDEL', TASK .. id, 'v')
  end
end

local function end_waiting(id, move, state, outcome)
  local at = TASK .. id
  local task = call('HMGET', at, 's', 'n', 'f', 'h', 'k', 'v')
  local lane = task[2]
  if task[1] == S_SCHEDULED then leave_scheduled(id, lane) else leave_ready(id, lane) end
  call('ZREM', EXPIRING, id)
  call('HDEL', at, 'p')
  call('HSET', at, 's', state, 't', now, 'u', outcome, 'h', grown(task[4], entry(move, task[3])))
  ended(id, lane, task[5], task[6])
  count(move)
  note(move, id)
end

-- Leases ------------------------------------------------------------------------------------------

local function json_text(value)
  return cjson.encode(value)
end

-- Errors are a JSON array of arrays; one more, and no more than so many.
local function one_more(errors, record)
  if not errors then return '[' .. record .. ']' end
  return string.sub(errors, 1, -2) .. ',' .. record .. ']'
end

-- Take a running task's lease away; one time too many, and the task is a dead letter. A requested
-- cancellation stands: the next holder is told of it with the lease.
local function lose(id)
  local at = TASK .. id
  local task = call('HMGET', at, 'n', 'q', 'y', 'f', 'l', 'h', 'w', 'b', 'g', 'k', 'v')
  local lane, fence = task[1], task[4]
  local losses = (tonumber(task[5]) or 0) + 1
  leave_running(id, lane)
  if task[7] and task[7] ~= ME then send(task[7], 'l ' .. fence .. ' ' .. id) end
  if losses <= MAX_LOSSES then
    call('HSET', at, 's', S_READY, 'l', losses, 'h', grown(task[6], entry('lost', fence)))
    enter_ready(id, lane, front(tonumber(task[3]), tonumber(task[2])))
    count('lost')
    note('lost', id, true)
    return 'lost'
  end
  local text = 'lost ' .. losses .. ' times: whoever ran it did not live to settle it'
  local attempt = (tonumber(task[8]) or 0) + 1
  local record = '[' .. attempt .. ',"lost","LeaseLost",' .. json_text(text) .. ',""]'
  call('HDEL', at, 'c', 'v')
  call('HSET', at, 's', S_DEAD, 'l', losses, 't', now, 'u', '["lost",0,0,' .. record .. ']',
    'g', one_more(task[9], record), 'h', grown(task[6], entry('died', fence)))
  call('ZADD', DEAD_LETTERS, next_order(), id)
  if task[10] then call('DEL', P .. ':u:' .. queue_of(lane) .. US .. task[10]) end
  if task[11] then
    for opening in string.gmatch(task[11], '%S+') do send(opening, 'e ' .. id) end
  end
  ended_any = true
  count('died')
  note('died', id, true)
  return 'died'
end

-- What time brings about --------------------------------------------------------------------------

local function up_to(key, time)
  return call('ZRANGEBYSCORE', key, '-inf', time, 'LIMIT', 0, BATCH)
end

local function become_due(id)
  local at = TASK .. id
  local task = call('HMGET', at, 'n', 'y', 'f', 'h')
  leave_scheduled(id, task[1])
  call('HSET', at, 's', S_READY, 'h', grown(task[4], entry('due', task[3] or 0)))
  enter_ready(id, task[1], place(tonumber(task[2]), next_order()))
  count('due')
  note('due', id)
end

local function forget(id)
  call('DEL', TASK .. id)
  call('ZREM', ENDED, id)
  call('ZREM', KEPT, id)
end

local function drop_result(id)
  call('ZREM', KEPT, id)
  call('HDEL', TASK .. id, 'r')
  call('HSET', TASK .. id, 'j', 1)
end

local function tend()
  for _, id in ipairs(up_to(EXPIRING, now)) do
    end_waiting(id, 'expired', S_EXPIRED, '["expired",0,0,null]')
  end
  for _, id in ipairs(up_to(SCHEDULED, now)) do become_due(id) end
  for _, id in ipairs(up_to(LEASED, now)) do lose(id) end
  for _, id in ipairs(up_to(ENDED, now - TOMBSTONE)) do forget(id) end
  if RETENTION < TOMBSTONE then
    for _, id in ipairs(up_to(KEPT, now - RETENTION)) do drop_result(id) end
  end
end

local function first_score(key)
  local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return tonumber(first[2]) or math.huge
end

-- The time of the next thing to do. One opening, the warden, watches the clock for all; the others
-- look now and then whether there still is one. Answered in microseconds from now; -1 is never.
local function next_alarm()
  local at = math.min(first_score(EXPIRING), first_score(SCHEDULED), first_score(LEASED),
    first_score(ENDED) + TOMBSTONE)
  if RETENTION < TOMBSTONE then at = math.min(at, first_score(KEPT) + RETENTION) end
  local warden, watches_until = meta[4], tonumber(meta[5]) or 0
  if warden and warden ~= ME and watches_until > now and is_there(warden) then
    at = math.max(at, watches_until)
    if at == math.huge then return '-1' end
    return string.format('%.0f', at - now + 1000)
  end
  call('HSET', META, 'warden', ME, 'warden_until', now + 2 * POLL, 'alarm',
    at == math.huge and '' or at)
  meta[4], meta[6] = ME, at
  if at == math.huge then return '-1' end
  return string.format('%.0f', math.max(0, at - now))
end

-- Waiting tasks of a lane that is not paused, or of none -------------------------------------------

local function is_paused(lane)
  return meta[3] == '1' or call('SISMEMBER', PAUSED, queue_of(lane)) == 1
end

local function running_of(kind)
  return tonumber(call('HGET', NUMBERS, 't' .. US .. kind)) or 0
end

-- The end of every script that writes -------------------------------------------------------------

local function add_to_lanes(numbers, letter, touched)
  for lane, difference in pairs(numbers) do
    if difference ~= 0 then
      if call('HINCRBY', NUMBERS, letter .. US .. lane, difference) <= 0 then
        call('HDEL', NUMBERS, letter .. US .. lane)
      end
    end
    touched[lane] = true
  end
end

local function write_numbers()
  local touched = {}
  local types = {}
  for lane, difference in pairs(running_in) do shift(types, type_of(lane), difference) end
  add_to_lanes(scheduled_in, 's', touched)
  add_to_lanes(running_in, 'u', touched)
  add_to_lanes(types, 't', {})
  for lane in pairs(made_ready) do touched[lane] = true end
  for lane in pairs(touched) do call('SADD', LANES, lane) end
  for move, number in pairs(moves) do call('HINCRBY', META, 'n:' .. move, number) end
  if counter ~= counted then
    call('HSET', META, 'counter', counter, 'clock', now)
  else
    call('HSET', META, 'clock', now)
  end
end

-- Whether a lane has no open task any more.
local function drop_if_empty(lane)
  if call('EXISTS', ready_key(lane)) == 1 then return false end
  call('SREM', READY_LANES, lane)
  local open = call('HMGET', NUMBERS, 's' .. US .. lane, 'u' .. US .. lane)
  if open[1] or open[2] then return false end
  call('SREM', LANES, lane)
  return true
end

local function finish()
  write_numbers()
  local emptied = false
  for lane in pairs(maybe_empty) do emptied = drop_if_empty(lane) or emptied end
  local anybody_idle = call('EXISTS', IDLE) == 1
  for lane in pairs(made_ready) do
    if call('EXISTS', ready_key(lane)) == 1 then
      call('SADD', READY_LANES, lane)
      if anybody_idle and not is_paused(lane) then wake(lane) end
    end
  end
  if anybody_idle then
    -- A lane whose type was full in the whole fleet may have room now.
    for lane, difference in pairs(running_in) do
      if difference < 0 and not made_ready[lane] then
        for _, other in ipairs(call('SMEMBERS', READY_LANES)) do
          if type_of(other) == type_of(lane) and not is_paused(other) then wake(other) end
        end
      end
    end
  end
  if emptied or operated or next(made_ready) or next(scheduled_in) then call_all(P .. ':dw', 'd') end
  if ended_any then call_one(P .. ':rw', 'f') end
  if sooner < (tonumber(meta[6]) or math.huge) then
    call('HSET', META, 'alarm', sooner)
    if meta[4] then send(meta[4], 'a') end
  end
end
