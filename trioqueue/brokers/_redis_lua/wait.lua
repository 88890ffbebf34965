-- Whether a claim for these would bring something; if not, whoever asks is called once it may.
-- Arguments: the number of the one who waits, among those of this opening; types: a list or -1 for
-- all; queues: a list or -1; limits of the whole fleet: how many; for each: type, limit.
-- Answers: {what happened, 1 or 0, now, next alarm}
local who = ME .. '/' .. arg()
local kinds, only = listed(), listed()
local wanted, allowed, limit = {}, {}, {}
for _, kind in ipairs(kinds or {}) do wanted[kind] = true end
for _, queue in ipairs(only or {}) do allowed[queue] = true end
for _ = 1, numeric() do
  local kind = arg()
  limit[kind] = numeric()
end

leave_idle(who)
tend()

local function is_claimable(lane)
  local kind = type_of(lane)
  if kinds and not wanted[kind] then return false end
  if only and not allowed[queue_of(lane)] then return false end
  if is_paused(lane) or call('EXISTS', ready_key(lane)) == 0 then return false end
  return not limit[kind] or running_of(kind) < limit[kind]
end

local function is_any_claimable()
  for lane in pairs(made_ready) do
    if is_claimable(lane) then return true end
  end
  for _, lane in ipairs(call('SMEMBERS', READY_LANES)) do
    if is_claimable(lane) then return true end
  end
  return false
end

local function stand_idle()
  local stands = {}
  for _, queue in ipairs(only or {''}) do
    for _, kind in ipairs(kinds or {''}) do stands[#stands + 1] = queue .. US .. kind end
  end
  for _, stand in ipairs(stands) do call('SADD', STANDS .. stand, who) end
  if #stands > 0 then call('HSET', IDLE, who, table.concat(stands, '\30')) end
end

local found = is_any_claimable()
local next_look = next_alarm()
finish()
if not found then stand_idle() end
return {happened, found and 1 or 0, now_text, next_look}
