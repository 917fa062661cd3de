"""What an answer's headers say about limits: pure, and defensive."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

_is_count = re.compile("[0-9]{1,15}", re.ASCII).fullmatch
_is_seconds = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII).fullmatch


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


def remaining(headers: Mapping[str, str]) -> int | None:
    """How many requests the API would take in this hour, or None if unsaid."""
    return _count(headers.get("ratelimit-remaining"))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a refused request should wait, at least 0, or None if unsaid.

    `Retry-After` holds seconds or an HTTP date, which is compared with the answer's own `Date`.
    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    text = headers.get("retry-after", "").strip()
    if _is_seconds(text):
        return float(text)
    return _until(_http_date(text), headers)


def retry_after_refusal(headers: Mapping[str, str]) -> float | None:
    """The same of a 429: that of the hourly limit has no `Retry-After`, only the reset."""
    seconds = retry_after(headers)
    return until_reset(headers) if seconds is None else seconds


def until_reset(headers: Mapping[str, str]) -> float | None:
    """The seconds until `ratelimit-reset`, by the server's clock, at least 0, or None if unsaid."""
    return _until(_instant(_count(headers.get("ratelimit-reset"))), headers)


def _until(moment: datetime | None, headers: Mapping[str, str]) -> float | None:
    now = _http_date(headers.get("date", ""))
    if moment is None or now is None:
        return None
    return max(0.0, (moment - now).total_seconds())


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and _is_count(text) else None


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
