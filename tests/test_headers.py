"""Headers about limits, valid, malformed and hostile."""

from __future__ import annotations

import copy
import math
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from digitalocean_projects import RateLimit
from digitalocean_projects._codec.headers import (
    Headers,
    remaining,
    retry_after,
    retry_after_refusal,
    until_reset,
)

NOW = "Fri, 28 Sep 2018 19:26:37 GMT"
NOW_SECONDS = int(datetime(2018, 9, 28, 19, 26, 37, tzinfo=UTC).timestamp())
NUMBERS = ["0", "1", "60", "0.5", "86400"]
NO_NUMBERS = [
    "",
    " ",
    "soon",
    "-1",
    "+1",
    "nan",
    "inf",
    "-inf",
    "1e3",
    "0x10",
    "1_000",
    "5, 6",
    "٣",
]
NO_NUMBERS += [".5", "1.", "1.2.3", "²", "1\n2"]
# As seconds they are only too long.
LARGE_NUMBERS = ["9" * 16, "9" * 5_000, "9" * 1_000_000]
NO_DATES = ["Fri, 28 Sep 99999 19:26:37 GMT", "Fri, 31 Feb 2018 19:26:37 GMT", "28 Sep", NOW[:11]]
NO_DATES += [f"Fri, 28 Sep {'9' * 20} 19:26:37 GMT", "28-Sep- 19:26:37 GMT"]
NO_DATES += ["Fri, 28 Sep 2018 25:26:37 GMT", f"{NOW[:-3]}+9999999", f"Fri, {'9' * 5_000} Sep 2018"]

date_parts = st.sampled_from([*NOW.split(), "99999", "-0000", "+2400", "-", ":", "9:9:9"])
values = st.one_of(
    st.text(),
    st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,20})?"),
    st.lists(date_parts | st.text(max_size=3), max_size=8).map(" ".join),
)
names = st.sampled_from(["date", "retry-after", "ratelimit-limit", "ratelimit-reset"])


def test_rate_limit() -> None:
    headers = {
        "ratelimit-limit": "5000",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "1538162797",
    }
    moment = datetime(2018, 9, 28, 19, 26, 37, tzinfo=UTC)
    assert RateLimit(limit=5000, remaining=0, reset=moment) == RateLimit.from_headers(headers)


@pytest.mark.parametrize("garbage", [*NO_NUMBERS, *LARGE_NUMBERS, "0.5"])
@pytest.mark.parametrize("member", ["limit", "remaining", "reset"])
def test_rate_limit_in_part(member: str, garbage: str) -> None:
    """A member is None if its header is missing or not an integer of at least 0."""
    header = f"ratelimit-{member}"
    whole = {f"ratelimit-{name}": "5" for name in ("limit", "remaining", "reset")}
    five = RateLimit(limit=5, remaining=5, reset=datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC))
    changes: dict[str, Any] = {member: None}
    expected = attrs.evolve(five, **changes)
    assert expected == RateLimit.from_headers(whole | {header: garbage})
    del whole[header]
    assert expected == RateLimit.from_headers(whole)
    assert RateLimit.from_headers({header: garbage}) is None


@pytest.mark.parametrize("headers", [{}, {"date": NOW}, {"ratelimit-reset": "9" * 15}])
def test_no_rate_limit(headers: dict[str, str]) -> None:
    """There is no rate limit without headers, or with only an impossible reset."""
    assert RateLimit.from_headers(headers) is None


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize("space", ["", " ", "\t"])
def test_retry_after_seconds(space: str, text: str) -> None:
    """`Retry-After` in seconds can have a fraction, and can be a day."""
    assert float(text) == retry_after({"retry-after": f"{space}{text}{space}"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *((text, 1e15) for text in LARGE_NUMBERS),
        ("9" * 15, 999_999_999_999_999.0),
        ("0" * 5_000 + "30", 30.0),
        ("9" * 5_000 + "." + "9" * 5_000, 1e15),
        ("0.1234567890123456789", 0.12345678901234568),
    ],
)
def test_retry_after_digits(text: str, seconds: float) -> None:
    """A number of any length is read, and a very large one is finite."""
    headers = {"retry-after": text, "date": NOW}
    assert (seconds, seconds) == (retry_after(headers), retry_after_refusal(headers))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Fri, 28 Sep 2018 19:27:07 GMT", 30.0),
        ("Friday, 28-Sep-18 19:27:07 GMT", 30.0),
        ("Fri Sep 28 19:27:07 2018", 30.0),
        ("Fri, 28 Sep 2018 19:27:07 -0000", 30.0),
        ("Fri, 28 Sep 2018 21:27:07 +0200", 30.0),
        ("Sat, 29 Sep 2018 19:26:37 GMT", 86400.0),
        (NOW, 0.0),
        ("Fri, 28 Sep 2018 19:26:07 GMT", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
    ],
)
def test_retry_after_date(text: str, seconds: float) -> None:
    """`Retry-After` as an HTTP date counts from the answer's `Date`, and the past is 0."""
    assert seconds == retry_after({"retry-after": text, "date": NOW})


@pytest.mark.parametrize("garbage", [*NO_NUMBERS, *NO_DATES])
def test_retry_after_garbage(garbage: str) -> None:
    """Invalid text is ignored; in a 429 it counts as a minute."""
    headers = {"retry-after": garbage, "date": NOW, "ratelimit-reset": str(NOW_SECONDS + 1500)}
    assert (None, 60.0) == (retry_after(headers), retry_after_refusal(headers))


def test_retry_after_missing() -> None:
    """For a 429 without `Retry-After`, the reset of the hourly limit counts."""
    headers = {"date": NOW, "ratelimit-reset": str(NOW_SECONDS + 1500)}
    assert (None, 1500.0) == (retry_after(headers), retry_after_refusal(headers))
    assert retry_after_refusal({"date": NOW}) is None


@pytest.mark.parametrize("date", [None, *NO_NUMBERS, *LARGE_NUMBERS, *NO_DATES])
@pytest.mark.parametrize(
    ("ahead", "least", "most"),
    [(600, 500, 600), (86_400, 3600, 3600), (10**9, 3600, 3600), (0, 0, 0), (-86_400, 0, 0)],
)
def test_without_a_date(date: str | None, ahead: int, least: float, most: float) -> None:
    """Without a readable `Date`, this machine's clock is used, for an hour at most."""
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=ahead)
    dates = {} if date is None else {"date": date}
    after = {**dates, "retry-after": format_datetime(moment, usegmt=True)}
    reset = {**dates, "ratelimit-reset": str(int(moment.timestamp()))}
    for seconds in (retry_after(after), retry_after_refusal(after), until_reset(reset)):
        assert seconds is not None
        assert least <= seconds <= most


@pytest.mark.parametrize("space", ["", " ", "\t", "  "])
def test_spaces(space: str) -> None:
    """Blanks around a number are ignored, as in HTTP."""
    headers = {f"ratelimit-{name}": f"{space}7{space}" for name in ("limit", "remaining", "reset")}
    seven = datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)
    assert RateLimit(limit=7, remaining=7, reset=seven) == RateLimit.from_headers(headers)
    assert 7 == remaining(headers)


@pytest.mark.parametrize(("ahead", "seconds"), [(90, 90.0), (0, 0.0), (-25 * 60, 0.0)])
def test_until_reset(ahead: int, seconds: float) -> None:
    """The hourly wait is `ratelimit-reset` less `Date`, and 0 for a reset in the past."""
    assert seconds == until_reset({"ratelimit-reset": str(NOW_SECONDS + ahead), "date": NOW})


@pytest.mark.parametrize("garbage", [*NO_NUMBERS, *LARGE_NUMBERS, *NO_DATES])
def test_until_reset_garbage(garbage: str) -> None:
    """Without a readable reset the hourly wait is unknown."""
    assert until_reset({"ratelimit-reset": garbage, "date": NOW}) is None
    assert until_reset({"date": NOW}) is None


@given(st.dictionaries(names, values), st.booleans())
def test_any_headers(headers: dict[str, str], dated: bool) -> None:  # noqa: FBT001 - drawn
    """For any headers, nothing is raised, and a wait is finite and at least 0."""
    if dated:
        headers["date"] = NOW
    for seconds in (retry_after(headers), until_reset(headers)):
        assert seconds is None or 0 <= seconds < math.inf
    found = RateLimit.from_headers(headers)
    assert found is None or found.limit is None or found.limit >= 0


def test_copies() -> None:
    """Headers of a response can be pickled and copied, before and after they were read."""
    received = CIMultiDictProxy(CIMultiDict([("Via", "a"), ("X-A", "b"), ("via", "c")]))
    read = Headers(received)
    assert {"via": "a, c", "x-a": "b"} == dict(read)
    for headers in (Headers(received), read):
        unpickled = pickle.loads(pickle.dumps(headers))  # noqa: S301 - made here
        copies = [unpickled, copy.copy(headers), copy.deepcopy(headers)]
        assert [read] * 3 == copies
