"""Scripted answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call


def test_order(emulator: Emulator, call: Call) -> None:
    """The first answer that accepts the request and has times left is sent."""
    emulator.respond(501, when=lambda request: request.query.get("page") == "3", times=2)
    emulator.respond(502, times=2)
    emulator.respond(503)
    paths = ["/?page=1", "/?page=3", "/?page=3", "/?page=3", "/?page=3"]
    assert [502, 501, 501, 502, 503] == [call("GET", path).status for path in paths]
    assert 404 == call("GET", "/?page=3").status


def test_faults_and_answers(emulator: Emulator, call: Call) -> None:
    """Faults and answers are played in the order in which they were added."""
    emulator.respond(500, when=lambda request: request.query.get("page") == "2")
    emulator.fail(faults.Status(502), times=2)
    emulator.respond(503)
    emulator.fail(faults.Status(504), when=lambda request: request.method == "POST")
    emulator.fail(faults.Status(505))
    paths = ["/", "/?page=2", "/", "/", "/"]
    assert [502, 500, 502, 503, 505] == [call("GET", path).status for path in paths]
    assert [404, 504, 404] == [call(method, "/").status for method in ("GET", "POST", "POST")]


def test_without_end(emulator: Emulator, call: Call) -> None:
    """With `times=None`, an answer is never used up."""
    emulator.respond(500, times=None)
    emulator.respond(501)
    assert [500] * 20 == [call("GET", "/").status for _ in range(20)]


def test_before_authentication(emulator: Emulator, call: Call) -> None:
    """A scripted answer needs no token."""
    emulator.respond(200, {})
    assert 200 == call("GET", "/v2", authorization=None).status
    assert 401 == call("GET", "/v2", authorization=None).status


@pytest.mark.parametrize("times", [0, -1])
def test_times_is_positive(emulator: Emulator, times: int) -> None:
    """`times` must be at least 1."""
    with pytest.raises(ValueError, match="times must be at least 1 or None, got"):
        emulator.respond(500, times=times)
    with pytest.raises(ValueError, match="times must be at least 1 or None, got"):
        emulator.fail(faults.Reset(), times=times)


def test_body_without_json(emulator: Emulator) -> None:
    """A body that can't be converted to JSON is refused at once."""
    with pytest.raises(TypeError):
        emulator.respond(200, object())


def test_predicate_sees_the_emulator(emulator: Emulator, call: Call) -> None:
    """`when` can use the emulator, whose record has the request already."""
    emulator.respond(500, when=lambda _: len(emulator.requests) == 2, times=None)
    assert [404, 500, 404] == [call("GET", "/").status for _ in range(3)]


def test_failing_predicate(
    emulator: Emulator, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in `when` is logged, and the server continues."""
    emulator.respond(200, when=lambda request: bool(request.query["page"]))
    assert 500 == call("GET", "/").status
    assert [KeyError] == [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert 200 == call("GET", "/?page=1").status
