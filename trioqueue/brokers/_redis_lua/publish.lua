-- Accept each task, unless its id is known or its key is held; all of them or, without room, none.
-- Arguments: the call's number, the capacity or -1, whether to wait for room; the tasks, packed: for
-- each {id, lane, priority, delay, time to expiry or -1, options, key or false}; and their payloads.
-- Answers: {what happened, 'full', now} or {what happened, {for each: its number, or the task that is
-- there already}, now}
local LONG = 512 -- bytes of a payload that gets a key of its own: a record is written at each move
local guard = P .. ':g:' .. ME .. ':' .. arg()
local capacity, wait_for_room = numeric(), arg() == '1'
local tasks = cmsgpack.unpack(arg())
local ID, LANE_, PRIORITY_, DELAY, EXPIRES, OPTIONS_, KEY_ = 1, 2, 3, 4, 5, 6, 7
local ids = {}
for n, task in ipairs(tasks) do ids[n] = task[ID] end

local function holder_of(task)
  return P .. ':u:' .. queue_of(task[LANE_]) .. US .. task[KEY_]
end

local function is_there_already(task)
  if read(task[ID]) then return task[ID] end
  local holder = task[KEY_] and call('GET', holder_of(task))
  return holder and read(holder) and holder
end

-- The reply to this very publish was lost.
local before = call('GET', guard)
if before then
  local answers = cmsgpack.unpack(before)
  for n, answer in ipairs(answers) do
    if type(answer) == 'string' then answers[n] = snapshot(answer) or 0 end
  end
  return {{}, answers, now_text}
end

local function is_full()
  local fresh, number = {}, 0
  for _, task in ipairs(tasks) do
    local holder = task[KEY_] and holder_of(task)
    local same = fresh[task[ID]] or holder and fresh[holder]
    if not same and not is_there_already(task) then
      number = number + 1
      fresh[task[ID]] = true
      if holder then fresh[holder] = true end
    end
  end
  local room = capacity - open_tasks() - number
  if number > 0 and room < 0 then return true end
  if room > 0 then call_one(SUBMITTERS, 'f') end
  return false
end

local function accept(task, payload)
  local id, lane, priority, delay, expires = unpack(task)
  local seq = next_order()
  local delayed = delay > 0
  local long = #payload > LONG
  if long then call('SET', PAYLOADS .. id, payload) end
  change(id, {delayed and S_SCHEDULED or S_READY, 0, first_entry(delayed and 'e' or 's'), lane, seq,
    priority, now, task[OPTIONS_], not long and payload, task[KEY_], false, false,
    false, false, false, false, false, false})
  if task[KEY_] then call('SET', holder_of(task), id) end
  if expires >= 0 then
    local at = now + expires
    call('ZADD', EXPIRING, at, id)
    if at < sooner then sooner = at end
  end
  if delayed then
    enter_scheduled(id, lane, now + delay)
    count('delayed')
  else
    enter_ready(id, lane, place(priority, seq))
    count('submitted')
  end
  return seq
end

tend()
read_all(ids)
if capacity >= 0 and is_full() then
  if wait_for_room then call('SADD', SUBMITTERS, ME) end
  finish()
  return {happened, 'full', now_text}
end
local answers, kept = {}, {} -- kept: of what was known, the id alone
for n, task in ipairs(tasks) do
  local known = is_there_already(task)
  kept[n] = known or accept(task, ARGV[argument + n])
  answers[n] = known and snapshot(known) or kept[n]
end
finish()
call('SET', guard, cmsgpack.pack(kept), 'PX', 120000)
return {happened, answers, now_text}
