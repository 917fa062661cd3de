"""Retry: what is sent again, and how long to wait before."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import attrs
import backoff

from digitalocean_projects._clock import SYSTEM_CLOCK
from digitalocean_projects._errors import APIConnectionError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from digitalocean_projects._clock import Clock
    from digitalocean_projects._errors import APIStatusError


def _at_least(least: float) -> Callable[[Any, Any, Any], None]:
    def check(_: object, attribute: attrs.Attribute[float], value: float) -> None:
        if not least <= value < math.inf:
            raise ValueError(f"{attribute.name} is finite and at least {least}, not {value}")

    return check


def _is_callable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise TypeError(f"{attribute.name} must be callable, got {type(value).__name__}")


def _as_frozenset(statuses: Iterable[int]) -> frozenset[int]:
    return frozenset(statuses)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When and how often a request is sent again.

    After a failure that may pass, a request waits and is sent again: a connection that failed, a
    time-out, or an answer with one of `statuses`. The wait is drawn from 0 to a ceiling that
    doubles each time ("full jitter"), and is at least what the answer's `Retry-After` asks for.

    Args:
        attempts: How often a request is sent at the most; 1 for never again.
        base_delay: The first ceiling, in seconds.
        max_delay: The highest ceiling, in seconds.
        max_retry_after: The seconds that an answer may ask to wait; if it asks for more, its error
            is raised at once.
        statuses: Which answers are asked again. A 5xx that isn't named counts as 500, but for 501.
        jitter: Returns the seconds to wait for a ceiling in seconds, which is the most that is
            waited, unless `Retry-After` asks for more.

    Raises:
        TypeError: `jitter` is not callable.
        ValueError: A number is out of range.
    """

    attempts: int = attrs.field(default=4, validator=_at_least(1))
    base_delay: float = attrs.field(default=0.5, validator=_at_least(0))
    max_delay: float = attrs.field(default=20.0, validator=_at_least(0))
    max_retry_after: float = attrs.field(default=60.0, validator=_at_least(0))
    statuses: frozenset[int] = attrs.field(
        default=frozenset({408, 429, 500, 502, 503, 504}), converter=_as_frozenset
    )
    jitter: Callable[[float], float] = attrs.field(
        default=backoff.full_jitter, validator=_is_callable
    )

    def covers(self, failure: APIConnectionError | APIStatusError) -> bool:
        """Whether another attempt may succeed where this one failed."""
        if isinstance(failure, APIConnectionError):
            return failure.transient
        if failure.status in self.statuses:
            return True
        counts_as_500 = (
            isinstance(failure, ServerError) and failure.status != HTTPStatus.NOT_IMPLEMENTED
        )
        return counts_as_500 and HTTPStatus.INTERNAL_SERVER_ERROR in self.statuses


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
        self._ceilings = self._ceilings or _ceilings(self._policy)
        ceiling = next(self._ceilings)
        delay = 0.0 if at_once else max(min(self._policy.jitter(ceiling), ceiling), least)
        moment = self._clock.time() + delay
        return delay if moment < self.deadline and moment <= self._start_by else None


def _ceilings(policy: RetryPolicy) -> Iterator[float]:
    # With a factor of 0, the growing power would never reach its highest value, but overflow.
    ceilings: Iterator[float] = (
        backoff.expo(factor=policy.base_delay, max_value=policy.max_delay)
        if policy.base_delay
        else backoff.constant(0)
    )
    # The generator's first value is for its own decorators.
    next(ceilings)
    return ceilings


DEFAULT_RETRY = RetryPolicy()
