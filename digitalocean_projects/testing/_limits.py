"""Limits: how many requests a token may send, as a sliding log."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from operator import attrgetter, index
from typing import TYPE_CHECKING

import attrs

from ._answer import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable


@attrs.frozen
class _Window:
    requests: int
    seconds: float

    def wait(self, log: deque[float], now: float) -> float:
        """Seconds until there is room for one more request; none of them or less if there is."""
        if len(log) < self.requests:
            return 0.0
        return log[-self.requests] + self.seconds - now


def _window(requests: int, seconds: float) -> _Window:
    if not (index(requests) >= 1 and 0 < seconds < math.inf):
        raise ValueError(f"not a limit: {requests} requests in {seconds} seconds")
    return _Window(requests, seconds)


class Limits:
    """What the tokens have spent of their limits; whoever shares it among threads guards it.

    Each request has its own timer: it counts until it is one window old.

    Args:
        windows: For each limit, how many requests it allows in how many seconds.

    Raises:
        TypeError: A number of requests is no integer.
        ValueError: A limit allows no request, or its time isn't positive and finite.
    """

    def __init__(self, windows: Iterable[tuple[int, float]]) -> None:
        self._windows = sorted(
            (_window(requests, seconds) for requests, seconds in windows),
            key=attrgetter("seconds"),
        )
        self._logs: defaultdict[str, deque[float]] = defaultdict(deque)

    def check(self, token: str, now: float) -> None:
        """See whether a request may pass.

        Raises:
            RefusedError: A limit is reached. What is said of the longest one, if there are
                several, is when its oldest request expires; else how long to wait.
        """
        log = self._log(token, now)
        waits = [window.wait(log, now) for window in self._windows]
        headers = {"ratelimit-remaining": "0"}
        if len(waits) > 1 and waits[-1] > 0:
            raise RefusedError(429, headers=headers)
        if (wait := max(waits, default=0)) > 0:
            raise RefusedError(429, headers={**headers, "retry-after": str(math.ceil(wait))})

    def count(self, token: str, now: float) -> None:
        """A request has come."""
        if self._windows:
            self._log(token, now).append(now)

    def headers(self, token: str, now: float, epoch: float) -> dict[str, str]:
        """What an answer says of the longest limit, where the clock showed 0 at the time `epoch`.

        The token has requests that count.
        """
        if not self._windows:
            return {}
        log, longest = self._log(token, now), self._windows[-1]
        return {
            "ratelimit-limit": str(longest.requests),
            "ratelimit-remaining": str(max(0, longest.requests - len(log))),
            "ratelimit-reset": str(math.ceil(epoch + log[0] + longest.seconds)),
        }

    def _log(self, token: str, now: float) -> deque[float]:
        """When the requests came that count in the longest window, oldest first."""
        log = self._logs[token]
        while log and log[0] + self._windows[-1].seconds <= now:
            log.popleft()
        return log
