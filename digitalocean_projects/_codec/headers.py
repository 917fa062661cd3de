"""Readers of the response headers about rate limits: pure functions that never raise."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

_is_count = re.compile("[0-9]{1,15}", re.ASCII).fullmatch
_is_seconds = re.compile(r"[0-9]++(\.[0-9]++)?", re.ASCII).fullmatch
# A longer wait is cut to this, since a number of many digits is infinite as a float.
_MOST_SECONDS = 1e15


@attrs.frozen(kw_only=True)
class RateLimit:
    """What the API last said of a token's hourly allowance.

    A member is None where its header is missing or can't be read.
    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Args:
        limit: The requests that the token may send in an hour.
        remaining: How many of them are left.
        reset: When the oldest request that counts stops counting. The API's clock isn't this
            machine's, and it was seen to name a time that has passed.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: datetime | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> RateLimit | None:
        """The rate limit in an answer's headers, or None if they hold nothing of it."""
        found = cls(
            limit=_count(headers.get("ratelimit-limit")),
            remaining=_count(headers.get("ratelimit-remaining")),
            reset=_instant(_count(headers.get("ratelimit-reset"))),
        )
        return None if found == _NOTHING else found


_NOTHING = RateLimit()
# The API's two periods: it has forgotten a request when its period is over.
BURST_SECONDS = 60.0
HOUR_SECONDS = 3600.0


def remaining(headers: Mapping[str, str]) -> int | None:
    """Return how many requests the API would still accept in this hour, or None if unsaid."""
    return _count(headers.get("ratelimit-remaining"))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a request should wait before it is sent again.

    `Retry-After` holds seconds or an HTTP date.
    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after

    Returns:
        At least 0 and finite; None if the header is missing or can't be read.
    """
    text = headers.get("retry-after", "").strip()
    if _is_seconds(text):
        return min(float(text), _MOST_SECONDS)
    return _until(_http_date(text), headers)


def retry_after_refusal(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a request should wait after a 429.

    Only the refusal for the hourly limit comes without `Retry-After`; then the time until
    `ratelimit-reset` counts. A header that can't be read belongs to a refusal for the limit per
    minute, which has forgotten all requests after `BURST_SECONDS`.

    Returns:
        At least 0; None if nothing says it.
    """
    if "retry-after" not in headers:
        return until_reset(headers)
    seconds = retry_after(headers)
    return BURST_SECONDS if seconds is None else seconds


def until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until `ratelimit-reset`, at least 0, or None if unsaid."""
    return _until(_instant(_count(headers.get("ratelimit-reset"))), headers)


def _until(moment: datetime | None, headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the response's `Date` to `moment`.

    Without a `Date` this machine's clock has to do. It may be wrong by any amount, so it never
    says more than the hour after which the API has forgotten every request.
    """
    if moment is None:
        return None
    now = _http_date(headers.get("date", ""))
    if now is not None:
        return max(0.0, (moment - now).total_seconds())
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), HOUR_SECONDS)


def _count(text: str | None) -> int | None:
    text = "" if text is None else text.strip()
    return int(text) if _is_count(text) else None


def _instant(seconds: int | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
