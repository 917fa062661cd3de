"""What every request is checked for."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call

DEFAULT = "/v2/projects/default/resources"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/jsonp"}, 415),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
    ],
)
def test_media_type(call: Call, headers: dict[str, str], expected: int) -> None:
    """Whatever may change something must say that it is JSON; what only looks needn't."""
    assert expected == call("POST", DEFAULT, {"resources": []}, headers=headers).status
    assert 200 == call("GET", DEFAULT, headers=headers).status


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer  {token}"],
)
def test_unauthorized(emulator: Emulator, call: Call, authorization: str | None) -> None:
    """Without a known bearer token nothing is served; the body has no request id."""
    if authorization is not None:
        authorization = authorization.format(token=emulator.token)
    reply = call("GET", DEFAULT, authorization=authorization)
    assert 401 == reply.status
    assert {"id": "Unauthorized", "message": "Unable to authenticate you"} == reply.document


def test_scheme_ignores_case(emulator: Emulator, call: Call) -> None:
    """The scheme's spelling is free."""
    assert 200 == call("GET", DEFAULT, authorization=f"bearer {emulator.token}").status


def test_request_id(call: Call) -> None:
    """Every answer has an id of its own in a header, and an error's body repeats it."""
    replies = [
        call("GET", DEFAULT),
        call("GET", "/v2/nothing"),
        call("GET", DEFAULT, authorization=None),
    ]
    ids = [reply.headers["x-request-id"] for reply in replies]
    assert [None, ids[1], None] == [reply.document.get("request_id") for reply in replies]
    assert [4, 4, 4] == [UUID(request_id).version for request_id in ids]
    assert 3 == len(set(ids))


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v2", "/v2/projects/", "/v2/projects/default/resources/"),
        *("/v2/projects//resources", "/v2/projects/default/other"),
        *("/v2/projects/nonsense/resources", "/v2/projects/a%2Fb/resources"),
        "/v2/projects/4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679/resources",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_not_found(call: Call, method: str, path: str) -> None:
    """What isn't there is not found."""
    reply = call(method, path)
    assert (404, "not_found") == (reply.status, reply.document["id"])


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        *(("/v2/projects", method, "GET, POST") for method in ("PUT", "DELETE", "PATCH")),
        *(
            ("/v2/projects/default", method, "GET, PUT, PATCH, DELETE")
            for method in ("POST", "OPTIONS")
        ),
        *((DEFAULT, method, "GET, POST") for method in ("PUT", "DELETE", "PATCH", "OPTIONS")),
    ],
)
def test_wrong_method(call: Call, path: str, method: str, allowed: str) -> None:
    """An operation that the API doesn't have is refused, with those that it has."""
    reply = call(method, path)
    assert (405, "method_not_allowed", allowed) == (
        reply.status,
        reply.document["id"],
        reply.headers["Allow"],
    )
