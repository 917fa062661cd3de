"""The changes of a budget that the API's responses cause."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from digitalocean_projects import Limits, TokenBucket
from tests.simulation import Server, VirtualTime, ask

DATE = {"date": "Thu, 01 Jan 1970 00:16:40 GMT"}
NONE_LEFT = {"ratelimit-remaining": "0"}


def bucket(clock: VirtualTime, jitter: float = 0.0, **options: Any) -> TokenBucket:
    return TokenBucket(Limits(**options), clock=clock, jitter=lambda: jitter)


async def hold(bucket: TokenBucket, number: int) -> list[Any]:
    return [await bucket.lease().__aenter__() for _ in range(number)]


async def may_go(bucket: TokenBucket) -> int:
    """Return the number of requests that may be sent now, without sending one."""
    leases: list[Any] = []
    while True:
        entering = asyncio.ensure_future(bucket.lease().__aenter__())
        await asyncio.sleep(0)
        if not entering.done():
            entering.cancel()
            break
        leases.append(await entering)
    for lease in leases:
        lease.unsent()
    await asyncio.sleep(0)
    return len(leases)


PAUSES: list[tuple[dict[str, str], float]] = [
    ({"retry-after": "10"}, 10.0),
    ({"retry-after": "10", "ratelimit-reset": "1500", **DATE}, 10.0),
    ({"ratelimit-reset": "1500", **DATE}, 500.0),
    ({"ratelimit-reset": "900", **DATE}, 0.0),
    ({"ratelimit-reset": "1500"}, 0.0),
    ({"ratelimit-reset": "99999999999"}, 3600.0),
    ({"retry-after": "soon", "ratelimit-reset": "1500", **DATE}, 60.0),
    ({"retry-after": "20s"}, 60.0),
    ({"retry-after": ""}, 60.0),
    ({}, 1.0),
    ({"retry-after": "999999"}, 3600.0),
    ({"ratelimit-reset": "99999", **DATE}, 3600.0),
]


@pytest.mark.parametrize(("headers", "seconds"), PAUSES)
def test_pause(headers: dict[str, str], seconds: float) -> None:
    """After a refusal nothing is sent for its wait, at most the longest period, and a jitter."""
    clock = VirtualTime()
    limited = bucket(clock, jitter=0.25)

    async def main() -> None:
        (lease,) = await hold(limited, 1)
        lease.refused(headers)
        assert (seconds + 0.25, 1) == (limited.statistics().paused, limited.statistics().refused)
        await hold(limited, 1)

    clock.run(main())
    assert seconds + 0.25 == clock.now


def test_refusals_of_one_pause() -> None:
    """Refusals of requests sent before the end of a pause don't begin another pause."""
    clock = VirtualTime()
    limited = bucket(clock, jitter=0.25)

    async def main() -> None:
        leases = await hold(limited, 3)
        leases[0].refused({"retry-after": "10"})
        await asyncio.sleep(4.0)
        leases[1].refused({"retry-after": "1"})
        assert 6.25 == limited.statistics().paused
        await asyncio.sleep(6.25)
        leases[2].refused({"retry-after": "0"})
        assert 0.0 == limited.statistics().paused
        (lease,) = await hold(limited, 1)
        assert 10.25 == clock.now
        lease.refused({"retry-after": "2"})
        assert (2.25, 4) == (limited.statistics().paused, limited.statistics().refused)

    clock.run(main())


def test_slow_start() -> None:
    """16 requests are sent at first, or 8 after a refusal, and one more after each success."""
    clock = VirtualTime()
    limited = bucket(clock)

    async def main() -> None:
        assert 16 == await may_go(limited)
        for lease in await hold(limited, 3):
            lease.settle()
        assert 19 == await may_go(limited)
        first, *others = await hold(limited, 5)
        first.refused({"retry-after": "5"})
        assert 0 == await may_go(limited)
        for lease in others:
            lease.settle()
        await asyncio.sleep(5.0)
        assert 8 == await may_go(limited)
        for lease in await hold(limited, 2):
            lease.settle()
        assert 10 == await may_go(limited)

    clock.run(main())


def test_slow_start_forgets_the_slow() -> None:
    """A request that has been unanswered for a second doesn't count for the slow start."""
    clock = VirtualTime()
    limited = bucket(clock)

    async def main() -> None:
        hanging = await hold(limited, 16)
        await hold(limited, 1)
        assert 1.0 == clock.now
        assert 15 == await may_go(limited)
        for lease in hanging[:3]:
            lease.settle()
        assert 18 == await may_go(limited)
        await hold(limited, 18)
        assert 0 == await may_go(limited)
        await asyncio.sleep(1.0)
        assert 19 == await may_go(limited)
        hanging[3].refused({"retry-after": "5"})
        await asyncio.sleep(5.0)
        assert 8 == await may_go(limited)

    clock.run(main())


def test_what_is_left() -> None:
    """No more requests are sent than remain, less those in flight."""
    clock = VirtualTime()
    limited = bucket(clock)

    async def main() -> None:
        leases = await hold(limited, 8)
        leases.pop().settle({"ratelimit-remaining": "9"})
        assert 2 == await may_go(limited)
        for left in (8, 7, 6, 5):
            leases.pop().settle({"ratelimit-remaining": str(left)})
        assert 2 == await may_go(limited)
        leases.pop().settle({"ratelimit-remaining": "2"})
        assert 0 == await may_go(limited)
        await asyncio.sleep(1.0)
        for lease in leases:
            lease.settle({"ratelimit-remaining": "500"})
        (lease,) = await hold(limited, 1)
        lease.settle({"ratelimit-remaining": "500"})
        assert 16 < await may_go(limited)

    clock.run(main())


def test_answers_in_another_order() -> None:
    """An answer that was overtaken doesn't raise the remaining number, or lower it twice."""
    clock = VirtualTime()
    limited = bucket(clock)

    async def main() -> None:
        leases = []
        for _ in range(6):
            leases += await hold(limited, 1)
            await asyncio.sleep(0.01)
        leases.pop().settle({"ratelimit-remaining": "4", "ratelimit-reset": "9999", **DATE})
        assert 0 == await may_go(limited)
        for left in (9, 8, 7, 6, 5):
            leases.pop(0).settle({"ratelimit-remaining": str(left)})
        assert 4 == await may_go(limited)

    clock.run(main())


@pytest.mark.parametrize("text", ["", "-1", "many", "1e3", "٣", "1" * 16])
def test_garbage(text: str) -> None:
    """Unreadable headers are ignored."""
    clock = VirtualTime()
    limited = bucket(clock)

    async def main() -> None:
        (lease,) = await hold(limited, 1)
        lease.settle({"ratelimit-remaining": text})
        assert 17 == await may_go(limited)

    clock.run(main())


@pytest.mark.parametrize(
    ("reset", "seconds"), [("1001.5", 1.0), ("900", 1.0), ("1300", 60.0), ("4000", 60.0)]
)
def test_none_left(reset: str, seconds: float) -> None:
    """When none is left, one goes to find out at the reset, after a second to a minute.

    The limit per minute says so, too, with the hour's reset.
    """
    clock = VirtualTime()
    limited = bucket(clock)
    went: list[float] = []

    async def see() -> None:
        async with limited.lease() as lease:
            went.append(clock.now)
            lease.settle({"ratelimit-remaining": "0", "ratelimit-reset": reset, **DATE})

    async def main() -> None:
        await asyncio.gather(*(see() for _ in range(4)))

    clock.run(main())
    assert [0.0] == went[:1]
    assert went[-3:] == [went[-3] + number * seconds for number in range(3)]


def test_others_spend_the_hour() -> None:
    """If other programs spend the hour's requests, the rest is sent, and one probe."""
    clock = VirtualTime()
    server, random, limited = Server(clock), Random(1), bucket(clock)  # noqa: S311 - no secret

    async def main() -> None:
        for _ in range(4600):
            server._logs[-1].append(clock.now)
        tasks = [asyncio.create_task(ask(limited, server, random)) for _ in range(500)]
        await asyncio.sleep(3000.0)
        assert (400, 1) == (server.accepted, server.refused)
        await asyncio.gather(*tasks)

    clock.run(main())
    assert (500, 1) == (server.accepted, server.refused)
    assert clock.now < 3700.0


@pytest.mark.parametrize(("says", "least", "most"), [(False, 3000, 9999), (True, 0, 2000)])
@pytest.mark.slow
def test_uncoordinated(least: int, most: int, *, says: bool) -> None:
    """Four buckets of one token are refused rarely if answers have the remaining number."""
    clock = VirtualTime()
    server, random = Server(clock, says=says), Random(1)  # noqa: S311 - no secret
    buckets = [TokenBucket(Limits(), clock=clock, jitter=random.random) for _ in range(4)]

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for limited in buckets:
                for _ in range(500):
                    group.create_task(ask(limited, server, random))

    clock.run(main())
    assert (2000, True) == (server.accepted, least <= server.refused <= most)
    assert clock.now < 500.0


def test_nothing_said_for_an_hour() -> None:
    """A remaining number is forgotten an hour after its response."""
    limited = bucket(clock := VirtualTime())

    async def main() -> None:
        for headers in ({"ratelimit-remaining": "1"}, {}, {}):
            (lease,) = await hold(limited, 1)
            lease.settle(headers)
        assert 1 == await may_go(limited)
        clock.now += 3600.0
        (lease,) = await hold(limited, 1)
        lease.settle({})
        assert 1 < await may_go(limited)

    clock.run(main())
