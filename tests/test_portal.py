"""The blocking client's event loop: its threads, its callers and its end."""

from __future__ import annotations

import asyncio
import copy
import pickle
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from digitalocean_projects import APIError, Client, ClientUsageError
from digitalocean_projects._facade.loop_thread import LoopThread
from digitalocean_projects._facade.portal import Portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from digitalocean_projects.testing import Emulator

    from .conftest import SilentServer

pytestmark = pytest.mark.usefixtures("no_leaks")

LISTED = [f"do:droplet:{number}" for number in range(9)]
EMPTY = b'HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n{"resources": [], "meta": {"total": 0}}'


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    emulator.seed(LISTED, default=True)
    client = Client(emulator.token, base_url=emulator.url)
    yield client
    client.close()


def total(client: Client) -> int | None:
    return client.projects.list_resources().first_page().total


def test_interrupted_start(client: Client) -> None:
    """Ctrl-C during the start of the thread ends the call, and the client stays usable."""
    main, released = threading.get_ident(), threading.Event()

    def hold(*_: object) -> None:
        """Block the new thread at its start."""
        sys.setprofile(None)
        signal.pthread_kill(main, signal.SIGINT)
        released.wait(30)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.setprofile(hold)
    try:
        with pytest.raises(KeyboardInterrupt):
            total(client)
    finally:
        threading.setprofile(None)
        signal.signal(signal.SIGINT, handler)
        released.set()
    assert total(client) is not None


def test_threads(silent_server: SilentServer) -> None:
    """Many threads share one loop and one session, and don't wait for each other."""
    made = []

    def session() -> aiohttp.ClientSession:
        made.append(threading.current_thread())
        return aiohttp.ClientSession()

    barrier = threading.Barrier(20)

    def call(_: object) -> int | None:
        barrier.wait(30)
        return total(shared)

    shared = Client("token", base_url=silent_server.url, limits=None, session_factory=session)
    with ThreadPoolExecutor(20) as pool:
        calls = pool.map(call, range(20))
        connections = [silent_server.requested() for _ in range(20)]
        for connection in connections:
            connection.sendall(EMPTY)
            connection.close()
        assert [0] * 20 == list(calls)
    shared.close()
    assert ["digitalocean_projects"] == [thread.name for thread in made]


def test_calls_during_the_start(client: Client) -> None:
    """A call during the start of the loop waits for it, and doesn't start another one."""
    starting, released = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        sys.setprofile(None)
        if threading.current_thread().name == "digitalocean_projects":
            starting.set()
            released.wait(30)

    def release(frame: Any, *_: object) -> None:
        if frame.f_code is LoopThread._hand_over.__code__:
            sys.setprofile(None)
            released.set()

    def second() -> int | None:
        starting.wait(30)
        sys.setprofile(release)
        return total(client)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(second)
        threading.setprofile(hold)
        try:
            assert 9 == total(client)
        finally:
            threading.setprofile(None)
        assert 9 == call.result(30)
    assert 1 == [thread.name for thread in threading.enumerate()].count("digitalocean_projects")


def test_in_a_running_loop(client: Client) -> None:
    """A caller whose own thread runs an event loop can use the client."""

    async def main() -> int | None:
        return total(client)

    assert [9, 9] == [asyncio.run(main()), asyncio.run(main())]


@pytest.mark.parametrize("used", [True, False])
def test_closed(client: Client, *, used: bool) -> None:
    """A closed client refuses all calls, and can be closed again."""
    resources = client.projects.list_resources()
    if used:
        assert 9 == len(resources.collect())
    client.close()
    client.close()
    calls: list[Callable[[], object]] = [
        client.__enter__,
        resources.collect,
        resources.first_page,
        resources.pages().__next__,
        iter(resources).__next__,
        lambda: client.projects.assign_resources("default", LISTED),
    ]
    for call in calls:
        with pytest.raises(ClientUsageError, match="the client is closed"):
            call()


def test_closed_during_a_call(silent_server: SilentServer) -> None:
    """Closing a client ends the calls of other threads."""
    with ThreadPoolExecutor(1) as pool:
        shared = Client("token", base_url=silent_server.url)
        call = pool.submit(total, shared)
        with silent_server.requested() as connection:
            shared.close()
            assert b"" == connection.recv(1)
        with pytest.raises(ClientUsageError, match="the client was closed"):
            call.result(timeout=30)


def test_in_its_own_loop(emulator: Emulator) -> None:
    """Code that runs in the client's loop can't call the client."""
    said: list[str] = []

    def session() -> aiohttp.ClientSession:
        for call in (lambda: total(client), client.close, lambda: list(resources), resources.close):
            with pytest.raises(ClientUsageError) as caught:
                call()
            said.append(str(caught.value))
        return aiohttp.ClientSession()

    with Client(emulator.token, base_url=emulator.url, session_factory=session) as client:
        resources = client.projects.list_resources()
        assert 0 == total(client)
    assert [
        "a blocking client can't be used inside its own event loop; use AsyncClient there"
    ] * 4 == said


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy])
def test_no_copies(client: Client, copied: Callable[[object], object]) -> None:
    """A client, and objects that it creates, can't be pickled or copied."""
    for operation in (copied, copy.copy):
        with pytest.raises(TypeError, match="a client can't be copied or pickled"):
            operation(client)
    resources = client.projects.list_resources()
    for value in (client.projects, resources, iter(resources), resources.pages()):
        with pytest.raises(TypeError, match="pickle"):
            copied(value)


def test_context_variables(emulator: Emulator) -> None:
    """The loop sees the context variables of each caller."""
    variable: ContextVar[str] = ContextVar("variable")
    seen = []

    async def note(*_: object) -> None:
        seen.append(variable.get("unset"))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    with Client(emulator.token, base_url=emulator.url, trace_configs=[trace]) as client:
        for value in ("a", "b"):
            context = copy_context()
            context.run(variable.set, value)
            context.run(total, client)
        total(client)
    assert ["a", "b", "unset"] == seen


@pytest.mark.parametrize(("per_page", "pages"), [(200, 1), (2, 5), (1, 9)])
def test_crossings(client: Client, emulator: Emulator, per_page: int, pages: int) -> None:
    """An iteration wakes the loop once for each page, and once for the end."""
    total(client)
    emulator.forget_requests()
    woken = 0

    def count(frame: Any, event: str, _: object) -> None:
        nonlocal woken
        woken += (event, frame.f_code) == ("call", wake)

    wake = asyncio.BaseEventLoop.call_soon_threadsafe.__code__
    items = iter(client.projects.list_resources(per_page=per_page))
    sys.setprofile(count)
    try:
        listed = [str(item.urn) for item in items]
    finally:
        sys.setprofile(None)
    assert (LISTED, pages, pages + 1) == (listed, len(emulator.requests), woken)


def test_asked_again(client: Client, emulator: Emulator) -> None:
    """After an error, an iterator continues at the same page."""
    resources = client.projects.list_resources(per_page=3)
    for iterator, count, rest in ((resources.pages(), 1, 2), (iter(resources), 3, 6)):
        emulator.respond(404, when=lambda request: request.query["page"] == "2")
        for _ in range(count):
            next(iterator)
        with pytest.raises(APIError):
            next(iterator)
        assert rest == len(list(iterator))


def test_left_after_close(client: Client) -> None:
    """A paginator can be closed after its client."""
    with client.projects.list_resources(per_page=1) as resources:
        next(iter(resources))
        client.close()
    resources.close()


def test_resources_of_a_paginator(client: Client, emulator: Emulator) -> None:
    """The resources of a listing can be assigned while the same client reads it."""
    project = emulator.seed()
    result = client.projects.assign_resources(project, client.projects.list_resources(per_page=2))
    result.raise_for_failed()
    assert LISTED == sorted(emulator.resources(project))
    assert [] == emulator.resources()


def test_resources_of_one_text(client: Client, emulator: Emulator) -> None:
    """A text isn't taken apart into characters."""
    with pytest.raises(TypeError, match="resources must be a list of URNs, got one str; put a"):
        client.projects.assign_resources("default", "do:droplet:1")
    assert [] == emulator.requests


def test_failure_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """`threading.excepthook` receives an error at the end of the loop."""
    told: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    async def fail() -> None:
        raise LookupError

    portal = Portal(fail)
    with pytest.raises(LookupError):
        portal.call(fail)
    assert [] == told
    portal.close()
    assert [LookupError] == [arguments.exc_type for arguments in told]
