-- The end of every script that writes.

local function add_to_lanes(numbers, letter, touched)
  for lane, difference in pairs(numbers) do
    local field = letter .. US .. lane
    if difference ~= 0 and call('HINCRBY', NUMBERS, field, difference) <= 0 then
      call('HDEL', NUMBERS, field)
    end
    touched[lane] = true
  end
end

local function write_numbers()
  local touched, types = {}, {}
  for lane, difference in pairs(running_in) do shift(types, type_of(lane), difference) end
  add_to_lanes(scheduled_in, 's', touched)
  add_to_lanes(running_in, 'u', touched)
  add_to_lanes(types, 't', {})
  for lane in pairs(made_ready) do touched[lane] = true end
  for lane in pairs(touched) do call('SADD', LANES, lane) end
  for move, number in pairs(moves) do call('HINCRBY', META, 'n:' .. move, number) end
  call('HSET', META, 'clock', now)
  if counter ~= first_counter then call('HSET', META, 'counter', counter, 'version', 1) end
end

-- Whether a lane has no open task any more.
local function drop_if_empty(lane)
  if call('EXISTS', ready_key(lane)) == 1 then return false end
  call('SREM', READY_LANES, lane)
  local open = call('HMGET', NUMBERS, 's' .. US .. lane, 'u' .. US .. lane)
  if open[1] or open[2] then return false end
  call('SREM', LANES, lane)
  return true
end

-- Call those who wait for ready tasks.
local function wake_idle(anybody)
  for lane in pairs(made_ready) do
    if call('EXISTS', ready_key(lane)) == 1 then
      call('SADD', READY_LANES, lane)
      if anybody and not is_paused(lane) then wake(lane) end
    end
  end
  if not anybody then return end
  -- Where leases have ended, a type that was full in the whole fleet may have room now.
  local freed, some = {}, false
  for lane, difference in pairs(running_in) do
    if difference < 0 then freed[type_of(lane)], some = true, true end
  end
  if not some then return end
  for _, lane in ipairs(call('SMEMBERS', READY_LANES)) do
    if freed[type_of(lane)] and not made_ready[lane] and not is_paused(lane) then wake(lane) end
  end
end

local function finish()
  write_ready()
  write_records()
  write_numbers()
  local emptied = false
  for lane in pairs(maybe_empty) do emptied = drop_if_empty(lane) or emptied end
  wake_idle(call('EXISTS', IDLE) == 1)
  if emptied or operated or next(made_ready) or next(scheduled_in) then call_all(DRAINERS, 'd') end
  if freed_room then call_one(SUBMITTERS, 'f') end
  if sooner < alarm then
    alarm, alarm_changed = sooner, true
    if warden and not knows_alarm then send(warden, 'a') end
  end
  if alarm_changed then call('HSET', META, 'alarm', string.format('%.0f', math.min(alarm, 2 ^ 53))) end
end
