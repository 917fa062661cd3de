"""Fixtures for pytest: an emulator of the API for each test, and its clients.

Every run of pytest imports them, where the package is installed. So what they need is imported by
the first test that uses one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects import AsyncClient, Client
    from digitalocean_projects.testing import Emulator

# Longer than an answer of the emulator takes, and too short to be felt.
_IDLE_SECONDS = 0.05
_LONGEST_CLOSE = 10.0


def pytest_configure(config: pytest.Config) -> None:
    """Let `--strict-markers` know the marker."""
    config.addinivalue_line(
        "markers",
        "do_emulator(**options): arguments for the Emulator that the fixture do_emulator is, "
        "such as limits=() or move_delay=5.0; those of a function go before those of its module.",
    )


@pytest.fixture
def do_emulator(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """An emulator of DigitalOcean's API, with an empty account.

    Clients that are made during the test without a token, base URL and clock use it as well, until
    a test undoes what its `monkeypatch` has set, where that is noted. Its clock stands still, but
    jumps when all that goes on is to wait for it.
    """
    from digitalocean_projects import _client, _config  # noqa: PLC0415 - as the module says
    from digitalocean_projects._messages import TOKEN_VARIABLES  # noqa: PLC0415 - as that
    from digitalocean_projects.testing import Emulator, MockClock  # noqa: PLC0415 - as that

    clock = MockClock(rate=0, autojump_threshold=_IDLE_SECONDS)
    options: dict[str, Any] = {"clock": clock}
    for marker in reversed([*request.node.iter_markers("do_emulator")]):
        if marker.args:
            raise pytest.UsageError("the marker do_emulator takes keyword arguments only")
        options.update(marker.kwargs)
    with Emulator(**options) as emulator:
        monkeypatch.setenv(_config.BASE_URL_VARIABLE, emulator.url)
        for name in TOKEN_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(TOKEN_VARIABLES[0], emulator.token)
        monkeypatch.setattr(_client, "SYSTEM_CLOCK", emulator.clock)
        yield emulator


@pytest.fixture
def do_client(do_emulator: Emulator) -> Iterator[Client]:
    """A blocking client of `do_emulator`, closed after the test."""
    from digitalocean_projects import Client  # noqa: PLC0415 - as the module says

    with Client(do_emulator.token, base_url=do_emulator.url, clock=do_emulator.clock) as client:
        yield client


@pytest.fixture
def do_async_client(do_emulator: Emulator) -> Iterator[AsyncClient]:
    """A client of `do_emulator` to await in whichever asyncio loop the test runs, closed after it.

    That may be the loop of anyio's plugin or of pytest-asyncio, or one that the test itself makes.
    """
    from digitalocean_projects import AsyncClient  # noqa: PLC0415 - as the module says

    client = AsyncClient(do_emulator.token, base_url=do_emulator.url, clock=do_emulator.clock)
    yield client
    _close(client)


def _close(client: AsyncClient) -> None:
    """Close a client from outside of its loop: a fixture that is awaited would be one plugin's."""
    import asyncio  # noqa: PLC0415 - as the module says

    loop = client._manager._pool.loop  # noqa: SLF001 - there is no public way to ask
    if loop is None or loop.is_closed():
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(client.aclose())
    elif loop.is_running():
        asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(_LONGEST_CLOSE)
    else:
        loop.run_until_complete(client.aclose())
