"""Budget: the arithmetic of a token bucket, without a lock, a loop or a clock."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import deque
from typing import TYPE_CHECKING, Literal

from digitalocean_projects._codec.headers import (
    BURST_SECONDS,
    HOUR_SECONDS,
    remaining,
    retry_after_refusal,
    until_reset,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from digitalocean_projects._config import Limits

End = Literal["settled", "refused", "unsent", "unknown", "overdue"]
"""The end of a request: "settled" by a response, "refused" by a response 429, "unsent", "unknown"
if it may have been sent, or "overdue" if it has not ended in time."""

NO_HEADERS: Mapping[str, str] = {}

_IN_FLIGHT_AT_FIRST = 16
_IN_FLIGHT_AFTER_REFUSAL = 8
# A request that has no response after this time doesn't count for the slow start. Otherwise one
# slow endpoint would delay all requests.
_SECONDS_YOUNG = 1.0
_SECONDS_BETWEEN_PROBES = 1.0
_PAUSE_IF_UNSAID = 1.0
# Maximum number of seconds that are added to a pause.
LONGEST_JITTER = 1.0


class Flight:
    """A request that is in flight, or will be.

    Attributes:
        timeout: Maximum seconds for the request; infinity for no maximum.
        sent: The moment at which it got its tokens; -inf before.
        end: The moment at which it is overdue if it hasn't ended.
        young: True if it counts for the slow start.
    """

    __slots__ = ("end", "sent", "timeout", "young")

    end: float
    sent: float
    timeout: float
    young: bool


class Window:
    """The used tokens of one window, without those of requests in flight.

    Args:
        capacity: The number of tokens.
        period: Seconds for which the API counts a request.
        margin: Seconds that are added to the period.
        reserve: Number of tokens that bulk requests leave to interactive ones.

    Attributes:
        name: The limit of the window in words.
        period: Seconds after which a token returns.
    """

    def __init__(self, capacity: int, period: float, *, margin: float, reserve: int) -> None:
        self.name = f"{capacity} request{'s' if capacity > 1 else ''} per {period:g} s"
        self.period = period + margin
        self._capacity = capacity
        self._reserve = min(reserve, capacity - 1)
        self._back: list[float] = []

    def give_back(self, counted: float) -> None:
        """Schedule the return of a token, one period after the moment when the API counted it."""
        insort(self._back, counted + self.period)

    def in_use(self, now: float, in_flight: int) -> int:
        """Return the number of used tokens, those of requests in flight included."""
        return in_flight + len(self._back) - bisect_right(self._back, now)

    def free_at(self, now: float, in_flight: int, before: int, *, bulk: bool) -> float:
        """Return the earliest moment at which a token is free after `before` more were taken."""
        back = self._back
        missing = in_flight + len(back) + before - self._capacity
        if bulk:
            missing += self._reserve
        if missing < 0:
            return now
        # Most calls end above, so tokens that have returned are dropped only here.
        returned = bisect_right(back, now)
        del back[:returned]
        missing -= returned
        if missing < 0:
            return now
        # Each token may be used several times before the request's turn. A token of a request in
        # flight returns after one period at the earliest.
        rounds, place = divmod(missing, self._capacity)
        earliest = now + self.period
        if place < len(back):
            earliest = min(earliest, back[place])
        return earliest + rounds * self.period


class _Feedback:
    """The part of a budget's state that follows from responses.

    It is needed because other processes may use the same API token.

    A slow start limits the young requests in flight: 16 at first and 8 after a response 429, plus
    one for each success. A response 429 also pauses the bucket. No more requests are sent than the
    latest response reports as remaining. If none are, a single request is sent from time to time.

    Attributes:
        paused_until: The end of the last pause.
        refused: The number of responses 429.
        most_young: The maximum number of young requests.
        left: The number of requests that the API still accepts.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self.paused_until = -math.inf
        self.refused = 0
        self.most_young = _IN_FLIGHT_AT_FIRST
        self.left = math.inf
        self._left_until = -math.inf
        self._heard = -math.inf

    def free_at(self) -> tuple[float, str]:
        """Return the earliest moment for a request, and the reason for a wait."""
        if self.left <= 0 and self._left_until > self.paused_until:
            return self._left_until, "the API reports that none are left"
        return self.paused_until, "a pause after a response 429"

    def lose(self, now: float) -> None:
        """Record a request of unknown fate: assume that it was counted.

        An hour after the latest report of the remaining number, that number is outdated.
        """
        self.left = self.left - 1 if now < self._heard + HOUR_SECONDS else math.inf

    def answer(self, headers: Mapping[str, str], *, sent: float, now: float) -> None:
        """Learn from a response other than a 429.

        `ratelimit-remaining: 0` may also mean that the limit per minute was met, so it never stops
        the bucket for longer than a minute. The next request then shows the reason.
        https://docs.digitalocean.com/reference/api/reference/#rate-limit
        """
        if sent >= self.paused_until:
            self.most_young += 1
        left = remaining(headers)
        if left is None:
            self.lose(now)
        elif left < self.left or sent >= self._heard:
            # All other responses report an older number.
            self._heard, self.left = now, left
            if not left:
                seconds = max(until_reset(headers) or 0.0, _SECONDS_BETWEEN_PROBES)
                self._left_until = now + min(seconds, BURST_SECONDS)

    def refuse(self, headers: Mapping[str, str], *, sent: float, now: float) -> None:
        """Learn from a response 429."""
        self.refused += 1
        self.lose(now)
        asked = retry_after_refusal(headers)
        seconds = _PAUSE_IF_UNSAID if asked is None else min(asked, HOUR_SECONDS)
        # A request that was sent before the end of the pause doesn't start another one.
        if sent >= self.paused_until:
            seconds += self._jitter()
            self.most_young = _IN_FLIGHT_AFTER_REFUSAL
        self.paused_until = max(self.paused_until, now + seconds)


class _Flights:
    """The requests in flight.

    A signal handler's exception may come after any call. The order of the steps in each method
    ensures that the number of young requests is then too low, and never too high: so a few more
    requests are sent, and none waits forever.

    Attributes:
        next_end: The earliest end, possibly of a request that has ended since.
    """

    def __init__(self) -> None:
        self.next_end = math.inf
        self._all: dict[Flight, None] = {}
        # In the order of their start. A request that isn't in it is no longer young.
        self._recent: deque[Flight] = deque()
        self._young = 0

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, flight: Flight) -> bool:
        return flight in self._all

    def add(self, flight: Flight, now: float) -> None:
        """Add a request that starts now; do nothing if it was added before."""
        if flight not in self._all:
            if self._recent:
                self._age(now)
            flight.young = True
            self.next_end = min(self.next_end, flight.end)
            self._all[flight] = None
            self._recent.append(flight)
            self._young += 1

    def remove(self, flight: Flight) -> None:
        """Remove a request that has ended."""
        if flight.young:
            self._young -= 1
            flight.young = False
        del self._all[flight]
        # Ended requests are dropped, since they refer to the bucket, which must be collectable
        # once it has no users.
        while self._recent and not self._recent[0].young:
            self._recent.popleft()

    def young(self, now: float) -> int:
        """Return the number of requests that started less than a second ago."""
        self._age(now)
        return self._young

    def overdue(self, now: float) -> list[Flight]:
        """Return the overdue requests; the caller must remove them."""
        overdue = [flight for flight in self._all if flight.end <= now]
        if not overdue:
            self.next_end = min((flight.end for flight in self._all), default=math.inf)
        return overdue

    def fewer_at(self, now: float, *, young: int, left: float) -> float:
        """Return the moment at which fewer requests than both maxima are in flight.

        It assumes that no request ends before its `end`. It is -inf if there are fewer now, and may
        be too early if a request has ended meanwhile. If `left` is 0, one request may be sent while
        none is in flight.
        """
        at = -math.inf
        if self._young >= young and self.young(now) >= young:
            at = self._recent[0].sent + _SECONDS_YOUNG
        if self._all and len(self._all) >= left:
            at = max(at, self.next_end)
        return at

    def _age(self, now: float) -> None:
        recent = self._recent
        while recent and (not recent[0].young or recent[0].sent + _SECONDS_YOUNG <= now):
            if recent[0].young:
                self._young -= 1
                recent[0].young = False
            recent.popleft()


_NONE: tuple[Flight, ...] = ()


class Budget:
    """The tokens of a bucket: its windows, its requests in flight, and the feedback of responses.

    Args:
        limits: The windows, and the seconds that are added to them.
        jitter: Function that returns a number from 0 to 1: the seconds that are added to a pause.

    Attributes:
        uncertain: True if there was a request of which it is unknown whether it was sent.
    """

    def __init__(self, limits: Limits, jitter: Callable[[], float]) -> None:
        self.uncertain: bool = False
        self._grace = limits.grace
        self._windows = [
            Window(*window, margin=limits.margin, reserve=limits.reserve)
            for window in limits.windows
        ]
        self._feedback = _Feedback(jitter)
        self._flights = _Flights()

    @property
    def in_flight(self) -> int:
        """The number of requests in flight."""
        return len(self._flights)

    @property
    def paused_until(self) -> float:
        """The end of the last pause."""
        return self._feedback.paused_until

    @property
    def refused(self) -> int:
        """The number of responses 429."""
        return self._feedback.refused

    def in_use(self, now: float) -> tuple[int, ...]:
        """Return the number of used tokens of each window."""
        return tuple(window.in_use(now, len(self._flights)) for window in self._windows)

    def ready_at(self, now: float, *, bulk: bool) -> float:
        """Return the moment at which the next request may start if none ends before."""
        at, _ = self.estimate(now, bulk=bulk, before=0)
        return max(at, self.room_at(now))

    def room_at(self, now: float) -> float:
        """Return the moment with room for one more request in flight if none ends before."""
        feedback = self._feedback
        return self._flights.fewer_at(now, young=feedback.most_young, left=feedback.left)

    def room(self, now: float) -> float:
        """Return the number of further requests in flight for which there is room."""
        feedback, flights = self._feedback, self._flights
        return min(feedback.most_young - flights.young(now), max(feedback.left, 1) - len(flights))

    def estimate(self, now: float, *, bulk: bool, before: int) -> tuple[float, str]:
        """Return the earliest moment for a request, and the reason for its wait.

        The requests in flight count as if they were settled now.

        Args:
            now: The time.
            bulk: True if the request leaves the reserve to interactive ones.
            before: The number of requests that start before it.
        """
        at, reason = self._feedback.free_at()
        in_flight = len(self._flights)
        for window in self._windows:
            free_at = window.free_at(now, in_flight, before, bulk=bulk)
            if free_at > at:
                at, reason = free_at, window.name
        if at <= now:
            reason = "the number of concurrent requests is ramping up"
        return at, reason

    def take(self, flight: Flight, now: float) -> None:
        """Record that a request starts."""
        flight.end = now + flight.timeout + self._grace
        self._flights.add(flight, now)
        flight.sent = now

    def end(self, flight: Flight, end: End, headers: Mapping[str, str], now: float) -> float | None:
        """Learn from the end of a request, and schedule the return of its tokens.

        A request that was overdue before, or that belongs to the parent process, has no tokens to
        return.

        Returns:
            The latest moment at which the API has counted the request; None if it hasn't.
        """
        if end == "settled":
            self._feedback.answer(headers, sent=flight.sent, now=now)
        elif end == "refused":
            self._feedback.refuse(headers, sent=flight.sent, now=now)
        counted = flight.end if end == "overdue" else now
        if end == "unknown":
            counted += self._grace
        if flight in self._flights:
            if end in {"unknown", "overdue"}:
                self._feedback.lose(now)
                self.uncertain = True
            if end != "unsent":
                for window in self._windows:
                    window.give_back(counted)
            self._flights.remove(flight)
        return None if end == "unsent" else counted

    def overdue(self, now: float) -> Sequence[Flight]:
        """Return the requests in flight that are overdue."""
        return self._flights.overdue(now) if self._flights.next_end <= now else _NONE

    def pause(self, until: float) -> None:
        """Pause until a moment, before which no request starts."""
        self._feedback.paused_until = max(self._feedback.paused_until, until)

    def is_idle(self, now: float) -> bool:
        """Return True if the budget has the state of a new one."""
        return not (self._flights or self.paused_until > now or any(self.in_use(now)))

    def leave_to_parent(self, now: float) -> None:
        """Treat the requests in flight, which belong to a parent process, as unknown."""
        for window in self._windows:
            for _ in range(len(self._flights)):
                window.give_back(now + self._grace)
        self._flights = _Flights()
