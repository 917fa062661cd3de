"""TokenBucket: no more requests than the API allows, as the API counts them."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
from collections import OrderedDict, deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

import attrs

from digitalocean_projects._clock import SYSTEM_CLOCK, call_later
from digitalocean_projects._errors import RateLimitWaitError
from digitalocean_projects._process import call_in_child, check_process

from .feedback import LONGEST_JITTER, Feedback
from .flights import Flights
from .lease import Lease
from .window import Window

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Mapping

    from digitalocean_projects._clock import Clock
    from digitalocean_projects._config import Limits

_logger = logging.getLogger("digitalocean_projects")

_WORTH_A_RECORD = 1.0


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

    Attributes:
        keep: Whether the API may count a request of the token: not if it has only ever said that
            there is no such token.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = SYSTEM_CLOCK if clock is None else clock
        self._limits = limits
        self._windows = [
            Window(*window, margin=limits.margin, reserve=limits.reserve)
            for window in limits.windows
        ]
        self._feedback = Feedback(jitter)
        # Reentrant, since garbage is collected and signals are handled at any point.
        self._lock = threading.RLock()
        self._busy = False
        self._deferred: deque[Callable[[float], object]] = deque()
        self._queues: tuple[_Queue, ...] = tuple(OrderedDict() for _ in range(4))
        self._timers: WeakKeyDictionary[AbstractEventLoop, _Timer] = WeakKeyDictionary()
        # How many there were when the queues were last searched for leases of closed loops.
        self._loops = 0
        self._flights = Flights()
        self.keep: bool = False
        self._granted = 0
        self._waited = 0.0
        call_in_child(_leave_to_parent, self)

    def lease(
        self,
        *,
        bulk: bool = False,
        max_wait: float | None = None,
        max_pause: float | None = None,
        timeout: float | None = None,
        ahead: bool = False,
        at_once: bool = False,
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
            at_once: Don't wait, even if it is one too many: for a request that another request,
                which has its tokens, waits for.

        Raises:
            RateLimitWaitError: On entering: the wait is longer. It isn't begun if that is certain.
        """
        return Lease(
            self,
            bulk=bulk,
            max_wait=math.inf if max_wait is None else max_wait,
            max_pause=math.inf if max_pause is None else max_pause,
            timeout=math.inf if timeout is None else timeout,
            ahead=ahead,
            at_once=at_once,
        )

    def statistics(self) -> BucketStatistics:
        """Return what the bucket is doing, and has done."""
        self._change(_no_change)
        with self._lock:
            now = self._clock.time()
            return BucketStatistics(
                in_use=tuple(window.in_use(now, len(self._flights)) for window in self._windows),
                in_flight=len(self._flights),
                waiting=sum(map(len, self._queues)),
                granted=self._granted,
                refused=self._feedback.refused,
                waited=self._waited,
                paused=max(0.0, self._feedback.paused_until - now),
            )

    def outlives_users(self) -> bool:
        """Return whether the bucket is needed after its users, as the API may count a request."""
        return self.keep or len(self._flights) > 0

    def is_idle(self) -> bool:
        """Return whether a new bucket would do as well: no token is out and nobody waits."""
        check_process()
        if self._flights or self._timers:
            # Ends the leases whose time has passed, and forgets those of closed loops.
            self._change(_no_change)
        with self._lock:
            now = self._clock.time()
            return not (
                self._flights
                or self._timers
                or self._feedback.paused_until > now
                or any(window.in_use(now, 0) for window in self._windows)
            )

    async def _acquire(self, lease: Lease) -> None:
        """Wait for the tokens of a lease."""
        loop = asyncio.get_running_loop()
        stop: Callable[[], object] = _nothing
        future: Future[None] | None = None
        collected = False
        try:
            self._change(partial(self._ask, lease, loop))
            # From here on, only this task keeps the future that wakes it.
            future, lease.future = lease.future, None
            if future is not None:
                if lease.waits_for > _WORTH_A_RECORD:
                    why = {"do_wait": lease.waits_for, "do_reason": lease.reason}
                    _logger.info("waiting for about %(do_wait).0f s: %(do_reason)s", why, extra=why)
                self._set_timer(loop)
                if lease.max_wait < math.inf:
                    expire = partial(self._change, partial(self._expire, lease))
                    stop = call_later(self._clock, lease.max_wait, expire)
                await future
        except BaseException as error:
            collected = isinstance(error, GeneratorExit)
            self._change(partial(self._leave, lease))
            raise
        finally:
            # Garbage may be collected in another thread, or without a loop.
            if not collected:  # pragma: no branch - its exception goes on from here
                stop()
                if future is not None or loop in self._timers:
                    self._set_timer(loop)
        if lease.sent == -math.inf:
            raise RateLimitWaitError(lease.waits_for, lease.reason)

    def _change(self, change: Callable[[float], object]) -> None:
        """Make a change with the lock held.

        A lease may be collected as garbage at any point, also while the same thread makes another
        change: then its end follows that.
        """
        check_process()
        while True:
            late: list[AbstractEventLoop] = []
            with self._lock:
                if self._busy:
                    self._deferred.append(change)
                    return
                self._busy = True
                try:
                    self._apply(change)
                    while self._deferred:
                        self._apply(self._deferred.popleft())
                    if self._timers:
                        late = self._let_go(self._clock.time())
                finally:
                    self._busy = False
            for loop in late:
                with suppress(RuntimeError):  # it is closed
                    loop.call_soon_threadsafe(self._set_timer, loop)
            if not self._deferred:
                return
            change = _no_change

    def _apply(self, change: Callable[[float], object]) -> None:
        now = self._clock.time()
        self._advance(now)
        change(now)

    def _advance(self, now: float) -> None:
        """Apply what the time that has passed has changed."""
        for lease in self._flights.advance(now):
            self._feedback.lose()
            self.keep = True
            self._give_back(lease, lease.end - now, now)

    def _ask(self, lease: Lease, loop: AbstractEventLoop, now: float) -> None:
        """Let a lease go, or have it wait, or refuse it."""
        place = 2 * lease.bulk + (not lease.ahead)
        if self._timers:
            self._forget_closed_loops()
        before = sum(map(len, self._queues[: place + 1]))
        if lease.at_once or (not before and self._ready_at(now, bulk=lease.bulk) <= now):
            self._take(lease, now)
            return
        at, lease.reason = self._estimate(now, bulk=lease.bulk, before=before)
        lease.waits_for = at - now
        if lease.waits_for <= lease.max_wait and not self._pauses_too_long(lease, now):
            lease.future, lease.since = loop.create_future(), now
            lease.waiter, lease.queue = ref(lease.future), self._queues[place]
            self._timers.setdefault(loop, _Timer()).waiting += 1
            lease.queue[lease] = ref(loop)

    def _forget_closed_loops(self) -> None:
        """Take the leases that closed loops have left behind out of the queues."""
        closed = [loop for loop in self._timers if loop.is_closed()]
        if closed or len(self._timers) < self._loops:
            for loop in closed:
                del self._timers[loop]
            for queue in self._queues:
                for lease in [lease for lease, loop in queue.items() if _is_closed(loop())]:
                    del queue[lease]
        self._loops = len(self._timers)

    def _pauses_too_long(self, lease: Lease, now: float) -> bool:
        return self._feedback.paused_until - now > lease.max_pause + LONGEST_JITTER

    def _room(self) -> float:
        """Return how many more requests may be in flight."""
        feedback = self._feedback
        return min(
            feedback.most_young() - self._flights.young,
            feedback.most_in_flight() - len(self._flights),
        )

    def _ready_at(self, now: float, *, bulk: bool) -> float:
        """Return when the next one may go, if nothing but time passes."""
        feedback = self._feedback
        at, _ = self._estimate(now, bulk=bulk, before=0)
        return max(
            at,
            self._flights.fewer_at(young=feedback.most_young(), total=feedback.most_in_flight()),
        )

    def _estimate(self, now: float, *, bulk: bool, before: int) -> tuple[float, str]:
        """Return when one may go at the earliest, after `before` others, and what it waits for."""
        at, reason = self._feedback.free_at()
        for window in self._windows:
            free_at = window.free_at(now, len(self._flights), before, bulk=bulk)
            if free_at > at:
                at, reason = free_at, window.name
        if at <= now:
            reason = "the number of concurrent requests is ramping up"
        return at, reason

    def _take(self, lease: Lease, now: float) -> None:
        lease.end = now + lease.timeout + self._limits.grace
        self._flights.add(lease)
        self._granted += 1
        lease.sent = now

    def _let_go(self, now: float) -> list[AbstractEventLoop]:
        """Release every waiter that may proceed; return the loops whose timers must end earlier."""
        self._advance(now)
        self._forget_closed_loops()
        for place, queue in enumerate(self._queues):
            while queue:
                lease, owner = next(iter(queue.items()))
                # It was taken already if a signal handler's exception ended this loop before.
                if lease.sent == -math.inf:
                    if self._ready_at(now, bulk=place > 1) > now:
                        break
                    self._take(lease, now)
                    self._waited += now - lease.since
                if not self._wake(lease, owner()):
                    self._give_back(lease, None, now)
                self._leave(lease, now)
            if queue:
                break
        late: list[AbstractEventLoop] = []
        at = self._next_change(now)
        for loop, timer in self._timers.items():
            if timer.waiting and at < timer.at:
                timer.at = at
                late.append(loop)
        return late

    def _leave(self, lease: Lease, now: float) -> None:
        """Have a lease not wait any more; one that was let go meanwhile gives its tokens back."""
        if lease not in lease.queue:
            self._give_back(lease, None, now)
        else:
            loop = lease.queue.pop(lease)()
            if loop is not None and loop in self._timers:
                self._timers[loop].waiting -= 1

    def _expire(self, lease: Lease, now: float) -> None:
        """Refuse a lease that waits, since its wait takes too long."""
        if lease in lease.queue:
            at, lease.reason = self._estimate(now, bulk=lease.bulk, before=0)
            lease.waits_for = at - lease.since
            self._wake(lease, lease.queue[lease]())
            self._leave(lease, now)

    def _wake(self, lease: Lease, loop: AbstractEventLoop | None) -> bool:
        """Wake the task that waits for a lease; return False if its loop is closed or gone.

        The bucket refers weakly to what waits. Otherwise, a loop that was closed without ending its
        tasks could never be collected as garbage, nor could their connections.
        """
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(_wake, lease.waiter())
        except RuntimeError:
            return False
        return True

    def _expire_paused(self, now: float) -> None:
        """Refuse the leases that wait and for which a pause is too long."""
        for queue in self._queues:
            for lease in list(queue):
                ends = self._feedback.paused_until - lease.since
                if ends > lease.max_wait or self._pauses_too_long(lease, now):
                    self._expire(lease, now)

    def _settle(self, lease: Lease, headers: Mapping[str, str], now: float) -> None:
        self._give_back(lease, 0.0, now)
        self._feedback.answer(headers, sent=lease.sent, now=now)

    def _refuse(self, lease: Lease, headers: Mapping[str, str], now: float) -> None:
        self._give_back(lease, 0.0, now)
        self._feedback.refuse(headers, sent=lease.sent, now=now)
        self._expire_paused(now)

    def _abandon(self, lease: Lease, now: float) -> None:
        """Give tokens back when the API has forgotten the request, even if it was sent."""
        if lease in self._flights:
            self._feedback.lose()
            self.keep = True
        self._give_back(lease, self._limits.grace, now)

    def _give_back(self, lease: Lease, after: float | None, now: float) -> None:
        """Return the tokens `after` seconds plus their periods from now, or now if it is None.

        Nothing is done for a lease that has passed its end, or is the parent process's.
        """
        if lease in self._flights:
            self._flights.remove(lease)
            if after is not None:
                for window in self._windows:
                    window.give_back(now + window.period + after)

    def _next_change(self, now: float) -> float:
        """When time alone lets somebody go who waits."""
        return self._ready_at(now, bulk=not (self._queues[0] or self._queues[1]))

    def _set_timer(self, loop: AbstractEventLoop) -> None:
        """Have the loop's timer end when somebody may go, if any of the loop's waits."""
        timer = self._timers.get(loop)
        if timer is None:
            return
        self._change(partial(self._look, loop, timer))
        if timer.ends <= timer.at < math.inf:
            return
        timer.stop()
        timer.stop, timer.ends = _nothing, timer.at
        if timer.at < math.inf:
            seconds = max(0.0, timer.at - self._clock.time())
            timer.stop = call_later(self._clock, seconds, partial(self._tick, loop, timer))

    def _look(self, loop: AbstractEventLoop, timer: _Timer, now: float) -> None:
        """See when a timer is to end."""
        if timer.waiting > 0 and any(self._queues):
            timer.at = self._next_change(now)
        else:
            timer.at = math.inf
            self._timers.pop(loop, None)

    def _tick(self, loop: AbstractEventLoop, timer: _Timer) -> None:
        timer.ends, timer.stop = math.inf, _nothing
        self._change(_no_change)
        self._set_timer(loop)

    def _leave_to_parent(self) -> None:
        """Begin anew in a forked process, with the parent's requests as ones of unknown fate."""
        self._lock = threading.RLock()
        self._busy = False
        self._deferred.clear()
        self._timers.clear()
        for queue in self._queues:
            queue.clear()
        now = self._clock.time()
        for window in self._windows:
            for _ in self._flights:
                window.give_back(now + window.period + self._limits.grace)
        self._flights = Flights()


def _nothing() -> None:
    """Stop no timer."""


@attrs.define(eq=False)
class _Timer:
    """What wakes the leases of a loop.

    Attributes:
        waiting: How many leases of the loop wait.
        at: When it is to end.
        ends: When it will end, and only its loop may change.
        stop: Stops it.
    """

    waiting: int = 0
    at: float = math.inf
    ends: float = math.inf
    stop: Callable[[], object] = attrs.field(default=_nothing)


_Queue = OrderedDict[Lease, "ref[AbstractEventLoop]"]


def _is_closed(loop: AbstractEventLoop | None) -> bool:
    return loop is None or loop.is_closed()


def _wake(future: Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _no_change(_: float) -> None:
    """Look only at what the time that passed has changed."""


def _leave_to_parent(bucket: TokenBucket) -> None:
    bucket._leave_to_parent()
