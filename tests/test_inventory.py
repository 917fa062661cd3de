"""Inventories: the resources of all projects, by both clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import pytest

from digitalocean_projects import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    AsyncClient,
    Client,
    ClientUsageError,
    InventoryError,
    Limits,
    NotFoundError,
    PermissionDeniedError,
    RateLimitWaitError,
    RetryPolicy,
    ServerError,
    UnprocessableEntityError,
)
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

T = TypeVar("T")

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


def fill(emulator: Emulator, projects: int, *, resources: int = 3) -> dict[str, list[str]]:
    """Create projects; return their resources by name, in the order of the listing."""
    held = {
        f"p{number}": [f"do:droplet:{number}-{index}" for index in range(resources)]
        for number in range(projects)
    }
    for name, urns in held.items():
        emulator.seed(urns, name=name)
    return {**dict(reversed(held.items())), "first-project": []}


@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_all(emulator: Emulator, make_either: MakeClient, concurrency: int) -> None:
    """Each resource comes with its project, project by project, at any concurrency."""
    held = fill(emulator, 10)
    async with make_either() as client:
        inventory = client.projects.resources_by_project(concurrency=concurrency)
        for _ in range(2):
            found: dict[str, list[str]] = {}
            async for page in inventory.pages():
                found[page.project.name] = [str(resource.urn) for resource in page.resources]
            assert (held, list(held)) == (found, list(found))
        pairs = [(project.name, resource.urn) async for project, resource in inventory]
        collected = await inventory.collect()
    assert [(name, urn) for name, urns in held.items() for urn in urns] == pairs
    assert pairs == [(project.name, resource.urn) for project, resource in collected]


async def test_bounded(emulator: Emulator) -> None:
    """No more requests than allowed are in flight, though each project has many pages."""
    under_way = most = 0

    async def begin(*_: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)

    async def end(*_: object) -> None:
        nonlocal under_way
        under_way -= 1

    traces = aiohttp.TraceConfig()
    traces.on_request_start.append(begin)
    traces.on_request_end.append(end)
    fill(emulator, 6, resources=1000)
    async with AsyncClient(
        emulator.token, base_url=emulator.url, limits=None, trace_configs=[traces]
    ) as client:
        inventory = client.projects.resources_by_project(concurrency=4)
        pages = [page async for page in inventory.pages()]
    assert (6000, 4) == (sum(len(page.resources) for page in pages), most)
    assert 1 + 6 * 5 + 1 == len(emulator.requests)


def break_projects(emulator: Emulator, *names: str, fault: faults.Fault) -> Callable[[], None]:
    """Fail all requests for the resources of these projects, until the result is called."""
    ids = [project.id for project in emulator.projects() if project.name in names]
    emulator.fail(fault, when=lambda request: any(i in request.path for i in ids), times=None)
    return ids.clear


async def read(iterator: AsyncIterable[T]) -> tuple[list[T], APIError | None]:
    """Return the items of an iteration, and the error that ends it."""
    found: list[T] = []
    try:
        async for item in iterator:
            found.append(item)  # noqa: PERF401 - it may be cut short
    except APIError as error:
        return found, error
    return found, None


@pytest.mark.parametrize("concurrency", [1, 2, 16])
@pytest.mark.parametrize(
    "broken", [["p2"], ["p4"], ["first-project"], ["p3", "p1"], ["p4", "p3", "p2", "p1", "p0"]]
)
async def test_failures(
    emulator: Emulator, make_client: MakeClient, concurrency: int, broken: list[str]
) -> None:
    """An error at the end lists the projects that can't be read; all others are returned."""
    held = fill(emulator, 5)
    break_projects(emulator, *broken, fault=faults.Status(500))
    async with make_client() as client:
        inventory = client.projects.resources_by_project(concurrency=concurrency)
        found, error = await read(inventory.pages())
        assert 1 + 6 == len(emulator.requests)
        pairs, again = await read(inventory)
    assert isinstance(error, InventoryError)
    assert isinstance(again, InventoryError)
    whole = [name for name in held if name not in broken]
    assert whole == [page.project.name for page in found]
    assert [(name, urn) for name in whole for urn in held[name]] == [
        (project.name, str(resource.urn)) for project, resource in pairs
    ]
    for failures in error.failures, again.failures:
        assert broken == [project.name for project, _ in failures]
        assert {ServerError} == {type(failure) for _, failure in failures}
    assert not error.in_doubt


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.Status(403), PermissionDeniedError),
        (faults.Status(422), UnprocessableEntityError),
        (faults.Status(503), ServerError),
        (faults.Html(200), APIResponseError),
        (faults.Reset(), APIConnectionError),
        (faults.Silence(), APITimeoutError),
    ],
)
async def test_failures_of_one_project(
    emulator: Emulator, make_client: MakeClient, fault: faults.Fault, expected: type[APIError]
) -> None:
    """A project's listing may fail with any error, and all other projects are returned."""
    held = fill(emulator, 3)
    break_projects(emulator, "p1", fault=fault)
    timeout = 1.0 if isinstance(fault, faults.Silence) else 30.0
    async with make_client(timeout=timeout) as client:
        found, error = await read(client.projects.resources_by_project().pages())
    assert [name for name in held if name != "p1"] == [page.project.name for page in found]
    assert isinstance(error, InventoryError)
    assert [("p1", expected)] == [(project.name, type(one)) for project, one in error.failures]


async def test_failure_on_a_later_page(emulator: Emulator, make_either: MakeClient) -> None:
    """A project with an unreadable page has failed, and no part of it is returned."""
    held = fill(emulator, 3, resources=450)
    emulator.fail(faults.Status(500), when=lambda request: request.query.get("page") == "3")
    async with make_either() as client:
        found, error = await read(client.projects.resources_by_project(concurrency=1).pages())
    assert isinstance(error, InventoryError)
    assert ["p2"] == [project.name for project, _ in error.failures]
    assert {name: len(urns) for name, urns in held.items() if name != "p2"} == {
        page.project.name: len(page.resources) for page in found
    }


async def test_again(emulator: Emulator, make_either: MakeClient) -> None:
    """After the error the same iterator reads only the projects that failed, and then ends."""
    fill(emulator, 5)
    clear = break_projects(emulator, "p1", "p2", fault=faults.Status(500))
    async with make_either() as client:
        pages = client.projects.resources_by_project().pages()
        first, error = await read(pages)
        emulator.forget_requests()
        nothing, same = await read(pages)
        assert ([], 4, 2) == (nothing, len(first), len(emulator.requests))
        assert isinstance(error, InventoryError)
        assert isinstance(same, InventoryError)
        assert [project for project, _ in error.failures] == [
            project for project, _ in same.failures
        ]
        clear()
        rest, end = await read(pages)
        assert (["p2", "p1"], None) == ([page.project.name for page in rest], end)
        assert ([], None) == await read(pages)


@pytest.mark.parametrize("status", [401, 429])
async def test_failures_of_all_projects(
    emulator: Emulator, make_either: MakeClient, status: int
) -> None:
    """An error that concerns all projects ends the iteration at once; it can be continued."""
    held = fill(emulator, 6)
    break_projects(emulator, "p4", fault=faults.Status(500))
    clear = break_projects(emulator, "p3", fault=faults.Status(status))
    async with make_either() as client:
        pages = client.projects.resources_by_project(concurrency=1).pages()
        found, error = await read(pages)
        assert status == getattr(error, "status", None)
        assert (["p5"], 1 + 3) == ([page.project.name for page in found], len(emulator.requests))
        clear()
        rest, end = await read(pages)
    assert [*held] == ["p5", "p4", *(page.project.name for page in rest)]
    assert isinstance(end, InventoryError)
    assert ["p4"] == [project.name for project, _ in end.failures]


async def test_unreachable(emulator: Emulator, make_either: MakeClient) -> None:
    """If no connection can be made, the remaining projects are not tried."""
    fill(emulator, 20)
    async with make_either() as client:
        pages = client.projects.resources_by_project(concurrency=1).pages()
        first = await anext(pages)
        await asyncio.to_thread(emulator.stop)
        requests = client.statistics().requests
        found, error = await read(pages)
        assert ("p19", []) == (first.project.name, found)
        assert isinstance(error, APIConnectionError)
        assert client.statistics().requests <= requests + 2


async def test_limited(emulator: Emulator, make_either: MakeClient) -> None:
    """If the wait for the rate limit is too long, the remaining projects are not tried."""
    fill(emulator, 6)
    async with make_either(limits=Limits(windows=((3, 60.0),)), deadline=5.0) as client:
        found, error = await read(client.projects.resources_by_project(concurrency=1).pages())
    assert (["p5", "p4"], 3) == ([page.project.name for page in found], len(emulator.requests))
    assert isinstance(error, RateLimitWaitError)


async def test_closed(emulator: Emulator, make_either: MakeClient) -> None:
    """A client that is closed meanwhile ends an iteration at once."""
    fill(emulator, 3)
    async with make_either() as client:
        pages = client.projects.resources_by_project(concurrency=1).pages()
        await anext(pages)
    with pytest.raises(ClientUsageError):
        await anext(pages)


async def test_cancelled(emulator: Emulator) -> None:
    """A cancelled iteration sends no more requests, keeps its failures, and can be continued."""
    fill(emulator, 4)
    break_projects(emulator, "p3", fault=faults.Status(500))
    clear = break_projects(emulator, "p2", fault=faults.Silence())
    options: dict[str, Any] = {"limits": None, "retry": RetryPolicy(attempts=1)}
    async with AsyncClient(emulator.token, base_url=emulator.url, **options) as client:
        pages = client.projects.resources_by_project(concurrency=1).pages()
        task = asyncio.ensure_future(anext(pages))
        while len(emulator.requests) < 3:  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 3 == len(emulator.requests)
        clear()
        found, error = await read(pages)
    assert ["p2", "p1", "p0", "first-project"] == [page.project.name for page in found]
    assert isinstance(error, InventoryError)
    assert ["p3"] == [project.name for project, _ in error.failures]


async def test_failures_keep_no_frames(emulator: Emulator, make_either: MakeClient) -> None:
    """The errors of projects don't keep the reading alive."""
    fill(emulator, 1)
    break_projects(emulator, "p0", fault=faults.Status(500))
    async with make_either() as client:
        _, error = await read(client.projects.resources_by_project().pages())
    assert isinstance(error, InventoryError)
    ((_, failure),) = error.failures
    assert (None, None, None) == (failure.__traceback__, failure.__context__, error.__context__)


async def test_projects_that_cannot_be_listed(emulator: Emulator, make_either: MakeClient) -> None:
    """If the projects can't be listed, the listing can be tried again."""
    held = fill(emulator, 2)
    emulator.fail(faults.Status(500))
    async with make_either() as client:
        pages = client.projects.resources_by_project().pages()
        with pytest.raises(ServerError):
            await anext(pages)
        assert list(held) == [page.project.name async for page in pages]


ODD_IDS = ["", " ", "../x", "default", "x" * 36, "a/b?c", "..", "x" * 100_000, "\n"]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("odd", ODD_IDS)
async def test_odd_ids(emulator: Emulator, make_client: MakeClient, place: int, odd: str) -> None:
    """A project whose id is not a UUID is listed in the error, and no request is sent for it."""
    fill(emulator, 1)
    usual = [{"id": project.id, "name": project.name} for project in emulator.projects()]
    projects = [*usual[:place], {"id": odd, "name": "odd"}, *usual[place:]]
    async with make_client() as client:
        inventory = client.projects.resources_by_project()
        for pages in (inventory.pages(), inventory.pages()):
            emulator.respond(200, {"projects": projects})
            both: set[str] = {"p0", "first-project"}
            for names in (both, set[str]()):
                found, error = await read(pages)
                assert names == {page.project.name for page in found}
                assert isinstance(error, InventoryError)
                ((project, failure),) = error.failures
                # An error keeps 65,536 characters of a text at most.
                assert (odd[:65_000], None) == (project.id[:65_000], failure.__context__)
                assert isinstance(failure, APIResponseError)
                assert ("GET", "/v2/projects", 200) == (
                    failure.method,
                    failure.path,
                    failure.status,
                )
                expected = "expected the id of a project to be a UUID, got"
                assert f'{expected} "{odd}"'[:499].replace("\n", " ") in failure.reason
                assert len(failure.reason) <= 500
    paths = {request.path.partition("?")[0] for request in emulator.requests}
    assert paths == {"/v2/projects", *(f"/v2/projects/{one['id']}/resources" for one in usual)}


async def test_deleted_meanwhile(emulator: Emulator, make_either: MakeClient) -> None:
    """A project that was deleted before it was read is returned without resources."""
    fill(emulator, 3)
    gone = next(project.id for project in emulator.projects() if project.name == "p1")
    emulator.fail(faults.Status(404), when=lambda request: gone in request.path, times=2)
    async with make_either() as client:
        pages = [page async for page in client.projects.resources_by_project().pages()]
    assert [3, 0, 3, 0] == [len(page.resources) for page in pages]


@pytest.mark.parametrize("status", [200, 403])
async def test_listing_that_is_missing(
    emulator: Emulator, make_either: MakeClient, status: int
) -> None:
    """A project whose listing alone is missing is a failure, and nothing else takes it as empty."""
    fill(emulator, 3)
    there = next(project.id for project in emulator.projects() if project.name == "p1")
    emulator.fail(
        faults.Status(404), when=lambda request: f"{there}/res" in request.path, times=None
    )
    if status != 200:
        emulator.fail(faults.Status(status), when=lambda request: there in request.path, times=None)
    async with make_either() as client:
        with pytest.raises(InventoryError) as caught:
            await client.projects.resources_by_project().collect()
        ((project, error),) = caught.value.failures
        assert (there, NotFoundError) == (project.id, type(error))
        with pytest.raises(InventoryError):
            await client.projects.plan({"p2": ["do:droplet:404"]})
        with pytest.raises(InventoryError):
            await client.projects.project_of("do:droplet:404")


async def test_missing_behind_a_gateway(emulator: Emulator, make_either: MakeClient) -> None:
    """A 404 that is not the API's own doesn't say that the project was deleted."""
    fill(emulator, 3)
    hidden = next(project.id for project in emulator.projects() if project.name == "p1")
    emulator.respond(404, "<html>nginx</html>", when=lambda request: hidden in request.path)
    async with make_either() as client:
        with pytest.raises(InventoryError) as caught:
            await client.projects.resources_by_project().collect()
    ((project, error),) = caught.value.failures
    assert hidden == project.id
    assert isinstance(error, NotFoundError)


async def test_leaving(emulator: Emulator, make_either: MakeClient) -> None:
    """A loop may be left at any point: no task runs between two pairs."""
    fill(emulator, 20)
    before = asyncio.all_tasks()
    async with make_either() as client:
        async for project, _ in client.projects.resources_by_project(concurrency=2):
            if project.name == "p16":
                break
        assert before == asyncio.all_tasks()
        assert 1 + 4 == len(emulator.requests)


async def test_two_tasks(emulator: Emulator) -> None:
    """An iterator serves one task at a time, and its error says so."""
    fill(emulator, 2)
    async with AsyncClient(emulator.token, base_url=emulator.url) as client:
        pages = client.projects.resources_by_project().pages()
        assert pages is aiter(pages)
        first, second = await asyncio.gather(anext(pages), anext(pages), return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert isinstance(second, ClientUsageError)


@pytest.mark.parametrize(("concurrency", "error"), [(0, ValueError), ("1", TypeError)])
def test_wrong_concurrency(concurrency: int, error: type[Exception]) -> None:
    """The number of requests is checked at once."""
    for client in (AsyncClient("token"), Client("token")):
        with pytest.raises(error):
            client.projects.resources_by_project(concurrency=concurrency)
