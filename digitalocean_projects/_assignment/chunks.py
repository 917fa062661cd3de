"""Chunks: the parts of an assignment, and the slots in which they are carried out."""

from __future__ import annotations

import asyncio
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
        taken: The number of chunks.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._freed = asyncio.Event()

    async def take(self, *, alone: bool = False) -> None:
        """Take a slot as soon as one is free, or all are."""
        while self.taken >= (1 if alone else self.limit):
            await self._change()
        self.taken += 1

    def free(self) -> None:
        """Free a slot."""
        self.taken -= 1
        self._freed.set()

    async def wait_for_others(self) -> None:
        """Wait until the caller's slot is the only one that is taken."""
        while self.taken > 1:
            await self._change()

    async def take_turns(self) -> None:
        """Leave one slot for all chunks, and wait until the caller has it instead of its own."""
        self.limit = 1
        self.free()
        try:
            while self.taken:
                await self._change()
        finally:
            self.taken += 1

    async def _change(self) -> None:
        self._freed.clear()
        await self._freed.wait()


@attrs.define(eq=False)
class Chunk:
    """A part of the resources, which one request assigns unless the API refuses it.

    Args:
        request: The request.
        urns: The resources in their canonical form.

    Attributes:
        task: The task that carries the chunk out, or None.
        retries: The attempts at its latest request, or None.
        under_way: The resources in its latest request, until it is answered.
        request_ids: The ids of the requests that the API has answered with outcomes.
        refusal: The first refusal, or a later one after which resources are in doubt.
        failure: The exception that ended it.
    """

    request: Request
    urns: Sequence[str]
    task: asyncio.Task[None] | None = None
    retries: Retries | None = None
    under_way: Sequence[str] = ()
    request_ids: list[str] = attrs.field(factory=list)
    refusal: APIStatusError | None = None
    failure: Exception | None = None

    def stop(self) -> None:
        """Let the attempt that is in flight end, and start no other one."""
        if self.retries is not None and self.retries.in_flight:
            self.retries.stop()
        elif self.task is not None:
            self.task.cancel()
