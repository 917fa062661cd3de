"""Fixtures: an emulator, clients of both kinds, and checks for leaks."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import none

from digitalocean_projects import AsyncClient, Client, RetryPolicy
from digitalocean_projects.testing import Emulator
from tests.forked import Forks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from digitalocean_projects import (
        APIResponse,
        Page,
        Paginator,
        Projects,
        RateLimit,
        Statistics,
    )

T = TypeVar("T")

# A test must not fail because the machine is busy.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def _random_generator() -> None:
    """Make the random generator of Hypothesis before objects are frozen.

    From CPython 3.14 on, Hypothesis warns otherwise, since the collector doesn't show that a frozen
    object refers to the generator.
    """
    given(none())(lambda _: None)()


@pytest.fixture(scope="module", autouse=True)
def _few_objects_to_collect(_random_generator: None) -> None:
    """Freeze the objects of former modules, so that a collection takes 3 ms instead of up to 45."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _can_be_interrupted() -> None:
    """Restore the handler of Ctrl-C, which a shell disables for a background run."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Start an emulator, with the options that an indirect parameter holds."""
    options: dict[str, Any] = {"limits": (), **getattr(request, "param", {})}
    with Emulator(**options) as emulator:
        yield emulator


@pytest.fixture
def account(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Return the emulator, whose URL and token are in the environment."""
    monkeypatch.setenv("DIGITALOCEAN_API_URL", emulator.url)
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", emulator.token)
    monkeypatch.delenv("DIGITALOCEAN_CONTEXT", raising=False)
    return emulator


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Check that no thread is left after the test, and collect its garbage."""
    before = set(threading.enumerate())
    yield
    gc.collect()
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        if thread.name.startswith("digitalocean_projects"):
            thread.join(5)  # it ends by itself when its client was collected
    left = [thread for thread in left if thread.is_alive()]
    names = [thread.name for thread in left if not thread.name.startswith("asyncio_")]
    assert [] == names


class SilentServer:
    """A server that sends no answers."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        host, port = listener.getsockname()
        self.url = f"http://{host}:{port}"

    def requested(self) -> socket.socket:
        """Wait for a request, and return its connection."""
        connection = self._listener.accept()[0]
        connection.settimeout(30)
        assert connection.recv(65536)
        return connection


@pytest.fixture
def silent_server() -> Iterator[SilentServer]:
    with socket.create_server(("127.0.0.1", 0), backlog=20) as listener:
        listener.settimeout(30)
        yield SilentServer(listener)


class BlockingPaginator(Generic[T]):
    """A `Paginator` with asynchronous methods."""

    def __init__(self, paginator: Paginator[T]) -> None:
        self._paginator = paginator

    @property
    def settled(self) -> bool | None:
        return self._paginator.settled

    @property
    def total(self) -> int | None:
        return self._paginator.total

    def __aiter__(self) -> AsyncIterator[T]:
        return _stepped(iter(self._paginator))

    def pages(self, *arguments: int, **options: int) -> AsyncIterator[Page[T]]:
        return _stepped(self._paginator.pages(*arguments, **options))

    async def first_page(self) -> Page[T]:
        return await asyncio.to_thread(self._paginator.first_page)

    async def collect(self, **options: bool) -> list[T]:
        return await asyncio.to_thread(self._paginator.collect, **options)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._paginator.close)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._paginator.__enter__)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _stepped(iterator: Iterator[T]) -> AsyncIterator[T]:
    class Stepped:
        def __aiter__(self) -> AsyncIterator[T]:
            return self

        async def __anext__(self) -> T:
            end = object()
            value: Any = await asyncio.to_thread(next, iterator, end)
            if value is end:
                raise StopAsyncIteration
            return value  # type: ignore[no-any-return]  # a T, since it isn't the end

    return Stepped()


class BlockingProjects:
    """A `Projects` with asynchronous methods."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._projects, name)
        if name in {"list", "list_resources", "resources_by_project"}:
            return lambda *arguments, **options: BlockingPaginator(method(*arguments, **options))
        return partial(asyncio.to_thread, method)


class BlockingClient:
    """A `Client` with asynchronous methods, so that one scenario tests both clients."""

    def __init__(self, *arguments: Any, view: Client | None = None, **options: Any) -> None:
        self._client = view or Client(*arguments, **options)
        self.projects = BlockingProjects(self._client.projects)

    @property
    def rate_limit(self) -> RateLimit | None:
        return self._client.rate_limit

    def statistics(self) -> Statistics:
        return self._client.statistics()

    def paginate(self, *arguments: Any, **options: Any) -> BlockingPaginator[dict[str, Any]]:
        return BlockingPaginator(self._client.paginate(*arguments, **options))

    async def request(self, *arguments: Any, **options: Any) -> APIResponse:
        return await asyncio.to_thread(self._client.request, *arguments, **options)

    def with_options(self, **options: Any) -> BlockingClient:
        return BlockingClient(view=self._client.with_options(**options))

    async def aclose(self) -> None:
        await asyncio.to_thread(self._client.close)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._client.__enter__)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _maker(kind: Callable[..., Any], emulator: Emulator) -> Callable[..., AsyncClient]:
    def make(token: str | None = None, **options: Any) -> AsyncClient:
        options.setdefault("base_url", emulator.url)
        options.setdefault("retry", RetryPolicy(attempts=1))
        options.setdefault("limits", None)
        client: AsyncClient = kind(emulator.token if token is None else token, **options)
        return client

    return make


@pytest.fixture
def make_client(emulator: Emulator) -> Callable[..., AsyncClient]:
    """Return a function that creates a client, by default without retries and limits."""
    return _maker(AsyncClient, emulator)


@pytest.fixture(params=[AsyncClient, BlockingClient], ids=["async", "blocking"])
def make_either(request: pytest.FixtureRequest, emulator: Emulator) -> Callable[..., AsyncClient]:
    """Return such a function for either kind of client, if threads or iterations matter."""
    return _maker(request.param, emulator)


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    with Forks() as forks:
        yield forks
