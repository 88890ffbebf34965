-- Tasks: records that are read once, changed in memory, and written together at the end.

-- What a record has where. SEQ is the number in order of acceptance; FENCE the deliveries; NUMBERS
-- "{failures} {losses} {interruptions} {snoozes} {errors as JSON}"; PAYLOAD false if it is long or
-- over; OUTCOME as JSON, UNSTORED once its result is kept no more; WAITERS openings that wait for
-- its end. False is nothing.
local STATE, FENCE, HISTORY, LANE, SEQ, PRIORITY, ACCEPTED, OPTIONS = 1, 2, 3, 4, 5, 6, 7, 8
local PAYLOAD, KEY, NUMBERS_, ASKED, HOLDER, WAITERS = 9, 10, 11, 12, 13, 14
local ENDED_AT, OUTCOME, RESULT, UNSTORED = 15, 16, 17, 18

-- The states are numbers, in the order of STATES in _stored.py.
local S_SCHEDULED, S_READY, S_RUNNING, S_DEAD, S_SUCCEEDED = 0, 1, 2, 3, 4
local S_CANCELLED, S_EXPIRED, S_PURGED = 5, 6, 8

local records, packs, changed, changed_ids = {}, {}, {}, {}

local function read_all(ids)
  local missing, keys = {}, {}
  for _, id in ipairs(ids) do
    if records[id] == nil then
      missing[#missing + 1] = id
      keys[#keys + 1] = TASK .. id
    end
  end
  for from = 1, #keys, 1000 do
    local last = math.min(from + 999, #keys)
    for n, packed in ipairs(call('MGET', unpack(keys, from, last))) do
      records[missing[from + n - 1]] = packed and cmsgpack.unpack(packed)
    end
  end
end

-- The record, or false.
local function read(id)
  local record = records[id]
  if record == nil then
    local packed = call('GET', TASK .. id)
    record = packed and cmsgpack.unpack(packed)
    records[id] = record
  end
  return record
end

local function change(id, record)
  records[id], packs[id] = record, nil
  if not changed[id] then
    changed[id] = true
    changed_ids[#changed_ids + 1] = id
  end
end

-- The record as bytes: what is stored, and what is answered. (No later change shows in it.)
local function pack(id)
  local packed = packs[id]
  if not packed then
    packed = cmsgpack.pack(records[id])
    packs[id] = packed
  end
  return packed
end

local function write_records()
  for from = 1, #changed_ids, 1000 do
    local parts = {}
    for n = from, math.min(from + 999, #changed_ids) do
      local id = changed_ids[n]
      local record = records[id]
      if record then
        parts[#parts + 1] = TASK .. id
        parts[#parts + 1] = pack(id)
      end
    end
    if #parts > 0 then call('MSET', unpack(parts)) end
  end
end

-- All that is known of a task: {id, record, the payload if it is long}. False if nothing is.
local function snapshot(id)
  local record = read(id)
  if not record then return false end
  return {id, pack(id), not record[PAYLOAD] and call('GET', PAYLOADS .. id)}
end

local function is_open(record)
  return record[STATE] < S_DEAD
end

local function drop_payload(id, record)
  if not record[PAYLOAD] then call('DEL', PAYLOADS .. id) end
  record[PAYLOAD] = false
end

-- History -----------------------------------------------------------------------------------------

-- One letter for each thing that happens, and the milliseconds since the first of them, which has
-- those since 1970; the fence, if there is one; the opening, where a task was started. As in
-- s1700000000000,T12.1.5f0c1e8a9b7d6c3e,K20.1
local MS = math.floor(now / 1000)
local HISTORY_KEPT = 1000

local function first_entry(letter)
  return string.format('%s%.0f', letter, MS)
end

local function add_entry(record, letter, opening)
  local history = record[HISTORY]
  local text = string.format('%s,%s%.0f.%d', history, letter, MS - string.sub(history, 2, 14),
    record[FENCE])
  if opening then text = text .. '.' .. opening end
  if #text > 2 * HISTORY_KEPT then
    local first = string.find(text, ',', 1, true)
    local cut = string.find(text, ',', #text - HISTORY_KEPT, true)
    text = string.sub(text, 1, first - 1) .. string.sub(text, cut)
  end
  record[HISTORY] = text
end

-- Who has settled the lease with this fence, as far as the history goes back: what its holder did is
-- written large.
local function settled_by(record, fence)
  if fence < 1 then return nil end -- none has, and it would be read as a pattern
  if not string.find(record[HISTORY] .. ',', ',[KRZGFC]%-?%d+%.' .. fence .. ',') then return nil end
  return string.match(record[HISTORY], ',T%-?%d+%.' .. fence .. '%.(%x+)')
end

-- What happened to a task, for those who are told: a move, when, the task after it.
local happened = {}
local function note(move, id, always)
  if OBSERVED or always then happened[#happened + 1] = {move, now_text, snapshot(id)} end
end
