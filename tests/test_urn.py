"""URNs: their form, their behaviour as strings, and the arguments that hold one."""

from __future__ import annotations

import copy
import json
import pickle
import re
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from digitalocean_projects import Resource
from digitalocean_projects._codec.urn import URN, ResourceType
from digitalocean_projects._codec.urns import DistinctURNs, checked_urns, distinct_urns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DROPLET = URN("droplet", 1)
A_UUID = "83c7a55f-0d84-4760-9245-aba076ec2fb2"
EXAMPLES = {
    ResourceType.APP: "do:app:be5aab85-851b-4cab-b2ed-98d5a63ba4e8",
    ResourceType.DATABASE: f"do:dbaas:{A_UUID}",
    ResourceType.DOMAIN: "do:domain:example.com",
    ResourceType.DROPLET: "do:droplet:4126873",
    ResourceType.FIREWALL: f"do:firewall:{A_UUID}",
    ResourceType.IMAGE: "do:image:7555620",
    ResourceType.NAT_GATEWAY: f"do:nat_gateway:{A_UUID}",
    ResourceType.VOLUME_SNAPSHOT: f"do:volumesnapshot:{A_UUID}",
    ResourceType.FLOATING_IP: "do:floatingip:192.168.99.100",
    ResourceType.KUBERNETES: "do:kubernetes:bd5f5959-5e1e-4205-a714-a914373942af",
    ResourceType.LOAD_BALANCER: "do:loadbalancer:39052d89-8dd4-4d49-8d5a-3c3b6b365b5b",
    ResourceType.SPACE: "do:space:my-website-assets",
    ResourceType.VOLUME: "do:volume:6fc4c277-ea5c-448a-93cd-dd496cfef71f",
}

types = st.from_regex(r"[a-z][a-z0-9_-]*", fullmatch=True)
PUNCTUATION = "\"'`,;|*\\<>{}[]$%…"
MISSING = "None|null|undefined|nan|NaN|NaT"
ids = st.text(
    st.characters(
        exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"],
        exclude_characters=PUNCTUATION + "\u200b\u2060\ufeff",
    ),
    min_size=1,
).filter(lambda text: not re.search(rf"\.\.\.|^({MISSING})$|\bdo:|^\d+\.", text))
refused = (
    st.characters(categories=["Cc", "Zl", "Zp", "Zs"])
    | st.characters(categories=["Cs"])
    | st.sampled_from(PUNCTUATION)
)


@given(types, ids)
def test_round_trip(resource_type: str, resource_id: str) -> None:
    """A URN and its text are equal, whatever the type and the id."""
    urn = URN(resource_type, resource_id)
    assert (resource_type, resource_id) == (urn.type, urn.id)
    assert f"do:{resource_type}:{resource_id}" == str(urn)
    assert urn == URN.parse(str(urn)) == URN.of(str(urn))
    assert (str, URN, URN) == (type(str(urn)), type(urn), type(URN.parse(urn)))


@given(st.text(max_size=3), refused, st.text(max_size=3))
def test_refused_characters(before: str, character: str, after: str) -> None:
    """An id has no white space, quote, list, wildcard or template character, and is valid text."""
    resource_id = before + character + after
    with pytest.raises(ValueError, match=r"^id must (be the id of a|not contain 'do:')"):
        URN("droplet", resource_id)
    with pytest.raises(ValueError, match="a URN must have the form do:TYPE:ID, got "):
        URN.parse(f"do:droplet:{resource_id}")


@pytest.mark.parametrize("resource_type", ResourceType)
def test_documented_types(resource_type: ResourceType) -> None:
    """The members are the nine types of the provider's examples, and four more."""
    urn = URN.parse(EXAMPLES[resource_type])
    assert resource_type == urn.type
    assert urn == URN(resource_type, urn.id)
    assert EXAMPLES[resource_type] == str(URN(resource_type, urn.id))
    assert str is type(URN(resource_type, urn.id).type)
    assert 13 == len(ResourceType)


@pytest.mark.parametrize("resource_type", ["vpc", "volumesnapshot", "a", "gen-ai_agent2"])
def test_unknown_types(resource_type: str) -> None:
    """The list of types is open."""
    assert URN(resource_type, 1) == URN.parse(f"do:{resource_type}:1")


@pytest.mark.parametrize("resource_id", ["2604:a880::1", ":", "::", "a:", ":a", "ado:b:1"])
def test_ids_with_colons(resource_id: str) -> None:
    """Only the first two colons divide a URN."""
    expected = URN("floatingipv6", resource_id)
    assert expected == URN.parse(f"do:floatingipv6:{resource_id}")
    assert resource_id == expected.id


@pytest.mark.parametrize(
    ("resource_id", "text"), [(7, "7"), (UUID(A_UUID), A_UUID), ("007", "007"), ("Ünï", "Ünï")]
)
def test_ids_are_text(resource_id: str | int | UUID, text: str) -> None:
    """An id is kept as text, whatever its type was."""
    urn = URN("droplet", resource_id)
    assert text == urn.id
    assert URN("droplet", text) == urn


@pytest.mark.parametrize("text", ["", "do", "-", "do:1:1"])
@pytest.mark.parametrize("read", [URN.parse, URN.of])
def test_wrong_shape(read: Callable[[str], object], text: str) -> None:
    """Text of another shape is refused, and the message shows it."""
    with pytest.raises(ValueError, match="a URN must have the form") as caught:
        read(text)
    assert f"a URN must have the form do:TYPE:ID, got {text!r}" == str(caught.value)


@pytest.mark.parametrize("start", ["DO:a", " do:a", "xdo:a", "do:A", "do:a b", "do:ä", "do:1a"])
def test_wrong_start(start: str) -> None:
    """The scheme and the type are in lower case, with nothing before them."""
    with pytest.raises(ValueError, match=f"a URN must have the form do:TYPE:ID, got '{start}:1'"):
        URN.parse(f"{start}:1")


HINTS = {
    "; pass each URN by itself, in a list": [
        "do:droplet:1,do:droplet:5",
        "do:droplet:1 do:droplet:5",
        "do:droplet:1;do:droplet:5\n",
        "['do:droplet:1', 'do:droplet:5']",
        "do:droplet:do:droplet:1",
    ],
    "; fill in the placeholder": [
        "do:droplet:${id}",
        "do:droplet:$ID",
        "do:droplet:<id>",
        "do:droplet:{id}",
        "do:droplet:{{ id }}",
        "do:droplet:%s",
        "do:droplet:%(id)s",
        "do:droplet:[id]",
        "do:droplet:...",
        "do:droplet:…",
        "do:droplet:None",
        "do:droplet:null",
        "do:volume:undefined",
        "do:droplet:nan",
        "do:droplet:NaN",
        "do:droplet:NaT",
        "do:<type>:1",
        "${urn}",
    ],
    "; remove the white space or punctuation around it": [
        " do:droplet:1",
        "do:droplet:1\n",
        '"do:droplet:1"',
        "do:droplet:1,",
        "`do:droplet:1`",
        "\ufeffdo:droplet:1",
        "do:droplet:1\u200b",
    ],
    "; remove 'urn:'": ["urn:do:droplet:1", "URN:do:droplet:1"],
    "; remove the comment": ["# droplets", "#do:droplet:1", "do:droplet:1  # web"],
    "; write the type and id that the URL names as do:TYPE:ID": [
        "https://api.digitalocean.com/v2/droplets/1",
        "http://a/do:droplet:1",
    ],
    "; begin with 'do:' and put ':' between the type and the id": [
        "d0:droplet:2",
        "do_droplet:2",
        "do;droplet;2",
        "do-droplet-2",
        "do/droplet/2",
        "do:droplet;2",
        "do.droplet.2",
    ],
    "; put 'do:', the type and ':' before the id": ["13457723", A_UUID, A_UUID.upper()],
    "; put ':' and the id after the type": ["do:droplet", "do:droplet:"],
    "; put the type before the id": ["do::1", f"do:{A_UUID}", "do:13457723"],
    "; pass the id as an int or a string of digits": ["do:droplet:1.0", "do:droplet:1.3e+07"],
    "; the type must not contain ' '": ["do:droplet :2", "do: droplet:2"],
    "; write 'do' and the type in lower case": ["DO:droplet:1", "do:Droplet:1"],
    "; put 'do:' before it": ["droplet:1", "floatingipv6:2604::1", "reservedip:192.0.2.1"],
    "; the API can't assign resources of the type 'vpc'": ["vpc:1"],
    "; put 'do:' before it; use the type 'droplet' instead of 'droplets'": ["droplets:1"],
    "; fill in the placeholder; use the type 'dbaas' instead of 'database'": ["do:database:<id>"],
    "; an id must not contain ' '": ["do:droplet:1 2"],
    "; an id must not contain '*'": ["do:droplet:*"],
    "; an id must not contain '\\x1b'": ["do:droplet:1\x1b[31mx", "do:droplet:\x1b[31m1\x1b[0m"],
    "; the type must not contain '\\x1b'": ["do:\x1b[31mdroplet:1"],
    "; an id must not contain '%'": ["do:droplet:%00", "do:space:a%2Fb"],
    "": ["do:1a:1", "web-shop"],
}


@pytest.mark.parametrize(("hint", "text"), [(hint, text) for hint in HINTS for text in HINTS[hint]])
def test_hints(hint: str, text: str) -> None:
    """The message for a likely mistake says how to fix it."""
    with pytest.raises(ValueError, match="a URN must have the form") as caught:
        URN.parse(text)
    assert f"a URN must have the form do:TYPE:ID, got {text!r}{hint}" == str(caught.value)


def test_wrong_shape_is_cut() -> None:
    """The message shows the first 200 characters of a long text."""
    with pytest.raises(ValueError, match="a URN must have the form") as caught:
        URN.parse("x" * 1_000_000)
    assert f"a URN must have the form do:TYPE:ID, got '{'x' * 199}…'" == str(caught.value)


@pytest.mark.parametrize("resource_type", ["", "Droplet", "a:b", "1a", "_a", "a b", "a\n", "ä"])
def test_wrong_type_text(resource_type: str) -> None:
    """A type is in lower case and begins with a letter."""
    with pytest.raises(ValueError, match="type must be a resource type") as caught:
        URN(resource_type, 1)
    start = "type must be a resource type in lower case, such as 'droplet', got "
    expected = f"{start}{resource_type!r}"
    assert expected == str(caught.value)


@pytest.mark.parametrize("resource_id", ["", " ", "1\n", "\x7f", "a\u2028b", "\ud800", '"', "'"])
def test_wrong_id(resource_id: str) -> None:
    """An id that can't be part of a URN is refused, and the message shows it escaped."""
    with pytest.raises(ValueError, match="id must be the id of a resource") as caught:
        URN("droplet", resource_id)
    hint = f"; an id must not contain {resource_id[-1:]!r}" if len(resource_id) == 1 else ""
    expected = f"id must be the id of a resource, got {resource_id!r}"
    assert str(caught.value).startswith(expected + hint)


@pytest.mark.parametrize("arguments", [("do:droplet:2",), ("do:droplet:2", 1), (DROPLET,)])
def test_urn_as_type(arguments: tuple[Any, ...]) -> None:
    """The message for a whole URN names the method that reads one."""
    with pytest.raises(ValueError, match=r"'do:droplet:.'; pass a whole URN to URN.parse\(\)$"):
        URN(*arguments)


@pytest.mark.parametrize("digits", [400, 5000])
def test_long_number(digits: int) -> None:
    """A long int is refused before its digits, which Python may refuse to convert, are needed."""
    with pytest.raises(ValueError, match=r"^id must be an int of at most 1024 bits, got \d+$"):
        URN("droplet", 10**digits)


def test_type_alone() -> None:
    with pytest.raises(ValueError, match=r"^id must be the id of a resource, got ''"):
        URN("droplet")


@pytest.mark.parametrize("resource_id", ["1.0", "13457723.", "1.3457723e+07"])
def test_float_as_id(resource_id: str) -> None:
    """A number with a decimal point, as tables make it, is not the id of a Droplet."""
    with pytest.raises(ValueError, match="; pass the id as an int or a string of digits"):
        URN("droplet", resource_id)
    assert resource_id == URN("space", resource_id).id


@pytest.mark.parametrize("resource_id", [DROPLET, "do:droplet:1", "1,do:droplet:2"])
def test_urn_as_id(resource_id: str) -> None:
    """A URN is not the id of another one."""
    with pytest.raises(ValueError, match=r"pass a whole URN to URN.parse\(\)"):
        URN("droplet", resource_id)


@pytest.mark.parametrize("resource_id", ["<id>", "{id}", "None", "..."])
def test_placeholder_as_id(resource_id: str) -> None:
    """The message for a template that was not filled in says so."""
    with pytest.raises(ValueError, match="; fill in the placeholder"):
        URN("droplet", resource_id)


@pytest.mark.parametrize("value", [None, True, 1.0, b"do:droplet:1", ["do:droplet:1"]])
def test_wrong_python_type(value: Any) -> None:
    """A value of another type is refused, and a bool is not an int."""
    name = type(value).__name__
    with pytest.raises(TypeError, match=f"a URN must be a string, got {name}"):
        URN.parse(value)
    with pytest.raises(TypeError, match=f"or an object or mapping with a urn, got {name}"):
        URN.of(value)
    with pytest.raises(TypeError, match=f"type must be a string, got {name}"):
        URN(value, 1)
    with pytest.raises(TypeError, match=f"id must be a string, int or UUID, got {name}"):
        URN("droplet", value)


def test_of() -> None:
    """A URN is its own URN, and the `urn` of an object or mapping may be a URN or its text."""
    assert DROPLET is URN.of(DROPLET)
    assert DROPLET is URN.of(SimpleNamespace(urn=DROPLET))
    assert DROPLET == URN.of(SimpleNamespace(urn="do:droplet:1"))
    assert DROPLET == URN.of({"urn": "do:droplet:1", "status": "ok"})
    assert DROPLET is URN.of({"urn": DROPLET})


@pytest.mark.parametrize("urn", [None, 1, b"do:droplet:1", SimpleNamespace(urn=DROPLET)])
def test_of_object_with_another_urn(urn: Any) -> None:
    """The `urn` of an object or mapping must be a URN or text."""
    with pytest.raises(TypeError, match="mapping with a urn, got SimpleNamespace"):
        URN.of(SimpleNamespace(urn=urn))
    with pytest.raises(TypeError, match="mapping with a urn, got dict"):
        URN.of({"urn": urn})


def test_of_object_with_wrong_text() -> None:
    with pytest.raises(ValueError, match="a URN must have the form do:TYPE:ID, got 'droplet 1'"):
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


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        (f"do:kubernetes:{A_UUID.upper()}", f"do:kubernetes:{A_UUID}"),
        ("do:domain:Example.COM", "do:domain:example.com"),
        ("do:reservedipv6:2001:DB8::1", "do:floatingipv6:2001:db8::1"),
        ("do:floatingipv6:2001:db8:0::1", "do:floatingipv6:2001:db8::1"),
        ("do:floatingip:2001:0db8:0:0:0:0:0:1", "do:floatingip:2001:db8::1"),
    ],
)
def test_canonical_notation(text: str, listed: str) -> None:
    """UUIDs, domains and IPv6 addresses have one canonical notation."""
    assert listed == URN.parse(text).canonical == URN.parse(listed).canonical
    assert [text] == list(distinct_urns([text, listed]))


@pytest.mark.parametrize(
    "text", ["do:space:Assets", "do:floatingipv6:A::B::C", "do:floatingip:x", "do:app:ABCDEF"]
)
def test_canonical_of_other_ids(text: str) -> None:
    """Other ids, of which capitals may be a part, are kept."""
    assert text == URN.parse(text).canonical


def test_canonical_of_listed() -> None:
    """A listed URN, which need not be one that a user may pass, has a canonical form, too."""
    listed = Resource("do:reservedip:1 2").urn
    assert "do:floatingip:1 2" == str(listed.canonical)
    assert listed.canonical == listed.canonical.canonical
    assert [listed] == list(distinct_urns([listed, Resource("do:floatingip:1 2")]))
    with pytest.raises(ValueError, match="do:TYPE:ID, got 'do:reservedip:1 2'"):
        distinct_urns([str(listed)])


def test_order() -> None:
    """URNs are ordered as their texts are, among these too."""
    app, ten, nine = URN("app", "b"), URN("droplet", 10), URN("droplet", 9)
    assert [app, ten, "do:droplet:5", nine] == sorted([nine, app, "do:droplet:5", ten])


def test_value() -> None:
    """A URN is hashable by value, can't be changed, and shows as its text."""
    assert {DROPLET} == {DROPLET, URN("droplet", "1"), URN(ResourceType.DROPLET, 1)}
    assert "'do:droplet:1'" == repr(DROPLET)
    for name in ("type", "id", "other"):
        with pytest.raises(AttributeError):
            setattr(DROPLET, name, "x")


def test_text() -> None:
    """A URN can be used wherever its text can: in sets, as a key, in JSON and in f-strings."""
    assert DROPLET == "do:droplet:1"
    assert set() == {"do:droplet:1"} - {DROPLET} == {DROPLET} - {"do:droplet:1"}
    assert "web" == {"do:droplet:1": "web"}[DROPLET]
    assert '["do:droplet:1"]' == json.dumps([DROPLET])
    assert ("do:droplet:1", str) == (f"{DROPLET}", type(f"{DROPLET}"))


@pytest.mark.parametrize("urn", [DROPLET, Resource("do:App:").urn])
def test_copies(urn: URN) -> None:
    """Copies and pickles are equal URNs, of a listed URN, too."""
    pickles = [pickle.dumps(urn, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    copies = [copy.copy(urn), copy.deepcopy(urn), *map(pickle.loads, pickles)]
    assert [(urn, URN)] * len(copies) == [(each, type(each)) for each in copies]


class Labelled(URN):
    """A subclass of a user with an attribute."""

    label: str


def test_copies_of_a_subclass() -> None:
    """Copies and pickles keep the attributes of a subclass, and YAML can name what makes them."""
    urn = Labelled("droplet", 1)
    urn.label = "web"
    pickled = pickle.loads(pickle.dumps(urn))  # noqa: S301 - made here
    for each in (copy.copy(urn), copy.deepcopy(urn), pickled, yaml.unsafe_load(yaml.dump(urn))):
        assert [urn, Labelled, "web"] == [each, type(each), each.label]


class Words(str, Enum):  # noqa: UP042 - `str` doesn't return the value
    TYPE = "droplet"
    ID = "1"
    TEXT = "do:droplet:1"


def test_enum_members() -> None:
    """An enum's member that is a string stands for its value."""
    assert "do:droplet:1" == URN(Words.TYPE, Words.ID) == URN.parse(Words.TEXT)


def test_distinct_urns() -> None:
    """Repeats, also those by another name, are dropped; the first name stays."""
    urns: list[URN | str] = [
        "do:reservedip:1.2.3.4",
        URN("droplet", 1),
        "do:floatingip:1.2.3.4",
        "do:droplet:1",
    ]
    assert [URN("reservedip", "1.2.3.4"), URN("droplet", 1)] == list(distinct_urns(urns))


@pytest.mark.parametrize("one", ["do:droplet:1", DROPLET, {"urn": DROPLET}, Resource(DROPLET)])
def test_one_resource(one: Any) -> None:
    """A single resource is not taken for several."""
    with pytest.raises(TypeError, match="resources must be a list of URNs, got one "):
        distinct_urns(one)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("do:droplet:1,do:droplet:5", "5'; pass each URN by itself, in a list"),
        ("do:droplet:dop_v1_" + 64 * "a", "a URN must not contain an API token"),
    ],
)
def test_unsendable_resources(text: str, message: str) -> None:
    """A resource or URN that was made without the checks of arguments gets them, too."""
    resource = Resource(text)
    for given_as in (resource, resource.urn, {"urn": resource.urn}):
        with pytest.raises(ValueError, match=re.escape(message)) as caught:
            distinct_urns([DROPLET, given_as])
        assert str(caught.value).startswith("resources[1]: a URN must ")
        assert "aaaa" not in str(caught.value)


@pytest.mark.parametrize("text", ["do:Droplet.x:a b", "do:app:", "do:space:ado:x"])
def test_listed_resources_are_sendable(text: str) -> None:
    """A resource that the API lists can be passed as it is."""
    assert [text] == list(distinct_urns([Resource(text)]))


def test_mapping_of_urns() -> None:
    """A mapping with URNs as keys is an iterable of URNs."""
    assert [DROPLET] == list(distinct_urns({"do:droplet:1": "web"}))


@pytest.mark.parametrize(
    "make", [URN.parse, URN.of, lambda text: URN("droplet", text.split(":", 2)[2])]
)
def test_no_token(make: Callable[[str], URN]) -> None:
    """A URN with a token in it is refused, since it would be sent and printed."""
    with pytest.raises(ValueError, match="must not contain an API token") as caught:
        make("do:droplet:dop_v1_" + 64 * "a")
    assert "aaaa" not in str(caught.value)
    # The digest of an image is not a token.
    assert 64 * "a" == make("do:image:" + 64 * "a").id


def outcome(function: Callable[[], Iterable[object]]) -> object:
    """Return a function's result, or the text of its exception."""
    try:
        return [*function()]
    except ValueError as error:
        return str(error)


ODD = (
    "do:app:a...b",
    "do:app:null",
    "do:app:nan",
    "do:app:null-1",
    "do:app:undefined",
    "do:app:None",
    "do:droplet:1.5",
    "do:droplet:1e5",
    "do:droplet:x",
    "do:dropletx:1.5",
    "do:floatingip:192.0.2.1",
    "do:reservedip:192.0.2.1",
    "do:reservedipv6:2001:0DB8::1",
    "do:app:BE5AAB85-851B-4CAB-B2ED-98D5A63BA4E8",
    "do:domain:Example.com",
    "do:domain:x\ndo:domain:y",
    "do:domain:x\n",
    "\ndo:domain:x",
    "",
    "do:app:",
    "do::1",
    "do:app:do:app:1",
    "do:app:1-do:app:2",
    "do:app:1,do:app:2",
    "do:nat_gateway:1",
    f"do:app:dop_v1_{'a' * 64}",
    f"do:app:{'a' * 64}",
    f"do:dop_v1_{'a' * 64}:1",
)


@given(
    st.lists(
        st.sampled_from(ODD)
        | st.from_regex(r"do:(app|droplet|domain|x-1):[a-z0-9._:A-Z \n-]{1,8}", fullmatch=True)
        | st.integers(1, 9).map("do:droplet:{}".format),
        max_size=4,
    )
)
def test_usual_texts(texts: list[str]) -> None:
    """Texts that are checked together have the outcome of checking each by itself."""
    careful = outcome(lambda: DistinctURNs.of(checked_urns(texts)))
    assert careful == outcome(lambda: distinct_urns(texts))
    assert careful == outcome(lambda: distinct_urns(iter(texts)))
    if isinstance(careful, list):
        resources = [Resource(text) for text in texts]
        for given_as in (resources, [URN.parse(text) for text in texts]):
            distinct = distinct_urns(given_as)
            assert careful == [*distinct]
            assert {URN} == {URN, *map(type, distinct)}
            assert [urn.canonical for urn in distinct] == distinct.canonical


@pytest.mark.parametrize("position", [0, 50, 99])
@pytest.mark.parametrize("text", ODD)
def test_unusual_text_among_usual_ones(text: str, position: int) -> None:
    """An unusual text is found at any position."""
    texts = [f"do:droplet:{number}" for number in range(99)]
    texts.insert(position, text)
    assert outcome(lambda: DistinctURNs.of(checked_urns(texts))) == outcome(
        lambda: distinct_urns(texts)
    )
