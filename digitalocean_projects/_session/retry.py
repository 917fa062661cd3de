"""Retry: what is sent again, and how long to wait before."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from digitalocean_projects._clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects._clock import Clock
    from digitalocean_projects._config import RetryPolicy
    from digitalocean_projects._errors import APIConnectionError, APIStatusError


class Retries:
    """The attempts of one request.

    Args:
        policy: When to try again.
        clock: What `deadline` is measured by.
        deadline: The seconds that all attempts and waits may take; None has no end.
        start_by: When the last attempt may start, on the clock.

    Attributes:
        deadline: When the time is up, on the clock.
        attempts: How many there were.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        clock: Clock = SYSTEM_CLOCK,
        deadline: float | None = None,
        *,
        start_by: float = math.inf,
    ) -> None:
        self.deadline: float = math.inf if deadline is None else clock.time() + deadline
        self._start_by = start_by
        self._policy = policy
        self._clock = clock
        self.attempts: int = 0
        self._in_doubt = False
        self._was_at_once = False
        self._ceilings: Iterator[float] | None = None

    def delay_after(self, failure: APIConnectionError | APIStatusError) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there is to be none.

        Writes into `failure` how often the request was tried, and whether it may have been done.
        A connection that was idle says nothing of the server: there is no wait after the first.
        """
        self.attempts += 1
        self._in_doubt = failure.in_doubt = self._in_doubt or failure.in_doubt
        failure.attempts = self.attempts
        asked = getattr(failure, "retry_after", None) or 0.0
        may_pass = self._policy.covers(failure) and asked <= self._policy.max_retry_after
        if not may_pass:
            return None
        # Each such failure closes the idle connections, so it happens once.
        at_once = getattr(failure, "reused", False) and not self._was_at_once
        self._was_at_once = self._was_at_once or at_once
        return self._delay(asked, at_once=at_once)

    def delay_while_down(self) -> float | None:
        """The same after an answer that says of a part of the request that its service is down."""
        self.attempts += 1
        return self._delay() if HTTPStatus.SERVICE_UNAVAILABLE in self._policy.statuses else None

    def _delay(self, least: float = 0.0, *, at_once: bool = False) -> float | None:
        if self.attempts >= self._policy.attempts:
            return None
        self._ceilings = self._ceilings or self._policy.ceilings()
        ceiling = next(self._ceilings)
        delay = 0.0 if at_once else max(min(self._policy.jitter(ceiling), ceiling), least)
        moment = self._clock.time() + delay
        return delay if moment < self.deadline and moment <= self._start_by else None
