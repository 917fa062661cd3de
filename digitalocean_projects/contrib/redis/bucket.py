"""RedisSource: the leases of a token bucket that shares its tokens through Redis."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from digitalocean_projects._clock import call_later
from digitalocean_projects._limiter.bucket import TokenBucket
from digitalocean_projects._limiter.budget import Window
from digitalocean_projects._limiter.shared import make_bucket
from digitalocean_projects._limiter.source import Remote
from digitalocean_projects._process import keep_for_ever

from . import server as _redis_server
from .errors import RedisLimitsError, RedisUnavailableError
from .ledger import Ledger
from .limits import RedisLimits
from .link import Link, call_alive
from .script import LONGEST_PAUSE, Message, constants

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

    from digitalocean_projects._clock import Clock
    from digitalocean_projects._limiter.budget import End, Flight, Report
    from digitalocean_projects._limiter.lease import Lease

_AT_ONCE = 8
_SECONDS_UNTIL_TOLD = 0.05
_TICK = 0.001
_SECONDS_TO_PART = 2.0
# Maxima in a row: a proxy may close each connection, or Redis return another epoch each time.
_MOST_RESTATEMENTS = 2
_MOST_VAIN = 2


class RedisSource(Remote):
    """A source of leases from Redis, which all workers share.

    A request that the bucket's own budget allows also waits for a lease from Redis. Each event loop
    with such requests asks for up to eight leases in one call, which also reports the ends of other
    leases. Without such a call, they are reported 50 ms later. Buckets share a loop's connections.

    Args:
        bucket: The bucket.
        limits: The limits.
        name: The text that stands for the token in Redis.
    """

    def __init__(self, bucket: TokenBucket, limits: RedisLimits, name: str) -> None:
        self._bucket = bucket
        self._budget = bucket.budget
        self._limits = limits
        self._key = f"{limits.prefix}:{{{name}}}"
        self._constants = constants(limits)
        self._away = ""
        self._shares: list[Window] = []
        self._look_at = self._restated_at = -math.inf
        self._shared_at = (-math.inf, -math.inf)
        self._epoch = 0
        self._is_stale = False
        self._restatements = self._vain = 0
        self._restates_at = -math.inf
        self._begin()

    def _begin(self) -> None:
        """Start without leases and links."""
        limits = self._limits
        span = max(period for _, period in limits.windows) + limits.margin
        self._ledger = Ledger(span, limits.hold)
        self._leases: dict[Flight, tuple[int, float]] = {}
        self._stock: deque[tuple[int, float]] = deque()
        self._dropped: deque[Message] = deque()
        self._links: dict[AbstractEventLoop, Link] = {}
        # Links end with their loop. The server's state doesn't, so the next loop's links know it.
        self._server = _redis_server.known_server(limits.url)
        self._pause = -math.inf
        self._tell_at = math.inf

    def ready_at(self, now: float, *, bulk: bool) -> float:
        """Return the time at which the next request may start, or Redis is tried again."""
        at, _ = self.estimate(now, bulk=bulk, before=0)
        at = max(at, self._budget.room_at())
        alone = self._away and self._limits.on_unavailable != "fail"
        if at <= now and not (self._stock or alone):
            at = math.inf
        return min(at, self._look_at) if self._look_at > now else at

    def estimate(self, now: float, *, bulk: bool, before: int) -> tuple[float, str]:
        """Return the earliest time of a request, and the reason for its wait, see `Budget`."""
        at, reason = self._budget.estimate(now, bulk=bulk, before=before)
        for window in self._shares:
            free_at = window.free_at(now, self._budget.in_flight, before, bulk=bulk)
            if free_at > at:
                at, reason = free_at, f"{window.name}, while Redis is unavailable"
        if not self._away and not self._stock and self._shared_at[bulk] > at:
            at, reason = self._shared_at[bulk], "other workers have the tokens"
        return at, reason

    def take(self, flight: Flight, now: float) -> None:
        """Record that a request starts, with a lease from Redis if there is one."""
        self._budget.take(flight, now)
        if self._stock:
            number, since = self._stock.popleft()
        else:
            (number,), since = self._ledger.numbers(1, now), now
            self._ledger.repeat([number])
        self._leases[flight] = number, since
        self._ledger.open(number, since + self._limits.hold)

    def end(self, flight: Flight, end: End, report: Report, now: float) -> None:
        """Record the end of a request, and queue its report to Redis."""
        counted = self._budget.end(flight, end, report, now)
        if flight in self._leases:
            number, _ = self._leases.pop(flight)
            self._ledger.close(number, counted)
            if counted is not None:
                for window in self._shares:
                    window.give_back(counted)
            self._tell_soon(now)
        if end == "refused":
            self._pause = self._budget.paused_until
            self._tell_soon(now, 0.0)

    def refusal(self, now: float) -> RedisUnavailableError | None:
        """Return an error if Redis is unavailable and the policy is "fail"."""
        fails = self._away and self._limits.on_unavailable == "fail" and now < self._look_at
        return RedisUnavailableError(self._away) if fails else None

    def is_fresh(self, lease: Lease, now: float) -> bool:
        """Return True if at least half of the hold is left, which is enough for a request."""
        # A forked process has left the lease to its parent.
        _, since = self._leases.get(lease, (0, now))
        return now - since <= self._limits.hold / 2

    def asks(self, loop: AbstractEventLoop, now: float) -> bool:
        """Return True if the loop must call Redis, and no call is pending."""
        link = self._links.get(loop)
        if link is not None and link.busy:
            return False
        if self._away:
            return now >= self._look_at
        return now >= self._tell_at or any(self._wanted(loop, now))

    def serve(self, loop: AbstractEventLoop) -> None:
        """Start a task that calls Redis, if the running loop must."""
        with self._bucket.lock:
            asks = self.asks(loop, self._now())
        self._bucket.work()
        if asks:
            link = self._links.get(loop) or self._open()
            link.busy = True
            link.task = loop.create_task(self._talk(link))
            link.task.add_done_callback(partial(self._rest, link))

    def leave_to_parent(self) -> None:
        """Leave the leases and links, in a forked process, to its parent."""
        for link in self._links.values():
            keep_for_ever(link)
        self._begin()

    def _now(self) -> float:
        return self._bucket.clock.time()

    def _tell_soon(self, now: float, seconds: float = _SECONDS_UNTIL_TOLD) -> None:
        """Schedule a report to Redis, unless a request for leases sends it earlier."""
        at = max(now + seconds, self._look_at if self._away else now)
        if at < self._tell_at and (self._ledger.untold or self._pause > now):
            self._tell_at = at
            # A loop that isn't running may never run again, so the running ones are preferred.
            loops = [loop for loop, link in self._links.items() if not link.parting]
            for loop in [loop for loop in loops if loop.is_running()] or loops:
                with suppress(RuntimeError):  # It is closed.
                    loop.call_soon_threadsafe(self._tell_later, loop)

    def _tell_later(self, loop: AbstractEventLoop) -> None:
        seconds = self._tell_at - self._now()
        if seconds < math.inf:
            if seconds <= _SECONDS_UNTIL_TOLD:
                tell = partial(self._tell, loop)
            else:
                # This refers weakly to the bucket, which need not live until Redis is back.
                tell = partial(call_alive, weakref.WeakMethod(self._tell), loop)
            call_later(self._bucket.clock, max(0.0, seconds) + _TICK, tell)

    def _tell(self, loop: AbstractEventLoop) -> None:
        if loop in self._links:
            self.serve(loop)

    def _open(self) -> Link:
        """Return a link of the running loop. Only its own thread may make it."""
        limits, part = self._limits, weakref.WeakMethod(self._part)
        new = Link(limits.url, self._key, self._constants, limits.on_unavailable, part)
        with self._bucket.lock:
            links = [*self._links.values(), new]
            self._links = {link.loop: link for link in links if not link.loop.is_closed()}
        self._bucket.work()
        return new

    def _rest(self, link: Link, _: Task[None]) -> None:
        link.busy = link.parting
        self.serve(link.loop)

    async def _part(self, loop: AbstractEventLoop) -> None:
        """Send the last reports of a loop that ends."""
        link = self._links[loop]
        link.busy = link.parting = True
        link.task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS_TO_PART):
                await asyncio.wait([link.task])
                with self._bucket.lock:
                    self._tell_soon(self._now(), 0.0)
                await self._talk(link)
        with self._bucket.lock:
            del self._links[loop]
        self._bucket.work()

    async def _talk(self, link: Link) -> None:
        """Send reports and requests for leases to Redis until none is left."""
        bucket = self._bucket
        while True:
            with bucket.lock:
                message = self._message(link, self._now())
            bucket.work()
            if message is None:
                return
            try:
                answer = await link.call(message)
                with bucket.lock:
                    self._receive(link, message, answer, self._now())
            except GeneratorExit:
                # Garbage is collected anywhere, so this thread may already hold the lock.
                self._dropped.append(message)
                raise
            except RedisUnavailableError as error:
                with bucket.lock:
                    self._lose(message, error.reason, self._now())
            except RedisLimitsError as error:
                with bucket.lock:
                    self._fail(message, error.reason, self._now())
            except BaseException:
                with bucket.lock:
                    self._repeat(message, self._now())
                raise
            finally:
                bucket.work()

    def _wanted(self, loop: AbstractEventLoop, now: float) -> list[int]:
        """Count, for each class, the loop's requests that wait only for a lease from Redis."""
        wanted = [0, 0]
        most = min(_AT_ONCE, self._budget.room(now))
        for place, queue in enumerate(self._bucket.waiting.queues):
            bulk = place > 1
            if now < min(self._look_at, self._shared_at[bulk]):
                break
            for timer in queue.values():
                if timer.loop() is loop:
                    before = sum(wanted)
                    at, _ = self._budget.estimate(now, bulk=bulk, before=before)
                    if before >= most or at > now:
                        return wanted
                    wanted[bulk] += 1
        return wanted

    def _message(self, link: Link, now: float) -> Message | None:
        """Return the reports and the request for leases, or None if nothing is due."""
        if self._stock:
            # The requests for these leases were cancelled.
            self._ledger.repeat(number for number, _ in self._stock)
            self._stock.clear()
            self._tell_at = now
        while self._dropped:
            self._give_back(self._dropped.popleft())
            self._tell_at = now
        self._ledger.forget(now)
        wanted = [0, 0] if self._away or link.parting else self._wanted(link.loop, now)
        due = now >= (self._look_at if self._away else self._tell_at)
        return self._compose(wanted, now) if due or any(wanted) else None

    def _compose(self, wanted: list[int], now: float) -> Message:
        told = self._ledger.tell()
        if self._ledger.untold:
            wanted = [0, 0]  # reports go first
        else:
            self._tell_at = math.inf
        return Message(
            sent=now,
            worker=self._ledger.worker,
            told=told,
            numbers=self._ledger.numbers(sum(wanted), now),
            interactive=wanted[0],
            pause=self._pause,
        )

    def _repeat(self, message: Message, now: float) -> None:
        """Queue the reports again, and give back leases that may have been granted."""
        self._give_back(message)
        self._tell_soon(now)

    def _give_back(self, message: Message) -> None:
        # If a signal handler's exception came late, some leases are in the stock already.
        kept = {number for number, _ in self._stock}
        self._ledger.repeat(number for number in message.numbers if number not in kept)
        self._ledger.repeat(message.told)

    def _lose(self, message: Message, reason: str, now: float) -> None:
        """Continue without Redis for a while."""
        policy = self._limits.on_unavailable
        self._look_at = now + _redis_server.SECONDS_BETWEEN_LOOKS
        if not self._away and policy == "share":
            self._shares = self._share_windows()
        self._away = reason
        self._tell_at = math.inf
        self._repeat(message, now)
        if policy == "fail":
            self._fail_all(RedisUnavailableError, reason)

    def _fail(self, message: Message, reason: str, now: float) -> None:
        """Make the requests that wait for Redis raise its error."""
        self._away, self._shares = "", []
        self._give_back(message)
        self._tell_at = math.inf
        self._tell_soon(now, _redis_server.SECONDS_BETWEEN_LOOKS)
        self._fail_all(RedisLimitsError, reason)

    def _fail_all(self, error: type[RedisLimitsError], reason: str) -> None:
        for lease in self._bucket.waiting:
            self._bucket.waiting.refuse(lease, error(reason))

    def _share_windows(self) -> list[Window]:
        limits, windows = self._limits, []
        counted = self._ledger.counted(but={number for number, _ in self._leases.values()})
        for capacity, period in limits.windows:
            most, reserve = max(1, int(capacity * limits.share)), int(limits.reserve * limits.share)
            windows.append(Window(most, period, margin=limits.margin, reserve=reserve))
            for at in counted:
                windows[-1].give_back(at)
        return windows

    def _receive(self, link: Link, message: Message, answer: list[int], now: float) -> None:
        """Process the response of Redis.

        Redis may have lost its data: it was restarted, flushed, or replaced by a replica. Then its
        set of leases has another epoch. If it was restored from older data, the epoch is the same,
        but this loop needed a new connection. In both cases this worker reports again all leases
        that still count. It gives the granted ones back, because Redis granted them without these
        reports. If the epoch is new, the other workers must do the same, so no lease is requested
        until each of them has had time to call Redis.
        """
        epoch, interactive, bulk, *waits, paused = answer
        granted = message.numbers[: interactive + bulk]
        if self._away:
            self._away, self._shares = "", []
            self._tell_at = now if self._ledger.untold else math.inf
        self._look_at = now + _redis_server.SECONDS_BETWEEN_LOOKS
        if message.pause == self._pause:
            self._pause = -math.inf
        if paused:
            self._budget.pause(now + min(paused, LONGEST_PAUSE) / 1e3)
        if self._restates(link, epoch, now) and self._ledger.repeat_all(but=message.told):
            self._restatements += 1
            self._ledger.repeat(granted)
            self._tell_at = now
            granted = range(0)
            if epoch != self._epoch:
                # By then the other workers have reported again, too.
                self._restated_at = self._look_at
        if not self._is_stale:
            self._epoch = epoch
        self._vain = self._vain + 1 if message.numbers and not granted else 0
        least = max(now, self._restated_at)
        if self._vain > _MOST_VAIN:
            least = max(least, now + _SECONDS_UNTIL_TOLD)
        self._shared_at = (max(least, now + waits[0] / 1e6), max(least, now + waits[1] / 1e6))
        self._stock.extend((number, message.sent) for number in granted)

    def _restates(self, link: Link, epoch: int, now: float) -> bool:
        """Return True if all leases must be reported again now."""
        stale = link.is_fresh() or epoch != self._epoch or self._is_stale
        if not stale or now >= self._restates_at:
            self._restatements = 0
            self._restates_at = now + 2 * _redis_server.SECONDS_BETWEEN_LOOKS
        self._is_stale = stale and self._restatements >= _MOST_RESTATEMENTS
        return stale and not self._is_stale


def redis_bucket(limits: RedisLimits, name: str, clock: Clock | None = None) -> TokenBucket:
    """Return a bucket that shares its tokens through Redis."""
    return TokenBucket(limits, clock=clock, remote=lambda bucket: RedisSource(bucket, limits, name))


make_bucket.register(RedisLimits, redis_bucket)
