"""AsyncProjects: the operations on projects and their resources."""

from __future__ import annotations

from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING

from ._arguments import (
    DEFAULT_PROJECT,
    PROJECTS_PATH,
    checked_count,
    checked_type,
    checked_wait,
    is_project_id,
    project_path,
    settable,
)
from ._assignment.assignment import Assignment
from ._assignment.reconcile import reconcile
from ._assignment.waiting import delete_when_empty, wait_until_listed
from ._codec.json import decode_project, encode_members
from ._codec.models import Project, Resource
from ._codec.urn import distinct_urns
from ._config import (
    DEFAULT_CHUNK_SIZE,
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_PAGES,
    DEFAULT_PER_PAGE,
    MAX_PER_PAGE,
)
from ._errors import (
    APIResponseError,
    ProjectLookupError,
)
from ._messages import Request, one_line
from ._paginator.inventory import AsyncInventory
from ._paginator.listing import Listing
from ._paginator.paginator import AsyncPaginator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ._arguments import ProjectLike
    from ._assignment.results import AssignmentResult, Reconciliation
    from ._codec.models import Environment
    from ._codec.urn import URNLike
    from ._session.manager import SessionManager


class AsyncProjects:
    """The operations on projects and their resources.

    Pass a project as its UUID, as `default` or as a `Project`, and a resource as its URN, as the
    text of that, or as any object that has a `urn`. Every argument is checked before anything is
    sent: one of another type than annotated is a `TypeError`, one that can't be used a
    `ValueError`. What the API or the network does is an `APIError`.

    https://docs.digitalocean.com/reference/api/reference/projects/
    https://docs.digitalocean.com/reference/api/reference/project-resources/
    """

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    def list(
        self,
        *,
        per_page: int = DEFAULT_PER_PAGE,
        concurrency: int = DEFAULT_CONCURRENCY,
        max_pages: int = DEFAULT_MAX_PAGES,
    ) -> AsyncPaginator[Project]:
        """The projects of the account.

        Nothing is sent before the paginator is used. A token needs the scope `project:read`.

        Args:
            per_page: How many projects to ask for on a page, 1 to 200.
            concurrency: How many requests may be under way at once.
            max_pages: After how many pages to give up.
        """
        listing = Listing(
            manager=self._manager,
            path=PROJECTS_PATH,
            item=Project,
            key=attrgetter("id"),
            per_page=checked_count("per_page", per_page, MAX_PER_PAGE),
            scopes=_READ,
        )
        return AsyncPaginator(
            listing,
            concurrency=checked_count("concurrency", concurrency),
            max_pages=checked_count("max_pages", max_pages),
        )

    async def find(self, name: str) -> Project:
        """The project of exactly this name.

        Lists all projects. A token needs the scope `project:read`.

        Raises:
            ProjectLookupError: There is none, or there are several.
        """
        checked_type("name", name, str)
        projects = await self.list().collect()
        found = tuple(project for project in projects if project.name == name)
        if len(found) != 1:
            near = () if found else _near(name, projects)
            raise ProjectLookupError(name, found, near=near, secret=self._manager.settings.token)
        return found[0]

    async def get(self, project: ProjectLike) -> Project:
        """A project.

        A token needs the scope `project:read`.

        Raises:
            NotFoundError: There is no such project.
        """
        return await self._ask("GET", project_path(project), _READ)

    async def get_default(self) -> Project:
        """The default project, which holds what was made without naming a project.

        A token needs the scope `project:read`.
        """
        return await self.get(DEFAULT_PROJECT)

    async def create(
        self,
        name: str,
        purpose: str,
        *,
        description: str = "",
        environment: Environment | str | None = None,
    ) -> Project:
        """Make a project.

        It is not sent again where it may have been done. A token needs the scope `project:create`.

        Args:
            name: Its name, of at most 175 characters, which no other project has.
            purpose: What it is for, in at most 255 characters, see `Purpose`.
            description: What it is, in at most 255 characters.
            environment: An `Environment`, in any case, or None.

        Raises:
            APIError: It couldn't be made; look for its name where an answer was lost.
        """
        members = settable(name=name, purpose=purpose, description=description)
        if not purpose:
            raise ValueError("purpose must have 1 to 255 characters, got 0")
        if environment is not None:
            members |= settable(environment=environment)
        return await self._ask("POST", PROJECTS_PATH, ("project:create",), members)

    async def update(
        self,
        project: ProjectLike,
        *,
        name: str,
        description: str,
        purpose: str,
        environment: Environment | str,
        is_default: bool,
    ) -> Project:
        """Set all that can be set of a project; `patch` sets a part.

        A token needs the scope `project:update`.

        Args:
            project: The project: a UUID, `default` or a `Project`.
            name: Its name, of at most 175 characters, which no other project has.
            description: What it is, in at most 255 characters.
            purpose: What it is for, in at most 255 characters, see `Purpose`.
            environment: An `Environment`, in any case.
            is_default: Whether to make it the default project.

        Raises:
            ConflictError: Another project has the name.
            NotFoundError: There is no such project.
        """
        members = settable(
            name=name,
            description=description,
            purpose=purpose,
            environment=environment,
            is_default=is_default,
        )
        return await self._ask("PUT", project_path(project), _UPDATE, members)

    async def patch(
        self,
        project: ProjectLike,
        *,
        name: str | None = None,
        description: str | None = None,
        purpose: str | None = None,
        environment: Environment | str | None = None,
        is_default: bool | None = None,
    ) -> Project:
        """Set a part of what can be set of a project: what isn't None.

        A token needs the scope `project:update`.

        Args:
            project: The project: a UUID, `default` or a `Project`.
            name: Its name, of at most 175 characters, which no other project has.
            description: What it is, in at most 255 characters.
            purpose: What it is for, in at most 255 characters, see `Purpose`.
            environment: An `Environment`, in any case.
            is_default: Whether to make it the default project.

        Raises:
            ValueError: Nothing is to be set, the name is empty, a text too long, or the environment
                none of the three.
            ConflictError: Another project has the name.
            NotFoundError: There is no such project.
        """
        given = {
            "name": name,
            "description": description,
            "purpose": purpose,
            "environment": environment,
            "is_default": is_default,
        }
        members = settable(**{key: value for key, value in given.items() if value is not None})
        if not members:
            raise ValueError(f"nothing to update: pass at least one of {', '.join(given)}")
        return await self._ask("PATCH", project_path(project), _UPDATE, members)

    async def delete(self, project: ProjectLike, *, wait: float | None = None) -> None:
        """Delete a project, which must be empty and not the default one.

        Resources leave a project some seconds or minutes after they were assigned to another one,
        and until then the API refuses. A token needs the scope `project:delete`.

        Args:
            project: The project: a UUID, `default` or a `Project`.
            wait: Try again for this many seconds while the project still holds resources. A longer
                wait for the rate limits is an error. None, the default, sends one request, which
                waits for the limits as any other does.

        Raises:
            ValueError: `project` is `default`, or `wait` is negative or not finite.
            BadRequestError: `project` is the UUID of the default project.
            PreconditionFailedError: The project still holds resources.
            RateLimitWaitError: The wait for the rate limits is longer than `wait`.
            NotFoundError: There is no such project.
        """
        path = project_path(project)
        if path == project_path(DEFAULT_PROJECT):
            raise ValueError("the default project can't be deleted")
        request = Request(method="DELETE", path=path, scopes=("project:delete",))
        if wait is None:
            await delete_when_empty(self._manager, request, 0.0)
        else:
            manager = self._manager.starting_within(checked_wait("wait", wait))
            await delete_when_empty(manager, request, wait)

    def list_resources(
        self,
        project: ProjectLike = DEFAULT_PROJECT,
        *,
        per_page: int = DEFAULT_PER_PAGE,
        concurrency: int = DEFAULT_CONCURRENCY,
        max_pages: int = DEFAULT_MAX_PAGES,
    ) -> AsyncPaginator[Resource]:
        """The resources of a project, newest assignment first.

        Nothing is sent before the paginator is used. A token needs the scope `project:read`, and
        `<resource>:read` for each type of resource that it shall see.

        Args:
            project: The project: a UUID, `default` or a `Project`.
            per_page: How many resources to ask for on a page, 1 to 200.
            concurrency: How many requests may be under way at once.
            max_pages: After how many pages to give up.
        """
        return AsyncPaginator(
            self._resources(project, per_page),
            concurrency=checked_count("concurrency", concurrency),
            max_pages=checked_count("max_pages", max_pages),
        )

    def resources_by_project(self, *, concurrency: int = DEFAULT_CONCURRENCY) -> AsyncInventory:
        """The resources of all projects, each with its project.

        Nothing is sent before it is iterated over. A token needs the scope `project:read`, and
        `<resource>:read` for each type of resource that it shall see.

        Args:
            concurrency: The maximum number of concurrent requests.

        Returns:
            An inventory; a project that can't be read doesn't end its iteration, see `pages`.
        """
        return AsyncInventory(
            self.list(concurrency=concurrency),
            self._resources_of_listed,
            concurrency=concurrency,
            max_pages=DEFAULT_MAX_PAGES,
            secret=self._manager.settings.token,
        )

    async def assign_resources(
        self,
        project: ProjectLike,
        resources: Iterable[URNLike],
        *,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> AssignmentResult:
        """Move resources into a project, from the projects that they are in.

        They are sent in chunks, one after the other. To assign a resource that is in the project
        already is harmless. Resources whose service is down are sent again, as often as the retry
        policy allows. A token needs the scope `project:update` (or `project:assign_resource`), and
        `<resource>:read` for each type of resource.

        A single resource can make the API refuse a whole chunk with 400, 412 or 422, such as a
        reserved IP that is attached to a Droplet (it follows the Droplet). Such a chunk is narrowed
        down with at most 16 more requests: the resources that are refused are named in the result,
        and the others are assigned.

        The API moves them some seconds or minutes after its answer; see `wait_until_assigned`.

        Args:
            project: The project: a UUID, `default` or a `Project`.
            resources: URNs, their texts, or anything that has a `urn`. Repeats are sent once, and
                for none at all nothing is sent.
            chunk_size: The maximum number of resources in a request.

        Returns:
            The outcome for each resource: look at its `failed`, `unknown` and `untouched`, or call
            `raise_for_failed`.

        Raises:
            APIError: A request failed before anything was known of any resource, or the API
                refused every request.
            AssignmentError: A request failed later; says what has become of each resource.
        """
        checked_count("chunk_size", chunk_size)
        part = project_path(project), distinct_urns(resources)
        (result,) = await Assignment(self._manager, part).run(chunk_size)
        return result

    async def unassign_resources(
        self, resources: Iterable[URNLike], *, chunk_size: int = DEFAULT_CHUNK_SIZE
    ) -> AssignmentResult:
        """Move resources to the default project.

        A resource is always in a project, so the API has no other way to undo an assignment.

        Args:
            resources: As of `assign_resources`.
            chunk_size: As of `assign_resources`.

        Returns:
            What the API said of each resource.

        Raises:
            APIError: As of `assign_resources`.
        """
        return await self.assign_resources(DEFAULT_PROJECT, resources, chunk_size=chunk_size)

    async def reconcile(
        self,
        project: ProjectLike,
        desired: Iterable[URNLike],
        *,
        dry_run: bool = False,
        prune: bool = False,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> Reconciliation:
        """Bring a project to a wanted state: assign what is missing, and only that.

        Reads the project first; `reservedip` and `floatingip` are the same. To do it again does
        nothing. What is still on its way counts as where it is listed: before pruning, wait until
        it has arrived. Chunks that are refused are narrowed down as by `assign_resources`, whose
        scopes a token needs, and those of `list_resources`.

        Args:
            project: The project: a UUID, `default` or a `Project`.
            desired: The resources that are to be in it, as of `assign_resources`.
            dry_run: Only tell what would be done.
            prune: Move all other resources to the default project.
            chunk_size: As of `assign_resources`.

        Returns:
            What was done, or would be.

        Raises:
            APIError: The project couldn't be read, or nothing is known of any resource.
            PaginationError: It is to be pruned, and changes all the time.
            AssignmentError: As of `assign_resources`.
            ValueError: `project` is no project, a URN is malformed, or the default project is
                to be pruned; nothing was changed.
        """
        path = project_path(project)
        checked_count("chunk_size", chunk_size)
        checked_type("dry_run", dry_run, bool)
        checked_type("prune", prune, bool)
        return await reconcile(
            self._manager,
            self.list_resources(project),
            path,
            distinct_urns(desired),
            default_path=self._default_path,
            dry_run=dry_run,
            prune=prune,
            chunk_size=chunk_size,
        )

    async def wait_until_assigned(
        self,
        project: ProjectLike,
        resources: Iterable[URNLike],
        *,
        timeout: float,  # noqa: ASYNC109 - of the client's clock
    ) -> None:
        """Wait until one listing of a project has all these resources.

        It looks at once, after a second, and then after waits that double, up to 15 seconds.

        Args:
            project: The project: a UUID, `default` or a `Project`.
            resources: As of `assign_resources`.
            timeout: The seconds to wait, after which the last listing starts. A longer wait for the
                rate limits is an error.

        Raises:
            AssignmentTimeoutError: The time is up; says what is missing, which may be what the
                token isn't allowed to see.
            RateLimitWaitError: The wait for the rate limits is longer than `timeout` allows.
            NotFoundError: There is no such project.
            ValueError: `project` is no project, a URN is malformed, or `timeout` is negative or
                not finite; nothing was sent.
        """
        urns = distinct_urns(resources)
        manager = self._manager.starting_within(checked_wait("timeout", timeout))
        listing = AsyncProjects(manager).list_resources(project)
        await wait_until_listed(manager, listing, project_path(project), urns, timeout)

    async def _ask(
        self,
        method: str,
        path: str,
        scopes: tuple[str, ...],
        members: Mapping[str, object] | None = None,
    ) -> Project:
        request = Request(method=method, path=path, scopes=scopes, idempotent=method != "POST")
        body = None if members is None else encode_members(members)
        return (await self._manager.request(request, body)).decode(decode_project)

    def _resources(self, project: ProjectLike, per_page: int) -> Listing[Resource]:
        return Listing(
            manager=self._manager,
            path=f"{project_path(project)}/resources",
            item=Resource,
            key=attrgetter("_urn"),
            per_page=checked_count("per_page", per_page, MAX_PER_PAGE),
            scopes=_READ,
        )

    def _resources_of_listed(self, project: Project) -> Listing[Resource]:
        self._check_id(project, PROJECTS_PATH)
        return self._resources(project, DEFAULT_PER_PAGE)

    async def _default_path(self) -> str:
        """Return the path of the default project with its UUID."""
        default = await self.get_default()
        self._check_id(default, project_path(DEFAULT_PROJECT))
        return project_path(default)

    def _check_id(self, project: Project, path: str) -> None:
        """Check the id of a project that the API sent in response to a GET of `path`.

        Raises:
            APIResponseError: The id is not a UUID, so no request may be sent for the project.
        """
        if not is_project_id(project.id) or project.id == DEFAULT_PROJECT:
            text = one_line(
                f'expected the id of a project to be a UUID, got "{project.id}"',
                self._manager.settings.token,
            )
            request = self._manager.located(Request(method="GET", path=path, scopes=_READ))
            raise APIResponseError(text, request, status=HTTPStatus.OK)


def _near(name: str, projects: Sequence[Project]) -> Sequence[str]:
    """Return up to three names of projects that a user may have meant, the nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415 - only this error needs it

    folded = name.casefold()
    for project in projects:
        if project.name.casefold() == folded:
            return [project.name]
    some = {
        project.name.casefold()[:_COMPARED]: project.name for project in projects[:_MOST_COMPARED]
    }
    return [some[start] for start in get_close_matches(folded[:_COMPARED], some)]


# The comparison blocks the event loop: 0.1 s for the worst names of this length, and 2.7 s for
# 1,000 names of 175 characters. So the number of names is bounded, and that of their characters.
_MOST_COMPARED = 100
_COMPARED = 50
_READ = ("project:read",)
_UPDATE = ("project:update",)
