-- Make a dead letter ready again, its failures and losses forgotten. Arguments: the id; the
-- capacity or -1. Answers: {what happened, code, now, task}: 0 no such dead letter, 1 replayed, 2 its
-- key is held, 3 full
local id, capacity = arg(), numeric()
local record = read(id)

local function replay()
  if not record or record[STATE] ~= S_DEAD then return 0 end
  local holder = record[KEY] and P .. ':u:' .. queue_of(record[LANE]) .. US .. record[KEY]
  if holder and call('EXISTS', holder) == 1 then return 2 end
  if capacity >= 0 and open_tasks() >= capacity then
    call('SADD', SUBMITTERS, ME)
    return 3
  end
  local _, _, interruptions, snoozes, errors = extras(record[NUMBERS_])
  if holder then call('SET', holder, id) end
  call('ZREM', DEAD_LETTERS, id)
  record[STATE], record[ENDED_AT], record[OUTCOME] = S_READY, false, false
  record[NUMBERS_] = written(0, 0, interruptions, snoozes, errors)
  add_entry(record, 'y')
  enter_ready(id, record[LANE], place(record[PRIORITY], next_order()))
  change(id, record)
  count('replayed')
  note('replayed', id)
  return 1
end

local code = replay()
local task = code > 0 and snapshot(id)
finish()
return {happened, code, now_text, task}
