"""Views of a client: the same connections with other options, on both sides."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from digitalocean_projects import (
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    Client,
    ClientUsageError,
    Limits,
    RetryPolicy,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

    from .conftest import SilentServer

    MakeClient = Callable[..., AsyncClient]

pytestmark = pytest.mark.usefixtures("no_leaks")

ONE_AT_ALL = Limits(windows=((1, 60.0),))


@pytest.mark.anyio
async def test_same_connections(emulator: Emulator, make_either: MakeClient) -> None:
    """Each view has its own token, and all use the client's session."""
    made = []

    def session() -> aiohttp.ClientSession:
        made.append(aiohttp.ClientSession())
        return made[-1]

    tokens = [emulator.token, *(emulator.add_token(["project:read"]) for _ in range(3))]
    async with make_either(session_factory=session) as client:
        await client.projects.list_resources().first_page()
        for token in tokens[1:]:
            view = client.with_options(token=token).with_options(timeout=5.0)
            await view.projects.list_resources().first_page()
    sent = [request.headers["Authorization"] for request in emulator.requests]
    assert ([f"Bearer {token}" for token in tokens], 1) == (sent, len(made))


@pytest.mark.anyio
async def test_closing(make_either: MakeClient) -> None:
    """Closing a view has no effect, and closing the client closes its views."""
    async with make_either() as client:
        async with client.with_options() as view:
            await view.projects.list_resources().first_page()
        await view.projects.list_resources().first_page()
        await client.projects.list_resources().first_page()
    for closed in (view, client):
        with pytest.raises(ClientUsageError, match="is closed"):
            await closed.projects.list_resources().first_page()


@pytest.mark.anyio
async def test_options(
    emulator: Emulator, silent_server: SilentServer, make_either: MakeClient
) -> None:
    """The options of a view don't change the client."""
    async with make_either(timeout=20.0) as client:
        emulator.respond(500)
        view = client.with_options(retry=RetryPolicy(base_delay=0.0))
        await view.projects.list_resources().first_page()
        emulator.respond(500)
        with pytest.raises(ServerError):
            await client.projects.list_resources().first_page()
        with pytest.raises(AuthenticationError):
            await client.with_options(token="wrong").projects.list_resources().first_page()
    async with make_either(base_url=silent_server.url, timeout=20.0) as client:
        for view in (client.with_options(timeout=0.1), client.with_options(deadline=0.1)):
            with pytest.raises(APITimeoutError):
                await view.projects.list_resources().first_page()


@pytest.mark.anyio
async def test_limits_of_views(make_either: MakeClient) -> None:
    """A view shares its client's limits, unless it has another token or limits of its own."""
    async with make_either(limits=ONE_AT_ALL) as client:
        await client.projects.list_resources().first_page()
        views = [
            client.with_options(deadline=None),
            client.with_options(token="other"),
            client.with_options(limits=Limits(windows=((251, 60.0),))),
            client.with_options(limits=None),
        ]
        buckets = [view.statistics().bucket for view in views]
    assert [1, 0, 0, None] == [bucket and bucket.granted for bucket in buckets]


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"token": ""}, ValueError),
        ({"token": None}, TypeError),
        ({"token": "two words"}, ValueError),
        ({"timeout": 0.0}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"deadline": -1.0}, ValueError),
        ({"deadline": "1"}, TypeError),
        ({"retry": None}, TypeError),
        ({"retry": RetryPolicy}, TypeError),
        ({"limits": 5}, TypeError),
        ({"limits": Limits}, TypeError),
        ({"bulk": "yes"}, TypeError),
    ],
)
def test_wrong_options(
    client_class: Callable[..., Any], options: dict[str, Any], error: type[Exception]
) -> None:
    """The options of a view are checked like those of a client."""
    with pytest.raises(error) as caught:
        client_class("token").with_options(**options)
    assert "two words" not in str(caught.value)
    if options != {"token": None}:
        with pytest.raises(error):
            client_class(**{"token": "token", **options})


EXAMPLE = "Limits(windows=((250, 60.0),))"


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retry": 3}, "RetryPolicy, got int; pass for example RetryPolicy(attempts=3)"),
        ({"retry": None}, "RetryPolicy, got NoneType; pass for example RetryPolicy(attempts=1)"),
        (
            {"limits": 250},
            f"Limits or None, got int; pass for example {EXAMPLE}, or None for no limits",
        ),
        ({"timeout": "30"}, "number of seconds, got str; pass a float, like 30.0"),
        (
            {"deadline": timedelta(seconds=5)},
            "number of seconds, got timedelta; pass total_seconds()",
        ),
        ({"bulk": 1}, "bool, got int"),
    ],
)
def test_message_of_wrong_option(
    client_class: Callable[..., Any], options: dict[str, Any], text: str
) -> None:
    """The message says what the option must be, what it is, and what to pass instead."""
    (name,) = options
    with pytest.raises(TypeError) as caught:
        client_class("token", **options)
    assert f"{name} must be a {text}" == str(caught.value)


@pytest.mark.parametrize("clock", [5, object()])
def test_wrong_clock(clock: Any) -> None:
    """A clock has both methods."""
    with pytest.raises(TypeError, match=r"^clock must have time\(\) and sleep\(\), got "):
        AsyncClient("token", clock=clock)


def test_hundreds_of_tokens() -> None:
    """Views for hundreds of tokens take little memory, which is freed with them."""
    client = AsyncClient("token", base_url="http://127.0.0.1:1")
    client.with_options(token="first")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    views = [client.with_options(token=f"token-{number}") for number in range(300)]
    during, _ = tracemalloc.get_traced_memory()
    views.clear()
    client.with_options(token="last")
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (during - before) / 300 < 8000
    assert (after - before) / 300 < 400


@pytest.mark.anyio
async def test_views_of_views(make_either: MakeClient) -> None:
    """A client may be replaced by a view of itself any number of times, as for renewed tokens.

    Each view counts for the client, and none is kept by a later one.
    """
    async with make_either() as client:
        await client.projects.list_resources().first_page()
        view = client
        for _ in range(1200):
            view = view.with_options(timeout=20.0)
        await view.projects.list_resources().first_page()
        assert (1, 2) == (view.statistics().requests, client.statistics().requests)
        other = client.with_options(timeout=10.0)
        gone = weakref.ref(other)
        kept = other.with_options(timeout=20.0)
        del other
        gc.collect()
        assert gone() is None
        await kept.projects.list_resources().first_page()
    assert (1, 3) == (kept.statistics().requests, client.statistics().requests)
