-- Throw a dead letter away; a tombstone stays, so that its id is not run again. Argument: the id.
-- Answers: {what happened, 1 or 0, now}
local id = arg()
local at = TASK .. id
local task = call('HMGET', at, 's', 'f', 'h', 'p')
local dead = task[1] == S_DEAD
if dead then
  call('ZREM', DEAD_LETTERS, id)
  drop_payload(id, task[4])
  call('HSET', at, 's', S_PURGED, 'p', '', 'h', grown(task[3], 'p', task[2]))
  call('ZADD', ENDED, now, id)
  count('purged')
  note('purged', id)
end
finish()
return {happened, dead and 1 or 0, now_text}
