"""AsyncInventory: the resources of all projects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

import attrs

from digitalocean_projects._codec.models import Project, ProjectResources, Resource
from digitalocean_projects._errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    ClientUsageError,
    InventoryError,
    NotFoundError,
    RateLimitError,
    RateLimitWaitError,
)
from digitalocean_projects._public import explain_misuse, publish
from digitalocean_projects._session.pool import current_loop
from digitalocean_projects._session.tracing import Steps

from .listing import NOT_BLOCKING, Items, Listing
from .paginator import AsyncPaginator
from .prefetch import Waves

# The API's own 404: one of a gateway in between says nothing about the project.
NOT_FOUND = "not_found"
_Failure = tuple[Project, APIError]
_Outcome = ProjectResources | _Failure


class AsyncInventory:
    """The resources of all projects, as pairs of a project and a resource.

    `AsyncProjects.resources_by_project` returns inventories.

    Iterate over it to get the pairs, project by project. Projects are read in waves of up to
    `concurrency` concurrent requests, and a wave ends before its first pair is returned, so you may
    leave the loop at any point. Each iteration reads everything again, and reads each project as
    `collect` of a paginator does. A resource that moves to another project meanwhile can appear
    with either project, with both, or with none. A project that is deleted meanwhile is returned
    without resources. If a project can't be read, the iteration continues, and raises an
    `InventoryError` at the end; see `pages`.
    """

    def __init__(
        self,
        projects: AsyncPaginator[Project],
        resources: Callable[[Project], Listing[Resource]],
        *,
        concurrency: int,
        max_pages: int,
        secret: str,
        strict: bool = False,
    ) -> None:
        self._projects = projects
        self._resources = resources
        self._concurrency = concurrency
        self._max_pages = max_pages
        self._secret = secret
        self._strict = strict

    def __repr__(self) -> str:
        return "<AsyncInventory of all projects>"

    def __aiter__(self) -> AsyncIterator[tuple[Project, Resource]]:
        return Items(self.pages())

    async def collect(self) -> list[tuple[Project, Resource]]:
        """Return all pairs of a project and a resource, project by project.

        Raises:
            InventoryError: Some projects couldn't be read. Iterate instead to get the resources of
                all other projects before the error.
            APIError: As in `pages`.
        """
        return [pair async for page in self.pages() for pair in page.items]

    def pages(self) -> AsyncIterator[ProjectResources]:
        """Return an iterator over the projects, each with all its resources.

        The iterator can be used again after an error. After an `InventoryError` it reads the failed
        projects again. After any other error it continues with the project that it was reading.

        Raises:
            InventoryError: Some projects could not be read. It is raised after the last of the
                other projects, and its `failures` has the error of each failed one.
            APIError: The projects could not be listed, or the error concerns all projects: the
                token is refused (401), its rate limit is used up, or no connection can be made.
                It is raised at once.
            ClientUsageError: The client can't be used, or the iterator is already in use.
        """
        return _Pages(
            self._projects, self._read, self._concurrency, self._secret, strict=self._strict
        )

    async def _read(self, project: Project, gate: asyncio.Semaphore) -> _Outcome:
        try:
            paginator = AsyncPaginator(
                attrs.evolve(self._resources(project), gate=gate),
                concurrency=self._concurrency,
                max_pages=self._max_pages,
            )
            resources = await paginator.collect(strict=self._strict)
        except APIError as error:
            if _concerns_all(error):
                raise
            if isinstance(error, NotFoundError) and error.id == NOT_FOUND:
                return ProjectResources(project=project, resources=())
            # Its traceback holds this frame, which would hold the error: a reference cycle.
            return project, error.with_traceback(None)
        return ProjectResources(project=project, resources=tuple(resources))


def _concerns_all(error: APIError) -> bool:
    """Return True if the request for any other project would raise the same error."""
    if isinstance(error, APIConnectionError):
        return not error.sent
    return isinstance(error, AuthenticationError | RateLimitError | RateLimitWaitError)


class _Pages:
    """The projects of one reading."""

    def __init__(
        self,
        paginator: AsyncPaginator[Project],
        read: Callable[[Project, asyncio.Semaphore], Awaitable[_Outcome]],
        concurrency: int,
        secret: str,
        *,
        strict: bool,
    ) -> None:
        self._paginator = paginator
        self._read = read
        self._concurrency = concurrency
        self._secret = secret
        self._strict = strict
        self._projects: list[Project] = []
        self._failures: list[_Failure] = []
        self._waves: Waves[_Outcome] | None = None
        self._gate = asyncio.Semaphore(concurrency)
        self._number = 1
        # A step in a closed loop or in a parent process never ends, so it must not block others.
        self._busy_in: asyncio.AbstractEventLoop | None = None
        self._steps = Steps("projects.resources_by_project")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ProjectResources:
        loop = current_loop()
        if loop is not None and self._busy_in is loop:
            raise ClientUsageError(
                "this iterator is already in use by another task; create one for each task"
            )
        self._busy_in = loop
        try:
            with self._steps.step():
                return await self._next()
        finally:
            self._busy_in = None

    async def _next(self) -> ProjectResources:
        waves = self._waves or self._begin(await self._paginator.collect(strict=self._strict))
        while self._number <= len(self._projects):
            # A wave ends within this call. The next call may run in another event loop.
            self._gate = asyncio.Semaphore(self._concurrency)
            outcome = await waves.get(self._number, len(self._projects))
            self._number += 1
            if isinstance(outcome, ProjectResources):
                return outcome
            self._failures.append(outcome)
        if self._failures:
            failures, self._failures = tuple(self._failures), []
            self._begin([project for project, _ in failures])
            raise InventoryError(failures, secret=self._secret)
        raise StopAsyncIteration

    def _begin(self, projects: list[Project]) -> Waves[_Outcome]:
        """Begin to read these projects."""
        self._projects, self._number = projects, 1
        self._waves = Waves(lambda n: self._read(projects[n - 1], self._gate), self._concurrency)
        return self._waves


publish(globals())
explain_misuse(
    AsyncInventory,
    "an AsyncInventory must be read with `async for project, resource in inventory` or "
    "`await inventory.collect()`",
    "__await__",
    "__iter__",
)
explain_misuse(_Pages, NOT_BLOCKING, "__await__", "__iter__")
