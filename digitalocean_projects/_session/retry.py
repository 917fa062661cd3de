"""Retry: the attempts of a request, and the delays between them."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from digitalocean_projects._clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects._clock import Clock
    from digitalocean_projects._config import RetryPolicy
    from digitalocean_projects._described import Request
    from digitalocean_projects._errors import APIConnectionError, APIStatusError

# Against the usual advice for libraries, this logger has no NullHandler. Without one, Python prints
# the warnings of a program that has not configured logging, which otherwise seems to hang during a
# retry. The message names the request, and a configured log adds the logger's name, so the message
# itself doesn't begin with it.
_logger = logging.getLogger("digitalocean_projects")
# Shorter delays in seconds would be written as 0.0.
_NOTICED = 0.05
# Delays in seconds that are so short that only a number of attempts bounds them.
_SHORT = 0.1


class Retries:
    """The attempts of one request.

    Call `record` after each failed attempt, and then ask for the delay.

    Args:
        policy: Decides which failures are retried, and after which delay.
        clock: The clock of `deadline` and `start_by`.
        deadline: Maximum seconds for all attempts and waits; None for no maximum.
        start_by: Latest time on the clock at which an attempt may start.

    Attributes:
        deadline: The time on the clock at which the last attempt must have ended.
        attempts: The number of failed attempts.
        in_flight: True while an attempt is in flight, False during waits before it.
        in_doubt: True if the API may have carried out an attempt that failed.
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
        self.in_flight: bool = False
        self.in_doubt: bool = False
        self._at_once = self._was_at_once = False
        self._ceilings: Iterator[float] | None = None
        self._ceiling = 0.0
        self._busy_since = math.inf

    def record(self, failure: APIConnectionError | APIStatusError | None = None) -> None:
        """Count a failed attempt, and complete the exception's `attempts` and `in_doubt`.

        Args:
            failure: The exception; None if the response reports the status `service_down` for some
                resources.
        """
        self.attempts += 1
        self._ceilings = self._ceilings or self._policy.ceilings()
        self._ceiling = next(self._ceilings)
        if failure is not None:
            self.in_doubt = failure.in_doubt = self.in_doubt or failure.in_doubt
            failure.attempts = self.attempts
            # The loss of an idle connection says nothing about the server, so there is no delay.
            # After it, no idle connection is left, so one attempt without a delay is enough.
            self._at_once = getattr(failure, "reused", False) and not self._was_at_once
            self._was_at_once = self._was_at_once or self._at_once

    def log(
        self,
        request: Request,
        delay: float,
        reason: object,
        *,
        status: int | None = None,
        error: str | None = None,
    ) -> None:
        """Log a failed attempt, after which the request is sent again.

        Args:
            request: The request.
            delay: Seconds until the next attempt starts at the earliest.
            reason: The reason, without a secret.
            status: The HTTP status of the response, if there is one.
            error: The name of the exception, or the status of the resources.
        """
        attempt = max(self.attempts, 1)  # it may not count
        _logger.warning(
            "attempt %d of %d failed, the next one starts %s: %s",
            attempt,
            self._policy.attempts,
            f"in {delay:.1f} s" if delay >= _NOTICED else "at once",
            reason,
            extra={
                "do_method": request.method,
                "do_path": request.target,
                "do_attempt": attempt,
                "do_attempts": self._policy.attempts,
                "do_status": status,
                "do_error": error,
                "do_delay": delay,
            },
        )

    def delay_after(self, failure: APIConnectionError | APIStatusError) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there must be none."""
        asked = getattr(failure, "retry_after", None) or 0.0
        if not self._policy.covers(failure) or asked > self._policy.max_retry_after:
            return None
        return self._delay(asked, at_once=self._at_once)

    def delay_while_down(self) -> float | None:
        """Return the same after a response with the status `service_down`."""
        return self._delay() if HTTPStatus.SERVICE_UNAVAILABLE in self._policy.statuses else None

    def delay_while_busy(self, *, counts: bool) -> float | None:
        """Return the same after a refusal because of other requests.

        The API carries an assignment out seconds to minutes after its response. So after the last
        attempt more follow, as long as the delays are not shorter than `_SHORT`, for up to the
        policy's `max_retry_after` since the first refusal.

        Args:
            counts: False if those were requests of the client, so that the attempt doesn't count.
        """
        if not counts:
            self.attempts -= 1
            return self._delay(at_once=True)
        now, policy = self._clock.time(), self._policy
        self._busy_since = min(self._busy_since, now)
        is_patient = self._ceiling >= _SHORT and now - self._busy_since < policy.max_retry_after
        if is_patient and 1 < policy.attempts <= self.attempts:
            self.attempts = policy.attempts - 1
        # A delay near 0 would be in vain.
        return self._delay(self._ceiling / 2)

    def stop(self) -> None:
        """Allow no further attempt."""
        self._start_by = -math.inf

    def _delay(self, least: float = 0.0, *, at_once: bool = False) -> float | None:
        if self.attempts >= self._policy.attempts:
            return None
        ceiling = self._ceiling
        delay = 0.0 if at_once else max(min(self._policy.jitter(ceiling), ceiling), least)
        moment = self._clock.time() + delay
        return delay if moment < self.deadline and moment <= self._start_by else None
