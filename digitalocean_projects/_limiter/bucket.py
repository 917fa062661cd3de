"""TokenBucket: keeps requests within the API's rate limits, as the API counts them."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal
from weakref import ref

from digitalocean_projects._clock import SYSTEM_CLOCK, Clock, call_later
from digitalocean_projects._config import Limits
from digitalocean_projects._errors import RateLimitWaitError
from digitalocean_projects._process import call_in_child, check_process
from digitalocean_projects._public import publish

from .budget import LONGEST_JITTER, NO_REPORT, BucketStatistics, Budget, End, Report
from .lease import L, Lease
from .source import Remote, Source
from .timers import Timer, Waiting

# Further events of a lease that waits: its task has stopped waiting, its maximum wait is over, or
# it has waited for `_MOMENT` seconds.
_End = End | Literal["left", "late", "moment"]
_Refusal = Callable[[Lease, float, str], RateLimitWaitError | None]

_logger = logging.getLogger("digitalocean_projects")

# Waits of up to this number of seconds are normal, for example until the first responses arrive.
_MOMENT = 1.0


class TokenBucket:
    """A token bucket whose tokens are leased, and return one by one.

    Clients create and share their buckets by themselves. Create one only to keep the requests of
    another HTTP client within the API's limits:

        bucket = TokenBucket(Limits())
        async with bucket.lease() as lease:
            response = await session.get(url)
            lease.settle(response.headers)

    A request takes one token of each window. A token returns one period and a margin after the
    response has arrived. The API counts a request before it responds. So when the token returns,
    the API no longer counts the request, even if the network was slow. Tokens of a request that was
    never sent return at once. If it is unknown whether the request was sent, they return
    `Limits.grace` seconds later. In a classic token bucket, tokens return at a constant rate; here
    they don't.

    Waiting requests proceed in this order: interactive ones (`bulk=False`) before bulk ones, which
    leave a reserve; in each class, retries first; then in the order of arrival. At most 16 requests
    are in flight before the first response, and at most 8 after a response 429. This maximum grows
    by one with each success. A request that has no response after one second isn't counted for it.
    No more requests are sent than `ratelimit-remaining` reports. After a response 429 the bucket
    pauses for the time that the API asks for.

    A bucket is safe to use in any number of threads and event loops.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Args:
        limits: The windows, and the seconds that are added to them.
        clock: The clock for time and waiting. The default is the machine's monotonic clock.
        jitter: Function that returns a number from 0 to 1: the seconds that are added to a pause.
        remote: Internal. Function that returns another source of tokens, see `contrib.redis`.

    `lease` and `statistics` are the public methods. All attributes and other methods are internal:
    they may change in any release.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        remote: Callable[[TokenBucket], Remote] | None = None,
    ) -> None:
        self.clock: Clock = SYSTEM_CLOCK if clock is None else clock
        # True once a response shows that the API counts the token's requests. A 401 doesn't.
        self.keep: bool = False
        self.budget: Budget = Budget(limits, jitter)
        self.waiting: Waiting = Waiting()
        self._lock = threading.Lock()
        self._ends: deque[tuple[Lease, _End, Report, float]] = deque()
        self._granted = 0
        self._refused = 0
        self._waited = 0.0
        self._pause_seen = -math.inf
        self._remote = None if remote is None else remote(self)
        self._source: Source = self._remote or self.budget
        call_in_child(TokenBucket._leave_to_parent, self)

    @property
    def lock(self) -> threading.Lock:
        """The lock of the attributes and of the source. Call `work` after releasing it."""
        check_process()
        return self._lock

    def lease(
        self,
        *,
        bulk: bool = False,
        max_wait: float | None = None,
        max_pause: float | None = None,
        timeout: float | None = None,
        ahead: bool = False,
    ) -> Lease:
        """Return an asynchronous context manager that waits for the tokens of one request.

        Args:
            bulk: True to let interactive requests go first, and to leave the reserve to them.
            max_wait: Maximum wait in seconds; None, the default, for no maximum.
            max_pause: Maximum wait in seconds after a response 429; None for no maximum.
            timeout: Maximum seconds for the request; None for no maximum. A lease that is still in
                use `Limits.grace` seconds later, for example because its event loop was closed,
                ends like one without a report.
            ahead: True to go before the other requests of the same class, for a retry.

        Raises:
            RateLimitWaitError: When the block is entered: the wait would exceed a maximum. It is
                raised before the wait if that is certain then.
        """
        return Lease(
            self,
            bulk,
            ahead,
            math.inf if max_wait is None else max_wait,
            math.inf if max_pause is None else max_pause,
            math.inf if timeout is None else timeout,
        )

    def statistics(self) -> BucketStatistics:
        """Return the state and the counters of the bucket."""
        self.work()
        now = self.clock.time()
        return BucketStatistics(
            in_use=self.budget.in_use(now),
            in_flight=self.budget.in_flight,
            waiting=len(self.waiting),
            granted=self._granted,
            refused=self._refused,
            waited=self._waited,
            paused=max(0.0, self.budget.paused_until - now),
        )

    def outlives_users(self) -> bool:
        """Return True if the API may count requests, so the bucket must outlive its users."""
        self.work()
        return self.keep or self.budget.uncertain or self.budget.in_flight > 0

    def is_idle(self) -> bool:
        """Return True if no token is in use and no lease waits, as in a new bucket."""
        self.work()
        return not self.waiting.timers and self.budget.is_idle(self.clock.time())

    async def _acquire(self, lease: L) -> L:
        """Wait for the tokens of a lease, and return it."""
        # Without asyncio, as under trio, the first lease fails. For each, this would take 0.14 µs.
        if not self._granted:
            asyncio.get_running_loop()
        try:
            if self._ask(lease) and self._remote is None:
                lease.lender = self
                return lease
            loop = asyncio.get_running_loop()
            if self._remote is not None:
                await self._acquire_remotely(self._remote, lease, loop)
            elif lease.future is not None:
                await self._wait(lease, lease.future, loop)
            lease.check()
        except BaseException:
            # The traceback of the error would keep this frame, which would keep the error.
            lease.error = None
            self._end(lease, "left")
            raise
        lease.lender = self
        return lease

    async def _acquire_remotely(
        self, remote: Remote, lease: Lease, loop: AbstractEventLoop
    ) -> None:
        """Wait for the tokens of a lease from a remote source, until they are fresh."""
        until = self.clock.time() + lease.max_wait
        while True:
            remote.serve(loop)
            if lease.future is not None:
                await self._wait(lease, lease.future, loop)
            now = self.clock.time()
            if lease.error is not None or remote.is_fresh(lease, now):
                return
            self._end(lease, "unsent")
            lease.ask_again(until - now)
            self._ask(lease)

    async def _wait(self, lease: Lease, future: Future[None], loop: AbstractEventLoop) -> None:
        """Wait until a queued lease may proceed or is refused."""
        stops: list[Callable[[], object]] = []
        collected = False
        # From here on, only this task refers to the future that wakes it.
        lease.future = None
        try:
            if lease.waits_for > _MOMENT:
                why = {"do_wait": lease.waits_for, "do_reason": lease.reason}
                text = "waiting about %(do_wait).0f s for the rate limit: %(do_reason)s"
                _logger.info(text, why, extra=why)
            self._set_timer(loop)
            if lease.bound is not None and not lease.has_place:
                stops.append(call_later(self.clock, _MOMENT, partial(self._end, lease, "moment")))
            if lease.max_wait < math.inf:
                late = partial(self._end, lease, "late")
                stops.append(call_later(self.clock, lease.max_wait, late))
            await future
        except BaseException as error:
            collected = isinstance(error, GeneratorExit)
            self._end(lease, "left")
            raise
        finally:
            # A collected coroutine may end in another thread, or without a loop.
            if not collected:  # pragma: no branch - the exception continues after this
                for stop in stops:
                    stop()
                self._set_timer(loop)

    def _end(self, lease: Lease, end: _End, report: Report = NO_REPORT) -> None:
        """Record the end of a lease, or of its wait. Any thread may call this at any point.

        A coroutine with a lease may be collected as garbage wherever an object is created, and a
        signal handler may run between any two steps, even while the same thread changes this
        bucket. So the end goes into a queue, and the thread that has the lock applies it. If any
        thread holds the lock, nothing more is done here: the holder applies the end, at the latest
        after releasing the lock, and then releases the waiting leases that may proceed.
        `statistics`, `outlives_users`, and `is_idle` when a client is created, don't wait for the
        lock either, so signal handlers may call them. All other methods wait for it. The garbage
        collector calls none of them, and signal handlers must not send requests, also with a
        blocking client, whose thread would wait for the interrupted code.
        If no lease waits, the end after a response matters to the next lease only, which applies it
        with the lock that it has. Otherwise, this would add 0.7 µs to a lease's 3.3 µs.
        """
        self._ends.append((lease, end, report, self.clock.time()))
        if end != "settled" or self.waiting.timers or self._remote is not None:
            self.work()
        # After a signal handler's exception before this, `__aexit__` returns the tokens.
        lease.lender = None

    def work(self) -> None:
        """Apply the queued ends, and release every waiting lease that may proceed.

        Call it after a change that was made with the lock held. It does nothing while the lock is
        held: the holder calls it afterwards.
        """
        check_process()
        while not self._lock.locked():
            # A signal handler's exception may come between `acquire` and `try`, so use `with`.
            with self._lock:
                try:
                    self._apply()
                finally:
                    now = self.clock.time()
                    if self.budget.next_end <= now:
                        self._end_overdue(now)
                    if self.waiting.timers:
                        self._let_go(now)
            if not self._ends:
                break

    def _ask(self, lease: Lease) -> bool:
        """Release, queue or refuse a lease; return True if it was released."""
        check_process()
        with self._lock:
            applied = self._apply()
            now, before = self.clock.time(), 0
            if self.budget.next_end <= now:
                self._end_overdue(now)
            if self.waiting.timers:
                self.waiting.forget_closed_loops()
                before = self.waiting.before(lease)
            goes = not before and self._source.is_ready(now, bulk=lease.bulk)
            if goes:
                self._source.take(lease, now)
                self._granted += 1
            else:
                self._queue(lease, before, now)
        # An end of another thread, which left it to this one, may let waiting leases proceed.
        if self._ends or (applied and self.waiting.timers):
            self.work()
        return goes

    def _queue(self, lease: Lease, before: int, now: float) -> None:
        at, lease.reason = self._source.estimate(now, bulk=lease.bulk, before=before)
        lease.queued, lease.waits_for = True, at - now
        if lease.bound is not None:
            lease.thread = lease.bound.thread()
        if self._remote is not None:
            lease.error = self._remote.refusal(now)
        if lease.waits_for > lease.max_wait or self._pauses_too_long(lease, now):
            lease.error = lease.error or lease.too_long(lease.waits_for, lease.reason)
        if lease.error is None and lease.waits_for > _MOMENT:
            lease.error = self.waiting.take_place(lease, lease.waits_for, lease.reason)
        if lease.error is None:
            self.waiting.add(lease, asyncio.get_running_loop(), now)

    def _pauses_too_long(self, lease: Lease, now: float) -> bool:
        return self.budget.paused_until - now > lease.max_pause + LONGEST_JITTER

    def _apply(self) -> bool:
        """Apply the queued ends; return True if there were any. The caller holds the lock.

        An end that an exception has interrupted is applied again, as a signal handler may raise
        one. But if it raises two errors, such as those of `jitter`, it is dropped. The first error
        is raised after all ends have been applied.
        """
        ends = self._ends
        entry = failed = first = None
        while ends:
            lease, end, report, at = entry = ends[0]
            try:
                if end == "late":
                    self._expire(lease, Lease.too_long, at)
                elif end == "moment":
                    self._expire(lease, self.waiting.take_place, at)
                elif end == "left" and lease in self.waiting:
                    self.waiting.remove(lease)
                else:  # released, perhaps just before its task left
                    self._source.end(lease, "unsent" if end == "left" else end, report, at)
            except Exception as error:  # noqa: BLE001 - it is raised below
                first = first or error
                if failed is not entry:
                    failed = entry
                    continue
            ends.popleft()
            # After it, so that no response is counted twice.
            if end == "refused":
                self._refused += 1
        if first is not None:
            try:
                raise first
            finally:
                first = None  # its traceback refers to this frame
        return entry is not None

    def _end_overdue(self, now: float) -> None:
        for lease in self.budget.overdue(now):
            self._source.end(lease, "overdue", NO_REPORT, now)

    def _expire(self, lease: Lease, refusal: _Refusal, now: float) -> None:
        """Refuse a waiting lease if `refusal` returns an error for it."""
        if lease in self.waiting:
            at, reason = self._source.estimate(now, bulk=lease.bulk, before=0)
            error = refusal(lease, at - lease.since, reason)
            if error is not None:
                self.waiting.refuse(lease, error)

    def _expire_paused(self, now: float) -> None:
        """Refuse the waiting leases for which a new pause is too long."""
        paused_until = self.budget.paused_until
        if paused_until > self._pause_seen:
            for lease in self.waiting:
                if paused_until - lease.since > lease.max_wait or self._pauses_too_long(lease, now):
                    self._expire(lease, Lease.too_long, now)
            self._pause_seen = paused_until

    def _let_go(self, now: float) -> None:
        """Release every waiting lease that may proceed, and move up timers for the next one."""
        self.waiting.forget_closed_loops()
        self._expire_paused(now)
        for place, queue in enumerate(self.waiting.queues):
            while queue:
                lease = next(iter(queue))
                # It already has its tokens if a signal handler's exception interrupted this loop.
                if lease.sent == -math.inf:
                    if not self._source.is_ready(now, bulk=place > 1):
                        break
                    self._source.take(lease, now)
                    self._granted += 1
                    self._waited += now - lease.since
                if not self.waiting.wake(lease):
                    self._source.end(lease, "unsent", NO_REPORT, now)
                self.waiting.remove(lease)
            if queue:
                break
        self.waiting.hasten(self._next_change(now), self._attend)
        if self._remote is not None:
            for timer in self.waiting.timers.values():
                loop = timer.loop()
                if loop is not None and self._remote.asks(loop, now):
                    timer.call(self._attend)

    def _next_change(self, now: float) -> float:
        """Return the moment at which the next waiting lease may proceed if no request ends."""
        interactive = self.waiting.queues[0] or self.waiting.queues[1]
        return self._source.ready_at(now, bulk=not interactive)

    def _attend(self) -> None:
        """Set the timer of the running loop, and let a remote source request tokens in it."""
        loop = asyncio.get_running_loop()
        self._set_timer(loop)
        if self._remote is not None:
            self._remote.serve(loop)

    def _set_timer(self, loop: AbstractEventLoop) -> None:
        """Schedule this loop's timer for the earliest moment at which a lease may proceed."""
        check_process()
        timer = self.waiting.timers.get(ref(loop))
        if timer is not None:
            with self._lock:
                if timer.waiting > 0 and any(self.waiting.queues):
                    timer.at = self._next_change(self.clock.time())
                else:
                    timer.at = math.inf
                    self.waiting.timers.pop(timer.loop, None)
            if self._ends:
                self.work()
            timer.set(self.clock, partial(self._tick, timer))

    def _tick(self, timer: Timer) -> None:
        try:
            self.work()
        finally:
            # Even after a signal handler's exception, or the leases would wait forever.
            timer.end()
            self._attend()

    def _leave_to_parent(self) -> None:
        """Start again in a forked process: the fate of the parent's requests is unknown.

        A thread of the parent may hold the lock, and that thread doesn't exist here to release it.
        The waiting leases wait in the parent's event loops. Only the parent learns the outcome of
        the requests in flight, but the API counts them for the token. The responses in the queue
        have arrived, so they count here, too. The other ends may come from this process, which
        can't know them. A signal handler may have forked while this thread applied the old queue.
        """
        self._lock = threading.Lock()
        ends = self._ends.copy()
        self._ends = deque(end for end in ends if end[1] in {"settled", "refused"})
        self.waiting.forget_all()
        if self._remote is not None:
            self._remote.leave_to_parent()
        self._apply()
        self.budget.leave_to_parent(self.clock.time())


publish(globals())
