"""Endpoints: the requests on projects, and the listings of projects and of their resources."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs

from ._arguments import (
    PROJECTS_PATH,
    checked_count,
    checked_projects,
    creatable,
    is_project_id,
    project_path,
    settable,
)
from ._codec.json import decode_page, decode_project, encode_members
from ._codec.models import Project, Resource, urn_text
from ._defaults import DEFAULT_MAX_PAGES, DEFAULT_PER_PAGE, DEFAULT_PROJECT, MAX_PER_PAGE
from ._described import Request
from ._errors import APIResponseError
from ._messages import one_line
from ._paginator.listing import Listing
from ._paginator.paginator import AsyncPaginator
from ._paginator.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ._arguments import ProjectLike
    from ._assignment.plan import NewProject
    from ._codec.urn import URN
    from ._session.manager import SessionManager

READ = ("project:read",)
# The paths of requests that don't name the id of the project in the response.
_WITHOUT_ID = frozenset({PROJECTS_PATH, project_path(DEFAULT_PROJECT)})


@attrs.frozen(eq=False, repr=False)
class Endpoints:
    """The API's endpoints for projects.

    Args:
        manager: The manager that sends the requests.
    """

    manager: SessionManager

    async def send(
        self,
        method: str,
        path: str,
        scopes: tuple[str, ...],
        members: Mapping[str, object] | None = None,
    ) -> Project:
        """Send a request, and return the project in the response."""
        request = Request(
            method=method,
            path=path,
            prefix=self.manager.prefix,
            scopes=scopes,
            idempotent=method != "POST",
        )
        body = None if members is None else encode_members(members)
        wanted = None if path in _WITHOUT_ID else path.rpartition("/")[2]
        answer = await self.manager.request(request, body)
        return answer.decode(partial(decode_project, wanted=wanted))

    async def create(
        self, name: str, purpose: str, *, description: str, environment: str | None
    ) -> Project:
        """Create a project, and return it.

        Raises:
            TypeError: An attribute has a wrong type.
            ValueError: An attribute has an invalid value.
        """
        members = creatable(name=name, purpose=purpose, description=description)
        if environment is not None:
            members |= settable(environment=environment)
        return await self.send("POST", PROJECTS_PATH, ("project:create",), members)

    async def create_planned(self, new: NewProject) -> Project:
        """Create a project of a plan, and return it.

        Raises:
            APIResponseError: The id of the created project is not a UUID.
        """
        project = await self.create(
            new.name,
            new.purpose,
            description=new.description,
            environment=new.environment or None,
        )
        self.check_id(project, PROJECTS_PATH, "POST")
        return project

    def projects(self, per_page: int) -> Listing[Project]:
        """Return the listing of the projects."""
        return Listing(
            manager=self.manager,
            path=PROJECTS_PATH,
            decode=partial(decode_page, item=Project),
            key=attrgetter("id"),
            per_page=checked_count("per_page", per_page, MAX_PER_PAGE),
            scopes=READ,
            operation="projects.list",
        )

    def resources(self, project: ProjectLike, per_page: int) -> Listing[Resource]:
        """Return the listing of a project's resources."""
        return Listing(
            manager=self.manager,
            path=f"{project_path(project)}/resources",
            decode=partial(decode_page, item=Resource),
            key=urn_text,
            per_page=checked_count("per_page", per_page, MAX_PER_PAGE),
            scopes=READ,
            operation="projects.list_resources",
        )

    def resources_of(self, project: Project) -> Listing[Resource]:
        """Return the listing of the resources of a project that the API has listed."""
        self.check_id(project, PROJECTS_PATH)
        return self.resources(project, DEFAULT_PER_PAGE)

    def reader(
        self,
        projects: Iterable[ProjectLike] | None,
        concurrency: int,
        *,
        wanted: URN | None = None,
        strict: bool = False,
    ) -> Reader:
        """Return a reader of the resources of projects, or of all projects.

        Args:
            projects: The projects; None for all.
            concurrency: As in `Reader`.
            wanted: As in `Reader`.
            strict: As in `Reader`, and for the list of all projects, too.

        Raises:
            TypeError: An argument has a wrong type.
            ValueError: An argument has an invalid value.
        """
        checked_count("concurrency", concurrency)
        listing = self.projects(DEFAULT_PER_PAGE)
        listed = AsyncPaginator(listing, concurrency=concurrency, max_pages=DEFAULT_MAX_PAGES)
        chosen = None if projects is None else checked_projects(projects)
        return Reader(
            projects=partial(listed.collect, strict=strict)
            if chosen is None
            else partial(self._chosen, chosen),
            resources=self.resources_of,
            concurrency=concurrency,
            max_pages=DEFAULT_MAX_PAGES,
            secret=self.manager.settings.token,
            get=lambda project: self.send("GET", project_path(project), READ),
            skips_deleted=chosen is None and wanted is None and not strict,
            wanted=wanted,
            strict=strict,
        )

    async def _chosen(self, projects: Iterable[ProjectLike]) -> Sequence[Project]:
        found = [
            one if isinstance(one, Project) else await self.send("GET", project_path(one), READ)
            for one in projects
        ]
        # "default" may name one of the other projects.
        return tuple({project.id: project for project in found}.values())

    async def default_path(self) -> str:
        """Return the path of the default project with its UUID."""
        path = project_path(DEFAULT_PROJECT)
        default = await self.send("GET", path, READ)
        self.check_id(default, path)
        return project_path(default)

    def check_id(self, project: Project, path: str, method: str = "GET") -> None:
        """Check the id of a project that the API returned for a request.

        Raises:
            APIResponseError: The id is not a UUID, so no request may use it.
        """
        if not is_project_id(project.id) or project.id == DEFAULT_PROJECT:
            text = one_line(
                f'expected the id of a project to be a UUID, got "{project.id}"',
                self.manager.settings.token,
            )
            request = self.manager.located(Request(method=method, path=path))
            raise APIResponseError(text, request, status=HTTPStatus.OK)
