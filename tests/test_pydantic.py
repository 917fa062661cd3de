"""The package's values in pydantic's models."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from digitalocean_projects import (
    URN,
    AssignmentResult,
    Environment,
    Page,
    Project,
    ProjectResources,
    Reconciliation,
    Resource,
    ResourceStatus,
)
from digitalocean_projects._codec.json import encode

DROPLET = URN("droplet", 1)
MOMENT = datetime(2018, 9, 28, 19, 26, 37, tzinfo=UTC)
LINK = "https://api.digitalocean.com/v2/droplets/1"
WHOLE = Resource(DROPLET, MOMENT, LINK, ResourceStatus.OK)
PROJECT = Project(
    id="4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679",
    name="web",
    purpose="Service or API",
    environment=Environment.PRODUCTION,
    is_default=True,
    owner_id=5,
    created_at=MOMENT,
)
PAGE = Page(items=(WHOLE,), number=1, total=None, rate_limit=None)


class Order(BaseModel):
    """A model of a user."""

    urn: URN
    resource: Resource | None = None
    amounts: dict[URN, int] = {}


@pytest.mark.parametrize("value", [DROPLET, "do:droplet:1", WHOLE])
def test_urn(value: Any) -> None:
    """A URN is parsed from text, and from an object with a URN."""
    assert DROPLET == Order(urn=value).urn


def test_urn_in_json() -> None:
    """A URN is text in JSON, also as a key, and remains a URN in Python."""
    text = '{"urn":"do:droplet:1","resource":null,"amounts":{"do:volume:a":2}}'
    order = Order.model_validate_json(text)
    assert {URN("volume", "a"): 2} == order.amounts
    assert text == order.model_dump_json()
    assert DROPLET == order.model_dump()["urn"]


@pytest.mark.parametrize("text", ["do:Droplet.x:a b", "do:App:", "do:space:it's"])
def test_listed_urn(text: str) -> None:
    """A model can read any URN of a listed resource that it has written."""
    urn = Resource(text).urn
    order = Order(urn=urn, amounts={urn: 1})
    assert order == Order.model_validate_json(order.model_dump_json())
    assert order == Order.model_validate(order.model_dump(mode="json"))
    assert order == Order.model_validate(order.model_dump())


@pytest.mark.parametrize("text", ['{"urn": "do:droplet:1"}', "5", '["do:droplet:1"]'])
def test_urn_in_json_is_a_string(text: str) -> None:
    """In JSON, a URN is a string, as its schema says."""
    with pytest.raises(ValidationError, match="a URN of the form do:TYPE:ID"):
        TypeAdapter(URN).validate_json(text)


@pytest.mark.parametrize(
    "value",
    [
        "droplet:1",
        "do:droplet",
        "do:droplet:1\n",
        "do:droplet:1,do:droplet:5",
        "do:droplet:dop_v1_" + 64 * "a",
        5,
        None,
        True,
        ["do:droplet:1"],
    ],
)
def test_bad_urn(value: Any) -> None:
    """An invalid URN is one error."""
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"urn": value})
    assert [
        {
            "type": "urn_parsing",
            "loc": ("urn",),
            "msg": "Input should be a URN of the form do:TYPE:ID",
            "input": value,
        }
    ] == caught.value.errors()


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_urn_schema(mode: Any) -> None:
    """The schema of a URN is a string with a pattern."""
    schema = TypeAdapter(URN).json_schema(mode=mode)
    assert ("string", "urn") == (schema["type"], schema["format"])
    texts = [
        *schema["examples"],
        "do:domain:a.b",
        "do:floatingipv6:2604::1",
        "do:App:",
        "droplet:1",
    ]
    expected = [True, True, True, True, False]
    assert expected == [re.search(schema["pattern"], text) is not None for text in texts]


@pytest.mark.parametrize(
    "resource",
    [
        WHOLE,
        Resource(DROPLET),
        Resource(DROPLET, status="new"),
        Resource(DROPLET, MOMENT.astimezone(timezone(timedelta(hours=2)))),
        Resource(DROPLET, MOMENT.replace(microsecond=5000)),
        Resource("do:Droplet:it's mine"),
        Resource("do:reservedip:"),
    ],
)
def test_resource(resource: Resource) -> None:
    """Its JSON is that of the API, and comes back as the same value."""
    adapter = TypeAdapter(Resource)
    text = adapter.dump_json(resource)
    assert json.loads(encode([resource]))[0] == json.loads(text)
    assert resource == adapter.validate_json(text)
    assert resource == adapter.validate_python(json.loads(text))
    assert resource is adapter.validate_python(resource)


def test_resource_members() -> None:
    """A resource is read like an answer of the API, with known statuses and time zones."""
    members = {
        "urn": "do:droplet:1",
        "assigned_at": "2018-09-28 19:26:37",
        "links": {"self": LINK},
        "status": "ok",
        "new": [],
    }
    resource = TypeAdapter(Resource).validate_python(members)
    assert WHOLE == resource
    assert isinstance(resource.status, ResourceStatus)


def test_resource_in_python() -> None:
    """In Python mode, a resource becomes its members with their types."""
    order = Order(urn=DROPLET, resource=WHOLE)
    expected = {"urn": DROPLET, "assigned_at": MOMENT, "links": {"self": LINK}, "status": "ok"}
    assert expected == order.model_dump()["resource"]


@pytest.mark.parametrize(
    ("members", "location"),
    [
        ({}, ("urn",)),
        ({"urn": "droplet"}, ("urn",)),
        ({"urn": "do:droplet:1", "assigned_at": "soon"}, ("assigned_at",)),
        ({"urn": "do:droplet:1", "links": {"self": 5}}, ("links", "self")),
        ({"urn": "do:droplet:1", "status": 5}, ("status",)),
        ("do:droplet:1", ()),
    ],
)
def test_bad_resource(members: Any, location: tuple[str, ...]) -> None:
    """Each invalid member is one error with its location."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Resource).validate_python(members)
    assert [location] == [error["loc"] for error in caught.value.errors()]


@pytest.mark.parametrize(
    "project",
    [
        PROJECT,
        Project(id="1", name="a"),
        Project(id="1", name="a", environment="Moon", purpose="Other: b", updated_at=MOMENT),
    ],
)
def test_project(project: Project) -> None:
    """Its JSON is that of the API, and comes back as the same value."""
    adapter = TypeAdapter(Project)
    text = adapter.dump_json(project)
    assert json.loads(encode([project]))[0] == json.loads(text)
    again = adapter.validate_json(text)
    assert project == again
    assert type(project.environment) is type(again.environment)


@pytest.mark.parametrize(
    ("members", "location"),
    [
        ({"id": "1"}, ("name",)),
        ({"id": "1", "name": 5}, ("name",)),
        ({"id": "1", "name": "a", "is_default": "perhaps"}, ("is_default",)),
        ({"id": "1", "name": "a", "owner_id": "me"}, ("owner_id",)),
    ],
)
def test_bad_project(members: Any, location: tuple[str, ...]) -> None:
    """Each invalid member is one error with its location."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Project).validate_python(members)
    assert [location] == [error["loc"] for error in caught.value.errors()]


def test_page() -> None:
    """A page has items, number and total, and items of any type that pydantic knows."""
    adapter = TypeAdapter(Page[Resource])
    text = adapter.dump_json(PAGE)
    assert {"items": [json.loads(encode([WHOLE]))[0]], "number": 1, "total": None} == json.loads(
        text
    )
    assert PAGE == adapter.validate_json(text)
    assert {"items": [1, "a"], "number": 2, "total": 5} == json.loads(
        TypeAdapter[Any](Page).dump_json(Page(items=(1, "a"), number=2, total=5, rate_limit=None))
    )


def test_bad_page() -> None:
    """An invalid value deep in a page is one error with its location."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Page[Project]).validate_python({"items": [{}], "number": 0, "total": -1})
    expected = [("items", 0, "id"), ("items", 0, "name"), ("number",), ("total",)]
    assert expected == [error["loc"] for error in caught.value.errors()]


@pytest.mark.parametrize("mode", ["validation", "serialization"])
@pytest.mark.parametrize(
    ("cls", "required"),
    [
        (Resource, ["urn"]),
        (Project, ["id", "name"]),
        (Page[Project], ["items", "number", "total"]),
    ],
)
def test_object_schema(mode: Any, cls: Any, required: list[str]) -> None:
    """An object has the same schema for validation and serialization."""
    schema = TypeAdapter(cls).json_schema(mode=mode)
    assert ("object", required) == (schema["type"], schema["required"])
    assert schema == TypeAdapter(cls).json_schema(mode="validation")


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (URN | Resource, Resource(DROPLET), {"urn": "do:droplet:1"}),
        (URN | int, 5, 5),
        (URN | int, DROPLET, "do:droplet:1"),
        (Resource | Project | None, None, None),
        (Project | Resource, Resource(DROPLET), {"urn": "do:droplet:1"}),
        (dict[str, Page[URN] | int], {"a": 5}, {"a": 5}),
    ],
)
def test_union(annotation: Any, value: Any, expected: Any) -> None:
    """In a union, each value is serialized by its own type."""
    assert expected == json.loads(TypeAdapter(annotation).dump_json(value))


def test_page_of_other_items() -> None:
    """A page of one type is refused as a page of another type."""
    with pytest.raises(ValidationError, match=r"items\.0"):
        TypeAdapter(Page[Project]).validate_python(PAGE)
    page = TypeAdapter(Page[Resource]).validate_python(PAGE)
    assert PAGE == page


def test_strict() -> None:
    """A strict model can read its own output."""

    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        page: Page[Resource]
        project: Project

    model = Strict(page=PAGE, project=PROJECT)
    assert model == Strict.model_validate_json(model.model_dump_json())


@pytest.mark.parametrize(
    "value",
    [
        AssignmentResult(resources=(WHOLE,), unknown=(DROPLET,)),
        Reconciliation(
            added=(DROPLET,), removed=(Resource("do:App:").urn,), kept=(), failed=(WHOLE,)
        ),
        ProjectResources(project=PROJECT, resources=(WHOLE,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_response_types(value: Any) -> None:
    """A value can be the response of a FastAPI endpoint, and OpenAPI describes it by its name."""
    app = FastAPI()
    app.get("/", response_model=type(value))(lambda: value)
    with TestClient(app) as http:
        assert value.to_dict() == http.get("/").json()
    assert value == TypeAdapter(type(value)).validate_python(value.to_dict())
    schema = app.openapi()["components"]["schemas"][type(value).__name__]
    assert value.to_dict().keys() == schema["properties"].keys()
    assert (type(value).__doc__ or "").startswith(schema["description"])
