"""Retry: what is sent again, and how long to wait before."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import attrs
import backoff

from ._errors import APIConnectionError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._errors import APIStatusError


def _at_least(least: float) -> Callable[[Any, Any, Any], None]:
    def check(_: object, attribute: attrs.Attribute[float], value: float) -> None:
        if not least <= value < math.inf:
            raise ValueError(f"{attribute.name} is finite and at least {least}, not {value}")

    return check


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
        jitter: Draws the wait from its ceiling.

    Raises:
        ValueError: A number is out of range.
    """

    attempts: int = attrs.field(default=4, validator=_at_least(1))
    base_delay: float = attrs.field(default=0.5, validator=_at_least(0))
    max_delay: float = attrs.field(default=20.0, validator=_at_least(0))
    max_retry_after: float = attrs.field(default=60.0, validator=_at_least(0))
    statuses: frozenset[int] = attrs.field(
        default=frozenset({408, 429, 500, 502, 503, 504}), converter=_as_frozenset
    )
    jitter: Callable[[float], float] = backoff.full_jitter

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
    """The attempts of one request."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._attempts = 0
        # With a factor of 0, the growing power would never reach its highest value, but overflow.
        self._ceilings = (
            backoff.expo(factor=policy.base_delay, max_value=policy.max_delay)
            if policy.base_delay
            else backoff.constant(0)
        )
        # The generator's first value is for its own decorators.
        next(self._ceilings)

    def delay_after(self, failure: APIConnectionError | APIStatusError) -> float | None:
        """The seconds to wait before the next attempt, or None if there is to be none.

        Writes into `failure` how often the request was tried.
        """
        self._attempts += 1
        failure.attempts = self._attempts
        policy = self._policy
        asked = getattr(failure, "retry_after", None) or 0.0
        if (
            self._attempts >= policy.attempts
            or not policy.covers(failure)
            or asked > policy.max_retry_after
        ):
            return None
        return max(policy.jitter(next(self._ceilings)), asked)


DEFAULT_RETRY = RetryPolicy()
