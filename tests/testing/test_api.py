"""The parts that all answers have in common."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects.testing import Emulator, MockClock, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Call

DEFAULT = "/v2/projects/default/resources"
HOUR = 3600


@pytest.fixture
def clock() -> MockClock:
    return MockClock(rate=0)


@pytest.fixture
def emulator(clock: MockClock) -> Iterator[Emulator]:
    clock.jump(500)
    with Emulator(limits=[(2, 60.0), (3, 3600.0)], clock=clock) as emulator:
        yield emulator


def seconds(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()


def test_date(clock: MockClock, emulator: Emulator, call: Call) -> None:
    """The dates of answers start at the machine's date and follow the clock."""
    now = time.time()
    emulator.fail(faults.Status(500), when=lambda request: request.path == "/fail")
    paths = [DEFAULT, "/fail", DEFAULT, "/v2/nothing"]
    dates = []
    for path in paths:
        dates.append(seconds(call("GET", path).headers["Date"]))
        clock.jump(HOUR)
    dates.append(seconds(call("GET", DEFAULT, authorization=None).headers["Date"]))
    assert [dates[0] + n * HOUR for n in range(5)] == dates
    assert now - 20 < dates[0] <= now
    assert datetime.fromtimestamp(dates[0], UTC).year >= 2025


def test_default_clock() -> None:
    """Each emulator has its own default clock, which follows real time."""
    first, second = Emulator(), Emulator()
    assert first.clock is not second.clock
    before = first.clock.time()
    time.sleep(0.01)
    assert before < first.clock.time() < before + 20


def test_reset_by_the_date(clock: MockClock, call: Call) -> None:
    """A client that waits from an answer's date to its reset is not refused."""
    for wait in (0, 0.3, 60, 0.3):
        clock.jump(wait)
        reply = call("GET", DEFAULT)
    assert 429 == reply.status
    reset, date = int(reply.headers["ratelimit-reset"]), seconds(reply.headers["Date"])
    assert 3600 - 61 < reset - date < 3600 - 59 + 1
    clock.jump(reset - date)
    assert 200 == call("GET", DEFAULT).status


def test_status_fault(emulator: Emulator, call: Call) -> None:
    """An error of a fault has the same headers as an error of the API."""
    emulator.fail(faults.Status(503, retry_after=7))
    reply = call("GET", DEFAULT)
    assert {
        "id": "service_unavailable",
        "message": "Service Unavailable",
        "request_id": reply.headers["x-request-id"],
    } == reply.document
    headers = reply.headers
    assert ("7", "3", "2") == (
        headers["retry-after"],
        headers["ratelimit-limit"],
        headers["ratelimit-remaining"],
    )


def test_burst(clock: MockClock, call: Call) -> None:
    """No request remains while the shorter limit is reached."""
    remaining = [call("GET", DEFAULT).headers["ratelimit-remaining"] for _ in range(3)]
    assert ["2", "0", "0"] == remaining
    clock.jump(60)
    assert "0" == call("GET", DEFAULT).headers["ratelimit-remaining"]


def test_stale_reset(emulator: Emulator, call: Call) -> None:
    """A fault moves the reset of an answer into the past."""
    emulator.fail(faults.StaleReset())
    reply = call("GET", DEFAULT)
    assert 200 == reply.status
    reset, date = int(reply.headers["ratelimit-reset"]), seconds(reply.headers["Date"])
    assert -25 * 60 == reset - date


@pytest.mark.parametrize("retry_after", [None, 30])
def test_status_429(emulator: Emulator, call: Call, retry_after: int | None) -> None:
    """A 429 of a fault reports that no request remains, with or without `retry-after`."""
    emulator.fail(faults.Status(429, retry_after=retry_after, reset_after=600))
    reply = call("GET", DEFAULT)
    assert (429, "too_many_requests") == (reply.status, reply.document["id"])
    headers = reply.headers
    assert ("0", retry_after and str(retry_after), 600) == (
        headers["ratelimit-remaining"],
        headers["retry-after"],
        int(headers["ratelimit-reset"]) - seconds(headers["Date"]),
    )


@pytest.mark.parametrize(("status", "authorization"), [(401, "Bearer {token}"), (500, "Bearer no")])
def test_status_without_limits(
    emulator: Emulator, call: Call, status: int, authorization: str
) -> None:
    """A 401 and an answer to an unknown token have no headers about limits."""
    emulator.fail(faults.Status(status))
    reply = call("GET", DEFAULT, authorization=authorization.format(token=emulator.token))
    assert (status, None) == (reply.status, reply.headers["ratelimit-limit"])
    assert (status != 401) == ("request_id" in reply.document)
