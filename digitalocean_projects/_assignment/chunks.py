"""Chunks: the parts of an assignment, and the slots in which they are carried out."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from digitalocean_projects._described import Request
    from digitalocean_projects._errors import APIStatusError
    from digitalocean_projects._session.retry import Retries


class StoppedError(Exception):
    """The failure of another chunk, after which no request is sent."""


class Slots:
    """The slots of the chunks that are carried out at the same time.

    Attributes:
        limit: The maximum number of chunks.
        taken: The number of chunks, also of those that wait for their turn.
        stopped: True once the waits for a slot or for other chunks have ended for good.
    """

    def __init__(self) -> None:
        self.limit = 1
        self.taken = 0
        self.stopped = False
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def is_single(self) -> bool:
        """True if only one chunk is carried out, and no other one can start before its end."""
        return self.limit == 1 == self.taken - self._waiting

    def take(self, chunk: Chunk, task: asyncio.Task[None]) -> None:
        """Give a chunk a slot until its task has ended, even if the task never starts."""
        self.taken += 1
        task.add_done_callback(partial(self._free, chunk))

    def stop(self) -> None:
        """End the waits for a slot and for other chunks."""
        self.stopped = True
        self._changed.set()

    async def wait_for_room(self, most: int) -> None:
        """Wait until fewer than `most` slots are taken, and one is free."""
        while self.taken >= min(most, self.limit) and not self.stopped:
            await self._change()

    async def take_turn(self, chunk: Chunk) -> None:
        """Leave one slot for all chunks, and wait until it is the turn of this one.

        The turn lasts until the end of the chunk. A lock wakes one waiting chunk at each end.
        """
        self.limit = 1
        self._waiting += 1
        self._changed.set()
        try:
            await self._turn.acquire()
            chunk.has_turn = True
            while self.taken > self._waiting:
                await self._change()
        finally:
            self._waiting -= 1

    def _free(self, chunk: Chunk, _: object) -> None:
        self.taken -= 1
        if chunk.has_turn:
            self._turn.release()
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@attrs.define(eq=False, repr=False)
class Chunk:
    """A part of the resources, which one request assigns unless the API refuses it.

    Args:
        request: The request.
        urns: The resources in their canonical form.

    Attributes:
        task: The task that carries the chunk out, or None before.
        has_turn: True if other chunks wait for the end of this one.
        retries: The attempts at its latest request, or None.
        under_way: The resources in its latest request, until it is answered.
        request_ids: The ids of the requests that the API has answered with outcomes.
        refusal: The first refusal, or a later one after which resources are in doubt.
        failure: The exception that ended it.
    """

    request: Request
    urns: Sequence[str]
    task: asyncio.Task[None] | None = None
    has_turn: bool = False
    retries: Retries | None = None
    under_way: Sequence[str] = ()
    request_ids: list[str] = attrs.field(factory=list)
    refusal: APIStatusError | None = None
    failure: Exception | None = None

    def stop(self) -> None:
        """Prevent further attempts; the one that is in flight may end."""
        if self.retries is not None and self.retries.in_flight:
            self.retries.stop()
        elif self.task is not None:
            self.task.cancel()
