-- Accept each task, unless its id is known or its key is held; all of them or, without room, none.
-- Arguments: the call's number, the capacity or -1, whether to wait for room; how many tasks; for
-- each: id, lane, priority, delay, seconds to expiry or '', options, key flag, key, payload.
-- Answers: {'full'} or {what happened, {for each: number or 0, snapshot}, now}
local guard = P .. ':g:' .. ME .. ':' .. arg()
local capacity, wait_for_room, length = numeric(), arg() == '1', numeric()

local function open_tasks()
  local found = call('HMGET', META, 'n:submitted', 'n:delayed', 'n:replayed', 'n:succeeded', 'n:died',
    'n:cancelled', 'n:expired')
  local open = 0
  for n = 1, 7 do open = open + (n <= 3 and 1 or -1) * (tonumber(found[n]) or 0) end
  return open
end

local before = call('GET', guard)
if before then
  local answers, n = {}, 0
  for seq in string.gmatch(before, '%d+') do
    n = n + 1
    answers[n] = seq ~= '0' and {seq} or {'0', snapshot(ARGV[argument + 9 * n - 8]), ARGV[argument + 9 * n - 8]}
  end
  return {{}, answers, now_text}
end

tend()

if capacity >= 0 then
  local fresh = {}
  local number = 0
  for n = 0, length - 1 do
    local base = argument + 9 * n
    local id, lane = ARGV[base + 1], ARGV[base + 2]
    local holder = ARGV[base + 7] == '1' and queue_of(lane) .. US .. ARGV[base + 8]
    if not fresh[id] and not (holder and fresh[US .. holder]) and call('EXISTS', TASK .. id) == 0
      and not (holder and call('EXISTS', P .. ':u:' .. holder) == 1) then
      number = number + 1
      fresh[id] = true
      if holder then fresh[US .. holder] = true end
    end
  end
  -- What this very call has done to the numbers is not written yet.
  local open = open_tasks() - (moves['expired'] or 0) - (moves['died'] or 0)
  if number > 0 and open + number > capacity then
    if wait_for_room then call('SADD', P .. ':rw', ME) end
    finish()
    return {happened, 'full', now_text}
  end
  if open + number < capacity then call_one(P .. ':rw', 'f') end
end

local SHORT = 64 -- bytes of a payload that is kept in the hash
local answers, seqs, places = {}, {}, {}
for n = 1, length do
  local id, lane, priority, delay, expires = arg(), arg(), numeric(), numeric(), arg()
  local options, has_key, key, payload = arg(), arg() == '1', arg(), arg()
  local at = TASK .. id
  local holder = has_key and P .. ':u:' .. queue_of(lane) .. US .. key
  local known = call('EXISTS', at) == 1 and id or (holder and call('GET', holder))
  if known then
    answers[n] = {'0', snapshot(known), known}
    seqs[n] = 0
  else
    local seq = next_order()
    local static = string.format('%.0f %d %s %s', seq, priority, now_text, options)
    local state, letter = S_READY, 's'
    if delay > 0 then state, letter = S_SCHEDULED, 'e' end
    if #payload > SHORT then
      call('SET', P .. ':b:' .. id, payload)
      call('HSET', at, 's', state, 'f', 0, 'h', first_entry(letter), 'n', lane, 'o', static)
    else
      call('HSET', at, 's', state, 'f', 0, 'h', first_entry(letter), 'n', lane, 'o', static,
        'p', payload)
    end
    if has_key then
      call('HSET', at, 'k', key)
      call('SET', holder, id)
    end
    if expires ~= '' then
      local when = now + tonumber(expires)
      call('ZADD', EXPIRING, when, id)
      if when < sooner then sooner = when end
    end
    if delay > 0 then
      enter_scheduled(id, lane, now + delay)
      count('delayed')
    else
      enter_ready(id, lane, place(priority, seq))
      count('submitted')
    end
    answers[n] = {string.format('%.0f', seq)}
    seqs[n] = answers[n][1]
  end
end
finish()
call('SET', guard, table.concat(seqs, ','), 'PX', 120000)
return {happened, answers, now_text}
