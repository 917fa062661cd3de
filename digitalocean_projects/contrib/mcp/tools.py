"""Tools: what an assistant can do with an account."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import wraps
from typing import Annotated, Any, TypeVar

from digitalocean_projects._assignment.results import AppliedPlan, AssignmentResult
from digitalocean_projects._client import AsyncClient
from digitalocean_projects._codec.enums import Environment
from digitalocean_projects._codec.urn import URN, listed_type
from digitalocean_projects._errors import (
    APIError,
    AssignmentError,
    ClientUsageError,
)
from digitalocean_projects._projects import AsyncProjects
from digitalocean_projects._version import __version__

try:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.server.mcpserver.tools import Tool
    from mcp_types import ToolAnnotations
    from pydantic import Field
except ModuleNotFoundError as _missing:
    raise ImportError(
        "digitalocean_projects.contrib.mcp requires mcp; "
        "install the extra digitalocean-projects[mcp]"
    ) from _missing

from digitalocean_projects._paginator.reader import UNSETTLED

from .answers import (
    Applied,
    Assigned,
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
from .reading import Reading, found_project, project_id

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
    Field(
        description="The URNs that each project must hold, by its UUID, name or 'default'; at most "
        f"{_MOST} projects and URNs"
    ),
]
_Create = Annotated[bool, Field(description="Create the projects whose name doesn't exist")]


def _with_errors(tool: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """Return a tool that shows the messages of this package's errors."""

    @wraps(tool)
    async def run(*arguments: Any, **options: Any) -> T:
        try:
            return await tool(*arguments, **options)
        except _FAILURES as error:
            notes: list[str] = getattr(error, "__notes__", [])
            reason = "\n".join([str(error), *notes])
            reason = reason.replace("pass create=True", "call again with create: true")
        raise ToolError(reason)

    return run


class _Tools:
    """The tools, which share a client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._projects = client.projects

    async def list_projects(self, limit: _Limit = 200) -> Projects:
        """List the projects of the account."""
        listing = self._projects.list()
        found = await listing.collect()
        doubts = []
        if not listing.settled:
            doubts.append(UNSETTLED)
        if (hidden := (listing.total or 0) - len(found)) > 0:
            doubts.append(f"projects that the listing lacks: {hidden}")
        cut = len(found) > limit
        return Projects(projects=found[:limit], total=len(found), cut=cut, doubts=doubts)

    async def find_project(self, project: _Project) -> FoundProject:
        """Find a project by its UUID or exact name; 'default' is the default project."""
        return FoundProject(project=await found_project(self._projects, project))

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
        listing = self._projects.list_resources(
            await project_id(self._projects, project), per_page=per_page
        )
        pages = listing.pages(page)
        found = await anext(pages)
        ended: bool = pages.ended  # type: ignore[attr-defined]  # internal
        return ResourcePage(
            resources=list(found.items),
            page=page,
            total=found.total,
            next_page=None if ended else page + 1,
        )

    async def inventory(
        self,
        context: Context,
        type: Annotated[str | None, Field(description="Such as droplet; null for all")] = None,  # noqa: A002 - the API's word
        limit: _Limit = 200,
    ) -> Inventory:
        """List the resources of all projects with their projects, of one type or of all types."""
        chosen_type = None if type is None else listed_type(type)
        rows: list[Row] = []
        total = 0
        async with self._progress(context) as projects:
            reading = Reading(projects)
            async for page in reading.pages():
                chosen = [each for each in page.resources if chosen_type in {None, each.type}]
                total += len(chosen)
                rows += [
                    Row(project=page.project.name, project_id=page.project.id, resource=each)
                    for each in chosen[: limit - len(rows)]
                ]
        longest = max(total, len(reading.failures), len(reading.doubts))
        return Inventory(
            rows=rows,
            total=total,
            cut=longest > limit,
            failures=reading.failures[:limit],
            doubts=reading.doubts[:limit],
        )

    async def report(self, context: Context, limit: _Limit = 200) -> Report:
        """Count the resources of each project by type."""
        async with self._progress(context) as projects:
            reading = Reading(projects)
            found = [Summary.of(page) async for page in reading.pages()]
        longest = max(len(found), len(reading.failures), len(reading.doubts))
        return Report(
            projects=found[:limit],
            total=sum(each.resources for each in found),
            cut=longest > limit,
            failures=reading.failures[:limit],
            doubts=reading.doubts[:limit],
        )

    async def plan(
        self, context: Context, wanted: _Wanted, *, create: _Create = False, limit: _Limit = 200
    ) -> PlannedChanges:
        """Show the moves that bring the account to a wanted state, and change nothing.

        A resource that isn't named stays where it is.
        """
        _check_size(wanted)
        async with self._progress(context) as projects:
            plan = await projects.plan(wanted, create=create)
        return PlannedChanges(
            new_projects=list(plan.new_projects[:limit]),
            total_new_projects=len(plan.new_projects),
            moves=list(plan.moves[:limit]),
            total_moves=len(plan.moves),
            cut=max(len(plan.moves), len(plan.new_projects)) > limit,
            kept=len(plan.kept),
        )

    async def apply(self, context: Context, wanted: _Wanted, *, create: _Create = False) -> Applied:
        """Bring the account to a wanted state: move resources, and with `create`, make projects.

        Call `plan` first to see the moves. A resource that isn't named stays where it is.
        """
        _check_size(wanted)
        reason = None
        async with self._progress(context) as projects:
            plan = await projects.plan(wanted, create=create)
            try:
                result = await projects.apply(plan)
            except AssignmentError as error:
                reason = str(error)
                part = AssignmentResult.of_error(error)
                result = AppliedPlan.of([part], created=error.created, kept=plan.kept, left=())
        bad = result.left or result.failed or result.unknown or result.untouched
        return Applied(result=result, complete=not (bad or reason), error=reason)

    async def assign(
        self,
        context: Context,
        project: _Project,
        resources: Annotated[list[URN], Field(min_length=1, max_length=_MOST)],
    ) -> Assigned:
        """Move resources into a project, wherever they are now."""
        reason = None
        async with self._progress(context) as projects:
            target = await project_id(projects, project)
            try:
                result = await projects.assign_resources(target, resources)
            except AssignmentError as error:
                reason = str(error)
                result = AssignmentResult.of_error(error)
        bad = result.failed or result.unknown or result.untouched
        return Assigned(result=result, complete=not (bad or reason), error=reason)

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

    @asynccontextmanager
    async def _progress(self, context: Context) -> AsyncIterator[AsyncProjects]:
        """Report the number of requests that the block sends, once a second.

        The block sends them with the projects that it receives. A report that fails, such as to a
        client that has gone, doesn't change the outcome.
        """
        client = self._client.with_options()

        async def report() -> None:
            sent = client.statistics().requests
            with suppress(Exception):
                await context.report_progress(sent, message=f"{sent} requests sent")

        async def repeat() -> None:
            while True:
                await asyncio.sleep(_SECONDS_BETWEEN_REPORTS)
                await report()

        task = asyncio.create_task(repeat())
        try:
            yield client.projects
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await report()


def _check_size(wanted: Mapping[str, Sequence[URN]]) -> None:
    """Check that a wanted state, and so each answer about it, is not too long."""
    size = len(wanted) + sum(map(len, wanted.values()))
    if size > _MOST:
        raise ValueError(
            f"wanted must have at most {_MOST} projects and resources, got {size}; "
            "make several calls with a part of them"
        )


@contextmanager
def _logging_kept() -> Iterator[None]:
    """Keep the handlers and the level of the root logger, which `MCPServer` sets if it has none."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def make_server(client: AsyncClient, *, write: bool = False) -> MCPServer:
    """Return a server whose tools use a client.

    Args:
        client: The client. The server doesn't close it.
        write: True to add the tools that change the account. The default is False.
    """
    tools = _Tools(client)
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=True)
    moving = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)
    creating = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
    kinds: dict[Callable[..., Awaitable[Any]], ToolAnnotations] = dict.fromkeys(
        (
            tools.list_projects,
            tools.find_project,
            tools.project_of,
            tools.list_resources,
            tools.inventory,
            tools.report,
            tools.plan,
        ),
        reading,
    )
    if write:
        kinds |= {tools.assign: moving, tools.apply: moving, tools.create_project: creating}
    with _logging_kept():
        return MCPServer(
            "digitalocean-projects",
            title="DigitalOcean projects",
            instructions=_INSTRUCTIONS,
            version=__version__,
            tools=[_made(tool, kind) for tool, kind in kinds.items()],
        )


def _made(tool: Callable[..., Awaitable[Any]], kind: ToolAnnotations) -> Tool:
    """Return a tool for the server. Its errors don't repeat the input, which may hold a token."""
    made = Tool.from_function(_with_errors(tool), annotations=kind)
    model = made.fn_metadata.arg_model
    model.model_config["hide_input_in_errors"] = True
    model.model_rebuild(force=True)
    return made
