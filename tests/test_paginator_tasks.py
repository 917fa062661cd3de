"""Paginators and tasks: the tasks that run while a paginator is used, and afterwards."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
from aiohttp import TraceConfig

from digitalocean_projects import AsyncClient, Client, ClientUsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from digitalocean_projects import AsyncPaginator, AsyncProjects, Resource
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]
    Paginator = AsyncPaginator[Resource]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]


@pytest.fixture
async def projects(emulator: Emulator) -> AsyncIterator[AsyncProjects]:
    """Return the methods of the asyncio client; the blocking client has no such methods."""
    async with AsyncClient(emulator.token, base_url=emulator.url) as client:
        yield client.projects


@pytest.fixture(params=[False, True], ids=["waves", "ahead"])
def ahead(request: pytest.FixtureRequest) -> bool:
    """True to prefetch."""
    return bool(request.param)


@pytest.fixture
def urns(emulator: Emulator) -> list[str]:
    """Return the URNs of twenty resources in the default project."""
    urns = droplets(20)
    emulator.seed(urns, default=True)
    return urns


def droplets(number: int) -> list[str]:
    return [f"do:droplet:{n}" for n in range(number)]


async def read(items: AsyncIterable[Resource]) -> list[str]:
    return [str(item.urn) async for item in items]


async def collect(paginator: Paginator) -> list[str]:
    return [str(item.urn) for item in await paginator.collect()]


async def take(iterator: AsyncIterator[Resource]) -> str:
    return str((await anext(iterator)).urn)


def asked(emulator: Emulator) -> list[int]:
    """Return the numbers of the requested pages."""
    return [int(request.query["page"]) for request in emulator.requests if request.method == "GET"]


def used(paginator: Paginator, *, ahead: bool) -> AbstractAsyncContextManager[Any]:
    return paginator if ahead else nullcontext()


@contextmanager
def held(
    emulator: Emulator, number: int, then: Callable[[], object] = int
) -> Iterator[asyncio.Event]:
    """Stop the emulator when the page is requested; set the event, and call `then`."""
    loop, there, go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def hold(request: Any) -> bool:
        if request.query["page"] == str(number) and not go.is_set():
            loop.call_soon_threadsafe(there.set)
            loop.call_soon_threadsafe(then)
            go.wait(30)
        return False

    emulator.respond(500, when=hold, times=None)
    try:
        yield there
    finally:
        go.set()


@contextmanager
def nothing_left() -> Iterator[None]:
    """Check that no new task remains, and that the current one isn't cancelled."""
    before = asyncio.all_tasks()
    yield
    assert before == asyncio.all_tasks()
    current = asyncio.current_task()
    assert current is not None
    assert 0 == current.cancelling()


async def test_waves(emulator: Emulator, make_either: MakeClient) -> None:
    """The first page is fetched alone; each wave ends before its first resource is returned."""
    emulator.seed(droplets(25), default=True)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=1, concurrency=2)
        requests = [len(asked(emulator)) async for _ in paginator]
    assert [1] + 2 * [3] + 4 * [7] + 8 * [15] + 8 * [23] + 2 * [25] == requests


async def test_nothing_runs_between_two_items(emulator: Emulator, projects: AsyncProjects) -> None:
    """No task runs while a resource is used."""
    emulator.seed(droplets(9), default=True)
    with nothing_left():
        before = asyncio.all_tasks()
        paginator = projects.list_resources(per_page=2, concurrency=3)
        assert [before] * 9 == [asyncio.all_tasks() async for _ in paginator]


@pytest.mark.parametrize("use", [read, collect])
async def test_connections(
    emulator: Emulator,
    make_either: MakeClient,
    use: Callable[[Paginator], Awaitable[object]],
    *,
    ahead: bool,
) -> None:
    """At most the allowed number of requests is in flight."""
    emulator.seed(droplets(60), default=True)
    made: list[object] = []

    async def note(*arguments: object) -> None:
        made.append(arguments)

    trace = TraceConfig()
    trace.on_connection_create_end.append(note)
    async with make_either(trace_configs=[trace]) as client:
        paginator = client.projects.list_resources(per_page=2, concurrency=5)
        async with used(paginator, ahead=ahead):
            await use(paginator)
    assert 5 == len(made)


async def break_out(paginator: Paginator) -> None:
    async for page in paginator.pages():
        if page.number == 3:
            break


async def fail(paginator: Paginator) -> None:
    async for page in paginator.pages():
        if page.number == 3:
            raise ZeroDivisionError


async def forget(paginator: Paginator) -> None:
    pages = paginator.pages()
    for _ in range(3):
        await anext(pages)
    del pages
    gc.collect()


async def finish(paginator: Paginator) -> None:
    await read(paginator)
    await collect(paginator)


@pytest.mark.usefixtures("urns")
@pytest.mark.parametrize("leave", [break_out, fail, forget, finish])
async def test_leave(
    projects: AsyncProjects, leave: Callable[[Paginator], Awaitable[None]], *, ahead: bool
) -> None:
    """A loop may be left in any way: no task remains, and the program continues undisturbed."""
    paginator = projects.list_resources(per_page=1, concurrency=3)
    with nothing_left(), suppress(ZeroDivisionError):
        async with used(paginator, ahead=ahead):
            await leave(paginator)
    with nothing_left():
        await paginator.first_page()


@pytest.mark.parametrize("leave", [break_out, fail, forget])
@pytest.mark.usefixtures("urns")
async def test_nothing_is_asked_after_leaving(
    emulator: Emulator, make_either: MakeClient, leave: Callable[[Paginator], Awaitable[None]]
) -> None:
    """After a loop was left, it sends no more requests."""
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=1, concurrency=3)
        with suppress(ZeroDivisionError):
            await leave(paginator)
        assert [1, 2, 3, 4] == sorted(asked(emulator))
        await paginator.first_page()
        await paginator.first_page()
    assert [1, 1] == asked(emulator)[4:]


@pytest.mark.usefixtures("urns")
@pytest.mark.parametrize("use", [read, collect])
async def test_cancel(
    emulator: Emulator,
    projects: AsyncProjects,
    use: Callable[[Paginator], Awaitable[object]],
    *,
    ahead: bool,
) -> None:
    """A cancelled task leaves no other task, and sends no more requests."""
    paginator = projects.list_resources(per_page=1, concurrency=3)

    async def work() -> None:
        async with used(paginator, ahead=ahead):
            await use(paginator)

    with nothing_left():
        with held(emulator, 2) as there:
            task = asyncio.create_task(work())
            await there.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await paginator.first_page()
    assert max(asked(emulator)) <= 2 + 2 * 3 - 1


@pytest.mark.usefixtures("urns")
@pytest.mark.parametrize("use", [read, collect])
async def test_timeout(
    emulator: Emulator,
    projects: AsyncProjects,
    use: Callable[[Paginator], Awaitable[object]],
    *,
    ahead: bool,
) -> None:
    """A timeout ends the code that it encloses, and no other."""
    paginator = projects.list_resources(per_page=1, concurrency=3)

    async def work() -> None:
        async with asyncio.timeout(None) as scope:
            with held(emulator, 2, lambda: scope.reschedule(0)):
                async with used(paginator, ahead=ahead):
                    await use(paginator)

    with nothing_left():
        with pytest.raises(TimeoutError):
            await work()
        await paginator.first_page()


async def test_cancelled_consumer_goes_on(
    emulator: Emulator, projects: AsyncProjects, urns: list[str], *, ahead: bool
) -> None:
    """An iterator whose step was cancelled loses no item."""
    paginator = projects.list_resources(per_page=2, concurrency=3)
    async with used(paginator, ahead=ahead):
        iterator = aiter(paginator)
        got = [await take(iterator), await take(iterator)]
        with held(emulator, 2) as there:
            task = asyncio.create_task(take(iterator))
            await there.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert urns == got + await read(iterator)
    if ahead:
        assert list(range(1, 11)) == sorted(asked(emulator))


@pytest.mark.usefixtures("urns")
async def test_one_iterator_for_two(
    emulator: Emulator, make_either: MakeClient, *, ahead: bool
) -> None:
    """A second task that uses an iterator meanwhile gets an error, and the first its page."""
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=1, concurrency=3)
        async with used(paginator, ahead=ahead):
            pages = paginator.pages()
            with held(emulator, 1) as there:
                first = asyncio.ensure_future(anext(pages))
                await there.wait()
                with pytest.raises(
                    ClientUsageError, match="this iterator is already in use by another"
                ):
                    await anext(pages)
            numbers = [(await first).number, (await anext(pages)).number]
    assert [1, 2] == numbers


async def test_read_ahead(emulator: Emulator, make_either: MakeClient, urns: list[str]) -> None:
    """In a `with` block, up to a window of pages is fetched while the loop's body runs."""
    arrived, loop = {n: asyncio.Event() for n in (7, 8, 9)}, asyncio.get_running_loop()

    def note(_: object) -> bool:
        if event := arrived.get(len(asked(emulator))):
            loop.call_soon_threadsafe(event.set)
        return False

    emulator.respond(500, when=note, times=None)
    async with make_either() as client:
        paginator, got = client.projects.list_resources(per_page=1, concurrency=3), []
        async with paginator:
            iterator = aiter(paginator)
            for last, event in arrived.items():
                got.append(await take(iterator))
                await asyncio.wait_for(event.wait(), 30)
                assert list(range(1, last + 1)) == sorted(asked(emulator))
            assert urns == got + await read(iterator)
    assert list(range(1, 21)) == sorted(asked(emulator))


async def test_end_of_reading_ahead(make_either: MakeClient, urns: list[str]) -> None:
    """Prefetching ends with a new iteration and with the block; then waves are used again."""
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=1, concurrency=3)
        with nothing_left():
            await paginator.aclose()
            async with paginator:
                iterators = [paginator.pages()]
                with pytest.raises(ClientUsageError, match="is already in a `with` block"):
                    await paginator.__aenter__()
                for _ in range(2):
                    iterators.append(paginator.pages())
                    assert [1, 2] == [(await anext(iterators[-1])).number for _ in range(2)]
                    for iterator in iterators[:-1]:
                        with pytest.raises(ClientUsageError, match="prefetching has stopped"):
                            await anext(iterator)
        with pytest.raises(ClientUsageError, match="prefetching has stopped"):
            await anext(iterators[-1])
        with nothing_left():
            assert urns[:1] == [await take(aiter(paginator))]


def test_new_iteration_without_a_loop(emulator: Emulator, urns: list[str]) -> None:
    """A blocking caller, which has no event loop, can start a new iteration, too."""
    client = Client(emulator.token, base_url=emulator.url)
    with client, client.projects.list_resources(per_page=1, concurrency=3) as paginator:
        assert urns[:1] * 3 == [str(next(iter(paginator)).urn) for _ in range(3)]


def test_trio() -> None:
    """Under trio, the error of a paginator says that it needs asyncio."""
    paginator = AsyncClient("token").projects.list_resources()

    async def read_ahead() -> None:
        async with paginator:
            await read(paginator)

    for use in (read_ahead, paginator.collect):
        with pytest.raises(ClientUsageError, match="needs a running asyncio event loop"):
            trio.run(use)


@pytest.mark.usefixtures("urns")
def test_end_of_the_loop(emulator: Emulator) -> None:
    """A program that leaves a loop early ends normally."""

    async def program() -> str:
        async with AsyncClient(emulator.token, base_url=emulator.url) as client:
            async for resource in client.projects.list_resources(per_page=1):
                if resource.urn.id == "3":
                    break
            return await asyncio.sleep(0, "well")

    assert "well" == asyncio.run(program())


async def test_everything_at_once(emulator: Emulator, make_either: MakeClient) -> None:
    """Many resources come in order, each once, while other tasks assign and stop early."""
    # Two changes disturb two readings at most; `collect` makes up to three.
    urns, more = droplets(4000), [f"do:app:{n}" for n in range(2)]
    project_id = emulator.seed(urns)
    emulator.seed(more, default=True)
    async with make_either() as client:
        paginator = client.projects.list_resources(project_id)

        async def assign() -> None:
            for urn in more:
                result = await client.projects.assign_resources(project_id, [urn])
                result.raise_for_failed()

        async def stop_early() -> list[int]:
            numbers = []
            async for page in client.projects.list_resources(project_id).pages():
                numbers.append(page.number)
                if page.number == 3:
                    break
            return numbers

        with nothing_left():
            collected, _, numbers = await asyncio.gather(collect(paginator), assign(), stop_early())
        assert ([1, 2, 3], True) == (numbers, paginator.settled)
        assert urns == [urn for urn in collected if urn.startswith("do:droplet:")]
        assert len(set(collected)) == len(collected)
        items = [str(item.urn) async for page in paginator.pages() for item in page.items]
    assert more[::-1] + urns == items
