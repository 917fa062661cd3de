"""Timers: the leases that wait for a bucket, and a timer for each of their event loops."""

from __future__ import annotations

import math
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import ref

from digitalocean_projects._clock import call_later
from digitalocean_projects._errors import RateLimitWaitError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Iterator

    from digitalocean_projects._clock import Clock

    from .lease import Lease


def _nothing() -> None:
    """Do nothing: there is no timer to stop."""


class Timer:
    """A timer of an event loop, for the moment at which the next waiting lease may proceed.

    Args:
        loop: The loop.

    Attributes:
        loop: A weak reference to the loop.
        waiting: The number of leases that wait in the loop.
        at: The moment at which the timer must call back.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self.waiting = 0
        self.at = math.inf
        # Only code in the loop changes these.
        self._ends = math.inf
        self._stop: Callable[[], object] = _nothing

    def is_closed(self) -> bool:
        """Return True if the loop is closed or was collected."""
        loop = self.loop()
        return loop is None or loop.is_closed()

    def call(self, function: Callable[..., object], *args: object) -> bool:
        """Call a function in the loop; return False if the loop is closed or was collected."""
        loop = self.loop()
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(function, *args)
                return True
        return False

    def set(self, clock: Clock, callback: Callable[[], object]) -> None:
        """Schedule `callback` for `at` at the latest. Call this in the loop."""
        if self._ends <= self.at < math.inf:
            return
        self._stop()
        self._stop, self._ends = _nothing, self.at
        if self.at < math.inf:
            self._stop = call_later(clock, max(0.0, self.at - clock.time()), callback)

    def end(self) -> None:
        """Record that the scheduled call was made."""
        self.at = self._ends = math.inf
        self._stop = _nothing


# An OrderedDict, since cancelled leases leave from the middle. In a plain dict that has lost its
# first n items, `next(iter(…))` skips the n gaps each time; a queue of 12,000 would take minutes.
Queue = OrderedDict["Lease", Timer]


class Waiting:
    """The waiting leases, in the order in which they proceed, and a timer for each of their loops.

    Everything here refers weakly to the loops and to the futures that wake the tasks. If a loop was
    closed without ending its tasks, or was dropped, it must be collectable together with its tasks
    and their connections, although the bucket lives on. A coroutine that is collected removes its
    lease from the queue. If something still refers to the tasks, `forget_closed_loops` removes
    their leases.

    Attributes:
        queues: The queues in order of priority: interactive retries, other interactive requests,
            bulk retries, other bulk requests.
        timers: The timers by loop.
    """

    def __init__(self) -> None:
        self.queues: tuple[Queue, ...] = tuple(OrderedDict() for _ in range(4))
        # Weak references to the same loop are equal, and have the same hash.
        self.timers: dict[ref[AbstractEventLoop], Timer] = {}

    def __len__(self) -> int:
        return sum(map(len, self.queues))

    def __contains__(self, lease: Lease) -> bool:
        return lease in self.queues[lease.place]

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over a copy of the queues."""
        return iter([lease for queue in self.queues for lease in queue])

    def before(self, lease: Lease) -> int:
        """Return the number of leases that proceed before a new one."""
        return sum(map(len, self.queues[: lease.place + 1]))

    def take_place(self, lease: Lease, seconds: float, reason: str) -> RateLimitWaitError | None:
        """Reserve a place for the thread of a lease, or return an error if all are taken.

        The places are counted each time, so a lease that leaves the queues frees its place.
        """
        bound = lease.bound
        if bound is None:
            return None
        threads = {other.thread for other in self if other.has_place} - {lease.thread}
        if len(threads) < bound.most:
            lease.has_place = True
            return None
        waiting = "1 thread waits" if bound.most == 1 else f"{bound.most} threads wait"
        return RateLimitWaitError(seconds, f"{reason}, and {waiting} already")

    def add(self, lease: Lease, loop: AbstractEventLoop, now: float) -> None:
        """Queue a lease of the running loop. Its task must wait for `lease.future`."""
        lease.future, lease.since = loop.create_future(), now
        lease.waiter = ref(lease.future)
        timer = self.timers.setdefault(ref(loop), Timer(loop))
        timer.waiting += 1
        self.queues[lease.place][lease] = timer

    def remove(self, lease: Lease) -> None:
        """Remove a lease from its queue."""
        timer = self.queues[lease.place].pop(lease)
        timer.waiting -= 1

    def wake(self, lease: Lease) -> bool:
        """Wake the task of a lease; return False if its loop is closed or was collected."""
        return self.queues[lease.place][lease].call(_wake, lease.waiter())

    def refuse(self, lease: Lease, error: Exception) -> None:
        """Make the task of a lease raise an error."""
        lease.error = error
        self.wake(lease)
        self.remove(lease)

    def forget_closed_loops(self) -> None:
        """Remove the leases of closed loops from the queues."""
        closed = [loop for loop, timer in self.timers.items() if timer.is_closed()]
        if closed:
            for queue in self.queues:
                for lease in [lease for lease, timer in queue.items() if timer.is_closed()]:
                    del queue[lease]
            for loop in closed:
                del self.timers[loop]

    def forget_all(self) -> None:
        """Forget the leases and loops of a parent process."""
        self.timers.clear()
        for queue in self.queues:
            queue.clear()

    def hasten(self, at: float, set_timer: Callable[[], object]) -> None:
        """Make no timer end later than `at`: call `set_timer` in the loops of those that would."""
        for timer in self.timers.values():
            if timer.waiting > 0 and at < timer.at:
                timer.call(set_timer)
                timer.at = at


def _wake(future: Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
