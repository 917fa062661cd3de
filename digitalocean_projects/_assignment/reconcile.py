"""Reconcile: changes a project so that it holds the desired resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from digitalocean_projects._arguments import project_path
from digitalocean_projects._codec.urns import DistinctURNs
from digitalocean_projects._defaults import DEFAULT_PROJECT

from .apply import still_listed
from .assignment import Assignment
from .results import Reconciliation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from digitalocean_projects._codec.models import Resource
    from digitalocean_projects._paginator.paginator import AsyncPaginator
    from digitalocean_projects._session.manager import SessionManager

_DEFAULT = project_path(DEFAULT_PROJECT)


async def reconcile(
    manager: SessionManager,
    listing: AsyncPaginator[Resource],
    path: str,
    wanted: DistinctURNs,
    *,
    default_path: Callable[[], Awaitable[str]],
    dry_run: bool,
    prune: bool,
    chunk_size: int,
    concurrency: int,
) -> Reconciliation:
    """Assign the resources that a project lacks, and return the changes.

    Args:
        manager: The manager that sends the requests.
        listing: The resources of the project.
        path: The path of the project.
        wanted: The resources that the project must hold.
        default_path: Function that returns the path of the default project, with its UUID.
        dry_run: Only return the plan.
        prune: Move all other resources to the default project.
        chunk_size: The maximum number of resources in a request.
        concurrency: The maximum number of chunks that are carried out at the same time.

    Raises:
        ValueError: The default project would be pruned, or a project would be emptied. No change
            was made.
    """
    if prune and path == _DEFAULT:
        raise _no_pruning()
    if prune and not wanted:
        # A list is often empty by mistake, such as after a query that failed.
        raise ValueError(
            "resources must not be empty with prune=True; "
            "to empty a project, use unassign_resources"
        )
    held = await listing.collect(strict=prune)
    if not listing.settled:  # the union of several listings may hold resources that have left
        held = [resource async for resource in listing]
    plan = Reconciliation.plan([resource.urn for resource in held], wanted, prune=prune)
    if plan.removed and await default_path() == path:
        raise _no_pruning()
    if dry_run:
        return plan
    added, leaving = DistinctURNs.of(plan.added), DistinctURNs.of(plan.removed)
    assignment = Assignment(manager, (path, added), (_DEFAULT, leaving))
    removed = set(leaving.canonical)
    there: set[str] | None = None if plan.added else removed

    async def still_there(chunk: Sequence[str]) -> Sequence[str]:
        """Return the resources to send: those to add, and those to remove that haven't left.

        The project is listed again before the first removal if resources were added before, which
        may have taken minutes. All of them are added by then.
        """
        nonlocal there
        if chunk[0] not in removed:
            return chunk
        if there is None:
            await assignment.wait_for_others()
            there = await still_listed(listing, removed)
        return [urn for urn in chunk if urn in there]

    results = await assignment.run(chunk_size, concurrency, strict=False, check=still_there)
    return plan.carried_out(*results)


def _no_pruning() -> ValueError:
    return ValueError(
        "the default project can't be pruned: there is no other project to move resources to"
    )
