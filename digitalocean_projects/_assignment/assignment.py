"""Assignment: assigns resources chunk by chunk, and records the outcome for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._codec.enums import ResourceStatus
from digitalocean_projects._codec.json import decode_resources, encode_urns
from digitalocean_projects._codec.models import Refusal, Resource
from digitalocean_projects._codec.urn import URN, type_hint
from digitalocean_projects._described import Request
from digitalocean_projects._errors import (
    APIError,
    BadRequestError,
    ClientUsageError,
    PreconditionFailedError,
    UnprocessableEntityError,
)

from .results import DONE, AssignmentResult, assignment_error
from .search import EXTRA_REQUESTS, Search

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from digitalocean_projects._errors import APIStatusError, AssignmentError
    from digitalocean_projects._session.manager import SessionManager

    from .results import Fate

_SCOPE = "project:update (or project:assign_resource with project:read)"
# Scopes are named after the API's resources, which differ from the types of these URNs.
# https://docs.digitalocean.com/reference/api/scopes/
_SCOPES = {
    "dbaas": "database",
    "floatingip": "reserved_ip",
    "floatingipv6": "reserved_ip",
    "loadbalancer": "load_balancer",
    "reservedip": "reserved_ip",
    "reservedipv6": "reserved_ip",
    "space": "spaces",
    "volume": "block_storage",
    "volumesnapshot": "block_storage_snapshot",
}
# The API refuses a request with these errors because of a resource in it.
_REFUSALS = (BadRequestError, PreconditionFailedError, UnprocessableEntityError)
# If the API has refused all resources of this number of chunks in a row, it probably refuses the
# next chunks, too. They are still sent, but not in parts, until the API accepts one.
_MOST_VAIN_SEARCHES = 4


def _described(request: Request, urns: Iterable[URN]) -> Request:
    """Return the request with the scopes and the hints for the types of its resources."""
    types = dict.fromkeys(urn.type for urn in urns)
    scopes = dict.fromkeys(f"{_SCOPES.get(name, name)}:read" for name in types)
    hints = filter(None, map(type_hint, types))
    return attrs.evolve(request, scopes=(_SCOPE, *scopes), hint="; ".join(hints))


class Assignment:
    """An assignment of resources to one or more projects, with the outcome for each resource.

    Args:
        manager: The manager that sends the requests.
        parts: The paths of projects, each with its resources. No resource is in two parts.
    """

    def __init__(self, manager: SessionManager, *parts: tuple[str, Sequence[URN]]) -> None:
        self._manager = manager
        self._parts = parts
        # By canonical URN. A resource without a fate is untouched.
        self._fates: dict[URN, Fate] = {}
        self._under_way: Sequence[URN] = ()
        self._accepted = False
        self._vain = 0
        self._refusal: APIStatusError | None = None
        # Of the requests that the API has answered with the outcome for each resource.
        self._request_ids: list[str] = []

    async def run(
        self,
        chunk_size: int,
        *,
        strict: bool = True,
        check: Callable[[Sequence[URN]], Awaitable[Sequence[URN]]] | None = None,
        on_chunk: Callable[[AssignmentResult], object] | None = None,
    ) -> list[AssignmentResult]:
        """Send all chunks, and return the result of each part.

        Args:
            chunk_size: The maximum number of resources in a request.
            strict: Raise the API's error if it refused every request.
            check: Function that returns the resources of a chunk to send; None sends all.
            on_chunk: Function that is called with the result of each chunk, or None.

        Raises:
            APIError: A request failed before the outcome for any resource was known, or with
                `strict`, the API refused every request.
            AssignmentError: A later request failed.
        """
        starts: list[int] = []
        for path, urns in self._parts:
            starts.append(len(self._request_ids))
            request = Request(method="POST", path=f"{path}/resources")
            for start in range(0, len(urns), chunk_size):
                chunk = urns[start : start + chunk_size]
                known = len(self._request_ids)
                try:
                    sent = chunk if check is None else await check(chunk)
                    if sent:
                        await self._assign(request, sent)
                except (APIError, ClientUsageError) as error:
                    if not self._fates:
                        raise
                    raise self._failure(error) from error
                if on_chunk is not None:
                    ids = self._request_ids[known:]
                    on_chunk(AssignmentResult.of(chunk, self._fates, ids))
        refusal, self._refusal = self._refusal, None
        if strict and refusal is not None and not self._accepted:
            try:
                raise refusal
            finally:
                # The traceback would keep this frame, which would keep the exception.
                del refusal
        ends = [*starts, len(self._request_ids)][1:]
        return [
            AssignmentResult.of(urns, self._fates, self._request_ids[start:end])
            for (_, urns), start, end in zip(self._parts, starts, ends, strict=True)
        ]

    def keep(self, urn: URN) -> None:
        """Record that a resource is in its project already, so that it isn't sent."""
        self._fates[urn.canonical] = Resource(urn, status=ResourceStatus.ALREADY_ASSIGNED)

    async def _assign(self, request: Request, chunk: Sequence[URN]) -> None:
        """Send a chunk, and if it is refused, parts of it to find the refused resources."""
        search = Search(chunk, extra=EXTRA_REQUESTS if self._vain < _MOST_VAIN_SEARCHES else 0)
        self._vain += 1
        while urns := search.next():
            if refused := await self._send(request, urns):
                search.refused(refused)
            else:
                search.accepted()
                self._vain = 0

    async def _send(self, request: Request, urns: Sequence[URN]) -> Sequence[URN]:
        """Assign resources, retry those whose service is down, and return the refused ones."""
        retries = self._manager.retries()
        while True:
            self._under_way = urns
            request = _described(request, urns)
            try:
                answer = await self._manager.request(request, encode_urns(urns), retries)
            except _REFUSALS as error:
                self._note_refusal(error)
                return urns
            listed = answer.decode(decode_resources)
            self._request_ids += filter(None, [answer.request_id])
            resources: dict[URN, Resource] = {}
            for resource in listed:
                # If the response has several entries for a resource, one that isn't done counts.
                if resources.setdefault(resource.urn.canonical, resource).status in DONE:
                    resources[resource.urn.canonical] = resource
            for urn in (urn.canonical for urn in urns):
                self._fates[urn] = resources.get(urn, self._fates.get(urn))
            self._accepted, self._under_way = True, ()
            urns = [urn for urn in urns if self._is_down(urn)]
            if not urns:
                return ()
            retries.record()
            delay = retries.delay_while_down()
            if delay is None:
                return ()
            reason = f"{ResourceStatus.SERVICE_DOWN} for {len(urns)} of the resources ({request})"
            retries.log(answer.request, delay, reason, error=ResourceStatus.SERVICE_DOWN)
            await self._manager.sleep(delay, request)

    def _note_refusal(self, error: APIStatusError) -> None:
        """Record that the current request was refused."""
        if self._refusal is None or error.in_doubt:
            self._refusal = error.with_traceback(None)
        if len(self._under_way) == 1:
            (urn,) = self._under_way
            self._fates[urn.canonical] = Refusal(
                urn=urn,
                status=error.status,
                id=error.id,
                message=error.message,
                request_id=error.request_id,
            )
        elif error.in_doubt:
            self._note_doubt()
        self._under_way = ()

    def _note_doubt(self) -> None:
        """Record that the current request may have been carried out."""
        for urn in self._under_way:
            self._fates[urn.canonical] = None

    def _is_down(self, urn: URN) -> bool:
        fate = self._fates[urn.canonical]
        return isinstance(fate, Resource) and fate.status == ResourceStatus.SERVICE_DOWN

    def _failure(self, error: APIError | ClientUsageError) -> AssignmentError:
        if error.in_doubt:
            self._note_doubt()
        urns = [urn for _, part in self._parts for urn in part]
        result = AssignmentResult.of(urns, self._fates, self._request_ids)
        return assignment_error(result.done, result, error)
