"""Models: values that are made from text, compare by value and show it."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from digitalocean_projects import URN, Page, Resource, ResourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """The type of a resource is its URN's, also where the id holds colons."""
    assert URN.parse(text).type == Resource(text).type


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
    """The `repr` shows the texts, whether the status is known or not."""
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


def test_page() -> None:
    """A page is a frozen value whose members are all named."""
    page = Page(items=(WHOLE,), number=2, total=201, rate_limit=None)
    assert ((WHOLE,), 2, 201, None) == attrs.astuple(page, recurse=False)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        page.total = 0  # type: ignore[misc]  # what is tested
    with pytest.raises(TypeError, match="positional argument"):
        Page((WHOLE,), 2, 201, None)  # type: ignore[call-arg]  # what is tested
