"""The public names as type checkers see them. It is checked, and never run.

What must be refused has an ignore, which would be reported if it weren't needed.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=error

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from ssl import create_default_context
from typing import TYPE_CHECKING, Any, assert_type
from uuid import UUID

from aiohttp import ClientSession, TraceConfig

from digitalocean_projects import (
    DEFAULT_PROJECT,
    URN,
    APIConnectionError,
    APIError,
    APIResponse,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AppliedPlan,
    AssignmentError,
    AssignmentResult,
    AssignmentTimeoutError,
    AsyncClient,
    AsyncInventory,
    AsyncPaginator,
    AsyncProjects,
    AuthenticationError,
    BadRequestError,
    BucketStatistics,
    Client,
    ClientUsageError,
    ConflictError,
    Environment,
    Inventory,
    InventoryError,
    Lease,
    Limits,
    Move,
    NewProject,
    NotFoundError,
    Page,
    PaginationError,
    Paginator,
    PermissionDeniedError,
    Plan,
    PreconditionFailedError,
    Project,
    ProjectLookupError,
    ProjectResources,
    Projects,
    Purpose,
    RateLimit,
    RateLimitError,
    RateLimitWaitError,
    Reconciliation,
    Refusal,
    Resource,
    ResourceStatus,
    ResourceType,
    RetryPolicy,
    ServerError,
    Statistics,
    TokenBucket,
    UnprocessableEntityError,
)
from digitalocean_projects.contrib.redis import RedisLimits
from digitalocean_projects.testing import Emulator, MockClock, RecordedRequest, StoredProject

if TYPE_CHECKING:
    from digitalocean_projects import Clock, HasURN, ProjectLike, URNLike


class Droplet:
    """Anything that has a `urn`."""

    urn = "do:droplet:1"


class OwnClock:
    """A custom clock."""

    def time(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None: ...


has_urn: HasURN = Droplet()
clock: Clock = OwnClock()
mixed: list[URNLike] = ["do:droplet:1", URN("droplet", 1), Resource("do:droplet:1"), Droplet()]
mixed += [{"urn": "do:droplet:1", "status": "ok"}]
urns: list[URN] = []
texts: set[str] = set()
uuid = UUID(int=0)
project_likes: list[ProjectLike] = [uuid, str(uuid), "default"]
wanted: dict[ProjectLike, list[URNLike]] = {uuid: mixed, "web": []}


async def async_client() -> None:
    client = AsyncClient()
    AsyncClient(
        "token",
        base_url="https://api.example.com",
        timeout=1,
        connect_timeout=0.5,
        deadline=None,
        retry=RetryPolicy(attempts=1, statuses=frozenset({500}), jitter=lambda ceiling: ceiling),
        limits=None,
        bulk=True,
        max_body=1,
        allow_insecure=True,
        proxy=None,
        ssl=create_default_context(),
        user_agent="me",
        session=ClientSession(),
        session_factory=ClientSession,
        trace_configs=[TraceConfig()],
        clock=clock,
    )
    AsyncClient(1)  # type: ignore[arg-type]
    AsyncClient(timeout=None)  # type: ignore[arg-type]
    AsyncClient(limits=(250, 60.0))  # type: ignore[arg-type]
    AsyncClient(clock=object())  # type: ignore[arg-type]
    AsyncClient("token", "https://api.example.com")  # type: ignore[call-arg]

    async with client as entered:
        assert_type(entered, AsyncClient)
    with client:  # type: ignore[attr-defined]
        pass
    assert_type(client.projects, AsyncProjects)
    assert_type(client.rate_limit, RateLimit | None)
    assert_type(client.statistics(), Statistics)
    view = client.with_options(
        token="other", timeout=1, deadline=None, retry=RetryPolicy(), limits=Limits(), bulk=True
    )
    assert_type(view, AsyncClient)
    response = await client.request("GET", "/v2/droplets", params={"a": True, "b": ["c", 1]})
    assert_type(response, APIResponse)
    assert_type(response.json(), Any)
    await client.request("POST", "/v2/tags", json={"name": "web"}, idempotent=True)
    await client.request("GET", "/v2/droplets", params={"a": 1.5})  # type: ignore[dict-item]
    droplets = client.paginate("/v2/droplets", "droplets", params={"a": "b"}, per_page=1)
    assert_type(droplets, AsyncPaginator[dict[str, Any]])
    client.with_options(base_url="https://api.example.com")  # type: ignore[call-arg]
    await client.aclose()
    client.projects = view.projects  # type: ignore[misc]


async def async_projects(projects: AsyncProjects, project: Project) -> None:
    assert_type(projects.list(per_page=1, concurrency=1, max_pages=1), AsyncPaginator[Project])
    assert_type(await projects.find("web"), Project)
    assert_type(await projects.get(uuid), Project)
    assert_type(await projects.get_default(), Project)
    created = await projects.create("web", Purpose.WEBSITE, environment=Environment.STAGING)
    assert_type(created, Project)
    assert_type(await projects.patch(project, is_default=True), Project)
    updated = await projects.update(
        project, name="", description="", purpose="", environment="", is_default=False
    )
    assert_type(updated, Project)
    await projects.delete("default", wait=1)

    assert_type(projects.list_resources(), AsyncPaginator[Resource])
    assert_type(projects.list_resources(project, per_page=200), AsyncPaginator[Resource])
    assert_type(projects.resources_by_project(concurrency=2), AsyncInventory)
    assert_type(projects.resources_by_project([project, "default"]), AsyncInventory)
    assert_type(await projects.project_of(urns[0], concurrency=2), Project | None)
    assert_type(await projects.assign_resources(project, mixed, concurrency=1), AssignmentResult)
    assert_type(await projects.unassign_resources(urns), AssignmentResult)
    assert_type(await projects.reconcile(project, urns, prune=True, dry_run=True), Reconciliation)
    plan = await projects.plan({"web": mixed, "default": urns}, create=True)
    assert_type(plan, Plan)
    await projects.plan({uuid: urns})
    await projects.plan({project: texts})
    await projects.plan(wanted)
    assert_type(await projects.apply(plan, concurrency=1, on_chunk=print), AppliedPlan)
    await projects.plan(urns)  # type: ignore[arg-type]
    await projects.plan({1: urns})  # type: ignore[type-var]
    await projects.wait_until_assigned(DEFAULT_PROJECT, mixed, timeout=1)

    projects.list_resources(1)  # type: ignore[arg-type]
    projects.list_resources(DEFAULT_PROJECT, 200)  # type: ignore[call-arg]
    await projects.assign_resources(project)  # type: ignore[call-arg]
    await projects.assign_resources(project, [1])  # type: ignore[list-item]
    await projects.wait_until_assigned(project, urns)  # type: ignore[call-arg]
    await projects.list_resources()  # type: ignore[misc]


async def async_listing(paginator: AsyncPaginator[Resource], inventory: AsyncInventory) -> None:
    async for resource in paginator:
        assert_type(resource, Resource)
    assert_type(paginator.pages(2), AsyncIterator[Page[Resource]])
    assert_type(await paginator.first_page(), Page[Resource])
    assert_type(await paginator.collect(strict=True), list[Resource])
    assert_type(paginator.settled, bool | None)
    assert_type(paginator.total, int | None)
    async with paginator as entered:
        assert_type(entered, AsyncPaginator[Resource])
    await paginator.aclose()
    for _ in paginator:  # type: ignore[attr-defined]
        pass

    async for pair in inventory:
        assert_type(pair, tuple[Project, Resource])
    assert_type(inventory.pages(), AsyncIterator[ProjectResources])
    assert_type(await inventory.collect(), list[tuple[Project, Resource]])
    await paginator  # type: ignore[misc]
    await inventory  # type: ignore[misc]
    for _ in paginator:  # type: ignore[attr-defined]
        pass


def client() -> None:
    client = Client()
    Client("token", limits=RedisLimits("redis://localhost", share=0.5), clock=MockClock(rate=0))
    Client(1)  # type: ignore[arg-type]
    Client(limits=(250, 60.0))  # type: ignore[arg-type]

    with client as entered:
        assert_type(entered, Client)
    assert_type(client.projects, Projects)
    assert_type(client.rate_limit, RateLimit | None)
    assert_type(client.statistics(), Statistics)
    view = client.with_options(
        token="other", timeout=1, deadline=None, retry=RetryPolicy(), limits=Limits(), bulk=True
    )
    assert_type(view, Client)
    client.close()
    client.aclose()  # type: ignore[attr-defined]


def endpoints(client: Client) -> None:
    Client(proxy="env", ssl=create_default_context())
    Client(session=None)  # type: ignore[call-arg]
    response = client.request("GET", "/v2/droplets")
    assert_type(response, APIResponse)
    assert_type(response.status, int)
    assert_type(response.headers, Mapping[str, str])
    assert_type(response.body, bytes)
    assert_type(response.request_id, str | None)
    assert_type(response.rate_limit, RateLimit | None)
    response.status = 200  # type: ignore[misc]
    assert_type(client.paginate("/v2/tags", "tags", max_pages=1), Paginator[dict[str, Any]])
    client.paginate("/v2/tags")  # type: ignore[call-arg]


def projects(projects: Projects, project: Project) -> None:
    assert_type(projects.list(per_page=1, concurrency=1, max_pages=1), Paginator[Project])
    assert_type(projects.find("web"), Project)
    assert_type(projects.get(uuid), Project)
    assert_type(projects.get_default(), Project)
    created = projects.create("web", Purpose.WEBSITE, environment=Environment.STAGING)
    assert_type(created, Project)
    assert_type(projects.patch(project, is_default=True), Project)
    updated = projects.update(
        project, name="", description="", purpose="", environment="", is_default=False
    )
    assert_type(updated, Project)
    projects.delete("default", wait=1)

    assert_type(projects.list_resources(), Paginator[Resource])
    assert_type(projects.list_resources(project, per_page=200), Paginator[Resource])
    assert_type(projects.resources_by_project(concurrency=2), Inventory)
    assert_type(projects.resources_by_project([project, "default"]), Inventory)
    assert_type(projects.project_of(urns[0], concurrency=2), Project | None)
    assert_type(projects.assign_resources(project, mixed, concurrency=1), AssignmentResult)
    assert_type(projects.unassign_resources(urns), AssignmentResult)
    assert_type(projects.reconcile(project, urns, prune=True, dry_run=True), Reconciliation)
    plan = projects.plan({"web": mixed, "default": urns}, create=True)
    assert_type(plan, Plan)
    projects.plan({uuid: urns})
    projects.plan({project: texts})
    projects.plan(wanted)
    assert_type(projects.apply(plan, chunk_size=1, on_chunk=print), AppliedPlan)
    projects.plan(urns)  # type: ignore[arg-type]
    projects.plan({1: urns})  # type: ignore[type-var]
    projects.wait_until_assigned(DEFAULT_PROJECT, mixed, timeout=1)

    projects.list_resources(1)  # type: ignore[arg-type]
    projects.assign_resources(project)  # type: ignore[call-arg]
    projects.assign_resources(project, [1])  # type: ignore[list-item]
    projects.wait_until_assigned(project, urns)  # type: ignore[call-arg]


def listing(paginator: Paginator[Resource], inventory: Inventory) -> None:
    for resource in paginator:
        assert_type(resource, Resource)
    assert_type(paginator.pages(2), Iterator[Page[Resource]])
    assert_type(paginator.first_page(), Page[Resource])
    assert_type(paginator.collect(strict=True), list[Resource])
    assert_type(paginator.settled, bool | None)
    assert_type(paginator.total, int | None)
    with paginator as entered:
        assert_type(entered, Paginator[Resource])
    paginator.close()

    for pair in inventory:
        assert_type(pair, tuple[Project, Resource])
    assert_type(inventory.pages(), Iterator[ProjectResources])
    assert_type(inventory.collect(), list[tuple[Project, Resource]])


def values(resource: Resource, project: Project, page: Page[Resource]) -> None:
    assert_type(resource.urn, URN)
    assert_type((resource.type, resource.id), tuple[str, str])
    assert_type(resource.to_dict(), dict[str, Any])
    assert_type(resource.status, ResourceStatus | str | None)
    assert_type(resource.assigned_at, datetime | None)
    assert_type(resource.self_link, str | None)
    resource.status = None  # type: ignore[misc]
    resource.urn = URN("droplet", 1)  # type: ignore[misc]
    Resource()  # type: ignore[call-arg]

    assert_type((project.id, project.name, project.description), tuple[str, str, str])
    assert_type(project.environment, Environment | str)
    assert_type(project.created_at, datetime | None)
    project.name = "web"  # type: ignore[misc]

    assert_type(page.items, tuple[Resource, ...])
    assert_type(page.total, int | None)
    assert_type(page.rate_limit, RateLimit | None)
    assert_type(page.request_id, str | None)
    assert_type(page.headers, Mapping[str, str])

    urn = URN(ResourceType.DROPLET, 1)
    assert_type((urn.type, urn.id, urn.canonical), tuple[str, str, URN])
    assert_type(URN.parse("do:droplet:1"), URN)
    assert_type(URN.of(has_urn), URN)
    assert_type(sorted({urn}), list[URN])
    assert_type({str(urn)} - {urn}, set[str])
    URN("droplet", 1.5)  # type: ignore[arg-type]
    URN.of(1)  # type: ignore[arg-type]


def results(result: AssignmentResult, reconciliation: Reconciliation) -> None:
    assert_type(result.request_ids, tuple[str, ...])
    assert_type(reconciliation.request_ids, tuple[str, ...])
    assert_type(result.resources, tuple[Resource, ...])
    assert_type(result.done + result.failed, tuple[Resource, ...])
    assert_type(result.unknown + result.untouched, tuple[URN, ...])
    assert_type(result.refused + reconciliation.refused, tuple[Refusal, ...])
    result.raise_for_failed()
    assert_type(reconciliation.added + reconciliation.removed, tuple[URN, ...])
    assert_type(reconciliation.changed, bool)
    reconciliation.raise_for_failed()


def plans(plan: Plan, applied: AppliedPlan) -> None:
    assert_type(plan.new_projects, tuple[NewProject, ...])
    assert_type(plan.moves, tuple[Move, ...])
    assert_type((plan.kept, plan.changed), tuple[tuple[URN, ...], bool])
    for move in plan.moves:
        assert_type((move.urn, move.source, move.target), tuple[URN, str | None, str])
        assert_type((move.source_id, move.target_id), tuple[str | None, str | None])
    assert_type(applied.created, tuple[Project, ...])
    assert_type(applied.moved + applied.kept + applied.left, tuple[URN, ...])
    assert_type(applied.unknown + applied.untouched, tuple[URN, ...])
    assert_type((applied.failed, applied.refused), tuple[tuple[Resource, ...], tuple[Refusal, ...]])
    applied.raise_for_failed()


def errors(error: APIError) -> None:
    assert_type(error.in_doubt, bool)
    match error:
        case PermissionDeniedError():
            assert_type(error.scopes, tuple[str, ...])
        case RateLimitError() | ServerError() | BadRequestError() | AuthenticationError():
            assert_type(error.retry_after, float | None)
        case NotFoundError() | ConflictError() | PreconditionFailedError():
            assert_type(error.request_id, str | None)
        case UnprocessableEntityError() | APIStatusError():
            assert_type((error.status, error.id, error.attempts), tuple[int, str, int])
        case APITimeoutError() | APIConnectionError():
            assert_type((error.sent, error.transient), tuple[bool, bool])
        case PaginationError() | APIResponseError():
            assert_type(error.status, int | None)
        case _:
            raise error


def other_errors(error: APIError | ClientUsageError) -> None:
    match error:
        case AssignmentError():
            assert_type(error.done + error.failed, tuple[Resource, ...])
            assert_type(error.unknown + error.untouched, tuple[URN, ...])
            assert_type([refusal.status for refusal in error.refused], list[int])
            assert_type(error.error, APIError | ClientUsageError | None)
            assert_type(error.created, tuple[Project, ...])
        case AssignmentTimeoutError():
            assert_type(error.missing, tuple[URN, ...])
        case InventoryError():
            assert_type(error.failures, tuple[tuple[Project, APIError], ...])
        case ProjectLookupError():
            assert_type((error.found, error.is_id), tuple[tuple[Project, ...], bool])
        case RateLimitWaitError():
            assert_type(error.seconds, float)
        case ClientUsageError():
            usage: RuntimeError = error
            raise usage
        case _:
            raise error


async def limits(bucket: TokenBucket) -> None:
    Limits(windows=[(250, 60.0)], margin=1, grace=1, reserve=1)
    Limits(windows=250)  # type: ignore[arg-type]
    TokenBucket(Limits(), clock=clock)
    async with bucket.lease(bulk=True, max_wait=1) as lease:
        lease.settle({"ratelimit-remaining": "1"})
        lease.unsent()
        assert_type(lease, Lease)
    assert_type(bucket.statistics(), BucketStatistics)
    assert_type(bucket.statistics().in_use, tuple[int, ...])


async def emulator() -> None:
    with Emulator(limits=()) as emulator:
        assert_type((emulator.url, emulator.token), tuple[str, str])
        assert_type(emulator.seed(["do:droplet:1"], name="web"), str)
        assert_type(emulator.resources(), list[URN])
        assert_type(emulator.projects(), list[StoredProject])
        assert_type(list(emulator.requests), list[RecordedRequest])
    async with Emulator() as entered:
        assert_type(entered, Emulator)
