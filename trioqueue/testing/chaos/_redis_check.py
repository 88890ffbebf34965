"""Whether a queue on a Redis server is whole after all of its tasks have ended: what is left over.

By its keys alone, as they are listed in ``_frame.lua``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from ... import RemoteBroker
from ...brokers._redis_line import Script
from ._through import Through

if TYPE_CHECKING:
    from ...brokers._redis import RedisBroker

_LEFT_OVER: Final = Script(
    "left over",
    rb"""
local P, US = KEYS[1], '\31'
local wrong = {}
local function check(right, what)
  if not right and #wrong < 20 then wrong[#wrong + 1] = what end
end
local function keys(pattern)
  return redis.call('KEYS', P .. pattern)
end

-- Of open tasks nothing is left: no place, no number, no key that keeps others out.
for _, name in ipairs({':d', ':e', ':l', ':rl', ':ln', ':n'}) do
  check(redis.call('EXISTS', P .. name) == 0, name .. ' is there, and no task is open')
end
for _, pattern in ipairs({':r:*', ':u:*'}) do
  for _, key in ipairs(keys(pattern)) do check(false, key .. ' is there, and no task is open') end
end

-- Every task is in exactly one of the places for those that have ended.
local dead, ended = redis.call('ZCARD', P .. ':x'), redis.call('ZCARD', P .. ':o')
local tasks = #keys(':t:*')
check(tasks == dead + ended, tasks .. ' tasks, but ' .. dead .. ' dead and ' .. ended .. ' ended')
for _, name in ipairs({':x', ':o'}) do
  for _, id in ipairs(redis.call('ZRANGE', P .. name, 0, -1)) do
    check(redis.call('EXISTS', P .. ':t:' .. id) == 1, id .. ' is in ' .. name .. ' alone')
  end
end
for _, id in ipairs(redis.call('ZRANGE', P .. ':x', 0, -1)) do
  check(not redis.call('ZSCORE', P .. ':o', id), id .. ' is dead, and has ended')
end
for _, id in ipairs(redis.call('ZRANGE', P .. ':k', 0, -1)) do
  check(redis.call('ZSCORE', P .. ':o', id), id .. ' has a result, and has not ended')
end
-- Only dead letters keep their payload.
for _, key in ipairs(keys(':b:*')) do
  local id = string.sub(key, #P + 4)
  check(redis.call('ZSCORE', P .. ':x', id), id .. ' has ended, and has a payload')
end

-- Who waits stands where it is said to stand.
local stands = 0
for _, line in ipairs(redis.call('HVALS', P .. ':iw')) do
  for _ in string.gmatch(line, '[^\30]+') do stands = stands + 1 end
end
local found = 0
for _, key in ipairs(keys(':i:*')) do found = found + redis.call('SCARD', key) end
check(stands == found, stands .. ' stands of those who wait, and ' .. found .. ' in them')

-- Answers that are kept for a repeat go by themselves.
for _, pattern in ipairs({':f:*', ':g:*'}) do
  for _, key in ipairs(keys(pattern)) do
    check(redis.call('PTTL', key) > 0, key .. ' stays for ever')
  end
end
return wrong
""",
)


async def check_redis(broker: RemoteBroker) -> str:
    """What is wrong, in words; nothing if all is as it should. Raises as the broker's calls do."""
    inner: object = broker
    while isinstance(inner, Through):
        inner = inner.inner
    found = await cast("RedisBroker", inner)._line.run(_LEFT_OVER, ())
    return "; ".join(each.decode() for each in found)
