"""Apply: carries out a plan, and records the outcome for each resource."""

from __future__ import annotations

from collections import defaultdict
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._arguments import checked_type, creatable, project_path
from digitalocean_projects._codec.urn import URN
from digitalocean_projects._codec.urns import DistinctURNs, checked_urns
from digitalocean_projects._errors import (
    AssignmentError,
    NotFoundError,
)
from digitalocean_projects._messages import quoted
from digitalocean_projects._paginator.reader import NOT_FOUND

from .assignment import Assignment
from .plan import Move, NewProject
from .results import AppliedPlan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from digitalocean_projects._codec.models import Project, Resource
    from digitalocean_projects._paginator.paginator import AsyncPaginator
    from digitalocean_projects._session.manager import SessionManager

    from .plan import Plan
    from .results import AssignmentResult

_READINGS = 3


async def apply(
    manager: SessionManager,
    plan: Plan,
    *,
    create: Callable[[NewProject], Awaitable[Project]],
    list_resources: Callable[[str], AsyncPaginator[Resource]],
    chunk_size: int,
    concurrency: int,
    on_chunk: Callable[[AssignmentResult], object] | None,
) -> AppliedPlan:
    """Carry out a plan, and return its outcome.

    Args:
        manager: The manager that sends the requests.
        plan: The plan.
        create: Function that creates a project.
        list_resources: Function that returns the resources of a project.
        chunk_size: The maximum number of resources in a request.
        concurrency: The maximum number of chunks that are carried out at the same time.
        on_chunk: Function that is called with the outcome of each chunk, or None.

    Raises:
        TypeError: `on_chunk` isn't a plain function, or as in `_check`. No request was sent.
        ValueError: As in `_check`. No request was sent.
    """
    if not (on_chunk is None or callable(on_chunk)):
        raise TypeError(f"on_chunk must be a function or None, got {type(on_chunk).__name__}")
    if iscoroutinefunction(on_chunk):
        raise TypeError("on_chunk must be a function or None, got a coroutine function")
    _check(plan)
    created: dict[str, Project] = {}
    try:
        for new in plan.new_projects:
            created[new.name] = await create(new)
        parts: dict[str, list[URN]] = {}
        for move in plan.moves:
            path = project_path(move.target_id or created[move.target])
            parts.setdefault(path, []).append(move.urn)
        assignment = Assignment(
            manager, *((path, DistinctURNs.of(urns)) for path, urns in parts.items())
        )
        places = _Places(plan.moves, list_resources, assignment)
        results = await assignment.run(
            chunk_size, concurrency, strict=False, check=places.still_there, on_chunk=on_chunk
        )
    except AssignmentError as error:
        error.created = tuple(created.values())
        raise
    except Exception as error:
        if created:
            names = ", ".join(quoted(name, manager.settings.token) for name in created)
            error.add_note(f"created before the error: {names}; another plan finds them")
        raise
    return AppliedPlan.of(results, created=created.values(), kept=plan.kept, left=places.left)


def _check(plan: Plan) -> None:
    """Check a plan, which a program may have made itself.

    Raises:
        TypeError: A part of the plan has another type than annotated.
        ValueError: A part of the plan is invalid, the plan creates a name twice, or it moves a
            resource twice or to a project that doesn't exist.
    """
    new: set[str] = set()
    for project in plan.new_projects:
        creatable(**attrs.asdict(checked_type("each of plan.new_projects", project, NewProject)))
        if project.name in new:
            name = quoted(project.name)
            raise ValueError(f"plan.new_projects must have each name once, got {name} twice")
        new.add(project.name)
    for move in plan.moves:
        checked_type("each of plan.moves", move, Move)
        checked_type("urn of each of plan.moves", move.urn, URN)
    seen: set[URN] = set()
    for move, urn in zip(plan.moves, checked_urns(plan.moves, "plan.moves"), strict=True):
        if urn.canonical in seen:
            raise ValueError(f"plan.moves must have each resource once, got {urn.canonical} twice")
        seen.add(urn.canonical)
        if move.target_id is None and move.target not in new:
            raise ValueError(
                f"plan.new_projects must have the target of each move that has no target_id, "
                f"got {quoted(move.target)}"
            )
        for project_id in (move.source_id, move.target_id):
            if project_id is not None:
                project_path(project_id)


class _Places:
    """The projects of moves, in which resources are looked for.

    Each source is listed just before its first move. A target is listed only if a resource has left
    its source, since an earlier move may have brought it there. During a listing no request of the
    assignment is in flight, since it would change the listing.

    Args:
        moves: The moves.
        list_resources: Function that returns the resources of a project.
        assignment: The assignment, which is notified of each resource that is in its target.

    Attributes:
        left: The resources that are in neither their source nor their target.
    """

    def __init__(
        self,
        moves: Iterable[Move],
        list_resources: Callable[[str], AsyncPaginator[Resource]],
        assignment: Assignment,
    ) -> None:
        self._assignment = assignment
        self.left: list[URN] = []
        self._list_resources = list_resources
        self._moves: dict[str, Move] = {move.urn.canonical: move for move in moves}
        # By the id of a project, the resources to look for in it.
        self._wanted: defaultdict[str, set[str]] = defaultdict(set)
        for urn, move in self._moves.items():
            for project_id in filter(None, (move.source_id, move.target_id)):
                self._wanted[project_id].add(urn)
        self._in_sources: dict[str, set[str]] = {}
        self._in_targets: dict[str, set[str]] = {}

    async def still_there(self, chunk: Sequence[str]) -> list[str]:
        """Return the resources that are where the plan has found them, in canonical form.

        A resource that no project has listed is always returned.
        """
        there: list[str] = []
        for urn in chunk:
            move = self._moves[urn]
            if move.source_id is None or await self._is_in(self._in_sources, move.source_id, urn):
                there.append(urn)
            elif move.target_id and await self._is_in(self._in_targets, move.target_id, urn):
                self._assignment.keep(move.urn)
            else:
                self.left.append(move.urn)
        return there

    async def _is_in(self, listings: dict[str, set[str]], project_id: str, urn: str) -> bool:
        if project_id not in listings:
            await self._assignment.wait_for_others()
            listing = self._list_resources(project_id)
            listings[project_id] = await still_listed(listing, self._wanted[project_id])
        return urn in listings[project_id]


async def still_listed(listing: AsyncPaginator[Resource], urns: set[str]) -> set[str]:
    """Return those of the resources that a project lists now.

    The project is listed again if it changed meanwhile and a resource is missing. Only the last
    reading counts: a resource in an earlier one may have left.

    Args:
        listing: The resources of the project. One that doesn't exist any more has none.
        urns: The resources in their canonical form.
    """
    there: set[str] = set()
    try:
        for _ in range(_READINGS):
            there = urns & {resource.urn.canonical async for resource in listing}
            if listing.settled or there == urns:
                break
    except NotFoundError as error:
        if error.id != NOT_FOUND:
            raise
        return set()
    return there
