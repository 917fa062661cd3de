"""The fixtures for pytest, in this run and in runs of their own."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import subprocess
import sys
import time
from importlib.metadata import entry_points
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from digitalocean_projects import AsyncClient, Client, NotFoundError
from digitalocean_projects.testing import MockClock
from tests.programs import Programs

if TYPE_CHECKING:
    from pathlib import Path

    from digitalocean_projects.testing import Emulator
    from tests.forked import Forks

pytestmark = pytest.mark.usefixtures("no_leaks")

DROPLET = "do:droplet:1"
# These checks hold for every run, for any use of the fixtures.
CONFTEST = """
import asyncio
import gc
import os
import threading

import pytest

from digitalocean_projects import ClientUsageError

used = []


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    before = {**os.environ, "PYTEST_CURRENT_TEST": ""}
    yield
    assert before == {**os.environ, "PYTEST_CURRENT_TEST": ""}
    for client, session in used:
        with pytest.raises(ClientUsageError, match="the client is closed"):
            client._manager.check_open()
        assert session is None or session.closed
    used.clear()
    gc.collect()
    assert [threading.main_thread()] == threading.enumerate()


@pytest.fixture
def do_async_client(do_async_client):
    yield do_async_client
    held = do_async_client._manager._pool._held
    used.append((do_async_client, held and held.session))


@pytest.fixture(scope="module")
def idle_loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def running_loop():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
"""
AWAITED = """
import pytest

from digitalocean_projects import AsyncClient


@pytest.fixture
async def seeded(do_emulator, do_async_client):
    project = await do_async_client.projects.create("web", "testing")
    do_emulator.seed([f"do:droplet:{number}" for number in range(1000)], default=True)
    return project


async def test_awaited_fixture(do_async_client, seeded):
    assert seeded == await do_async_client.projects.find("web")
    await do_async_client.projects.assign_resources(seeded, ["do:droplet:1"])


async def test_left_in_the_middle(do_async_client, seeded):
    async for resource in do_async_client.projects.list_resources(per_page=10):
        assert "do:droplet:0" == str(resource.urn)
        break


async def test_fails_over(do_emulator, do_async_client):
    do_emulator.respond(503, headers={"Retry-After": "50"})
    assert [] == await do_async_client.projects.list_resources().collect()
    assert 50.0 <= do_emulator.clock.time() < 100.0


async def test_closed_by_itself(do_async_client):
    async with do_async_client:
        await do_async_client.projects.get_default()


async def test_own_client(do_emulator):
    async with AsyncClient() as client:
        assert do_emulator.default_project_id == (await client.projects.get_default()).id


async def test_blocking(do_emulator, do_client):
    assert do_emulator.default_project_id == do_client.projects.get_default().id


async def test_unused(do_async_client):
    pass
"""
ANYIO = """
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"
"""
# With this fixture, anyio runs all tests of the module in one loop.
SHARED = """

@pytest.fixture(scope="module", autouse=True)
async def runs_all_the_time(anyio_backend):
    yield
"""
STRICT = """
import pytest_asyncio

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def seeded(do_emulator, do_async_client):
    project = await do_async_client.projects.create("web", "testing")
    do_emulator.seed([f"do:droplet:{number}" for number in range(1000)], default=True)
    return project
"""
ASYNCIO = ["-p", "pytest_asyncio.plugin"]
FUNCTION = [*ASYNCIO, "-o", "asyncio_default_fixture_loop_scope=function"]
SESSION = [
    *ASYNCIO,
    *("-o", "asyncio_mode=auto"),
    *("-o", "asyncio_default_test_loop_scope=session"),
    *("-o", "asyncio_default_fixture_loop_scope=session"),
]
BY_HAND = """
import asyncio
import os

import pytest

from digitalocean_projects import AsyncClient


async def ask(client):
    return (await client.projects.get_default()).name


def test_two_loops(do_async_client):
    assert "first-project" == asyncio.run(ask(do_async_client))
    assert "first-project" == asyncio.run(ask(do_async_client))


def test_idle_loop(idle_loop, do_async_client):
    assert "first-project" == idle_loop.run_until_complete(ask(do_async_client))


def test_running_loop(running_loop, do_async_client):
    asked = asyncio.run_coroutine_threadsafe(ask(do_async_client), running_loop)
    assert "first-project" == asked.result(20)


def test_loop_of_the_thread(do_async_client):
    asyncio.set_event_loop(asyncio.new_event_loop())


def test_loop_of_the_thread_is_left_alone():
    asyncio.get_event_loop().close()
    asyncio.set_event_loop(None)


def test_own_environment(monkeypatch, do_emulator):
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", do_emulator.add_token(["project:read"]))
    assert "first-project" == asyncio.run(ask(AsyncClient()))


def test_nothing_is_set():
    assert not [name for name in os.environ if name.startswith("DIGITALOCEAN_")]
    with pytest.raises(RuntimeError, match="no token"):
        AsyncClient()
"""
UNUSED = """
import sys

HEAVY = {"aiohttp", "anyio", "attrs", "cattrs", "digitalocean_projects.testing"}
if sys.version_info < (3, 14):  # from then on, pytest itself loads them with pdb
    HEAVY |= {"asyncio", "ssl"}


def test_nothing_is_imported():
    assert "digitalocean_projects.contrib.pytest" in sys.modules
    assert set() == HEAVY & {*sys.modules}
"""
RUNS = {
    "anyio": (["-p", "anyio.pytest_plugin"], AWAITED + ANYIO, 7),
    "anyio in one loop": (["-p", "anyio.pytest_plugin"], AWAITED + ANYIO + SHARED, 7),
    "pytest-asyncio": (FUNCTION, AWAITED + STRICT, 7),
    "pytest-asyncio in one loop": (SESSION, AWAITED, 7),
    "no plugin": ([], BY_HAND, 7),
}


@pytest.fixture
def programs(forks: Forks, tmp_path: Path) -> Programs:
    return Programs(forks, tmp_path)


def outcome_of(programs: Programs, *arguments: str, **files: str) -> str:
    """Run the tests in these files, and return the last line without its time."""
    for name, text in files.items():
        (programs.folder / f"{name}.py").write_text(text, "utf-8")
    output, errors, status = programs.run_pytest(*arguments)
    assert ("", 0) == (errors, status), output
    return output.splitlines()[-1].strip("= ").split(" in ")[0]


ENVIRONMENT = """
import os

os.environ["DIGITALOCEAN_TOKEN"] = "real"

import pytest


@pytest.fixture(autouse=True)
def patched(monkeypatch):
    return monkeypatch


def test_it(do_emulator, patched):
    patched.setenv("DIGITALOCEAN_TOKEN", "another")


def test_after_it():
    assert "real" == os.environ["DIGITALOCEAN_TOKEN"]
"""


@pytest.mark.process
def test_environment_is_restored(programs: Programs) -> None:
    """After a test, the environment is restored, even if the test has changed it."""
    assert "2 passed" == outcome_of(programs, test_it=ENVIRONMENT)


@pytest.mark.process
def test_marker_takes_keywords(programs: Programs) -> None:
    """Positional arguments of the marker are an error."""
    test = "import pytest\n\n@pytest.mark.do_emulator(5.0)\ndef test_it(do_emulator):\n    pass\n"
    (programs.folder / "test_it.py").write_text(test, "utf-8")
    assert "the marker do_emulator takes only keyword arguments" in programs.run_pytest()[0]


@pytest.mark.process
@pytest.mark.parametrize(("arguments", "tests", "count"), RUNS.values(), ids=RUNS)
def test_runs(programs: Programs, arguments: list[str], tests: str, count: int) -> None:
    """With each plugin for loops, the client is closed after a test, and nothing else changes."""
    outcome = outcome_of(programs, *arguments, conftest=CONFTEST, test_it=tests)
    assert f"{count} passed" == outcome


@pytest.mark.process
def test_costs_nothing(tmp_path: Path) -> None:
    """A run without the fixtures imports none of the modules that they need."""
    others = {each.name for each in entry_points(group="pytest11")} - {"digitalocean_projects"}
    (tmp_path / "test_it.py").write_text(UNUSED, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    arguments = ["-W", "error", *(word for name in others for word in ("-p", f"no:{name}"))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, tmp_path],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert "1 passed" in done.stdout


def test_clients(do_emulator: Emulator, do_client: Client, do_async_client: AsyncClient) -> None:
    """A blocking test can use both clients, which share an account."""
    project_id = do_emulator.seed([DROPLET])
    do_client.projects.assign_resources("default", [DROPLET])
    listing = asyncio.run(do_async_client.projects.list_resources().collect())
    assert [DROPLET] == [str(resource.urn) for resource in listing]
    assert ([], [DROPLET]) == (do_emulator.resources(project_id), do_emulator.resources())


def test_nobody_waits(do_emulator: Emulator, do_client: Client) -> None:
    """The waits of a client pass on the emulator's clock, and take almost no real time."""
    begin = time.monotonic()
    do_emulator.respond(503, headers={"Retry-After": "40"})
    do_client.projects.get_default()
    assert 40.0 <= do_emulator.clock.time() < 60.0
    for _ in range(250):
        do_client.projects.get_default()
    assert 100.0 < do_emulator.clock.time() < 130.0
    assert 0 == do_client.statistics().bucket.refused  # type: ignore[union-attr]  # it has limits
    assert time.monotonic() - begin < 5


@pytest.fixture
def real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_URL", "TOKEN", "ACCESS_TOKEN", "CONTEXT"):
        monkeypatch.setenv(f"DIGITALOCEAN_{name}", "https://real.example")


@pytest.mark.usefixtures("real_account")
def test_environment(do_emulator: Emulator) -> None:
    """The environment names only the emulator."""
    assert {
        "DIGITALOCEAN_API_URL": do_emulator.url,
        "DIGITALOCEAN_TOKEN": do_emulator.token,
        "DIGITALOCEAN_ACCESS_TOKEN": do_emulator.token,
    } == {name: value for name, value in os.environ.items() if name.startswith("DIGITALOCEAN_")}


def test_own_client(do_emulator: Emulator) -> None:
    """A client that the code creates, of either kind, uses the emulator and its clock."""
    do_emulator.respond(503, headers={"Retry-After": "40"}, times=2)
    with Client() as client:
        client.projects.get_default()

    async def main() -> None:
        async with AsyncClient() as client:
            await client.projects.get_default()

    asyncio.run(main())
    assert 80.0 <= do_emulator.clock.time() < 160.0


def get(emulator: Emulator, path: str) -> http.client.HTTPResponse:
    """Send a request as a client that knows nothing of the emulator's clock."""
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {emulator.token}"})
        answer = connection.getresponse()
        answer.read()
        return answer


@pytest.mark.do_emulator(limits=[(1, 1.0)], move_delay=1.0)
def test_clients_in_real_time(do_emulator: Emulator, do_client: Client) -> None:
    """Rate windows and moves end for clients that don't wait on the emulator's clock."""
    do_emulator.seed([DROPLET], default=True)
    project = do_emulator.seed(name="web")
    do_client.projects.assign_resources(project, [DROPLET])
    end = time.monotonic() + 60
    statuses = set[int]()
    while statuses != {200, 429} or not do_emulator.resources(project):
        statuses.add(get(do_emulator, "/v2/projects").status)
        assert time.monotonic() < end


def test_clock_from_outside(do_emulator: Emulator) -> None:
    """Another program moves the clock past a rate window."""
    for _ in range(251):
        answer = get(do_emulator, "/v2/projects")
    assert 429 == answer.status
    connection = http.client.HTTPConnection(urlsplit(do_emulator.url).netloc, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/_emulator/clock", b'{"jump": 60}')
        assert 200 == connection.getresponse().status
    assert 200 == get(do_emulator, "/v2/projects").status


def test_two_accounts(do_emulator: Emulator) -> None:
    """Two clients of two accounts are two lines, and neither sees the other's projects."""
    tenants = [do_emulator.add_account(), do_emulator.add_account()]
    with Client(tenants[0].token) as first, Client(tenants[1].token) as second:
        project = first.projects.create("web", "testing")
        with pytest.raises(NotFoundError):
            second.projects.get(project)


@pytest.mark.do_emulator(limits=(), move_delay=20.0)
class TestMarker:
    """The markers of a test, its class and its module have the emulator's arguments."""

    def test_of_a_class(self, do_emulator: Emulator, do_client: Client) -> None:
        assert 20.0 == do_emulator.move_delay
        assert do_client.projects.list().first_page().rate_limit is None

    @pytest.mark.do_emulator(move_delay=10.0, clock=MockClock(rate=2.0))
    def test_of_a_function(self, do_emulator: Emulator, do_client: Client) -> None:
        assert 10.0 == do_emulator.move_delay
        assert do_client.projects.list().first_page().rate_limit is None
        assert do_emulator.clock.time() < do_emulator.clock.time()
