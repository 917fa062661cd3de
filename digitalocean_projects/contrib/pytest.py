"""Fixtures for pytest: an emulator of the API for each test, and clients that use it.

pytest finds the fixtures by itself once the package is installed.

- `do_emulator`: an `Emulator` of `digitalocean_projects.testing`, with an empty account.
- `do_client`: a `Client` that uses this emulator.
- `do_async_client`: an `AsyncClient` that uses this emulator, in any asyncio loop: that of anyio's
  plugin, of pytest-asyncio, or of `asyncio.run`.
- `@pytest.mark.do_emulator(…)`: arguments for the `Emulator` of a test, a class or a module, such
  as `limits=()` or `move_delay=90.0`. Those of a test override those of its class and module.

During a test that uses one of them, `DIGITALOCEAN_API_URL`, `DIGITALOCEAN_TOKEN` and
`DIGITALOCEAN_ACCESS_TOKEN` are those of the emulator, and `DIGITALOCEAN_CONTEXT` is unset. So
clients that the code under test creates without these arguments use the emulator and never a real
account, and so do other programs that the test starts, such as doctl.

The emulator's clock follows real time, and jumps to the end of the next wait when it has not been
used for 0.05 s. Clients that are created without a clock during the test use it, too. So neither a
retry nor a rate limit delays a test. For code that waits in real time, such as a program in another
language, moves and rate limits end in real time. `do_emulator.clock.jump` ends them at once, and so
does `POST /_emulator/clock` from outside. For a clock that stands still, pass
`clock=MockClock(rate=0, autojump_threshold=0.05)` to the marker.

A test of several accounts adds them with `do_emulator.add_account()`, and gives each client the
token of one. This is a complete test file:

```python
import pytest

from digitalocean_projects import Client
from digitalocean_projects.testing import faults


def sort_droplets(name):
    '''Move all droplets of the default project to another one.'''
    with Client() as client:
        project = client.projects.find(name)
        droplets = [r for r in client.projects.list_resources() if r.type == "droplet"]
        client.projects.assign_resources(project, droplets).raise_for_failed()
        client.projects.wait_until_assigned(project, droplets, timeout=300.0)
        return len(droplets)


@pytest.fixture
def shop(do_emulator):
    do_emulator.seed(["do:droplet:1", "do:volume:2", "do:droplet:3"], default=True)
    return do_emulator.seed(name="shop")


def test_droplets_are_moved(do_emulator, shop):
    assert sort_droplets("shop") == 2
    assert do_emulator.resources() == ["do:volume:2"]


def test_failures_are_retried(do_emulator, shop):
    do_emulator.fail(faults.LostAnswer(), when=lambda request: request.method == "POST")
    do_emulator.fail(faults.Status(503), times=2)
    assert sort_droplets("shop") == 2
    assert [request.method for request in do_emulator.requests].count("POST") == 2


@pytest.mark.do_emulator(move_delay=90.0)
def test_slow_moves(do_emulator, shop):
    sort_droplets("shop")
    assert do_emulator.clock.time() >= 90.0  # without waiting in real time


@pytest.mark.do_emulator(move_delay=90.0)
def test_moves_in_progress(do_emulator, do_client, shop):
    do_client.projects.assign_resources(shop, ["do:droplet:1"])
    do_emulator.clock.jump(45.0)
    assert do_client.projects.list_resources(shop).collect() == []
    do_emulator.clock.jump(45.0)
    assert len(do_client.projects.list_resources(shop).collect()) == 1


def test_two_accounts(do_emulator, shop):
    with Client() as first, Client(do_emulator.add_account().token) as second:
        assert first.projects.find("shop").id == shop
        assert len(second.projects.list().collect()) == 1


async def total(client):
    page = await client.projects.list_resources().first_page()
    return page.total


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_async(do_async_client, shop):
    assert await total(do_async_client) == 3
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects import AsyncClient, Client
    from digitalocean_projects.testing import Emulator

__all__ = ["do_async_client", "do_client", "do_emulator"]

# Longer than the emulator takes to respond, and too short for a user to notice.
_IDLE_SECONDS = 0.05
_LONGEST_CLOSE = 10.0


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `do_emulator`, which `--strict-markers` requires."""
    config.addinivalue_line(
        "markers",
        "do_emulator(**options): arguments for the Emulator of the fixture do_emulator, such as "
        "limits=() or move_delay=5.0; those of a test override those of its class and module.",
    )


@pytest.fixture
def do_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """Provide a started `Emulator` with an empty account, stopped after the test.

    The fixture `monkeypatch` sets `DIGITALOCEAN_API_URL`, `DIGITALOCEAN_TOKEN`, and the clock of
    clients that are created without one. `monkeypatch.undo()` in the test undoes this, too.
    """
    # Where the package is installed, every run of pytest imports this module. So the imports are
    # here, and cost nothing in a run without these fixtures.
    from digitalocean_projects import _client, _defaults  # noqa: PLC0415 - as above
    from digitalocean_projects._messages import TOKEN_VARIABLES  # noqa: PLC0415 - as above
    from digitalocean_projects.testing import Emulator, MockClock  # noqa: PLC0415 - as above

    clock = MockClock(autojump_threshold=_IDLE_SECONDS)
    options: dict[str, Any] = {"clock": clock}
    for marker in reversed([*request.node.iter_markers("do_emulator")]):
        if marker.args:
            raise pytest.UsageError(
                "the marker do_emulator takes only keyword arguments, such as limits=(), "
                f"got {marker.args!r}"
            )
        options.update(marker.kwargs)
    with Emulator(**options) as emulator:
        # With this variable, the command and doctl would use another token.
        monkeypatch.delenv(_defaults.CONTEXT_VARIABLE, raising=False)
        monkeypatch.setenv(_defaults.BASE_URL_VARIABLE, emulator.url)
        for name in TOKEN_VARIABLES:
            monkeypatch.setenv(name, emulator.token)
        monkeypatch.setattr(_client, "SYSTEM_CLOCK", emulator.clock)
        yield emulator


@pytest.fixture
def do_client(do_emulator: Emulator) -> Iterator[Client]:
    """Provide a `Client` that uses `do_emulator`, closed after the test."""
    from digitalocean_projects import Client  # noqa: PLC0415 - as do_emulator says

    with Client(do_emulator.token, base_url=do_emulator.url, clock=do_emulator.clock) as client:
        yield client


@pytest.fixture
def do_async_client(do_emulator: Emulator) -> Iterator[AsyncClient]:
    """Provide an `AsyncClient` that uses `do_emulator`, closed after the test.

    It works in the loop of anyio's plugin (on asyncio), in that of pytest-asyncio, and in one that
    the test itself starts.
    """
    from digitalocean_projects import AsyncClient  # noqa: PLC0415 - as do_emulator says

    client = AsyncClient(do_emulator.token, base_url=do_emulator.url, clock=do_emulator.clock)
    yield client
    _close(client)


def _close(client: AsyncClient) -> None:
    """Close a client from outside its loop.

    An async fixture could await `aclose`, but would work only with one of the plugins.
    """
    import asyncio  # noqa: PLC0415 - as do_emulator says

    loop = client._manager._pool.loop  # noqa: SLF001 - there is no public attribute for it
    if loop is None or loop.is_closed():
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(client.aclose())
    elif loop.is_running():
        asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(_LONGEST_CLOSE)
    else:
        loop.run_until_complete(client.aclose())
