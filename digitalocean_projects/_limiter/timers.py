"""The leases that wait for a token bucket, and the timers of the event loops that they wait in."""

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
    """Stop no timer."""


class Timer:
    """A timer that wakes the leases of an event loop when time lets the next one go.

    Args:
        loop: The loop.

    Attributes:
        loop: A weak reference to it.
        waiting: The number of leases that wait in it.
        at: The moment at which it is to end.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self.waiting = 0
        self.at = math.inf
        # Only its loop changes these.
        self._ends = math.inf
        self._stop: Callable[[], object] = _nothing

    def is_closed(self) -> bool:
        """Return True if the loop is closed, or was collected as garbage."""
        loop = self.loop()
        return loop is None or loop.is_closed()

    def call(self, function: Callable[..., object], *args: object) -> bool:
        """Call a function in the loop; return False if that is closed or gone."""
        loop = self.loop()
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(function, *args)
                return True
        return False

    def set(self, clock: Clock, callback: Callable[[], object]) -> None:
        """Schedule `callback` for `at`; it may come earlier. Call this in the loop."""
        if self._ends <= self.at < math.inf:
            return
        self._stop()
        self._stop, self._ends = _nothing, self.at
        if self.at < math.inf:
            self._stop = call_later(clock, max(0.0, self.at - clock.time()), callback)

    def end(self) -> None:
        """Record that the scheduled call has come."""
        self.at = self._ends = math.inf
        self._stop = _nothing


# An OrderedDict, since leases also leave from the middle, when they are cancelled. Of a dict that
# has lost its first n items, `next(iter(…))` passes over the n gaps each time; a queue of 12,000
# would take minutes.
Queue = OrderedDict["Lease", Timer]


class Waiting:
    """The leases that wait, in the order in which they go, and a timer for each of their loops.

    Everything here refers weakly to the loops and to the futures that wake the tasks. A loop that
    was closed without ending its tasks, or was just dropped, must be garbage, and its tasks and
    their connections with it, although the bucket lives on. A coroutine that is collected then
    takes its lease out of the queue. If somebody still refers to the tasks, `forget_closed_loops`
    does.

    Attributes:
        queues: The interactive retries, the other interactive requests, the bulk retries and the
            other bulk requests.
        timers: The timers by loop.
    """

    def __init__(self) -> None:
        self.queues: tuple[Queue, ...] = tuple(OrderedDict() for _ in range(4))
        # A weak reference is equal to another one to the same loop, and has its hash.
        self.timers: dict[ref[AbstractEventLoop], Timer] = {}

    def __len__(self) -> int:
        return sum(map(len, self.queues))

    def __contains__(self, lease: Lease) -> bool:
        return lease in self.queues[lease.place]

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over a copy."""
        return iter([lease for queue in self.queues for lease in queue])

    def before(self, lease: Lease) -> int:
        """Return how many leases go before one that comes now."""
        return sum(map(len, self.queues[: lease.place + 1]))

    def take_place(self, lease: Lease, seconds: float, reason: str) -> RateLimitWaitError | None:
        """Take a place for the thread of a lease; return an error if others have them all.

        The places are counted, not kept: a lease that has left the queues has left its place.
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
        """Queue a lease of the running loop, which waits for the result of `lease.future`."""
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
        """Wake the task that waits for a lease; return False if its loop is closed or gone."""
        return self.queues[lease.place][lease].call(_wake, lease.waiter())

    def refuse(self, lease: Lease, error: Exception) -> None:
        """Raise an error in the task that waits for a lease."""
        lease.error = error
        self.wake(lease)
        self.remove(lease)

    def forget_closed_loops(self) -> None:
        """Take the leases that closed loops have left behind out of the queues."""
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
        """End each timer at a moment at the latest: call `set_timer` in the loops of later ones."""
        for timer in self.timers.values():
            if timer.waiting > 0 and at < timer.at:
                timer.call(set_timer)
                timer.at = at


def _wake(future: Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
