"""Assignments whose chunks are sent at the same time."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from itertools import groupby, product
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import (
    URN,
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    AssignmentError,
    AsyncClient,
    AuthenticationError,
    Client,
    ClientUsageError,
    Limits,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from digitalocean_projects.testing import MockClock, faults
from tests.assigning import BUSY, asked, droplets, holds, outcome, sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AssignmentResult
    from digitalocean_projects.testing import Emulator, RecordedRequest

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

# Fast retries. A chunk can be held up by 429s.
RETRY = RetryPolicy(attempts=1000, base_delay=0.001, max_delay=0.001)


async def arrived(emulator: Emulator, number: int) -> None:
    """Wait until a number of requests has arrived."""
    while len(sent(emulator)) < number:  # noqa: ASYNC110 - in another thread
        await asyncio.sleep(0.001)


def hold_up(emulator: Emulator, number: int, until: threading.Event, then: faults.Fault) -> None:
    """Refuse the assignment of a Droplet with a 429 until an event, and then apply a fault."""
    emulator.respond(
        429,
        headers={"Retry-After": "0"},
        when=lambda request: holds(number)(request) and not until.is_set(),
        times=None,
    )
    emulator.fail(then, when=holds(number), times=None)


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3), (None, 4), (100, 7)])
async def test_concurrency(
    emulator: Emulator, make_client: MakeClient, concurrency: int | None, most: int
) -> None:
    """At most `concurrency` requests are in flight, by default 4; results keep their order."""
    emulator.seed(urns := droplets(*range(7)))
    emulator.fail(faults.Silence(), when=holds(*range(7)), times=most)
    arguments = {} if concurrency is None else {"concurrency": concurrency}
    async with make_client(timeout=0.3, retry=RETRY) as client:
        assigning = asyncio.ensure_future(
            client.projects.assign_resources("default", urns, chunk_size=1, **arguments)
        )
        await arrived(emulator, most)
        await asyncio.sleep(0.05)
        assert most == len(sent(emulator))
        result = await assigning
    assert (urns, [], [], []) == outcome(result)


async def test_order(emulator: Emulator, make_either: MakeClient) -> None:
    """Resources, refusals and request ids have the order in which the resources were passed."""
    emulator.seed(droplets(1, 3, 4, 5, 6))
    urns = droplets(*range(8))
    emulator.fail(faults.Delay(0.1), when=holds(0, 1))
    emulator.fail(faults.Delay(0.05), when=holds(2))
    emulator.fail(faults.Status(422), when=holds(3, 7), times=None)
    async with make_either() as client:
        result = await client.projects.assign_resources("default", urns, chunk_size=1)
    assert (droplets(1, 4, 5, 6), droplets(0, 2, 3, 7), [], []) == outcome(result)
    assert urns == [resource.urn for resource in result.resources]
    assert droplets(3, 7) == [refusal.urn for refusal in result.refused]
    assert 6 == len(set(result.request_ids))


async def test_repeats(emulator: Emulator, make_client: MakeClient) -> None:
    """A resource under several names is in one chunk only."""
    upper = "do:app:BE5AAB85-851B-4CAB-B2ED-98D5A63BA4E8"
    names = ["do:reservedip:192.0.2.1", upper, "do:floatingip:192.0.2.1", upper.lower()]
    emulator.seed(["do:floatingip:192.0.2.1", upper.lower(), *droplets(1)])
    async with make_client() as client:
        result = await client.projects.assign_resources(
            "default", [*names, *droplets(1, 1), *names], chunk_size=1
        )
    assert 3 == len(result.done)
    counts = Counter(URN.parse(urn).canonical for urns in sent(emulator) for urn in urns)
    assert {1} == set(counts.values())
    assert 3 == len(counts)


@pytest.mark.parametrize(
    ("fault", "error", "in_doubt"),
    [
        (faults.Status(401), AuthenticationError, False),
        (faults.Status(403), PermissionDeniedError, False),
        (faults.Status(404), NotFoundError, False),
        (faults.Status(429), RateLimitError, False),
        (faults.Status(500), ServerError, True),
        (faults.Garbage(200), APIResponseError, True),
        (faults.LostAnswer(), APIConnectionError, True),
    ],
    ids=str,
)
async def test_failure_in_the_middle(
    emulator: Emulator,
    make_client: MakeClient,
    fault: faults.Fault,
    error: type[APIError],
    *,
    in_doubt: bool,
) -> None:
    """After a failure nothing is sent, and the requests in flight are accounted for."""
    emulator.seed(urns := droplets(*range(9)))
    emulator.fail(faults.Delay(0.2), when=holds(0, 2), times=None)
    emulator.fail(fault, when=holds(1), times=None)
    async with make_client() as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", urns, chunk_size=1, concurrency=3)
    assert error is type(caught.value.error)
    rest = droplets(*range(3, 9))
    unknown, untouched = (droplets(1), rest) if in_doubt else ([], [*droplets(1), *rest])
    assert (droplets(0, 2), [], unknown, untouched) == outcome(caught.value)
    assert sorted(droplets(0, 1, 2)) == sorted(urn for some in sent(emulator) for urn in some)


@pytest.mark.parametrize(
    ("script", "error", "unknown"),
    [
        ({0: faults.Silence(), 2: faults.Status(403)}, APITimeoutError, [0]),
        ({0: faults.Status(403), 2: faults.Silence()}, PermissionDeniedError, [2]),
        ({2: faults.Silence(), 3: faults.Status(500)}, APITimeoutError, [2, 3]),
    ],
)
async def test_two_failures(
    emulator: Emulator,
    make_client: MakeClient,
    script: dict[int, faults.Fault],
    error: type[APIError],
    unknown: list[int],
) -> None:
    """The error of the first chunk is raised, whichever comes first; all are accounted for."""
    emulator.seed(urns := droplets(*range(6)))
    for number, fault in script.items():
        emulator.fail(fault, when=holds(number), times=None)
    async with make_client(timeout=0.3) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", urns, chunk_size=1)
    assert error is type(caught.value.error)
    _, failed, doubtful, _ = outcome(caught.value)
    assert ([], droplets(*unknown)) == (failed, doubtful)
    assert sorted(urns) == sorted(urn for some in outcome(caught.value) for urn in some)


async def test_all_fail(emulator: Emulator, make_either: MakeClient) -> None:
    """If all requests fail, their error or an `AssignmentError` is raised, without a group."""
    async with make_either() as client:
        for status, error in ((401, AuthenticationError), (500, AssignmentError)):
            emulator.respond(status, times=None)
            with pytest.raises(error) as caught:
                await client.projects.assign_resources("default", droplets(*range(9)), chunk_size=1)
            assert not isinstance(caught.value.__context__, BaseExceptionGroup)
            assert (status == 500) == caught.value.in_doubt
            assert 4 >= len(sent(emulator))
            emulator.forget_requests()
            emulator._site.script.entries.clear()


async def test_doubt_beside_an_error_that_is_certain(
    emulator: Emulator, make_client: MakeClient
) -> None:
    """An error that leaves nothing in doubt doesn't hide the doubts about another chunk."""
    emulator.respond(403, when=holds(0))
    emulator.respond(500, when=holds(1))
    async with make_client() as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", droplets(0, 1), chunk_size=1)
    assert isinstance(caught.value.error, PermissionDeniedError)
    assert ([], [], droplets(1), droplets(0)) == outcome(caught.value)


@pytest.mark.parametrize(("status", "in_doubt"), [(429, False), (503, True)])
async def test_failure_during_a_retry(
    emulator: Emulator, make_client: MakeClient, status: int, *, in_doubt: bool
) -> None:
    """A chunk that waits for another attempt isn't sent again after a failure of another one.

    It is unknown if its first attempt is in doubt.
    """
    emulator.seed(urns := droplets(*range(4)))
    waits = threading.Event()
    emulator.respond(status, headers={"Retry-After": "20"}, when=holds(0))
    hold_up(emulator, 1, waits, faults.Status(401))
    async with make_client(retry=RETRY) as client:
        assigning = asyncio.ensure_future(
            client.projects.assign_resources("default", urns, chunk_size=1)
        )
        while droplets(0) not in sent(emulator):  # noqa: ASYNC110 - in another thread
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        waits.set()
        with pytest.raises(AssignmentError) as caught:
            await assigning
    assert isinstance(caught.value.error, AuthenticationError)
    unknown, untouched = (droplets(0), droplets(1)) if in_doubt else ([], droplets(0, 1))
    assert (droplets(2, 3), [], unknown, untouched) == outcome(caught.value)
    assert 1 == sent(emulator).count(droplets(0))


async def test_failure_while_waiting_for_the_limits(
    emulator: Emulator, make_client: MakeClient
) -> None:
    """A chunk that waits for the rate limit is not sent after a failure, and is untouched."""
    emulator.seed(droplets(*range(4)), default=True)
    emulator.respond(403, when=holds(1))
    async with make_client(limits=Limits(windows=((2, 60.0),))) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", droplets(*range(4)), chunk_size=1)
        assert 2 == client.statistics().requests
    assert (droplets(0), [], [], droplets(1, 2, 3)) == outcome(caught.value)


async def test_failure_during_a_search(emulator: Emulator, make_client: MakeClient) -> None:
    """A search for refused resources ends with the request in flight."""
    emulator.seed(urns := droplets(*range(8)))
    searches = threading.Event()

    def is_part(request: RecordedRequest) -> bool:
        found = asked(request) == urns[:2]
        if found:
            searches.set()
        return found

    emulator.fail(faults.Delay(0.2), when=is_part)
    emulator.respond(412, when=holds(3), times=None)
    hold_up(emulator, 4, searches, faults.Status(403))
    async with make_client(retry=RETRY) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", urns, chunk_size=4)
    assert isinstance(caught.value.error, PermissionDeniedError)
    assert (urns[:2], [], [], urns[2:]) == outcome(caught.value)
    assert [urns[:4], urns[:2]] == [some for some in sent(emulator) if some != urns[4:]]


async def test_closed(emulator: Emulator, make_either: MakeClient) -> None:
    """Closing the client ends all requests, and the resources in flight are unknown."""
    emulator.seed(urns := droplets(*range(9)))
    emulator.fail(faults.Silence(), when=holds(*range(1, 9)), times=None)
    client = make_either()
    assigning = asyncio.ensure_future(
        client.projects.assign_resources("default", urns, chunk_size=1)
    )
    await arrived(emulator, 5)
    await client.aclose()
    with pytest.raises(AssignmentError) as caught:
        await assigning
    assert isinstance(caught.value.error, ClientUsageError)
    assert (droplets(0), [], droplets(1, 2, 3, 4), droplets(5, 6, 7, 8)) == outcome(caught.value)


async def test_cancellation(emulator: Emulator, make_client: MakeClient) -> None:
    """A cancellation ends all requests, and leaves no task."""
    emulator.fail(faults.Silence(), times=None)
    async with make_client() as client:
        before = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.projects.assign_resources("default", droplets(*range(9)), chunk_size=1)
        assert before == asyncio.all_tasks()
    assert 4 == len(sent(emulator))


class _ExitError(SystemExit):
    """An exit of the program."""


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        *product(
            [AsyncClient, Client],
            [KeyError("x"), APIError("x"), _ExitError(3), KeyboardInterrupt("x")],
        ),
        (AsyncClient, asyncio.CancelledError("x")),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_callback_of_a_chunk_that_fails(
    emulator: Emulator,
    kind: type[AsyncClient | Client],
    error: BaseException,
    concurrency: int,
) -> None:
    """An error of `on_chunk` is raised as it is, nothing more is sent, and the client goes on."""
    emulator.seed(urns := droplets(*range(9)), name="old")
    web = emulator.seed(name="web")
    seen: list[AssignmentResult] = []

    def note(result: AssignmentResult) -> None:
        seen.append(result)
        raise error

    def check(caught: BaseException) -> None:
        assert error is caught
        assert 1 <= len(seen) <= len(sent(emulator)) <= concurrency

    options: dict[str, Any] = {"chunk_size": 1, "concurrency": concurrency, "on_chunk": note}

    async def main() -> None:
        async with asyncio.timeout(10), AsyncClient(token, base_url=url, limits=None) as client:
            plan = await client.projects.plan({web: urns})
            emulator.forget_requests()
            with pytest.raises(type(error)) as caught:
                await client.projects.apply(plan, **options)
            check(caught.value)
            assert 1 == len(asyncio.all_tasks())
            assert not (await client.projects.assign_resources(web, urns)).failed

    token, url = emulator.token, emulator.url
    if kind is AsyncClient:
        asyncio.run(main())
        return
    with Client(token, base_url=url, limits=None) as client:
        plan = client.projects.plan({web: urns})
        emulator.forget_requests()
        with pytest.raises(type(error)) as caught:
            client.projects.apply(plan, **options)
        check(caught.value)
        assert not client.projects.assign_resources(web, urns).failed


async def test_apply_calls_back_at_once(emulator: Emulator, make_client: MakeClient) -> None:
    """`apply` reports each chunk at its end, even if an earlier one is still in flight."""
    emulator.seed(urns := droplets(*range(4)), name="old")
    web = emulator.seed(name="web")
    seen: list[str] = []

    def note(result: AssignmentResult) -> None:
        seen.extend(str(resource.urn) for resource in result.done)

    async with make_client() as client:
        plan = await client.projects.plan({web: urns})
        emulator.fail(faults.Silence(), when=holds(0))
        applying = asyncio.ensure_future(client.projects.apply(plan, chunk_size=1, on_chunk=note))
        while len(seen) < 3:  # noqa: ASYNC110 - the chunks end one after the other
            await asyncio.sleep(0.001)
        assert set(droplets(1, 2, 3)) == set(seen)
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying


async def test_removal_after_additions(emulator: Emulator, make_client: MakeClient) -> None:
    """`reconcile` removes nothing before all additions have ended, and nothing if one failed."""
    web = emulator.seed(droplets(0, 1, 2), name="web")
    emulator.seed(droplets(3, 4, 5), name="other")
    emulator.fail(faults.Delay(0.05), when=holds(3))
    async with make_client() as client:
        done = await client.projects.reconcile(web, droplets(3, 4, 5), prune=True, chunk_size=1)
        requests = [request.method for request in emulator.requests]
        # The project, the default one, the additions, the project again, and the removals.
        assert ["GET", "GET", "POST", "POST", "POST", "GET", "POST", "POST", "POST"] == requests
        assert (3, 3) == (len(done.added), len(done.removed))
        emulator.forget_requests()
        emulator.fail(faults.Status(403), when=holds(1))
        emulator.fail(faults.Delay(0.05), when=holds(0))
        with pytest.raises(AssignmentError) as caught:
            await client.projects.reconcile(web, droplets(0, 1), prune=True, chunk_size=1)
    assert (droplets(0), [], [], droplets(1, 3, 4, 5)) == (
        outcome(caught.value)[0],
        outcome(caught.value)[1],
        outcome(caught.value)[2],
        sorted(outcome(caught.value)[3]),
    )
    assert "GET" not in [request.method for request in emulator.requests][2:]


async def test_reserved_ips_come_last(emulator: Emulator, make_client: MakeClient) -> None:
    """A reserved IP is sent after all Droplets, so it isn't refused; results keep the order."""
    address = "do:reservedip:192.0.2.1"
    emulator.seed(["do:floatingip:192.0.2.1", *droplets(*range(5))])
    emulator.attach("do:floatingip:192.0.2.1", "do:droplet:3")
    emulator.fail(faults.Delay(0.1), when=holds(3))
    urns = [*droplets(0, 1), address, *droplets(2, 3, 4)]
    async with make_client() as client:
        result = await client.projects.assign_resources("default", urns, chunk_size=1)
    result.raise_for_failed()
    assert [*droplets(0, 1), "do:floatingip:192.0.2.1", *droplets(2, 3, 4)] == [
        resource.urn for resource in result.resources
    ]
    assert ["do:floatingip:192.0.2.1"] == sent(emulator)[-1]


@pytest.mark.parametrize(
    "emulator",
    [{"busy_time": 2.0, "clock": MockClock(rate=0, autojump_threshold=0.01)}],
    indirect=True,
)
async def test_busy(emulator: Emulator, make_either: MakeClient) -> None:
    """After a 403 because of earlier actions, one chunk is sent at a time, and each is retried."""
    emulator.seed(urns := droplets(*range(12)))
    retry = RetryPolicy(attempts=2, base_delay=2.0, jitter=lambda ceiling: ceiling)
    async with make_either(clock=emulator.clock, retry=retry) as client:
        result = await client.projects.assign_resources("default", urns, chunk_size=2)
    assert (urns, [], [], []) == outcome(result)
    # The first four are sent at once, and another one after the first response.
    turns = [tuple(chunk) for chunk, _ in groupby(sent(emulator)[5:])]
    assert len(set(turns)) == len(turns)
    assert max(Counter(map(tuple, sent(emulator))).values()) <= 1 + 2


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_busy_for_long(emulator: Emulator, make_client: MakeClient, concurrency: int) -> None:
    """A chunk that stays refused has failed after the attempts that the policy allows."""
    emulator.seed(urns := droplets(*range(4)))
    emulator.respond(403, BUSY, when=holds(1), times=None)
    async with make_client(retry=RetryPolicy(attempts=2, base_delay=0.0)) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources(
                "default", urns, chunk_size=1, concurrency=concurrency
            )
    assert isinstance(caught.value.error, PermissionDeniedError)
    assert 2 == caught.value.error.attempts
    done, failed, unknown, untouched = outcome(caught.value)
    assert (droplets(0), [], []) == (done[:1], failed, unknown)
    assert sorted(urns) == sorted(done + untouched)
    # One attempt beside other chunks isn't counted.
    assert 2 + (concurrency > 1) == sum(some == droplets(1) for some in sent(emulator))


async def test_busy_after_a_doubtful_attempt(emulator: Emulator, make_client: MakeClient) -> None:
    """A chunk that waits for its turn is unknown after a failure if an attempt is in doubt."""
    busy = threading.Event()

    def is_second(request: RecordedRequest) -> bool:
        if holds(0)(request):
            busy.set()
        return busy.is_set() and holds(0)(request)

    emulator.respond(500, when=holds(0))
    emulator.respond(403, BUSY, when=is_second, times=None)
    hold_up(emulator, 1, busy, faults.Status(401))
    async with make_client(retry=RETRY) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", droplets(0, 1), chunk_size=1)
    assert ([], [], droplets(0), droplets(1)) == outcome(caught.value)


@pytest.mark.parametrize("emulator", [{"busy_time": 60.0}], indirect=True)
async def test_busy_after_a_failure(emulator: Emulator, make_client: MakeClient) -> None:
    """A chunk that is refused because of earlier actions isn't sent again after a failure."""
    emulator.seed(droplets(0, 1, 2))
    async with make_client(retry=RETRY) as client:
        await client.projects.assign_resources("default", droplets(2))
        emulator.forget_requests()
        emulator.fail(faults.Delay(0.2), when=holds(0))
        emulator.respond(401, when=holds(1))
        with pytest.raises(AuthenticationError) as caught:
            await client.projects.assign_resources("default", droplets(0, 1), chunk_size=1)
    assert not caught.value.in_doubt
    assert sorted(map(droplets, (0, 1))) == sorted(sent(emulator))


async def test_failure_while_a_service_is_down(emulator: Emulator, make_client: MakeClient) -> None:
    """Resources whose service is down aren't sent again after a failure, and have failed."""
    emulator.seed(droplets(0, 1))
    down = threading.Event()

    def is_third(request: RecordedRequest) -> bool:
        if sent(emulator).count(droplets(0)) >= 3:
            down.set()
        return holds(0)(request)

    emulator.fail(faults.NotAssigned("service_down"), when=is_third, times=None)
    hold_up(emulator, 1, down, faults.Status(401))
    async with make_client(retry=RETRY) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", droplets(0, 1), chunk_size=1)
    assert ([], droplets(0), [], droplets(1)) == outcome(caught.value)


def test_interrupt(emulator: Emulator) -> None:
    """An interrupt of a blocking call ends all requests in flight."""
    emulator.fail(faults.Silence(), times=None)
    with Client(emulator.token, base_url=emulator.url, limits=None) as client:
        main = threading.get_ident()

        def interrupt() -> None:
            while len(sent(emulator)) < 4:
                threading.Event().wait(0.001)
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            client.projects.assign_resources("default", droplets(*range(9)), chunk_size=1)
        thread.join()
    assert 4 == len(sent(emulator))
