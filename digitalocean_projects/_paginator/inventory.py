"""AsyncInventory: the resources of all or of chosen projects."""

from __future__ import annotations

from collections.abc import AsyncIterator

from digitalocean_projects._codec.models import Project, ProjectResources, Resource
from digitalocean_projects._public import explain_misuse, publish

from .listing import Items
from .reader import ProjectPages, Reader


class AsyncInventory:
    """The resources of all or of chosen projects, as pairs of a project and a resource.

    `AsyncProjects.resources_by_project` returns inventories.

    Iterate over it to get the pairs, project by project. Projects are read in waves of up to
    `concurrency` concurrent requests, and a wave ends before its first pair is returned, so you may
    leave the loop at any point. Each iteration reads everything again, and reads each project as
    `collect` of a paginator does. A resource that moves to another project meanwhile can appear
    with either project, with both, or with none. A project that is deleted meanwhile is returned
    without resources if all projects are read, and is a failure if it was chosen. If a project
    can't be read, the iteration continues, and raises an `InventoryError` at the end; see `pages`.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __repr__(self) -> str:
        return f"<AsyncInventory of {'all' if self._reader.skips_deleted else 'chosen'} projects>"

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
        return ProjectPages(self._reader)


publish(globals())
explain_misuse(
    AsyncInventory,
    "an AsyncInventory must be read with `async for project, resource in inventory` or "
    "`await inventory.collect()`",
    "__await__",
    "__iter__",
)
