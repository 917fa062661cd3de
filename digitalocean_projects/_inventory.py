"""AsyncInventory: the resources of all projects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import attrs

from ._errors import ClientUsageError, NotFoundError
from ._listing import Items
from ._models import ProjectResources
from ._paginator import AsyncPaginator
from ._prefetch import Waves

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ._listing import Listing
    from ._models import Project, Resource


class AsyncInventory:
    """The resources of all projects, as pairs of a project and a resource.

    Iterate over it for the pairs, project by project. A wave of projects is read at a time, with a
    bounded number of requests under way: between two pairs nothing runs, so a loop may be left at
    any point. Each iteration reads anew; each project as `collect` of its paginator does. What
    moves from a project to another meanwhile may come with either, with both, or with none. A
    project that is deleted meanwhile holds nothing.
    """

    def __init__(
        self,
        projects: AsyncPaginator[Project],
        resources: Callable[[Project], Listing[Resource]],
        *,
        concurrency: int,
        max_pages: int,
    ) -> None:
        self._projects = projects
        self._resources = resources
        self._concurrency = concurrency
        self._max_pages = max_pages

    def __aiter__(self) -> AsyncIterator[tuple[Project, Resource]]:
        return Items(self.pages())

    def pages(self) -> AsyncIterator[ProjectResources]:
        """The projects one by one, each with all its resources.

        Raises:
            APIError: While iterating: a project couldn't be read. Those before it were handed out,
                and to ask the same iterator again is to try it again.
        """
        return _Pages(self._projects, self._read, self._concurrency)

    async def _read(self, project: Project, gate: asyncio.Semaphore) -> ProjectResources:
        paginator = AsyncPaginator(
            attrs.evolve(self._resources(project), gate=gate),
            concurrency=self._concurrency,
            max_pages=self._max_pages,
        )
        try:
            resources = await paginator.collect()
        except NotFoundError:
            resources = []
        return ProjectResources(project=project, resources=tuple(resources))


class _Pages:
    """The projects of one reading."""

    def __init__(
        self,
        paginator: AsyncPaginator[Project],
        read: Callable[[Project, asyncio.Semaphore], Awaitable[ProjectResources]],
        concurrency: int,
    ) -> None:
        self._paginator = paginator
        self._read = read
        self._concurrency = concurrency
        self._projects: list[Project] = []
        self._waves: Waves[ProjectResources] | None = None
        self._gate = asyncio.Semaphore(concurrency)
        self._number = 1
        self._busy = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ProjectResources:
        if self._busy:
            raise ClientUsageError("an iterator serves one task at a time: make one for each")
        self._busy = True
        try:
            waves = self._waves or await self._begin()
            if self._number > len(self._projects):
                raise StopAsyncIteration
            # Nothing of a wave outlives this call, whose loop need not be the next one's.
            self._gate = asyncio.Semaphore(self._concurrency)
            page = await waves.get(self._number, len(self._projects))
        finally:
            self._busy = False
        self._number += 1
        return page

    async def _begin(self) -> Waves[ProjectResources]:
        projects = await self._paginator.collect()
        self._projects = projects
        self._waves = Waves(lambda n: self._read(projects[n - 1], self._gate), self._concurrency)
        return self._waves
