"""Assignment: assigns resources in concurrent chunks, and records the outcome for each."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any

import attrs

from digitalocean_projects._codec.enums import ResourceStatus
from digitalocean_projects._codec.json import decode_resources, encode_urns
from digitalocean_projects._codec.models import Refusal, Resource, urn_text
from digitalocean_projects._codec.urns import DistinctURNs, as_urn, assignable, is_address
from digitalocean_projects._described import Request
from digitalocean_projects._errors import (
    APIError,
    BadRequestError,
    ClientUsageError,
    PermissionDeniedError,
    PreconditionFailedError,
    UnprocessableEntityError,
)
from digitalocean_projects._session.pool import running_loop

from .chunks import Chunk, Slots, StoppedError
from .results import DONE, AssignmentResult, assignment_error
from .search import Search

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from digitalocean_projects._codec.urn import URN
    from digitalocean_projects._errors import APIStatusError, AssignmentError
    from digitalocean_projects._session.manager import SessionManager
    from digitalocean_projects._session.retry import Retries

    from .results import Fate

    Check = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
    OnChunk = Callable[[AssignmentResult], object]

_SCOPE = "project:update (or project:assign_resource with project:read)"
# The API refuses a request with these errors because of a resource in it.
_REFUSALS = (BadRequestError, PreconditionFailedError, UnprocessableEntityError)
# The API was seen to refuse a request with this message while it carries out another one.
_BUSY = "processes previous actions"
# If the API has refused all resources of this number of chunks in a row, it probably refuses the
# next chunks, too. They are still sent, but not in parts, until the API accepts one.
_MOST_VAIN_SEARCHES = 4


class Assignment:
    """An assignment of resources to one or more projects, with the outcome for each resource.

    Chunks are carried out concurrently. After a failure of one, no request is sent any more, and
    the responses to those in flight are awaited. A chunk with reserved IPs waits for all chunks
    before it, since a reserved IP can't move before the Droplet that it is attached to.

    Args:
        manager: The manager that sends the requests.
        parts: The paths of projects, each with its resources. No resource is in two parts.
    """

    def __init__(self, manager: SessionManager, *parts: tuple[str, DistinctURNs]) -> None:
        self._manager = manager
        self._parts = parts
        # By canonical URN, as they were passed, if they differ.
        self._passed: dict[str, str] = {}
        # By canonical URN. A resource without a fate is untouched.
        self._fates: dict[str, Fate] = {}
        # The resources that an attempt in doubt may have moved, until the API says that it has.
        self._doubtful: set[str] = set()
        self._chunks: list[Chunk] = []
        self._slots = Slots()
        self._accepted = False
        self._failed = False
        self._callback_error: BaseException | None = None
        self._vain = 0

    async def run(
        self,
        chunk_size: int,
        concurrency: int,
        *,
        strict: bool = True,
        check: Check | None = None,
        on_chunk: OnChunk | None = None,
    ) -> list[AssignmentResult]:
        """Send all chunks, and return the result of each part.

        Args:
            chunk_size: The maximum number of resources in a request.
            concurrency: The maximum number of chunks that are carried out at the same time.
            strict: Raise the API's error if it refused every request.
            check: Function that returns the resources of a chunk to send; None sends all. It is
                called for one chunk after the other. The URNs are canonical.
            on_chunk: Function that is called with the result of each chunk at its end, or None.

        Raises:
            APIError: A request failed, and the outcome is unknown for all resources or all are
                untouched; or with `strict`, the API refused every request.
            AssignmentError: A request failed otherwise.
            BaseException: The error of `on_chunk`.
        """
        running_loop()  # a task group has no such message
        parts = [self._chunked(path, urns, chunk_size) for path, urns in self._parts]
        self._chunks = list(chain.from_iterable(parts))
        self._slots.limit = concurrency
        async with asyncio.TaskGroup() as tasks:
            for chunk in self._chunks:
                urns = await self._next(chunk, check)
                if self._failed:
                    break
                chunk.task = tasks.create_task(self._carry_out(chunk, urns, on_chunk))
                self._slots.take(chunk, chunk.task)
        self._raise_failure()
        if strict and not self._accepted:
            self._raise_refusal()
        return [
            self._result(urns.canonical, chunks)
            for (_, urns), chunks in zip(self._parts, parts, strict=True)
        ]

    def keep(self, urn: URN) -> None:
        """Record that a resource is in its project already, so that it isn't sent."""
        self._fates[urn.canonical] = Resource(urn, status=ResourceStatus.ALREADY_ASSIGNED)

    async def wait_for_others(self) -> None:
        """Wait until all chunks before the one that is being checked have ended.

        Raises:
            StoppedError: Another chunk has failed.
        """
        await self._slots.wait_for_room(1)
        if self._failed:
            raise StoppedError

    def _chunked(self, path: str, urns: DistinctURNs, chunk_size: int) -> list[Chunk]:
        request = Request(method="POST", path=f"{path}/resources", scopes=(_SCOPE,))
        keys = urns.canonical
        if keys is not urns.passed:
            self._passed.update(zip(keys, urns.passed, strict=True))
        if len(keys) > chunk_size:
            keys = sorted(keys, key=is_address)
        starts = range(0, len(keys), chunk_size)
        return [Chunk(request, keys[start : start + chunk_size]) for start in starts]

    async def _next(self, chunk: Chunk, check: Check | None) -> Sequence[str]:
        """Wait until a chunk can be carried out, and return the resources to send."""
        most = 1 if is_address(chunk.urns[-1]) else len(self._chunks)
        await self._slots.wait_for_room(most)
        urns: Sequence[str] = chunk.urns
        if check is not None and not self._failed:
            try:
                urns = await check(chunk.urns)
            except StoppedError:
                return ()
            except Exception as error:  # noqa: BLE001 - `run` raises it
                self._fail(chunk, error)
            # Meanwhile, the API may have refused to carry out several chunks.
            await self._slots.wait_for_room(most)
        return urns

    async def _carry_out(self, chunk: Chunk, urns: Sequence[str], on_chunk: OnChunk | None) -> None:
        try:
            if urns:
                await self._assign(chunk, urns)
        except (asyncio.CancelledError, StoppedError) as error:
            if chunk.retries is not None and chunk.retries.in_doubt:
                self._note_doubt(chunk)
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self._fail(chunk, error)
            return
        if on_chunk is not None:
            try:
                on_chunk(self._result(chunk.urns, [chunk]))
            # Raised here, an error that ends a program would end the event loop, and a task group
            # would ignore a CancelledError.
            except BaseException as error:  # noqa: BLE001 - `run` raises it
                self._callback_error = self._callback_error or error
                self._stop_others(chunk)

    def _fail(self, chunk: Chunk, error: Exception) -> None:
        """Record the failure of a chunk, and stop the other chunks."""
        chunk.failure = error
        self._stop_others(chunk)

    def _stop_others(self, chunk: Chunk) -> None:
        if not self._failed:
            self._failed = True
            self._slots.stop()
            for other in self._chunks:
                if other is not chunk:
                    other.stop()

    async def _assign(self, chunk: Chunk, urns: Sequence[str]) -> None:
        """Send a chunk, and if it is refused, parts of it to find the refused resources."""
        refused = await self._send(chunk, urns)
        if not refused:
            self._vain = 0
            return
        if self._vain >= _MOST_VAIN_SEARCHES:
            return
        search, is_vain = Search(urns), True
        search.next()
        search.refused(refused)
        while not self._failed and (urns := search.next()):
            if refused := await self._send(chunk, urns):
                search.refused(refused)
            else:
                search.accepted()
                is_vain = False
        self._vain = self._vain + 1 if is_vain else 0

    async def _send(self, chunk: Chunk, urns: Sequence[str]) -> Sequence[str]:
        """Assign resources, retry those whose service is down, and return the refused ones."""
        retries = chunk.retries = self._manager.retries()
        while True:
            chunk.under_way = urns
            request = attrs.evolve(chunk.request, urns=urns)
            # Then no other chunk can start before the response.
            alone = self._slots.is_single
            # A usual text is sent as it is, which saves 0.3 µs for each.
            body = encode_urns(map(assignable, self._as_passed(urns)) if self._passed else urns)
            busy: PermissionDeniedError | None = None
            try:
                answer = await self._manager.request(request, body, retries)
            except _REFUSALS as error:
                self._note_refusal(chunk, error)
                return urns
            except PermissionDeniedError as error:
                if _BUSY not in error.message:
                    raise
                busy = error.with_traceback(None)
            if busy is not None:
                if await self._has_turn(chunk, retries, request, str(busy), alone=alone):
                    continue
                try:
                    raise busy
                finally:
                    # The traceback would keep this frame, which would keep the exception.
                    del busy
            listed = answer.decode(decode_resources)
            chunk.request_ids += filter(None, [answer.request_id])
            self._note_answer(chunk, urns, listed)
            if ResourceStatus.SERVICE_DOWN not in {resource.status for resource in listed}:
                return ()
            urns = [urn for urn in urns if self._status(urn) == ResourceStatus.SERVICE_DOWN]
            if not urns or self._failed:
                return ()
            retries.record()
            delay = retries.delay_while_down()
            if delay is None:
                return ()
            reason = f"{ResourceStatus.SERVICE_DOWN} for {len(urns)} of the resources ({request})"
            retries.log(answer.request, delay, reason, error=ResourceStatus.SERVICE_DOWN)
            await self._manager.sleep(delay, request)

    async def _has_turn(
        self, chunk: Chunk, retries: Retries, request: Request, reason: str, *, alone: bool
    ) -> bool:
        """Wait until a request can be sent again that was refused because of other ones.

        From now on, one chunk is carried out at a time. A request that was not the only one
        doesn't use up an attempt.

        Args:
            chunk: The chunk that the request is for.
            retries: The attempts at the request.
            request: The request.
            reason: The text of the refusal.
            alone: True if the request was the only one in flight.

        Returns:
            False if no attempt is left.

        Raises:
            StoppedError: Another chunk has failed.
        """
        if not alone:
            await self._slots.take_turn(chunk)
        if self._failed:
            raise StoppedError
        delay = retries.delay_while_busy(counts=alone)
        if delay is None:
            return False
        status, name = HTTPStatus.FORBIDDEN, PermissionDeniedError.__name__
        retries.log(request, delay, reason, status=status, error=name)
        await self._manager.sleep(delay, request)
        return True

    def _note_answer(self, chunk: Chunk, urns: Sequence[str], listed: Sequence[Resource]) -> None:
        """Record the outcomes in the response to a request with these resources."""
        if chunk.retries is not None and chunk.retries.in_doubt:
            self._note_doubt(chunk)
        self._accepted, chunk.under_way = True, ()
        if list(map(urn_text, listed)) == urns:  # the usual response
            self._fates.update(zip(urns, listed, strict=True))
            return
        resources: dict[str, Resource] = {}
        for resource in listed:
            # If the response has several entries for a resource, one that isn't done counts.
            if resources.setdefault(resource.urn.canonical, resource).status in DONE:
                resources[resource.urn.canonical] = resource
        for urn in urns:
            self._fates[urn] = resources.get(urn, self._fates.get(urn))

    def _note_refusal(self, chunk: Chunk, error: APIStatusError) -> None:
        """Record that the request under way was refused."""
        if chunk.refusal is None or error.in_doubt:
            chunk.refusal = error.with_traceback(None)
        if error.in_doubt:
            self._note_doubt(chunk)
        elif len(chunk.under_way) == 1:
            (urn,) = chunk.under_way
            self._fates[urn] = Refusal(
                urn=as_urn(self._passed.get(urn, urn)),
                status=error.status,
                id=error.id,
                message=error.message,
                request_id=error.request_id,
            )
        chunk.under_way = ()

    def _note_doubt(self, chunk: Chunk) -> None:
        """Record that the request under way may have been carried out."""
        self._fates.update(dict.fromkeys(chunk.under_way))
        self._doubtful.update(chunk.under_way)

    def _status(self, urn: str) -> str | None:
        """Return the status in the latest response, or "" if there is none."""
        fate = self._fates.get(urn)
        return fate.status if isinstance(fate, Resource) else ""

    def _raise_failure(self) -> None:
        """Raise the error of `on_chunk`, or the failure of the first chunk that has one."""
        failed = [chunk for chunk in self._chunks if chunk.failure is not None]
        error: Any = self._callback_error or (failed[0].failure if failed else None)
        if error is None:
            return
        for chunk in failed:
            if getattr(chunk.failure, "in_doubt", False):
                self._note_doubt(chunk)
        is_partial = (
            error is not self._callback_error
            and isinstance(error, APIError | ClientUsageError)
            and not self._says_all(error)
        )
        self._callback_error = None
        for chunk in failed:
            chunk.failure = None
        try:
            if is_partial:
                raise self._assignment_error(error) from error
            raise error
        finally:
            # The traceback would keep this frame, which would keep the exception.
            del error

    def _says_all(self, error: APIError | ClientUsageError) -> bool:
        """Return True if the outcome is the one that the error states, for all resources."""
        number = sum(len(urns) for _, urns in self._parts)
        are_all_unknown = [None] * number == list(self._fates.values())
        return not self._fates or (error.in_doubt and are_all_unknown and not self._accepted)

    def _raise_refusal(self) -> None:
        """Raise the first refusal, or rather the first one after which resources are in doubt."""
        refusals = [chunk.refusal for chunk in self._chunks if chunk.refusal is not None]
        for chunk in self._chunks:
            chunk.refusal = None
        if refusals:
            try:
                raise next((one for one in refusals if one.in_doubt), refusals[0])
            finally:
                del refusals

    def _assignment_error(self, error: APIError | ClientUsageError) -> AssignmentError:
        urns = [urn for _, part in self._parts for urn in part.canonical]
        result = self._result(urns, self._chunks)
        return assignment_error(result.done, result, error)

    def _result(self, urns: Sequence[str], chunks: Iterable[Chunk]) -> AssignmentResult:
        """Return the result of these resources, with the request ids of the chunks."""
        ids = chain.from_iterable(chunk.request_ids for chunk in chunks)
        fates = self._fates
        if self._doubtful:
            doubts = [urn for urn in self._doubtful if self._status(urn) not in DONE]
            fates = {**fates, **dict.fromkeys(doubts)}
        return AssignmentResult.of(self._as_passed(urns), fates, ids, keys=urns)

    def _as_passed(self, urns: Sequence[str]) -> Sequence[str]:
        return [self._passed.get(urn, urn) for urn in urns] if self._passed else urns
