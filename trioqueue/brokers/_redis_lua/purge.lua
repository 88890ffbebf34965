-- Throw a dead letter away; a tombstone stays, so that its id is not run again. Argument: the id.
-- Answers: {what happened, 1 or 0, now}
local id = arg()
local at = TASK .. id
local task = call('HMGET', at, 's', 'f', 'h')
local dead = task[1] == S_DEAD
if dead then
  call('ZREM', DEAD_LETTERS, id)
  call('HDEL', at, 'p')
  call('HSET', at, 's', S_PURGED, 't', now, 'h', grown(task[3], entry('purged', task[2])))
  call('ZADD', ENDED, now, id)
  count('purged')
  note('purged', id)
end
finish()
return {happened, dead and 1 or 0, now_text}
