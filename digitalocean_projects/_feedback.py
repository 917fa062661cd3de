"""Feedback: what the API's answers say of how many more requests it takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._headers import remaining, retry_after_refusal, until_reset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_IN_FLIGHT_AT_FIRST = 16
_IN_FLIGHT_AFTER_REFUSAL = 8
_SECONDS_BETWEEN_PROBES = 1.0
_PAUSE_IF_UNSAID = 1.0
# The API has forgotten all requests then.
_LONGEST_PAUSE = 3600.0


class Feedback:
    """How a token bucket's requests fare, which others with the same token may send, too.

    Few may be under way at first, and one more after each answer. A refusal is a pause for all,
    and few again. No more go than the last answer said are left; when more should be, one goes to
    see.

    Args:
        jitter: Draws from 0 to 1 the seconds that are added to a pause.

    Attributes:
        most_in_flight: How many requests may be under way.
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

    @property
    def most_in_flight(self) -> float:
        """How many may be under way: no more than are left, but for one that goes to see."""
        return min(self._started, max(self._left, 1))

    def free_at(self) -> tuple[float, str]:
        """When one may go at the soonest, and for what it waits."""
        if self._left <= 0 and self._left_until > self.paused_until:
            return self._left_until, "the API says that no more are left"
        return self.paused_until, "a pause after a refusal"

    def lose(self) -> None:
        """Know of one that may have been counted, and didn't say what is left."""
        self._left -= 1

    def answer(self, headers: Mapping[str, str], *, sent: float, now: float) -> None:
        """Learn from an answer."""
        if sent >= self.paused_until:
            self._started += 1
        left = remaining(headers)
        if left is None:
            self.lose()
        elif left < self._left or sent >= self._heard:
            # Any other was counted before the one that was heard last.
            self._heard, self._left = now, left
            if not left:
                seconds = max(until_reset(headers) or 0.0, _SECONDS_BETWEEN_PROBES)
                self._left_until = now + min(seconds, _LONGEST_PAUSE)

    def refuse(self, headers: Mapping[str, str], *, sent: float, now: float) -> None:
        """Learn from a refusal."""
        self.refused += 1
        self.lose()
        asked = retry_after_refusal(headers)
        seconds = _PAUSE_IF_UNSAID if asked is None else min(asked, _LONGEST_PAUSE)
        # What was sent before the end of a pause belongs to the refusal that began that.
        if sent >= self.paused_until:
            seconds += self._jitter()
            self._started = _IN_FLIGHT_AFTER_REFUSAL
        self.paused_until = max(self.paused_until, now + seconds)
