"""Assignment: resources on their way into a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._codec import decode_resources, encode_urns
from ._errors import APIError, AssignmentError
from ._models import ResourceStatus
from ._results import NOTHING_ASSIGNED, AssignmentResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._models import Resource
    from ._request import Request
    from ._session import SessionManager
    from ._urn import URN


class Assignment:
    """Sends the resources in chunks, and keeps what is said of each.

    Args:
        manager: What sends the requests.
        request: The request of a chunk, without its body.
        urns: The resources.
        earlier: What was said of others before, which a failure is to repeat.
        later: What is to be sent afterwards, which a failure leaves untouched.
    """

    def __init__(
        self,
        manager: SessionManager,
        request: Request,
        urns: Sequence[URN],
        *,
        earlier: AssignmentResult = NOTHING_ASSIGNED,
        later: Sequence[URN] = (),
    ) -> None:
        self._manager = manager
        self._request = request
        self._urns = urns
        self._earlier = earlier
        self._later = later
        self._answered: dict[URN, Resource] = {}
        self._under_way: Sequence[URN] = ()
        self._heard = earlier != NOTHING_ASSIGNED

    async def run(self, chunk_size: int) -> AssignmentResult:
        """What the API said of each resource.

        Raises:
            APIError: The first request failed.
            AssignmentError: A later one did.
        """
        for start in range(0, len(self._urns), chunk_size):
            end = start + chunk_size
            try:
                await self._assign(self._urns[start:end])
            except APIError as error:
                if not self._heard:
                    raise
                raise self._failure(error, self._urns[:end], self._urns[end:]) from error
        return AssignmentResult.of(self._urns, self._answered)

    async def _assign(self, chunk: Sequence[URN]) -> None:
        """Send a chunk, and again those of it whose service is down."""
        retries = self._manager.retries()
        while True:
            self._under_way = chunk
            answer = await self._manager.request(self._request, encode_urns(chunk), retries)
            told = self._manager.decode(answer, decode_resources)
            self._answered.update((resource.urn.canonical, resource) for resource in told)
            self._heard, self._under_way = True, ()
            chunk = [urn for urn in chunk if self._is_down(urn)]
            delay = retries.delay_while_down() if chunk else None
            if delay is None:
                return
            await self._manager.sleep(delay, self._request)

    def _is_down(self, urn: URN) -> bool:
        resource = self._answered.get(urn.canonical)
        return resource is not None and resource.status == ResourceStatus.SERVICE_DOWN

    def _failure(
        self, error: APIError, asked: Sequence[URN], rest: Sequence[URN]
    ) -> AssignmentError:
        untouched: dict[URN, None] = {}
        if not error.in_doubt:
            left = (urn for urn in self._under_way if urn.canonical not in self._answered)
            untouched = dict.fromkeys(left)
        else:
            for urn in self._under_way:
                self._answered.pop(urn.canonical, None)
        so_far = AssignmentResult.of([urn for urn in asked if urn not in untouched], self._answered)
        return AssignmentError(
            done=self._earlier.done + so_far.done,
            failed=self._earlier.failed + so_far.failed,
            unknown=self._earlier.unknown + so_far.unknown,
            untouched=(*untouched, *rest, *self._later),
            error=error,
        )
