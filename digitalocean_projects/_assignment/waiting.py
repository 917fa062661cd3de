"""Waiting: polls a project until resources have arrived in it or left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from digitalocean_projects._clock import polls
from digitalocean_projects._described import Request
from digitalocean_projects._errors import (
    AssignmentTimeoutError,
    NotFoundError,
    PreconditionFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from digitalocean_projects._codec.models import Resource
    from digitalocean_projects._codec.urn import URN
    from digitalocean_projects._paginator.paginator import AsyncPaginator
    from digitalocean_projects._session.manager import SessionManager


async def wait_until_listed(
    manager: SessionManager,
    listing: AsyncPaginator[Resource],
    path: str,
    urns: Iterable[URN],
    seconds: float,
) -> None:
    """Wait until one listing of the project at `path` has all the resources.

    Raises:
        AssignmentTimeoutError: The time is up.
    """
    wanted = {urn.canonical: urn for urn in urns}
    for delay in polls(manager.settings.clock, seconds):  # pragma: no branch - the last ends it
        missing = dict(wanted)
        if not missing:
            return
        async for resource in listing:
            missing.pop(resource.urn.canonical, None)
            if not missing:
                return
        if delay is None:
            project = path.rpartition("/")[2]
            raise AssignmentTimeoutError(tuple(missing.values()), project=project, timeout=seconds)
        await manager.sleep(delay, Request(method="GET", path=path))


async def delete_when_empty(manager: SessionManager, request: Request, seconds: float) -> None:
    """Send a request that deletes a project, and repeat it while the project holds resources.

    Raises:
        PreconditionFailedError: The time is up.
    """
    for delay in polls(manager.settings.clock, seconds):  # pragma: no branch - the last ends it
        try:
            await manager.request(request)
        except NotFoundError as error:
            # An earlier attempt has deleted the project, but its response was lost.
            if not error.in_doubt:
                raise
            return
        except PreconditionFailedError as error:
            if delay is None:
                error.add_note(
                    "a project to delete must be empty; move its resources with "
                    "unassign_resources(), and pass for example wait=60 until they have left"
                )
                raise
        else:
            return
        await manager.sleep(delay, request)
