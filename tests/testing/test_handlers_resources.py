"""Listing and assigning."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects.testing import RESOURCE_TYPES, MockClock, faults

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
    assert (200, "application/json; charset=utf-8") == (reply.status, reply.headers["Content-Type"])
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


@pytest.mark.parametrize("emulator", [{"sparse": True}], indirect=True)
def test_sparse_listing(emulator: Emulator, call: Call) -> None:
    """Members of resources may be missing, the time may be empty or without a zone."""
    emulator.seed(droplets(*range(24)), default=True)
    document = call("GET", f"{DEFAULT}?per_page=200").document
    resources = document["resources"]
    shapes = {frozenset(resource) for resource in resources}
    members = {"urn", "assigned_at", "links", "status"}
    assert {
        frozenset(members - {name}) for name in ("", "assigned_at", "links", "status")
    } == shapes
    lengths = {len(resource.get("assigned_at", "")) for resource in resources}
    assert {0, 19, 20} <= lengths
    assert document == call("GET", f"{DEFAULT}?per_page=200").document


def test_empty_listing_of_the_default_project(emulator: Emulator, call: Call) -> None:
    """The links of the default listing have the project's UUID, on an empty page, too."""
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
    """A resource links to its URL in the API, and a Space to its bucket."""
    emulator.seed([urn], default=True)
    (resource,) = call("GET", DEFAULT).document["resources"]
    assert (urn, {"self": expected}) == (resource["urn"], resource["links"])


def test_assign(emulator: Emulator, call: Call) -> None:
    """The answer has the status of each resource once, in the order of the request."""
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
    """An assignment to the default project removes a resource from its project."""
    project_id = emulator.seed(droplets(1, 2))
    document = call("POST", DEFAULT, {"resources": droplets(2)}).document
    assert [("do:droplet:2", "assigned")] == statuses(document)
    assert (droplets(1), droplets(2)) == (emulator.resources(project_id), emulator.resources())


def test_assigned_is_newest(emulator: Emulator, call: Call) -> None:
    """Assigned resources come first in the listing, the last one on top."""
    emulator.seed(droplets(7, 8))
    emulator.seed(droplets(1, 2), default=True)
    assert droplets(1, 2) == urns(call("GET", DEFAULT).document)
    call("POST", DEFAULT, {"resources": droplets(7, 8)})
    document = call("GET", DEFAULT).document
    assert droplets(8, 7, 1, 2) == urns(document)
    times = [resource["assigned_at"].rstrip("Z") for resource in document["resources"]]
    assert all(newer > older for newer, older in pairwise(times))


def test_reserved_ip(emulator: Emulator, call: Call) -> None:
    """Both names of an address are one resource, whose answers have `floatingip`."""
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


IP, DROPLET, DEFAULT_IP = "do:floatingip:192.0.2.1", "do:droplet:1", "do:floatingip:192.0.2.2"
ATTACHED = "Cannot move a Reserved IP with an associated Droplet. Move the Droplet instead"


def test_attached_ip_follows(emulator: Emulator, call: Call) -> None:
    """A reserved IP moves to its Droplet's project, and then with the Droplet."""
    emulator.move_delay = HOUR
    web, shop = emulator.seed([DROPLET, "do:droplet:2"]), emulator.seed()
    emulator.seed([IP], default=True)
    emulator.attach("do:reservedip:192.0.2.1", DROPLET)
    assert [[IP, DROPLET, "do:droplet:2"], []] == shown(emulator, call, web, "default")
    assert ["assigned", "assigned"] == assign(call, shop, 1, 2)
    assert [[IP, DROPLET, "do:droplet:2"], []] == shown(emulator, call, web, shop)
    emulator.clock.jump(HOUR)
    assert [[], ["do:droplet:2", IP, DROPLET]] == shown(emulator, call, web, shop)
    assert ["already_assigned"] == assign(call, shop, 1)
    emulator.seed([DROPLET], default=True)
    assert [[IP, DROPLET], ["do:droplet:2"]] == shown(emulator, call, "default", shop)


def test_attached_ip_alone(emulator: Emulator, call: Call) -> None:
    """A request that would move a reserved IP without its Droplet is refused as a whole."""
    web = emulator.seed([IP, DROPLET, "do:droplet:2"])
    emulator.attach(IP, DROPLET)
    body = {"resources": ["do:droplet:2", "do:reservedip:192.0.2.1"]}
    reply = call("POST", DEFAULT, body)
    assert (412, "precondition_failed", ATTACHED) == (
        reply.status,
        reply.document["id"],
        reply.document["message"],
    )
    assert [] == emulator.resources()
    document = call("POST", f"/v2/projects/{web}/resources", body).document
    assert ["already_assigned"] * 2 == [status for _, status in statuses(document)]


@pytest.mark.parametrize("urns", [[IP, DROPLET], [DROPLET, IP]])
def test_attached_ip_with_its_droplet(emulator: Emulator, call: Call, urns: list[str]) -> None:
    """A reserved IP and its Droplet can move in one request."""
    emulator.seed(urns)
    emulator.attach(IP, DROPLET)
    document = call("POST", DEFAULT, {"resources": urns}).document
    assert [(urn, "assigned") for urn in urns] == statuses(document)
    assert sorted(urns) == sorted(emulator.resources())


def test_load_balancer_of_a_cluster(emulator: Emulator, call: Call) -> None:
    """A load balancer of a cluster is assigned each time, never listed, and in no project's way."""
    web = emulator.seed(["do:kubernetes:1", "do:loadbalancer:1"])
    emulator.attach("do:loadbalancer:1", "do:kubernetes:1")
    body = {"resources": ["do:loadbalancer:1"]}
    path = f"/v2/projects/{emulator.seed()}"
    for _ in range(2):
        reply = call("POST", f"{path}/resources", body)
        assert [("do:loadbalancer:1", "assigned")] == statuses(reply.document)
    assert [["do:kubernetes:1"], []] == shown(emulator, call, web, "default")
    assert 204 == call("DELETE", path).status
    emulator.seed(["do:loadbalancer:1"], default=True)
    assert [["do:loadbalancer:1"]] == shown(emulator, call, "default")


def test_attach_while_moving(emulator: Emulator, call: Call) -> None:
    """A load balancer that is attached during its move never arrives."""
    emulator.move_delay = HOUR
    emulator.seed(["do:kubernetes:1", "do:loadbalancer:1"])
    call("POST", DEFAULT, {"resources": ["do:loadbalancer:1"]})
    emulator.attach("do:loadbalancer:1", "do:kubernetes:1")
    emulator.clock.jump(HOUR)
    assert [[]] == shown(emulator, call, "default")


@pytest.mark.parametrize(
    ("resource", "to", "message"),
    [
        (DROPLET, IP, "only a reserved IP can be attached to a Droplet"),
        (IP, "do:kubernetes:1", "only a reserved IP can be attached to a Droplet"),
        (IP, "do:droplet:2", "the resource must exist, got do:droplet:2; create it with seed()"),
        (DEFAULT_IP, DROPLET, "the resource must exist, got do:floatingip:192.0.2.2"),
    ],
)
def test_wrong_attachment(emulator: Emulator, resource: str, to: str, message: str) -> None:
    """Only existing resources can be attached, and only to what they can belong to."""
    emulator.seed([IP, DROPLET, "do:kubernetes:1"], default=True)
    with pytest.raises(ValueError, match=message):
        emulator.attach(resource, to)


def test_attachments_of_another_state(emulator: Emulator, call: Call) -> None:
    """A state that is added keeps the attachments, one that replaces everything drops them."""
    cluster, balancer = "do:kubernetes:1", "do:loadbalancer:1"
    emulator.seed([IP, DROPLET, cluster, balancer], name="web")
    emulator.attach(IP, DROPLET)
    emulator.attach(balancer, cluster)
    emulator.load(emulator.dump())
    body = {"resources": [IP, balancer]}
    assert 412 == call("POST", DEFAULT, body).status
    document = call("POST", DEFAULT, {"resources": [DROPLET, balancer]}).document
    assert [(DROPLET, "assigned"), (balancer, "assigned")] == statuses(document)
    assert {IP, DROPLET} == set(emulator.resources())
    emulator.load(emulator.dump(), replace=True)
    web = emulator.seed(name="shop")
    document = call("POST", f"/v2/projects/{web}/resources", body).document
    assert [(IP, "assigned"), (balancer, "not_found")] == statuses(document)


def test_unknown_space(emulator: Emulator, call: Call) -> None:
    """A Space that doesn't exist is left out of the answer; a known one isn't."""
    emulator.seed(["do:space:assets"])
    body = {"resources": ["do:space:nothing", "do:space:assets", "do:app:nothing"]}
    assert [("do:space:assets", "assigned"), ("do:app:nothing", "not_found")] == statuses(
        call("POST", DEFAULT, body).document
    )


@pytest.mark.parametrize("body", [{"resources": []}, {}])
def test_assign_nothing(call: Call, body: dict[str, object]) -> None:
    """An empty or missing list is answered with an empty list."""
    reply = call("POST", DEFAULT, body)
    assert (200, {"resources": []}) == (reply.status, reply.document)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the request body is not valid JSON"),
        (b"\xff", "the request body is not valid JSON"),
        (b'{"resources": [', "the request body is not valid JSON"),
        (b"[" * 100_000, "the request body is not valid JSON"),
        ([], "resources must be a list of URNs"),
        ({"resources": None}, "resources must be a list of URNs"),
        ({"resources": "do:droplet:1"}, "resources must be a list of URNs"),
        ({"resources": ["do:droplet:1", 1]}, "resources must be a list of URNs"),
        ({"resources": ["do:droplet:1", "do:droplet"]}, MALFORMED),
        ({"resources": ["do:droplet:1", "\ud800"]}, MALFORMED),
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
    "resource_type",
    ["database", "spaces", "registry", "natgateway", "vpc", "vpc_nat_gateway", "genai_agent"],
)
def test_unknown_type(emulator: Emulator, call: Call, resource_type: str) -> None:
    """A resource of an unknown type refuses the whole request, even if it exists."""
    emulator.seed(urns := [f"do:{resource_type}:1", *droplets(1)], name="web")
    reply = call("POST", DEFAULT, {"resources": urns})
    assert (400, "bad_request") == (reply.status, reply.document["id"])
    assert reply.document["message"].startswith(
        "resource types must be one of the following: app dbaas domain droplet "
    )
    assert [] == emulator.resources()


@pytest.mark.parametrize("urn", ["do:droplet:{id}", "do:domain:a b", "do:app:", "do:space:*"])
def test_odd_ids(call: Call, urn: str) -> None:
    """An id may have any characters but control characters."""
    reply = call("POST", DEFAULT, {"resources": [urn]})
    expected = [] if "space" in urn else [(urn, "not_found")]
    assert expected == statuses(reply.document)
    assert 400 == call("POST", DEFAULT, {"resources": [f"{urn}\0"]}).status


def test_known_types(emulator: Emulator, call: Call) -> None:
    """The documented types are known, and those that the API was seen to accept."""
    urns = [f"do:{resource_type}:1" for resource_type in sorted(RESOURCE_TYPES)]
    emulator.seed(urns, name="web")
    document = call("POST", DEFAULT, {"resources": urns}).document
    assert {"assigned"} == {resource["status"] for resource in document["resources"]}
    assert {
        *("app", "dbaas", "domain", "droplet", "kubernetes", "loadbalancer", "space", "volume"),
        *("floatingip", "floatingipv6", "firewall", "image", "nat_gateway", "volumesnapshot"),
        *("reservedip", "reservedipv6"),
    } == RESOURCE_TYPES


@pytest.mark.parametrize(
    "emulator", [{"resource_types": [*RESOURCE_TYPES, "genai_agent"]}], indirect=True
)
def test_new_type(emulator: Emulator, call: Call) -> None:
    """The known types can be chosen."""
    emulator.seed(["do:genai_agent:1"], name="web")
    reply = call("POST", DEFAULT, {"resources": ["do:genai_agent:1"]})
    assert [("do:genai_agent:1", "assigned")] == statuses(reply.document)
    assert 400 == call("POST", DEFAULT, {"resources": ["do:vpc:1"]}).status


def test_limited_listing(emulator: Emulator, call: Call) -> None:
    """The pages omit resources that a token may not read, but the total counts them."""
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
    ("urn", "scope"),
    [
        ("do:dbaas:1", "database"),
        ("do:domain:a.example", "domain"),
        ("do:floatingip:203.0.113.1", "reserved_ip"),
        ("do:loadbalancer:1", "load_balancer"),
        ("do:space:assets", "spaces"),
        ("do:volume:1", "block_storage"),
    ],
)
def test_documented_scopes(emulator: Emulator, call: Call, urn: str, scope: str) -> None:
    """Scopes have their documented names, in a listing and in an assignment."""
    project_id = emulator.seed([urn], name="web")
    for scopes, listed in ([f"{scope}:read"], [urn]), (["droplet:read"], []):
        token = emulator.add_token(["project:read", "project:update", *scopes])
        bearer = f"Bearer {token}"
        path = f"/v2/projects/{project_id}/resources"
        assert listed == urns(call("GET", path, authorization=bearer).document)
        reply = call("POST", path, {"resources": [urn]}, authorization=bearer)
        assert (200 if listed else 403) == reply.status


def shown(emulator: Emulator, call: Call, *project_ids: str) -> list[list[str]]:
    """Return the listings of the projects, after a check that the API shows the same."""
    listings = [
        urns(call("GET", f"/v2/projects/{project_id}/resources").document)
        for project_id in project_ids
    ]
    assert [emulator.resources(project_id) for project_id in project_ids] == listings
    return listings


def assign(call: Call, project_id: str, *numbers: int) -> list[str]:
    """Assign droplets, and return their statuses."""
    path = f"/v2/projects/{project_id}/resources"
    document = call("POST", path, {"resources": droplets(*numbers)}).document
    return [status for _, status in statuses(document)]


def test_move_delay(emulator: Emulator, call: Call) -> None:
    """A move is answered at once, and visible in both projects after its delay."""
    emulator.move_delay = HOUR
    web, shop = emulator.seed(droplets(1, 2)), emulator.seed(droplets(3))
    assert ["assigned", "assigned", "not_found"] == assign(call, shop, 1, 2, 9)
    assert [droplets(1, 2), droplets(3)] == shown(emulator, call, web, shop)
    emulator.clock.jump(HOUR)
    assert [[], droplets(2, 1, 3)] == shown(emulator, call, web, shop)


@pytest.mark.parametrize(
    "emulator", [{"busy_time": 2.0, "clock": MockClock(rate=0)}], indirect=True
)
def test_busy_time(emulator: Emulator, call: Call) -> None:
    """After a move, its project refuses assignments for a time; other projects accept them."""
    web, shop = emulator.seed(droplets(1, 2)), emulator.seed(droplets(3))
    assert ["already_assigned"] == assign(call, web, 1)
    assert ["assigned"] == assign(call, web, 3)
    emulator.clock.jump(1.9)
    reply = call("POST", f"/v2/projects/{web}/resources", {"resources": droplets(3)})
    assert (403, "forbidden") == (reply.status, reply.document["id"])
    assert reply.document["message"].endswith("while it processes previous actions")
    assert ["assigned"] == assign(call, shop, 3)
    emulator.clock.jump(0.1)
    assert ["already_assigned"] == assign(call, web, 1)


@pytest.mark.parametrize(
    "emulator", [{"busy_time": 2.0, "clock": MockClock(rate=0)}], indirect=True
)
def test_busy_with_a_load_balancer(emulator: Emulator, call: Call) -> None:
    """A load balancer of a cluster doesn't move, so its project accepts further assignments."""
    emulator.seed(["do:kubernetes:1", "do:loadbalancer:1"])
    emulator.attach("do:loadbalancer:1", "do:kubernetes:1")
    for _ in range(2):
        reply = call("POST", DEFAULT, {"resources": ["do:loadbalancer:1"]})
        assert [("do:loadbalancer:1", "assigned")] == statuses(reply.document)


def test_never_busy(emulator: Emulator, call: Call) -> None:
    """Without a busy time, the account keeps no times of projects."""
    emulator.seed(droplets(1))
    assert ["assigned"] == assign(call, "default", 1)
    assert {} == emulator._account.busy_until


def test_delete_while_moving(emulator: Emulator, call: Call) -> None:
    """Neither project of a move can be deleted before it is visible; then the old one can."""
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
    """A second assignment during a move is `already_assigned` and doesn't change the move."""
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
    """Of several moves of a resource, only the last one becomes visible."""
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
    """A resource that is moved back never leaves, and becomes the newest of its project."""
    emulator.move_delay = HOUR
    web = emulator.seed(droplets(1, 2, 3))
    assert [["assigned"], ["assigned"]] == [assign(call, to, 3) for to in ("default", web)]
    assert [droplets(1, 2, 3), []] == shown(emulator, call, web, "default")
    emulator.clock.jump(HOUR)
    assert [droplets(3, 1, 2), []] == shown(emulator, call, web, "default")


def test_late_move_has_its_place(emulator: Emulator, call: Call) -> None:
    """A listing is ordered by the times of assignments, even if they became visible later."""
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
    """A seeded resource is visible at once, and its pending move ends."""
    emulator.move_delay = HOUR
    web = emulator.seed(droplets(1))
    assign(call, "default", 1)
    shop = emulator.seed(droplets(1))
    assert [[], [], droplets(1)] == shown(emulator, call, web, "default", shop)
    emulator.clock.jump(HOUR)
    assert [[], [], droplets(1)] == shown(emulator, call, web, "default", shop)


def test_faults_of_a_move(emulator: Emulator, call: Call) -> None:
    """A resource of `NotAssigned` doesn't move later; one of `Omit` does."""
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
        ("POST", ["project:assign_resource", "droplet:read", "domain:read"], 403),
        ("POST", ["project:assign_resource", "project:read", "droplet:read", "domain:read"], 200),
        ("POST", ["project:assign_resource", "api:read"], 200),
        ("POST", ["project:read", "droplet:read", "domain:read", "project:create"], 403),
    ],
)
def test_scopes(
    emulator: Emulator, call: Call, method: str, scopes: list[str], expected: int
) -> None:
    """An assignment needs `project:update`, or two other scopes, and one for each type."""
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
