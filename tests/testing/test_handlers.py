"""Listing and assigning, and all that can be wrong about a request."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call

DEFAULT = "/v2/projects/default/resources"
MALFORMED = (
    "resource objects must have an urn in the following format: do:resource_type:resource_id"
)


def droplets(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def urns(document: Any) -> list[str]:
    return [resource["urn"] for resource in document["resources"]]


def statuses(document: Any) -> list[tuple[str, str]]:
    return [(resource["urn"], resource["status"]) for resource in document["resources"]]


def test_list(emulator: Emulator, call: Call) -> None:
    """A listing holds resources, links and the total."""
    project_id = emulator.seed(droplets(13457723), name="web")
    page = f"{emulator.url}/v2/projects/{project_id}/resources?page=1&per_page=20"
    reply = call("GET", f"/v2/projects/{project_id}/resources")
    assert (200, "application/json") == (reply.status, reply.headers["Content-Type"])
    assert {
        "resources": [
            {
                "urn": "do:droplet:13457723",
                "assigned_at": "2024-01-01T00:00:01.0079Z",
                "links": {"self": "https://api.digitalocean.com/v2/droplets/13457723"},
                "status": "ok",
            }
        ],
        "links": {"pages": {"first": page, "last": page}},
        "meta": {"total": 1},
    } == reply.document


def test_empty_listing_of_the_default_project(emulator: Emulator, call: Call) -> None:
    """Links of the default listing name the project's UUID; an empty page has links, too."""
    page = f"{emulator.url}/v2/projects/{emulator.default_project_id}/resources?page=1&per_page=20"
    document = {
        "resources": [],
        "links": {"pages": {"first": page, "last": page}},
        "meta": {"total": 0},
    }
    assert document == call("GET", DEFAULT).document
    assert document == call("GET", DEFAULT.replace("default", emulator.default_project_id)).document


@pytest.mark.parametrize(
    ("page", "expected", "links"),
    [
        (1, [1, 2], {"first": 1, "last": 3, "next": 2}),
        (2, [3, 4], {"first": 1, "last": 3, "next": 3, "prev": 1}),
        (3, [5], {"first": 1, "last": 3, "prev": 2}),
        (4, [], {"first": 1, "last": 3, "prev": 3}),
        (5, [], {"first": 1, "last": 3}),
        (999_999_999_999_999_999, [], {"first": 1, "last": 3}),
    ],
)
def test_pages(
    emulator: Emulator, call: Call, page: int, expected: list[int], links: dict[str, int]
) -> None:
    """`first` and `last` are on every page, `next` and `prev` only where there is such a page."""
    project_id = emulator.seed(droplets(1, 2, 3, 4, 5))
    path = f"/v2/projects/{project_id}/resources"
    document = call("GET", f"{path}?page={page}&per_page=2").document
    assert droplets(*expected) == urns(document)
    assert 5 == document["meta"]["total"]
    assert {
        name: f"{emulator.url}{path}?page={number}&per_page=2" for name, number in links.items()
    } == document["links"]["pages"]


def test_page_size(emulator: Emulator, call: Call) -> None:
    """A page has 20 resources if nothing else is asked for, and at most 200."""
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
        *("page=%201", "page=%D9%A1", "page=%ff", f"page={'9' * 5000}"),
        *("per_page=0", "per_page=201", "per_page=-5", "per_page=all"),
    ],
)
def test_wrong_page(call: Call, query: str) -> None:
    """A page number or size out of bounds is refused."""
    reply = call("GET", f"{DEFAULT}?{query}")
    assert (400, "bad_request") == (reply.status, reply.document["id"])


@pytest.mark.parametrize(
    ("urn", "expected"),
    [
        ("do:app:be5aab85", "https://api.digitalocean.com/v2/apps/be5aab85"),
        ("do:dbaas:83c7a55f", "https://api.digitalocean.com/v2/databases/83c7a55f"),
        ("do:domain:example.com", "https://api.digitalocean.com/v2/domains/example.com"),
        ("do:droplet:4126873", "https://api.digitalocean.com/v2/droplets/4126873"),
        ("do:floatingip:192.0.2.1", "https://api.digitalocean.com/v2/floating_ips/192.0.2.1"),
        ("do:kubernetes:bd5f59", "https://api.digitalocean.com/v2/kubernetes/clusters/bd5f59"),
        ("do:loadbalancer:39052d", "https://api.digitalocean.com/v2/load_balancers/39052d"),
        ("do:space:assets", "https://assets.nyc3.digitaloceanspaces.com"),
        ("do:volume:6fc4c277", "https://api.digitalocean.com/v2/volumes/6fc4c277"),
        ("do:newthing:{1}", "https://api.digitalocean.com/v2/newthings/{1}"),
    ],
)
def test_self(emulator: Emulator, call: Call, urn: str, expected: str) -> None:
    """A resource links to its own place in the API, a Space to its bucket."""
    emulator.seed([urn], default=True)
    (resource,) = call("GET", DEFAULT).document["resources"]
    assert (urn, {"self": expected}) == (resource["urn"], resource["links"])


def test_assign(emulator: Emulator, call: Call) -> None:
    """Only what was sent is answered, once each, in its order, with the status of each."""
    project_id = emulator.seed(droplets(1, 2, 3))
    emulator.seed(droplets(4), default=True)
    body = {"resources": droplets(4, 9, 1, 4)}
    reply = call("POST", f"/v2/projects/{project_id}/resources", body)
    assert (200, {"resources"}) == (reply.status, set(reply.document))
    first, second, third = reply.document["resources"]
    assert {
        "urn": "do:droplet:4",
        "assigned_at": "2024-01-01T00:00:05.039595Z",
        "links": {"self": "https://api.digitalocean.com/v2/droplets/4"},
        "status": "assigned",
    } == first
    assert {"urn": "do:droplet:9", "status": "not_found"} == second
    assert ("do:droplet:1", "2024-01-01T00:00:03Z", "already_assigned") == (
        third["urn"],
        third["assigned_at"],
        third["status"],
    )
    assert droplets(4, 1, 2, 3) == emulator.resources(project_id)
    assert [] == emulator.resources()


def test_assign_to_default(emulator: Emulator, call: Call) -> None:
    """Assigning to the default project takes a resource out of its own."""
    project_id = emulator.seed(droplets(1, 2))
    document = call("POST", DEFAULT, {"resources": droplets(2)}).document
    assert [("do:droplet:2", "assigned")] == statuses(document)
    assert (droplets(1), droplets(2)) == (emulator.resources(project_id), emulator.resources())


def test_assigned_is_newest(emulator: Emulator, call: Call) -> None:
    """What is assigned moves the rest of the listing down, the last one sent on top."""
    emulator.seed(droplets(7, 8))
    emulator.seed(droplets(1, 2), default=True)
    assert droplets(1, 2) == urns(call("GET", DEFAULT).document)
    call("POST", DEFAULT, {"resources": droplets(7, 8)})
    document = call("GET", DEFAULT).document
    assert droplets(8, 7, 1, 2) == urns(document)
    times = [resource["assigned_at"].rstrip("Z") for resource in document["resources"]]
    assert all(newer > older for newer, older in pairwise(times))


def test_reserved_ip(emulator: Emulator, call: Call) -> None:
    """Both names of an address are one resource, which is answered as `floatingip`."""
    emulator.seed(["do:reservedip:192.0.2.1", "do:floatingipv6:2001:db8::1"])
    body = {
        "resources": [
            *("do:reservedip:192.0.2.1", "do:floatingip:192.0.2.1"),
            *("do:reservedipv6:2001:db8::1", "do:reservedip:192.0.2.2"),
        ]
    }
    assert [
        ("do:floatingip:192.0.2.1", "assigned"),
        ("do:floatingipv6:2001:db8::1", "assigned"),
        ("do:floatingip:192.0.2.2", "not_found"),
    ] == statuses(call("POST", DEFAULT, body).document)
    assert [
        "do:floatingipv6:2001:db8::1",
        "do:floatingip:192.0.2.1",
    ] == emulator.resources()


def test_assign_nothing(call: Call) -> None:
    """An empty list is answered with an empty list."""
    reply = call("POST", DEFAULT, {"resources": []})
    assert (200, {"resources": []}) == (reply.status, reply.document)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the request body is not valid JSON"),
        (b"\xff", "the request body is not valid JSON"),
        (b'{"resources": [', "the request body is not valid JSON"),
        (b"[" * 100_000, "the request body is not valid JSON"),
        ([], "resources must be a list of URNs"),
        ({}, "resources must be a list of URNs"),
        ({"resources": None}, "resources must be a list of URNs"),
        ({"resources": "do:droplet:1"}, "resources must be a list of URNs"),
        ({"resources": ["do:droplet:1", 1]}, "resources must be a list of URNs"),
        ({"resources": ["do:droplet:1", "do:droplet"]}, MALFORMED),
        ({"resources": ["do:droplet:1", "\ud800"]}, MALFORMED),
        (
            {"resources": ["do:droplet:1", "do:vpc:1"]},
            "resources of type vpc cannot be assigned to a project",
        ),
    ],
)
def test_wrong_body(emulator: Emulator, call: Call, body: object, message: str) -> None:
    """A body that isn't a list of assignable URNs is refused as a whole."""
    emulator.seed(droplets(1))
    reply = call("POST", DEFAULT, body)
    assert (400, "bad_request", message) == (
        reply.status,
        reply.document["id"],
        reply.document["message"],
    )
    assert [] == emulator.resources()


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
    """A body must say that it is JSON."""
    assert expected == call("POST", DEFAULT, {"resources": []}, headers=headers).status


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
        *("/", "/v2/projects", "/v2/projects/default/resources/", "/v2/projects//resources"),
        *("/v2/projects/nonsense/resources", "/v2/projects/a%2Fb/resources"),
        "/v2/projects/4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679/resources",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_not_found(call: Call, method: str, path: str) -> None:
    """What isn't there is not found."""
    reply = call(method, path)
    assert (404, "not_found") == (reply.status, reply.document["id"])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_wrong_method(call: Call, method: str) -> None:
    """An operation that the API doesn't have is refused, with those that it has."""
    reply = call(method, DEFAULT)
    assert (405, "method_not_allowed", "GET, POST") == (
        reply.status,
        reply.document["id"],
        reply.headers["Allow"],
    )


def test_limited_listing(emulator: Emulator, call: Call) -> None:
    """What a token may not read is left out of the pages, not of their number nor the total."""
    emulator.seed(
        [
            *("do:domain:a.example", "do:droplet:1"),
            *("do:domain:b.example", "do:domain:c.example"),
            *droplets(2, 3),
        ],
        default=True,
    )
    token = emulator.add_token(["project:read", "droplet:read"])
    pages = [
        call("GET", f"{DEFAULT}?per_page=2&page={n}", authorization=f"Bearer {token}").document
        for n in (1, 2, 3)
    ]
    assert [droplets(1), [], droplets(2, 3)] == [urns(page) for page in pages]
    assert [6, 6, 6] == [page["meta"]["total"] for page in pages]
    assert [True, True, False] == ["next" in page["links"]["pages"] for page in pages]


@pytest.mark.parametrize(
    ("method", "scopes", "expected"),
    [
        ("GET", [], 403),
        ("GET", ["droplet:read", "project:update"], 403),
        ("GET", ["project:read"], 200),
        ("POST", ["project:read", "droplet:read", "domain:read"], 403),
        ("POST", ["project:update"], 403),
        ("POST", ["project:update", "droplet:read"], 403),
        ("POST", ["project:update", "droplet:read", "domain:read"], 200),
        ("POST", ["project:assign_resource", "droplet:read", "domain:read"], 200),
    ],
)
def test_scopes(
    emulator: Emulator, call: Call, method: str, scopes: list[str], expected: int
) -> None:
    """Listing needs `project:read`; assigning a scope of its own and one for each type."""
    emulator.seed(["do:droplet:1", "do:domain:a.example"])
    token = emulator.add_token(scopes)
    body = {"resources": ["do:droplet:1", "do:domain:a.example"]}
    reply = call(method, DEFAULT, body, authorization=f"Bearer {token}")
    assert expected == reply.status
    if expected == 403:
        document = reply.document
        assert (
            "forbidden",
            "You are not authorized to perform this operation",
            reply.headers["x-request-id"],
        ) == (document["id"], document["message"], document["request_id"])
        assert [] == emulator.resources()
