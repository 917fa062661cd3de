"""Script: the code that Redis runs, and its arguments."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._codec.headers import HOUR_SECONDS
from digitalocean_projects._limiter.budget import LONGEST_JITTER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .limits import RedisLimits

# In ms: an hour, which the API may ask for, and the largest jitter.
LONGEST_PAUSE = math.ceil((HOUR_SECONDS + LONGEST_JITTER) * 1e3)

# Each API token has a sorted set, whose members are leases. The score of a lease is a time on the
# clock of Redis in µs: the latest at which the API can have counted its request. Two members are
# not leases:
#
# - The epoch, with the score +inf, is the time at which the set was created. If it changes, Redis
#   has lost the reports (it was restarted empty, flushed, or replaced by a replica that never had
#   the set). Then each worker again adds all its leases that still count, and uses no new lease
#   until all workers have had the time to do so. A set that has expired has a new epoch, too, but
#   then no worker has a lease to add.
# - The end of the pause after a response 429, if there is one, has the score -inf.
#
# Everything is in one key: while a slot is being moved, a node of a cluster that has only some of
# the keys of a command responds with TRYAGAIN.
SCRIPT = """
local leases = KEYS[1]
local worker, first = ARGV[1], tonumber(ARGV[2])
local wanted = {tonumber(ARGV[3]), tonumber(ARGV[4])}
local asked_pause, hold = ARGV[5] * 1000, tonumber(ARGV[6])
local span, life, windows = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function text(number)
  return string.format('%.0f', number)
end

redis.call('ZREMRANGEBYSCORE', leases, '(-inf', text(now - span))
local epoch = redis.call('ZRANGEBYSCORE', leases, 'inf', 'inf')[1]
if not epoch then
  epoch = text(now)
  redis.call('ZADD', leases, 'inf', epoch)
end
for i = 10 + 3 * windows, #ARGV, 2 do
  local lease, age = worker .. ':' .. ARGV[i], ARGV[i + 1]
  if age == '' then
    redis.call('ZREM', leases, lease)
  else
    redis.call('ZADD', leases, text(now - age), lease)
  end
end

local pause_ends = redis.call('ZRANGEBYSCORE', leases, '-inf', '-inf')[1] or now
local paused = math.max(pause_ends - now, 0)
if paused > 1000 * LONGEST then
  -- Redis' clock was set back.
  asked_pause, paused = math.max(asked_pause, 1000 * LONGEST), 0
end
if asked_pause > paused then
  paused = asked_pause
  redis.call('ZREMRANGEBYSCORE', leases, '-inf', '-inf')
  redis.call('ZADD', leases, '-inf', text(now + paused))
end
redis.call('PEXPIRE', leases, text(math.max(life, math.ceil(paused / 1000))))

local full, since, used = {{}, {}}, {}, {}
for w = 1, windows do
  local capacity = tonumber(ARGV[7 + 3 * w])
  full[1][w], full[2][w] = capacity, capacity - ARGV[8 + 3 * w]
  since[w] = now - ARGV[9 + 3 * w]
  used[w] = redis.call('ZCOUNT', leases, '(' .. text(since[w]), '(inf')
end
local granted = {0, 0}
for class = 1, 2 do
  local room = paused > 0 and 0 or wanted[class]
  for w = 1, windows do
    room = math.min(room, full[class][w] - used[w])
  end
  for _ = 1, room do
    redis.call('ZADD', leases, text(now + hold), worker .. ':' .. text(first))
    first = first + 1
    granted[class] = granted[class] + 1
  end
  for w = 1, windows do
    used[w] = used[w] + granted[class]
  end
end

local wait = {0, 0}
for class = 1, 2 do
  for w = 1, windows do
    local ahead = used[w] - full[class][w]
    if ahead >= 0 then
      local last = redis.call('ZRANGEBYSCORE', leases, '(' .. text(since[w]), '(inf',
        'WITHSCORES', 'LIMIT', ahead, 1)[2]
      -- Requests in flight can be settled now at the earliest.
      wait[class] = math.max(wait[class], math.min(last, now) - since[w])
    end
  end
end
return {tonumber(epoch), granted[1], granted[2], wait[1], wait[2], math.ceil(paused / 1000)}
""".replace("LONGEST", str(LONGEST_PAUSE))
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
# The epoch, two counts of leases, two waits in µs, and the rest of the pause in ms.
RESULTS = 6


@attrs.frozen(kw_only=True, eq=False)
class Message:
    """The reports and the request for leases in one call to Redis.

    Attributes:
        sent: The time of the call.
        worker: The worker that the numbers of the leases belong to.
        told: For each reported lease number, the latest time at which the API can have counted its
            request, or None if the lease is given back.
        numbers: The numbers of the requested leases.
        interactive: The number of requested leases that are not for bulk requests.
        pause: The end of the pause that Redis must pass on to the other workers.
    """

    sent: float
    worker: str
    told: Mapping[int, float | None]
    numbers: range
    interactive: int
    pause: float

    def arguments(self, constants: Sequence[int]) -> list[str | int]:
        """Return the script's arguments."""
        pause = math.ceil(max(0.0, self.pause - self.sent) * 1e3)
        wanted = self.interactive, len(self.numbers) - self.interactive
        arguments: list[str | int] = [self.worker, self.numbers.start, *wanted, pause, *constants]
        for number, counted in self.told.items():
            age = "" if counted is None else math.floor((self.sent - counted) * 1e6)
            arguments += number, age
        return arguments


def constants(limits: RedisLimits) -> list[int]:
    """Return the script's arguments that are the same in each call."""
    spans = [math.ceil((period + limits.margin) * 1e6) for _, period in limits.windows]
    life = math.ceil(max(spans) / 1e3 + max(limits.hold, limits.grace) * 1e3)
    values = [math.ceil(limits.hold * 1e6), max(spans), life, len(spans)]
    for (capacity, _), span in zip(limits.windows, spans, strict=True):
        values += capacity, min(limits.reserve, capacity - 1), span
    return values
