"""Reading: the projects and resources of an account, with the reasons to doubt them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs

from digitalocean_projects._arguments import NAME_PREFIX, is_project_id
from digitalocean_projects._codec.models import Project, ProjectResources
from digitalocean_projects._codec.urn import URN
from digitalocean_projects._errors import InventoryError
from digitalocean_projects._messages import one_line
from digitalocean_projects._paginator.reader import UNSETTLED, hidden_in
from digitalocean_projects._projects import AsyncProjects

from .answers import Failure


async def found_project(projects: AsyncProjects, project: str) -> Project:
    """Return the project with a UUID or a name, or the default one."""
    if is_project_id(project):
        return await projects.get(project)
    return await projects.find(project.removeprefix(NAME_PREFIX))


async def project_id(projects: AsyncProjects, project: str) -> str:
    """Return the id of the project with a UUID or a name; `default` stays as it is."""
    return project if is_project_id(project) else (await found_project(projects, project)).id


@attrs.frozen
class Reading:
    """A reading of the resources of all projects.

    Args:
        projects: The projects of the account.
        failures: The projects that could not be read, so far.
        doubts: Reasons why resources may be missing or misplaced, so far.
    """

    projects: AsyncProjects
    failures: list[Failure] = attrs.field(factory=list)
    doubts: list[str] = attrs.field(factory=list)
    _places: dict[URN, str] = attrs.field(factory=dict, init=False)

    async def pages(self) -> AsyncIterator[ProjectResources]:
        """Yield each project with its resources, and note those that can't be read."""
        try:
            async for page in self.projects.resources_by_project().pages():
                self._doubt(page)
                yield page
        except InventoryError as error:
            self.failures.extend(
                Failure(project=project.name, error=str(reason))
                for project, reason in error.failures
            )

    def _doubt(self, page: ProjectResources) -> None:
        name = one_line(page.project.name)
        if not page.settled:
            self.doubts.append(f"{name}: {UNSETTLED}")
        if (hidden := hidden_in(page)) > 0:
            self.doubts.append(
                f"{name}: resources that the listing lacks: {hidden}; the token may lack scopes"
            )
        for resource in page.resources:
            other = self._places.setdefault(resource.urn.canonical, name)
            if other is not name:
                text = f"{resource.urn}: it is in {other} and in {name}, so it has just been moved"
                self.doubts.append(one_line(text))
