"""Headers of responses, and readers of those about rate limits: pure functions that never raise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self

import attrs

from digitalocean_projects._public import publish

_MOST_DIGITS = 15
_is_seconds = re.compile(r"[0-9]++(\.[0-9]++)?", re.ASCII).fullmatch
# The maximum of a wait, since a number with many digits becomes infinity as a float.
_MOST_SECONDS = 1e15


class Headers(Mapping[str, str]):
    """The headers of a response: a read-only mapping, whose keys ignore case.

    Iteration yields the names in lower case. The values of a repeated header are joined by `, `, as
    https://www.rfc-editor.org/rfc/rfc9110#field.combined describes. The `repr` shows no values.
    """

    __slots__ = ("_headers", "_read")

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers: Mapping[str, str] = {} if headers is None else headers
        self._read: dict[str, str] | None = None

    @property
    def _values(self) -> dict[str, str]:
        # The headers of few responses are read, and to read those of one takes 1.3 µs.
        if self._read is None:
            values: dict[str, str] = {}
            for name, value in self._headers.items():
                key = name.lower()
                values[key] = f"{values[key]}, {value}" if key in values else value
            self._headers = self._read = values
        return self._read

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, str]]]:
        # The headers of aiohttp can't be pickled.
        return type(self), (self._values,)

    def __getitem__(self, name: str) -> str:
        with suppress(AttributeError):  # a key of another type is in no mapping of headers
            return self._values[name.lower()]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self._values)}>"


@attrs.frozen(kw_only=True, slots=False)  # faster, see `_described.Request`
class RateLimit:
    """The hourly rate limit of a token, from the headers of a response.

    A member is None if its header is missing or can't be read.
    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Args:
        limit: The number of requests that the token may send in an hour.
        remaining: The number of requests that are left.
        reset: The time at which the oldest counted request stops counting, by the API's clock,
            which may differ from this machine's. The time may have passed already.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: datetime | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> RateLimit | None:
        """Return the rate limit in a response's headers, or None if they have none of its parts."""
        limit = _count(headers.get("ratelimit-limit"))
        left = remaining(headers)
        reset = _instant(_count(headers.get("ratelimit-reset")))
        if limit is None and left is None and reset is None:
            return None
        return cls(limit=limit, remaining=left, reset=reset)


# The periods of the API's two limits: a request stops counting when its period is over.
BURST_SECONDS = 60.0
HOUR_SECONDS = 3600.0


def remaining(headers: Mapping[str, str]) -> int | None:
    """Return the number of requests that are left in this hour; None if the header is missing."""
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

    Only a 429 for the hourly limit has no `Retry-After`; the result is then the time until its
    `ratelimit-reset`. If `Retry-After` can't be read, the 429 is one for the limit per minute; all
    its requests stop counting within `BURST_SECONDS`, so that is the result.

    Returns:
        At least 0; None if the headers contain neither.
    """
    if "retry-after" not in headers:
        return until_reset(headers)
    seconds = retry_after(headers)
    return BURST_SECONDS if seconds is None else seconds


def until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until `ratelimit-reset`, at least 0, or None if the header is missing."""
    return _until(_instant(_count(headers.get("ratelimit-reset"))), headers)


def _until(moment: datetime | None, headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the response's `Date` to `moment`.

    Without a `Date`, this machine's clock is used. It may be wrong by any amount, so the result is
    at most the hour after which the API has forgotten every request.
    """
    if moment is None:
        return None
    now = _http_date(headers.get("date", ""))
    if now is not None:
        return max(0.0, (moment - now).total_seconds())
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), HOUR_SECONDS)


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    text = text.strip()
    # A regular expression takes 0.2 µs more, and each response is asked twice.
    is_count = len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit()
    return int(text) if is_count else None


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


publish(globals())
