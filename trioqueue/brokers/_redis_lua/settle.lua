-- End leases, each if it is the current one. Arguments: how many; for each: id, number, token, move,
-- "failures losses interruptions snoozes errors" or '', outcome, result flag, result, delay.
-- Answers: {{for each: 1 done, 2 done before by another opening, 3 by this one, 0 not held}, now}
local AFTER = {died = S_DEAD, cancelled = S_CANCELLED, succeeded = S_SUCCEEDED}
local LETTERS = {died = 'F', cancelled = 'C', succeeded = 'K', released = 'G', retried = 'R',
  snoozed = 'Z'}
local settlements, ids, codes = {}, {}, {}
local over, kept, gone = {}, {}, {}

for n = 1, numeric() do
  settlements[n] = {id = arg(), seq = numeric(), token = numeric(), move = arg(), numbers = arg(),
    outcome = arg(), result = optional(), delay = numeric()}
  ids[n] = settlements[n].id
end
read_all(ids)

local function give_back(id, record, one)
  local lane = record[LANE]
  if one.move == 'released' then
    record[STATE] = S_READY
    enter_ready(id, lane, front(record[PRIORITY], record[SEQ]))
  elseif one.delay > 0 then
    record[STATE] = S_SCHEDULED
    enter_scheduled(id, lane, now + one.delay)
  else -- due at once: two moves in one
    count('due')
    record[STATE] = S_READY
    add_entry(record, 'd')
    enter_ready(id, lane, place(record[PRIORITY], next_order()))
  end
end

local function conclude(id, record, one)
  record[ENDED_AT], record[OUTCOME] = now, one.outcome
  if one.move == 'died' then
    bury(id, record)
  else
    record[STATE] = AFTER[one.move]
    drop_payload(id, record)
    over[#over + 1] = id
    if one.result then
      record[RESULT] = one.result
      kept[#kept + 1] = id
    end
  end
  ended(id, record)
end

local function settle(one)
  local id = one.id
  local record = records[id]
  if not record or record[SEQ] ~= one.seq then return 0 end
  if record[STATE] ~= S_RUNNING or record[FENCE] ~= one.token then
    if record[TOKEN] ~= one.token then return 0 end
    return record[HOLDER] == ME and 3 or 2
  end
  gone[#gone + 1] = id
  shift(running_in, record[LANE], -1)
  maybe_empty[record[LANE]] = true
  count(one.move)
  record[TOKEN] = one.token
  if one.numbers ~= '' then record[NUMBERS_] = one.numbers end
  add_entry(record, LETTERS[one.move])
  if AFTER[one.move] then conclude(id, record, one) else give_back(id, record, one) end
  change(id, record)
  return 1
end

for n, one in ipairs(settlements) do codes[n] = settle(one) end
in_parts('ZREM', LEASED, gone)
in_parts('ZADD', ENDED, over, now)
if RETENTION < TOMBSTONE then in_parts('ZADD', KEPT, kept, now) end
finish()
return {codes, now_text}
