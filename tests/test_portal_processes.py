"""The blocking client in whole processes: their end, their forks, and Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.forked import OPTIONS, PATIENT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    from .conftest import SilentServer
    from .forked import Forks, Process

pytestmark = pytest.mark.process

LISTED = [f"do:droplet:{number}" for number in range(9)]
EMPTY = b'HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n{"resources": [], "meta": {"total": 0}}'

# A process that waits for `_JOIN_SECONDS` does not end in time.
PRELUDE = f"""
import asyncio, atexit, ctypes, gc, os, signal, socket, sys, threading, time
from contextlib import suppress
from digitalocean_projects import Client, ClientUsageError
from digitalocean_projects._facade import loop_thread as _loop_thread, portal as _portal

EMPTY = {EMPTY!r}
_loop_thread._JOIN_SECONDS = 60

def raw_fork():
    # As C code forks, without Python's hooks. The loops' threads must rest at that moment: if one
    # held a lock of the interpreter or of `threading`, that would stay locked in the child.
    time.sleep(0.2)
    return ctypes.PyDLL(None).fork()

def total(client):
    return client.projects.list_resources().first_page().total

def threads():
    # Those that end by themselves have time to.
    for thread in threading.enumerate()[1:]:
        thread.join(5)
    return [thread.name for thread in threading.enumerate()[1:]]

os.environ.update(DIGITALOCEAN_API_URL=url, DIGITALOCEAN_TOKEN=token)
client = Client()
"""
ENDS = {
    "forgotten": ("print(total(client))", "9\n", 0),
    "status": ("print(total(client)); sys.exit(3)", "9\n", 3),
    "error": ("total(client); sys.excepthook = lambda *_: None; 1 / 0", "", 1),
    "break": (
        """
for resource in client.projects.list_resources(per_page=2):
    print(resource.urn)
    break
""",
        "do:droplet:0\n",
        0,
    ),
    "reading ahead": (
        """
ahead = client.projects.list_resources(per_page=1, concurrency=2).__enter__()
print(next(iter(ahead)).urn)
""",
        "do:droplet:0\n",
        0,
    ),
    "in a call": (
        """
def call():
    with suppress(ClientUsageError):
        total(client)
listener = socket.create_server(("127.0.0.1", 0))
client = Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
thread = threading.Thread(target=call, daemon=True)
atexit.register(thread.join)  # after the portal's end, since it isn't started yet
thread.start()
connection = listener.accept()[0]
print(connection.recv(4))
connection.detach(), listener.detach()  # they stay open
""",
        "b'GET '\n",
        0,
    ),
    "atexit": ("total(client); atexit.register(lambda: print(total(client)))", "9\n", 0),
    "too late": (
        """
def late():
    try:
        total(client)
    except ClientUsageError as error:
        print(type(error).__name__)
atexit.register(late)
total(client)
""",
        "ClientUsageError\n",
        0,
    ),
    "first used at exit": (
        """
def late():
    with suppress(ClientUsageError):  # Python 3.12 starts no thread by then
        total(client)
    print("end")
atexit.register(late)
""",
        "end\n",
        0,
    ),
}
COLLECTIONS = {
    "dropped": "del client",
    "cycle": "client.itself = client; del client; gc.collect()",
    "thread": """
kept = [client]
del client
thread = threading.Thread(target=kept.clear)
thread.start()
thread.join()
""",
    "own thread": """
import aiohttp
async def note(*_):
    loops.append(asyncio.get_running_loop())
client.close()
loops, trace = [], aiohttp.TraceConfig()
trace.on_request_end.append(note)
kept = [Client(trace_configs=[trace])]
total(kept[0])
thread = threading.enumerate()[1]
loops[0].call_soon_threadsafe(kept.clear)
thread.join()
""",
}
FORKS = {
    "used": ("print(total(client))", "9\n"),
    "not used before": ("print(total(unused))", "9\n"),
    "iterated": ("print([item.urn.id for item in items])", f"{list('345678')}\n"),
    "reading ahead": ("print([item.urn.id for item in ahead])", f"{list('12345678')}\n"),
    "reading no more": ("paginator.close()", ""),
    "closed": ("client.close()", ""),
    "dropped": ("del client, paginator, items, ahead; gc.collect()", ""),
    "left alone": ("pass", ""),
}
# A name is looked up by the loop's executor.
NAMED = {
    "forgotten": ("print(total(client))", "9\n"),
    "dropped": ("print(total(client)); del client", "9\n"),
    "cycle": ("client.itself = client; print(total(client)); del client", "9\n"),
    "atexit": ("total(client); atexit.register(lambda: print(total(client)))", "9\n"),
    "in a call": (
        ENDS["in a call"][0].replace("http://127.0.0.1", "http://localhost"),
        "b'GET '\n",
    ),
    "in a look-up": (
        """
def look_up(*_, **options):
    looking.set()
    threading.Event().wait()

def call():
    with suppress(ClientUsageError):
        total(client)

looking, socket.getaddrinfo = threading.Event(), look_up
threading.Thread(target=call, daemon=True).start()
print(looking.wait(30))
""",
        "True\n",
    ),
    "fork": (
        """
print(total(client), flush=True)
if not raw_fork():
    signal.alarm(30)
    sys.exit()
print(os.wait()[1])
""",
        "9\n0\n",
    ),
    "used fork": (
        """
print(total(client), flush=True)
if not raw_fork():
    signal.alarm(30)
    print(total(client))
    sys.exit()
print(os.wait()[1])
""",
        "9\n9\n0\n",
    ),
}
FORKED = pytest.mark.parametrize("fork", ["os.fork", "raw_fork"])


def beginning(url: str, emulator: Emulator) -> str:
    return f"url, token = {url!r}, {emulator.token!r}\n{PRELUDE}"


@pytest.fixture
def start(emulator: Emulator, forks: Forks) -> Callable[..., Process]:
    """Return a function that starts a script with a `client` of the emulator or another URL."""
    emulator.seed(LISTED, default=True)

    def start(script: str, url: str = emulator.url) -> Process:
        return forks.start(beginning(url, emulator) + script)

    return start


@pytest.mark.parametrize(("script", "output", "status"), ENDS.values(), ids=ENDS)
def test_end(start: Callable[..., Process], script: str, output: str, status: int) -> None:
    """A script that doesn't close its client ends at once, and prints nothing."""
    process = start(script)
    assert (output, "", status) == process.end()


@pytest.mark.parametrize(("script", "output"), NAMED.values(), ids=NAMED)
def test_end_with_a_name(
    start: Callable[..., Process], emulator: Emulator, script: str, output: str
) -> None:
    """The same holds for a base URL with a host name, even during its DNS lookup."""
    process = start(script, emulator.url.replace("127.0.0.1", "localhost"))
    assert (output, "", 0) == process.end()


@pytest.mark.parametrize("script", COLLECTIONS.values(), ids=COLLECTIONS)
def test_collection(start: Callable[..., Process], script: str) -> None:
    """A collected client ends its thread and prints nothing, in any thread."""
    process = start(f"total(client)\n{script}\nprint(threads())")
    assert ("[]\n", "", 0) == process.end()


def test_collection_does_not_wait(start: Callable[..., Process]) -> None:
    """A thread that collects a client doesn't wait for its loop; the interpreter's end does."""
    process = start("""
async def nothing():
    pass

async def aclose():
    while not released.is_set():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    print("closed")

released = threading.Event()
kept = [_portal.Portal(aclose)]
kept[0].call(nothing)
thread = threading.Thread(target=kept.clear)
thread.start()
thread.join()
print("collected", threading.active_count() - 1, flush=True)
released.set()
""")
    expected = ("collected 1\nclosed\n", "", 0)
    assert expected == process.end()


def test_end_is_bounded(start: Callable[..., Process]) -> None:
    """Loops that don't end delay the interpreter's exit by one timeout together."""
    process = start("""
async def nothing():
    pass

async def aclose():
    os.write(1, b"closing\\n")
    await asyncio.sleep(3600)

_loop_thread._JOIN_SECONDS = 1
portals = [_portal.Portal(aclose) for _ in range(30)]
for portal in portals:
    portal.call(nothing)
signal.alarm(15)
""")
    expected = (30 * "closing\n", "", 0)
    assert expected == process.end()


def test_interrupt(start: Callable[..., Process], silent_server: SilentServer) -> None:
    """Ctrl-C during a call raises KeyboardInterrupt at once, and cancels the request."""
    script = """
try:
    total(client)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
"""
    process = start(script, silent_server.url)
    with silent_server.requested() as connection:
        process.send_signal(signal.SIGINT)
        assert "interrupted\n" == process.stdout.readline()
        assert b"" == connection.recv(1)
        process.send_signal(0)  # it lives
    assert ("", "", 0) == process.end()


def test_interrupted_script(start: Callable[..., Process], silent_server: SilentServer) -> None:
    """Ctrl-C ends a script without a handler, with one traceback."""
    process = start("total(client)", silent_server.url)
    with silent_server.requested():
        process.send_signal(signal.SIGINT)
        _, written, status = process.end()
    errors = written.splitlines()
    assert ("KeyboardInterrupt", -signal.SIGINT) == (errors[-1], status)
    assert ["Traceback (most recent call last):"] == [
        line for line in errors[:-1] if not line.startswith(" ")
    ]


@FORKED
@pytest.mark.parametrize(("script", "output"), FORKS.values(), ids=FORKS)
def test_fork(start: Callable[..., Process], script: str, output: str, fork: str) -> None:
    """A forked child can use the client, and so can its parent."""
    process = start(f"""
unused = Client()
with Client() as closed:
    total(closed)
items = iter(client.projects.list_resources(per_page=3))
next(items), next(items), next(items)
paginator = client.projects.list_resources(per_page=1, concurrency=2).__enter__()
ahead = iter(paginator)
next(ahead)
loop = client._portal._thread._loop
if not {fork}():
    signal.alarm(30)
    parents = loop._selector
    parents.register = parents.modify = parents.unregister = lambda *_: print("changed")
    loop._write_to_self = lambda: print("woken")
    {script}
    sys.exit()
print(os.wait()[1], len(list(items)), len(list(ahead)), total(client))
""")
    expected = (f"{output}0 6 8 9\n", "", 0)
    assert expected == process.end()


@FORKED
def test_fork_during_a_call(start: Callable[..., Process], fork: str) -> None:
    """A child can use the client during a call of its parent, which continues."""
    process = start(f"""
with socket.create_server(("127.0.0.1", 0)) as listener:
    client = Client(base_url=f"http://127.0.0.1:{{listener.getsockname()[1]}}")
    thread = threading.Thread(target=lambda: print(total(client)), daemon=True)
    thread.start()
    with listener.accept()[0] as connection:
        connection.recv(65536)
        child = {fork}()
        if not child:
            signal.alarm(30)
            print("child", total(client))
            sys.exit()
        with listener.accept()[0] as childs:
            childs.recv(65536)
            childs.sendall(EMPTY)
            print(os.wait()[1], flush=True)
        connection.sendall(EMPTY)
        thread.join()
""")
    expected = ("child 0\n0\n0\n", "", 0)
    assert expected == process.end()


@FORKED
def test_fork_during_the_start(start: Callable[..., Process], fork: str) -> None:
    """A child can use the client while a thread of its parent starts the loop."""
    process = start(f"""
def hold(*_):
    sys.setprofile(None)
    if threading.current_thread().name == "digitalocean_projects":
        held.set()
        released.wait()

held, released = threading.Event(), threading.Event()
threading.setprofile(hold)
thread = threading.Thread(target=lambda: print(total(client)), daemon=True)
thread.start()
held.wait()
threading.setprofile(None)
if not {fork}():
    signal.alarm(30)
    print("child", total(client))
    sys.exit()
print(os.wait()[1], flush=True)
released.set()
thread.join()
""")
    expected = ("child 9\n0\n9\n", "", 0)
    assert expected == process.end()


MULTIPROCESSING = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

def work(_):
    return total(client)

if __name__ == "__main__":
    print(total(client))
    with ProcessPoolExecutor(1, get_context("METHOD")) as pool:
        print(list(pool.map(work, range(3))))
    print(total(client))
"""


def test_multiprocessing(start: Callable[..., Process]) -> None:
    """A module's client serves a forked process of `multiprocessing`."""
    process = start(MULTIPROCESSING.replace("METHOD", "fork"))
    assert ("9\n[9, 9, 9]\n9\n", "", 0) == process.end()


def test_multiprocessing_spawn(emulator: Emulator, tmp_path: Path) -> None:
    """A module's client serves a process that imports the module again."""
    emulator.seed(LISTED, default=True)
    file = tmp_path / "script.py"
    script = MULTIPROCESSING.replace("METHOD", "spawn")
    file.write_text(PATIENT + beginning(emulator.url, emulator) + script)
    # CPython 3.15 warns of its own module `__mp_main__` where asyncio notes a traceback.
    options = [*OPTIONS, "-W", "ignore:Module globals:DeprecationWarning"]
    command = [sys.executable, *options, str(file)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert ("9\n[9, 9, 9]\n9\n", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_no_loop(start: Callable[..., Process]) -> None:
    """If no event loop can be started, a call raises the error, and a later one may succeed."""
    process = start("""
import resource
with Client() as other:
    total(other)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
free = os.dup(0)
os.close(free)
for limit in (free, free + 1, free + 2):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limits[1]))
    try:
        total(client)
    except ClientUsageError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
print(threads(), total(client))
""")
    # stderr isn't checked, because asyncio logs an error about its own incomplete loop.
    reason = "no thread with an event loop can be started: [Errno 24] Too many open files\n"
    assert f"{3 * reason}[] 9\n" == process.end()[0]
