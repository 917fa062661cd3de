"""The operations on projects, and their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call

PROJECTS = "/v2/projects"
DEFAULT = "/v2/projects/default"
NOTHING = "/v2/projects/4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679"
NO_DEFAULT = "you must always have a default project"
WHOLE = {
    "name": "shop",
    "description": "My website API",
    "purpose": "Service or API",
    "environment": "Production",
    "is_default": False,
}


def names(emulator: Emulator) -> list[str]:
    return [project.name for project in emulator.projects()]


def path_of(emulator: Emulator, **options: Any) -> str:
    """Return the path of a new project."""
    return f"{PROJECTS}/{emulator.seed(**options)}"


def test_list(emulator: Emulator, call: Call) -> None:
    """A listing has the projects, newest first, with links and a total."""
    web = emulator.seed(name="web", purpose="IoT", environment="staging", description="Mine")
    page = f"{emulator.url}/v2/projects?page=1&per_page=20"
    reply = call("GET", PROJECTS)
    assert (200, "application/json; charset=utf-8") == (reply.status, reply.headers["Content-Type"])
    owner = {key: reply.document["projects"][0][key] for key in ("owner_uuid", "owner_id")}
    assert (str, 40, int) == (
        type(owner["owner_uuid"]),
        len(owner["owner_uuid"]),
        type(owner["owner_id"]),
    )
    assert {
        "projects": [
            {
                "id": web,
                **owner,
                "name": "web",
                "description": "Mine",
                "purpose": "IoT",
                "environment": "Staging",
                "is_default": False,
                "created_at": "2024-01-01T00:00:01Z",
                "updated_at": "2024-01-01T00:00:01Z",
            },
            {
                "id": emulator.default_project_id,
                **owner,
                "name": "first-project",
                "description": "",
                "purpose": "",
                "environment": "",
                "is_default": True,
                "created_at": "2024-01-01T00:00:00Z",
                "updated_at": "2024-01-01T00:00:00Z",
            },
        ],
        "links": {"pages": {"first": page, "last": page}},
        "meta": {"total": 2},
    } == reply.document


def test_pages(emulator: Emulator, call: Call) -> None:
    """The pages hold each project once, in the order of the listing."""
    for number in range(1, 5):
        emulator.seed(name=f"project-{number}")
    pages = [call("GET", f"{PROJECTS}?page={n}&per_page=2").document for n in (1, 2, 3, 4)]
    assert [
        ["project-4", "project-3"],
        ["project-2", "project-1"],
        ["first-project"],
        [],
    ] == [[project["name"] for project in page["projects"]] for page in pages]
    assert [5] * 4 == [page["meta"]["total"] for page in pages]
    assert f"{emulator.url}{PROJECTS}?page=3&per_page=2" == pages[1]["links"]["pages"]["next"]


def test_order_is_kept(emulator: Emulator, call: Call) -> None:
    """Neither a change nor becoming the default project moves a project in the listing."""
    web = path_of(emulator, name="web")
    emulator.seed(name="shop")
    call("PATCH", web, {"name": "blog", "is_default": True})
    assert ["shop", "blog", "first-project"] == names(emulator)


def test_create(call: Call) -> None:
    """A new project is answered with a 201, and is then served."""
    body = {**WHOLE, "environment": "production", "is_default": True, "id": "x", "other": 1}
    reply = call("POST", PROJECTS, body)
    assert (201, {"project"}) == (reply.status, {*reply.document})
    project = reply.document["project"]
    assert 4 == UUID(project["id"]).version
    assert WHOLE == {key: project[key] for key in WHOLE}
    assert project["created_at"] == project["updated_at"] == "2024-01-01T00:00:01Z"
    path = f"{PROJECTS}/{project['id']}"
    assert reply.document == call("GET", path).document
    assert [] == call("GET", f"{path}/resources").document["resources"]


def test_create_with_little(call: Call) -> None:
    """A name and a purpose are enough; null counts as missing."""
    body = {"name": "web", "purpose": "mine", "description": None}
    project = call("POST", PROJECTS, body).document["project"]
    assert ("", "Other: mine", "", False) == (
        project["description"],
        project["purpose"],
        project["environment"],
        project["is_default"],
    )


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [
        ("probe", "Other: probe"),
        ("Other: Probe", "Other: Probe"),
        ("other: probe", "Other: Probe"),
        ("OTHER:probe 2", "Other: Probe 2"),
        ("Other: ", "Other: "),
        ("Other: Other: x", "Other: X"),
        ("other:OTHER: other", "Other: Other"),
        ("Otherwise", "Other: Otherwise"),
        ("iot", "Other: iot"),
    ],
)
def test_other_purpose(call: Call, purpose: str, expected: str) -> None:
    """A free text has one prefix; what follows a prefix that was sent has a capital."""
    reply = call("POST", PROJECTS, {"name": "web", "purpose": purpose})
    assert expected == reply.document["project"]["purpose"]


def test_purpose_is_kept(emulator: Emulator, call: Call) -> None:
    """A change of another attribute leaves the purpose unchanged."""
    path = path_of(emulator, purpose="mine")
    purpose = call("PATCH", path, {"name": "web"}).document["project"]["purpose"]
    assert "Other: mine" == purpose


def test_id_ignores_case(emulator: Emulator, call: Call) -> None:
    """A project's UUID may be in capitals."""
    project_id = emulator.seed(name="web")
    reply = call("GET", f"{PROJECTS}/{project_id.upper()}")
    assert (200, project_id) == (reply.status, reply.document["project"]["id"])


def test_created_again(emulator: Emulator, call: Call) -> None:
    """The id of a deleted project is never used again, even with the same name."""
    body = {"name": "web", "purpose": "IoT"}
    ids = []
    for _ in range(3):
        ids.append(call("POST", PROJECTS, body).document["project"]["id"])
        assert 204 == call("DELETE", f"{PROJECTS}/{ids[-1]}").status
    assert 3 == len({*ids})
    assert ids[1] != emulator.seed(name="web") != ids[0]
    assert [404] * 3 == [call("GET", f"{PROJECTS}/{project_id}").status for project_id in ids]


def test_get(emulator: Emulator, call: Call) -> None:
    """The default project has two paths."""
    document = call("GET", DEFAULT).document
    assert (emulator.default_project_id, True) == (
        document["project"]["id"],
        document["project"]["is_default"],
    )
    assert document == call("GET", f"{PROJECTS}/{emulator.default_project_id}").document


def test_replace(emulator: Emulator, call: Call) -> None:
    """A replacement changes all attributes, and the time of the last change."""
    path = path_of(emulator, name="web", description="Mine")
    before = call("GET", path).document["project"]
    reply = call("PUT", path, WHOLE)
    updated_at = "2024-01-01T00:00:02Z"
    assert (200, {"project": {**before, **WHOLE, "updated_at": updated_at}}) == (
        reply.status,
        reply.document,
    )
    assert reply.document == call("GET", path).document


def test_replace_with_itself(emulator: Emulator, call: Call) -> None:
    """An answered project can be sent back."""
    emulator.seed(name="web", purpose="X" * 255)
    for document in call("GET", PROJECTS).document["projects"]:
        project = call("PUT", f"{PROJECTS}/{document['id']}", document).document["project"]
        assert document == {**project, "updated_at": document["updated_at"]}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("body", ["less", "null"])
def test_replace_needs_all(emulator: Emulator, call: Call, name: str, body: str) -> None:
    """A replacement needs all attributes."""
    path = path_of(emulator, name="web")
    changes: dict[str, object] = {**WHOLE, name: None}
    if body == "less":
        del changes[name]
    reply = call("PUT", path, changes)
    assert (400, "bad_request", f"{name} must be given") == (
        reply.status,
        reply.document["id"],
        reply.document["message"],
    )
    assert "web" == emulator.projects()[0].name


@pytest.mark.parametrize("name", ["name", "description", "purpose", "environment"])
def test_update(emulator: Emulator, call: Call, name: str) -> None:
    """An update changes one attribute, and keeps missing ones and those that are null."""
    path = path_of(emulator, name="web", description="Mine", environment="Staging")
    before = call("GET", path).document["project"]
    body = {**dict.fromkeys(WHOLE), name: WHOLE[name]}
    reply = call("PATCH", path, body)
    updated_at = "2024-01-01T00:00:02Z"
    assert (200, {"project": {**before, name: WHOLE[name], "updated_at": updated_at}}) == (
        reply.status,
        reply.document,
    )


@pytest.mark.parametrize("body", [{}, {"name": None}, {"id": "x"}, {"other": 1}])
def test_update_of_nothing(emulator: Emulator, call: Call, body: dict[str, object]) -> None:
    """An update without any attribute is refused."""
    before = emulator.projects()
    reply = call("PATCH", DEFAULT, body)
    assert (400, "one of name, description, purpose, environment, is_default must be given") == (
        reply.status,
        reply.document["message"],
    )
    assert before == emulator.projects()


@pytest.mark.parametrize(
    ("method", "body"), [("PATCH", {"is_default": True}), ("PUT", {**WHOLE, "is_default": True})]
)
def test_other_default(
    emulator: Emulator, call: Call, method: str, body: dict[str, object]
) -> None:
    """If a project becomes the default one, the previous one no longer is, and nothing moves."""
    emulator.seed(["do:droplet:1"], default=True)
    old = emulator.default_project_id
    new = emulator.seed(["do:droplet:2"], name="shop")
    assert call(method, f"{PROJECTS}/{new}", body).document["project"]["is_default"]
    assert new == emulator.default_project_id == call("GET", DEFAULT).document["project"]["id"]
    assert [(new, True), (old, False)] == [
        (project.id, project.is_default) for project in emulator.projects()
    ]
    assert {"2024-01-01T00:00:02Z"} == {project.updated_at for project in emulator.projects()}
    assert (["do:droplet:2"], ["do:droplet:1"]) == (emulator.resources(), emulator.resources(old))


def test_default_stays_default(emulator: Emulator, call: Call) -> None:
    """A default project that becomes the default one again changes no other project."""
    emulator.seed(name="web")
    assert 200 == call("PATCH", DEFAULT, {"is_default": True}).status
    assert [False, True] == [project.is_default for project in emulator.projects()]


@pytest.mark.parametrize(
    ("method", "body"), [("PATCH", {"name": "x", "is_default": False}), ("PUT", WHOLE)]
)
def test_no_default(emulator: Emulator, call: Call, method: str, body: dict[str, object]) -> None:
    """The default project stays the default one until another project becomes it."""
    before = emulator.projects()
    reply = call(method, DEFAULT, body)
    assert (400, NO_DEFAULT) == (reply.status, reply.document["message"])
    assert before == emulator.projects()


def test_delete(emulator: Emulator, call: Call) -> None:
    """A deleted project is no longer served, and the answer has no body."""
    path = path_of(emulator, name="web")
    reply = call("DELETE", path)
    assert (204, b"", None, None) == (
        reply.status,
        reply.body,
        reply.headers["Content-Type"],
        reply.headers["Content-Length"],
    )
    assert UUID(reply.headers["x-request-id"]).version == 4
    assert [404] * 4 == [
        call(method, path, WHOLE).status for method in ("GET", "PUT", "PATCH", "DELETE")
    ]
    assert 404 == call("GET", f"{path}/resources").status
    assert ["first-project"] == names(emulator)


def test_delete_what_holds_resources(emulator: Emulator, call: Call) -> None:
    """A project with resources can't be deleted before they have moved."""
    path = path_of(emulator, resources=["do:droplet:1"])
    reply = call("DELETE", path)
    assert (
        412,
        "precondition_failed",
        "cannot delete a project with resources. move or remove the resources first",
    ) == (reply.status, reply.document["id"], reply.document["message"])
    call("POST", f"{DEFAULT}/resources", {"resources": ["do:droplet:1"]})
    assert 204 == call("DELETE", path).status


@pytest.mark.parametrize("resources", [[], ["do:droplet:1"]])
def test_delete_the_default(emulator: Emulator, call: Call, resources: list[str]) -> None:
    """The default project can't be deleted, even if it is empty."""
    old = f"{PROJECTS}/{emulator.seed(resources, default=True)}"
    reply = call("DELETE", old)
    assert (400, NO_DEFAULT) == (reply.status, reply.document["message"])
    call("PATCH", path_of(emulator), {"is_default": True})
    assert (412 if resources else 204) == call("DELETE", old).status


def test_delete_needs_a_type(emulator: Emulator, call: Call) -> None:
    """A DELETE needs the content type of JSON, although it has no body."""
    reply = call("DELETE", path_of(emulator, name="web"), headers={})
    assert (415, "unsupported_media_type") == (reply.status, reply.document["id"])
    assert "web" in names(emulator)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_taken_name(emulator: Emulator, call: Call, method: str) -> None:
    """Two projects can't have the same name."""
    emulator.seed(name="shop")
    path = PROJECTS if method == "POST" else path_of(emulator, name="web")
    before = emulator.projects()
    reply = call(method, path, WHOLE)
    assert (409, "conflict", "name is already in use") == (
        reply.status,
        reply.document["id"],
        reply.document["message"],
    )
    assert before == emulator.projects()


def test_own_name(emulator: Emulator, call: Call) -> None:
    """A project can keep its name, and take a name that is free again."""
    path = path_of(emulator, name="web")
    assert [200, 200] == [call("PATCH", path, {"name": name}).status for name in ("web", "shop")]
    assert 201 == call("POST", PROJECTS, {"name": "web", "purpose": "IoT"}).status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the request body is not valid JSON"),
        (b"{", "the request body is not valid JSON"),
        ([], "the request body must be an object"),
        ("shop", "the request body must be an object"),
        (None, "the request body must be an object"),
        ({**WHOLE, "name": 5}, "name must be a string, got int"),
        ({**WHOLE, "name": ""}, "name must have 1 to 175 characters, got 0"),
        ({**WHOLE, "name": "x" * 176}, "name must have 1 to 175 characters, got 176"),
        ({**WHOLE, "name": "\ud800"}, "name must be valid Unicode text, got a lone surrogate"),
        ({**WHOLE, "description": []}, "description must be a string, got list"),
        ({**WHOLE, "purpose": "x" * 256}, "purpose must have 0 to 255 characters, got 256"),
        (
            {**WHOLE, "environment": "Test"},
            "environment must be Development, Staging or Production, got 'Test'",
        ),
    ],
)
def test_wrong_body(
    emulator: Emulator, call: Call, method: str, body: object, message: str
) -> None:
    """An invalid attribute refuses the whole request."""
    path = PROJECTS if method == "POST" else path_of(emulator)
    before = emulator.projects()
    reply = call(method, path, b"null" if body is None else body)
    assert (400, "bad_request", message) == (
        reply.status,
        reply.document["id"],
        reply.document["message"],
    )
    assert before == emulator.projects()


def test_wrong_is_default(call: Call) -> None:
    """`is_default` must be a boolean."""
    reply = call("PATCH", DEFAULT, {"is_default": "true"})
    assert (400, "is_default must be a bool, got str") == (
        reply.status,
        reply.document["message"],
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "name, purpose must be given"),
        ({"name": "x"}, "purpose must be given"),
        ({"name": None, "purpose": "IoT"}, "name must be given"),
    ],
)
def test_create_needs_a_name_and_a_purpose(
    emulator: Emulator, call: Call, body: object, message: str
) -> None:
    """The error names the missing attributes."""
    reply = call("POST", PROJECTS, body)
    assert (400, message) == (reply.status, reply.document["message"])
    assert ["first-project"] == names(emulator)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [NOTHING, "/v2/projects/x", "/v2/projects/Default"])
def test_not_found(call: Call, method: str, path: str) -> None:
    """An unknown project is a 404."""
    reply = call(method, path, WHOLE)
    assert (404, "not_found") == (reply.status, reply.document["id"])


@pytest.mark.parametrize(
    ("operation", "scope", "expected"),
    [
        (("GET", PROJECTS), "project:read", 200),
        (("POST", PROJECTS), "project:create", 201),
        (("GET", DEFAULT), "project:read", 200),
        (("PUT", DEFAULT), "project:update", 200),
        (("PATCH", DEFAULT), "project:update", 200),
        (("DELETE", NOTHING), "project:delete", 404),
    ],
)
def test_scopes(
    emulator: Emulator, call: Call, operation: tuple[str, str], scope: str, expected: int
) -> None:
    """Each operation needs its own scope."""
    scopes = {f"project:{action}" for action in ("read", "create", "update", "delete")}
    body = {**WHOLE, "is_default": True}
    before = emulator.projects()
    wrong, right = emulator.add_token(scopes - {scope}), emulator.add_token([scope])
    reply = call(*operation, body, authorization=f"Bearer {wrong}")
    assert (403, "forbidden") == (reply.status, reply.document["id"])
    assert before == emulator.projects()
    assert expected == call(*operation, body, authorization=f"Bearer {right}").status
