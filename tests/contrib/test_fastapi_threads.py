"""The threads of `def` endpoints that wait for the rate limits."""

import gc
import selectors
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from threading import Thread
from time import monotonic, sleep
from typing import Annotated, Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request

from digitalocean_projects import (
    AsyncClient,
    Client,
    ClientUsageError,
    Limits,
    RateLimitWaitError,
    RetryPolicy,
)
from digitalocean_projects.contrib.fastapi import (
    AsyncClientDep,
    ClientDep,
    TenantAsyncClientDep,
    TenantClientDep,
    client_for,
    client_lifespan,
    exception_handlers,
)
from digitalocean_projects.contrib.fastapi.dependencies import bound_waiting_threads
from digitalocean_projects.contrib.redis import RedisLimits
from digitalocean_projects.testing import Emulator, MockClock
from tests.contrib.conftest import Server
from tests.contrib.serving import serve

PERIOD = 60.0
SCOPES = ["project:read"]


@pytest.fixture
def clock() -> Iterator[MockClock]:
    """Return a clock that stands still until it is moved."""
    clock = MockClock(rate=0)
    yield clock
    # By then no bucket must be kept.
    clock.jump(2 * 3600.0)


@pytest.fixture
def options(emulator: Emulator, clock: MockClock) -> dict[str, Any]:
    """Return the options of clients that may send two requests a minute."""
    limits = Limits(windows=((2, PERIOD),), reserve=0)
    return {"base_url": emulator.url, "limits": limits, "clock": clock}


def make_app(token: str, options: dict[str, Any], **lifespan_options: Any) -> FastAPI:
    """Return an application whose endpoints send one request each."""
    app = FastAPI(
        lifespan=client_lifespan(
            partial(AsyncClient, token, **options),
            partial(Client, token, **options),
            **lifespan_options,
        ),
        exception_handlers=exception_handlers,
    )

    @app.get("/service")
    def service(client: ClientDep) -> str:
        return client.projects.get_default().name

    @app.get("/tenant")
    def tenant(client: TenantClientDep) -> str:
        return client.projects.get_default().name

    @app.get("/view")
    def view(client: TenantClientDep) -> str:
        return client.with_options(timeout=9.0).with_options(bulk=True).projects.get_default().name

    @app.get("/deadline")
    def deadline(client: TenantClientDep) -> str:
        return client.with_options(deadline=0.5).projects.get_default().name

    @app.get("/unlimited")
    def unlimited(client: TenantClientDep) -> str:
        return client.with_options(limits=None).projects.get_default().name

    async def token_of(request: Request) -> str:
        return request.headers["authorization"].removeprefix("Bearer ")

    @app.get("/stored")
    def stored(client: Annotated[Client, Depends(client_for(token_of))]) -> str:
        return client.projects.get_default().name

    @app.get("/waiting")
    async def waiting(client: AsyncClientDep) -> int:
        bucket = client.statistics().bucket
        assert bucket is not None
        return bucket.waiting

    @app.get("/async")
    async def awaited(client: TenantAsyncClientDep) -> str:
        return (await client.projects.get_default()).name

    return app


@pytest.fixture
def browser(emulator: Emulator, options: dict[str, Any]) -> Iterator[httpx2.Client]:
    with serve(make_app(emulator.token, options)) as browser:
        yield browser


class Calls:
    """Concurrent requests, each on its own connection."""

    def __init__(self, browser: httpx2.Client, path: str, token: str, count: int) -> None:
        host, port = browser.base_url.host, browser.base_url.port
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        self._pending = selectors.DefaultSelector()
        for _ in range(count):
            connection = socket.create_connection((host, port), 20)
            connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
            self._pending.register(connection, selectors.EVENT_READ)

    def __len__(self) -> int:
        """Return the number of calls without a response."""
        return len(self._pending.get_map())

    def responses(self, count: int) -> list[str]:
        """Wait for the next responses."""
        found: list[str] = []
        end = monotonic() + 60
        while len(found) < count:
            assert monotonic() < end
            for key, _ in self._pending.select(0.1):
                connection: Any = key.fileobj
                self._pending.unregister(connection)
                with connection:
                    found.append(b"".join(iter(partial(connection.recv, 65536), b"")).decode())
        return found

    def finish(self, clock: MockClock) -> list[str]:
        """Move the clock until all calls have a response."""
        found: list[str] = []
        end = monotonic() + 60
        while len(self):
            assert monotonic() < end
            clock.jump(PERIOD + 1)
            sleep(0.02)
            ready = self._pending.select(0.05)
            found += self.responses(len(ready))
        return found

    def close(self) -> None:
        for key in list(self._pending.get_map().values()):
            connection: Any = key.fileobj
            connection.close()
        self._pending.close()


@pytest.fixture
def call(browser: httpx2.Client) -> Iterator[Callable[..., Calls]]:
    """Return a function that sends calls."""
    with ExitStack() as stack:

        def make(path: str, token: str, count: int, to: httpx2.Client = browser) -> Calls:
            calls = Calls(to, path, token, count)
            stack.callback(calls.close)
            return calls

        yield make


def statuses(responses: Sequence[str]) -> list[int]:
    return [int(response.split()[1]) for response in responses]


def until_waiting(browser: httpx2.Client, count: int) -> None:
    """Wait until a number of requests with the service's token wait for the limits."""
    wait_for(lambda: browser.get("/waiting").json() == count)


def spend(browser: httpx2.Client, token: str) -> None:
    """Send as many requests as a token may send at once."""
    headers = {"Authorization": f"Bearer {token}"}
    assert [200, 200] == [browser.get("/tenant", headers=headers).status_code for _ in range(2)]


MakeCalls = Callable[..., Calls]


@pytest.mark.parametrize("path", ["/tenant", "/view", "/stored"])
def test_tenant_over_the_limit(
    browser: httpx2.Client, emulator: Emulator, clock: MockClock, call: MakeCalls, path: str
) -> None:
    """Of a tenant's 100 calls over the limits, 8 wait, and another tenant is served at once."""
    tenant, other = emulator.add_token(SCOPES), emulator.add_token(SCOPES)
    # Twice, to show that no place is lost.
    for _ in range(2):
        spend(browser, tenant)
        calls = call(path, tenant, 100)
        refused = calls.responses(92)
        assert {503} == set(statuses(refused))
        waits = [int(response.split("retry-after: ")[1].split()[0]) for response in refused]
        assert PERIOD + 1 <= min(waits)
        spend(browser, other)
        assert 8 == len(calls)
        assert [200] * 8 == statuses(calls.finish(clock))
        clock.jump(PERIOD + 1)


def test_service_over_the_limit(
    browser: httpx2.Client, emulator: Emulator, clock: MockClock, call: MakeCalls
) -> None:
    """The bound applies to the service's own token, and counts no requests of other tokens."""
    spend(browser, emulator.token)
    services = call("/service", emulator.token, 20)
    assert [503] * 12 == statuses(services.responses(12))
    tenant = emulator.add_token(SCOPES)
    spend(browser, tenant)
    tenants = call("/tenant", tenant, 20)
    assert [503] * 12 == statuses(tenants.responses(12))
    assert [200] * 8 == statuses(services.finish(clock))
    assert [200] * 8 == statuses(tenants.finish(clock))


def test_views_share_the_places(
    browser: httpx2.Client, emulator: Emulator, clock: MockClock, call: MakeCalls
) -> None:
    """Views of one token share the places; those without limits need none."""
    spend(browser, emulator.token)
    calls = call("/tenant", emulator.token, 30)
    assert 22 == len(calls.responses(22))
    for path in ("/view", "/service", "/stored"):
        assert [503] == statuses(call(path, emulator.token, 1).responses(1))
    assert [200] * 20 == statuses(call("/unlimited", emulator.token, 20).responses(20))
    assert [200] * 8 == statuses(calls.finish(clock))


def test_short_deadline(
    browser: httpx2.Client, emulator: Emulator, clock: MockClock, call: MakeCalls
) -> None:
    """A request that can't be sent before its deadline takes no place."""
    spend(browser, emulator.token)
    assert {503} == set(statuses(call("/deadline", emulator.token, 20).responses(20)))
    waiting = call("/tenant", emulator.token, 9)
    assert [503] == statuses(waiting.responses(1))
    assert [200] * 8 == statuses(waiting.finish(clock))


def test_async_endpoints_wait(
    browser: httpx2.Client, emulator: Emulator, clock: MockClock, call: MakeCalls
) -> None:
    """Any number of calls of an `async def` endpoint may wait, because they hold no thread."""
    spend(browser, emulator.token)
    threads = call("/tenant", emulator.token, 20)
    assert 12 == len(threads.responses(12))
    tasks = call("/async", emulator.token, 30)
    until_waiting(browser, 38)
    assert (8, 30) == (len(threads), len(tasks))
    assert [200] * 30 == statuses(tasks.finish(clock))
    assert [200] * 8 == statuses(threads.finish(clock))


def test_waits_for_a_moment(
    browser: httpx2.Client, emulator: Emulator, clock: MockClock, call: MakeCalls
) -> None:
    """A request that has to wait for at most a second takes no place."""
    spend(browser, emulator.token)
    clock.jump(PERIOD + 0.5)
    calls = call("/tenant", emulator.token, 20)
    # Two of them wait for half a second, and eight for a minute.
    assert [503] * 10 == statuses(calls.responses(10))
    assert [200] * 10 == statuses(calls.finish(clock))


def test_start(
    emulator: Emulator, clock: MockClock, options: dict[str, Any], call: MakeCalls
) -> None:
    """A request that waits for the first answers to a token takes no place."""
    with serve(make_app(emulator.token, options | {"limits": Limits()})) as browser:
        calls = call("/tenant", emulator.token, 40, browser)
        assert [200] * 40 == statuses(calls.responses(40))
    assert 0.0 == clock.time()


@pytest.mark.parametrize("most", [1, 3])
def test_two_applications(
    emulator: Emulator, clock: MockClock, options: dict[str, Any], call: MakeCalls, most: int
) -> None:
    """The bound is an option, and counts the threads of all applications in the process."""
    app = make_app(emulator.token, options, waiting_threads=most)
    another = make_app(emulator.token, options, waiting_threads=most)
    with serve(app) as browser, serve(another) as other_browser:
        spend(browser, emulator.token)
        calls = call("/tenant", emulator.token, 10, browser)
        assert [503] * (10 - most) == statuses(calls.responses(10 - most))
        refused = call("/tenant", emulator.token, 10, other_browser)
        assert [503] * 10 == statuses(refused.responses(10))
        assert [200] * most == statuses(calls.finish(clock))
        clock.jump(PERIOD + 1)
        spend(other_browser, emulator.token)
        calls = call("/tenant", emulator.token, 10, other_browser)
        assert [503] * (10 - most) == statuses(calls.responses(10 - most))
        assert [200] * most == statuses(calls.finish(clock))


@pytest.mark.parametrize("most", [0, -1, 1.5, True])
def test_bad_bound(most: Any) -> None:
    """The bound must be an integer of at least 1."""
    with pytest.raises((TypeError, ValueError), match="waiting_threads"):
        client_lifespan(waiting_threads=most)


def run(count: int, function: Callable[[], object], outcomes: list[object]) -> list[Thread]:
    """Call the function in threads, and return its results and errors."""

    def target() -> None:
        try:
            outcomes.append(function())
        except Exception as error:  # noqa: BLE001 - it is looked at
            outcomes.append(type(error))

    threads = [Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def wait_for(condition: Callable[[], object]) -> None:
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end
        sleep(0.005)


def all_wait(client: Client, count: int) -> bool:
    """Return True if a number of requests wait, and no other is pending."""
    bucket = client.statistics().bucket
    assert bucket is not None
    return (count, 0) == (bucket.waiting, bucket.in_flight)


def test_closed_client(emulator: Emulator, clock: MockClock, options: dict[str, Any]) -> None:
    """Calls that are cancelled when their client is closed give their places back."""
    for _ in range(3):
        client = Client(emulator.token, **options)
        bound_waiting_threads(client, 2)
        client.projects.list().collect()
        client.projects.list().collect()
        outcomes: list[object] = []
        threads = run(3, client.projects.get_default, outcomes)
        wait_for(lambda: outcomes and all_wait(client, 2))  # noqa: B023 - it is called here
        assert [RateLimitWaitError] == outcomes
        client.close()
        for thread in threads:
            thread.join(60)
        assert [RateLimitWaitError, ClientUsageError, ClientUsageError] == outcomes
        clock.jump(PERIOD + 1)


def test_call_with_several_requests(
    emulator: Emulator, clock: MockClock, options: dict[str, Any]
) -> None:
    """The requests of one call hold one place in all, until the last of them is sent."""
    emulator.seed([f"do:droplet:{number}" for number in range(9)], default=True)
    with Client(emulator.token, **options) as client:
        bound_waiting_threads(client, 1)
        outcomes: list[object] = []
        listing = client.projects.list_resources(per_page=1)
        threads = run(1, lambda: len(listing.collect()), outcomes)
        for sent in (2, 4, 6, 8):
            wait_for(lambda: all_wait(client, 9 - sent))  # noqa: B023 - it is called here
            with pytest.raises(RateLimitWaitError, match="and 1 thread waits already"):
                client.projects.get_default()
            clock.jump(PERIOD + 1)
        threads[0].join(60)
        assert [9] == outcomes


def test_bucket_outlives_the_client(emulator: Emulator, options: dict[str, Any]) -> None:
    """The bound doesn't end the limits of a token together with a client."""
    for _ in range(2):
        with Client(emulator.token, **options) as client:
            bound_waiting_threads(client, 1)
            bucket = client._async._manager._bucket
            assert bucket is not None
            client.projects.get_default()
            assert bucket.keep
            statistics = bucket.statistics()
        del client, bucket
        gc.collect()
    assert (2,) == statistics.in_use


def test_refused_request(emulator: Emulator, clock: MockClock, options: dict[str, Any]) -> None:
    """A request that the API has refused raises that error if it has no place to wait."""
    options |= {"limits": Limits(windows=((20, PERIOD),)), "retry": RetryPolicy(attempts=3)}
    with Client(emulator.token, **options) as client:
        bound_waiting_threads(client, 1)
        emulator.respond(429, headers={"Retry-After": "30"}, times=2)
        outcomes: list[object] = []
        threads = run(1, lambda: client.projects.get_default().name, outcomes)
        wait_for(lambda: all_wait(client, 1))
        with pytest.raises(RateLimitWaitError, match="1 thread waits already"):
            client.projects.get_default()
        while threads[0].is_alive():
            clock.jump(10)
            threads[0].join(0.05)
        assert ["first-project"] == outcomes


def test_redis(emulator: Emulator, server: Server) -> None:
    """Limits that are shared through Redis are bounded, too."""
    limits = RedisLimits(server.url, windows=((20, PERIOD),), prefix=uuid4().hex, reserve=0)
    client = Client(emulator.token, base_url=emulator.url, limits=limits)
    bound_waiting_threads(client, 1)
    outcomes: list[object] = []
    for thread in run(20, lambda: client.projects.get_default().name, outcomes):
        thread.join(60)
    assert ["first-project"] * 20 == outcomes
    threads = run(2, client.projects.get_default, outcomes)
    wait_for(lambda: outcomes[20:])
    assert [RateLimitWaitError] == outcomes[20:]
    client.close()
    for thread in threads:
        thread.join(60)
    assert [RateLimitWaitError, ClientUsageError] == outcomes[20:]
