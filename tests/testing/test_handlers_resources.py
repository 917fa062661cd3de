"""Listing and assigning."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call

DEFAULT = "/v2/projects/default/resources"
HOUR = 3600
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
        ("do:newthing:1", "https://api.digitalocean.com/v2/newthings/1"),
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


def shown(emulator: Emulator, call: Call, *project_ids: str) -> list[list[str]]:
    """What the listings of the projects have, over a socket as in Python."""
    listings = [
        urns(call("GET", f"/v2/projects/{project_id}/resources").document)
        for project_id in project_ids
    ]
    assert [emulator.resources(project_id) for project_id in project_ids] == listings
    return listings


def assign(call: Call, project_id: str, *numbers: int) -> list[str]:
    """The statuses of the droplets of these numbers."""
    path = f"/v2/projects/{project_id}/resources"
    document = call("POST", path, {"resources": droplets(*numbers)}).document
    return [status for _, status in statuses(document)]


def test_move_delay(emulator: Emulator, call: Call) -> None:
    """A move is answered at once, and seen in both projects when its time has passed."""
    emulator.move_delay = HOUR
    web, shop = emulator.seed(droplets(1, 2)), emulator.seed(droplets(3))
    assert ["assigned", "assigned", "not_found"] == assign(call, shop, 1, 2, 9)
    assert [droplets(1, 2), droplets(3)] == shown(emulator, call, web, shop)
    emulator.clock.jump(HOUR)
    assert [[], droplets(2, 1, 3)] == shown(emulator, call, web, shop)


def test_delete_while_moving(emulator: Emulator, call: Call) -> None:
    """Until a move is seen neither of its projects can be deleted; then the old one can."""
    emulator.move_delay = HOUR
    web, shop = emulator.seed(droplets(1)), emulator.seed()
    assign(call, shop, 1)
    paths = [f"/v2/projects/{project_id}" for project_id in (web, shop)]
    for path in paths:
        reply = call("DELETE", path)
        assert (412, "precondition_failed") == (reply.status, reply.document["id"])
    emulator.clock.jump(HOUR)
    assert [204, 412] == [call("DELETE", path).status for path in paths]


def test_assign_while_moving(emulator: Emulator, call: Call) -> None:
    """A resource that is on its way is assigned already, and nothing about its move changes."""
    emulator.move_delay = HOUR
    web = emulator.seed(droplets(1))
    body = {"resources": droplets(1)}
    (first,) = call("POST", DEFAULT, body).document["resources"]
    emulator.clock.jump(HOUR / 2)
    (second,) = call("POST", DEFAULT, body).document["resources"]
    assert {**first, "status": "already_assigned"} == second
    emulator.clock.jump(HOUR / 2)
    assert [[], droplets(1)] == shown(emulator, call, web, "default")


def test_last_move_wins(emulator: Emulator, call: Call) -> None:
    """Of several moves only the last one is ever seen, whichever would be over first."""
    emulator.move_delay = HOUR
    web, shop = emulator.seed(droplets(1)), emulator.seed()
    assert [["assigned"], ["assigned"]] == [assign(call, to, 1) for to in (shop, "default")]
    assert 204 == call("DELETE", f"/v2/projects/{shop}").status
    emulator.clock.jump(HOUR / 2)
    emulator.move_delay = 10 * HOUR
    blog = emulator.seed()
    assert ["assigned"] == assign(call, blog, 1)
    emulator.clock.jump(HOUR)
    assert [droplets(1), [], []] == shown(emulator, call, web, "default", blog)
    emulator.clock.jump(9 * HOUR)
    assert [[], [], droplets(1)] == shown(emulator, call, web, "default", blog)


def test_move_back(emulator: Emulator, call: Call) -> None:
    """A resource that is called back never leaves, and gets the newest where it was."""
    emulator.move_delay = HOUR
    web = emulator.seed(droplets(1, 2, 3))
    assert [["assigned"], ["assigned"]] == [assign(call, to, 3) for to in ("default", web)]
    assert [droplets(1, 2, 3), []] == shown(emulator, call, web, "default")
    emulator.clock.jump(HOUR)
    assert [droplets(3, 1, 2), []] == shown(emulator, call, web, "default")


def test_late_move_has_its_place(emulator: Emulator, call: Call) -> None:
    """A listing is in the order of the assignments, not of when they came to be seen."""
    emulator.seed(droplets(1, 2, 3))
    emulator.move_delay = HOUR
    assign(call, "default", 1)
    emulator.move_delay = 0
    assign(call, "default", 2)
    emulator.seed(droplets(3), default=True)
    assert [droplets(3, 2)] == shown(emulator, call, "default")
    emulator.clock.jump(HOUR)
    assert [droplets(3, 2, 1)] == shown(emulator, call, "default")


def test_seed_ends_a_move(emulator: Emulator, call: Call) -> None:
    """What is seeded is there at once, and no longer on its way."""
    emulator.move_delay = HOUR
    web = emulator.seed(droplets(1))
    assign(call, "default", 1)
    shop = emulator.seed(droplets(1))
    assert [[], [], droplets(1)] == shown(emulator, call, web, "default", shop)
    emulator.clock.jump(HOUR)
    assert [[], [], droplets(1)] == shown(emulator, call, web, "default", shop)


def test_faults_of_a_move(emulator: Emulator, call: Call) -> None:
    """What a fault leaves alone isn't moved later, and what it hides is."""
    emulator.move_delay = HOUR
    web = emulator.seed(droplets(1, 2, 3))
    emulator.fail(faults.NotAssigned("service_down", droplets(1)))
    emulator.fail(faults.Omit(droplets(2)))
    assert [["service_down"], []] == [assign(call, "default", number) for number in (1, 2)]
    emulator.clock.jump(HOUR)
    assert [droplets(1, 3), droplets(2)] == shown(emulator, call, web, "default")


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
