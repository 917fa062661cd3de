"""The rate limits over HTTP, on a clock that stands still."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects.testing import Emulator, MockClock, RecordedRequest, faults
from digitalocean_projects.testing._answer import Answer, RefusedError
from digitalocean_projects.testing._limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Call, Reply

DEFAULT = "/v2/projects/default/resources"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Yield an emulator that allows three requests in 10 seconds and five in 100."""
    with Emulator(limits=[(5, 100.0), (3, 10.0)], clock=MockClock(rate=0)) as emulator:
        yield emulator


def limit_headers(reply: Reply) -> dict[str, str]:
    return {
        name: value
        for name, value in reply.headers.items()
        if name.startswith("ratelimit") or name == "retry-after"
    }


def test_burst(emulator: Emulator, call: Call) -> None:
    """A 429 of the shorter limit has `retry-after`, and reports that no request remains."""
    emulator.clock.jump(0.5)
    assert [200, 200, 200] == [call("GET", DEFAULT).status for _ in range(3)]
    emulator.clock.jump(3.75)
    refused = call("GET", DEFAULT)
    headers = limit_headers(refused)
    assert (429, "5", "0", "7") == (
        refused.status,
        headers["ratelimit-limit"],
        headers["ratelimit-remaining"],
        headers["retry-after"],
    )
    assert {
        "id": "too_many_requests",
        "message": "API Rate limit exceeded.",
        "request_id": refused.headers["x-request-id"],
    } == refused.document
    emulator.clock.jump(6.2)
    assert "1" == call("GET", DEFAULT).headers["retry-after"]
    emulator.clock.jump(1)
    assert 200 == call("GET", DEFAULT).status


def test_longest(emulator: Emulator, call: Call) -> None:
    """A 429 of the longest limit has the reset, but no `retry-after`."""
    for _ in range(5):
        assert 200 == call("GET", DEFAULT).status
        emulator.clock.jump(10)
    refused = call("GET", DEFAULT)
    assert (429, None, "0") == (
        refused.status,
        refused.headers["retry-after"],
        refused.headers["ratelimit-remaining"],
    )
    emulator.clock.jump(49.999)
    assert 429 == call("GET", DEFAULT).status
    emulator.clock.jump(0.001)
    assert 200 == call("GET", DEFAULT).status
    assert 429 == call("GET", DEFAULT).status


def test_both_full(emulator: Emulator, call: Call) -> None:
    """If both limits are reached, the longest decides the form of the 429."""
    for seconds in (60, 0, 30, 0, 0):
        emulator.clock.jump(seconds)
        assert 200 == call("GET", DEFAULT).status
    refused = call("GET", DEFAULT)
    assert (429, None) == (refused.status, refused.headers["retry-after"])


def test_headers(emulator: Emulator, call: Call) -> None:
    """The headers describe the longest limit: the rest, and the end of its oldest request."""
    first = call("GET", DEFAULT)
    emulator.clock.jump(40)
    second = call("POST", DEFAULT, {"resources": []})
    emulator.clock.jump(60)
    third = call("GET", "/v2/nothing")
    seen = [limit_headers(reply) for reply in (first, second, third)]
    assert ["5", "5", "5"] == [headers["ratelimit-limit"] for headers in seen]
    assert ["4", "3", "3"] == [headers["ratelimit-remaining"] for headers in seen]
    start = int(seen[0]["ratelimit-reset"])
    assert [start, start, start + 40] == [int(headers["ratelimit-reset"]) for headers in seen]


def test_refusals_do_not_count(emulator: Emulator, call: Call) -> None:
    """Refused requests don't count."""
    statuses = [call("GET", DEFAULT).status for _ in range(20)]
    assert [200] * 3 + [429] * 17 == statuses
    emulator.clock.jump(10)
    assert 200 == call("GET", DEFAULT).status
    assert "0" == call("GET", DEFAULT).headers["ratelimit-remaining"]


@pytest.mark.parametrize(
    ("expected", "request_"),
    [
        (404, ("GET", "/v2/nothing")),
        (400, ("GET", f"{DEFAULT}?page=0")),
        (400, ("POST", DEFAULT, [])),
        (405, ("DELETE", DEFAULT)),
    ],
)
def test_errors_count(call: Call, expected: int, request_: tuple[Any, ...]) -> None:
    """A request that is answered with an error counts."""
    reply = call(*request_)
    assert (expected, "4") == (reply.status, reply.headers["ratelimit-remaining"])


def test_each_token(emulator: Emulator, call: Call) -> None:
    """Each token has its own limits, even one without scopes."""
    other = f"Bearer {emulator.add_token([])}"
    assert [200, 200, 200, 429] == [call("GET", DEFAULT).status for _ in range(4)]
    replies = [call("GET", DEFAULT, authorization=other) for _ in range(4)]
    assert [403, 403, 403, 429] == [reply.status for reply in replies]
    assert "4" == replies[0].headers["ratelimit-remaining"]


def test_unauthorized(call: Call) -> None:
    """A 401 doesn't count, and has no headers about limits."""
    replies = [call("GET", DEFAULT, authorization="Bearer no") for _ in range(10)]
    assert [(401, {})] * 10 == [(reply.status, limit_headers(reply)) for reply in replies]
    assert "4" == call("GET", DEFAULT).headers["ratelimit-remaining"]


def test_scripted_answers_count(emulator: Emulator, call: Call) -> None:
    """Scripted answers are sent even over the limits, and count for a valid token."""
    emulator.respond(200, {}, times=2)
    emulator.respond_raw(b"HTTP/1.1 204 No Content\r\n\r\n")
    emulator.fail(faults.Html(), times=2)
    emulator.fail(faults.Status(503))
    statuses = [call("GET", DEFAULT).status for _ in range(6)]
    assert [200, 200, 204, 502, 502, 503] == statuses
    refused = call("GET", DEFAULT)
    assert (429, None) == (refused.status, refused.headers["retry-after"])
    emulator.respond(200, {})
    assert 200 == call("GET", DEFAULT, authorization=None).status
    emulator.clock.jump(100)
    assert "4" == call("GET", DEFAULT).headers["ratelimit-remaining"]


def test_more_than_the_limit() -> None:
    """Scripted answers beyond the limit count, too, until they expire."""
    log = Limits([(3, 10.0)])
    for now in (0, 1, 2, 3, 4):
        log.count("token", now)
    with pytest.raises(RefusedError) as refusal:
        log.check("token", 5)
    assert "7" == refusal.value.headers["retry-after"]
    with pytest.raises(RefusedError):
        log.check("token", 11.9)
    log.check("token", 12)


def test_only_limit() -> None:
    """A 429 of the only limit has `retry-after`."""
    limits = Limits([(1, 3600)])
    limits.count("token", 0)
    with pytest.raises(RefusedError) as refusal:
        limits.check("token", 1)
    assert {"ratelimit-remaining": "0", "retry-after": "3599"} == refusal.value.headers


def test_no_limits() -> None:
    """Without limits, answers have no headers about them, and no request is counted."""
    limits = Limits(())
    for now in range(10_000):
        limits.check("token", now)
        limits.count("token", now)
    assert {} == limits.headers("token", 0, 0)
    assert not limits._logs["token"]


def test_default_limits() -> None:
    """By default the limits are the API's: 250 requests a minute, and 5,000 an hour."""
    assert [(250, 60.0), (5000, 3600.0)] == [
        (window.requests, window.seconds) for window in Emulator()._site.api._limits._windows
    ]


def test_exact() -> None:
    """A request is accepted if, and only if, each window has room for it."""
    windows = [(3, 1.0), (7, 5.0), (12, 20.0)]
    for seed in range(20):
        random = Random(seed)  # noqa: S311 - no secret
        limits = Limits(windows)
        passed: list[float] = []
        now = 0.0
        for _ in range(500):
            now += random.choice([0.0, 0.125, 0.25, 0.5, 4.0])
            room = all(
                requests > sum(now - seconds < at <= now for at in passed)
                for requests, seconds in windows
            )
            try:
                limits.check("token", now)
            except RefusedError:
                assert not room
            else:
                assert room
                limits.count("token", now)
                passed.append(now)
            live = deque(at for at in passed if at > now - 20)
            assert live == limits._log("token", now)


@pytest.mark.parametrize(
    "limit",
    [(0, 60.0), (-1, 60.0), (1, 0.0), (1, -1.0), (1, float("inf")), (1, float("nan"))],
)
def test_wrong_limits(limit: tuple[int, float]) -> None:
    """A limit needs at least one request and a positive, finite time."""
    with pytest.raises(ValueError, match="a limit must be"):
        Emulator(limits=[limit])


def test_limit_of_no_number() -> None:
    """A number of requests must be an integer."""
    limits: Any = [(1.5, 60.0)]
    with pytest.raises(TypeError):
        Emulator(limits=limits)


class _Restless(MockClock):
    """A clock that moves while a request is answered."""

    def time(self) -> float:
        self.jump(200.0)
        return super().time()


@pytest.mark.parametrize(("fault", "status"), [(faults.Status(503), 503), (None, 200)])
def test_clock_that_moves_during_a_request(fault: faults.Fault | None, status: int) -> None:
    """A request is counted and described at one time, though the clock moves meanwhile."""
    emulator = Emulator(limits=[(5, 100.0)], clock=_Restless(rate=0))
    if fault is not None:
        emulator.fail(fault)
    headers = {"Authorization": f"Bearer {emulator.token}"}
    answer = emulator._site.answer(
        RecordedRequest(method="GET", path="/v2/projects", query={}, headers=headers, body=b"")
    )
    assert isinstance(answer, Answer)
    assert (status, "4") == (answer.status, answer.headers["ratelimit-remaining"])


def test_removed_tokens_are_forgotten(emulator: Emulator, call: Call) -> None:
    """The requests of tokens that a load removed don't stay in memory."""
    for _ in range(3):
        for _ in range(3):
            token = emulator.add_token(["project:read"])
            assert 200 == call("GET", "/v2/projects", authorization=f"Bearer {token}").status
        emulator.load("", replace=True)
    assert 200 == call("GET", "/v2/projects").status
    assert [emulator.token] == list(emulator._site.api._limits._logs)
