"""Retries: the failures that are retried, and the delays, on both sides."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from digitalocean_projects import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    ClientUsageError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from digitalocean_projects._clock import SystemClock
from digitalocean_projects._described import Request
from digitalocean_projects._session.retry import Retries
from digitalocean_projects._session.transport import status_error
from tests.simulation import MovedClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import APIError, APIStatusError, AsyncClient
    from digitalocean_projects.testing import Emulator

    from .conftest import SilentServer

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

REQUEST = Request(method="GET", path="/v2/projects/default/resources?page=1&per_page=200")


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


def highest(ceiling: float) -> float:
    """A jitter that draws the ceiling."""
    return ceiling


def failure(status: int, **headers: str) -> APIStatusError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return status_error(status, names, b"", REQUEST, secret="")


def delays(policy: RetryPolicy, *failures: APIStatusError | APIConnectionError) -> list[Any]:
    retries = Retries(policy)
    delays = []
    for error in failures:
        retries.record(error)
        delays.append(retries.delay_after(error))
    return delays


def test_ceilings_double() -> None:
    """The ceiling of the wait doubles up to the highest; the last attempt has no wait behind it."""
    policy = RetryPolicy(attempts=8, base_delay=0.5, max_delay=5.0, jitter=highest)
    errors = [failure(500) for _ in range(8)]
    assert [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, None] == delays(policy, *errors)
    assert [1, 2, 3, 4, 5, 6, 7, 8] == [error.attempts for error in errors]


def test_no_delay() -> None:
    """Without a first ceiling nothing is waited, however many attempts there are."""
    policy = RetryPolicy(attempts=2000, base_delay=0.0, jitter=highest)
    assert {0} == set(delays(policy, *[failure(500)] * 1500))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # From a half to all of 0.5, 1, 2, 4, …, 20 s, for 60 s.
        ({}, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0, 10.0, None]),
        ({"max_retry_after": 3.0}, [0.25, 0.5, 1.0, 2.0, None]),
        ({"attempts": 2, "max_retry_after": 0.0}, [0.25, None]),
        ({"attempts": 1}, [None]),
        ({"base_delay": 0.01, "max_delay": 0.02}, [0.005, 0.01, 0.01, None]),
    ],
)
def test_patience(clock: MovedClock, options: dict[str, Any], expected: list[Any]) -> None:
    """While a project processes other requests, delays are long, and more attempts follow."""
    retries = Retries(RetryPolicy(jitter=lambda _: 0.0, **options), clock)
    drawn: list[float | None] = []
    while None not in drawn:
        retries.record(failure(403))
        drawn.append(retries.delay_while_busy(counts=True))
        clock.now += drawn[-1] or 0.0
    assert expected == drawn


@pytest.mark.parametrize("drawn", [0.6, 1e9, float("inf")])
def test_jitter_above_the_ceiling(drawn: float) -> None:
    """The wait is at most the ceiling, whatever the jitter returns, but at least `Retry-After`."""
    policy = RetryPolicy(max_delay=1.5, jitter=lambda _: drawn)
    errors = [failure(500), failure(500), failure(503, retry_after="9")]
    assert [0.5, min(drawn, 1.0), 9.0] == delays(policy, *errors)


@pytest.mark.parametrize("jitter", [None, 0.5, "full"])
def test_impossible_jitter(jitter: Any) -> None:
    """A jitter that is not callable is refused when the policy is made."""
    kind = type(jitter).__name__
    with pytest.raises(TypeError, match=f"^jitter must be callable, got {kind}$"):
        RetryPolicy(jitter=jitter)


def test_full_jitter() -> None:
    """The wait is drawn from nothing to the ceiling."""
    drawn = [delays(RetryPolicy(base_delay=8.0), failure(500))[0] for _ in range(200)]
    assert 0 <= min(drawn) < 2
    assert 6 < max(drawn) <= 8


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.2"}, 0.5),
        ({"retry_after": "60"}, 60.0),
        ({"retry_after": "61"}, None),
        ({"retry_after": "86400"}, None),
        ({"retry_after": "9" * 16}, None),
        ({"retry_after": "9" * 5_000}, None),
        ({"retry_after": "soon"}, 60.0),
        ({"retry_after": "-3"}, 60.0),
        ({"ratelimit_reset": "30", "date": "Thu, 01 Jan 1970 00:00:05 GMT"}, 25.0),
        ({"ratelimit_reset": "5", "date": "Thu, 01 Jan 1970 00:30:00 GMT"}, 0.5),
        ({"ratelimit_reset": "3000", "date": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_a_floor(headers: dict[str, str], expected: float | None) -> None:
    """The delay that a response 429 asks for is the minimum, unless it is too long."""
    assert [expected] == delays(RetryPolicy(jitter=highest), failure(429, **headers))


def test_retry_after_of_a_server_error() -> None:
    """A 503 may ask for a wait, too; `ratelimit-reset` is none."""
    policy = RetryPolicy(jitter=highest)
    assert [9.0] == delays(policy, failure(503, retry_after="9"))
    reset = failure(503, ratelimit_reset="30", date="Thu, 01 Jan 1970 00:00:05 GMT")
    assert [0.5] == delays(policy, reset)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 505, 520, 599])
def test_statuses_that_pass(status: int) -> None:
    """The statuses of the policy, and other 5xx, are retried."""
    assert [0.5] == delays(RetryPolicy(jitter=highest), failure(status))


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 412, 422, 501, 600])
def test_statuses_that_stay(status: int) -> None:
    """Other answers are final."""
    assert [None] == delays(RetryPolicy(), failure(status))


@pytest.mark.parametrize(
    ("named", "covered", "final"),
    [
        ([412], [412], [500, 502, 599]),
        ([500], [500, 502, 505, 599], [429, 501, 600]),
        ([501], [501], [500, 502]),
        ([505], [505], [500, 502, 506]),
    ],
)
def test_own_statuses(named: list[int], covered: list[int], final: list[int]) -> None:
    """A policy may have other statuses; any other 5xx but 501 counts as 500."""
    policy = RetryPolicy(statuses=frozenset(named))
    assert (covered, []) == (
        [status for status in covered if policy.covers(failure(status))],
        [status for status in final if policy.covers(failure(status))],
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"attempts": 0},
        {"base_delay": -1.0},
        {"max_delay": float("nan")},
        {"max_retry_after": float("inf")},
    ],
)
def test_impossible_policy(arguments: dict[str, Any]) -> None:
    """A number out of range is refused, by its name."""
    with pytest.raises(ValueError, match=next(iter(arguments))):
        RetryPolicy(**arguments)


async def test_passing_faults(
    emulator: Emulator, make_client: MakeClient, clock: MovedClock
) -> None:
    """The caller doesn't notice what passes."""
    emulator.seed([f"do:droplet:{number}" for number in range(5)], default=True)
    emulator.respond(503)
    emulator.respond_raw(b"")
    emulator.respond_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
    async with make_client(clock=clock, retry=RetryPolicy(jitter=highest)) as client:
        assert 5 == len(await client.projects.list_resources().collect())
    assert ([0.5, 1.0, 2.0], 4) == (clock.slept, len(emulator.requests))


async def test_passing_faults_of_an_assignment(
    emulator: Emulator, make_client: MakeClient, clock: MovedClock
) -> None:
    """An assignment is sent again, even if it may have come through."""
    emulator.seed(["do:droplet:1"])
    emulator.respond_raw(b"", when=lambda request: request.method == "POST")
    async with make_client(clock=clock, retry=RetryPolicy()) as client:
        result = await client.projects.assign_resources("default", ["do:droplet:1"])
    assert ["assigned"] == [resource.status for resource in result.resources]


async def test_lasting_fault(
    emulator: Emulator, make_client: MakeClient, clock: MovedClock
) -> None:
    """A persistent failure is raised after the last attempt, with the number of attempts."""
    emulator.respond(500, times=None)
    async with make_client(clock=clock, retry=RetryPolicy(attempts=3)) as client:
        with pytest.raises(ServerError) as caught:
            await client.projects.list_resources().first_page()
    assert (3, 2, 3) == (caught.value.attempts, len(clock.slept), len(emulator.requests))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(404, b"", NotFoundError), (200, b"null", APIResponseError), (200, b"x", APIResponseError)],
)
async def test_final_answers(  # noqa: PLR0917 - fixtures
    emulator: Emulator,
    make_client: MakeClient,
    clock: MovedClock,
    status: int,
    body: bytes,
    error: type[APIError],
) -> None:
    """An answer that another attempt wouldn't change is raised at once."""
    emulator.respond(status, body)
    async with make_client(clock=clock, retry=RetryPolicy()) as client:
        with pytest.raises(error):
            await client.projects.list_resources().first_page()
    assert ([], 1) == (clock.slept, len(emulator.requests))


async def test_wait_that_is_too_long(
    emulator: Emulator, make_client: MakeClient, clock: MovedClock
) -> None:
    """A refusal that asks for more than the policy allows is raised with what it asks."""
    emulator.respond(429, headers={"Retry-After": "61"})
    async with make_client(clock=clock, retry=RetryPolicy()) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.projects.list_resources().first_page()
    assert ([], 61.0) == (clock.slept, caught.value.retry_after)


async def test_deadline(emulator: Emulator, make_client: MakeClient, clock: MovedClock) -> None:
    """A wait that would pass the deadline isn't begun."""
    emulator.respond(500, times=None)
    policy = RetryPolicy(attempts=9, jitter=highest)
    async with make_client(clock=clock, retry=policy, deadline=3.0) as client:
        with pytest.raises(ServerError) as caught:
            await client.projects.list_resources().first_page()
    assert ([0.5, 1.0], 3) == (clock.slept, caught.value.attempts)


async def test_deadline_shortens_an_attempt(
    make_client: MakeClient, silent_server: SilentServer
) -> None:
    """An attempt ends at the deadline."""
    policy = RetryPolicy(attempts=9, base_delay=0.0)
    async with make_client(base_url=silent_server.url, retry=policy, deadline=0.2) as client:
        with pytest.raises(APITimeoutError) as caught:
            await client.projects.list_resources().first_page()
    assert 1 == caught.value.attempts


async def test_closed_during_a_wait(emulator: Emulator, make_client: MakeClient) -> None:
    """A wait ends at once when the client is closed."""
    emulator.respond(500, times=None)
    waits = asyncio.Event()
    loop = asyncio.get_running_loop()

    class EndlessClock(SystemClock):
        async def sleep(self, seconds: float) -> None:  # noqa: ARG002 - the protocol's
            loop.call_soon_threadsafe(waits.set)
            await asyncio.Event().wait()

    client = make_client(clock=EndlessClock(), retry=RetryPolicy())
    call = asyncio.create_task(client.projects.list_resources().collect())
    await waits.wait()
    await client.aclose()
    with pytest.raises(ClientUsageError, match="the client was closed"):
        await call


async def test_wrong_certificate(make_client: MakeClient, clock: MovedClock) -> None:
    """A certificate that can't be trusted is final."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        base_url = f"https://localhost:{port}"
        async with make_client(base_url=base_url, clock=clock, retry=RetryPolicy()) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.projects.list_resources().first_page()
    assert ([], False, 1) == (clock.slept, caught.value.transient, caught.value.attempts)


async def test_system_clock() -> None:
    """Without a clock of the user's, time is the machine's monotonic one, and waits are real."""
    clock = SystemClock()
    before = clock.time()
    await clock.sleep(0)
    assert before <= clock.time()
