-- End leases, each if it is the current one. Arguments: how many; for each: id, number, token, move,
-- failures, interruptions, snoozes, errors or '', outcome, result flag, result, delay.
-- Answers: {{for each: 1 done, 2 done before by another opening, 3 by this one, 0 not held}, now}
local codes = {}
local succeeded_entry = 'succeeded ' .. stamp .. ' '
local AFTER = {died = S_DEAD, cancelled = S_CANCELLED, succeeded = S_SUCCEEDED}

local function set_or_drop(at, field, value)
  if value == '0' or value == '' then call('HDEL', at, field) else call('HSET', at, field, value) end
end

local function give_back(id, at, task, move, delay, token, history)
  local lane, priority = task[3], tonumber(task[5])
  if move == 'released' then
    call('HSET', at, 's', S_READY, 'z', token, 'h', history)
    enter_ready(id, lane, front(priority, tonumber(task[4])))
  elseif delay > 0 then
    call('HSET', at, 's', S_SCHEDULED, 'z', token, 'h', history)
    enter_scheduled(id, lane, now + delay)
  else -- due at once: two moves in one
    count('due')
    call('HSET', at, 's', S_READY, 'z', token, 'h', grown(history, entry('due', token)))
    enter_ready(id, lane, place(priority, next_order()))
  end
end

for n = 1, numeric() do
  local id, seq, token, move, failures, interruptions = arg(), arg(), arg(), arg(), arg(), arg()
  local snoozes, errors, outcome, has_result, result = arg(), arg(), arg(), arg() == '1', arg()
  local delay = numeric()
  local at = TASK .. id
  local task = call('HMGET', at, 's', 'f', 'n', 'q', 'y', 'h', 'k', 'v', 'z', 'w')
  if task[4] ~= seq then
    codes[n] = 0
  elseif task[1] ~= S_RUNNING or task[2] ~= token then
    codes[n] = task[9] ~= token and 0 or task[10] == ME and 3 or 2
  else
    codes[n] = 1
    local lane = task[3]
    leave_running(id, lane)
    count(move)
    local history = grown(task[6], entry(move, token, ME))
    local after = AFTER[move]
    if move ~= 'succeeded' then
      set_or_drop(at, 'b', failures)
      set_or_drop(at, 'i', interruptions)
      set_or_drop(at, 'x', snoozes)
      set_or_drop(at, 'g', errors)
    end
    if not after then
      give_back(id, at, task, move, delay, token, history)
    else
      call('HSET', at, 's', after, 'z', token, 't', now, 'u', outcome, 'h', history)
      if has_result then call('HSET', at, 'r', result) end
      if after == S_DEAD then
        call('HDEL', at, 'v', 'c')
        call('ZADD', DEAD_LETTERS, next_order(), id)
        if task[7] then call('DEL', P .. ':u:' .. queue_of(lane) .. US .. task[7]) end
        if task[8] then
          for opening in string.gmatch(task[8], '%S+') do send(opening, 'e ' .. id) end
        end
        ended_any = true
      else
        call('HDEL', at, 'p')
        ended(id, lane, task[7], task[8], has_result)
      end
    end
  end
end
finish()
return {codes, now_text}
