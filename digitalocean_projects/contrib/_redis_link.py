"""Link: what an event loop has with Redis."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import attrs

from digitalocean_projects._errors import APIError
from digitalocean_projects._request import one_line
from digitalocean_projects._secret import Secret

try:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError  # noqa: A004 - redis-py's
except ModuleNotFoundError as error:
    raise ImportError(
        "to share limits through Redis, install digitalocean_projects[redis]"
    ) from error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from redis.asyncio import Connection, ConnectionPool

    from digitalocean_projects._config import Limits

    Part = Callable[[], Callable[[asyncio.AbstractEventLoop], Awaitable[None]] | None]

_SOCKET_SECONDS = 1.0
_IDLE_SECONDS = 10.0

# A sorted set has the leases, each by the latest µs of Redis' clock at which the API can have
# counted its request, and one infinite member: the µs at which the set was begun.
_SCRIPT = """
local leases, pause = KEYS[1], KEYS[2]
local worker, first = ARGV[1], tonumber(ARGV[2])
local wanted = {tonumber(ARGV[3]), tonumber(ARGV[4])}
local asked_pause, hold = tonumber(ARGV[5]), tonumber(ARGV[6])
local span, life, windows = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function text(number)
  return string.format('%.0f', number)
end

redis.call('ZREMRANGEBYSCORE', leases, '-inf', text(now - span))
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
redis.call('PEXPIRE', leases, life)

local paused = math.max(redis.call('PTTL', pause), 0)
if asked_pause > paused then
  paused = asked_pause
  redis.call('SET', pause, '', 'PX', text(paused))
end

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
      -- Those under way could be settled now, at the soonest.
      wait[class] = math.max(wait[class], math.min(last, now) - since[w])
    end
  end
end
return {tonumber(epoch), granted[1], granted[2], wait[1], wait[2], paused}
"""


class RedisUnavailableError(APIError):
    """A request was not sent, since Redis can't be asked for the limits that are shared there.

    Attributes:
        reason: What is wrong with Redis.
    """

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(f"no limits from Redis: {reason}")
        self.reason = reason


@attrs.frozen(kw_only=True, eq=False)
class Message:
    """What Redis is told and asked in one call.

    Attributes:
        sent: When.
        worker: What the numbers of the leases belong to.
        told: By the leases' numbers, when the API has counted them at the latest; None if never.
        numbers: The numbers of the leases that it is asked for.
        interactive: How many of them are not for bulk work.
        pause: When a pause ends that it is told of.
    """

    sent: float
    worker: str
    told: Mapping[int, float | None]
    numbers: range
    interactive: int
    pause: float

    def arguments(self, constants: Sequence[int]) -> list[str | int]:
        """The script's arguments."""
        pause = math.ceil(max(0.0, self.pause - self.sent) * 1e3)
        wanted = self.interactive, len(self.numbers) - self.interactive
        arguments: list[str | int] = [self.worker, self.numbers.start, *wanted, pause, *constants]
        for number, counted in self.told.items():
            age = "" if counted is None else math.floor((self.sent - counted) * 1e6)
            arguments += number, age
        return arguments


def constants(limits: Limits, hold: float) -> list[int]:
    """The script's arguments that stay the same."""
    spans = [math.ceil((period + limits.margin) * 1e6) for _, period in limits.windows]
    life = math.ceil(max(spans) / 1e3 + max(hold, limits.grace) * 1e3)
    values = [math.ceil(hold * 1e6), max(spans), life, len(spans)]
    for (capacity, _), span in zip(limits.windows, spans, strict=True):
        values += capacity, min(limits.reserve, capacity - 1), span
    return values


class Link:
    """What the running loop has with Redis, until its end: a connection where there is need of one.

    One that nobody has used for a while is closed, as a service of many tokens has many links. One
    that is forgotten is closed by its loop.

    Args:
        url: Where Redis is.
        key: What the leases stand under.
        constants: The script's arguments that stay the same.
        part: What is called at the loop's end, while there is a connection still.

    Attributes:
        loop: The loop.
        busy: Whether it is in use, by a task.
        task: The last that has used it.
        parting: Whether the loop is about to end.
        fresh: Set with each new connection: it may be to a Redis that has forgotten things.
    """

    task: asyncio.Task[None]

    def __init__(self, url: str, key: str, constants: Sequence[int], part: Part) -> None:
        self.loop = asyncio.get_running_loop()
        self.busy = self.parting = self._works = False
        self.fresh = asyncio.Event()
        client = open_client(url, redis_connect_func=partial(_connected, self.fresh))
        self._pool: ConnectionPool = client.connection_pool
        self._password = Secret(self._pool.connection_kwargs.get("password") or "")
        self._script = client.register_script(_SCRIPT)
        self._idle: asyncio.TimerHandle | None = None
        self._keys = [key, f"{key}:pause"]
        self._constants = constants
        self._guard = _guard(client, part)
        with suppress(StopIteration):
            self._guard.__anext__().__await__().send(None)

    async def call(self, message: Message) -> list[int]:
        """What the script returns.

        Raises:
            RedisUnavailableError: Nothing, or an error.
        """
        if self._idle is not None:
            self._idle.cancel()
        worked, self._works = self._works, False
        arguments = message.arguments(self._constants)
        try:
            try:
                answer = await self._script(keys=self._keys, args=arguments)
            except ConnectionError:
                # Redis may have closed an idle connection, or been restarted.
                if not worked:
                    raise
                for number in message.numbers:
                    arguments += number, ""
                answer = await self._script(keys=self._keys, args=arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, Redis is of no use
            reason = one_line(f"{type(error).__name__}: {error}", self._password)
        else:
            self._works = True
            return cast("list[int]", answer)
        finally:
            self._idle = self.loop.call_later(_IDLE_SECONDS, _hang_up, self._pool)
        raise RedisUnavailableError(reason)


def open_client(url: str, **options: Any) -> Redis:
    """Return a client that notices soon whether Redis is there, and doesn't retry."""
    return Redis.from_url(
        str(url),
        protocol=2,
        socket_timeout=_SOCKET_SECONDS,
        socket_connect_timeout=_SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),
        **options,
    )


async def _connected(fresh: asyncio.Event, connection: Connection) -> None:
    await connection.on_connect()
    fresh.set()


def _hang_up(pool: ConnectionPool) -> None:
    task = asyncio.get_running_loop().create_task(pool.disconnect(inuse_connections=False))
    _hanging_up.add(task)
    task.add_done_callback(_hanging_up.discard)


# A loop by itself doesn't keep its tasks.
_hanging_up: set[asyncio.Task[None]] = set()


async def _guard(client: Redis, part: Part) -> AsyncGenerator[None, None]:
    """Close the client when the generator is closed, as a loop does at its end."""
    pid = os.getpid()
    try:
        yield
    finally:
        if pid == os.getpid():
            function = part()
            if function is not None:
                await function(asyncio.get_running_loop())
            with suppress(Exception):
                await client.aclose()
