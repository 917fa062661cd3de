"""The checks of every request, and the pages of every listing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call, Reply


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
    """Every request but a GET must have the content type of JSON."""
    assert expected == call("POST", DEFAULT, {"resources": []}, headers=headers).status
    assert 200 == call("GET", DEFAULT, headers=headers).status


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic {token}", "{token}", "Bearer  {token}"],
)
def test_unauthorized(emulator: Emulator, call: Call, authorization: str | None) -> None:
    """A request without a known token is a 401, whose document has no request id."""
    if authorization is not None:
        authorization = authorization.format(token=emulator.token)
    reply = call("GET", DEFAULT, authorization=authorization)
    assert 401 == reply.status
    assert {"id": "Unauthorized", "message": "Unable to authenticate you"} == reply.document


def test_scheme_ignores_case(emulator: Emulator, call: Call) -> None:
    """The case of the authorization scheme doesn't matter."""
    assert 200 == call("GET", DEFAULT, authorization=f"bearer {emulator.token}").status


def test_request_id(call: Call) -> None:
    """Every answer has a unique id in a header, and an error document repeats it."""
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
        *("/", "/v2", "/v2/projects//", "/v2/projects/default/resources//"),
        *("/v2/projects//resources", "/v2/projects/default/other"),
        *("/v2/projects/nonsense/resources", "/v2/projects/a%2Fb/resources"),
        "/v2/projects/4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679/resources",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_not_found(call: Call, method: str, path: str) -> None:
    """An unknown path is a 404."""
    reply = call(method, path)
    assert (404, "not_found") == (reply.status, reply.document["id"])


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        *(("/v2/projects", method, "GET, POST") for method in ("PUT", "DELETE", "PATCH")),
        *(("/v2/projects/default", method, "GET, PUT, PATCH") for method in ("POST", "DELETE")),
        ("/v2/projects/4e1bfbc3", "POST", "GET, PUT, PATCH, DELETE"),
        *((DEFAULT, method, "GET, POST") for method in ("PUT", "DELETE", "PATCH")),
    ],
)
def test_wrong_method(call: Call, path: str, method: str, allowed: str) -> None:
    """A method that the documentation doesn't have is a 405 that lists the methods it has."""
    reply = call(method, path)
    assert (405, "method_not_allowed", f"{allowed}, HEAD, OPTIONS") == (
        reply.status,
        reply.document["id"],
        reply.headers["Allow"],
    )


@pytest.mark.parametrize("path", ["/v2/projects", "/v2/projects/default", DEFAULT])
def test_slash_at_the_end(call: Call, path: str) -> None:
    """A path may end with a slash."""
    reply = call("GET", f"{path}/")
    assert 200 == reply.status
    assert call("GET", path).document == reply.document


@pytest.mark.parametrize(
    ("path", "expected"), [(DEFAULT, 200), ("/v2/projects", 200), ("/v2/projects/x", 404)]
)
def test_head(emulator: Emulator, call: Call, path: str, expected: int) -> None:
    """The answer to a HEAD has the headers of that to a GET, and no body."""
    emulator.seed(droplets(1), default=True)
    reply, got = call("HEAD", path), call("GET", path)
    assert (expected, b"") == (reply.status, reply.body)
    names = ("Content-Type", "Content-Length", "ratelimit-limit")
    assert [got.headers[name] for name in names] == [reply.headers[name] for name in names]


def test_encoding(call: Call) -> None:
    """Each document names its type and encoding."""
    types = {call("GET", path).headers["Content-Type"] for path in (DEFAULT, "/v2/nothing")}
    assert {"application/json; charset=utf-8"} == types


ORIGIN = {"Origin": "https://shop.example"}
CORS = {
    "Access-Control-Allow-Origin": "https://shop.example",
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Expose-Headers": "ratelimit-limit, ratelimit-remaining, ratelimit-reset, "
    "retry-after, x-request-id",
    "Vary": "Origin",
}


def cors(reply: Reply) -> dict[str, str]:
    """Return the headers of an answer that concern other origins."""
    return {
        name: value
        for name, value in reply.headers.items()
        if name.startswith("Access-Control-") or name == "Vary"
    }


def test_preflight(call: Call) -> None:
    """A browser may ask without a token for the methods that another origin may use."""
    asked = {**ORIGIN, "Access-Control-Request-Headers": "authorization,content-type"}
    reply = call("OPTIONS", DEFAULT, authorization=None, headers=asked)
    methods = "GET, POST, HEAD, OPTIONS"
    assert (204, b"", methods) == (reply.status, reply.body, reply.headers["Allow"])
    assert {
        **CORS,
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Max-Age": "86400",
        "Access-Control-Allow-Headers": "authorization,content-type",
    } == cors(reply)


def test_options(call: Call) -> None:
    """An OPTIONS without an origin lists the methods of a path, and an unknown path is a 404."""
    reply = call("OPTIONS", "/v2/projects/default")
    assert (204, "GET, PUT, PATCH, HEAD, OPTIONS", {}, None) == (
        reply.status,
        reply.headers["Allow"],
        cors(reply),
        reply.headers["ratelimit-limit"],
    )
    assert 404 == call("OPTIONS", "/v2/nothing").status
    assert {*CORS, "Access-Control-Allow-Methods", "Access-Control-Max-Age"} == {
        *cors(call("OPTIONS", DEFAULT, headers=ORIGIN))
    }


@pytest.mark.parametrize("path", [DEFAULT, "/v2/nothing"])
def test_other_origin(call: Call, path: str) -> None:
    """Each answer may be read by the origin of the page that asks."""
    sent = {**ORIGIN, "Content-Type": "application/json"}
    assert CORS == cors(call("GET", path, headers=sent))
    assert CORS == cors(call("GET", path, headers=sent, authorization=None))


def droplets(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def urns(document: Any) -> list[str]:
    return [resource["urn"] for resource in document["resources"]]


@pytest.mark.parametrize(
    ("page", "expected", "links"),
    [
        (1, [1, 2], {"first": 1, "last": 3, "next": 2}),
        (2, [3, 4], {"first": 1, "last": 3, "next": 3, "prev": 1}),
        (3, [5], {"first": 1, "last": 3, "prev": 2}),
        (4, [], {"first": 1, "last": 3, "prev": 3}),
        (5, [], {"first": 1, "last": 3}),
        (int("9" * 30), [], {"first": 1, "last": 3}),
    ],
)
def test_pages(
    emulator: Emulator, call: Call, page: int, expected: list[int], links: dict[str, int]
) -> None:
    """Every page has links to `first` and `last`, and to `next` and `prev` if these exist."""
    project_id = emulator.seed(droplets(1, 2, 3, 4, 5))
    path = f"/v2/projects/{project_id}/resources"
    document = call("GET", f"{path}?page={page}&per_page=2").document
    assert droplets(*expected) == urns(document)
    assert 5 == document["meta"]["total"]
    assert {
        name: f"{emulator.url}{path}?page={number}&per_page=2" for name, number in links.items()
    } == document["links"]["pages"]


def test_page_size(emulator: Emulator, call: Call) -> None:
    """A page has 20 resources by default, and at most 200."""
    emulator.seed(droplets(*range(300)), default=True)
    assert (20, 200, 1) == (
        len(call("GET", DEFAULT).document["resources"]),
        len(call("GET", f"{DEFAULT}?per_page=200").document["resources"]),
        len(call("GET", f"{DEFAULT}?per_page=1").document["resources"]),
    )


@pytest.mark.parametrize(
    "query",
    [
        *("page=0", "page=-1", "page=", "page=x", "page=1.0", "page=1e3", "page=%2B1", "page=1_0"),
        *("page=%201", "page=%D9%A1", "page=%ff", "page=000"),
        *("per_page=0", "per_page=201", "per_page=-5", "per_page=all", f"per_page={'9' * 5000}"),
    ],
)
@pytest.mark.parametrize("path", [DEFAULT, "/v2/projects"])
def test_wrong_page(call: Call, path: str, query: str) -> None:
    """A page number or size out of bounds is refused."""
    reply = call("GET", f"{path}?{query}")
    assert (400, "bad_request") == (reply.status, reply.document["id"])


@pytest.mark.parametrize("emulator", [{"sparse": True}], indirect=True)
@pytest.mark.parametrize(
    ("total", "expected"),
    [(4, {}), (1, {"links": None}), (2, {"links": {}}), (3, {"links": {"pages": {}}})],
)
def test_sparse_links(
    emulator: Emulator, call: Call, total: int, expected: dict[str, object]
) -> None:
    """A listing of one page may have no links, and one of several pages has them."""
    emulator.seed(droplets(*range(total)), default=True)
    document = call("GET", DEFAULT).document
    assert (total, expected) == (
        document["meta"]["total"],
        {name: document[name] for name in document if name == "links"},
    )
    emulator.seed(droplets(*range(total)), name="web")
    pages = call("GET", "/v2/projects?per_page=1").document["links"]["pages"]
    assert {"first", "next", "last"} == {*pages}
