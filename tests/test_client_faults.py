"""Faults of the server or the network, and their results on both sides."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    Limits,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from digitalocean_projects.testing import MockClock, faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import (
        AsyncClient,
    )
    from digitalocean_projects.testing import Emulator, RecordedRequest

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

URNS = [f"do:droplet:{number}" for number in range(5)]
PASSING: dict[str, tuple[faults.Fault, type[Exception]]] = {
    "reset": (faults.Reset(), APIConnectionError),
    "disconnect": (faults.Disconnect(), APIConnectionError),
    "lost answer": (faults.LostAnswer(), APIConnectionError),
    "truncated": (faults.Truncate(), APIConnectionError),
    "nothing of the body": (faults.Truncate(0), APIConnectionError),
    "length too large": (faults.WrongLength(1), APIConnectionError),
    "silence": (faults.Silence(), APITimeoutError),
    "late": (faults.Delay(10.0), APITimeoutError),
    "body in drops": (faults.Drip(0.05), APITimeoutError),
    "headers in drops": (faults.Drip(0.05, headers=True), APITimeoutError),
    "408": (faults.Status(408), APIStatusError),
    "429 of the minute": (faults.Status(429, retry_after=1), RateLimitError),
    "429 of the hour": (faults.Status(429, reset_after=1), RateLimitError),
    "429 without a word": (faults.Status(429), RateLimitError),
    "500": (faults.Status(500), ServerError),
    "502 of a proxy": (faults.Html(502), ServerError),
    "503": (faults.Status(503, retry_after=1), ServerError),
    "504": (faults.Status(504), ServerError),
    "599": (faults.Status(599), ServerError),
}
LASTING: dict[str, tuple[faults.Fault, type[Exception]]] = {
    "403": (faults.Status(403), PermissionDeniedError),
    "404": (faults.Status(404), NotFoundError),
    "418": (faults.Status(418), APIStatusError),
    "501": (faults.Status(501), ServerError),
    "web page": (faults.Html(200), APIResponseError),
    "garbage": (faults.Garbage(), APIResponseError),
    "endless": (faults.Endless(), APIResponseError),
    "endless error": (faults.Endless(500), APIResponseError),
    "bomb": (faults.Bomb(2**30), APIResponseError),
    "bomb of an error": (faults.Bomb(2**30, status=502), APIResponseError),
    "huge headers": (faults.HugeHeaders(), APIResponseError),
}
each_fault = pytest.mark.parametrize(
    ("fault", "error"), [*PASSING.values(), *LASTING.values()], ids=[*PASSING, *LASTING]
)


def options(fault: faults.Fault) -> dict[str, Any]:
    """A short time-out only where the fault is to exceed it."""
    late = (faults.Silence, faults.Delay, faults.Drip)
    return {"timeout": 0.3 if isinstance(fault, late) else 30.0, "max_body": 100_000}


@pytest.fixture
def policy() -> RetryPolicy:
    return RetryPolicy(base_delay=0.0, max_retry_after=5.0)


@each_fault
async def test_listing(
    emulator: Emulator, make_client: MakeClient, fault: faults.Fault, error: type[Exception]
) -> None:
    """A page that can't be had fails the listing, after those before it."""
    emulator.seed(URNS, default=True)
    emulator.fail(fault, when=lambda request: request.query["page"] == "2")
    async with make_client(**options(fault)) as client:
        pages = client.projects.list_resources(per_page=2).pages()
        first = await anext(pages)
        with pytest.raises(error):
            await anext(pages)
        assert URNS[:2] == [str(resource.urn) for resource in first.items]
        assert 5 == len(await client.projects.list_resources(per_page=2).collect())


@each_fault
async def test_assignment(
    emulator: Emulator, make_client: MakeClient, fault: faults.Fault, error: type[Exception]
) -> None:
    """An assignment that fails raises, and may be done again."""
    emulator.seed(URNS)
    emulator.fail(fault)
    async with make_client(**options(fault)) as client:
        with pytest.raises(error):
            await client.projects.assign_resources("default", URNS)
        result = await client.projects.assign_resources("default", URNS)
    assert URNS == [str(resource.urn) for resource in result.done]


@pytest.mark.parametrize("fault", [fault for fault, _ in PASSING.values()], ids=PASSING)
async def test_passing(
    emulator: Emulator, make_client: MakeClient, policy: RetryPolicy, fault: faults.Fault
) -> None:
    """With retries nobody notices what passes."""
    emulator.seed(URNS)
    emulator.fail(fault)
    clock = MockClock(autojump_threshold=0.01)
    async with make_client(**options(fault), retry=policy, clock=clock) as client:
        result = await client.projects.assign_resources("default", URNS)
        emulator.fail(fault)
        listed = await client.projects.list_resources().collect()
    assert (URNS, URNS, 4) == (
        [str(resource.urn) for resource in result.done],
        sorted(str(resource.urn) for resource in listed),
        len(emulator.requests),
    )


@pytest.mark.parametrize("fault", [fault for fault, _ in LASTING.values()], ids=LASTING)
async def test_lasting(
    emulator: Emulator, make_client: MakeClient, policy: RetryPolicy, fault: faults.Fault
) -> None:
    """Failures that are not transient are not retried."""
    emulator.fail(fault)
    async with make_client(**options(fault), retry=policy) as client:
        with pytest.raises((APIStatusError, APIResponseError)):
            await client.projects.list_resources().first_page()
    assert 1 == len(emulator.requests)


async def test_down(emulator: Emulator, make_client: MakeClient, policy: RetryPolicy) -> None:
    """Resources whose service is down are assigned when it is up again."""
    emulator.seed(URNS)
    emulator.fail(faults.NotAssigned("service_down", URNS[:2]), times=2)
    async with make_client(retry=policy) as client:
        result = await client.projects.assign_resources("default", URNS)
    assert ["assigned"] * 5 == [resource.status for resource in result.resources]
    assert [5, 2, 2] == [request.body.count(b"do:") for request in emulator.requests]


async def test_left_out(emulator: Emulator, make_client: MakeClient) -> None:
    """The outcome for resources that are missing in the response is unknown."""
    emulator.seed(URNS)
    emulator.fail(faults.Omit(URNS[1:3]))
    async with make_client() as client:
        result = await client.projects.assign_resources("default", URNS)
    assert URNS[1:3] == list(map(str, result.unknown))


STORM = (
    faults.Status(429, retry_after=1),
    faults.Status(500),
    faults.Reset(),
    faults.Truncate(),
    faults.Silence(),
)


def stormy(emulator: Emulator, share: float) -> None:
    """Have a share of the requests from now on go wrong, in all ways alike."""
    chance = random.Random(7)  # noqa: S311 - no secret
    drawn: dict[int, faults.Fault | None] = {}

    def hit(fault: faults.Fault, request: RecordedRequest) -> bool:
        if id(request) not in drawn:
            drawn[id(request)] = chance.choice(STORM) if chance.random() < share else None
        return drawn[id(request)] is fault

    for fault in STORM:
        emulator.fail(fault, when=partial(hit, fault), times=None)


async def test_storm(emulator: Emulator, make_either: MakeClient) -> None:
    """Where a fifth of all answers fail, a listing has all resources, each once."""
    urns = [f"do:droplet:{number}" for number in range(2000)]
    emulator.seed(urns, default=True)
    stormy(emulator, 0.2)
    options: dict[str, Any] = {
        "clock": MockClock(autojump_threshold=0.02),
        "limits": Limits(windows=((250, 60.0),)),
        "retry": RetryPolicy(attempts=12),
        "timeout": 0.3,
    }
    async with make_either(**options) as client:
        iterated = [str(r.urn) async for r in client.projects.list_resources(per_page=20)]
        collected = await client.projects.list_resources(per_page=20).collect()
        statistics = client.statistics()
    assert urns == iterated
    assert urns == [str(resource.urn) for resource in collected]
    assert 200 == statistics.requests - statistics.retries
    # On a busy machine a request may pass its time-out before the emulator has read it.
    assert 200 <= len(emulator.requests) <= statistics.requests
    assert statistics.retries > 20
