-- Throw a dead letter away; a tombstone stays, so that its id is not run again. Argument: the id.
-- Answers: {what happened, 1 or 0, now}
local id = arg()
local record = read(id)
local dead = record and record[STATE] == S_DEAD
if dead then
  call('ZREM', DEAD_LETTERS, id)
  call('ZADD', ENDED, now + TOMBSTONE, id)
  sooner = math.min(sooner, now + TOMBSTONE)
  record[STATE], record[ENDED_AT] = S_PURGED, now
  drop_payload(id, record)
  add_entry(record, 'p')
  change(id, record)
  count('purged')
  note('purged', id)
end
finish()
return {happened, dead and 1 or 0, now_text}
