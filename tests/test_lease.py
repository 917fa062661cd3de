"""The tokens of a request come back once, for any end of the request in any thread."""

from __future__ import annotations

import asyncio
import gc
import math
import subprocess
import sys
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import Limits, RateLimitWaitError, TokenBucket
from digitalocean_projects._limiter.timers import Timer
from digitalocean_projects._process import step
from tests.simulation import HookedClock, VirtualTime

if TYPE_CHECKING:
    from collections.abc import Callable

ONE = Limits(windows=((1, 60.0),))
SOON = Limits(windows=((20, 0.1),), margin=0.0)
EAGER = [getattr(asyncio, "eager_task_factory")] if sys.version_info >= (3, 12) else []  # noqa: B009 - new in 3.12


def in_threads(*functions: Callable[[], object]) -> None:
    """Call the functions in threads at once; a hang is a failure."""
    failures: list[BaseException] = []

    def call(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - it is asserted on
            failures.append(error)

    threads = [
        threading.Thread(target=call, args=(function,), daemon=True) for function in functions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert ([], []) == (failures, [thread for thread in threads if thread.is_alive()])


async def use(bucket: TokenBucket, seconds: float = 0.0, **options: Any) -> None:
    async with bucket.lease(**options) as lease:
        await asyncio.sleep(seconds)
        lease.settle()


async def hold(bucket: TokenBucket) -> Any:
    return await bucket.lease().__aenter__()


def wait_in_vain(bucket: TokenBucket, *, meanwhile: Callable[[], object] = list) -> None:
    """Close a loop during the wait of a request."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(hold(bucket))
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is the point
    loop.run_until_complete(asyncio.sleep(0))
    meanwhile()
    loop.close()


def left(bucket: TokenBucket) -> tuple[int, int]:
    statistics = bucket.statistics()
    return statistics.in_flight, statistics.waiting


def test_outcomes() -> None:
    """A token comes back once: at once, after the period and margin, or after the grace, too."""
    clock = VirtualTime()
    bucket = TokenBucket(Limits(windows=((1, 60.0),), margin=1.0, grace=30.0), clock=clock)
    went: list[float] = []

    async def main() -> None:
        for end in ("unsent", "settle", "__str__", "settle"):
            async with bucket.lease() as lease:
                went.append(clock.now)
                assert (1, 0) == left(bucket)
                for _ in range(2):
                    getattr(lease, end)()
            lease.unsent()
            assert clock.now == lease.sent

    clock.run(main())
    assert [0.0, 0.0, 61.0, 152.0] == went
    assert (1,) == bucket.statistics().in_use
    clock.now += 61.0
    assert bucket.is_idle()


@pytest.mark.parametrize(
    "headers", [None, [("a", "1")], {"ratelimit-remaining": 12, "retry-after": 12}]
)
@pytest.mark.parametrize("report", ["settle", "refused"])
def test_wrong_headers(report: str, headers: Any) -> None:
    """The caller gets the error of wrong headers, and the token returns as usual."""
    bucket = TokenBucket(ONE, clock=(clock := VirtualTime()))

    async def main() -> None:
        async with bucket.lease() as lease:
            with pytest.raises((AttributeError, TypeError)):
                getattr(lease, report)(headers)
        await use(bucket)

    clock.run(main())
    assert (61.0, 2) == (clock.now, bucket.statistics().granted)


def test_jitter_that_raises() -> None:
    """The caller gets the error of `jitter`; other ends and waiting requests aren't affected."""
    calls = 0

    def jitter() -> float:
        nonlocal calls
        calls += 1
        raise ValueError

    clock = HookedClock()
    bucket = TokenBucket(Limits(windows=((2, 60.0),)), clock=clock, jitter=jitter)

    def both(first: Any, second: Any) -> None:
        # The lock is held, so both ends are queued.
        first.refused({"retry-after": "7"})
        second.unsent()

    async def main() -> None:
        first, second = [await hold(bucket) for _ in range(2)]
        waiting = asyncio.create_task(use(bucket))
        await asyncio.sleep(0)
        clock.hook = partial(both, first, second)
        with pytest.raises(ValueError, match=r"^$"):
            bucket.statistics()
        await waiting
        assert (7.0, 1) == (clock.now, calls)

    clock.run(main())


def test_source_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that a source of tokens can't apply is dropped, so the next ones are applied."""
    bucket = TokenBucket(Limits(windows=((2, 60.0),)), clock=(clock := VirtualTime()))

    def end(*_: object) -> None:
        raise ValueError

    async def main() -> None:
        first, second = [await hold(bucket) for _ in range(2)]
        first.settle()
        with monkeypatch.context() as patch:
            patch.setattr(bucket.budget, "end", end)
            with pytest.raises(ValueError, match=r"^$"):
                bucket.statistics()
        second.unsent()
        assert (1, 0) == left(bucket)

    clock.run(main())


def test_lease_that_was_used() -> None:
    """A lease can be used once."""
    bucket = TokenBucket(Limits(), clock=(clock := VirtualTime()))

    async def main() -> None:
        async with bucket.lease() as lease:
            lease.unsent()
        with pytest.raises(RuntimeError, match=r"a lease can be used once; call `lease\(\)` again"):
            await lease.__aenter__()
        lease.refused()

    clock.run(main())
    assert ((0, 0), 0) == (left(bucket), bucket.statistics().refused)


def test_without_a_loop() -> None:
    """Without a running loop of asyncio, as under trio, the first lease raises an error."""
    bucket = TokenBucket(ONE)
    with pytest.raises(RuntimeError, match="no running event loop"):
        step(hold(bucket))
    assert (0, 0) == (bucket.statistics().granted, bucket.statistics().waiting)


def test_body_that_fails() -> None:
    """A request that fails or is cancelled may have been counted."""
    bucket = TokenBucket(Limits(windows=((2, 60.0),)), clock=(clock := VirtualTime()))

    async def fail() -> None:
        async with bucket.lease():
            raise ValueError

    async def main() -> None:
        with pytest.raises(ValueError, match=r"^$"):
            await fail()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await use(bucket, 1.0)
        await use(bucket)

    clock.run(main())
    assert 91.0 == clock.now


def test_cancelled_in_the_granting_tick() -> None:
    """A token for a request that is cancelled in the same moment goes to the next request."""
    bucket = TokenBucket(ONE, clock=(clock := VirtualTime()))

    async def main() -> None:
        lease = await hold(bucket)
        first, second = (asyncio.create_task(use(bucket)) for _ in range(2))
        await asyncio.sleep(0)
        lease.unsent()
        first.cancel()
        await asyncio.wait([first, second])

    clock.run(main())
    assert (0.0, (0, 0)) == (clock.now, left(bucket))


@pytest.mark.parametrize("factory", [None, *EAGER])
def test_cancel_storm(factory: Any) -> None:
    """200 by 30 requests that are cancelled at any moment lose no token."""
    bucket = TokenBucket(Limits(windows=((10, 60.0),)), clock=(clock := VirtualTime()))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        for number in range(200):
            tasks = [
                asyncio.create_task(use(bucket, 0.1, max_wait=50.0 if number % 3 else None))
                for _ in range(30)
            ]
            await asyncio.sleep([0, 0.05, 0.1, 61.0][number % 4])
            for task in tasks[number % 7 :]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(92)
        assert bucket.is_idle()
        async with asyncio.timeout(0.2):
            await asyncio.gather(*(use(bucket, 0.1, max_wait=0.0) for _ in range(10)))
        await asyncio.sleep(0)
        assert {asyncio.current_task()} == asyncio.all_tasks()

    clock.run(main())
    assert ((0, 0), {}) == (left(bucket), bucket.waiting.timers)


def test_no_timer_is_left() -> None:
    """When no request waits, the bucket has no timer."""
    bucket = TokenBucket(ONE)

    async def main() -> None:
        lease = await hold(bucket)
        tasks = [asyncio.create_task(use(bucket, max_wait=1000.0)) for _ in range(3)]
        await asyncio.sleep(0)
        assert 4 == len(timers())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert ([], {}) == (timers(), bucket.waiting.timers)
        lease.unsent()

    def timers() -> list[Any]:
        loop: Any = asyncio.get_running_loop()
        return [handle for handle in loop._scheduled if not handle.cancelled()]

    asyncio.run(main())


def test_threads() -> None:
    """A bucket serves many loops in threads, and never exceeds its limits."""
    bucket = TokenBucket(SOON)
    went: list[Any] = []

    async def many() -> None:
        await asyncio.gather(*(one() for _ in range(25)))

    async def one() -> None:
        async with bucket.lease() as lease:
            went.append(lease.sent)
            await asyncio.sleep(0)
            lease.settle()

    in_threads(*[lambda: asyncio.run(many())] * 4)
    assert (100, (0, 0), {}) == (bucket.statistics().granted, left(bucket), bucket.waiting.timers)
    went.sort()
    assert all(0.1 <= late - early for early, late in zip(went, went[20:], strict=False))


def test_order_across_threads() -> None:
    """Requests of several loops are sent in order."""
    bucket = TokenBucket(ONE)
    went: list[int] = []
    lease = asyncio.run(hold(bucket))
    turn = [threading.Event() for _ in range(5)]

    async def one(number: int) -> None:
        async with bucket.lease() as lease:
            went.append(number)
            lease.unsent()

    async def stand(number: int) -> None:
        task = asyncio.create_task(one(number))
        await asyncio.sleep(0)
        turn[number].set()
        await task

    def run(number: int) -> None:
        assert number == 0 or turn[number - 1].wait(30)
        asyncio.run(stand(number))

    def let_go() -> None:
        assert turn[-1].wait(30)
        lease.unsent()

    in_threads(let_go, *(lambda number=number: run(number) for number in range(5)))
    assert list(range(5)) == went


def test_pause_from_another_thread() -> None:
    """A waiting request is sent at the end of a pause that another loop has caused."""
    bucket = TokenBucket(Limits(), jitter=lambda: 0.05)
    waits = threading.Event()

    async def wait() -> None:
        task = asyncio.create_task(use(bucket))
        await asyncio.sleep(0)
        waits.set()
        await task

    async def refuse() -> None:
        leases = [await hold(bucket) for _ in range(16)]
        held.set()
        await asyncio.to_thread(waits.wait, 10)
        for lease in leases:
            lease.refused({"retry-after": "0"})

    held = threading.Event()
    in_threads(lambda: asyncio.run(refuse()), lambda: held.wait(30) and asyncio.run(wait()))
    assert 17 == bucket.statistics().granted


def test_loop_that_died() -> None:
    """Waiting requests of a closed loop take no token, and block no other request."""
    bucket = TokenBucket(ONE, clock=(clock := VirtualTime()))
    lease = asyncio.run(hold(bucket))
    wait_in_vain(bucket)
    assert (1, 0) == left(bucket)
    lease.unsent()
    clock.run(use(bucket))
    assert (0.0, (0, 0), {}) == (clock.now, left(bucket), bucket.waiting.timers)


def test_loop_that_died_is_no_reason_to_keep_a_bucket() -> None:
    """A bucket with only requests of a closed loop is idle when its tokens are back."""
    bucket = TokenBucket(ONE, clock=(clock := VirtualTime()))
    lease = asyncio.run(hold(bucket))
    lease.settle()
    wait_in_vain(bucket)
    clock.now = 61.0
    gc.collect()
    assert bucket.is_idle()


def test_let_go_and_not_woken() -> None:
    """A token for a request of a loop that is closed meanwhile comes back."""
    bucket = TokenBucket(ONE, clock=VirtualTime())
    lease = asyncio.run(hold(bucket))
    wait_in_vain(bucket, meanwhile=lease.unsent)
    gc.collect()
    assert ((0, 0), 2) == (left(bucket), bucket.statistics().granted)


def test_waits_are_collected_elsewhere() -> None:
    """A waiting request can be collected in any thread, and leaves the queue."""
    bucket = TokenBucket(ONE)

    async def main() -> None:
        lease = await hold(bucket)
        waiting = bucket.lease(max_wait=100.0).__aenter__()
        waiting.send(None)
        assert (1, 1) == left(bucket)
        await asyncio.to_thread(waiting.close)
        assert (1, 0) == left(bucket)
        lease.unsent()
        await use(bucket)

    asyncio.run(main())


async def look(bucket: TokenBucket) -> None:
    bucket.statistics()


@pytest.mark.parametrize("function", [use, look])
def test_ends_with_the_lock_held(function: Any) -> None:
    """A lease can end by garbage collection while any thread holds the lock."""
    clock = HookedClock()
    bucket = TokenBucket(Limits(windows=((2, 60.0),)), clock=clock)
    loop = clock.loop()
    lease = loop.run_until_complete(hold(bucket))
    clock.hook = lease.unsent
    loop.close()
    in_threads(lambda: asyncio.run(function(bucket)))
    assert (0, 0) == left(bucket)


def test_collected_with_the_lock_held() -> None:
    """A waiting request can be collected while the same thread holds the lock."""
    clock = HookedClock()
    bucket = TokenBucket(ONE, clock=clock)

    async def main() -> None:
        lease = await hold(bucket)
        waiting = bucket.lease(max_wait=100.0).__aenter__()
        waiting.send(None)
        clock.hook = waiting.close
        bucket.statistics()
        assert (1, 0) == left(bucket)
        lease.unsent()
        await asyncio.sleep(0)

    in_threads(lambda: clock.run(main()))


@pytest.mark.parametrize("asked", [1, 2])
def test_no_end_is_lost(asked: int) -> None:
    """An end of a request during any change of the bucket reaches the waiting requests."""
    clock = HookedClock()
    bucket = TokenBucket(Limits(), clock=clock)
    calls = 0

    def hook() -> None:
        nonlocal calls
        calls += 1
        clock.hook = hook
        if calls == asked:
            leases.pop().unsent()

    async def main() -> None:
        leases.extend([await hold(bucket) for _ in range(16)])
        clock.hook = hook
        async with asyncio.timeout(30):
            await use(bucket)
        assert asked <= calls
        clock.hook = None

    leases: list[Any] = []
    clock.run(main())
    assert 0.0 == clock.now


def test_end_that_the_next_lease_applies() -> None:
    """An end that another thread leaves to the next lease lets a waiting lease proceed."""
    bucket = TokenBucket(Limits(windows=((4, 60.0),), reserve=2), clock=(clock := VirtualTime()))

    async def main() -> None:
        leases = [await hold(bucket) for _ in range(2)]
        waiting = asyncio.create_task(use(bucket, bulk=True))
        await asyncio.sleep(0)
        # As another thread that ends them while the next lease has the lock.
        with bucket.lock:
            for lease in leases:
                lease.unsent()
        async with bucket.lease():
            await waiting

    clock.run(main())
    assert 0.0 == clock.now


# The second one forks as C code does, without Python's hooks.
FORKS = ["from os import fork", "import ctypes\nfork = ctypes.PyDLL(None).fork"]
FORK = """
import asyncio, os, threading
from digitalocean_projects import Limits, TokenBucket
class Clock:
    now = 0.0
    def time(self):
        return self.now
    async def sleep(self, seconds):
        await asyncio.sleep(seconds)
clock = Clock()
bucket = TokenBucket(Limits(windows=((4, 60.0),), margin=1.0), clock=clock)
held, forked = threading.Event(), threading.Event()
def hold():
    with bucket._lock:
        held.set()
        forked.wait(20)
async def enter():
    return await bucket.lease().__aenter__()
loop = asyncio.new_event_loop()
tasks = [loop.create_task(enter()) for _ in range(5)]
loop.run_until_complete(asyncio.sleep(0))
thread = threading.Thread(target=hold, daemon=True)
thread.start()
held.wait(20)
tasks[2].result().settle({"ratelimit-remaining": "2"})
# Not in the running loop, in which a forked process can't go on from CPython 3.14 on.
if fork() == 0:
    tasks[0].result().unsent()
    tasks[1].result().settle()
else:
    forked.set()
    thread.join()
    os.wait()
statistics = bucket.statistics()
print(statistics.in_flight, statistics.waiting, statistics.in_use, end=" ", flush=True)
clock.now = 61.0
print(bucket.statistics().in_use, bucket.budget._feedback.left, flush=True)
tasks[-1].cancel()
loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
loop.close()
"""


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.process
def test_fork(fork: str) -> None:
    """A forked process has a free lock, and counts the parent's requests in flight as unknown."""
    done = subprocess.run(
        [sys.executable, "-c", fork + FORK], capture_output=True, check=False, text=True, timeout=30
    )
    assert ("0 0 (4,) (3,) 1\n3 1 (4,) (3,) 2\n", 0) == (done.stdout, done.returncode)


def hang(bucket: TokenBucket, number: int, **options: Any) -> None:
    """Close a loop with requests in flight, without ending its tasks."""

    async def request() -> None:
        async with bucket.lease(**options):
            await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(request()) for _ in range(number)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    # The bucket is not responsible for references to the tasks elsewhere.
    kept.append(tasks)
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is the point


kept: list[object] = []


def test_end_of_what_a_closed_loop_left() -> None:
    """A lease whose loop was closed ends by itself, as one whose request may have been sent."""
    clock = VirtualTime()
    bucket = TokenBucket(Limits(windows=((3, 60.0),), margin=1.0, grace=30.0), clock=clock)
    hang(bucket, 2, timeout=5.0)
    hang(bucket, 1, timeout=10.0)
    went: list[float] = []

    async def main() -> None:
        for _ in range(4):
            async with bucket.lease(timeout=5.0) as lease:
                went.append(clock.now)
                lease.settle()

    assert (3, 0) == left(bucket)
    clock.run(main())
    # 5 or 10 s for the request, the grace, the period, the margin.
    assert [96.0, 96.0, 101.0, 157.0] == went
    kept.clear()


def test_a_closed_loop_holds_nobody_up() -> None:
    """Requests that a closed loop has left pending don't delay those of other loops for long."""
    bucket = TokenBucket(Limits(), clock=(clock := VirtualTime()))
    hang(bucket, 16, timeout=30.0)
    clock.run(use(bucket))
    assert 1.0 == clock.now
    kept.clear()


def test_next_lease_ends_an_overdue_one() -> None:
    """A lease that a closed loop has left ends at its own time, also if the next one finds it."""
    bucket = TokenBucket(ONE, clock=(clock := VirtualTime()))
    hang(bucket, 1, timeout=5.0)
    clock.now = 50.0
    clock.run(use(bucket))
    # 5 s for the request, the grace of 30 s, the period, the margin.
    assert 96.0 == clock.now
    kept.clear()


def test_one_left_and_a_closed_loop() -> None:
    """The probe after the last token can be a request of a closed loop."""
    bucket = TokenBucket(Limits(), clock=(clock := VirtualTime()))

    async def main() -> None:
        async with bucket.lease(timeout=30.0) as lease:
            lease.settle({"ratelimit-remaining": "1"})

    clock.run(main())
    hang(bucket, 1, timeout=30.0)
    clock.run(use(bucket))
    assert 60.0 == clock.now
    assert (0, 0) == left(bucket)
    kept.clear()


def test_end_after_the_end() -> None:
    """A lease that has ended by itself doesn't give its tokens back again."""
    bucket = TokenBucket(Limits(windows=((2, 60.0),)), clock=(clock := VirtualTime()))

    async def main() -> None:
        late = [await bucket.lease(timeout=5.0).__aenter__() for _ in range(2)]
        await asyncio.sleep(50.0)
        assert (2,) == bucket.statistics().in_use
        late[0].settle()
        late[1].unsent()
        assert ((0, 0), (2,)) == (left(bucket), bucket.statistics().in_use)

    clock.run(main())


def test_waits_of_a_closed_loop_count_for_nothing() -> None:
    """Waiting requests of a closed loop don't lengthen the expected wait of other requests."""
    bucket = TokenBucket(ONE, clock=(clock := VirtualTime()))
    clock.run(use(bucket))
    for _ in range(3):
        wait_in_vain(bucket)

    async def main() -> None:
        async with bucket.lease(max_wait=61.0) as lease:
            lease.settle()

    clock.run(main())
    assert 61.0 == clock.now
    gc.collect()
    assert (0, 0) == left(bucket)


def test_closed_loop_is_garbage() -> None:
    """The bucket keeps no task of a closed loop, neither one that waits nor one in flight."""
    bucket = TokenBucket(Limits(windows=((2, 60.0),)), clock=(clock := VirtualTime()))
    hang(bucket, 4, timeout=5.0)
    tasks: Any = kept.pop()
    found = [weakref.ref(task) for task in tasks]
    del tasks
    assert (2, 0) == left(bucket)
    gc.collect()
    assert [None] * 4 == [task() for task in found]
    clock.run(use(bucket))


@pytest.mark.parametrize("seconds", [1500.0, 100.0])
def test_pause_that_is_too_long(seconds: float) -> None:
    """After a refusal, a waiting or new request that would wait too long is refused at once."""
    bucket = TokenBucket(Limits(), clock=(clock := VirtualTime()))

    async def main() -> None:
        lease = await hold(bucket)
        await asyncio.gather(*(hold(bucket) for _ in range(15)))
        waiting = [
            asyncio.create_task(use(bucket, max_pause=60.0, bulk=bulk)) for bulk in (False, True)
        ]
        patient = asyncio.create_task(use(bucket))
        await asyncio.sleep(0)
        lease.refused({"retry-after": str(seconds)})
        await asyncio.wait(waiting)
        for task in [*waiting, asyncio.create_task(use(bucket, max_pause=60.0))]:
            with pytest.raises(RateLimitWaitError, match="pause after a response 429") as caught:
                await task
            assert seconds <= caught.value.seconds <= seconds + 1
        assert 0.0 == clock.now
        # A request without a maximum waits.
        await patient
        assert seconds <= clock.now <= seconds + 1
        assert 16 == bucket.statistics().in_flight + 1

    clock.run(main())


def test_pause_beyond_a_deadline() -> None:
    """A waiting request is refused as soon as a pause makes its wait too long."""
    bucket = TokenBucket(Limits(windows=((1, 20.0),)), clock=(clock := VirtualTime()))

    async def main() -> None:
        lease = await hold(bucket)
        waiting = asyncio.create_task(use(bucket, max_wait=50.0))
        await asyncio.sleep(5.0)
        lease.refused({"retry-after": "46"})
        with pytest.raises(RateLimitWaitError) as caught:
            await waiting
        assert (5.0, 51.0) == (clock.now, math.floor(caught.value.seconds))

    clock.run(main())


def test_pause_that_is_not_too_long() -> None:
    """A pause of exactly the maximum is waited for, with its jitter."""
    bucket = TokenBucket(Limits(), clock=(clock := VirtualTime()), jitter=lambda: 1.0)

    async def main() -> None:
        lease = await hold(bucket)
        lease.refused({"retry-after": "60"})
        await use(bucket, max_pause=60.0)

    clock.run(main())
    assert 61.0 == clock.now


def drop(bucket: TokenBucket, number: int, *, close: bool) -> list[weakref.ref[Any]]:
    """Drop a loop with pending requests, with or without closing it."""

    async def request() -> None:
        async with bucket.lease(timeout=5.0):
            await asyncio.Event().wait()

    loop = QuietLoop()
    tasks = [loop.create_task(request()) for _ in range(number)]
    loop.run_until_complete(asyncio.sleep(0.01))
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is the point
    if close:
        loop.close()
    return [weakref.ref(loop), *map(weakref.ref, tasks)]


class QuietLoop(asyncio.SelectorEventLoop):
    """A loop that can be dropped without a close."""

    def __del__(self) -> None:
        """Close the loop without a warning."""
        self.close()


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("number", [10, 40])
def test_forgotten_loop_is_garbage(number: int, *, close: bool) -> None:
    """A loop that is dropped with pending requests is collected."""
    bucket = TokenBucket(Limits(windows=((20, 60.0),)))
    found = drop(bucket, number, close=close)
    gc.collect()
    assert [None] * (number + 1) == [reference() for reference in found]
    assert 0 == bucket.statistics().waiting
    assert {} == bucket.waiting.timers


def test_timer_of_a_dropped_loop() -> None:
    """A function can't be called in a loop that is closed or garbage."""
    loop = asyncio.new_event_loop()
    timer = Timer(loop)
    loop.close()
    assert not timer.call(print)
    del loop
    gc.collect()
    assert not timer.call(print)


def test_loop_that_ends_while_its_lease_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease whose loop ends while it is granted gives its token to the next request."""
    bucket = TokenBucket(ONE, clock=(clock := VirtualTime()))
    lease = asyncio.run(hold(bucket))
    # As if the loop had not been closed yet when the queues were searched.
    monkeypatch.setattr(bucket.waiting, "forget_closed_loops", lambda: None)
    wait_in_vain(bucket)
    lease.unsent()
    monkeypatch.undo()
    clock.run(use(bucket))
    assert (0.0, (0, 0)) == (clock.now, left(bucket))


class InterruptionError(Exception):
    """An exception that a signal handler raises."""


class OtherInterruption(BaseException):
    """An exception of a signal handler that is no `Exception`, such as KeyboardInterrupt."""


def interrupted(
    function: Callable[[], object],
    name: str,
    at: int,
    error: type[BaseException] = InterruptionError,
) -> bool:
    """Call the function, with an exception before the line number `at` that runs in `name`."""
    count = 0

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal count
        code = frame.f_code
        if code.co_name != name or "_limiter" not in code.co_filename:
            return trace if "digitalocean_projects" in code.co_filename else None
        if event == "line":
            count += 1
            if count == at:
                raise error
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except error:
        return True
    finally:
        sys.settrace(before)
    return False


def test_exception_in_a_timer() -> None:
    """A request is sent in time, even if a signal handler's exception interrupts the timer."""
    clock = VirtualTime()
    bucket = TokenBucket(ONE, clock=clock)
    tick, happened = bucket.work, False

    def work() -> None:
        nonlocal happened
        if clock.now and not happened:
            happened = True
            raise InterruptionError
        tick()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await use(bucket)
        bucket.work = work  # type: ignore[method-assign]  # it stands for a signal in this moment
        async with asyncio.timeout(1000.0):
            await use(bucket)

    clock.run(main())
    assert happened
    assert clock.now < 100.0


def test_exception_before_a_timer_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next change of the bucket sets a timer that a signal handler's exception left unset."""
    clock = VirtualTime()
    limits = Limits(windows=((2, 60.0),), margin=1.0)
    bucket = TokenBucket(limits, clock=clock, jitter=lambda: 0.0)
    attend, interrupted_at = bucket._attend, 0.0

    def interrupt() -> None:
        nonlocal interrupted_at
        if not interrupted_at:
            interrupted_at = clock.now
            raise InterruptionError
        attend()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        await use(bucket)
        refused = await hold(bucket)
        waiting = asyncio.create_task(use(bucket))
        await asyncio.sleep(30.0)
        # The pause ends after the timer, so the timer must be set again.
        refused.refused({"retry-after": "100"})
        monkeypatch.setattr(bucket, "_attend", interrupt)
        await asyncio.sleep(70.0)
        bucket.statistics()
        async with asyncio.timeout(1000.0):
            await waiting

    clock.run(main())
    assert (61.0, 130.0) == (interrupted_at, clock.now)


CHANGES = ["_let_go", "is_ready", "take", "_apply", "end", "_end", "remove", "wake"]


@pytest.mark.parametrize("name", CHANGES)
def test_exception_of_a_signal_handler(name: str) -> None:
    """An exception at any line of a change by one task leaves no other one waiting for ever."""
    for at in range(1, 40):
        clock = VirtualTime()
        bucket = TokenBucket(Limits(windows=((2, 60.0),)), clock=clock)
        happened = False

        async def main(bucket: TokenBucket = bucket, at: int = at) -> None:
            nonlocal happened
            leases = [await hold(bucket) for _ in range(2)]
            others = [asyncio.create_task(use(bucket)) for _ in range(3)]
            await asyncio.sleep(0)
            happened = interrupted(leases[0].unsent, name, at)
            leases[1].settle()
            async with asyncio.timeout(1000.0):
                await asyncio.gather(*others)
                for _ in range(4):
                    await use(bucket)

        clock.run(main())
        assert 0 == bucket.statistics().waiting
        if not happened:
            break
    assert at > 1


@pytest.mark.parametrize("error", [InterruptionError, OtherInterruption])
@pytest.mark.parametrize("name", ["_apply", "end", "refuse"])
def test_refusal_counts_once(name: str, error: type[BaseException]) -> None:
    """A response 429 is counted once, even if an exception interrupts the bucket."""
    happened = False

    async def main(bucket: TokenBucket, at: int) -> None:
        nonlocal happened
        happened = interrupted((await hold(bucket)).refused, name, at, error)

    for at in range(1, 40):
        clock = VirtualTime()
        bucket = TokenBucket(Limits(), clock=clock)
        clock.run(main(bucket, at))
        assert 0 == bucket.statistics().in_flight
        # An exception immediately before the counter leaves it out.
        assert bucket.statistics().refused in ({0, 1} if happened and name == "_apply" else {1})
        if not happened:
            break
    assert at > 1


@pytest.mark.parametrize("error", [InterruptionError, OtherInterruption])
@pytest.mark.parametrize("name", ["_apply", "end", "answer", "give_back", "take"])
def test_exception_in_the_next_lease(name: str, error: type[BaseException]) -> None:
    """The end of a request is not lost if an exception interrupts the lease that applies it."""
    happened = False

    async def main(bucket: TokenBucket, at: int) -> None:
        nonlocal happened
        (await hold(bucket)).settle()
        assert 1 == len(bucket._ends)
        happened = interrupted(partial(step, hold(bucket)), name, at, error)

    for at in range(1, 40):
        clock = VirtualTime()
        bucket = TokenBucket(Limits(windows=((2, 60.0), (3, 90.0))), clock=clock)
        clock.run(main(bucket, at))
        statistics = bucket.statistics()
        assert (not happened, 0) == (statistics.in_flight, len(bucket._ends))
        # An end that was interrupted is applied again, and may take a second token.
        assert all(used in {1, 2} for used in statistics.in_use)
        if not happened:
            break
    assert at > 1
