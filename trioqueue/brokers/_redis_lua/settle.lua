-- End leases, each if it is the current one. Arguments: how many; for each: id, number, token, move,
-- "failures losses interruptions snoozes errors" or '', outcome, result flag, result, delay.
-- Answers: {{for each: 1 done, 2 done before by another opening, 3 by this one, 0 not held}, now}
local codes = {}
local AFTER = {died = S_DEAD, cancelled = S_CANCELLED, succeeded = S_SUCCEEDED}
local LETTERS = {died = 'F', cancelled = 'C', succeeded = 'K', released = 'G', retried = 'R',
  snoozed = 'Z'}
local gone, over, kept = {}, {}, {}

local function give_back(id, lane, static, move, delay, token, history, numbers)
  local at = TASK .. id
  local seq, priority = standing(static)
  if move == 'released' then
    enter_ready(id, lane, front(priority, seq))
  elseif delay > 0 then
    enter_scheduled(id, lane, now + delay)
  else -- due at once: two moves in one
    count('due')
    history = grown(history, 'd', token)
    enter_ready(id, lane, place(priority, next_order()))
  end
  local state = move ~= 'released' and delay > 0 and S_SCHEDULED or S_READY
  call('HSET', at, 's', state, 'z', token, 'h', history, 'e', numbers)
end

for n = 1, numeric() do
  local id, seq, token, move, numbers, outcome = arg(), arg(), arg(), arg(), arg(), arg()
  local has_result, result, delay = arg() == '1', arg(), numeric()
  local at = TASK .. id
  local task = call('HMGET', at, 's', 'f', 'o', 'n', 'h', 'k', 'v', 'p')
  if not task[3] or string.sub(task[3], 1, #seq + 1) ~= seq .. ' ' then
    codes[n] = 0
  elseif task[1] ~= S_RUNNING or task[2] ~= token then
    local before = call('HMGET', at, 'z', 'w')
    codes[n] = before[1] ~= token and 0 or before[2] == ME and 3 or 2
  else
    codes[n] = 1
    local lane = task[4]
    shift(running_in, lane, -1)
    maybe_empty[lane] = true
    gone[#gone + 1] = id
    count(move)
    local history = grown(task[5], LETTERS[move], token)
    local after = AFTER[move]
    if not after then
      give_back(id, lane, task[3], move, delay, token, history, numbers)
    else
      ended_any = true
      outcome = now_text .. ' ' .. outcome
      if after == S_DEAD then
        call('HDEL', at, 'c')
        call('HSET', at, 's', after, 'z', token, 'u', outcome, 'h', history, 'e', numbers)
        call('ZADD', DEAD_LETTERS, next_order(), id)
      else
        over[#over + 1] = id
        drop_payload(id, task[8])
        if has_result then
          call('HSET', at, 's', after, 'z', token, 'u', outcome, 'h', history, 'p', '', 'r', result)
          kept[#kept + 1] = id
        else
          call('HSET', at, 's', after, 'z', token, 'u', outcome, 'h', history, 'p', '')
        end
        if numbers ~= '' then call('HSET', at, 'e', numbers) end
      end
      if task[6] then free_key(lane, task[6]) end
      if task[7] then told(id, task[7]) end
    end
  end
end
if #gone > 0 then in_parts('ZREM', LEASED, gone) end
if #over > 0 then in_parts('ZADD', ENDED, over, now) end
if #kept > 0 and RETENTION < TOMBSTONE then in_parts('ZADD', KEPT, kept, now) end
finish()
return {codes, now_text}
