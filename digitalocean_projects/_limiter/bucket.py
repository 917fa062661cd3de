"""TokenBucket: keeps requests within the API's limits, as the API counts them."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Literal
from weakref import ref

import attrs

from digitalocean_projects._clock import SYSTEM_CLOCK, call_later
from digitalocean_projects._errors import RateLimitWaitError
from digitalocean_projects._process import call_in_child, check_process

from .budget import LONGEST_JITTER, NO_HEADERS, Budget, End
from .lease import Lease
from .timers import Waiting

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Mapping

    from digitalocean_projects._clock import Clock
    from digitalocean_projects._config import Limits

    from .lease import L
    from .source import Remote, Source
    from .timers import Timer

# Besides those of a request: a lease stops waiting, or has waited for too long, or for a moment.
_End = End | Literal["left", "late", "moment"]

_logger = logging.getLogger("digitalocean_projects")

# A wait up to this number of seconds is for a moment, such as for the first responses at the start.
_MOMENT = 1.0


@attrs.frozen(kw_only=True)
class BucketStatistics:
    """What a token bucket is doing, and has done.

    Args:
        in_use: For each window, the tokens that are out: of requests under way, and of those that
            the API may still count.
        in_flight: The requests that are under way.
        waiting: The requests that wait for their tokens.
        granted: How many requests were let go.
        refused: How many of them the API refused as too many.
        waited: The seconds that those which were let go have waited, in all.
        paused: The seconds for which nothing is let go after a refusal.
    """

    in_use: tuple[int, ...]
    in_flight: int
    waiting: int
    granted: int
    refused: int
    waited: float
    paused: float


class TokenBucket:
    """A token bucket whose tokens are leased, and come back one by one.

    A request takes a token of each window when it is let go. They come back one period and a
    margin after the headers of its response: the API has counted the request before, so it has left
    the API's window when the token is spent again, whatever the network does. The tokens of a
    request that was never sent return at once; if it is unknown whether it was sent, after `grace`
    more seconds. So, unlike in the textbook's bucket, tokens don't return at a constant rate.

    Requests go first come, first served: first the interactive ones, then the bulk ones, which
    leave a reserve; of each class, first the retries. Few requests may be in flight before the
    first response and after a refusal, where one that has been unanswered for a second no longer
    counts; and no more go than the API says are left. One bucket may serve any number of threads
    and event loops.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Args:
        limits: The windows, and what is added to them.
        clock: Measures time and waits; None takes the machine's monotonic clock.
        jitter: Returns 0 to 1, the seconds that are added to a pause.
        remote: Makes another source of tokens than the bucket's own budget, for the bucket.

    Attributes:
        keep: Whether the API may count a request of the token: not if it has only ever said that
            there is no such token.
        clock: The clock. Like the other attributes, it is there for a remote source.
        budget: The tokens.
        waiting: The leases that wait.
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
        self.keep: bool = False
        self.budget: Budget = Budget(limits, jitter)
        self.waiting: Waiting = Waiting()
        self._lock = threading.Lock()
        self._ends: deque[tuple[Lease, _End, Mapping[str, str]]] = deque()
        self._granted = 0
        self._waited = 0.0
        self._pause_seen = -math.inf
        self._remote = None if remote is None else remote(self)
        self._source: Source = self._remote or self.budget
        call_in_child(TokenBucket._leave_to_parent, self)

    @property
    def lock(self) -> threading.Lock:
        """The lock of the attributes and the source; call `work` after releasing it."""
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
        """Return the tokens of one request, as a context manager that waits for them.

        Args:
            bulk: Let interactive requests go first, and leave them the reserve.
            max_wait: The maximum wait in seconds; None for no maximum.
            max_pause: The maximum wait in seconds after a refusal; None for no maximum.
            timeout: The seconds that the request may take. A lease that hasn't ended the limits'
                `grace` after that, as when its event loop was closed, counts as one whose request
                may have been sent. None for no end.
            ahead: Go before the others of the same class, as a retry may.

        Raises:
            RateLimitWaitError: On entering: the wait is longer. It isn't begun if that is certain.
        """
        return Lease(
            self,
            bulk=bulk,
            ahead=ahead,
            max_wait=math.inf if max_wait is None else max_wait,
            max_pause=math.inf if max_pause is None else max_pause,
            timeout=math.inf if timeout is None else timeout,
        )

    def statistics(self) -> BucketStatistics:
        """Return what the bucket is doing, and has done."""
        self.work()
        now = self.clock.time()
        return BucketStatistics(
            in_use=self.budget.in_use(now),
            in_flight=self.budget.in_flight,
            waiting=len(self.waiting),
            granted=self._granted,
            refused=self.budget.refused,
            waited=self._waited,
            paused=max(0.0, self.budget.paused_until - now),
        )

    def outlives_users(self) -> bool:
        """Return whether the bucket is needed after its users, as the API may count a request."""
        return self.keep or self.budget.uncertain or self.budget.in_flight > 0

    def is_idle(self) -> bool:
        """Return whether a new bucket would do as well: no token is out and nobody waits."""
        self.work()
        return not self.waiting.timers and self.budget.is_idle(self.clock.time())

    async def _acquire(self, lease: L) -> L:
        """Wait for the tokens of a lease, and return it."""
        loop = asyncio.get_running_loop()
        try:
            goes = self._ask(lease, loop)
            if goes and self._remote is None:
                lease.out = True
                return lease
            if self._remote is not None:
                await self._acquire_remotely(self._remote, lease, loop)
            elif lease.future is not None:
                await self._wait(lease, lease.future, loop)
            lease.check()
        except BaseException:
            # With its traceback the error would keep this frame, and be kept by it.
            lease.error = None
            self._end(lease, "left")
            raise
        lease.out = True
        return lease

    async def _acquire_remotely(
        self, remote: Remote, lease: Lease, loop: AbstractEventLoop
    ) -> None:
        """Wait for the tokens of a lease that has asked for them, until they are fresh."""
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
            self._ask(lease, loop)

    async def _wait(self, lease: Lease, future: Future[None], loop: AbstractEventLoop) -> None:
        """Wait until a lease that is in a queue goes or is refused."""
        stops: list[Callable[[], object]] = []
        collected = False
        # From here on, only this task keeps the future that wakes it.
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
            # Garbage may be collected in another thread, or without a loop.
            if not collected:  # pragma: no branch - its exception goes on from here
                for stop in stops:
                    stop()
                self._set_timer(loop)

    def _end(self, lease: Lease, end: _End, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Record the end of a lease, or of its wait. Any thread may call it, at any point.

        Garbage is collected, and with it a coroutine that has a lease, wherever an object is made,
        and a signal handler runs between any two steps: also in the middle of a change to this
        bucket, by this very thread. So an end goes into a queue, and the thread that has the lock
        applies it. If the lock is held, no matter by which thread, nothing is done here: the holder
        looks into the queue again after releasing it. `statistics`, and `is_idle` when a client is
        made, don't wait for the lock either, so signal handlers may call them. Everything else
        waits for the lock: it doesn't happen while garbage is collected, and signal handlers must
        not send requests. That includes those of a blocking client, whose thread would wait for
        the interrupted code.
        """
        self._ends.append((lease, end, headers))
        self.work()
        # If an exception of a signal handler comes before this, the end of the `async with` block
        # gives the tokens back.
        lease.out = False

    def work(self) -> None:
        """Apply the ends of leases and what time has changed, and let those go that may.

        Call it after a change that was made with the lock held. It does nothing while the lock is
        held: its holder calls it.
        """
        check_process()
        while not self._lock.locked():
            # Not `acquire`: a signal handler's exception may come between that and `try`.
            with self._lock:
                while self._ends:
                    lease, end, headers = self._ends.popleft()
                    self._apply(lease, end, headers, self.clock.time())
                now = self.clock.time()
                self._end_overdue(now)
                if self.waiting.timers:
                    self._let_go(now)
            if not self._ends:
                break

    def _ask(self, lease: Lease, loop: AbstractEventLoop) -> bool:
        """Release, queue or refuse a lease; return True if it goes."""
        check_process()
        with self._lock:
            now, before = self.clock.time(), 0
            self._end_overdue(now)
            if self.waiting.timers:
                self.waiting.forget_closed_loops()
                before = self.waiting.before(lease)
            goes = not before and self._source.ready_at(now, bulk=lease.bulk) <= now
            if goes:
                self._take(lease, now)
            else:
                self._queue(lease, loop, before, now)
        if self._ends:
            self.work()
        return goes

    def _queue(self, lease: Lease, loop: AbstractEventLoop, before: int, now: float) -> None:
        at, lease.reason = self._source.estimate(now, bulk=lease.bulk, before=before)
        lease.waits_for = at - now
        if lease.bound is not None:
            lease.thread = lease.bound.thread()
        if self._remote is not None:
            lease.error = self._remote.refusal(now)
        if lease.waits_for > lease.max_wait or self._pauses_too_long(lease, now):
            lease.error = lease.error or _too_long(lease, lease.waits_for, lease.reason)
        if lease.error is None and lease.waits_for > _MOMENT:
            lease.error = self.waiting.take_place(lease, lease.waits_for, lease.reason)
        if lease.error is None:
            self.waiting.add(lease, loop, now)

    def _pauses_too_long(self, lease: Lease, now: float) -> bool:
        return self.budget.paused_until - now > lease.max_pause + LONGEST_JITTER

    def _take(self, lease: Lease, now: float) -> None:
        self._source.take(lease, now)
        self._granted += 1

    def _apply(self, lease: Lease, end: _End, headers: Mapping[str, str], now: float) -> None:
        """Apply the end of a lease, or of its wait."""
        if end == "late":
            self._expire(lease, now)
        elif end == "moment":
            self._expire_moment(lease, now)
        elif end == "left" and lease in self.waiting:
            self.waiting.remove(lease)
        else:
            # One that was let go in the moment in which it has left gives its tokens back.
            self._source.end(lease, "unsent" if end == "left" else end, headers, now)

    def _end_overdue(self, now: float) -> None:
        for lease in self.budget.overdue(now):
            self._source.end(lease, "overdue", NO_HEADERS, now)

    def _expire(self, lease: Lease, now: float) -> None:
        """Refuse a lease that waits, since its wait takes too long."""
        if lease in self.waiting:
            at, reason = self._source.estimate(now, bulk=lease.bulk, before=0)
            self.waiting.refuse(lease, _too_long(lease, at - lease.since, reason))

    def _expire_moment(self, lease: Lease, now: float) -> None:
        """Refuse a lease that waits for more than a moment, unless there is a place for it."""
        if lease in self.waiting:
            at, reason = self._source.estimate(now, bulk=lease.bulk, before=0)
            error = self.waiting.take_place(lease, at - lease.since, reason)
            if error is not None:
                self.waiting.refuse(lease, error)

    def _expire_paused(self, now: float) -> None:
        """Refuse the leases that wait and for which a new pause is too long."""
        paused_until = self.budget.paused_until
        if paused_until > self._pause_seen:
            for lease in self.waiting:
                if paused_until - lease.since > lease.max_wait or self._pauses_too_long(lease, now):
                    self._expire(lease, now)
            self._pause_seen = paused_until

    def _let_go(self, now: float) -> None:
        """Release the waiting leases that may go, and set the timers for the next one."""
        self.waiting.forget_closed_loops()
        self._expire_paused(now)
        for place, queue in enumerate(self.waiting.queues):
            while queue:
                lease = next(iter(queue))
                # It was taken already if a signal handler's exception ended this loop before.
                if lease.sent == -math.inf:
                    if self._source.ready_at(now, bulk=place > 1) > now:
                        break
                    self._take(lease, now)
                    self._waited += now - lease.since
                if not self.waiting.wake(lease):
                    self._source.end(lease, "unsent", NO_HEADERS, now)
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
        """Return when time alone lets the next waiting lease go."""
        interactive = self.waiting.queues[0] or self.waiting.queues[1]
        return self._source.ready_at(now, bulk=not interactive)

    def _attend(self) -> None:
        """Do what the leases that wait in the running loop need."""
        loop = asyncio.get_running_loop()
        self._set_timer(loop)
        if self._remote is not None:
            self._remote.serve(loop)

    def _set_timer(self, loop: AbstractEventLoop) -> None:
        """Set the running loop's timer to when the next lease may go, if any waits in the loop."""
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
            # Also after an exception of a signal handler, or the leases would wait for ever.
            timer.end()
            self._attend()

    def _leave_to_parent(self) -> None:
        """Begin again in a forked process, with the parent's requests as ones of unknown fate.

        A thread of the parent may hold the lock, and there is no such thread here to release it.
        The leases that wait do so in the parent's event loops. Those in flight are the parent's to
        end: what becomes of them is unknown here, but the API counts them for the token. An end
        that is still in the queue is one of them.
        """
        self._lock = threading.Lock()
        self._ends.clear()
        self.waiting.forget_all()
        self.budget.leave_to_parent(self.clock.time())
        if self._remote is not None:
            self._remote.leave_to_parent()


def _too_long(lease: Lease, seconds: float, reason: str) -> RateLimitWaitError:
    maximum = lease.max_wait if seconds >= lease.max_wait else lease.max_pause
    return RateLimitWaitError(seconds, reason, maximum=maximum)
