"""The emulator's own methods."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import digitalocean_projects.testing
from digitalocean_projects._codec.urn import URN
from digitalocean_projects.testing import Emulator, StoredProject
from tests.forked import PATIENT

if TYPE_CHECKING:
    from .conftest import Call

DEFAULT = "/v2/projects/default/resources"


def test_public_names() -> None:
    """Each name in `__all__` exists."""
    names = digitalocean_projects.testing.__all__
    assert all(hasattr(digitalocean_projects.testing, name) for name in names)


def test_seed_keeps_the_order(emulator: Emulator, call: Call) -> None:
    """Resources are listed in the given order, without repeats, before existing ones."""
    emulator.seed(["do:droplet:1", "do:droplet:2"], default=True)
    emulator.seed(["do:app:b", URN("app", "a"), "do:app:b"], default=True)
    expected = ["do:app:b", "do:app:a", "do:droplet:1", "do:droplet:2"]
    assert expected == emulator.resources()
    listed = call("GET", DEFAULT).document["resources"]
    assert expected == [resource["urn"] for resource in listed]


def test_seed_moves(emulator: Emulator) -> None:
    """A seeded resource moves from the project that holds it."""
    web = emulator.seed(["do:droplet:1", "do:droplet:2"], name="web")
    shop = emulator.seed(["do:droplet:2"])
    assert (["do:droplet:1"], ["do:droplet:2"]) == (
        emulator.resources(web),
        emulator.resources(shop),
    )


def test_seed_default(emulator: Emulator) -> None:
    """With `default`, the name is ignored and the default project's id is returned."""
    assert emulator.default_project_id == emulator.seed(
        ["do:droplet:1"], name="first-project", default=True
    )
    assert ["do:droplet:1"] == emulator.resources(emulator.default_project_id)


@pytest.mark.parametrize(
    ("resources", "name", "error"),
    [
        (["do:droplet:1", "droplet:2"], "new", ValueError),
        (["do:droplet:1", 2], "new", TypeError),
        ("do:droplet:1", "new", ValueError),
        (["do:droplet:1"], "web", ValueError),
    ],
)
def test_wrong_seed(emulator: Emulator, resources: Any, name: str, error: type[Exception]) -> None:
    """An invalid URN or a taken name refuses the whole call."""
    web = emulator.seed(["do:droplet:1"], name="web")
    with pytest.raises(error):
        emulator.seed(resources, name=name)
    assert ["do:droplet:1"] == emulator.resources(web)


@pytest.mark.parametrize(
    "attributes",
    [
        {"name": "x" * 176},
        {"name": ""},
        {"description": "x" * 256},
        {"purpose": "x" * 256},
        {"environment": "Test"},
    ],
)
def test_wrong_project(emulator: Emulator, attributes: dict[str, Any]) -> None:
    """A project that the API would refuse is refused, and its resources are not created."""
    with pytest.raises(ValueError, match=next(iter(attributes))):
        emulator.seed(["do:droplet:1"], **attributes)
    assert ["first-project"] == [project.name for project in emulator.projects()]
    assert [] == emulator.resources()


def test_projects(emulator: Emulator) -> None:
    """`projects` returns a copy of all projects, newest first."""
    web = emulator.seed(name="web", description="Mine", purpose="mine", environment="STAGING")
    shop = emulator.seed(["do:droplet:1"], default=True, description="ignored")
    before = emulator.projects()
    emulator.seed()
    assert [
        StoredProject(
            id=web,
            name="web",
            description="Mine",
            purpose="Other: mine",
            environment="Staging",
            created_at="2024-01-01T00:00:01Z",
            updated_at="2024-01-01T00:00:01Z",
        ),
        StoredProject(
            id=shop,
            name="first-project",
            is_default=True,
            created_at="2024-01-01T00:00:00Z",
            updated_at="2024-01-01T00:00:00Z",
        ),
    ] == before
    assert ("Web Application", "") == (
        emulator.projects()[0].purpose,
        emulator.projects()[0].environment,
    )


@pytest.mark.parametrize("seconds", [-1, -1e-9, math.inf, math.nan])
def test_wrong_move_delay(seconds: float) -> None:
    """A negative or infinite delay is refused, and the previous one is kept."""
    with pytest.raises(ValueError, match="move_delay must be finite and at least 0, got"):
        Emulator(move_delay=seconds)
    with pytest.raises(ValueError, match="busy_time must be finite and at least 0, got"):
        Emulator(busy_time=seconds)
    emulator = Emulator(move_delay=0.5)
    with pytest.raises(ValueError, match="move_delay must be finite and at least 0, got"):
        emulator.move_delay = seconds
    assert 0.5 == emulator.move_delay


def test_one_resource_type() -> None:
    """A string instead of a collection of types is refused."""
    with pytest.raises(TypeError, match="resource_types must be a collection of strings, got 'ap"):
        Emulator(resource_types="app")


def test_resources_of_no_project(emulator: Emulator) -> None:
    """The resources of an unknown project are a `ValueError`."""
    with pytest.raises(
        ValueError,
        match="must be 'default' or the UUID of a project of this emulator, got 'nothing'",
    ):
        emulator.resources("nothing")


def test_own_token(call: Call) -> None:
    """A given token is accepted instead of a generated one."""
    with Emulator(token="secret") as emulator:
        assert "secret" == emulator.token
    assert 401 == call("GET", DEFAULT, authorization="Bearer secret").status


def test_requests(emulator: Emulator, call: Call) -> None:
    """`requests` is a copy, and `forget_requests` empties the record."""
    call("GET", "/1")
    snapshot = emulator.requests
    call("GET", "/2")
    assert (["/1"], ["/1", "/2"]) == (
        [request.path for request in snapshot],
        [request.path for request in emulator.requests],
    )
    emulator.forget_requests()
    assert [] == emulator.requests


def test_url_needs_a_start() -> None:
    """The URL exists from the first start on, and remains after a stop."""
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="must be started before it has a URL"):
        _ = emulator.url
    with emulator:
        url = emulator.url
    assert url == emulator.url


def test_start_and_stop_twice(emulator: Emulator, call: Call) -> None:
    """A second start or stop does nothing."""
    url = emulator.url
    emulator.start()
    assert (url, 200) == (emulator.url, call("GET", DEFAULT).status)
    emulator.stop()
    emulator.stop()
    with pytest.raises(ConnectionRefusedError):
        call("GET", DEFAULT)


def test_restart(emulator: Emulator, call: Call) -> None:
    """A restarted emulator has the same URL and the same account."""
    url = emulator.url
    emulator.seed(["do:droplet:1"], default=True)
    assert 1 == call("GET", DEFAULT).document["meta"]["total"]
    emulator.stop()
    emulator.seed(["do:droplet:2"], default=True)
    emulator.start()
    assert url == emulator.url
    assert 2 == call("GET", DEFAULT).document["meta"]["total"]


def test_async_with() -> None:
    """`async with` starts and stops it, and doesn't block the caller's loop during the stop."""
    ran_on = threading.Event()

    class Patient(Emulator):
        """An emulator whose stop waits until the caller's loop has run."""

        def stop(self) -> None:
            assert ran_on.wait(20)
            super().stop()

    async def scenario() -> bytes:
        async with Patient() as emulator:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(emulator.url[17:]))
            writer.write(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
            line = await reader.readline()
            asyncio.get_running_loop().call_soon(ran_on.set)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        return line

    assert b"HTTP/1.1 401 Unauthorized\r\n" == asyncio.run(scenario())
    assert "emulator" not in {thread.name for thread in threading.enumerate()}


def test_threads(emulator: Emulator, call: Call) -> None:
    """Concurrent threads can seed, assign and list, and no resource is lost or doubled."""
    emulator.seed([f"do:droplet:{n}" for n in range(80)])

    def work(n: int) -> int:
        emulator.seed([f"do:app:{n}"], default=True)
        emulator.add_token(["project:read"])
        emulator.resources()
        return call("POST", DEFAULT, {"resources": [f"do:droplet:{n}"]}).status

    with ThreadPoolExecutor(8) as pool:
        assert [200] * 80 == list(pool.map(work, range(80)))
    expected = {f"do:{kind}:{n}" for kind in ("app", "droplet") for n in range(80)}
    assert (160, expected, 80) == (
        len(emulator.resources()),
        set(emulator.resources()),
        len(emulator.requests),
    )


def test_starts_in_threads() -> None:
    """Concurrent starts start it once, and concurrent stops stop it once."""
    emulator = Emulator()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: emulator.start(), range(20)))
        assert 1 == [thread.name for thread in threading.enumerate()].count("emulator")
        list(pool.map(lambda _: emulator.stop(), range(20)))
    assert "emulator" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.process
def test_forgotten() -> None:
    """An emulator that is never stopped delays no exit of the interpreter and prints nothing."""
    code = """
import urllib.request
from digitalocean_projects.testing import Emulator, StoredProject
emulator = Emulator()
emulator.start()
request = urllib.request.Request(
    f"{emulator.url}/v2/projects/default/resources",
    headers={"Authorization": f"Bearer {emulator.token}"},
)
with urllib.request.urlopen(request) as response:
    print(response.status)
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PATIENT + code],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (0, "200\n", "") == (done.returncode, done.stdout, done.stderr)
