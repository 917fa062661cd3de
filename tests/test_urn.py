"""URNs: what is one, what it is equal to, and where the package finds one."""

from __future__ import annotations

import copy
import pickle
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitalocean_projects import Resource
from digitalocean_projects._codec.urn import URN, ResourceType, checked_urn_text, distinct_urns

if TYPE_CHECKING:
    from collections.abc import Callable

DROPLET = URN("droplet", 1)
A_UUID = "83c7a55f-0d84-4760-9245-aba076ec2fb2"
EXAMPLES = {
    ResourceType.APP: "do:app:be5aab85-851b-4cab-b2ed-98d5a63ba4e8",
    ResourceType.DATABASE: f"do:dbaas:{A_UUID}",
    ResourceType.DOMAIN: "do:domain:example.com",
    ResourceType.DROPLET: "do:droplet:4126873",
    ResourceType.FLOATING_IP: "do:floatingip:192.168.99.100",
    ResourceType.KUBERNETES: "do:kubernetes:bd5f5959-5e1e-4205-a714-a914373942af",
    ResourceType.LOAD_BALANCER: "do:loadbalancer:39052d89-8dd4-4d49-8d5a-3c3b6b365b5b",
    ResourceType.SPACE: "do:space:my-website-assets",
    ResourceType.VOLUME: "do:volume:6fc4c277-ea5c-448a-93cd-dd496cfef71f",
}

types = st.from_regex(r"[a-z][a-z0-9_-]*", fullmatch=True)
ids = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"], exclude_characters="\"'"),
    min_size=1,
)
refused = (
    st.characters(categories=["Cc", "Zl", "Zp", "Zs"])
    | st.characters(categories=["Cs"])
    | st.sampled_from("\"'")
)


@given(types, ids)
def test_round_trip(resource_type: str, resource_id: str) -> None:
    """A URN and its text say the same, whatever the type and the id."""
    urn = URN(resource_type, resource_id)
    assert (resource_type, resource_id) == (urn.type, urn.id)
    assert f"do:{resource_type}:{resource_id}" == str(urn)
    assert urn == URN.parse(str(urn)) == URN.of(str(urn))
    assert str(urn) == checked_urn_text(str(urn))


@given(st.text(max_size=3), refused, st.text(max_size=3))
def test_refused_characters(before: str, character: str, after: str) -> None:
    """No white space, quote, control character or lone surrogate is in an id."""
    resource_id = before + character + after
    with pytest.raises(ValueError, match="not a resource id: "):
        URN("droplet", resource_id)
    with pytest.raises(ValueError, match="not a URN of the form do:type:id: "):
        URN.parse(f"do:droplet:{resource_id}")


@pytest.mark.parametrize("resource_type", ResourceType)
def test_documented_types(resource_type: ResourceType) -> None:
    """The members spell the types of the provider's examples, of which there are nine."""
    urn = URN.parse(EXAMPLES[resource_type])
    assert resource_type == urn.type
    assert urn == URN(resource_type, urn.id)
    assert EXAMPLES[resource_type] == str(URN(resource_type, urn.id))
    assert str is type(URN(resource_type, urn.id).type)
    assert 9 == len(ResourceType)


@pytest.mark.parametrize("resource_type", ["vpc", "volumesnapshot", "a", "gen-ai_agent2"])
def test_unknown_types(resource_type: str) -> None:
    """The list of types is open."""
    assert URN(resource_type, 1) == URN.parse(f"do:{resource_type}:1")


@pytest.mark.parametrize("resource_id", ["2604:a880::1", ":", "::", "a:", ":a", "do:droplet:1"])
def test_ids_with_colons(resource_id: str) -> None:
    """Only the first two colons part a URN."""
    expected = URN("floatingipv6", resource_id)
    assert expected == URN.parse(f"do:floatingipv6:{resource_id}")
    assert resource_id == expected.id


@pytest.mark.parametrize(
    ("resource_id", "text"), [(7, "7"), (UUID(A_UUID), A_UUID), ("007", "007"), ("Ünï", "Ünï")]
)
def test_ids_are_text(resource_id: str | int | UUID, text: str) -> None:
    """An id is kept as text, whatever it was given as."""
    urn = URN("droplet", resource_id)
    assert text == urn.id
    assert URN("droplet", text) == urn


@pytest.mark.parametrize("text", ["", "do", "do:droplet", "do:droplet:", "do::1", "droplet:1"])
@pytest.mark.parametrize("read", [URN.parse, URN.of, checked_urn_text])
def test_wrong_shape(read: Callable[[str], object], text: str) -> None:
    """Text of another shape is refused, and the message shows it."""
    with pytest.raises(ValueError, match="not a URN of the form do:type:id: ") as caught:
        read(text)
    assert f"not a URN of the form do:type:id: {text!r}" == str(caught.value)


@pytest.mark.parametrize("start", ["DO:a", " do:a", "xdo:a", "do:A", "do:a b", "do:ä", "do:1a"])
def test_wrong_start(start: str) -> None:
    """The scheme and the type are in lower case, with nothing before them."""
    with pytest.raises(ValueError, match=f"not a URN of the form do:type:id: '{start}:1'"):
        URN.parse(f"{start}:1")


def test_wrong_shape_is_cut() -> None:
    """The message shows the first 200 characters of a long text."""
    with pytest.raises(ValueError, match="not a URN") as caught:
        URN.parse("x" * 1_000_000)
    assert f"not a URN of the form do:type:id: '{'x' * 199}…'" == str(caught.value)


@pytest.mark.parametrize("resource_type", ["", "Droplet", "a:b", "1a", "_a", "a b", "a\n", "ä"])
def test_wrong_type_text(resource_type: str) -> None:
    """A type is in lower case and begins with a letter."""
    with pytest.raises(ValueError, match="not a resource type: ") as caught:
        URN(resource_type, 1)
    expected = f"not a resource type: {resource_type!r} (lower case, like 'droplet')"
    assert expected == str(caught.value)


@pytest.mark.parametrize("resource_id", ["", " ", "1\n", "\x7f", "a\u2028b", "\ud800", '"', "'"])
def test_wrong_id(resource_id: str) -> None:
    """An id that can't stand in a URN is refused, and the message shows it escaped."""
    with pytest.raises(ValueError, match="not a resource id: ") as caught:
        URN("droplet", resource_id)
    expected = f"not a resource id: {resource_id!r} (empty, or holds white space or quotes)"
    assert expected == str(caught.value)


@pytest.mark.parametrize("value", [None, True, 1.0, b"do:droplet:1", ["do:droplet:1"]])
def test_wrong_python_type(value: Any) -> None:
    """What is no text is not made text by force, and a bool is no int."""
    name = type(value).__name__
    with pytest.raises(TypeError, match=f"a URN must be a string, got {name}"):
        URN.parse(value)
    with pytest.raises(TypeError, match=f"neither a URN nor anything with one: {name}"):
        URN.of(value)
    with pytest.raises(TypeError, match=f"a resource type is a string, not {name}"):
        URN(value, 1)
    with pytest.raises(TypeError, match=f"a resource id is a string, int or UUID, not {name}"):
        URN("droplet", value)


def test_of() -> None:
    """A URN is its own URN, and an object's `urn` may be a URN or its text."""
    assert DROPLET is URN.of(DROPLET)
    assert DROPLET is URN.of(SimpleNamespace(urn=DROPLET))
    assert DROPLET == URN.of(SimpleNamespace(urn="do:droplet:1"))


@pytest.mark.parametrize("urn", [None, 1, b"do:droplet:1", SimpleNamespace(urn=DROPLET)])
def test_of_object_with_another_urn(urn: Any) -> None:
    """A `urn` that is neither a URN nor text is none, and is not searched for another."""
    with pytest.raises(TypeError, match="neither a URN nor anything with one: SimpleNamespace"):
        URN.of(SimpleNamespace(urn=urn))


def test_of_object_with_wrong_text() -> None:
    with pytest.raises(ValueError, match="not a URN of the form do:type:id: 'droplet 1'"):
        URN.of(SimpleNamespace(urn="droplet 1"))


@pytest.mark.parametrize(
    ("given_type", "listed_type"),
    [("reservedip", "floatingip"), ("reservedipv6", "floatingipv6")],
)
def test_canonical(given_type: str, listed_type: str) -> None:
    """Both names of an address have one canonical form, the one that is listed."""
    listed = URN(listed_type, "2604:a880::1")
    assert listed == URN(given_type, "2604:a880::1").canonical
    assert listed is listed.canonical
    assert listed != URN(given_type, "2604:a880::1")


def test_canonical_of_listed() -> None:
    """A listed URN, which need not be one that a user may pass, has a canonical form, too."""
    listed = Resource("do:reservedip:1 2").urn
    assert "do:floatingip:1 2" == str(listed.canonical)
    assert listed.canonical == listed.canonical.canonical
    assert [listed] == distinct_urns([listed, Resource("do:floatingip:1 2")])
    with pytest.raises(ValueError, match="not a URN of the form do:type:id: 'do:reservedip:1 2'"):
        distinct_urns([str(listed)])


def test_order() -> None:
    """URNs are ordered by type and then by id as text; other things are not comparable."""
    app, ten, nine = URN("app", "b"), URN("droplet", 10), URN("droplet", 9)
    assert [app, ten, nine] == sorted([nine, app, ten])
    text: Any = "do:droplet:1"
    assert text != DROPLET
    with pytest.raises(TypeError, match="not supported between"):
        _ = text > DROPLET


def test_value() -> None:
    """A URN is hashable by value, can't be changed, and its `repr` is the call that makes it."""
    assert {DROPLET} == {DROPLET, URN("droplet", "1"), URN(ResourceType.DROPLET, 1)}
    assert "URN(type='droplet', id='1')" == repr(DROPLET)
    for name in ("type", "id", "other"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(DROPLET, name, "x")


def test_copies() -> None:
    """Copies and pickles are equal to the original."""
    pickled = pickle.loads(pickle.dumps(DROPLET))  # noqa: S301 # made here
    assert [DROPLET] * 3 == [copy.copy(DROPLET), copy.deepcopy(DROPLET), pickled]


class Words(str, Enum):  # noqa: UP042 - as users write them: `str` isn't the value
    TYPE = "droplet"
    ID = "1"
    TEXT = "do:droplet:1"


def test_enum_members() -> None:
    """An enum's member that is a string stands for its value."""
    assert "do:droplet:1" == str(URN(Words.TYPE, Words.ID)) == checked_urn_text(Words.TEXT)


def test_distinct_urns() -> None:
    """Repeats, also those by another name, are dropped; the first name stays."""
    urns: list[URN | str] = [
        "do:reservedip:1.2.3.4",
        URN("droplet", 1),
        "do:floatingip:1.2.3.4",
        "do:droplet:1",
    ]
    assert [URN("reservedip", "1.2.3.4"), URN("droplet", 1)] == distinct_urns(urns)


@pytest.mark.parametrize(
    "make", [URN.parse, URN.of, lambda text: URN("droplet", text.split(":", 2)[2])]
)
def test_no_token(make: Callable[[str], URN]) -> None:
    """A URN with a token in it is refused, since it would be sent and printed."""
    with pytest.raises(ValueError, match="must not contain an API token") as caught:
        make("do:droplet:dop_v1_" + 64 * "a")
    assert "aaaa" not in str(caught.value)
    # The digest of an image is none.
    assert 64 * "a" == make("do:image:" + 64 * "a").id
