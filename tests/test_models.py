"""Models: values that compare by value, and that other libraries can take apart and restore."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from datetime import UTC, datetime
from types import NoneType
from typing import TYPE_CHECKING, Any

import attrs
import msgspec
import pytest
import yaml
from pydantic import TypeAdapter

from digitalocean_projects import (
    URN,
    AppliedPlan,
    AssignmentResult,
    Environment,
    Move,
    NewProject,
    Page,
    Plan,
    Project,
    ProjectResources,
    Purpose,
    RateLimit,
    Reconciliation,
    Refusal,
    Resource,
    ResourceStatus,
)
from digitalocean_projects._codec.models import urn_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DROPLET = URN("droplet", 1)
MOMENT = datetime(2018, 9, 28, 19, 26, 37, tzinfo=UTC)
LINK = "https://api.digitalocean.com/v2/droplets/1"
WHOLE = Resource(DROPLET, MOMENT, LINK, "ok")


def test_statuses() -> None:
    """The statuses are the documented ones, and each is its text."""
    expected = ["ok", "not_found", "assigned", "already_assigned", "service_down"]
    assert expected == list(ResourceStatus)
    assert expected == [str(status) for status in ResourceStatus]


@pytest.mark.parametrize("urn", [DROPLET, "do:droplet:1"])
def test_resource_urn(urn: URN | str) -> None:
    """A resource is made of a URN or its text; the rest may be unknown."""
    resource = Resource(urn=urn)
    assert DROPLET == resource.urn
    assert "droplet" == resource.type
    assert (None, None, None) == (resource.assigned_at, resource.self_link, resource.status)


@pytest.mark.parametrize("text", ["do:floatingip:2604:a880::1", "do:gen-ai_agent2:a:b"])
def test_resource_type(text: str) -> None:
    """The type and the id of a resource are those of its URN, even if the id holds colons."""
    urn, resource = URN.parse(text), Resource(text)
    assert (urn.type, urn.id) == (resource.type, resource.id)


@pytest.mark.parametrize("text", ["do:Droplet:1", "do:app:", "do:space:it's mine"])
def test_listed_urn(text: str) -> None:
    """A resource may have any URN that the API lists, and so may its copies."""
    resource = Resource(text)
    assert text == str(resource.urn) == str(attrs.evolve(resource, status="ok").urn)
    pickled = pickle.loads(pickle.dumps(resource))  # noqa: S301 - made here
    assert [resource] * 3 == [copy.copy(resource), copy.deepcopy(resource), pickled]
    assert resource == Resource(resource.urn)
    assert resource.urn == copy.deepcopy(resource.urn) == pickled.urn


@pytest.mark.parametrize("text", ["", "droplet:1", "do::1", "do:a b:1", "do:droplet:1\n"])
def test_malformed_urn(text: str) -> None:
    with pytest.raises(ValueError, match="a URN must have the form do:TYPE:ID, got "):
        Resource(text)


@attrs.frozen
class Named(Resource):
    """A subclass of a user."""

    name: str = ""


@attrs.define(slots=False, frozen=True)
class Tagged(Resource):
    """A subclass of a user with a dict."""

    tag: str = ""


@pytest.mark.parametrize("cls", [Named, Tagged])
def test_subclass(cls: Any) -> None:
    """A subclass that attrs makes has the same check, and behaves as a value."""
    value = cls("do:droplet:1", None, LINK, "ok", "web")
    assert [URN, DROPLET, "droplet"] == [type(value.urn), value.urn, value.type]
    assert {value} == {cls(DROPLET, None, LINK, "ok", "web")}
    assert value != cls(DROPLET, None, LINK, "ok", "db")
    assert value != Resource(DROPLET, None, LINK, "ok") != value
    assert b'"do:droplet:1"' in msgspec.json.encode(value)
    with pytest.raises(ValueError, match="a URN must have the form do:TYPE:ID, got 'xx'"):
        cls("xx")
    with pytest.raises(TypeError, match="a URN must be a string, got int"):
        cls(5)


def test_pickled_subclass() -> None:
    value = Named("do:App:", status="ok", name="web")  # type: ignore[arg-type]  # text is converted
    assert value == pickle.loads(pickle.dumps(value))  # noqa: S301 - made here


def test_another_class() -> None:
    """A resource differs from other values, also from a subclass with the same fields."""

    class Same(Resource):
        pass

    assert Resource(DROPLET) != Same(DROPLET) != DROPLET
    assert Same(DROPLET) == Same(DROPLET)
    assert hash(Same(DROPLET)) == hash(Same(DROPLET))


@pytest.mark.parametrize("value", [None, 1, b"do:droplet:1", WHOLE])
def test_urn_of_another_type(value: Any) -> None:
    with pytest.raises(TypeError, match=f"a URN must be a string, got {type(value).__name__}"):
        Resource(value)


@pytest.mark.parametrize("status", ResourceStatus)
def test_equality(status: ResourceStatus) -> None:
    """Resources compare by value, for which a status and its text are the same."""
    one, other = Resource(DROPLET, status=status), Resource("do:droplet:1", status=status.value)
    assert one.urn == other.urn
    assert {one} == {one, other, Resource(DROPLET, status=status)}
    assert one != Resource(DROPLET, status="paused")
    assert one != Resource(URN("droplet", 2), status=status)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            Resource(DROPLET),
            "Resource(urn='do:droplet:1', assigned_at=None, self_link=None, status=None)",
        ),
        (
            Resource(DROPLET, status=ResourceStatus.NOT_FOUND),
            "Resource(urn='do:droplet:1', assigned_at=None, self_link=None, status='not_found')",
        ),
        (
            WHOLE,
            f"Resource(urn={DROPLET!r}, assigned_at={MOMENT!r}, self_link={LINK!r}, status='ok')",
        ),
    ],
)
def test_repr(resource: Resource, expected: str) -> None:
    """The `repr` shows the texts, of an unknown status, too."""
    assert expected == repr(resource)


@pytest.mark.parametrize("name", ["urn", "type", "assigned_at", "self_link", "status", "other"])
def test_frozen_resource(name: str) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(WHOLE, name, None)


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, attrs.evolve, lambda value: pickle.loads(pickle.dumps(value))],  # noqa: S301 - made here
)
def test_copies(duplicate: Callable[[Any], Any]) -> None:
    """Copies and pickles are equal to the original, and know their URN."""
    assert DROPLET == WHOLE.urn
    assert WHOLE == duplicate(WHOLE)
    assert DROPLET == duplicate(WHOLE).urn
    page = Page(items=(WHOLE,), number=1, total=None, rate_limit=None)
    assert page == duplicate(page)


def test_fields() -> None:
    """The fields are plain, and a resource can be restored from them."""
    members = attrs.asdict(WHOLE)
    assert ["urn", "assigned_at", "self_link", "status"] == list(members)
    assert WHOLE == Resource(**members)
    match WHOLE:
        case Resource(urn, status="ok"):
            assert DROPLET == urn
    assert PROJECT == Project(**attrs.asdict(PROJECT))


def test_text_in_a_slot() -> None:
    """A resource keeps its URN as plain text, which the garbage collector doesn't track."""
    resource = Resource(DROPLET)
    assert [str, False] == [type(urn_text(resource)), gc.is_tracked(urn_text(resource))]
    assert URN is type(resource.urn)


WIRE = {
    "urn": "do:droplet:1",
    "assigned_at": "2018-09-28T19:26:37Z",
    "links": {"self": LINK},
    "status": "ok",
}
PROJECT = Project(id="x", name="web", environment=Environment.STAGING, created_at=MOMENT)
PROJECT_WIRE = {
    "id": "x",
    "name": "web",
    "description": "",
    "purpose": "",
    "environment": "Staging",
    "is_default": False,
    "owner_uuid": None,
    "owner_id": None,
    "created_at": "2018-09-28T19:26:37Z",
    "updated_at": None,
}
REFUSAL = Refusal(urn=DROPLET, status=412, id="x", message="y", request_id=None)
REFUSAL_WIRE = {
    "urn": "do:droplet:1",
    "status": 412,
    "id": "x",
    "message": "y",
    "request_id": None,
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (WHOLE, WIRE),
        (Resource("do:App:"), {"urn": "do:App:"}),
        (PROJECT, PROJECT_WIRE),
        (REFUSAL, REFUSAL_WIRE),
        (
            Page(
                items=(WHOLE,),
                number=1,
                total=5,
                rate_limit=RateLimit(limit=5),
                request_id="7",
                headers={"x": "y"},
            ),
            {"items": [WIRE], "number": 1, "total": 5},
        ),
        (
            ProjectResources(project=PROJECT, resources=(WHOLE,)),
            {"project": PROJECT_WIRE, "resources": [WIRE], "total": None, "settled": True},
        ),
        (
            AssignmentResult(
                resources=(WHOLE,), unknown=(DROPLET,), refused=(REFUSAL,), request_ids=("7",)
            ),
            {
                "resources": [WIRE],
                "unknown": ["do:droplet:1"],
                "untouched": [],
                "refused": [REFUSAL_WIRE],
                "request_ids": ["7"],
            },
        ),
        (
            Reconciliation(added=(DROPLET,), removed=(), kept=(), failed=(WHOLE,)),
            {
                "added": ["do:droplet:1"],
                "removed": [],
                "kept": [],
                "failed": [WIRE],
                "unknown": [],
                "untouched": [],
                "refused": [],
                "request_ids": [],
            },
        ),
        (
            Plan(
                new_projects=(NewProject(name="shop", environment=Environment.STAGING),),
                moves=(
                    Move(urn=DROPLET, source=None, source_id=None, target="shop", target_id=None),
                ),
                kept=(DROPLET,),
            ),
            {
                "new_projects": [
                    {
                        "name": "shop",
                        "purpose": "Web Application",
                        "description": "",
                        "environment": "Staging",
                    }
                ],
                "moves": [
                    {
                        "urn": "do:droplet:1",
                        "source": None,
                        "source_id": None,
                        "target": "shop",
                        "target_id": None,
                    }
                ],
                "kept": ["do:droplet:1"],
            },
        ),
        (
            AppliedPlan(
                created=(PROJECT,), moved=(DROPLET,), kept=(), left=(DROPLET,), refused=(REFUSAL,)
            ),
            {
                "created": [PROJECT_WIRE],
                "moved": ["do:droplet:1"],
                "kept": [],
                "left": ["do:droplet:1"],
                "failed": [],
                "unknown": [],
                "untouched": [],
                "refused": [REFUSAL_WIRE],
                "request_ids": [],
            },
        ),
    ],
)
def test_to_dict(value: Any, expected: dict[str, Any]) -> None:
    """The form in JSON has plain types only, and pydantic writes and reads the same one."""
    members = value.to_dict()
    assert expected == members
    assert {dict, list, str, int, bool, NoneType} >= set(plain_types(members))
    adapter = TypeAdapter(Page[Resource] if isinstance(value, Page) else type(value))
    assert expected == json.loads(adapter.dump_json(value))
    assert expected == adapter.validate_python(expected).to_dict()


class Text(str):
    """A subclass of str, as other libraries have them."""

    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        Project(
            id=Text("x"),
            name=Text("web"),
            description=Text("y"),
            purpose=Purpose.IOT,
            environment=Environment.STAGING,
            owner_uuid=Text("z"),
        ),
        Resource(Text("do:droplet:1"), self_link=Text(LINK), status=Text("new")),
        Page(items=(DROPLET, Purpose.IOT), number=1, total=None, rate_limit=None),
        Refusal(urn=DROPLET, status=412, id=Text("x"), message=Text("y"), request_id=Text("z")),
    ],
)
def test_to_dict_of_subclasses(value: Any) -> None:
    """The form in JSON has no enums and no subclasses of str, so that YAML can write it."""
    members = value.to_dict()
    assert {dict, list, str, int, bool, NoneType} >= set(plain_types(members))
    assert members == yaml.safe_load(yaml.safe_dump(members))


def plain_types(value: Any) -> Iterator[type]:
    yield type(value)
    for part in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from plain_types(part)


def test_msgspec() -> None:
    """A resource is encoded by msgspec with its URN; a URN by itself is refused."""
    fields = {"urn": "do:droplet:1", "assigned_at": None, "self_link": LINK, "status": "ok"}
    assert fields == json.loads(msgspec.json.encode(attrs.evolve(WHOLE, assigned_at=None)))
    with pytest.raises(TypeError, match="URN is unsupported"):
        msgspec.json.encode(DROPLET)
    assert b'"do:droplet:1"' == msgspec.json.encode(DROPLET, enc_hook=str)
    result = AssignmentResult(resources=(WHOLE,), unknown=(DROPLET,), refused=(REFUSAL,))
    with pytest.raises(TypeError, match="URN is unsupported"):
        msgspec.json.encode(result)
    assert result.to_dict() == json.loads(msgspec.json.encode(result.to_dict()))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            Page(items=(WHOLE,), number=2, total=None, rate_limit=None),
            "number=2 items=1 total=None",
        ),
        (ProjectResources(project=PROJECT, resources=(WHOLE,)), "project='web' resources=1"),
        (
            AssignmentResult(resources=(WHOLE,), unknown=(DROPLET,)),
            "done=1 failed=0 unknown=1 untouched=0",
        ),
        (
            Reconciliation(added=(DROPLET,), removed=(), kept=()),
            "added=1 removed=0 kept=0 failed=0 unknown=0 untouched=0",
        ),
    ],
)
def test_repr_of_many(value: object, expected: str) -> None:
    """A value that holds many values shows their number."""
    assert f"<{type(value).__name__} {expected}>" == repr(value)


def test_page() -> None:
    """A page is a frozen value whose members are all named."""
    page = Page(items=(WHOLE,), number=2, total=201, rate_limit=None)
    assert ((WHOLE,), 2, 201, None, None, {}) == attrs.astuple(page, recurse=False)
    assert page == attrs.evolve(page, request_id="7", headers={"x-request-id": "7"})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        page.total = 0  # type: ignore[misc]  # what is tested
    with pytest.raises(TypeError, match="positional argument"):
        Page((WHOLE,), 2, 201, None)  # type: ignore[call-arg]  # what is tested
