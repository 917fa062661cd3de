"""Random operations on the token bucket, compared with a model of its guarantees."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Literal

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from digitalocean_projects import Limits, RateLimitWaitError, TokenBucket
from tests.simulation import VirtualTime

GRACE, RESERVE, JITTER = 3.0, 1, 0.5
LIMITS = Limits(windows=((4, 8.0), (7, 32.0)), margin=0.0, grace=GRACE, reserve=RESERVE)
LONGEST = 32.0

End = Literal["settle", "refused", "unsent", "unknown"]


@attrs.define(eq=False)
class Call:
    """A request, as the model knows it.

    Attributes:
        last: The latest moment at which the server may count it; minus infinity if it can't.
    """

    lease: Any
    bulk: bool
    ahead: bool
    since: float
    max_wait: float
    task: asyncio.Task[None] = attrs.field(init=False)
    entered: bool = False
    refused_at: float = math.inf
    last: float = math.inf

    @property
    def went(self) -> bool:
        return bool(self.lease.sent > -math.inf)

    def counts(self, at: float, period: float) -> bool:
        """Return True if the server can count the request in the period that ends then."""
        return self.went and self.last > at - period


class Bucket(RuleBasedStateMachine):
    """All that can be done with a bucket, one after the other.

    The server is an adversary: it counts a request at the worst moment between its being let go
    and its answer, or a grace after its unknown end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualTime()
        self.loop = self.clock.loop()
        self.bucket = TokenBucket(LIMITS, clock=self.clock, jitter=lambda: JITTER)
        self.calls: list[Call] = []
        self.queues: tuple[list[Call], list[Call]] = ([], [])
        self.refused = 0
        self.paused_until = -math.inf
        self.told = False
        self.entered: list[Call] = []
        self.gone: list[Call] = []

    def teardown(self) -> None:
        try:
            self.check_all_comes_back()
        finally:
            self.loop.close()

    def check_all_comes_back(self) -> None:
        """After the end of all requests and enough time, no token is lost."""
        for queue in self.queues:
            for call in list(queue):
                self.leave(call)
        while self.under_way:
            self.end_one(self.under_way[0], "settle", {})
        self.run(max(2 * LONGEST, self.paused_until - self.clock.now))
        assert self.bucket.is_idle()
        (probe,) = self.begin(1)
        self.end_one(probe, "settle", {"ratelimit-remaining": "999"})
        self.run(LONGEST)
        assert all(call.entered for call in self.begin(LIMITS.windows[0][0]))
        while self.under_way:
            self.end_one(self.under_way[0], "settle", {})
        timers: list[Any] = self.loop._scheduled  # type: ignore[attr-defined]  # nothing else knows
        assert [] == [timer for timer in timers if not timer.cancelled()]
        assert ({}, set()) == (self.bucket.waiting.timers, asyncio.all_tasks(self.loop))

    @property
    def under_way(self) -> list[Call]:
        return [call for call in self.calls if call.entered and call.last == math.inf]

    @property
    def waiting(self) -> list[Call]:
        return self.queues[False] + self.queues[True]

    def run(self, seconds: float = 0.0) -> None:
        self.entered.clear()
        self.loop.run_until_complete(asyncio.sleep(seconds))
        for _ in range(6):
            self.loop.run_until_complete(asyncio.sleep(0))
        for call in self.entered:
            self.check_entered(call)
        for call in self.waiting:
            if call.task.done():
                self.queues[call.bulk].remove(call)
                error = call.task.exception()
                assert isinstance(error, RateLimitWaitError)
                assert (
                    call.max_wait < error.seconds or call.max_wait == call.refused_at - call.since
                )

    def check_entered(self, call: Call) -> None:
        """A request is sent in the order of its class, and leaves the tokens of the reserve."""
        at, queue = call.lease.sent, self.queues[call.bulk]
        assert call is next(other for other in queue if at < other.refused_at)
        queue.remove(call)
        assert self.paused_until <= at <= call.since + call.max_wait
        if call.bulk:
            assert not [other for other in self.queues[False] if at < other.refused_at]
        self.gone.append(call)
        for capacity, period in LIMITS.windows:
            counted = sum(other.counts(at, period) for other in self.gone)
            assert counted <= capacity - (RESERVE if call.bulk else 0)

    async def enter(self, call: Call) -> None:
        try:
            await call.lease.__aenter__()
        except RateLimitWaitError:
            call.refused_at = self.clock.now
            raise
        call.entered = True
        self.entered.append(call)

    def begin(self, number: int, **options: Any) -> list[Call]:
        calls = []
        for _ in range(number):
            lease = self.bucket.lease(**options)
            ahead = options.get("ahead", False)
            call = Call(lease, lease.bulk, ahead, self.clock.now, lease.max_wait)
            queue = self.queues[lease.bulk]
            first = [other for other in queue if other.ahead]
            queue.insert(len(first) if ahead else len(queue), call)
            call.task = self.loop.create_task(self.enter(call))
            calls.append(call)
            self.calls.append(call)
            self.run()
        return calls

    def end_one(self, call: Call, end: End, headers: dict[str, str], *, run: bool = True) -> None:
        now = self.clock.now
        if end == "unknown":
            self.loop.run_until_complete(call.lease.__aexit__(None, None, None))
        else:
            getattr(call.lease, end)(*() if end == "unsent" else (headers,))
        call.last = {"unsent": -math.inf, "unknown": now + GRACE}.get(end, now)
        self.told = self.told or (end == "settle" and "ratelimit-remaining" in headers)
        if end == "refused":
            self.refused += 1
            seconds = float(headers.get("retry-after", "1"))
            if call.lease.sent >= self.paused_until:
                seconds += JITTER
            self.paused_until = max(self.paused_until, now + seconds)
        if run:
            self.run()

    def leave(self, call: Call) -> None:
        call.task.cancel()
        call.last = -math.inf
        self.queues[call.bulk].remove(call)
        self.run()
        assert call.task.cancelled()

    @rule(
        number=st.integers(1, 4),
        bulk=st.booleans(),
        ahead=st.booleans(),
        max_wait=st.none() | st.sampled_from([0.0, 1.0, 8.0, 40.0]),
    )
    def acquire(self, number: int, **options: Any) -> None:
        self.begin(number, **options)

    @precondition(lambda self: self.under_way)
    @rule(
        data=st.data(),
        end=st.sampled_from(["settle", "settle", "unsent", "unknown"]),
        headers=st.just({})
        | st.builds(lambda n: {"ratelimit-remaining": str(n)}, st.integers(0, 9)),
    )
    def end(self, data: st.DataObject, end: End, headers: dict[str, str]) -> None:
        self.end_one(data.draw(st.sampled_from(self.under_way)), end, headers)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), seconds=st.sampled_from([None, 0, 2, 5, 999]))
    def refuse(self, data: st.DataObject, seconds: int | None) -> None:
        headers = {} if seconds is None else {"retry-after": str(seconds)}
        self.end_one(data.draw(st.sampled_from(self.under_way)), "refused", headers)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.leave(data.draw(st.sampled_from(self.waiting)))

    @precondition(lambda self: self.under_way and self.waiting)
    @rule(data=st.data())
    def cancel_in_the_granting_tick(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.waiting))
        self.end_one(data.draw(st.sampled_from(self.under_way)), "unsent", {}, run=False)
        self.leave(call)

    @rule(quarters=st.integers(1, 40))
    def advance(self, quarters: int) -> None:
        self.run(quarters / 4)

    @invariant()
    def counts_what_is_there(self) -> None:
        """The statistics agree with the model."""
        now, statistics = self.clock.now, self.bucket.statistics()
        went = [call for call in self.calls if call.went]
        assert len(self.waiting) == statistics.waiting
        assert len(self.under_way) == statistics.in_flight
        assert len(went) == statistics.granted
        assert self.refused == statistics.refused
        assert max(0.0, self.paused_until - now) == statistics.paused
        assert sum(call.lease.sent - call.since for call in went) == statistics.waited
        assert statistics.in_use == tuple(
            sum(call.counts(now, period) for call in self.calls) for _, period in LIMITS.windows
        )

    @invariant()
    def is_ready_at_once(self) -> None:
        """The quick answer whether a request may start now is the same as the exact moment's."""
        now, budget = self.clock.now, self.bucket.budget
        for bulk in (False, True):
            assert budget.is_ready(now, bulk=bulk) == (budget.ready_at(now, bulk=bulk) <= now)

    @invariant()
    def lets_go_who_may(self) -> None:
        """No request waits longer than necessary, or than its maximum."""
        now = self.clock.now
        assert all(now <= call.since + call.max_wait for call in self.waiting)
        if self.told or now < self.paused_until or not self.waiting:
            return
        reserve = 0 if self.queues[False] else RESERVE
        assert any(
            sum(call.counts(now, period) for call in self.calls) >= capacity - reserve
            for capacity, period in LIMITS.windows
        )


Bucket.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True
)
TestBucket = pytest.mark.slow(Bucket.TestCase)
