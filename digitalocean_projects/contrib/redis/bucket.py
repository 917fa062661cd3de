"""RedisBucket: a token bucket that shares its tokens through Redis."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from digitalocean_projects._clock import call_later
from digitalocean_projects._errors import RateLimitWaitError
from digitalocean_projects._limiter.bucket import TokenBucket
from digitalocean_projects._limiter.window import Window
from digitalocean_projects._process import keep_for_ever

from . import server as _redis_server
from .errors import RedisLimitsError, RedisUnavailableError
from .ledger import Ledger
from .link import Link
from .script import Message, constants

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable, Mapping

    from digitalocean_projects._clock import Clock
    from digitalocean_projects._limiter.lease import Lease

    from .limits import RedisLimits

T = TypeVar("T")

_AT_ONCE = 8
_SECONDS_UNTIL_TOLD = 0.05
_TICK = 0.001


class RedisBucket(TokenBucket):
    """A token bucket whose tokens are, besides, those of all who share them through Redis.

    Whom the bucket itself would let go waits for a lease from Redis. Each event loop with such
    waiters asks for up to eight at once. What becomes of the leases is told with the next question,
    or shortly after. All buckets of a loop share its connections.

    Args:
        limits: The limits.
        name: What stands for the token in Redis.
        clock: What time is measured and waited by, between the looks at Redis' own clock.
    """

    _limits: RedisLimits

    def __init__(self, limits: RedisLimits, name: str, clock: Clock | None = None) -> None:
        self._key = f"{limits.prefix}:{{{name}}}"
        self._constants = constants(limits, limits.hold)
        self._away = ""
        self._shares: list[Window] = []
        self._look_at = self._restated_at = -math.inf
        self._shared_at = (-math.inf, -math.inf)
        self._epoch = 0
        self._begin(limits)
        super().__init__(limits, clock=clock)

    def _begin(self, limits: RedisLimits) -> None:
        """Have no leases, and nothing to do with Redis."""
        self._ledger = Ledger(max(period for _, period in limits.windows) + limits.margin)
        self._leases: dict[Lease, tuple[int, float]] = {}
        self._failed: dict[Lease, RedisLimitsError] = {}
        self._stock: deque[tuple[int, float]] = deque()
        self._links: dict[AbstractEventLoop, Link] = {}
        self._pause = -math.inf
        self._tell_at = math.inf

    async def _acquire(self, lease: Lease) -> None:
        loop, until = asyncio.get_running_loop(), self._clock.time() + lease.max_wait
        while True:
            if self._away:
                self._lead(loop)
                if self._limits.on_unavailable == "fail" and self._clock.time() < self._look_at:
                    raise RedisUnavailableError(self._away)
            error = None
            try:
                await super()._acquire(lease)
            except RateLimitWaitError:
                error = self._failed.pop(lease, None)
                if error is None:
                    raise
            if error is not None:
                raise error
            if self._is_fresh(lease):
                return
            lease.ahead, lease.max_wait = True, until - self._clock.time()

    def _is_fresh(self, lease: Lease) -> bool:
        """Whether enough of the hold is left for a request; else the lease is given back."""
        now = self._clock.time()
        # A forked process has left the lease to its parent.
        _, since = self._leases.get(lease, (0, now))
        if now - since <= self._limits.hold / 2:
            return True
        self._change(partial(self._give_back, lease, None))
        lease.sent = -math.inf
        return False

    def _estimate(self, now: float, *, bulk: bool, before: int) -> tuple[float, str]:
        at, reason = super()._estimate(now, bulk=bulk, before=before)
        for window in self._shares:
            free_at = window.free_at(now, len(self._flights), before, bulk=bulk)
            if free_at > at:
                at, reason = free_at, f"{window.name}, while Redis is away"
        if not self._away and not self._stock and self._shared_at[bulk] > at:
            at, reason = self._shared_at[bulk], "other workers have the tokens"
        return at, reason

    def _ready_at(self, now: float, *, bulk: bool) -> float:
        at = super()._ready_at(now, bulk=bulk)
        alone = self._away and self._limits.on_unavailable != "fail"
        return at if at > now or self._stock or alone else math.inf

    def _next_change(self, now: float) -> float:
        at = super()._next_change(now)
        return min(at, self._look_at) if self._look_at > now else at

    def _take(self, lease: Lease, now: float) -> None:
        super()._take(lease, now)
        if self._stock:
            number, since = self._stock.popleft()
        else:
            (number,), since = self._ledger.numbers(1), now
            self._ledger.repeat([number])
        self._leases[lease] = number, since
        self._ledger.open(number, since + self._limits.hold)

    def _let_go(self, now: float) -> list[AbstractEventLoop]:
        late = super()._let_go(now)
        return late + [loop for loop in self._timers if loop not in late and self._asks(loop, now)]

    def _give_back(self, lease: Lease, after: float | None, now: float) -> None:
        super()._give_back(lease, after, now)
        if lease not in self._leases:
            return
        number, _ = self._leases.pop(lease)
        self._ledger.close(number, None if after is None else now + after)
        if after is not None:
            for window in self._shares:
                window.give_back(now + window.period + after)
        self._tell_soon(now)

    def _refuse(self, lease: Lease, headers: Mapping[str, str], now: float) -> None:
        super()._refuse(lease, headers, now)
        self._pause = self._feedback.paused_until
        self._tell_soon(now, 0.0)

    def _set_timer(self, loop: AbstractEventLoop) -> None:
        super()._set_timer(loop)
        self._lead(loop)

    def _tell_soon(self, now: float, seconds: float = _SECONDS_UNTIL_TOLD) -> None:
        """Have Redis told of what has changed, unless a question takes it along before."""
        at = max(now + seconds, self._look_at if self._away else now)
        if at < self._tell_at and (self._ledger.untold or self._pause > now):
            self._tell_at = at
            # One loop is enough, if it isn't about to end, or closed.
            loops = [loop for loop, link in self._links.items() if not link.parting]
            any(_later(loop, self._tell_later, loop) for loop in loops)

    def _tell_later(self, loop: AbstractEventLoop) -> None:
        seconds = self._tell_at - self._clock.time()
        if seconds < math.inf:
            call_later(self._clock, max(0.0, seconds) + _TICK, partial(self._tell, loop))

    def _tell(self, loop: AbstractEventLoop) -> None:
        if loop in self._links:
            self._lead(loop)

    def _lead(self, loop: AbstractEventLoop) -> None:
        """Have the loop talk to Redis, if there is a reason to, and it doesn't already."""
        if self._locked(partial(self._asks, loop)):
            link = self._links.get(loop) or self._open()
            link.busy = True
            link.task = loop.create_task(self._talk(link))
            link.task.add_done_callback(partial(self._rest, link))

    def _open(self) -> Link:
        """A link of the running loop; not made as a change, which any thread may make."""
        limits, part = self._limits, weakref.WeakMethod(self._part)
        link = Link(limits.url, self._key, self._constants, limits.on_unavailable, part)
        self._change(partial(self._keep, link))
        return link

    def _keep(self, link: Link, _: float) -> None:
        links = [*self._links.values(), link]
        self._links = {link.loop: link for link in links if not link.loop.is_closed()}

    def _locked(self, function: Callable[[float], T]) -> T:
        """What the function returns, called with the lock held."""
        results: list[T] = []
        self._change(lambda now: results.append(function(now)))
        return results[0]

    def _rest(self, link: Link, _: Task[None]) -> None:
        link.busy = link.parting
        self._set_timer(link.loop)

    async def _part(self, loop: AbstractEventLoop) -> None:
        """Tell Redis the last things from a loop that ends."""
        link = self._links[loop]
        link.busy = link.parting = True
        link.task.cancel()
        await asyncio.wait([link.task])
        self._change(partial(self._tell_soon, seconds=0.0))
        await self._talk(link)
        self._change(lambda _: self._links.pop(loop))

    async def _talk(self, link: Link) -> None:
        """Tell and ask Redis, until there is no more reason to."""
        while (message := self._locked(partial(self._message, link))) is not None:
            try:
                answer = await link.call(message)
            except RedisUnavailableError as error:
                self._change(partial(self._lose, message, error.reason))
            except RedisLimitsError as error:
                self._change(partial(self._fail, message, error.reason))
            except BaseException:
                self._change(partial(self._repeat, message))
                raise
            else:
                self._change(partial(self._receive, link, message, answer))

    def _asks(self, loop: AbstractEventLoop, now: float) -> bool:
        """Whether the loop has a reason to talk to Redis, and doesn't already."""
        link = self._links.get(loop)
        if link is not None and link.busy:
            return False
        if self._away:
            return now >= self._look_at
        return now >= self._tell_at or any(self._wanted(loop, now))

    def _wanted(self, loop: AbstractEventLoop, now: float) -> list[int]:
        """How many of the loop's waiters, of each class, only a lease from Redis keeps waiting."""
        wanted = [0, 0]
        most = min(_AT_ONCE, self._room())
        for place, queue in enumerate(self._queues):
            bulk = place > 1
            if now < min(self._look_at, self._shared_at[bulk]):
                break
            for owner in queue.values():
                if owner() is loop:
                    before = sum(wanted)
                    at, _ = super()._estimate(now, bulk=bulk, before=before)
                    if before >= most or at > now:
                        return wanted
                    wanted[bulk] += 1
        return wanted

    def _message(self, link: Link, now: float) -> Message | None:
        """What there is to tell and to ask, if there is a reason to do it now."""
        if self._stock:
            # Whom it was for has left.
            self._ledger.repeat(number for number, _ in self._stock)
            self._stock.clear()
            self._tell_at = now
        self._ledger.forget(now)
        wanted = [0, 0] if self._away or link.parting else self._wanted(link.loop, now)
        due = now >= (self._look_at if self._away else self._tell_at)
        return self._compose(wanted, now) if due or any(wanted) else None

    def _compose(self, wanted: list[int], now: float) -> Message:
        told = self._ledger.tell()
        if self._ledger.untold:
            wanted = [0, 0]  # all is to be told first
        else:
            self._tell_at = math.inf
        return Message(
            sent=now,
            worker=self._ledger.worker,
            told=told,
            numbers=self._ledger.numbers(sum(wanted)),
            interactive=wanted[0],
            pause=self._pause,
        )

    def _repeat(self, message: Message, now: float) -> None:
        """Tell once more what may not have arrived, and give back what may have been granted."""
        self._ledger.repeat([*message.told, *message.numbers])
        self._tell_soon(now)

    def _lose(self, message: Message, reason: str, now: float) -> None:
        """Go on without Redis for a while."""
        policy = self._limits.on_unavailable
        self._look_at = now + _redis_server.SECONDS_BETWEEN_LOOKS
        if not self._away and policy == "share":
            self._shares = self._share_windows()
        self._away = reason
        self._tell_at = math.inf
        self._repeat(message, now)
        if policy == "fail":
            self._fail_all(RedisUnavailableError, reason, now)

    def _fail(self, message: Message, reason: str, now: float) -> None:
        """Fail those that wait for Redis, which can be reached, and gives no answer."""
        self._away, self._shares = "", []
        self._ledger.repeat([*message.told, *message.numbers])
        self._tell_at = math.inf
        self._tell_soon(now, _redis_server.SECONDS_BETWEEN_LOOKS)
        self._fail_all(RedisLimitsError, reason, now)

    def _fail_all(self, error: type[RedisLimitsError], reason: str, now: float) -> None:
        for lease, loop in [item for queue in self._queues for item in queue.items()]:
            self._leave(lease, now)
            self._failed[lease] = error(reason)
            lease.reason = reason
            self._wake(lease, loop())

    def _share_windows(self) -> list[Window]:
        limits, windows = self._limits, []
        counted = self._ledger.counted(but={number for number, _ in self._leases.values()})
        for capacity, period in limits.windows:
            most, reserve = max(1, int(capacity * limits.share)), int(limits.reserve * limits.share)
            windows.append(Window(most, period, margin=limits.margin, reserve=reserve))
            for at in counted:
                windows[-1].give_back(at + windows[-1].period)
        return windows

    def _receive(self, link: Link, message: Message, answer: list[int], now: float) -> None:
        epoch, interactive, bulk, *waits, paused = answer
        granted = message.numbers[: interactive + bulk]
        if self._away:
            self._away, self._shares = "", []
            self._tell_at = now if self._ledger.untold else math.inf
        self._look_at = now + _redis_server.SECONDS_BETWEEN_LOOKS
        if message.pause == self._pause:
            self._pause = -math.inf
        if paused:
            until = now + paused / 1e3
            self._feedback.paused_until = max(self._feedback.paused_until, until)
            self._expire_paused(now)
        is_new, self._epoch = epoch != self._epoch, epoch
        is_fresh = link.is_fresh()
        if (is_new or is_fresh) and self._ledger.repeat_all(but=message.told):
            self._ledger.repeat(granted)
            self._tell_at = now
            if is_new:
                # By then the others, too, have looked and told again.
                self._restated_at = self._look_at
            granted = range(0)
        self._stock.extend((number, message.sent) for number in granted)
        least = max(now, self._restated_at)
        self._shared_at = (max(least, now + waits[0] / 1e6), max(least, now + waits[1] / 1e6))

    def _leave_to_parent(self) -> None:
        super()._leave_to_parent()
        for link in self._links.values():
            keep_for_ever(link)
        self._begin(self._limits)


def _later(loop: AbstractEventLoop, callback: Callable[..., object], *args: object) -> bool:
    """Have the loop call it, where no lock is held; returns False if the loop is closed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)
        return True
    return False
