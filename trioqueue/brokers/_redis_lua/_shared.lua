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
--   :b:{id}     string: a long payload
--   :f:{opening}, :g:{opening}:{n}   strings: the last claim, and a publish, to be answered again
-- A lane is {queue}US{type}, where US is the ASCII unit separator. Times are Unix time in
-- microseconds, which a double holds exactly.
--
-- FIELDS of a task. Few and short, so that a server keeps the hash in one piece of memory (up to 64
-- bytes a value): s state, n lane, o what never changes ("{number in order of acceptance} {priority}
-- {accepted at} {options as JSON}"), f fence (deliveries), h history, p payload, which is '' when the
-- task has ended, and in the string :b:{id} if it is long; and, only if there is any: k key,
-- e "{failures} {losses} {interruptions} {snoozes} {errors as JSON}", c cancellation requested,
-- w holder, v openings that wait for its end, z token of the lease that was settled last,
-- u "{ended at} {outcome as JSON}", r result, j result no longer kept.
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

-- A command with many members: Lua hands over some thousands of arguments at most.
local function in_parts(command, key, members, score)
  for from = 1, #members, 1000 do
    local parts = {}
    for n = from, math.min(from + 999, #members) do
      if score then parts[#parts + 1] = score end
      parts[#parts + 1] = members[n]
    end
    call(command, key, unpack(parts))
  end
end

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

-- One letter for each thing that happens, and the milliseconds since the first of them, which has
-- those since 1970; the fence, if there is one; the opening, where a task was started. As in
-- s1700000000000,T12.1.5f0c1e8a9b7d6c3e,K20.1
local MS = math.floor(now / 1000)
local HISTORY_KEPT = 1000

local function first_entry(letter)
  return string.format('%s%.0f', letter, MS)
end

local function grown(history, letter, fence, opening)
  local text = string.format('%s,%s%.0f.%s', history, letter, MS - string.sub(history, 2, 14), fence)
  if opening then text = text .. '.' .. opening end
  if #text <= 2 * HISTORY_KEPT then return text end
  local first = string.find(text, ',', 1, true)
  local cut = string.find(text, ',', #text - HISTORY_KEPT, true)
  return string.sub(text, 1, first - 1) .. string.sub(text, cut)
end

-- Number in order of acceptance, and priority.
local function standing(static)
  local seq, priority = string.match(static, '^(%d+) (%d+) ')
  return tonumber(seq), tonumber(priority)
end

local function drop_payload(id, payload)
  if payload == nil or payload == false then call('DEL', P .. ':b:' .. id) end
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

-- All that is known of a task: its fields, flat, a long payload among them.
local function snapshot(id)
  local flat = call('HGETALL', TASK .. id)
  if #flat > 0 then
    local payload = call('GET', P .. ':b:' .. id)
    if payload then
      flat[#flat + 1] = 'p'
      flat[#flat + 1] = payload
    end
  end
  return flat
end

-- What happened to a task, for those who are told: a move, when, the task after it.
local happened = {}
local function note(move, id, always)
  if OBSERVED or always then
    happened[#happened + 1] = {move, now_text, id, snapshot(id)}
  end
end

-- Ends --------------------------------------------------------------------------------------------

-- The state is written by the caller; here is what any end brings with it.
local function told(id, waiting)
  for opening in string.gmatch(waiting, '%S+') do send(opening, 'e ' .. id) end
  call('HDEL', TASK .. id, 'v')
end

local function free_key(lane, key)
  call('DEL', P .. ':u:' .. queue_of(lane) .. US .. key)
end

local function end_waiting(id, letter, move, state)
  local at = TASK .. id
  local task = call('HMGET', at, 's', 'n', 'f', 'h', 'k', 'v', 'p')
  local lane = task[2]
  if task[1] == S_SCHEDULED then leave_scheduled(id, lane) else leave_ready(id, lane) end
  call('ZREM', EXPIRING, id)
  drop_payload(id, task[7])
  call('HSET', at, 's', state, 'p', '', 'u', now_text .. ' ["' .. move .. '",0,0,null]',
    'h', grown(task[4], letter, task[3]))
  call('ZADD', ENDED, now, id)
  if task[5] then free_key(lane, task[5]) end
  if task[6] then told(id, task[6]) end
  ended_any = true
  count(move)
  note(move, id)
end

-- Leases ------------------------------------------------------------------------------------------

-- Failures, losses, interruptions, snoozes, and the errors as JSON or ''.
local function extras(text)
  if not text then return 0, 0, 0, 0, '' end
  local failures, losses, interruptions, snoozes, errors =
    string.match(text, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
  return tonumber(failures), tonumber(losses), tonumber(interruptions), tonumber(snoozes), errors
end

-- Take a running task's lease away; one time too many, and the task is a dead letter. A requested
-- cancellation stands: the next holder is told of it with the lease.
local function lose(id)
  local at = TASK .. id
  local task = call('HMGET', at, 'n', 'o', 'f', 'h', 'w', 'e', 'k', 'v')
  local lane, fence = task[1], task[3]
  local failures, losses, interruptions, snoozes, errors = extras(task[6])
  losses = losses + 1
  leave_running(id, lane)
  if task[5] and task[5] ~= ME then send(task[5], 'l ' .. fence .. ' ' .. id) end
  local numbers = failures .. ' ' .. losses .. ' ' .. interruptions .. ' ' .. snoozes .. ' '
  if losses <= MAX_LOSSES then
    local seq, priority = standing(task[2])
    call('HSET', at, 's', S_READY, 'e', numbers .. errors, 'h', grown(task[4], 'l', fence))
    enter_ready(id, lane, front(priority, seq))
    count('lost')
    note('lost', id, true)
    return
  end
  local text = 'lost ' .. losses .. ' times: whoever ran it did not live to settle it'
  local record = '[' .. failures + 1 .. ',"lost","LeaseLost",' .. cjson.encode(text) .. ',""]'
  if errors == '' then
    errors = '[' .. record .. ']'
  else
    errors = string.sub(errors, 1, -2) .. ',' .. record .. ']'
  end
  call('HDEL', at, 'c')
  call('HSET', at, 's', S_DEAD, 'e', numbers .. errors, 'h', grown(task[4], 'f', fence),
    'u', now_text .. ' ["lost",0,0,' .. record .. ']')
  call('ZADD', DEAD_LETTERS, next_order(), id)
  if task[7] then free_key(lane, task[7]) end
  if task[8] then told(id, task[8]) end
  ended_any = true
  count('died')
  note('died', id, true)
end

-- What time brings about --------------------------------------------------------------------------

local function up_to(key, time)
  return call('ZRANGEBYSCORE', key, '-inf', time, 'LIMIT', 0, BATCH)
end

local function become_due(id)
  local at = TASK .. id
  local task = call('HMGET', at, 'n', 'o', 'f', 'h')
  local _, priority = standing(task[2])
  leave_scheduled(id, task[1])
  call('HSET', at, 's', S_READY, 'h', grown(task[4], 'd', task[3]))
  enter_ready(id, task[1], place(priority, next_order()))
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
    end_waiting(id, 'x', 'expired', S_EXPIRED)
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
