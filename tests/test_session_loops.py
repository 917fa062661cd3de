"""Event loops and processes: the places where a client may be used, and its cleanup."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from aiohttp import ClientSession, TCPConnector, TraceConfig
from aiohttp.abc import AbstractResolver

from digitalocean_projects import AsyncClient, ClientUsageError
from digitalocean_projects._session.pool import running_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from aiohttp.abc import ResolveResult

    from digitalocean_projects.testing import Emulator

    from .forked import Forks

    MakeClient = Callable[..., AsyncClient]
    RunScript = Callable[[str], None]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

DROPLET = "do:droplet:1"
CLOSED_MEANWHILE = "the client was closed (meanwhile|during)"
PREAMBLE = """
import asyncio, ctypes, gc, logging, os, sys
from digitalocean_projects import AsyncClient


def raw_fork():
    # As C code forks, without Python's hooks.
    return ctypes.PyDLL(None).fork()

async def listed(client):
    page = await client.projects.list_resources().first_page()
    assert ["do:droplet:1"] == [str(resource.urn) for resource in page.items]
"""


@pytest.fixture
def client(emulator: Emulator) -> AsyncClient:
    emulator.seed([DROPLET], default=True)
    return AsyncClient(emulator.token, base_url=emulator.url)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that does nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


def address(listener: socket.socket) -> str:
    return "{}:{}".format(*listener.getsockname())


async def listed(client: AsyncClient) -> list[str]:
    """The URNs on the first page."""
    page = await client.projects.list_resources().first_page()
    return [str(resource.urn) for resource in page.items]


async def iterated(client: AsyncClient) -> list[str]:
    """All URNs, from an iteration."""
    return [str(resource.urn) async for resource in client.projects.list_resources()]


async def collected(client: AsyncClient) -> list[str]:
    """All URNs, from a list."""
    return [str(resource.urn) for resource in await client.projects.list_resources().collect()]


async def assigned(client: AsyncClient) -> list[str]:
    """The URNs in the answer to an assignment."""
    result = await client.projects.assign_resources("default", [DROPLET])
    return [str(resource.urn) for resource in result.resources]


@pytest.fixture
def run_script(emulator: Emulator, forks: Forks) -> RunScript:
    """Runs a script that uses the emulator, and checks that it writes nothing."""
    emulator.seed([DROPLET], default=True)

    def run(script: str) -> None:
        values = f"url, token = {emulator.url!r}, {emulator.token!r}\n"
        assert ("", "", 0) == forks.start(values + PREAMBLE + script).end()

    return run


@pytest.mark.parametrize("operation", [listed, iterated, collected, assigned])
def test_trio(
    client: AsyncClient, operation: Callable[[AsyncClient], Awaitable[list[str]]]
) -> None:
    """Under trio, a client says what it needs."""
    with pytest.raises(ClientUsageError, match="needs a running asyncio event loop"):
        trio.run(operation, client)


def test_closed_unused_under_trio(client: AsyncClient) -> None:
    """A client that was never used can be closed anywhere."""
    trio.run(client.aclose)
    with pytest.raises(
        ClientUsageError, match=r"the client is closed; use it, its views and its paginators"
    ):
        trio.run(listed, client)


@pytest.mark.parametrize("operation", [listed, iterated, collected, assigned])
def test_no_loop(client: AsyncClient, operation: Callable[[AsyncClient], Any]) -> None:
    """So it does where no loop runs at all."""
    with pytest.raises(ClientUsageError, match="needs a running asyncio event loop"):
        operation(client).send(None)


def test_running_loop() -> None:
    """Nothing of asyncio's stays behind that error."""
    with pytest.raises(ClientUsageError) as caught:
        running_loop()
    assert (None, None) == (caught.value.__cause__, caught.value.__context__)


def test_one_loop_after_the_other(client: AsyncClient, emulator: Emulator) -> None:
    """A client that outlives its loop makes new connections in the next one."""
    for _ in range(2):
        assert [DROPLET] == asyncio.run(listed(client))
    asyncio.run(client.aclose())
    with pytest.raises(ClientUsageError, match="the client is closed"):
        asyncio.run(listed(client))
    assert 2 == len(emulator.requests)


def test_two_loops(client: AsyncClient, emulator: Emulator) -> None:
    """While a client's loop isn't closed, no other one can use the client, or close it."""
    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert [DROPLET] == first.run(listed(client))
        for use in (listed, AsyncClient.aclose):
            with pytest.raises(ClientUsageError, match="belongs to another event loop"):
                second.run(use(client))
        assert [DROPLET] == first.run(listed(client))
        first.run(client.aclose())
    assert 2 == len(emulator.requests)


@pytest.mark.parametrize("operation", [listed, iterated, collected, assigned])
async def test_closed(
    make_either: MakeClient,
    emulator: Emulator,
    operation: Callable[[AsyncClient], Awaitable[list[str]]],
) -> None:
    """A closed client sends nothing; to close it again is harmless."""
    client = make_either()
    await listed(client)
    await client.aclose()
    await client.aclose()
    with pytest.raises(ClientUsageError, match="the client is closed"):
        await operation(client)
    assert 1 == len(emulator.requests)


async def test_closed_unused(make_either: MakeClient) -> None:
    """A client that was never used can be closed, and is closed then."""
    client = make_either()
    await client.aclose()
    with pytest.raises(ClientUsageError, match="the client is closed"):
        await listed(client)
    with pytest.raises(ClientUsageError, match="the client is closed"):
        await client.__aenter__()


@pytest.mark.parametrize(
    ("scheme", "beginning"),
    [("https", b""), ("http", b""), ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")],
    ids=["handshake", "request", "answer"],
)
async def test_closed_during_request(
    make_either: MakeClient, listener: socket.socket, scheme: str, beginning: bytes
) -> None:
    """To close a client ends its requests, whatever they wait for."""
    loop = asyncio.get_running_loop()
    client = make_either(base_url=f"{scheme}://{address(listener)}")
    request = asyncio.ensure_future(listed(client))
    connection, _ = await loop.sock_accept(listener)
    with connection:
        await loop.sock_recv(connection, 1)
        await loop.sock_sendall(connection, beginning)
        await client.aclose()
        with pytest.raises(ClientUsageError, match=CLOSED_MEANWHILE):
            await request


class DeafResolver(AbstractResolver):
    """A name server that never answers."""

    async def resolve(self, *_: object, **__: object) -> list[ResolveResult]:
        never: asyncio.Future[list[ResolveResult]] = asyncio.get_running_loop().create_future()
        return await never

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("signal", "url", "requests"),
    [
        ("on_dns_resolvehost_start", "https://api.example", 1),
        ("on_connection_queued_start", "http://{}", 2),
        ("on_request_headers_sent", "http://{}", 1),
    ],
    ids=["name", "pool", "answer"],
)
async def test_closed_while_waiting(
    make_either: MakeClient, listener: socket.socket, signal: str, url: str, requests: int
) -> None:
    """So it does for requests that have no connection yet, or wait for another one's."""
    waiting = threading.Event()

    async def wait(*_: object) -> None:
        waiting.set()

    trace = TraceConfig()
    getattr(trace, signal).append(wait)

    def factory() -> ClientSession:
        connector = TCPConnector(limit=1, resolver=DeafResolver())
        return ClientSession(connector=connector, trace_configs=[trace])

    client = make_either(base_url=url.format(address(listener)), session_factory=factory)
    tasks = [asyncio.ensure_future(listed(client)) for _ in range(requests)]
    await asyncio.to_thread(waiting.wait, 10)
    await client.aclose()
    for task in tasks:
        with pytest.raises(ClientUsageError, match=CLOSED_MEANWHILE) as caught:
            await task
        assert (None, None) == (caught.value.__cause__, caught.value.__context__)


async def test_closed_by_its_own_request(emulator: Emulator) -> None:
    """A request that closes its client, from a hook, fails like any other."""

    async def close(*_: object) -> None:
        await closed.aclose()

    trace = TraceConfig()
    trace.on_request_start.append(close)
    closed = AsyncClient(emulator.token, base_url=emulator.url, trace_configs=[trace])
    with pytest.raises(ClientUsageError, match=CLOSED_MEANWHILE):
        await listed(closed)
    assert [] == emulator.requests


async def test_shallow_copy(client: AsyncClient) -> None:
    """A client, or a view of it, can't be copied, since the end of the copy would close it."""
    for value in (client, client.with_options(timeout=1.0)):
        with pytest.raises(TypeError, match="a client can't be copied"):
            copy.copy(value)


@pytest.mark.parametrize("operation", [copy.deepcopy, pickle.dumps])
def test_copies(client: AsyncClient, operation: Callable[[object], object]) -> None:
    """Neither a client nor what refers to it can be copied out of its process."""
    for value in (client, client.projects, client.projects.list_resources()):
        with pytest.raises(TypeError, match="a client can't be copied or pickled"):
            operation(value)


@pytest.mark.parametrize(
    "script",
    [
        "client = AsyncClient(token, base_url=url)\nasyncio.run(listed(client))",
        """
async def main():
    await listed(AsyncClient(token, base_url=url))

asyncio.run(main())
""",
        """
async def main():
    client = AsyncClient(token, base_url=url)
    client.cycle = client
    await listed(client)
    del client
    gc.collect()
    await listed(AsyncClient(token, base_url=url))

asyncio.run(main())
""",
        """
async def main():
    client = AsyncClient(token, base_url=url)
    client.cycle = client
    await listed(client)

asyncio.run(main())
""",
        """
async def main():
    client = AsyncClient(token, base_url=url)
    await listed(client)
    sys.exit()

asyncio.run(main())
""",
        """
client = AsyncClient(token, base_url=url)
asyncio.run(listed(client))
asyncio.run(listed(client))
""",
    ],
    ids=["kept", "dropped", "collected", "cycle", "exit", "two loops"],
)
@pytest.mark.process
def test_forgotten(run_script: RunScript, script: str) -> None:
    """A client that nobody closes is closed with its loop, if not before, without a warning."""
    run_script(script)


@pytest.mark.filterwarnings(r"ignore:unclosed (transport )?<:ResourceWarning")
def test_loop_closed_by_hand(client: AsyncClient) -> None:
    """A loop that gets no chance to close a client doesn't spoil it for the next one."""
    loop = asyncio.new_event_loop()
    assert [DROPLET] == loop.run_until_complete(listed(client))
    loop.close()
    assert [DROPLET] == asyncio.run(listed(client))
    gc.collect()


@pytest.mark.filterwarnings(r"ignore:unclosed (transport )?<:ResourceWarning")
@pytest.mark.parametrize("close", [True, False])
def test_forgotten_outside_its_loop(emulator: Emulator, *, close: bool) -> None:
    """A client that is forgotten after such a loop, or while it rests, is warned about."""
    client = AsyncClient(emulator.token, base_url=emulator.url)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(listed(client))
    if close:
        loop.close()
    with pytest.warns(ResourceWarning, match="a client was not closed before its event loop"):
        del client
    if not close:  # it closes the connections when it runs again
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
    gc.collect()


# From CPython 3.14 on, a forked process can't go on in the loop that was running, not even to its
# end, so the child ends as multiprocessing ends it.
FORK_INSIDE = """
import multiprocessing

async def main():
    def child():
        nonlocal client
        {use}

    client = AsyncClient(token, base_url=url, timeout=3)
    await listed(client)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
    await listed(client)
    await client.aclose()

asyncio.run(main())
"""
FORK_OUTSIDE = """
client = AsyncClient(token, base_url=url, timeout=3)
loop = asyncio.new_event_loop()
loop.run_until_complete(listed(client))
child = {fork}()
if child == 0:
    parents = loop._selector
    parents.register = parents.modify = parents.unregister = lambda *_: print("changed")
    {use}
else:
    assert (child, 0) == os.waitpid(child, 0)
    loop.run_until_complete(listed(client))
    loop.run_until_complete(client.aclose())
    loop.close()
"""


@pytest.mark.parametrize(
    ("use", "requests"),
    [
        ("asyncio.run(listed(client)); asyncio.run(client.aclose())", 3),
        ("asyncio.run(listed(client))", 3),
        ("asyncio.run(client.aclose())", 2),
        ("del client; gc.collect()", 2),
        ("client = None; asyncio.run(listed(AsyncClient(token, base_url=url)))", 3),
        ("pass", 2),
        ("sys.exit()", 2),
    ],
    ids=["used and closed", "used", "closed", "dropped", "another", "kept", "exit"],
)
@pytest.mark.parametrize(
    ("script", "fork"),
    [(FORK_INSIDE, "os.fork"), (FORK_OUTSIDE, "os.fork"), (FORK_OUTSIDE, "raw_fork")],
    ids=["inside", "outside", "without hooks"],
)
@pytest.mark.process
def test_fork(
    emulator: Emulator, run_script: RunScript, script: str, fork: str, *, use: str, requests: int
) -> None:
    """A forked process has connections of its own, and its end leaves its parent's alone."""
    run_script(script.format(use=use, fork=fork))
    assert requests == len(emulator.requests)


PENDING = """
import socket, warnings, weakref

# asyncio and aiohttp warn about tasks and sessions that the loop's owner didn't end.
warnings.simplefilter("ignore", ResourceWarning)
logging.disable()
sys.unraisablehook = lambda _: None
listener = socket.create_server(("127.0.0.1", 0), backlog=20)
listener.settimeout(30)
client = AsyncClient(token, base_url="http://{}:{}".format(*listener.getsockname()))

async def leave():
    calls = [asyncio.ensure_future(listed(client)) for _ in range(16)]
    for call in calls:
        call._log_destroy_pending = False
    await asyncio.sleep(0.3)
    return [*map(weakref.ref, calls), weakref.ref(client._manager._pool._held.session)]

loop = asyncio.new_event_loop()
found = loop.run_until_complete(leave())
loop.close()
"""

COLLECTED = """
del client, loop
gc.collect()
assert not [reference() for reference in found if reference()], found
for _ in range(16):
    connection, _ = listener.accept()
    while connection.recv(65536):
        pass
    connection.close()
"""

GOES_ON = """
async def use():
    async with AsyncClient(token, base_url=url) as other, asyncio.timeout(30):
        await listed(other)
    try:
        await listed(client.with_options(timeout=0.1, retry=RetryPolicy(attempts=1)))
    except APITimeoutError:
        await client.aclose()

from digitalocean_projects import APITimeoutError, RetryPolicy
asyncio.run(use())
del client, loop
gc.collect()
assert not [reference() for reference in found if reference()], found
"""


ITERATED = """
client = AsyncClient(token, base_url=url, limits=None)
loop = asyncio.new_event_loop()

async def begin(pages):
    steps = [asyncio.ensure_future(anext(iterator)) for iterator in pages]
    for step in steps:
        step._log_destroy_pending = False
    await asyncio.sleep(0)
    return steps

pages = [client.projects.list_resources().pages(), client.projects.resources_by_project().pages()]
steps = loop.run_until_complete(begin(pages))
loop.close()

async def go_on():
    async with client:
        for iterator in pages:
            await anext(iterator)

asyncio.run(go_on())
os._exit(0)  # skips the warnings about the tasks of the closed loop
"""


@pytest.mark.parametrize(
    "script", [COLLECTED, GOES_ON, ITERATED], ids=["collected", "goes on", "iterated"]
)
@pytest.mark.process
def test_pending_in_a_closed_loop(run_script: RunScript, script: str) -> None:
    """Requests that a closed loop has left pending are collected, and hold up no other ones."""
    run_script(PENDING + script)


@pytest.mark.process
def test_collected_requests(run_script: RunScript) -> None:
    """Requests of a closed loop raise no exception when they are collected, in any state."""
    run_script(
        """
import socket, warnings
from digitalocean_projects import APIError

def unraisable(caught):
    # aiohttp's own objects need a loop at their end, too.
    if isinstance(caught.exc_value, APIError):
        print(repr(caught.exc_value))

sys.unraisablehook = unraisable
warnings.simplefilter("ignore", ResourceWarning)  # about what the loop's owner didn't close
listener = socket.create_server(("127.0.0.1", 0), backlog=100)

async def turns(number):
    for _ in range(number):
        await asyncio.sleep(0)

def leave(number, seconds):
    address = "http://{}:{}".format(*listener.getsockname())
    client = AsyncClient(token, base_url=address, limits=None)
    loop = asyncio.new_event_loop()
    calls = [loop.create_task(listed(client)) for _ in range(3)]
    for call in calls:
        call._log_destroy_pending = False
    loop.run_until_complete(turns(number))
    loop.run_until_complete(asyncio.sleep(seconds))
    loop.close()
    for call in calls:
        # So does the garbage collector, but it may collect the transports first.
        call.get_coro().close()

for number in range(10):
    leave(number, 0.0)
leave(1, 0.1)
gc.collect()
"""
    )
