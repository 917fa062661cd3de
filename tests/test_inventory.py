"""The resources of all projects, on both sides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from digitalocean_projects import AsyncClient, Client, ClientUsageError, ServerError
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


def fill(emulator: Emulator, projects: int, *, resources: int = 3) -> dict[str, list[str]]:
    """Make projects; what each holds, by their names, in the order of the listing."""
    held = {
        f"p{number}": [f"do:droplet:{number}-{index}" for index in range(resources)]
        for number in range(projects)
    }
    for name, urns in held.items():
        emulator.seed(urns, name=name)
    return {**dict(reversed(held.items())), "first-project": []}


@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_all(emulator: Emulator, make_client: MakeClient, concurrency: int) -> None:
    """Each resource comes with its project, project by project, however many are read at once."""
    held = fill(emulator, 10)
    async with make_client() as client:
        inventory = client.projects.resources_by_project(concurrency=concurrency)
        for _ in range(2):
            found: dict[str, list[str]] = {}
            async for page in inventory.pages():
                found[page.project.name] = [str(resource.urn) for resource in page.resources]
            assert (held, list(held)) == (found, list(found))
        pairs = [(project.name, str(resource.urn)) async for project, resource in inventory]
    assert [(name, urn) for name, urns in held.items() for urn in urns] == pairs


async def test_bounded(emulator: Emulator) -> None:
    """No more requests are under way than asked for, though each project has many pages."""
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


async def test_failure(emulator: Emulator, make_client: MakeClient) -> None:
    """A project that can't be read fails, after those before it, and may be tried again."""
    held = fill(emulator, 5)
    broken = next(project.id for project in emulator.projects() if project.name == "p2")
    emulator.fail(faults.Status(500), when=lambda request: broken in request.path)
    async with make_client() as client:
        pages = client.projects.resources_by_project().pages()
        names = [(await anext(pages)).project.name for _ in range(2)]
        with pytest.raises(ServerError):
            await anext(pages)
        names += [page.project.name async for page in pages]
        assert list(held) == names
        with pytest.raises(StopAsyncIteration):
            await anext(pages)


async def test_projects_that_cannot_be_listed(emulator: Emulator, make_client: MakeClient) -> None:
    """Where the projects can't be listed, that may be tried again, too."""
    held = fill(emulator, 2)
    emulator.fail(faults.Status(500))
    async with make_client() as client:
        pages = client.projects.resources_by_project().pages()
        with pytest.raises(ServerError):
            await anext(pages)
        assert list(held) == [page.project.name async for page in pages]


async def test_deleted_meanwhile(emulator: Emulator, make_client: MakeClient) -> None:
    """A project that is gone when it is read holds nothing."""
    fill(emulator, 3)
    gone = next(project.id for project in emulator.projects() if project.name == "p1")
    emulator.fail(faults.Status(404), when=lambda request: gone in request.path)
    async with make_client() as client:
        pages = [page async for page in client.projects.resources_by_project().pages()]
    assert [3, 0, 3, 0] == [len(page.resources) for page in pages]


async def test_leaving(emulator: Emulator, make_client: MakeClient) -> None:
    """A loop may be left at any point: between two pairs nothing runs."""
    fill(emulator, 20)
    before = asyncio.all_tasks()
    async with make_client() as client:
        async for project, _ in client.projects.resources_by_project(concurrency=2):
            if project.name == "p16":
                break
        assert before == asyncio.all_tasks()
        assert 1 + 4 == len(emulator.requests)


async def test_two_tasks(emulator: Emulator) -> None:
    """An iterator serves one task at a time, and says so."""
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
