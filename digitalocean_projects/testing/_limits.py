"""Limits: the maximum number of requests of a token, as a sliding log."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from operator import attrgetter, index
from typing import TYPE_CHECKING

import attrs

from ._answer import RefusedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@attrs.frozen
class _Window:
    requests: int
    seconds: float

    def wait(self, log: deque[float], now: float) -> float:
        """Return the seconds until one more request fits; 0 or less if it fits now."""
        if len(log) < self.requests:
            return 0.0
        return log[-self.requests] + self.seconds - now


def _window(requests: int, seconds: float) -> _Window:
    if not (index(requests) >= 1 and 0 < seconds < math.inf):
        raise ValueError(
            "a limit must be at least 1 request in a positive, finite time, "
            f"got {requests} in {seconds} seconds"
        )
    return _Window(requests, seconds)


class Limits:
    """The rate limits of all tokens. It needs a lock if several threads use it.

    Each request counts until it is one window old.

    Args:
        windows: The limits, as pairs of (requests, seconds).

    Raises:
        TypeError: A number of requests is not an integer.
        ValueError: A limit allows no request, or its time is not positive and finite.
    """

    def __init__(self, windows: Iterable[tuple[int, float]]) -> None:
        self._windows = sorted(
            (_window(requests, seconds) for requests, seconds in windows),
            key=attrgetter("seconds"),
        )
        self._logs: defaultdict[str, deque[float]] = defaultdict(deque)

    def check(self, token: str, now: float) -> None:
        """Refuse a request that exceeds a limit.

        Raises:
            RefusedError: A limit is reached. The refusal has a `retry-after`, unless the limit is
                the longest of several.
        """
        log = self._log(token, now)
        waits = [window.wait(log, now) for window in self._windows]
        headers = {"ratelimit-remaining": "0"}
        if len(waits) > 1 and waits[-1] > 0:
            raise RefusedError(429, headers=headers)
        if (wait := max(waits, default=0)) > 0:
            raise RefusedError(429, headers={**headers, "retry-after": str(math.ceil(wait))})

    def keep(self, tokens: Collection[str]) -> None:
        """Forget the requests of other tokens than these, if there are more than these."""
        if len(self._logs) > len(tokens):
            for token in self._logs.keys() - set(tokens):
                del self._logs[token]

    def clear(self) -> None:
        """Forget all requests."""
        self._logs.clear()

    def count(self, token: str, now: float) -> None:
        """Count a request."""
        if self._windows:
            self._log(token, now).append(now)

    def headers(self, token: str, now: float, epoch: float) -> dict[str, str]:
        """Return the headers that describe the longest limit; the token has a request that counts.

        As with the API, no request remains while a shorter limit is reached.

        Args:
            token: The token.
            now: The seconds on the clock.
            epoch: The time at which the clock showed 0.
        """
        if not self._windows:
            return {}
        log, longest = self._log(token, now), self._windows[-1]
        reached = any(window.wait(log, now) > 0 for window in self._windows)
        return {
            "ratelimit-limit": str(longest.requests),
            "ratelimit-remaining": "0" if reached else str(longest.requests - len(log)),
            "ratelimit-reset": str(math.ceil(epoch + log[0] + longest.seconds)),
        }

    def _log(self, token: str, now: float) -> deque[float]:
        """Return the times of the requests that count in the longest window, oldest first."""
        log = self._logs[token]
        while log and log[0] + self._windows[-1].seconds <= now:
            log.popleft()
        return log
