"""AsyncProjects: the operations on projects and their resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from operator import attrgetter

from ._arguments import (
    DEFAULT_PROJECT,
    PROJECTS_PATH,
    ProjectLike,
    checked_count,
    checked_type,
    checked_wait,
    is_project_id,
    project_path,
    settable,
)
from ._assignment.assignment import Assignment
from ._assignment.reconcile import reconcile
from ._assignment.results import AssignmentResult, Reconciliation
from ._assignment.waiting import delete_when_empty, wait_until_listed
from ._codec.json import decode_project, encode_members
from ._codec.models import Environment, Project, Resource, urn_text
from ._codec.urn import URNLike, distinct_urns
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
from ._public import publish
from ._session.manager import SessionManager
from ._session.tracing import trace_operations


class AsyncProjects:
    """The operations on projects and their resources, as `AsyncClient.projects` returns them.

    A project is given as its UUID (a str or a `uuid.UUID`), as `"default"`, or as a `Project`. A
    resource is given as a `URN`, as the text of one, as an object with a `urn` attribute, or as a
    mapping with a key `urn`.

    Every argument is checked before any request: a wrong type raises a `TypeError`, and an invalid
    value a `ValueError`. Each operation that sends a request may raise the following errors. The
    documentation of an operation names only the other ones:

    - `AuthenticationError` if the token is invalid, and `PermissionDeniedError` if it lacks a
      scope.
    - `RateLimitError`, `ServerError` or `APIConnectionError` if all attempts have failed.
      `APITimeoutError` is a subclass of `APIConnectionError`.
    - `RateLimitWaitError` if the wait for the rate limits would exceed `deadline`, or after a
      response 429, `RetryPolicy.max_retry_after`.
    - `APIResponseError` if the response differs from the API's documentation.
    - `ClientUsageError` if the client is closed or belongs to another event loop.

    https://docs.digitalocean.com/reference/api/reference/projects/
    https://docs.digitalocean.com/reference/api/reference/project-resources/
    https://docs.digitalocean.com/reference/api/scopes/
    """

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    def __repr__(self) -> str:
        return f"<AsyncProjects at {self._manager.settings.base_url}>"

    def list(
        self,
        *,
        per_page: int = DEFAULT_PER_PAGE,
        concurrency: int = DEFAULT_CONCURRENCY,
        max_pages: int = DEFAULT_MAX_PAGES,
    ) -> AsyncPaginator[Project]:
        """Return a paginator over the projects of the account.

        No request is sent before the paginator is used. Requires the scope `project:read`.

        https://docs.digitalocean.com/reference/api/reference/projects/

        Args:
            per_page: Number of projects on a page, an int from 1 to 200. The default is 200.
            concurrency: Maximum number of concurrent requests. The default is 16.
            max_pages: Maximum number of pages; a longer listing raises a `PaginationError`. The
                default is 10,000.
        """
        listing = Listing(
            manager=self._manager,
            path=PROJECTS_PATH,
            item=Project,
            key=attrgetter("id"),
            per_page=checked_count("per_page", per_page, MAX_PER_PAGE),
            scopes=_READ,
            operation="projects.list",
        )
        return AsyncPaginator(
            listing,
            concurrency=checked_count("concurrency", concurrency),
            max_pages=checked_count("max_pages", max_pages),
        )

    async def find(self, name: str) -> Project:
        """Return the project with exactly this name.

        Lists all projects. Requires the scope `project:read`.

        Raises:
            ProjectLookupError: No project has the name, or several have it. If none has it, the
                message suggests similar names.
        """
        checked_type("name", name, str)
        projects = await self.list().collect()
        found = tuple(project for project in projects if project.name == name)
        if len(found) != 1:
            near = () if found else _near(name, projects)
            hint = "" if found or near else _lookup_hint(name)
            secret = self._manager.settings.token
            raise ProjectLookupError(name, found, near=near, hint=hint, secret=secret)
        return found[0]

    async def get(self, project: ProjectLike) -> Project:
        """Return a project.

        Requires the scope `project:read`.

        Raises:
            NotFoundError: The project doesn't exist.
        """
        return await self._ask("GET", project_path(project), _READ)

    async def get_default(self) -> Project:
        """Return the default project, which holds all resources that no other project holds.

        Requires the scope `project:read`.
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
        """Create a project.

        Not retried once the request may have reached the API: a second request could create
        another project, or fail because the first one has taken the name. Requires the scope
        `project:create`.

        https://docs.digitalocean.com/reference/api/reference/projects/

        Args:
            name: Unique name, of 1 to 175 characters.
            purpose: Purpose, of 1 to 255 characters, see `Purpose`. The API stores any other text
                as `Other: …`.
            description: Description, of at most 255 characters. The default is empty.
            environment: `Environment` or its name in any case. None, the default, sets none.

        Returns:
            The new project. It is not the default project.

        Raises:
            ConflictError: Another project has the name.
            APIError: Another failure. If its `in_doubt` is true, the project may exist: check with
                `find(name)` before you try again.
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
        """Replace all editable attributes of a project; `patch` changes only some of them.

        Requires the scope `project:update`.

        Args:
            project: UUID, `default` or a `Project`.
            name: Unique name, of 1 to 175 characters.
            description: Description, of at most 255 characters.
            purpose: Purpose, of at most 255 characters, see `Purpose`.
            environment: `Environment` or its name in any case.
            is_default: True to make it the default project. False is refused for the current
                default project.

        Returns:
            The changed project.

        Raises:
            BadRequestError: No project would be the default one.
            ConflictError: Another project has the name.
            NotFoundError: The project doesn't exist.
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
        """Change only the given attributes of a project, those that are not None.

        Requires the scope `project:update`.

        Args:
            project: UUID, `default` or a `Project`.
            name: Unique name, of 1 to 175 characters.
            description: Description, of at most 255 characters.
            purpose: Purpose, of at most 255 characters, see `Purpose`.
            environment: `Environment` or its name in any case.
            is_default: True to make it the default project. False is refused for the current
                default project.

        Returns:
            The changed project.

        Raises:
            ValueError: No attribute is given, or one is invalid.
            BadRequestError: No project would be the default one.
            ConflictError: Another project has the name.
            NotFoundError: The project doesn't exist.
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
        """Delete a project. It must hold no resources, and must not be the default project.

        The API moves resources seconds to minutes after it has responded to an assignment. Until
        then it refuses to delete the project that they leave. If an earlier attempt may have
        deleted the project, status 404 counts as success. Requires the scope `project:delete`.

        https://docs.digitalocean.com/reference/api/reference/projects/

        Args:
            project: UUID or a `Project`.
            wait: Seconds, a float. While the project still holds resources, the request is repeated
                for this time, after delays of 1, 2, 4, 8 and then always 15 s. None, the default,
                doesn't repeat it.

        Raises:
            ValueError: `project` is `default`, or `wait` is negative or more than 10^9.
            BadRequestError: `project` is the UUID of the default project.
            PreconditionFailedError: The project still holds resources.
            RateLimitWaitError: The wait for the rate limits would exceed `wait`.
            NotFoundError: The project doesn't exist.
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
        """Return a paginator over the resources of a project, newest assignment first.

        No request is sent before the paginator is used. Requires the scope `project:read`, and
        a scope such as `droplet:read` for each type of resource; the API leaves out other types.

        https://docs.digitalocean.com/reference/api/reference/project-resources/

        Args:
            project: UUID, `default` (the default) or a `Project`.
            per_page: Number of resources on a page, an int from 1 to 200. The default is 200.
            concurrency: Maximum number of concurrent requests. The default is 16.
            max_pages: Maximum number of pages; a longer listing raises a `PaginationError`. The
                default is 10,000.
        """
        return AsyncPaginator(
            self._resources(project, per_page),
            concurrency=checked_count("concurrency", concurrency),
            max_pages=checked_count("max_pages", max_pages),
        )

    def resources_by_project(self, *, concurrency: int = DEFAULT_CONCURRENCY) -> AsyncInventory:
        """Return an inventory: the resources of all projects, each together with its project.

        No request is sent before the inventory is used. Requires the scope `project:read`, and
        a scope such as `droplet:read` for each type of resource; the API leaves out other types.

        Args:
            concurrency: Maximum number of concurrent requests. The default is 16.

        Returns:
            An inventory. Its iteration continues after a project that can't be read, and raises
            an `InventoryError` at the end, see `AsyncInventory.pages`.
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
        """Move resources into a project, wherever they are now.

        The API cannot remove a resource from a project; assign it to another one, for example to
        `default`. The API moves resources seconds to minutes after it has responded. Call
        `wait_until_assigned` if the next step depends on the move.

        Assigning is idempotent. Repeated resources are sent once, and an empty iterable sends no
        request. Resources are sent in chunks, one after the other. Resources with the status
        `service_down` are sent again, up to `RetryPolicy.attempts` times in all.

        A single resource can make the API refuse a whole chunk with 400, 412 or 422; for example, a
        reserved IP that is attached to a Droplet can only be moved together with the Droplet. The
        client then sends parts of the chunk, with at most 16 more requests, to find the refused
        resources and to assign the others.

        Requires the scope `project:update` (or `project:assign_resource` with `project:read`), and
        a scope to read each type of resource, such as `droplet:read`, or `block_storage:read` for
        volumes. `PermissionDeniedError.scopes` names them.

        The API refuses all resources of a request if it doesn't know the type of one. The client
        sends an IPv4 address of the type `reservedip` as `floatingip`, which the API always
        accepts.

        https://docs.digitalocean.com/reference/api/reference/project-resources/

        Args:
            project: UUID, `default` or a `Project`.
            resources: `URN`s, their texts, or objects or mappings with a `urn`.
            chunk_size: Maximum number of resources in a request. The default is 100.

        Returns:
            The outcome for each resource. Check its `failed`, `unknown` and `untouched`, or call
            `raise_for_failed`.

        Raises:
            APIError: A request failed before the outcome for any resource was known, or the API
                refused every request.
            AssignmentError: A later request failed. It holds the outcome for each resource.
        """
        checked_count("chunk_size", chunk_size)
        part = project_path(project), distinct_urns(resources)
        (result,) = await Assignment(self._manager, part).run(chunk_size)
        return result

    async def unassign_resources(
        self, resources: Iterable[URNLike], *, chunk_size: int = DEFAULT_CHUNK_SIZE
    ) -> AssignmentResult:
        """Move resources to the default project.

        A resource is always in a project, so the API has no other way to undo an assignment. See
        `assign_resources` for the requests and the scopes.

        Args:
            resources: `URN`s, their texts, or objects or mappings with a `urn`.
            chunk_size: Maximum number of resources in a request. The default is 100.

        Returns:
            The outcome for each resource, as `assign_resources` returns it.

        Raises:
            APIError: A request failed before the outcome for any resource was known, or the API
                refused every request.
            AssignmentError: A later request failed. It holds the outcome for each resource.
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
        """Assign the desired resources that a project lacks.

        With `prune`, also move all its other resources to the default project. The project is
        listed first; `reservedip` and `floatingip` name the same resource. Repeated calls change
        nothing. While a move is in progress, the old project still lists the resource: wait with
        `wait_until_assigned` before you prune. Requires the scopes of `list_resources` and
        `assign_resources`.

        Args:
            project: UUID, `default` or a `Project`.
            desired: The resources that the project must hold: `URN`s, their texts, or objects or
                mappings with a `urn`.
            dry_run: Only return the plan, without making changes. The default is False.
            prune: Move all other resources to the default project. The default is False.
            chunk_size: Maximum number of resources in a request. The default is 100.

        Returns:
            The changes that were made; with `dry_run`, those that would be made. Check its
            `failed`, `unknown` and `untouched`, or call `raise_for_failed`.

        Raises:
            APIError: The project could not be listed, or a request failed before the outcome for
                any resource was known.
            PaginationError: `prune` is set, and the listing kept changing.
            AssignmentError: A later request failed. It holds the outcome for each resource.
            ValueError: An argument is invalid, the default project would be pruned, or `desired` is
                empty and `prune` is set. No change was made.
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
        timeout: float,  # noqa: ASYNC109 - on the client's clock
    ) -> None:
        """Wait until one listing of a project has all the resources.

        Lists the project at once, and then again after delays of 1, 2, 4, 8 and then always 15 s.
        The token must be allowed to see the resources: the scopes are those of `list_resources`.

        Args:
            project: UUID, `default` or a `Project`.
            resources: `URN`s, their texts, or objects or mappings with a `urn`.
            timeout: Seconds after which the last listing starts, a float; 0 lists once.

        Raises:
            AssignmentTimeoutError: The last listing lacks a resource. `missing` names those that it
                lacks.
            RateLimitWaitError: The wait for the rate limits would exceed `timeout`.
            NotFoundError: The project doesn't exist.
            ValueError: An argument is invalid. No request was sent.
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
        name = path.rpartition("/")[2]
        wanted = name if is_project_id(name) and name != DEFAULT_PROJECT else None
        answer = await self._manager.request(request, body)
        return answer.decode(partial(decode_project, wanted=wanted))

    def _resources(self, project: ProjectLike, per_page: int) -> Listing[Resource]:
        return Listing(
            manager=self._manager,
            path=f"{project_path(project)}/resources",
            item=Resource,
            key=urn_text,
            per_page=checked_count("per_page", per_page, MAX_PER_PAGE),
            scopes=_READ,
            operation="projects.list_resources",
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
        """Check the id of a project that the API returned for a GET of `path`.

        Raises:
            APIResponseError: The id is not a UUID, so no request may use it.
        """
        if not is_project_id(project.id) or project.id == DEFAULT_PROJECT:
            text = one_line(
                f'expected the id of a project to be a UUID, got "{project.id}"',
                self._manager.settings.token,
            )
            request = self._manager.located(Request(method="GET", path=path, scopes=_READ))
            raise APIResponseError(text, request, status=HTTPStatus.OK)


def _lookup_hint(name: str) -> str:
    """Return the method for an argument that is not a name."""
    if name.strip().lower() == DEFAULT_PROJECT:
        return "call get_default() for the default project"
    return "pass an id to get()" if is_project_id(name.strip()) else ""


def _near(name: str, projects: Sequence[Project]) -> Sequence[str]:
    """Return up to three names of projects that a user may have meant, the nearest first."""
    from difflib import get_close_matches  # noqa: PLC0415 - only this error needs it
    from heapq import nlargest  # noqa: PLC0415 - only this error needs it

    wanted = " ".join(name.casefold().split())
    names: dict[str, list[str]] = {}
    for project in projects:
        names.setdefault(" ".join(project.name.casefold().split()), []).append(project.name)
    if same := names.get(wanted):
        return same[:_MOST_NEAR]
    # The comparison of difflib takes 3 ms for two texts of 175 characters, and blocks the event
    # loop. So it gets only the names that share the most with the wanted one at their ends.
    alike = [text for text in names if abs(len(text) - len(wanted)) <= _MOST_MISSING]
    lengths = range(1, len(wanted) + 1, len(wanted) // _STEPS + 1)
    starts, ends = [wanted[:n] for n in lengths], [wanted[-n:] for n in lengths]

    def shared(text: str) -> int:
        return sum(map(text.startswith, starts)) + sum(map(text.endswith, ends))

    likely = nlargest(_MOST_COMPARED, alike, key=shared)
    near = get_close_matches(wanted, likely, n=_MOST_NEAR, cutoff=_LEAST_RATIO)
    return [each for text in near for each in names[text]][:_MOST_NEAR]


_MOST_NEAR = 3
_MOST_MISSING = 8
_MOST_COMPARED = 20
_STEPS = 8
# With the default of difflib, 0.6, "staging" would be near "testing".
_LEAST_RATIO = 0.75
_READ = ("project:read",)
_UPDATE = ("project:update",)


publish(globals())
trace_operations(AsyncProjects, "projects")
