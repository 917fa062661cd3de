"""AsyncProjects: the operations on projects and their resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ._arguments import (
    AnyProject,
    ProjectLike,
    checked_count,
    checked_type,
    checked_wait,
    project_path,
    settable,
    urns_by_project,
)
from ._assignment.apply import apply
from ._assignment.assignment import Assignment
from ._assignment.plan import Plan, make_plan
from ._assignment.reconcile import reconcile
from ._assignment.results import AppliedPlan, AssignmentResult, Reconciliation
from ._assignment.waiting import delete_when_empty, wait_until_listed
from ._codec.enums import Environment
from ._codec.models import Project, Resource
from ._codec.urn import URN, URNLike, sendable
from ._codec.urns import distinct_urns
from ._defaults import (
    DEFAULT_CHUNK_SIZE,
    DEFAULT_CHUNKS,
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_PAGES,
    DEFAULT_PER_PAGE,
    DEFAULT_PROJECT,
)
from ._described import Request
from ._endpoints import READ, Endpoints
from ._lookup import first_holder, named
from ._paginator.inventory import AsyncInventory
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
        self._endpoints = Endpoints(manager)

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

        Args:
            per_page: Number of projects on a page, an int from 1 to 200. The default is 200.
            concurrency: Maximum number of concurrent requests. The default is 16.
            max_pages: Maximum number of pages; a longer listing raises a `PaginationError`. The
                default is 10,000.
        """
        return AsyncPaginator(
            self._endpoints.projects(per_page),
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
        return named(name, projects, secret=self._manager.settings.token)

    async def get(self, project: ProjectLike) -> Project:
        """Return a project.

        Requires the scope `project:read`.

        Raises:
            NotFoundError: The project doesn't exist.
        """
        return await self._endpoints.send("GET", project_path(project), READ)

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
        return await self._endpoints.create(
            name, purpose, description=description, environment=environment
        )

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
        return await self._endpoints.send("PUT", project_path(project), _UPDATE, members)

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
        return await self._endpoints.send("PATCH", project_path(project), _UPDATE, members)

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

        Args:
            project: UUID, `default` (the default) or a `Project`.
            per_page: Number of resources on a page, an int from 1 to 200. The default is 200.
            concurrency: Maximum number of concurrent requests. The default is 16.
            max_pages: Maximum number of pages; a longer listing raises a `PaginationError`. The
                default is 10,000.
        """
        return AsyncPaginator(
            self._endpoints.resources(project, per_page),
            concurrency=checked_count("concurrency", concurrency),
            max_pages=checked_count("max_pages", max_pages),
        )

    def resources_by_project(
        self,
        projects: Iterable[ProjectLike] | None = None,
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> AsyncInventory:
        """Return an inventory: the resources of several projects, each together with its project.

        No request is sent before the inventory is used. Requires the scope `project:read`, and
        a scope such as `droplet:read` for each type of resource; the API leaves out other types.

        Args:
            projects: The projects, in the order to read them. A UUID or `default` is looked up
                first; an error of that request is raised before any project is read. A `Project`
                that was deleted is a failure. The default, None, stands for all projects, in the
                API's order.
            concurrency: Maximum number of concurrent requests. The default is 16.

        Returns:
            An inventory. Its iteration continues after a project that can't be read, and raises
            an `InventoryError` at the end, see `AsyncInventory.pages`.
        """
        return AsyncInventory(self._endpoints.reader(projects, concurrency))

    async def project_of(self, resource: URNLike, *, concurrency: int = 1) -> Project | None:
        """Return the project that holds a resource, or None if no project lists it.

        Lists the projects, and then the resources of one project after the other, until a page has
        the resource. A token that lacks a scope such as `droplet:read` doesn't see the resource.
        A resource that moves meanwhile can be missed.

        Args:
            resource: The resource, under any of its names; see `URN.canonical`.
            concurrency: Maximum number of concurrent requests. More of them take less time, but
                more requests than necessary. The default is 1.

        Raises:
            InventoryError: The resource may be in a project that couldn't be read.
        """
        urn = sendable(URN.of(resource)).canonical
        return await first_holder(self._endpoints.reader(None, concurrency, wanted=urn))

    async def assign_resources(
        self,
        project: ProjectLike,
        resources: Iterable[URNLike],
        *,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        concurrency: int = DEFAULT_CHUNKS,
    ) -> AssignmentResult:
        """Move resources into a project, wherever they are now.

        The API cannot remove a resource from a project; assign it to another one, for example to
        `default`. The API moves resources seconds to minutes after it has responded. Call
        `wait_until_assigned` if the next step depends on the move.

        Assigning is idempotent. Repeated resources are sent once, and an empty iterable sends no
        request. Resources are sent in chunks, up to `concurrency` at the same time. Reserved IPs
        come last, since they can't move before their Droplet. Resources with the status
        `service_down` are sent again, up to `RetryPolicy.attempts` times in all. If a request
        fails, no other one is sent, and those in flight may end. A chunk that the API refuses with
        403 because it "processes previous actions" is retried, and one is sent at a time.

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

        Args:
            project: UUID, `default` or a `Project`.
            resources: `URN`s, their texts, or objects or mappings with a `urn`.
            chunk_size: Maximum number of resources in a request. The default is 100.
            concurrency: Maximum number of concurrent requests. The default is 4.

        Returns:
            The outcome for each resource, in the order in which they were passed. Check its
            `failed`, `unknown` and `untouched`, or call `raise_for_failed`.

        Raises:
            APIError: A request failed, and all resources are untouched, or all are unknown; or the
                API refused every request. If several chunks failed, it is the first one's error.
            AssignmentError: A request failed otherwise. It holds the outcome for each resource.
        """
        checked_count("chunk_size", chunk_size)
        checked_count("concurrency", concurrency)
        part = project_path(project), distinct_urns(resources)
        (result,) = await Assignment(self._manager, part).run(chunk_size, concurrency)
        return result

    async def unassign_resources(
        self,
        resources: Iterable[URNLike],
        *,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        concurrency: int = DEFAULT_CHUNKS,
    ) -> AssignmentResult:
        """Move resources to the default project.

        The API has no other way to undo an assignment. See `assign_resources` for the requests.

        Args:
            resources: `URN`s, their texts, or objects or mappings with a `urn`.
            chunk_size: Maximum number of resources in a request. The default is 100.
            concurrency: Maximum number of concurrent requests. The default is 4.

        Returns:
            The outcome for each resource, as in `assign_resources`. The errors are the same.
        """
        return await self.assign_resources(
            DEFAULT_PROJECT, resources, chunk_size=chunk_size, concurrency=concurrency
        )

    async def reconcile(
        self,
        project: ProjectLike,
        desired: Iterable[URNLike],
        *,
        dry_run: bool = False,
        prune: bool = False,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        concurrency: int = DEFAULT_CHUNKS,
    ) -> Reconciliation:
        """Assign the desired resources that a project lacks.

        With `prune`, also move all its other resources to the default project, after the additions.
        The project is listed first, and again before the first removal if resources were added: one
        that has left isn't moved. `reservedip` and `floatingip` name the same resource. Repeated
        calls change nothing. While a move is in progress, the old project still lists the resource:
        wait with `wait_until_assigned` before you prune. Requires the scopes of `list_resources`
        and `assign_resources`.

        Args:
            project: UUID, `default` or a `Project`.
            desired: The resources that the project must hold: `URN`s, their texts, or objects or
                mappings with a `urn`.
            dry_run: Only return the plan, without making changes. The default is False.
            prune: Move all other resources to the default project. The default is False.
            chunk_size: Maximum number of resources in a request. The default is 100.
            concurrency: Maximum number of concurrent assignments. The default is 4.

        Returns:
            The changes that were made; with `dry_run`, those that would be made. Check its
            `failed`, `unknown` and `untouched`, or call `raise_for_failed`.

        Raises:
            APIError: The project could not be listed, or a request failed, and all resources are
                untouched, or all are unknown.
            PaginationError: `prune` is set, and the listing kept changing.
            AssignmentError: A request failed otherwise. It holds the outcome for each resource.
            ValueError: An argument is invalid, the default project would be pruned, or `desired` is
                empty and `prune` is set. No change was made.
        """
        path = project_path(project)
        checked_count("chunk_size", chunk_size)
        checked_count("concurrency", concurrency)
        checked_type("dry_run", dry_run, bool)
        checked_type("prune", prune, bool)
        return await reconcile(
            self._manager,
            self.list_resources(project),
            path,
            distinct_urns(desired),
            default_path=self._endpoints.default_path,
            dry_run=dry_run,
            prune=prune,
            chunk_size=chunk_size,
            concurrency=concurrency,
        )

    async def plan(
        self, wanted: Mapping[AnyProject, Iterable[URNLike]], *, create: bool = False
    ) -> Plan:
        """Return the moves that bring the account to a wanted state. Nothing is changed.

        Lists all projects and their resources. A resource that `wanted` doesn't name stays where it
        is, and so does one that is in its project already. One that no project lists is moved, too:
        it may be new, or of a type that the token may not read. Its move has no `source`.

        While an earlier move is in progress, the old project still lists the resource, so the move
        is planned again. Applying the move again has no effect. Requires the scopes of
        `list_resources`.

        Args:
            wanted: The resources that each project must hold: `URN`s, their texts, or objects or
                mappings with a `urn`. A project is given as its UUID, its name, `default`, or a
                `Project`. Text after `name:` is always a name. A `Project` that the account lacks
                is looked up by its name.
            create: Plan to create the projects whose name doesn't exist, with the attributes of the
                `Project`, or else those of `NewProject`. The default is False.

        Raises:
            ProjectLookupError: A project doesn't exist, or several have the name.
            InventoryError: Some projects could not be read, or kept changing.
            PaginationError: The list of projects kept changing.
            ValueError: A project or URN is invalid, or a resource is wanted twice. No request was
                sent, unless a project to create has an invalid attribute.
        """
        checked_type("create", create, bool)
        urns = urns_by_project(wanted)
        reader = self._endpoints.reader(None, DEFAULT_CONCURRENCY, strict=True)
        return await make_plan(reader, urns, create=create)

    async def apply(
        self,
        plan: Plan,
        *,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        concurrency: int = DEFAULT_CHUNKS,
        on_chunk: Callable[[AssignmentResult], object] | None = None,
    ) -> AppliedPlan:
        """Carry out a plan: create its new projects, and then assign the resources that it moves.

        Each source project is listed again just before its first move (at most three times while it
        changes), and a resource that it no longer lists isn't moved; then the target is listed,
        too, since an earlier move may have been completed. A source isn't listed again for its
        later chunks, so a resource that leaves it during a long plan is moved nevertheless. Each
        chunk is sent as `assign_resources` sends it. Applying a move again has no effect, so if a
        plan was carried out in part, make another one and carry it out. Requires the scopes of
        `list_resources` and `assign_resources`, and `project:create` if the plan has new projects.

        Args:
            plan: A plan that `plan` returned.
            chunk_size: Maximum number of resources in a request. The default is 100.
            concurrency: Maximum number of concurrent assignments. The default is 4.
            on_chunk: Function that is called with the outcome of each chunk after its requests, in
                the thread that sends them, for example to note what was done before an interrupt.
                A resource in neither its source nor its target is `untouched` in it. An error that
                it raises stops the move, and loses the outcome. None, the default, calls nothing.

        Returns:
            The outcome for each resource. Check its `left`, `failed`, `unknown` and `untouched`, or
            call `raise_for_failed`.

        Raises:
            APIError: A project could not be created, or a request failed, and all resources are
                untouched, or all are unknown. A note names the projects that were created.
            AssignmentError: A request failed otherwise. It holds the outcome for each resource that
                the plan moves. Resources that had arrived in their target are in `done`, and those
                that would be in `left` are in `untouched`.
            ValueError: An argument or a part of the plan is invalid. No request was sent.
        """
        checked_count("chunk_size", chunk_size)
        checked_count("concurrency", concurrency)
        return await apply(
            self._manager,
            checked_type("plan", plan, Plan),
            create=self._endpoints.create_planned,
            list_resources=self.list_resources,
            chunk_size=chunk_size,
            concurrency=concurrency,
            on_chunk=on_chunk,
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


_UPDATE = ("project:update",)


publish(globals())
trace_operations(AsyncProjects, "projects.")
