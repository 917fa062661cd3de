"""Assignments that end and stay in order, although chunks wait for each other and fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import (
    AssignmentError,
    AuthenticationError,
    ClientUsageError,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
)
from digitalocean_projects._assignment.chunks import Chunk, Slots
from digitalocean_projects._described import Request
from digitalocean_projects.testing import faults
from tests.assigning import BUSY, droplets, holds, outcome, sent

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from digitalocean_projects import AsyncClient
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

IP = "do:floatingip:192.0.2.1"
RETRY = RetryPolicy(attempts=3, base_delay=0.0)


async def test_task_that_never_starts(emulator: Emulator, make_client: MakeClient) -> None:
    """The chunk of a task that is cancelled before its first step leaves its slot."""
    client = make_client()
    await client.aclose()
    with pytest.raises(ClientUsageError):
        async with asyncio.timeout(10):
            await client.projects.assign_resources("default", [*droplets(1, 2), IP], chunk_size=1)
    assert [] == sent(emulator)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_listing_that_fails(
    emulator: Emulator, make_client: MakeClient, concurrency: int
) -> None:
    """After the listing of a source has failed, no other chunk is checked or sent."""
    emulator.seed([*droplets(1), IP], name="old")
    web = emulator.seed(name="web")
    async with asyncio.timeout(10), make_client() as client:
        plan = await client.projects.plan({web: [*droplets(1), IP]})
        emulator.forget_requests()
        emulator.respond(500, times=None)
        with pytest.raises(ServerError):
            await client.projects.apply(plan, chunk_size=1, concurrency=concurrency)
    assert 1 == len(emulator.requests)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_listing_that_fails_because_of_the_caller(
    emulator: Emulator, make_client: MakeClient, concurrency: int
) -> None:
    """An error of the caller's function is raised as it is, even during a listing."""
    emulator.seed(urns := droplets(1, 2), name="old")
    web = emulator.seed(name="web")

    def jitter(ceiling: float) -> float:
        raise KeyError(ceiling)

    async with asyncio.timeout(10), make_client(retry=RetryPolicy(jitter=jitter)) as client:
        plan = await client.projects.plan({web: urns})
        emulator.respond(503, times=None)
        with pytest.raises(KeyError):
            await client.projects.apply(plan, chunk_size=1, concurrency=concurrency)


@pytest.mark.parametrize("emulator", [{"busy_time": 60.0}], indirect=True)
@pytest.mark.parametrize("last", [[], [IP]])
async def test_failure_while_a_listing_waits(
    emulator: Emulator, make_client: MakeClient, last: list[str]
) -> None:
    """A chunk whose source isn't listed yet ends with the failure, and so do those after it."""
    emulator.seed(droplets(1, 2, 9), name="old")
    emulator.seed([*droplets(3), *last], name="older")
    web = emulator.seed(name="web")
    async with asyncio.timeout(10), make_client(retry=RETRY) as client:
        plan = await client.projects.plan({web: [*droplets(1, 2, 3), *last]})
        await client.projects.assign_resources(web, droplets(9))
        emulator.forget_requests()
        # It is refused for the actions after the assignment, once the other one has failed.
        emulator.fail(faults.Delay(0.1), when=holds(1), times=None)
        emulator.respond(401, when=holds(2))
        with pytest.raises(AuthenticationError):
            await client.projects.apply(plan, chunk_size=1)
    assert sorted(map(droplets, (1, 2))) == sorted(sent(emulator))
    assert "GET" in {request.method for request in emulator.requests}


@pytest.mark.parametrize("emulator", [{"busy_time": 60.0}], indirect=True)
async def test_failure_while_a_removal_waits(emulator: Emulator, make_client: MakeClient) -> None:
    """`reconcile` ends if an addition fails while another one waits for its turn."""
    web = emulator.seed(droplets(7), name="web")
    emulator.seed(droplets(1, 2, 9), name="old")
    async with asyncio.timeout(10), make_client(retry=RETRY) as client:
        await client.projects.assign_resources(web, droplets(9))
        emulator.forget_requests()
        emulator.fail(faults.Delay(0.1), when=holds(1), times=None)
        emulator.respond(401, when=holds(2))
        with pytest.raises(AuthenticationError):
            await client.projects.reconcile(web, droplets(1, 2, 9), prune=True, chunk_size=1)
    assert sorted(map(droplets, (1, 2))) == sorted(sent(emulator))


@pytest.mark.parametrize("times", [1, None])
async def test_addition_that_waits_for_its_turn(
    emulator: Emulator, make_client: MakeClient, times: int | None
) -> None:
    """`reconcile` removes nothing while an addition waits for its turn, and nothing if it fails."""
    web = emulator.seed(droplets(7, 8), name="web")
    emulator.seed(droplets(1, 2), name="old")
    emulator.fail(faults.Delay(0.1), when=holds(1))
    emulator.respond(403, BUSY, when=holds(2), times=times)
    async with asyncio.timeout(10), make_client(retry=RETRY) as client:
        if times is None:
            with pytest.raises(AssignmentError) as caught:
                await client.projects.reconcile(web, droplets(1, 2), prune=True, chunk_size=1)
            assert isinstance(caught.value.error, PermissionDeniedError)
            assert (droplets(1), [], [], droplets(2, 7, 8)) == outcome(caught.value)
        else:
            await client.projects.reconcile(web, droplets(1, 2), prune=True, chunk_size=1)
    requests = sent(emulator)
    assert sorted(map(droplets, (1, 2))) == sorted(requests[:2])
    rest = (2, 2, 2) if times is None else (2, 7, 8)
    assert list(map(droplets, rest)) == [requests[2], *sorted(requests[3:])]


async def test_reserved_ip_after_a_chunk_that_waits(
    emulator: Emulator, make_client: MakeClient
) -> None:
    """A reserved IP isn't sent before a Droplet that waits for its turn."""
    emulator.seed([*droplets(1, 2), IP], name="old")
    emulator.attach(IP, *droplets(2))
    emulator.fail(faults.Delay(0.1), when=holds(1))
    emulator.respond(403, BUSY, when=holds(2), times=2)
    async with asyncio.timeout(10), make_client(retry=RETRY) as client:
        result = await client.projects.assign_resources(
            "default", [*droplets(1, 2), IP], chunk_size=1
        )
    assert ([*droplets(1, 2), IP], [], [], []) == outcome(result)
    assert [*[droplets(2)] * 2, [IP]] == sent(emulator)[-3:]


@pytest.mark.parametrize("concurrency", [1, 4, 8])
async def test_searches_at_the_same_time(
    emulator: Emulator, make_client: MakeClient, concurrency: int
) -> None:
    """A search that isn't at its end doesn't count as one in vain: all chunks are searched."""
    emulator.seed(urns := droplets(*range(32)))
    refused = urns[::4]
    emulator.respond(422, when=holds(*range(0, 32, 4)), times=None)
    async with asyncio.timeout(10), make_client() as client:
        result = await client.projects.assign_resources(
            "default", urns, chunk_size=4, concurrency=concurrency
        )
    assert ([urn for urn in urns if urn not in refused], refused, [], []) == outcome(result)


async def test_refusal_after_a_doubtful_attempt(
    emulator: Emulator, make_client: MakeClient
) -> None:
    """A refusal of one resource doesn't hide that an earlier attempt may have moved it."""
    emulator.seed(droplets(1, 2), name="old")
    emulator.fail(faults.LostAnswer(), when=holds(1))
    emulator.respond(422, when=holds(1), times=None)
    async with asyncio.timeout(10), make_client(retry=RETRY) as client:
        result = await client.projects.assign_resources("default", droplets(1, 2), chunk_size=1)
    assert (droplets(2), [], droplets(1), []) == outcome(result)
    assert () == result.refused


class _CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts its steps."""

    steps = 0

    def call_soon(self, *arguments: Any, **options: Any) -> asyncio.Handle:  # type: ignore[override]  # passed on as they are
        self.steps += 1
        return super().call_soon(*arguments, **options)


def test_steps_for_turns() -> None:
    """The work for chunks that wait for their turns is linear in their number."""

    def steps(count: int) -> int:
        slots = Slots()
        slots.limit = count

        async def wait(chunk: Chunk) -> None:
            await asyncio.sleep(0)
            await slots.take_turn(chunk)
            await asyncio.sleep(0)

        async def main() -> None:
            async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
                for _ in range(count):
                    chunk = Chunk(Request(method="POST", path="/"), ())
                    slots.take(chunk, tasks.create_task(wait(chunk)))

        with asyncio.Runner(loop_factory=_CountingLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, _CountingLoop)
            runner.run(main())
            return loop.steps

    assert steps(400) < 3 * steps(200)
