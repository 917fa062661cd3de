"""Connections: those of an event loop to one server, and the calls of the script on them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import attrs
from redis.asyncio import Redis
from redis.exceptions import (
    AskError,
    ConnectionError,  # noqa: A004 - redis-py's
    NoScriptError,
    ResponseError,
)

from digitalocean_projects._messages import one_line, redacted

from .errors import RedisLimitsError, RedisUnavailableError
from .script import RESULTS, SCRIPT, SHA
from .server import fault, means_away

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterator

    from .location import Address, Location, Pool
    from .server import Policy, Server

_MOST_CONNECTIONS = 8
_IDLE_SECONDS = 10.0


@attrs.define(kw_only=True, eq=False)
class Call:
    """A call of the script.

    Attributes:
        key: The key of the leases.
        numbers: The numbers of the requested leases.
        arguments: The script's arguments.
        policy: The bucket's policy while Redis is unavailable.
        asking: True if the slot of the key is moving to the node that is called.
    """

    key: str
    numbers: range
    arguments: list[str | int]
    policy: Policy
    asking: bool = False


class Connections:
    """The connections of the running loop to one server, eight at most.

    They are closed after ten idle seconds, and after a failure.

    While the server is unavailable, one call every five seconds tries it again. The other calls of
    this loop wait for its result while it runs, and otherwise fail at once.

    Args:
        location: The place of Redis.
        address: The address of a node of a cluster, or None.
        server: The process's knowledge of the server.

    Attributes:
        server: The process's knowledge of the server.
    """

    def __init__(self, location: Location, address: Address | None, server: Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool: Pool = location.pool(address)
        self._client = Redis.from_pool(self._pool)
        self._secrets = location.secrets
        self._redirects = location.kind == "cluster"
        # The pool's own limit isn't used: a call that waits there wouldn't notice that Redis has
        # become unavailable.
        self._places = asyncio.Semaphore(min(_MOST_CONNECTIONS, self._pool.max_connections))
        self._probing = asyncio.Lock()
        self.server = server
        self._works = False
        self._idle: asyncio.TimerHandle | None = None

    @property
    def made(self) -> int:
        """The number of connections that were made until now."""
        return self._pool.made

    async def call(self, call: Call) -> list[int] | AskError:
        """Return the script's result, or the redirection to another node of the cluster.

        Raises:
            RedisUnavailableError: The server is unavailable.
            RedisLimitsError: The server refuses the call, or redis-py fails.
        """
        server = self.server
        async with self._places, self._probing if server.is_away else nullcontext():
            if reason := server.rests():
                raise RedisUnavailableError(reason)
            # A call that began before the outage may succeed, which doesn't show that it is over.
            probes = server.is_away
            try:
                with end_if_collected(self._loop):
                    answer = await self._ask(call)
            except Exception as error:  # noqa: BLE001 - redis-py's tree, and any fault of its own
                failure = error
            else:
                self._works = True
                if probes or not server.is_away:
                    server.find()
                return answer
            finally:
                self._close_later()
            raise await self._give_up(call, failure, probes=probes)

    async def slots(self) -> Any:
        """Return the node's answer to CLUSTER SLOTS."""
        with end_if_collected(self._loop):
            async with self._places:
                try:
                    return await self._send("CLUSTER", "SLOTS", asking=False)
                finally:
                    self._close_later()

    def reason(self, error: Exception) -> str:
        """Return the cause of an error as text without secrets."""
        culprit = fault(error)
        return one_line(redacted(f"{type(culprit).__name__}: {culprit}", *self._secrets))

    async def aclose(self) -> None:
        """Close the connections."""
        with suppress(Exception):
            await self._client.aclose()

    async def _give_up(self, call: Call, failure: Exception, *, probes: bool) -> RedisLimitsError:
        """Record what a failure shows about the server, and return the error for the caller."""
        reason, is_away = self.reason(failure), means_away(failure)
        if isinstance(failure, ResponseError) and not is_away:
            # The failure concerns only this key or command, not the connection or other keys.
            if probes:
                self.server.find()
            self.server.refuse(one_line(call.key), reason)
            return RedisLimitsError(reason)
        self._works = False
        if is_away:
            self.server.lose(reason, call.policy)
        else:
            self.server.fail(reason)
        # redis-py keeps a connection whose login an unexpected error has interrupted. In addition,
        # the name of the server, or the sentinels, may lead to another server by now.
        with suppress(Exception):
            await self._pool.disconnect(inuse_connections=False)
        return RedisUnavailableError(reason) if is_away else RedisLimitsError(reason)

    async def _ask(self, call: Call) -> list[int] | AskError:
        worked = self._works
        try:
            answer = await self._run(call)
        except ConnectionError:
            # Redis may have closed an idle connection, or been restarted.
            if not worked:
                raise
            for number in call.numbers:
                call.arguments += number, ""
            answer = await self._run(call)
        if isinstance(answer, AskError):
            return answer
        if not (isinstance(answer, list) and [int] * RESULTS == list(map(type, answer))):
            raise TypeError(f"the script must return {RESULTS} integers, got {answer!r}")
        return answer

    async def _run(self, call: Call) -> Any:
        arguments = 1, call.key, *call.arguments
        try:
            try:
                return await self._send("EVALSHA", SHA, *arguments, asking=call.asking)
            except NoScriptError:
                return await self._send("EVAL", SCRIPT, *arguments, asking=call.asking)
        except AskError as redirect:
            if not self._redirects:
                raise
            return redirect

    async def _send(self, *command: str | int, asking: bool) -> Any:
        if not asking:
            return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's
        # A node accepts a command for a slot that is moving to it only right after ASKING on the
        # same connection.
        pipeline = self._client.pipeline(transaction=False)
        pipeline.execute_command("ASKING")
        pipeline.execute_command(*command)
        *_, answer = await pipeline.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _close_later(self) -> None:
        if _runs(self._loop):
            if self._idle is not None:
                self._idle.cancel()
            self._idle = self._loop.call_later(_IDLE_SECONDS, _close_idle, self._pool)


@contextmanager
def end_if_collected(loop: AbstractEventLoop) -> Iterator[None]:
    """Raise GeneratorExit for any error while a coroutine of a loop is collected as garbage.

    The loop doesn't run then, so the clean-up of redis-py and asyncio may fail. Such a failure
    doesn't concern the server.
    """
    try:
        yield
    except BaseException:
        if _runs(loop):
            raise
        raise GeneratorExit from None


def _runs(loop: AbstractEventLoop) -> bool:
    """Return True if this thread runs the loop."""
    with suppress(RuntimeError):
        return asyncio.get_running_loop() is loop
    return False


def _close_idle(pool: Pool) -> None:
    task = asyncio.get_running_loop().create_task(pool.disconnect(inuse_connections=False))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


# An event loop holds only weak references to its tasks.
_closing: set[asyncio.Task[None]] = set()
