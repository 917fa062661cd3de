"""Requests under limits: their tokens, refusals and waits, on both sides."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest

from digitalocean_projects import (
    APIConnectionError,
    APITimeoutError,
    AsyncClient,
    Client,
    ClientUsageError,
    Limits,
    NotFoundError,
    PreconditionFailedError,
    RateLimit,
    RateLimitError,
    RateLimitWaitError,
    RetryPolicy,
    ServerError,
    Statistics,
)
from digitalocean_projects.testing import MockClock
from digitalocean_projects.testing.faults import Delay, Silence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from digitalocean_projects.testing import Emulator

    from .conftest import SilentServer

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

DROPLET = "do:droplet:1"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
ONE_A_MINUTE = Limits(windows=((1, 60.0),))
HOURLY = {
    "Date": "Tue, 24 Nov 2026 12:00:00 GMT",
    "ratelimit-limit": "5000",
    "ratelimit-remaining": "0",
    "ratelimit-reset": str(int(datetime(2026, 11, 24, 12, 0, 40, tzinfo=UTC).timestamp())),
}


@attrs.define(eq=False)
class JumpingClock:
    """A clock that is put on by each wait."""

    now: float = 0.0

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.001)
        self.now += seconds


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


async def ask(client: AsyncClient) -> None:
    await client.projects.list_resources().first_page()


async def test_clients_share_them(emulator: Emulator, clock: JumpingClock) -> None:
    """An awaited and a blocking client of one token wait for each other's requests."""
    options: dict[str, Any] = {"base_url": emulator.url, "clock": clock}
    options["limits"] = Limits(windows=((3, 60.0),))
    with Client(emulator.token, **options) as blocking:
        async with AsyncClient(emulator.token, **options) as client:
            for _ in range(2):
                await ask(client)
                await asyncio.to_thread(blocking.projects.list_resources().first_page)
            assert client.statistics().bucket == blocking.statistics().bucket
    assert 61.0 <= clock.now < 62.0


async def test_statistics(emulator: Emulator, make_client: MakeClient, clock: JumpingClock) -> None:
    """A client counts its requests and retries, and knows how its bucket stands."""
    emulator.respond(503)
    async with make_client(clock=clock, limits=Limits(), retry=RetryPolicy(base_delay=0)) as client:
        await ask(client)
        statistics = client.statistics()
        assert statistics.bucket is not None
        assert (2, 1, (2, 2), 2) == (
            statistics.requests,
            statistics.retries,
            statistics.bucket.in_use,
            statistics.bucket.granted,
        )
    async with make_client() as client:
        assert Statistics(requests=0, retries=0, waited=0.0, bucket=None) == client.statistics()


async def test_rate_limit(emulator: Emulator, make_either: MakeClient) -> None:
    """A client knows what the API last said of the allowance; an answer may say nothing."""
    async with make_either() as client:
        assert client.rate_limit is None
        emulator.respond(404, headers=HOURLY)
        with pytest.raises(NotFoundError):
            await ask(client)
        emulator.respond(500, headers={})
        with pytest.raises(ServerError):
            await ask(client)
        reset = datetime(2026, 11, 24, 12, 0, 40, tzinfo=UTC)
        assert RateLimit(limit=5000, remaining=0, reset=reset) == client.rate_limit


@pytest.mark.parametrize(
    ("headers", "least"), [({"Retry-After": "7"}, 7.0), (HOURLY, 40.0), ({}, 1.0)]
)
async def test_refusal(
    emulator: Emulator,
    make_client: MakeClient,
    clock: JumpingClock,
    headers: dict[str, str],
    least: float,
) -> None:
    """A refusal has all who have the token wait, and the request is sent again after that."""
    emulator.respond(429, headers=headers)
    async with make_client(clock=clock, limits=Limits(), retry=RetryPolicy()) as client:
        await ask(client)
        assert 1 == client.statistics().retries
    assert least <= clock.now <= least + 1.0


async def test_refusal_without_retries(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock
) -> None:
    """Where nothing is sent again, the refusal is raised, and later requests wait all the same."""
    emulator.respond(429, headers={"Retry-After": "7"})
    async with make_client(clock=clock, limits=Limits()) as client:
        with pytest.raises(RateLimitError):
            await ask(client)
        assert 0.0 == clock.now
        await ask(client)
    assert 7.0 <= clock.now <= 8.0


@pytest.mark.parametrize(
    "options", [{"deadline": 20.0}, {"retry": RetryPolicy(max_retry_after=20.0)}]
)
async def test_long_refusal(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock, options: dict[str, Any]
) -> None:
    """A refusal for longer than the deadline or the policy allows is raised at once."""
    emulator.respond(429, headers={"Retry-After": "21"})
    options = {"retry": RetryPolicy(), **options}
    async with make_client(clock=clock, limits=Limits(), **options) as client:
        with pytest.raises(RateLimitError) as caught:
            await ask(client)
    assert (21.0, 1, 0.0) == (caught.value.retry_after, caught.value.attempts, clock.now)


@pytest.mark.parametrize(("status", "error"), [(429, RateLimitError), (503, ServerError)])
async def test_failure_and_long_wait(
    emulator: Emulator,
    make_client: MakeClient,
    clock: JumpingClock,
    status: int,
    error: type[Exception],
) -> None:
    """If a retry would be too late, the error of the failed attempt is raised."""
    emulator.respond(status)
    policy = RetryPolicy(base_delay=0.0)
    async with make_client(clock=clock, limits=ONE_A_MINUTE, retry=policy, deadline=30.0) as client:
        with pytest.raises(error) as caught:
            await ask(client)
    assert (None, True) == (caught.value.__context__, 30.0 > clock.now)


async def test_deadline(make_client: MakeClient, clock: JumpingClock) -> None:
    """A wait for the limits that would pass the deadline isn't begun."""
    async with make_client(clock=clock, limits=ONE_A_MINUTE, deadline=30.0) as client:
        await ask(client)
        with pytest.raises(
            RateLimitWaitError, match="the wait would be about 61 s, but the maximum is 30 s"
        ):
            await ask(client)
    assert 0.0 == clock.now


async def test_unsent(emulator: Emulator, make_client: MakeClient, clock: JumpingClock) -> None:
    """A request that never left takes no token; one that may have arrived does, for longer."""
    async with make_client(clock=clock, limits=ONE_A_MINUTE) as client:
        emulator.stop()
        for _ in range(3):
            with pytest.raises(APIConnectionError) as caught:
                await ask(client)
            assert not caught.value.sent
        assert 0.0 == clock.now
        emulator.start()
        emulator.respond_raw(b"")
        with pytest.raises(APIConnectionError) as caught:
            await ask(client)
        assert caught.value.sent
        await ask(client)
    assert 91.0 <= clock.now < 92.0


async def test_no_session(make_client: MakeClient, clock: JumpingClock) -> None:
    """A session that can't be made takes no token."""

    def session() -> aiohttp.ClientSession:
        raise LookupError

    async with make_client(clock=clock, limits=ONE_A_MINUTE, session_factory=session) as client:
        for _ in range(2):
            with pytest.raises(LookupError):
                await ask(client)
    assert 0.0 == clock.now


async def test_time_out_leaves_the_wait_out(
    silent_server: SilentServer, make_client: MakeClient, clock: JumpingClock
) -> None:
    """The time-out of an attempt begins when it is let go, and not with the wait for that."""
    options: dict[str, Any] = {"limits": ONE_A_MINUTE, "clock": clock, "timeout": 0.1}
    async with make_client(base_url=silent_server.url, **options) as client:
        for _ in range(2):
            with pytest.raises(APITimeoutError):
                await ask(client)
            silent_server.requested().close()
    assert 91.0 <= clock.now


async def test_closed_while_waiting(make_client: MakeClient) -> None:
    """The end of the client ends the wait for a token, and nothing of it stays behind."""
    async with make_client(limits=ONE_A_MINUTE) as client:
        await ask(client)
        waiting = asyncio.ensure_future(ask(client))
        await asyncio.sleep(0.05)
        waited_for = client.statistics().bucket
    with pytest.raises(ClientUsageError):
        await waiting
    bucket = client.statistics().bucket
    assert waited_for is not None
    assert bucket is not None
    assert (1, 0, (1,)) == (waited_for.waiting, bucket.waiting, bucket.in_use)


async def test_bulk(make_client: MakeClient, clock: JumpingClock) -> None:
    """A bulk request waits rather than use the reserve of interactive requests."""
    limits = Limits(windows=((3, 60.0),), reserve=2)
    async with make_client(clock=clock, limits=limits) as client:
        bulk = client.with_options(bulk=True)
        await ask(bulk)
        assert 0.0 == clock.now
        await ask(bulk)
        assert 61.0 <= clock.now < 62.0
        await ask(client)
        await ask(client)
    assert 61.0 <= clock.now < 62.0


async def test_what_is_left(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock
) -> None:
    """If the API reports that no requests remain, a request waits for the reset."""
    body = {"resources": [], "meta": {"total": 0}}
    emulator.respond(200, body, HOURLY)
    async with make_client(clock=clock, limits=Limits()) as client:
        await ask(client)
        assert 0.0 == clock.now
        await ask(client)
    assert 40.0 <= clock.now < 41.0


async def test_refusal_stands_in_front(emulator: Emulator) -> None:
    """A refused request is retried before all later requests."""
    emulator.respond(429, headers={"Retry-After": "5"})
    clock = MockClock(rate=0)
    limits = Limits(windows=((2, 60.0),))
    options: dict[str, Any] = {"base_url": emulator.url, "clock": clock, "limits": limits}
    async with AsyncClient(emulator.token, **options) as client:
        listings = [client.projects.list_resources(per_page=number) for number in range(1, 6)]
        asking = asyncio.gather(*(listing.first_page() for listing in listings))
        waiting = 0
        while waiting < 4:
            await asyncio.sleep(0.001)
            bucket = client.statistics().bucket
            waiting = bucket.waiting if bucket else 0
        for _ in range(3):
            clock.jump(61.0)
            await asyncio.sleep(0.05)
        await asking
    asked = [request.query["per_page"] for request in emulator.requests]
    assert (6, asked[0]) == (len(asked), asked[2])


async def test_refusal_without_limits(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock
) -> None:
    """Without limits the request itself waits for the time that a response 429 asks for."""
    emulator.respond(429, headers={"Retry-After": "7"})
    async with make_client(clock=clock, retry=RetryPolicy()) as client:
        await ask(client)
    assert 7.0 <= clock.now < 8.0


@pytest.mark.parametrize(
    "headers", [HOURLY | {"ratelimit-reset": "4070908800"}, {"Retry-After": "1"}]
)
async def test_floor(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock, headers: dict[str, str]
) -> None:
    """A response 429 pauses the client for up to an hour, even if its own windows are shorter."""
    emulator.respond(429, headers=headers)
    limits = Limits(windows=((100, 0.1),), margin=0.0)
    policy = RetryPolicy(max_retry_after=1e12)
    async with make_client(clock=clock, limits=limits, retry=policy) as client:
        await ask(client)
    asked = 1.0 if "Retry-After" in headers else 3600.0
    assert asked <= clock.now <= asked + 1.0


async def test_later_page_that_waits(emulator: Emulator) -> None:
    """The error of a page isn't held back by later ones, which wait for their tokens."""
    emulator.seed([f"do:droplet:{number}" for number in range(40)], default=True)
    emulator.respond(404, when=lambda request: request.query["page"] == "2")
    limits = Limits(windows=((3, 600.0),))
    async with AsyncClient(emulator.token, base_url=emulator.url, limits=limits) as client:
        pages = client.projects.list_resources(per_page=2).pages()
        await anext(pages)
        with pytest.raises(NotFoundError):
            await asyncio.wait_for(anext(pages), 20)
        bucket = client.statistics().bucket
    assert bucket is not None
    assert (0, 0) == (bucket.in_flight, bucket.waiting)


@pytest.mark.parametrize("limits", [None, ONE_A_MINUTE, Limits()])
async def test_request_within_a_request(
    emulator: Emulator, clock: JumpingClock, limits: Limits | None
) -> None:
    """A hook that waits for another request of the client raises an error, also without limits."""

    async def trace(*_: object) -> None:
        await ask(client)

    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> Any:
        await ask(client.with_options(bulk=True))
        return await handler(request)

    def traced() -> aiohttp.ClientSession:
        traces = aiohttp.TraceConfig()
        traces.on_request_start.append(trace)
        return aiohttp.ClientSession(trace_configs=[traces])

    def wrapped() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(middlewares=[middleware])

    for factory in (traced, wrapped):
        options: dict[str, Any] = {"base_url": emulator.url, "limits": limits, "clock": clock}
        async with AsyncClient(emulator.token, session_factory=factory, **options) as client:
            with pytest.raises(ClientUsageError, match="must not wait for another request"):
                await ask(client)
            # A refused inner request leaves nothing behind.
            bucket = client.statistics().bucket
        if bucket is not None:
            assert (0, 0) == (bucket.in_flight, bucket.waiting)
    assert [] == emulator.requests


async def test_request_of_a_task_of_a_hook(emulator: Emulator) -> None:
    """A hook may start tasks that send requests, since these wait while its own one goes on."""
    tasks: list[asyncio.Task[None]] = []

    async def trace(*_: object) -> None:
        if len(tasks) < 20:
            tasks.append(asyncio.create_task(ask(client)))

    traces = aiohttp.TraceConfig()
    traces.on_request_start.append(trace)
    options: dict[str, Any] = {"base_url": emulator.url, "trace_configs": [traces]}
    async with AsyncClient(emulator.token, **options) as client:
        await asyncio.wait_for(asyncio.gather(*(ask(client) for _ in range(16))), 20)
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert 36 == len(emulator.requests)


def test_blocking_request_within_a_request(emulator: Emulator) -> None:
    """A hook of a blocking client can't wait for another request of the client, either."""
    refused: list[Exception] = []

    def call() -> None:
        try:
            client.projects.get_default()
        except ClientUsageError as error:
            refused.append(error)

    def jitter(ceiling: float) -> float:
        call()
        return 0.0 * ceiling

    async def trace(*_: object) -> None:
        call()

    traces = aiohttp.TraceConfig()
    traces.on_request_start.append(trace)
    options: dict[str, Any] = {"retry": RetryPolicy(jitter=jitter), "trace_configs": [traces]}
    emulator.respond(503)
    with Client(emulator.token, base_url=emulator.url, **options) as client:
        client.projects.get_default()
    assert (3, 2) == (len(refused), len(emulator.requests))


async def test_wrong_loop_before_the_wait(emulator: Emulator) -> None:
    """The use of a client in a second loop is an error before any wait for tokens."""
    options: dict[str, Any] = {"base_url": emulator.url, "limits": Limits(windows=((1, 600.0),))}
    async with AsyncClient(emulator.token, **options) as client:
        await ask(client)

        def elsewhere() -> None:
            with pytest.raises(ClientUsageError, match="another event loop"):
                asyncio.run(asyncio.wait_for(ask(client), 20))

        await asyncio.to_thread(elsewhere)


async def test_retries_that_are_not_sent(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock
) -> None:
    """Only what was sent again counts as sent again."""
    emulator.respond(503, headers={"Retry-After": "50"})
    async with make_client(clock=clock, deadline=20.0, retry=RetryPolicy()) as client:
        with pytest.raises(ServerError):
            await ask(client)
        statistics = client.statistics()
    assert (1, 0) == (statistics.requests, statistics.retries)


async def test_second_request_after_a_long_refusal(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock
) -> None:
    """After a refusal that asks for too long a wait, no request waits, whether new or waiting."""
    emulator.respond(429, headers={**HOURLY, "Date": "Tue, 24 Nov 2026 11:35:40 GMT"})
    async with make_client(clock=clock, limits=Limits(), retry=RetryPolicy()) as client:
        with pytest.raises(RateLimitError) as refused:
            await ask(client)
        assert 1500.0 == refused.value.retry_after
        for call in (
            ask(client),
            ask(client.with_options(bulk=True)),
            ask(client.with_options(deadline=7200.0)),
            client.projects.wait_until_assigned("default", ["do:droplet:1"], timeout=1.0),
            client.projects.delete(UNKNOWN, wait=1.0),
            client.projects.delete(UNKNOWN),
            client.projects.assign_resources("default", ["do:droplet:1"]),
            client.projects.list_resources().collect(),
        ):
            with pytest.raises(RateLimitWaitError, match="pause after a response 429") as caught:
                await call
            assert 1500.0 <= caught.value.seconds <= 1501.0
            assert not caught.value.in_doubt
        assert clock.now < 1.0
        patient = client.with_options(retry=RetryPolicy(max_retry_after=3600.0))
        await ask(patient)
    assert 1500.0 <= clock.now <= 1502.0
    assert 2 == len(emulator.requests)


@pytest.mark.parametrize(
    "call",
    [
        lambda projects: projects.wait_until_assigned("default", [DROPLET], timeout=5.0),
        lambda projects: projects.delete(UNKNOWN, wait=5.0),
        lambda projects: projects.delete(UNKNOWN, wait=0.0),
    ],
)
async def test_time_of_a_helper(
    emulator: Emulator,
    make_client: MakeClient,
    clock: JumpingClock,
    call: Callable[[Any], Awaitable[object]],
) -> None:
    """A helper's time bounds when its last try starts, so a longer wait for limits is an error."""
    async with make_client(clock=clock, limits=ONE_A_MINUTE) as client:
        await ask(client)
        with pytest.raises(RateLimitWaitError, match="1 request per 60 s"):
            await call(client.projects)
        assert (clock.now <= 6.0, 1) == (True, len(emulator.requests))
        # Without such a time, the request waits as any other does.
        with pytest.raises(NotFoundError):
            await client.projects.delete(UNKNOWN)
    assert 61.0 <= clock.now <= 67.0


async def test_last_try_of_a_helper(emulator: Emulator) -> None:
    """The last try of a helper has the time of an attempt, however short the helper's is."""
    web = emulator.seed([DROPLET])
    emulator.fail(Delay(0.4), times=2)
    async with AsyncClient(emulator.token, base_url=emulator.url) as client:
        await client.projects.wait_until_assigned(web, [DROPLET], timeout=0.0)
        with pytest.raises(PreconditionFailedError):
            await client.projects.delete(web, wait=0.0)
    assert 2 == len(emulator.requests)


async def test_retries_of_a_helper(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock
) -> None:
    """A helper retries a failure only while its time isn't up."""
    emulator.respond(500, times=9)
    policy = RetryPolicy(attempts=9, jitter=lambda ceiling: ceiling)
    async with make_client(clock=clock, retry=policy) as client:
        with pytest.raises(ServerError) as caught:
            await client.projects.wait_until_assigned("default", [DROPLET], timeout=4.0)
    assert (4, 3.5) == (caught.value.attempts, clock.now)


async def test_none_left_of_a_burst(
    emulator: Emulator, make_client: MakeClient, clock: JumpingClock
) -> None:
    """`ratelimit-remaining: 0` of a success stops the token for a minute at most."""
    body = b'{"resources": []}'
    emulator.respond(200, body, headers={**HOURLY, "Date": "Tue, 24 Nov 2026 11:10:00 GMT"})
    async with make_client(clock=clock, limits=Limits()) as client:
        for _ in range(3):
            await ask(client)
    assert 60.0 <= clock.now <= 61.0


async def test_hanging_endpoint(emulator: Emulator) -> None:
    """Requests without a response at a cold start delay other requests by at most a second."""
    emulator.fail(Silence(), times=16)
    async with AsyncClient(emulator.token, base_url=emulator.url, timeout=30.0) as client:
        hanging = [asyncio.create_task(ask(client)) for _ in range(16)]
        await asyncio.sleep(0)
        await ask(client)
        assert not [task for task in hanging if task.done()]
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
