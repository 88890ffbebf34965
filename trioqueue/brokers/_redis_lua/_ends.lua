-- Ends of tasks, and losses of leases.

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
  call('ZADD', ENDED, now + TOMBSTONE, id)
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
