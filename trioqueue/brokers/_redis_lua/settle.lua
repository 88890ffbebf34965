-- End leases, each if it is the current one. Arguments: the settlements, packed: for each {id, number,
-- token, move, NUMBERS or false, OUTCOME, whether there is a result, delay}; and the results.
-- Answers: {{for each: 1 done, 2 done before by another opening, 3 by this one, 0 not held}, now}
local AFTER = {died = S_DEAD, cancelled = S_CANCELLED, succeeded = S_SUCCEEDED}
local LETTERS = {died = 'F', cancelled = 'C', succeeded = 'K', released = 'G', retried = 'R',
  snoozed = 'Z'}
local settlements = cmsgpack.unpack(arg())
local ids, codes, over, kept, gone = {}, {}, {}, {}, {}
for n, one in ipairs(settlements) do ids[n] = one[1] end
read_all(ids)

local function give_back(id, record, move, delay)
  local lane = record[LANE]
  if move == 'released' then
    record[STATE] = S_READY
    enter_ready(id, lane, front(record[PRIORITY], record[SEQ]))
  elseif delay > 0 then
    record[STATE] = S_SCHEDULED
    enter_scheduled(id, lane, now + delay)
  else -- due at once: two moves in one
    count('due')
    record[STATE] = S_READY
    add_entry(record, 'd')
    enter_ready(id, lane, place(record[PRIORITY], next_order()))
  end
end

local function conclude(id, record, move, outcome, result)
  record[ENDED_AT], record[OUTCOME] = now, outcome
  if move == 'died' then
    bury(id, record)
  else
    record[STATE] = AFTER[move]
    drop_payload(id, record)
    over[#over + 1] = id
    if result then
      record[RESULT] = result
      kept[#kept + 1] = id
    end
  end
  ended(id, record)
end

local function settle(one)
  local id, seq, token, move, numbers, outcome, has_result, delay = unpack(one)
  local result = has_result and arg()
  local record = records[id]
  if not record or record[SEQ] ~= seq then return 0 end
  if record[STATE] ~= S_RUNNING or record[FENCE] ~= token then
    local settler = settled_by(record, token)
    return not settler and 0 or settler == ME and 3 or 2
  end
  gone[#gone + 1] = id
  shift(running_in, record[LANE], -1)
  maybe_empty[record[LANE]] = true
  count(move)
  if numbers then record[NUMBERS_] = numbers end
  add_entry(record, LETTERS[move])
  if AFTER[move] then
    conclude(id, record, move, outcome, result)
  else
    give_back(id, record, move, delay)
  end
  change(id, record)
  return 1
end

for n, one in ipairs(settlements) do codes[n] = settle(one) end
in_parts('ZREM', LEASED, gone)
in_parts('ZADD', ENDED, over, now + TOMBSTONE)
if RETENTION < TOMBSTONE then in_parts('ZADD', KEPT, kept, now + RETENTION) end
finish()
return {codes, now_text}
