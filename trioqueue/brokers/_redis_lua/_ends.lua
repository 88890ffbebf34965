-- Ends of tasks, losses of leases, and what time brings about.

local BATCH = 200 -- what time brings about is done in batches, so that nobody else waits long

-- What every end brings with it: those who wait are told, the key is free, there is room.
local function ended(id, record)
  freed_room = true
  sooner = math.min(sooner, now + math.min(TOMBSTONE, RETENTION))
  if record[KEY] then call('DEL', P .. ':u:' .. queue_of(record[LANE]) .. US .. record[KEY]) end
  if record[WAITERS] then
    for opening in string.gmatch(record[WAITERS], '%S+') do send(opening, 'e ' .. id) end
    record[WAITERS] = false
  end
end

local function bury(id, record)
  record[STATE], record[ASKED] = S_DEAD, false
  call('ZADD', DEAD_LETTERS, next_order(), id)
end

local function end_waiting(id, record, letter, move, state)
  local lane = record[LANE]
  if record[STATE] == S_SCHEDULED then leave_scheduled(id, lane) else leave_ready(id, lane) end
  call('ZREM', EXPIRING, id)
  call('ZADD', ENDED, now, id)
  record[STATE], record[ENDED_AT] = state, now
  record[OUTCOME] = '["' .. move .. '",0,0,null]'
  drop_payload(id, record)
  add_entry(record, letter)
  ended(id, record)
  change(id, record)
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

local function written(failures, losses, interruptions, snoozes, errors)
  return string.format('%d %d %d %d %s', failures, losses, interruptions, snoozes, errors)
end

local function one_more(errors, error)
  if errors == '' then return '[' .. error .. ']' end
  return string.sub(errors, 1, -2) .. ',' .. error .. ']'
end

-- Take a running task's lease away; one time too many, and the task is a dead letter. A requested
-- cancellation stands: the next holder is told of it with the lease.
local function lose(id, record)
  local lane, holder = record[LANE], record[HOLDER]
  local failures, losses, interruptions, snoozes, errors = extras(record[NUMBERS_])
  losses = losses + 1
  leave_running(id, lane)
  if holder and holder ~= ME then send(holder, 'l ' .. record[FENCE] .. ' ' .. id) end
  local move = losses <= MAX_LOSSES and 'lost' or 'died'
  if move == 'lost' then
    record[STATE] = S_READY
    add_entry(record, 'l')
    enter_ready(id, lane, front(record[PRIORITY], record[SEQ]))
  else
    local text = 'lost ' .. losses .. ' times: whoever ran it did not live to settle it'
    local error = string.format('[%d,"lost","LeaseLost",%s,""]', failures + 1, cjson.encode(text))
    errors = one_more(errors, error)
    record[ENDED_AT], record[OUTCOME] = now, '["lost",0,0,' .. error .. ']'
    bury(id, record)
    add_entry(record, 'f')
    ended(id, record)
  end
  record[NUMBERS_] = written(failures, losses, interruptions, snoozes, errors)
  change(id, record)
  count(move)
  note(move, id, true)
end

-- What time brings about --------------------------------------------------------------------------

local function up_to(key, time)
  local ids = call('ZRANGEBYSCORE', key, '-inf', time, 'LIMIT', 0, BATCH)
  if #ids > 0 then read_all(ids) end
  return ids
end

local function become_due(id, record)
  leave_scheduled(id, record[LANE])
  record[STATE] = S_READY
  add_entry(record, 'd')
  enter_ready(id, record[LANE], place(record[PRIORITY], next_order()))
  change(id, record)
  count('due')
  note('due', id)
end

local function forget(id)
  call('DEL', TASK .. id)
  call('ZREM', ENDED, id)
  call('ZREM', KEPT, id)
  change(id, false)
end

local function drop_result(id, record)
  call('ZREM', KEPT, id)
  record[RESULT], record[UNSTORED] = false, 1
  change(id, record)
end

local function first_score(key)
  return tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or math.huge
end

local function first_alarm()
  local at = math.min(first_score(EXPIRING), first_score(SCHEDULED), first_score(LEASED),
    first_score(ENDED) + TOMBSTONE)
  if RETENTION < TOMBSTONE then at = math.min(at, first_score(KEPT) + RETENTION) end
  return at
end

local function tend()
  if now < alarm then return end
  for _, id in ipairs(up_to(EXPIRING, now)) do
    end_waiting(id, records[id], 'x', 'expired', S_EXPIRED)
  end
  for _, id in ipairs(up_to(SCHEDULED, now)) do become_due(id, records[id]) end
  for _, id in ipairs(up_to(LEASED, now)) do lose(id, records[id]) end
  if RETENTION < TOMBSTONE then
    for _, id in ipairs(up_to(KEPT, now - RETENTION)) do drop_result(id, records[id]) end
  end
  for _, id in ipairs(up_to(ENDED, now - TOMBSTONE)) do forget(id) end
  write_ready()
  alarm = first_alarm()
  alarm_changed = true
end

-- The time of the next thing to do, in microseconds from now; -1 is never. One opening, the warden,
-- watches the clock for all; the others look now and then whether it is still there.
local function next_alarm()
  local at = math.min(alarm, sooner)
  local never = at == math.huge
  local watches_until = tonumber(meta[5]) or 0
  if warden and warden ~= ME and watches_until > now and is_there(warden) then
    return never and '-1' or string.format('%.0f', math.max(at, watches_until) - now + 1000)
  end
  if warden ~= ME or watches_until < now + POLL then
    warden = ME
    call('HSET', META, 'warden', ME, 'warden_until', now + 2 * POLL)
  end
  knows_alarm = true -- by the answer to this very script
  return never and '-1' or string.format('%.0f', math.max(0, at - now))
end
