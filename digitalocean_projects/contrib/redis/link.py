"""Link: a bucket's use of Redis, and the client of an event loop that all links share."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING, cast
from weakref import WeakSet, WeakValueDictionary

from redis.exceptions import AskError, MovedError

from digitalocean_projects._process import call_at_loop_end

from . import server as _redis_server
from .cluster import SlotMap
from .connections import Call, Connections, end_if_collected
from .errors import RedisLimitsError, RedisUnavailableError
from .location import Location
from .server import known_server, means_away

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from weakref import WeakMethod

    from .location import Address
    from .script import Message
    from .server import Policy

    Part = Callable[[], Callable[[asyncio.AbstractEventLoop], Awaitable[None]] | None]

_MOST_REDIRECTS = 5


class Link:
    """A bucket's use of Redis in the running loop, until the loop ends.

    Args:
        url: The URL of Redis.
        key: The key of the leases.
        constants: The arguments of the script that are the same in each call.
        policy: The bucket's policy while Redis is unavailable.
        part: A function that is called at the end of the loop, before the connections are closed.

    Attributes:
        loop: The event loop.
        busy: True while a task uses the link.
        task: The last task that has used the link.
        parting: True if the loop is about to end.
    """

    task: asyncio.Task[None]

    def __init__(
        self, url: str, key: str, constants: Sequence[int], policy: Policy, part: Part
    ) -> None:
        self._client = Client.of_loop(url)
        self.loop: asyncio.AbstractEventLoop = self._client.loop
        self.busy = self.parting = False
        self.part = part
        self._key = key
        self._constants = constants
        self._policy = policy
        self._made = 0
        self._client.links.add(self)

    async def call(self, message: Message) -> list[int]:
        """Return what the script returns.

        Raises:
            RedisUnavailableError: Redis is unavailable.
            RedisLimitsError: Redis refuses the call, or redis-py fails.
        """
        with end_if_collected(self.loop):
            return await self._client.call(self._key, message, self._constants, self._policy)

    def is_fresh(self) -> bool:
        """Return True if a connection was made since the last call.

        The server may then have been restarted, and have lost its data.
        """
        before, self._made = self._made, self._client.made
        return before != self._made


class Client:
    """The connections of one event loop to the Redis server at a URL, which all buckets share.

    They are closed when the last link is dropped, and when the loop ends.

    Args:
        url: The URL.

    Attributes:
        loop: The loop.
        links: The links that use it.
    """

    def __init__(self, url: str) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.links: WeakSet[Link] = WeakSet()
        self._url = url
        self._location = Location.of_url(url)
        self._server = known_server(url)
        self._connections: dict[Address | None, Connections] = {}
        is_cluster = self._location.kind == "cluster"
        self._slots = SlotMap(self._location.addresses) if is_cluster else None
        self._looking = asyncio.Lock()
        self._look_at = 0.0
        # The generator refers to what it closes, not to this object, which must be collected when
        # the last link is dropped.
        self._end = call_at_loop_end(partial(_close, self._connections, self.links))

    @staticmethod
    def of_loop(url: str) -> Client:
        """Return the client of the running loop; a forked process has its own."""
        key = os.getpid(), asyncio.get_running_loop(), url
        client = _clients.get(key)
        if client is None:
            client = _clients[key] = Client(url)
        return client

    @property
    def made(self) -> int:
        """The number of connections that were made until now."""
        return sum(connections.made for connections in self._connections.values())

    async def call(
        self, key: str, message: Message, constants: Sequence[int], policy: Policy
    ) -> list[int]:
        """Return what the script returns.

        Raises:
            RedisUnavailableError: Redis is unavailable.
            RedisLimitsError: Redis refuses the call, or redis-py fails.
        """
        call = Call(
            key=key,
            numbers=message.numbers,
            arguments=message.arguments(constants),
            policy=policy,
        )
        if self._slots is None:
            return cast("list[int]", await self._of(None).call(call))
        address = self._slots.owner(key)
        looked = address is None
        if address is None:
            address = await self._find_owner(self._slots, key, policy)
        for _ in range(_MOST_REDIRECTS):
            try:
                answer = await self._of(address).call(call)
            except RedisUnavailableError:
                # A replica may have taken over.
                owner = await self._find_owner(self._slots, key, policy)
                if owner == address:
                    raise
                address, call.asking, looked = owner, False, True
                continue
            if not isinstance(answer, AskError):
                if looked:
                    self._server.find()
                return answer
            address = answer.host or address[0], answer.port
            call.asking = not isinstance(answer, MovedError)
            if not call.asking:
                self._slots.move(key, address)
        self._slots.forget(key)
        raise self._lost("the nodes of the cluster redirect each other for the key", policy)

    def _of(self, address: Address | None) -> Connections:
        connections = self._connections.get(address)
        if connections is None:
            server = known_server(self._url, address)
            connections = self._connections[address] = Connections(self._location, address, server)
        return connections

    async def _find_owner(self, slots: SlotMap, key: str, policy: Policy) -> Address:
        """Return the node that serves the slot of a key; ask the cluster first if that is due."""
        async with self._looking:
            if time.monotonic() >= self._look_at:
                await self._look(slots, policy)
        owner = slots.owner(key)
        if owner is None:
            raise self._lost("no node of the cluster has the slot of the key", policy)
        return owner

    async def _look(self, slots: SlotMap, policy: Policy) -> None:
        """Ask the nodes in turn for all nodes and their slots, until one answers."""
        if reason := self._server.rests():
            raise RedisUnavailableError(reason)
        is_away, reason = True, ""
        for address in sorted(slots.addresses(), key=lambda each: self._of(each).server.is_away):
            connections = self._of(address)
            try:
                slots.read(await connections.slots(), address)
            except Exception as error:  # noqa: BLE001 - redis-py's tree, and a malformed answer's
                is_away, reason = means_away(error), connections.reason(error)
            else:
                # By the time a bucket tries an unavailable node again, the slots can be read again.
                self._look_at = time.monotonic() + _redis_server.SECONDS_BETWEEN_LOOKS / 2
                return
        if is_away:
            raise self._lost(reason, policy)
        self._server.fail(reason)
        raise RedisLimitsError(reason)

    def _lost(self, reason: str, policy: Policy) -> RedisUnavailableError:
        self._server.lose(reason, policy)
        return RedisUnavailableError(reason)


def call_alive(
    method: WeakMethod[Callable[[asyncio.AbstractEventLoop], None]], loop: asyncio.AbstractEventLoop
) -> None:
    """Call a method with a loop if its object is still alive."""
    if (call := method()) is not None:
        call(loop)


async def _close(connections: dict[Address | None, Connections], links: WeakSet[Link]) -> None:
    loop = asyncio.get_running_loop()
    parts = [part(loop) for link in links if (part := link.part()) is not None]
    try:
        await asyncio.gather(*parts)
    finally:
        for each in connections.values():
            await each.aclose()


_clients: WeakValueDictionary[tuple[int, asyncio.AbstractEventLoop, str], Client] = (
    WeakValueDictionary()
)
