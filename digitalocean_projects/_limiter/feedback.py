"""Feedback: how many more requests the API accepts, as its responses say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from digitalocean_projects._codec.headers import (
    BURST_SECONDS,
    HOUR_SECONDS,
    remaining,
    retry_after_refusal,
    until_reset,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_IN_FLIGHT_AT_FIRST = 16
_IN_FLIGHT_AFTER_REFUSAL = 8
_SECONDS_BETWEEN_PROBES = 1.0
_PAUSE_IF_UNSAID = 1.0
# Seconds that are added to a pause.
LONGEST_JITTER = 1.0


class Feedback:
    """The state that responses leave in a token bucket; other processes may use the token, too.

    A slow start limits the requests in flight: 16 at first and 8 after a refusal, plus one for each
    success. A refusal also pauses the bucket. No more requests go than the last response says
    are left; when none are, one goes from time to time to find out.

    Args:
        jitter: Returns 0 to 1, the seconds that are added to a pause.

    Attributes:
        paused_until: When the last pause ends.
        refused: How many requests were refused.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self.paused_until = -math.inf
        self.refused = 0
        self._started = _IN_FLIGHT_AT_FIRST
        self._left = math.inf
        self._left_until = -math.inf
        self._heard = -math.inf

    def most_young(self) -> int:
        """Return how many requests the slow start allows at once."""
        return self._started

    def most_in_flight(self) -> float:
        """Return how many requests may be in flight: those left, or one that finds out."""
        return max(self._left, 1)

    def free_at(self) -> tuple[float, str]:
        """Return when a request may go at the earliest, and the reason for a wait."""
        if self._left <= 0 and self._left_until > self.paused_until:
            return self._left_until, "the API says that no more are left"
        return self.paused_until, "a pause after a refusal"

    def lose(self) -> None:
        """Record a request whose response didn't say what is left: assume it was counted."""
        self._left -= 1

    def answer(self, headers: Mapping[str, str], *, sent: float, now: float) -> None:
        """Learn from a response other than a 429.

        `ratelimit-remaining: 0` may also mean that the limit per minute was met, so it never stops
        the bucket for longer than a minute; the request that then goes first finds out.
        https://docs.digitalocean.com/reference/api/reference/#rate-limit
        """
        if sent >= self.paused_until:
            self._started += 1
        left = remaining(headers)
        if left is None:
            self.lose()
        elif left < self._left or sent >= self._heard:
            # Any other response is older than the one that was heard last.
            self._heard, self._left = now, left
            if not left:
                seconds = max(until_reset(headers) or 0.0, _SECONDS_BETWEEN_PROBES)
                self._left_until = now + min(seconds, BURST_SECONDS)

    def refuse(self, headers: Mapping[str, str], *, sent: float, now: float) -> None:
        """Learn from a 429."""
        self.refused += 1
        self.lose()
        asked = retry_after_refusal(headers)
        seconds = _PAUSE_IF_UNSAID if asked is None else min(asked, HOUR_SECONDS)
        # A request that was sent before the pause ended belongs to the refusal that began it.
        if sent >= self.paused_until:
            seconds += self._jitter()
            self._started = _IN_FLIGHT_AFTER_REFUSAL
        self.paused_until = max(self.paused_until, now + seconds)
