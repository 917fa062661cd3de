"""The connections of an event loop to Redis, and the links of buckets that share them."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Literal, cast
from weakref import WeakSet, WeakValueDictionary

import attrs

from digitalocean_projects._messages import Secret, one_line
from digitalocean_projects.contrib._redis_errors import RedisLimitsError, RedisUnavailableError

from .script import RESULTS, SCRIPT

try:
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import (
        ClusterDownError,
        ConnectionError,  # noqa: A004 - redis-py's
        OutOfMemoryError,
        ReadOnlyError,
        RedisError,
        ResponseError,
        TimeoutError,  # noqa: A004 - redis-py's
        TryAgainError,
    )
except ModuleNotFoundError as error:
    raise ImportError(
        "to share limits through Redis, install digitalocean_projects[redis]"
    ) from error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from redis.asyncio import Connection

    from .script import Message

    Part = Callable[[], Callable[[asyncio.AbstractEventLoop], Awaitable[None]] | None]

_logger = logging.getLogger("digitalocean_projects")

SECONDS_BETWEEN_LOOKS = 5.0
_MOST_CONNECTIONS = 8
Policy = Literal["share", "fail", "open"]

_SOCKET_SECONDS = 1.0
_IDLE_SECONDS = 10.0
# Bounds of the log's records about keys that Redis refuses.
_SECONDS_BETWEEN_RECORDS = 3600.0
_MOST_RECORDS = 100

# These say that the server can't be reached, or serves no writes for now. ConnectionError includes
# a failed login, which comes with a change of the password or of the master.
_AWAY = (
    ConnectionError,
    TimeoutError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
# Of the same kind, but without a class of their own; before Redis 7 the error of a command in a
# script stands behind the place in the script.
_AWAY_CODES = re.compile(
    "(?:^|: -)(?:BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY) ", re.ASCII
)


class Link:
    """The use that a bucket makes of Redis in the running loop, until the loop ends.

    Args:
        url: The URL of Redis.
        key: The key of the leases.
        constants: The script's arguments that stay the same.
        policy: What the bucket does while Redis is away.
        part: Called at the loop's end, while there are connections still.

    Attributes:
        loop: The loop.
        busy: Whether a task uses it.
        task: The last task that has used it.
        parting: Whether the loop is about to end.
    """

    task: asyncio.Task[None]

    def __init__(
        self, url: str, key: str, constants: Sequence[int], policy: Policy, part: Part
    ) -> None:
        self._connections = Connections.of_loop(url)
        self.loop = self._connections.loop
        self.busy = self.parting = False
        self.part = part
        self._keys = [key, f"{key}:pause"]
        self._constants = constants
        self._policy = policy
        self._made = 0
        self._connections.links.add(self)

    async def call(self, message: Message) -> list[int]:
        """Return what the script returns.

        Raises:
            RedisUnavailableError: Redis is away.
            RedisLimitsError: Redis refuses the call, or redis-py fails.
        """
        return await self._connections.call(self._keys, message, self._constants, self._policy)

    def is_fresh(self) -> bool:
        """Return whether there was a new connection since the last time.

        It may be to a Redis that has forgotten things.
        """
        before, self._made = self._made, self._connections.made
        return before != self._made


@attrs.define(eq=False)
class _Server:
    """A Redis whose changes of state this process logs once, not for each token and loop.

    Attributes:
        state: Its last known state.
        refusals: The keys and reasons of the refusals that were logged, and when.
    """

    state: Literal["", "away", "broken"] = ""
    refusals: dict[tuple[str, str], float] = attrs.field(factory=dict)

    def lose(self, reason: str, policy: Policy) -> None:
        if self.state != "away":
            self.state = "away"
            fields = {"do_policy": policy, "do_reason": reason}
            record = "Redis is away, limits are not shared (%(do_policy)s): %(do_reason)s"
            _logger.warning(record, fields, extra=fields)

    def fail(self, reason: str) -> None:
        if self.state != "broken":
            self.state = "broken"
            fields = {"do_reason": reason}
            record = "Redis can't be asked for the limits, requests fail: %(do_reason)s"
            _logger.error(record, fields, extra=fields)

    def refuse(self, key: str, reason: str) -> None:
        """Log the refusal of a key at most once an hour for each reason, and 100 an hour in all."""
        now = time.monotonic()
        for refusal, at in list(self.refusals.items()):
            if now - at >= _SECONDS_BETWEEN_RECORDS:
                self.refusals.pop(refusal, None)
        if (key, reason) not in self.refusals and len(self.refusals) < _MOST_RECORDS:
            self.refusals[key, reason] = now
            fields = {"do_key": key, "do_reason": reason}
            record = "Redis refuses %(do_key)s, its requests fail: %(do_reason)s"
            _logger.error(record, fields, extra=fields)

    def find(self) -> None:
        if self.state:
            self.state = ""
            _logger.info("Redis is back, limits are shared again")


class Connections:
    """The connections of the running loop to one Redis, which the links of all buckets share.

    There are few of them. They are closed when nobody has used them for a while, when the last
    link is dropped, and when the loop ends.

    While Redis is away one call at a time finds out whether it is back, at intervals. The others
    wait for what that finds, or fail at once.

    Args:
        url: The URL of Redis.

    Attributes:
        loop: The loop.
        links: The links that use them.
    """

    def __init__(self, url: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.links: WeakSet[Link] = WeakSet()
        client = open_client(url)
        self._pool = cast("_Pool", client.connection_pool)
        self._password = Secret(self._pool.connection_kwargs.get("password") or "")
        self._script = client.register_script(SCRIPT)
        # Not the pool's own limit: who waits there doesn't notice that Redis is away.
        self._places = asyncio.Semaphore(min(_MOST_CONNECTIONS, self._pool.max_connections))
        self._probing = asyncio.Lock()
        self._server = _servers.setdefault((os.getpid(), url), _Server())
        self._works = False
        self._away = ""
        self._look_at = -math.inf
        self._idle: asyncio.TimerHandle | None = None
        self._guard = _guard(client, self.links)
        with suppress(StopIteration):
            self._guard.__anext__().__await__().send(None)

    @staticmethod
    def of_loop(url: str) -> Connections:
        """Return those of the running loop; a forked process has its own."""
        key = os.getpid(), asyncio.get_running_loop(), url
        connections = _all_connections.get(key)
        if connections is None:
            connections = _all_connections[key] = Connections(url)
        return connections

    @property
    def made(self) -> int:
        """The number of connections that were made until now."""
        return self._pool.made

    async def call(
        self, keys: list[str], message: Message, constants: Sequence[int], policy: Policy
    ) -> list[int]:
        """Return what the script returns.

        Raises:
            RedisUnavailableError: Redis is away.
            RedisLimitsError: Redis refuses the call, or redis-py fails.
        """
        async with self._places, self._probing if self._away else nullcontext():
            if self._away and self.loop.time() < self._look_at:
                raise RedisUnavailableError(self._away)
            # What was sent before Redis went away says nothing of whether it is back.
            probes = bool(self._away)
            try:
                answer = await self._ask(keys, message, message.arguments(constants))
            except Exception as error:  # noqa: BLE001 - redis-py's tree, and any fault of its own
                is_away, fault = _is_away(error), _fault(error)
                is_reply = isinstance(error, ResponseError)
                reason = one_line(f"{type(fault).__name__}: {fault}", self._password)
            else:
                self._works = True
                if probes or not self._away:
                    self._away = ""
                    self._server.find()
                return answer
            finally:
                if self._idle is not None:
                    self._idle.cancel()
                self._idle = self.loop.call_later(_IDLE_SECONDS, _hang_up, self._pool)
            if is_reply and not is_away:
                # It is about this key or command. The connection and other keys are not affected.
                if probes:
                    self._away = ""
                self._server.refuse(one_line(keys[0]), reason)
                raise RedisLimitsError(reason)
            self._works = False
            if is_away:
                self._away, self._look_at = reason, self.loop.time() + SECONDS_BETWEEN_LOOKS
                self._server.lose(reason, policy)
                raise RedisUnavailableError(reason)
            self._away = ""
            self._server.fail(reason)
            # redis-py keeps a connection that an unexpected error has left without its login.
            with suppress(Exception):
                await self._pool.disconnect(inuse_connections=False)
            raise RedisLimitsError(reason)

    async def _ask(
        self, keys: list[str], message: Message, arguments: list[str | int]
    ) -> list[int]:
        worked = self._works
        try:
            answer = await self._script(keys=keys, args=arguments)
        except ConnectionError:
            # Redis may have closed an idle connection, or been restarted.
            if not worked:
                raise
            for number in message.numbers:
                arguments += number, ""
            answer = await self._script(keys=keys, args=arguments)
        if not (isinstance(answer, list) and [int] * RESULTS == list(map(type, answer))):
            raise TypeError(f"the script must return {RESULTS} integers, got {answer!r}")
        return answer


def _is_away(error: Exception) -> bool:
    """Return whether an error says that Redis can't be reached, or serves no writes for now."""
    if isinstance(error, ResponseError) and _AWAY_CODES.search(str(error)):
        return True
    return isinstance(error, _AWAY) and _fault(error) is error


def _fault(error: Exception) -> BaseException:
    """Return what went wrong: redis-py makes a ConnectionError of any error while it connects."""
    cause = error.__cause__
    return error if cause is None or isinstance(cause, (OSError, EOFError, RedisError)) else cause


class _Pool(ConnectionPool):
    """A pool that counts the connections that it has made.

    Not by `redis_connect_func`, since redis-py then calls what Python 3.14 deprecates.
    """

    made = 0

    def make_connection(self) -> Connection:
        connection: Connection = super().make_connection()  # type: ignore[no-untyped-call]  # redis-py's
        connection.register_connect_callback(self._count)  # type: ignore[no-untyped-call]  # as that
        return connection

    def _count(self, _: Connection) -> None:
        self.made += 1


def open_client(url: str) -> Redis:
    """Return a client that notices soon whether Redis is there, and doesn't retry."""
    pool = _Pool.from_url(
        str(url),
        protocol=2,
        socket_timeout=_SOCKET_SECONDS,
        socket_connect_timeout=_SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def _hang_up(pool: ConnectionPool) -> None:
    task = asyncio.get_running_loop().create_task(pool.disconnect(inuse_connections=False))
    _hanging_up.add(task)
    task.add_done_callback(_hanging_up.discard)


async def _guard(client: Redis, links: WeakSet[Link]) -> AsyncGenerator[None, None]:
    """Close the client when the generator is closed, as a loop does at its end."""
    pid = os.getpid()
    try:
        yield
    finally:
        if pid == os.getpid():
            loop = asyncio.get_running_loop()
            parts = [part(loop) for link in links if (part := link.part()) is not None]
            try:
                await asyncio.gather(*parts)
            finally:
                with suppress(Exception):
                    await client.aclose()


# A loop by itself doesn't keep its tasks.
_hanging_up: set[asyncio.Task[None]] = set()
_all_connections: WeakValueDictionary[tuple[int, asyncio.AbstractEventLoop, str], Connections] = (
    WeakValueDictionary()
)
_servers: WeakValueDictionary[tuple[int, str], _Server] = WeakValueDictionary()
