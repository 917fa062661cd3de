"""Assignments that take more than one request, on both sides."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import (
    AssignmentError,
    ClientUsageError,
    Limits,
    PermissionDeniedError,
    RateLimitError,
    RateLimitWaitError,
    RetryPolicy,
    ServerError,
)
from tests.simulation import MovedClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import (
        AssignmentResult,
        AsyncClient,
    )
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

A, B, C = URNS = ["do:droplet:1", "do:droplet:2", "do:droplet:3"]


@pytest.fixture
def options() -> dict[str, Any]:
    """Retries whose waits are known and take no time."""
    return {"retry": RetryPolicy(jitter=lambda ceiling: ceiling), "clock": MovedClock()}


def down(emulator: Emulator, *statuses: str, times: int = 1) -> None:
    """Have the next requests answered so, for the first URNs."""
    told = [{"urn": urn, "status": status} for urn, status in zip(URNS, statuses, strict=False)]
    emulator.respond(200, {"resources": told}, times=times)


def sent(emulator: Emulator) -> list[list[str]]:
    return [json.loads(request.body)["resources"] for request in emulator.requests]


def told(result: AssignmentResult | AssignmentError) -> dict[str, str | None]:
    return {str(resource.urn): resource.status for resource in (*result.done, *result.failed)}


async def test_down_for_a_while(
    emulator: Emulator, make_client: MakeClient, options: dict[str, Any]
) -> None:
    """Only resources whose service is down are sent again, after growing delays."""
    emulator.seed(URNS)
    down(emulator, "assigned", "service_down", "service_down")
    emulator.respond(200, {"resources": [{"urn": B, "status": "service_down"}, {"urn": C}]})
    async with make_client(**options) as client:
        result = await client.projects.assign_resources("default", URNS)
    assert {A: "assigned", B: "assigned", C: None} == told(result)
    assert ([URNS, [B, C], [B]], [0.5, 1.0]) == (sent(emulator), options["clock"].slept)


@pytest.mark.parametrize("policy", [{"attempts": 2}, {"statuses": {500}}, {"attempts": 1}])
async def test_down_for_long(
    emulator: Emulator, make_client: MakeClient, options: dict[str, Any], policy: dict[str, Any]
) -> None:
    """Resources whose service stays down have failed after the attempts that the policy allows."""
    down(emulator, "service_down", times=9)
    options["retry"] = RetryPolicy(**policy)
    async with make_client(**options) as client:
        result = await client.projects.assign_resources("default", [A])
    requests = 2 if policy == {"attempts": 2} else 1
    assert ({A: "service_down"}, requests) == (told(result), len(emulator.requests))


async def test_chunks_have_their_own_attempts(
    emulator: Emulator, make_client: MakeClient, options: dict[str, Any]
) -> None:
    """Each chunk is sent as often as the policy says."""
    emulator.seed(URNS)
    emulator.respond(200, {"resources": [{"urn": A, "status": "service_down"}]}, times=3)
    emulator.respond(
        200,
        {"resources": [{"urn": B, "status": "service_down"}]},
        when=lambda request: B.encode() in request.body,
        times=3,
    )
    async with make_client(**options) as client:
        result = await client.projects.assign_resources(
            "default", URNS, chunk_size=1, concurrency=1
        )
    assert (dict.fromkeys(URNS, "assigned"), 9) == (told(result), len(emulator.requests))


@pytest.mark.parametrize(
    ("status", "failed", "unknown", "error"),
    [
        (500, {A: "assigned"}, [B], ServerError),
        (403, {A: "assigned", B: "service_down"}, [], PermissionDeniedError),
    ],
)
async def test_failure_while_down(  # noqa: PLR0917 - fixtures
    emulator: Emulator,
    make_client: MakeClient,
    options: dict[str, Any],
    status: int,
    failed: dict[str, str],
    unknown: list[str],
    error: type[Exception],
) -> None:
    """Where sending again fails, it is unknown what became of it, unless it was refused."""
    down(emulator, "assigned", "service_down")
    emulator.respond(status, times=9)
    async with make_client(**options) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", URNS, chunk_size=2, concurrency=1)
    assert (failed, unknown, [C], error) == (
        told(caught.value),
        list(map(str, caught.value.unknown)),
        list(map(str, caught.value.untouched)),
        type(caught.value.error),
    )


@pytest.mark.parametrize(
    ("statuses", "untouched"), [([429], True), ([429, 429], True), ([500, 429], False)]
)
async def test_refused_after_a_failure(
    emulator: Emulator, make_client: MakeClient, statuses: list[int], *, untouched: bool
) -> None:
    """A chunk is untouched if all attempts were refused: else an earlier one may have done it."""
    emulator.seed(URNS)
    down(emulator, "assigned")
    for status in statuses:
        emulator.respond(status)
    policy = RetryPolicy(attempts=len(statuses), base_delay=0.0)
    async with make_client(retry=policy) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", [A, B], chunk_size=1, concurrency=1)
    assert isinstance(caught.value.error, RateLimitError)
    left = caught.value.untouched if untouched else caught.value.unknown
    assert [B] == list(map(str, left))


async def test_nothing_heard(emulator: Emulator, make_client: MakeClient) -> None:
    """Resources that are missing in a response are unknown, even if a later chunk fails."""
    down(emulator)
    emulator.respond(500)
    async with make_client() as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", [A, B], chunk_size=1, concurrency=1)
    assert [A, B] == list(map(str, caught.value.unknown))


async def test_closed_while_down(emulator: Emulator, make_client: MakeClient) -> None:
    """The end of the client ends the wait, and what was down is failed."""
    down(emulator, "assigned", "service_down")
    policy = RetryPolicy(base_delay=20.0, jitter=lambda ceiling: ceiling)
    async with make_client(retry=policy) as client:
        assigning = asyncio.ensure_future(client.projects.assign_resources("default", [A, B]))
        while not emulator.requests:  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
    with pytest.raises(AssignmentError) as caught:
        await assigning
    assert isinstance(caught.value.error, ClientUsageError)
    assert {A: "assigned", B: "service_down"} == told(caught.value)


async def test_unsent_chunk(emulator: Emulator, make_client: MakeClient) -> None:
    """A chunk that couldn't be sent is untouched."""
    emulator.seed(URNS)
    limits = Limits(windows=((1, 60.0),))
    async with make_client(limits=limits, deadline=10.0) as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", [A, B, C], chunk_size=1)
    assert isinstance(caught.value.error, RateLimitWaitError)
    assert [B, C] == list(map(str, caught.value.untouched))


async def test_deadline_while_down(
    emulator: Emulator, make_client: MakeClient, options: dict[str, Any]
) -> None:
    """Resources whose service is down are not sent again after the deadline."""
    down(emulator, "service_down", times=9)
    policy = RetryPolicy(base_delay=10.0, jitter=lambda ceiling: ceiling)
    options |= {"retry": policy, "deadline": 25.0}
    async with make_client(**options) as client:
        result = await client.projects.assign_resources("default", [A])
        assert (2, 1) == (client.statistics().requests, client.statistics().retries)
    assert ({A: "service_down"}, [10.0]) == (told(result), options["clock"].slept)


async def test_other_resource_that_is_down(
    emulator: Emulator, make_client: MakeClient, options: dict[str, Any]
) -> None:
    """Nothing is sent again for a resource in an answer that was not in its request."""
    emulator.respond(200, {"resources": [{"urn": A}, {"urn": B, "status": "service_down"}]})
    async with make_client(**options) as client:
        result = await client.projects.assign_resources("default", [A])
    assert ({A: None}, [[A]]) == (told(result), sent(emulator))


@pytest.mark.parametrize("order", [1, -1])
async def test_contradiction(emulator: Emulator, make_client: MakeClient, order: int) -> None:
    """A resource that one answer names twice has failed if one of the two says so."""
    answers = [{"urn": "do:droplet:1", "status": status} for status in ("assigned", "not_found")]
    emulator.respond(200, {"resources": answers[::order]})
    async with make_client() as client:
        result = await client.projects.assign_resources("default", ["do:droplet:1"])
    assert ((), ["not_found"]) == (result.done, [resource.status for resource in result.failed])


async def test_closed_client(make_client: MakeClient) -> None:
    """A request that a closed client refuses was not sent, so nothing is in doubt."""
    client = make_client()
    await client.aclose()
    with pytest.raises(ClientUsageError, match="closed") as caught:
        await client.projects.create("web", "x")
    assert not caught.value.in_doubt


async def test_request_ids(
    emulator: Emulator, make_either: MakeClient, options: dict[str, Any]
) -> None:
    """A result has the ids of the responses with outcomes, in order, and an error has them, too."""

    def respond(status: int, *outcomes: str, request_id: str) -> None:
        told = [{"urn": A, "status": outcome} for outcome in outcomes]
        emulator.respond(status, {"resources": told}, {"x-request-id": request_id})

    async with make_either(**options) as client:
        respond(200, "service_down", request_id=f"1 {emulator.token}")
        respond(503, request_id="2")
        respond(200, "assigned", request_id="3")
        respond(400, request_id="4")
        result = await client.projects.assign_resources(
            "default", [A, B], chunk_size=1, concurrency=1
        )
        assert (("1 ***", "3"), 1) == (result.request_ids, len(result.refused))
        respond(200, request_id="5")
        emulator.respond(200, {"resources": []})
        respond(401, request_id="6")
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", URNS, chunk_size=1, concurrency=1)
        assert ("5",) == caught.value.request_ids
