-- Accept each task, unless its id is known or its key is held; all of them or, without room, none.
-- Arguments: the call's number, the capacity or -1, whether to wait for room; how many tasks; for
-- each: id, lane, priority, delay, seconds to expiry or '', options, key flag, key, payload.
-- Answers: {what happened, 'full', now} or {what happened, {for each: number, or 0, task, id}, now}
local LONG = 512 -- bytes of a payload that gets a key of its own: a record is written at each move
local guard = P .. ':g:' .. ME .. ':' .. arg()
local capacity, wait_for_room, length = numeric(), arg() == '1', numeric()

local tasks, ids = {}, {}
for n = 1, length do
  local task = {id = arg(), lane = arg(), priority = numeric(), delay = numeric(), expires = arg(),
    options = arg(), key = optional(), payload = arg()}
  if task.key then task.holder = P .. ':u:' .. queue_of(task.lane) .. US .. task.key end
  tasks[n], ids[n] = task, task.id
end

local function is_there_already(task)
  return read(task.id) and task.id or task.holder and call('GET', task.holder)
end

-- The reply to this very publish was lost.
local before = call('GET', guard)
if before then
  local answers = {}
  for seq in string.gmatch(before, '%d+') do
    local task = tasks[#answers + 1]
    local known = seq == '0' and is_there_already(task)
    answers[#answers + 1] = known and {0, snapshot(known), known} or {tonumber(seq)}
  end
  return {{}, answers, now_text}
end

local function is_full()
  local fresh, number = {}, 0
  for _, task in ipairs(tasks) do
    local same = fresh[task.id] or task.holder and fresh[task.holder]
    if not same and not is_there_already(task) then
      number = number + 1
      fresh[task.id] = true
      if task.holder then fresh[task.holder] = true end
    end
  end
  local room = capacity - open_tasks() - number
  if number > 0 and room < 0 then return true end
  if room > 0 then call_one(SUBMITTERS, 'f') end
  return false
end

local function accept(task)
  local id, lane = task.id, task.lane
  local seq = next_order()
  local delayed = task.delay > 0
  local long = #task.payload > LONG
  if long then call('SET', PAYLOADS .. id, task.payload) end
  change(id, {delayed and S_SCHEDULED or S_READY, 0, first_entry(delayed and 'e' or 's'), lane, seq,
    task.priority, now, task.options, not long and task.payload, task.key or false, false, false,
    false, false, false, false, false, false, false})
  if task.holder then call('SET', task.holder, id) end
  if task.expires ~= '' then
    local at = now + tonumber(task.expires)
    call('ZADD', EXPIRING, at, id)
    if at < sooner then sooner = at end
  end
  if delayed then
    enter_scheduled(id, lane, now + task.delay)
    count('delayed')
  else
    enter_ready(id, lane, place(task.priority, seq))
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
local answers, seqs = {}, {}
for n, task in ipairs(tasks) do
  local known = is_there_already(task)
  seqs[n] = known and 0 or accept(task)
  answers[n] = known and {0, snapshot(known), known} or {seqs[n]}
end
finish()
call('SET', guard, table.concat(seqs, ','), 'PX', 120000)
return {happened, answers, now_text}
