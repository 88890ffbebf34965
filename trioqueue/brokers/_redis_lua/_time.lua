-- What time brings about, and who looks.

local function for_each_due(key, act)
  local ids = call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, BATCH)
  read_all(ids)
  for _, id in ipairs(ids) do
    local record = records[id]
    if record then
      act(id, record)
    else
      call('ZREM', key, id)
      if key == SCHEDULED or key == LEASED then vanish(id) end
    end
  end
end

local function expire(id, record)
  end_waiting(id, record, 'x', 'expired', S_EXPIRED)
end

local function become_due(id, record)
  leave_scheduled(id, record[LANE])
  record[STATE] = S_READY
  add_entry(record, 'd')
  enter_ready(id, record[LANE], place(record[PRIORITY], next_order()))
  change(id, record)
  count('due')
  note('due', id)
end

local function forget(id)
  call('DEL', TASK .. id)
  call('ZREM', ENDED, id)
  call('ZREM', KEPT, id)
  change(id, false)
end

local function drop_result(id, record)
  call('ZREM', KEPT, id)
  record[RESULT], record[UNSTORED] = false, 1
  change(id, record)
end

local function first_score(key)
  return tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or math.huge
end

local function first_alarm()
  return math.min(first_score(EXPIRING), first_score(SCHEDULED), first_score(LEASED),
    first_score(ENDED), first_score(KEPT))
end

local function tend()
  if now < alarm then return end
  for_each_due(EXPIRING, expire)
  for_each_due(SCHEDULED, become_due)
  for_each_due(LEASED, lose)
  for_each_due(KEPT, drop_result)
  for_each_due(ENDED, forget)
  write_ready()
  alarm = first_alarm()
  alarm_changed = true
end

-- The time of the next thing to do, in microseconds from now (by the clock, which may have to go there
-- while `now` stands still); -1 is never. One opening, the warden,
-- watches the clock for all; the others look now and then whether it is still there.
local function next_alarm()
  local at = math.min(alarm, sooner)
  local never = at == math.huge
  local watches_until = tonumber(meta[5]) or 0
  if warden and warden ~= ME and watches_until > now and is_there(warden) then
    return never and '-1' or string.format('%.0f', math.max(at, watches_until) - clock + 1000)
  end
  if warden ~= ME or watches_until < now + POLL then
    warden = ME
    call('HSET', META, 'warden', ME, 'warden_until', now + 2 * POLL)
  end
  knows_alarm = true -- by the answer to this very script
  return never and '-1' or string.format('%.0f', math.max(0, at - clock))
end
