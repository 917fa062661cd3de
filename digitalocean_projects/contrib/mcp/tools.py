"""Tools: what an assistant can do with an account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import wraps
from typing import Annotated, Any, TypeVar

from digitalocean_projects._arguments import is_project_id
from digitalocean_projects._client import AsyncClient
from digitalocean_projects._codec.models import Environment, Project, Resource
from digitalocean_projects._codec.urn import URN
from digitalocean_projects._errors import APIError, ClientUsageError, InventoryError
from digitalocean_projects._version import __version__

try:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
    from pydantic import Field
except ModuleNotFoundError as _missing:
    raise ImportError(
        "digitalocean_projects.contrib.mcp requires mcp; "
        "install the extra digitalocean-projects[mcp]"
    ) from _missing

from .answers import (
    Applied,
    Assigned,
    Failure,
    FoundProject,
    Inventory,
    Place,
    PlannedChanges,
    Projects,
    Report,
    ResourcePage,
    Row,
    Summary,
)

T = TypeVar("T")

_INSTRUCTIONS = """\
Tools for DigitalOcean projects. A project is given as its UUID, its name or "default". A resource
has a URN of the form do:TYPE:ID, such as do:droplet:1, and is always in exactly one project. The
API moves resources seconds to minutes after it has accepted an assignment."""

_MOST = 1000
_SECONDS_BETWEEN_REPORTS = 1.0
_FAILURES = (APIError, ClientUsageError, ValueError, TypeError)

_Project = Annotated[str, Field(description="UUID, name, or 'default' for the default project")]
_Limit = Annotated[int, Field(ge=1, le=_MOST, description="Maximum number of rows to return")]
_Wanted = Annotated[
    dict[str, list[URN]],
    Field(description="The URNs that each project must hold, by its UUID, name or 'default'"),
]
_Create = Annotated[bool, Field(description="Create the projects whose name doesn't exist")]


def _with_errors(tool: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """Return a tool that shows the messages of this package's errors."""

    @wraps(tool)
    async def run(*arguments: Any, **options: Any) -> T:
        try:
            return await tool(*arguments, **options)
        except _FAILURES as error:
            reason = str(error)
        raise ToolError(reason)

    return run


class _Tools:
    """The tools, which share a client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._projects = client.projects

    async def list_projects(self, limit: _Limit = 200) -> Projects:
        """List the projects of the account."""
        found = await self._projects.list().collect()
        return Projects(projects=found[:limit], total=len(found), cut=len(found) > limit)

    async def find_project(self, project: _Project) -> FoundProject:
        """Find a project by its UUID or exact name; 'default' is the default project."""
        return FoundProject(project=await self._found(project))

    async def project_of(self, resource: URN) -> Place:
        """Find the project that holds a resource."""
        return Place(project=await self._projects.project_of(resource))

    async def list_resources(
        self,
        project: _Project = "default",
        page: Annotated[int, Field(ge=1, le=10_000)] = 1,
        per_page: Annotated[int, Field(ge=1, le=200)] = 100,
    ) -> ResourcePage:
        """List one page of the resources of a project, newest assignment first."""
        listing = self._projects.list_resources(await self._id(project), per_page=per_page)
        found = await anext(listing.pages(page))
        more = found.total is not None and page * per_page < found.total
        return ResourcePage(
            resources=list(found.items),
            page=page,
            total=found.total,
            next_page=page + 1 if more else None,
        )

    async def inventory(
        self,
        context: Context,
        type: Annotated[str | None, Field(description="Such as droplet; null for all")] = None,  # noqa: A002 - the API's word
        limit: _Limit = 200,
    ) -> Inventory:
        """List the resources of all projects with their projects, of one type or of all types."""
        rows: list[Row] = []
        total = 0
        failures: list[Failure] = []
        async with self._progress(context):
            async for project, resources in self._all(failures):
                chosen = [each for each in resources if type in {None, each.type}]
                total += len(chosen)
                rows += [
                    Row(project=project.name, project_id=project.id, resource=each)
                    for each in chosen[: limit - len(rows)]
                ]
        return Inventory(rows=rows, total=total, cut=total > len(rows), failures=failures)

    async def report(self, context: Context, limit: _Limit = 200) -> Report:
        """Count the resources of each project by type."""
        found: list[Summary] = []
        failures: list[Failure] = []
        async with self._progress(context):
            async for project, resources in self._all(failures):
                found.append(
                    Summary(
                        id=project.id,
                        name=project.name,
                        is_default=project.is_default,
                        resources=len(resources),
                        types=dict(Counter(each.type for each in resources).most_common()),
                    )
                )
        total = sum(each.resources for each in found)
        cut = len(found) > limit
        return Report(projects=found[:limit], total=total, cut=cut, failures=failures)

    async def plan(
        self, context: Context, wanted: _Wanted, *, create: _Create = False, limit: _Limit = 200
    ) -> PlannedChanges:
        """Show the moves that bring the account to a wanted state, and change nothing.

        A resource that isn't named stays where it is.
        """
        async with self._progress(context):
            plan = await self._projects.plan(wanted, create=create)
        return PlannedChanges(
            new_projects=list(plan.new_projects),
            moves=list(plan.moves[:limit]),
            total_moves=len(plan.moves),
            cut=len(plan.moves) > limit,
            kept=len(plan.kept),
        )

    async def apply(self, context: Context, wanted: _Wanted, *, create: _Create = False) -> Applied:
        """Bring the account to a wanted state: move resources, and with `create`, make projects.

        Call `plan` first to see the moves. A resource that isn't named stays where it is.
        """
        async with self._progress(context):
            plan = await self._projects.plan(wanted, create=create)
            result = await self._projects.apply(plan)
        bad = result.left or result.failed or result.unknown or result.untouched
        return Applied(result=result, complete=not bad)

    async def assign(
        self,
        context: Context,
        project: _Project,
        resources: Annotated[list[URN], Field(min_length=1, max_length=_MOST)],
    ) -> Assigned:
        """Move resources into a project, wherever they are now."""
        async with self._progress(context):
            result = await self._projects.assign_resources(await self._id(project), resources)
        return Assigned(result=result, complete=len(result.done) == len(set(resources)))

    async def create_project(
        self,
        name: str,
        purpose: Annotated[str, Field(description="Such as 'Website or blog'")],
        description: str = "",
        environment: Environment | None = None,
    ) -> FoundProject:
        """Create a project, which is empty and isn't the default one."""
        options = {"description": description, "environment": environment}
        return FoundProject(project=await self._projects.create(name, purpose, **options))  # type: ignore[arg-type]  # each has its type

    async def _found(self, project: str) -> Project:
        if is_project_id(project):
            return await self._projects.get(project)
        return await self._projects.find(project.removeprefix("name:"))

    async def _id(self, project: str) -> str:
        return project if is_project_id(project) else (await self._found(project)).id

    async def _all(
        self, failures: list[Failure]
    ) -> AsyncIterator[tuple[Project, Sequence[Resource]]]:
        """Yield each project with its resources, and note those that can't be read."""
        try:
            async for page in self._projects.resources_by_project().pages():
                yield page.project, page.resources
        except InventoryError as error:
            failures += [
                Failure(project=project.name, error=str(reason))
                for project, reason in error.failures
            ]

    @asynccontextmanager
    async def _progress(self, context: Context) -> AsyncIterator[None]:
        """Report the number of requests that were sent during the block, once a second."""
        before = self._client.statistics().requests

        async def report() -> None:
            sent = self._client.statistics().requests - before
            await context.report_progress(sent, message=f"{sent} requests sent")

        async def repeat() -> None:
            while True:
                await asyncio.sleep(_SECONDS_BETWEEN_REPORTS)
                await report()

        task = asyncio.create_task(repeat())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await report()


def make_server(client: AsyncClient, *, write: bool = False) -> MCPServer:
    """Return a server whose tools use a client.

    Args:
        client: The client. The server doesn't close it.
        write: True to add the tools that change the account. The default is False.
    """
    server: MCPServer = MCPServer(
        "digitalocean-projects",
        title="DigitalOcean projects",
        instructions=_INSTRUCTIONS,
        version=__version__,
        log_level="WARNING",
    )
    tools = _Tools(client)
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=True)
    moving = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)
    creating = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
    read = (
        tools.list_projects,
        tools.find_project,
        tools.project_of,
        tools.list_resources,
        tools.inventory,
        tools.report,
        tools.plan,
    )
    _add(server, read, reading)
    if write:
        _add(server, (tools.assign, tools.apply), moving)
        _add(server, (tools.create_project,), creating)
    return server


def _add(
    server: MCPServer, tools: Iterable[Callable[..., Awaitable[Any]]], kind: ToolAnnotations
) -> None:
    for tool in tools:
        server.add_tool(_with_errors(tool), annotations=kind)
