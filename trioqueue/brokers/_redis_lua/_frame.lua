-- What every script begins with: the keys, the arguments, the time. Each script is one atomic step:
-- it works on records and sets in memory as far as it can, and `finish` writes what has changed,
-- counts it, and calls those who wait.
--
-- All keys begin with KEYS[1], which has the hash tag in it, so that they share a cluster slot:
--   :m          hash: version, counter, clock, paused, warden, warden_until, alarm, and n:{move}
--   :t:{id}     string: a task, see _records.lua     :b:{id}  string: its payload, if it is long
--   :r:{lane}   sorted set: ready tasks by place     :rl  set: lanes that have ready tasks
--   :d  :e  :l  sorted sets: scheduled by due, not started by expiry, running by the lease's end
--   :x          sorted set: dead letters by order of death
--   :o  :k      sorted sets: other ended tasks by when they are forgotten; those whose result is kept
--               for less long, by when that is dropped: as the opening that ended them keeps them
--   :u:{queue}US{key}   string: the id of the live task that holds the key
--   :n          hash: sUS{lane}, uUS{lane} (scheduled, running), tUS{type} (running)
--   :ln         set: lanes that have open tasks      :p   set: paused queues
--   :i:{queue}US{type}  set: who waits for ready tasks ('' is any)
--   :iw         hash: who waits -> where it stands in those
--   :dw  :rw    sets: openings that wait until nothing is open, or for room
--   :w  :ws     hash and sorted set: worker processes
--   :f:{opening}, :g:{opening}:{n}   strings: the last claim, a publish or cancel, to be answered again
-- A lane is {queue}US{type}, where US is the ASCII unit separator. Times are Unix time in
-- microseconds, which a double holds exactly.

local call = redis.call
local P = KEYS[1]
local META, TASK, PAYLOADS = P .. ':m', P .. ':t:', P .. ':b:'
local SCHEDULED, EXPIRING, LEASED = P .. ':d', P .. ':e', P .. ':l'
local DEAD_LETTERS, ENDED, KEPT = P .. ':x', P .. ':o', P .. ':k'
local NUMBERS, LANES, READY_LANES = P .. ':n', P .. ':ln', P .. ':rl'
local IDLE, STANDS, PAUSED = P .. ':iw', P .. ':i:', P .. ':p'
local DRAINERS, SUBMITTERS = P .. ':dw', P .. ':rw'
local US = '\31'

-- The first arguments are the same for all: see `Setting` in _redis_calls.py.
local ME = ARGV[2]
local LEASE, RETENTION, MAX_LOSSES = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local OBSERVED, PUBLISH, POLL = ARGV[6] == '1', ARGV[7], tonumber(ARGV[8])
local TOMBSTONE = tonumber(ARGV[9]) -- how long a task is known that ends here

local BATCH = 200 -- what time brings about is done in batches, so that nobody else waits long

local argument = 9
local function arg()
  argument = argument + 1
  return ARGV[argument]
end
local function numeric()
  return tonumber(arg())
end
-- A list is its length, then its parts; -1 is no list (all).
local function listed()
  local length = numeric()
  if length < 0 then return nil end
  local found = {}
  for n = 1, length do found[n] = arg() end
  return found
end
-- A flag, and a text that counts if the flag is 1.
local function optional()
  local given, text = arg() == '1', arg()
  return given and text or nil
end

-- A command with many members: Lua hands over some thousands of arguments at most. A score, if
-- there is one, goes before each of them.
local function in_parts(command, key, members, score)
  for from = 1, #members, 1000 do
    local parts = {}
    for n = from, math.min(from + 999, #members) do
      if score then parts[#parts + 1] = score end
      parts[#parts + 1] = members[n]
    end
    call(command, key, unpack(parts))
  end
end

-- Time --------------------------------------------------------------------------------------------

local meta = call('HMGET', META, 'counter', 'clock', 'paused', 'warden', 'warden_until', 'alarm')
local counter = tonumber(meta[1]) or 0
local first_counter = counter
local all_paused = meta[3] == '1'
local warden = meta[4]
-- Before this there is nothing that time could bring about. Not known: look.
local alarm = tonumber(meta[6]) or 0

local function server_time()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = call('TIME')
  return time[1] * 1e6 + time[2]
end

-- A clock that is set back a little stands still until it is right again. Set back far, it is
-- believed, and leases that would last for ever by it end within one lease.
local STEP_BACK = 60e6
local clock = server_time()
local now = clock
do
  local seen = tonumber(meta[2]) or 0
  if now < seen then
    if seen - now < STEP_BACK then
      now = seen
    else
      for _, id in ipairs(call('ZRANGEBYSCORE', LEASED, now + LEASE, '+inf')) do
        call('ZADD', LEASED, now + LEASE, id)
      end
      alarm = 0
      call('HSET', META, 'alarm', 0)
    end
  end
end
local now_text = string.format('%.0f', now)
