"""Codec: decoding the API's documents, refusing malformed ones, and encoding values."""

from __future__ import annotations

import codecs
import json
import re
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from digitalocean_projects import URN, Resource, ResourceStatus
from digitalocean_projects._codec import resources as codec
from digitalocean_projects._codec.json import (
    DecodeError,
    PageDocument,
    decode_error,
    decode_page,
    decode_resources,
    encode,
    encode_members,
    encode_urns,
)
from digitalocean_projects._codec.models import urn_text
from digitalocean_projects._codec.resources import _Members, are_listed_urns
from digitalocean_projects._codec.structure import converter, structure
from digitalocean_projects._codec.urn import listed_urn
from digitalocean_projects._codec.urns import assignable

if TYPE_CHECKING:
    from collections.abc import Callable

API = "https://api.digitalocean.com/v2"
LISTING = f"{API}/projects/4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679/resources"
URN_TEXT = "do:droplet:13457723"
WIRE = {
    "urn": URN_TEXT,
    "assigned_at": "2018-09-28T19:26:37Z",
    "links": {"self": f"{API}/droplets/13457723"},
    "status": "ok",
}
MOMENT = datetime(2018, 9, 28, 19, 26, 37, tzinfo=UTC)
RESOURCE = Resource(URN_TEXT, MOMENT, f"{API}/droplets/13457723", ResourceStatus.OK)
NESTED = "[" * 100_000
DIGITS = "1" * 100_000
ODD: list[Any] = [None, 5, {}, [], [5], {"x": 5}]
ODD_URNS = [
    *(
        "do:Droplet:1",
        "do:NatGateway:1",
        "do:app:",
        "do:1-click.App_2:x",
        "do:-:-",
        "do:.:",
        "do:a::",
    ),
    *(
        "do:domain:münchen.de",
        "do:space:it's",
        'do:space:"',
        "do:space: a  b ",
        "do:space:a\u2028b",
    ),
    "do:space:\N{GRINNING FACE}",
]
BAD_URNS = [
    *(
        "do:droplet:1\ndo:droplet:2",
        "do:droplet:1\n",
        "\n",
        "",
        "x",
        "droplet:1",
        "do",
        "do:",
        "do:a",
    ),
    *("do::1", "DO:a:1", " do:a:1", "do:a b:1", "do:ä:1", "do:a:\0", "do:a:1\r", "do:a:\x7f"),
    *("do:a:\x85", "xdo:a:1", "do;a @ b"),
]
NO_TOTALS = [None, -1, "5", 5.0, True, [5], 10**15, 10**30]


def body(**members: Any) -> bytes:
    return json.dumps({"resources": [], **members}).encode()


def resource_from(**members: Any) -> Resource:
    """Return the resource that is read from these members."""
    [resource] = decode_resources(body(resources=[{"urn": URN_TEXT, **members}]))
    return resource


def page_of(content: bytes) -> PageDocument[Resource]:
    return decode_page(content, Resource)


def test_documented_page() -> None:
    """A page as the provider's reference shows it."""
    pages = {name: f"{LISTING}?page={page}" for name, page in (("first", 1), ("last", 9))}
    links = {"pages": {**pages, "next": f"{LISTING}?page=2", "prev": f"{LISTING}?page=1"}}
    content = body(resources=[WIRE], links=links, meta={"total": 1234})
    expected = PageDocument(items=[RESOURCE], total=1234, more=True, next=2, last=9)
    assert expected == page_of(content)
    assert [RESOURCE] == decode_resources(content)


NO_PAGES = PageDocument[Resource](items=[], total=None, more=False, next=None, last=None)


@pytest.mark.parametrize("links", [None, {}, {"x": 5}])
def test_no_links(links: Any) -> None:
    """Links may be missing."""
    assert NO_PAGES == page_of(body())
    assert NO_PAGES == page_of(body(links=links))
    assert NO_PAGES == page_of(body(links={"pages": links}))


@pytest.mark.parametrize("links", [5, 0, False, [], [5], "", "x"])
def test_garbled_links(links: Any) -> None:
    """Links of a wrong type are no error, but may hide a next page."""
    garbled = attrs.evolve(NO_PAGES, garbled=True)
    assert garbled == page_of(body(links=links))
    assert garbled == page_of(body(links={"pages": links}))
    assert isinstance(links, str) is not page_of(body(links={"pages": {"next": links}})).garbled


@pytest.mark.parametrize(
    ("link", "number"),
    [
        (f"{LISTING}?page=3&per_page=200", 3),
        ("https://elsewhere.example/?per_page=200&page=3#page=4", 3),
        ("?page=3", 3),
        *((f"?page={odd}", None) for odd in ("", "-3", "3.5", "3x", "٣", DIGITS)),
        *((odd, None) for odd in (LISTING, "garbage", "?per_page=200", 3, {"x": 5}, ["?page=3"])),
    ],
)
def test_page_numbers(link: Any, number: int | None) -> None:
    """A link is read for its page number only; a `next` link says that there is more."""
    found = page_of(body(links={"pages": {"next": link, "last": link}}))
    assert (True, number, number) == (found.more, found.next, found.last)


@pytest.mark.parametrize("pages", [{}, {"next": None}, {"next": ""}])
def test_last_page(pages: dict[str, Any]) -> None:
    """The last page is the one without a next link, though it links to the last page."""
    found = page_of(body(links={"pages": {"last": "?page=9", **pages}}))
    assert (False, None, 9) == (found.more, found.next, found.last)


@pytest.mark.parametrize(
    ("meta", "total"),
    [
        *product([*ODD, *({"total": odd} for odd in NO_TOTALS)], [None]),
        *(({"total": total}, total) for total in (0, 5, 10**12, 10**15 - 1)),
    ],
)
def test_total(meta: Any, total: int | None) -> None:
    """A total is a whole number from 0; any other value is ignored."""
    assert total == page_of(body(meta=meta)).total


@pytest.mark.parametrize("status", [*ResourceStatus, "paused", "OK", ""])
def test_statuses(status: str) -> None:
    """A known status becomes a `ResourceStatus`, and an unknown one is kept as it is."""
    found = resource_from(status=str(status)).status
    assert (status, type(status)) == (found, type(found))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2018-09-28T19:26:37Z", MOMENT),
        ("2018-09-28T19:26:37.1234Z", MOMENT.replace(microsecond=123_400)),
        ("2018-09-28T19:26:37.123456Z", MOMENT.replace(microsecond=123_456)),
        ("2018-09-28T21:26:37+02:00", MOMENT),
        ("2018-09-28 19:26:37", MOMENT),
        ("20180928T192637Z", MOMENT),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    """A time may have a fraction of a second and any zone; without one it is UTC."""
    assert moment == resource_from(assigned_at=text).assigned_at


@pytest.mark.parametrize(
    ("member", "odd"),
    [
        *product(["assigned_at", "links"], ODD),
        *product(["assigned_at"], ["", "yesterday", "2018-02-30T00:00:00Z"]),
        *product(["links"], [{"self": None}, {"self": 5}, "x"]),
    ],
)
def test_unreadable(member: str, odd: Any) -> None:
    """A malformed time or link is None."""
    assert Resource(URN_TEXT) == resource_from(**{member: odd})


@pytest.mark.parametrize("odd", [5, 0, False, True, [], ["assigned"], {}, {"code": "assigned"}])
def test_invalid_status(odd: Any) -> None:
    """A status that is no text is kept apart from a missing one, and from every known status."""
    assert f"invalid status of type {type(odd).__name__}" == resource_from(status=odd).status
    assert resource_from(status=None).status is None


def test_optional_members() -> None:
    """Every member but the URN may be missing, and unknown members are ignored."""
    assert Resource(URN_TEXT) == resource_from()
    assert Resource(URN_TEXT, status="ok") == resource_from(status="ok", tags=[{}], _text=5)
    assert Resource("do:new-type_2:a:b") == resource_from(urn="do:new-type_2:a:b")
    assert Resource(URN_TEXT, self_link="ftp://x") == resource_from(links={"self": "ftp://x"})
    assert [] == decode_resources(body(resources=None, id=None))
    assert [RESOURCE] == decode_resources(codecs.BOM_UTF8 + body(resources=[WIRE]))


NO_JSON = [
    *("", " ", "<html></html>", '{"resources": []', '{"resources": []} x', '{"resources": [],}'),
    *("\udcff", '{"resources": ["\udcff"]}', '{"resources": [], "x": "\\ud800"}', "\ufeff\ufeff{}"),
    *('{"resources": [NaN]}', '{"resources": [], "x": NaN}', '{"resources": [], "x": Infinity}'),
    *(NESTED, '{"resources":' * 100_000, f'{{"resources": [], "x": {NESTED}{"]" * 100_000}}}'),
    *(f'{{"resources": [], "x": {number}}}' for number in (DIGITS, f"-{DIGITS}", f"1e{DIGITS}")),
    *(f'{{"resources": [{{"urn": "do:a:1", "x": {number}}}]}}' for number in (DIGITS, "1e400")),
    '{"resources":[{"urn":"do:a:1","links":{"self":"x","n":1e400}}]}',
]
NO_JSON_BECAUSE = (
    r"JSON is malformed: .+ \(byte \d+\)|Input data was truncated"
    r"|'utf-8' codec can't decode byte 0x[0-9a-f]{2} in position \d+: .+"
    r"|(Number|Integer value) out of range - at `\$\S*`"
    "|it is nested too deeply"
)
BAD_DOCUMENTS = [
    ("null", "expected a JSON object, got NoneType"),
    ("[]", "expected a JSON object, got list"),
    ('"resources"', "expected a JSON object, got str"),
    ("{}", "resources is missing"),
    ('{"id": "not_found", "message": "x", "request_id": "y"}', "resources is missing"),
    ('{"resources": {}}', "resources: expected a list, got dict"),
    ('{"resources": ""}', "resources: expected a list, got str"),
    ('{"resources": 0}', "resources: expected a list, got int"),
    ('{"resources": false}', "resources: expected a list, got bool"),
    ('{"resources": [null]}', r"resources\[0\]: expected a JSON object, got NoneType"),
    ('{"resources": [{"urn": "do:a:1"}, "do:a:2"]}', r"resources\[1\]: .+ object, got str"),
    ('{"resources": [{"urn": "do:a:1"}, []]}', r"resources\[1\]: expected a JSON object, got list"),
    ('{"resources": [{"urn": "do:a:1"}, {}]}', r"resources\[1\]: 'urn' is missing"),
    ('{"resources": [{"urn": null}]}', r"resources\[0\]: a URN must be a string, got NoneType"),
    ('{"resources": [{"urn": 5}]}', r"resources\[0\]: a URN must be a string, got int"),
    # JSON allows this control character without a backslash.
    ('{"resources": [{"urn": "do:app:\x7f"}]}', r"resources\[0\]: expected a URN of .+"),
    ('{"resources": [{"urn": "x"}]}', r'resources\[0\]: expected a URN of .+:ID, got "x"'),
    (
        '{"resources": [1, {"urn": "do:a:1"}, 2, 3, 4]}',
        r".+\[0\]: [^;]+; .+\[2\]: [^;]+; .+\[3\].+",
    ),
]


def page_after(*counts: int) -> Callable[[bytes], PageDocument[Resource]]:
    """Return a decoder that first decodes pages with these numbers of unusual resources."""

    def decode(content: bytes) -> PageDocument[Resource]:
        for count in counts:
            page_of(body(resources=[WIRE, *[WIRE | {"status": 5}] * count]))
        return page_of(content)

    return decode


# The decoder reads a page in a way that fits the page before.
after_usual = page_after(0)
after_few = page_after(0, 1)
after_many = page_after(0, codec._MANY)
decoders = pytest.mark.parametrize("decode", [after_usual, after_few, after_many])


@decoders
@pytest.mark.parametrize("text", NO_JSON, ids=range(len(NO_JSON)))
def test_no_json(decode: Callable[[bytes], object], text: str) -> None:
    """Malformed, deep or huge JSON is refused, and the message says why."""
    with pytest.raises(DecodeError, match=rf"^invalid JSON: (?:{NO_JSON_BECAUSE})$"):
        decode(text.encode("utf-8", "surrogateescape"))


@decoders
@pytest.mark.parametrize(("text", "fault"), BAD_DOCUMENTS)
def test_bad_documents(decode: Callable[[bytes], object], text: str, fault: str) -> None:
    """Another document is refused, and the message names the first three faults."""
    with pytest.raises(DecodeError, match=f"^{fault}$"):
        decode(text.encode())


def test_error_documents() -> None:
    """The texts of an error's body are read, if it is an object."""
    document = {"id": "not_found", "message": 5, "request_id": None, "errors": ["x"]}
    assert {"id": "not_found", "message": "x"} == decode_error(json.dumps(document).encode())
    for content in (b"", b"null", b"[]", b'"x"', b"<html>", NESTED.encode()):
        assert {} == decode_error(content)


def test_encode() -> None:
    """Items are encoded as the API sends them, without unknown members."""
    resources = [RESOURCE, Resource(URN_TEXT), Resource(URN_TEXT, status="paused")]
    expected = [WIRE, {"urn": URN_TEXT}, {"urn": URN_TEXT, "status": "paused"}]
    assert expected == json.loads(encode(resources))
    assert b"[]" == encode(iter(()))


def test_encode_texts() -> None:
    """An instance of a subclass of str is encoded as text."""

    class Safe(str):
        __slots__ = ()

    resource = Resource(URN_TEXT, self_link=Safe("ftp://x"), status=Safe("ok"))
    expected = [{"urn": URN_TEXT, "links": {"self": "ftp://x"}, "status": "ok"}]
    assert expected == json.loads(encode([resource]))


def test_encode_urns() -> None:
    """An assignment's body holds the texts of the URNs, in their order."""
    urns = [URN("droplet", 2), URN("domain", "bücher.example"), URN("droplet", 1)]
    expected = '{"resources":["do:droplet:2","do:domain:bücher.example","do:droplet:1"]}'
    assert expected.encode() == encode_urns(iter(urns))


def test_encode_reserved_ips() -> None:
    """An IPv4 address is sent as `floatingip`, and an IPv6 address unchanged."""
    urns = [URN("reservedip", "192.0.2.1"), URN("reservedip", "::1"), URN("reservedipv6", "::1")]
    expected = '{"resources":["do:floatingip:192.0.2.1","do:reservedip:::1","do:reservedipv6:::1"]}'
    assert expected.encode() == encode_urns(map(assignable, urns))


texts = st.text(st.characters(exclude_categories=["Cs"]))
listed = st.from_regex(
    "do:[A-Za-z0-9._-]+:[^\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]*", fullmatch=True
)
day = timedelta(days=1)
zones = st.timedeltas(-day, day).filter(lambda offset: -day < offset < day).map(timezone)
moments = st.datetimes(datetime.min + day, datetime.max - day, timezones=zones)  # noqa: DTZ901 - the zones come with them
resources_ = st.builds(
    Resource,
    listed,
    st.none() | moments,
    st.none() | texts,
    st.none() | texts | st.sampled_from(ResourceStatus),
)


@given(st.lists(resources_))
def test_round_trip(resources: list[Resource]) -> None:
    """Encoded resources are decoded to equal resources."""
    content = b'{"resources":' + encode(resources) + b"}"
    assert resources == decode_resources(content) == page_of(content).items


def joined(names: list[str]) -> Callable[[Any], Any]:
    """Return a function from a strategy of JSON to one of objects, which may repeat names."""
    name = st.sampled_from([f'"{name}"' for name in names])
    return lambda value: st.lists(st.tuples(name, value).map(":".join)).map(
        lambda parts: f"{{{','.join(parts)}}}"
    )


def listed_json(value: Any) -> Any:
    return st.lists(value).map(lambda parts: f"[{','.join(parts)}]")


scalars = st.none() | st.booleans() | st.integers() | st.just(0.5) | st.text()
# These are no JSON: text that is not UTF-8, half of a pair of surrogates, numbers too large.
no_scalars = st.sampled_from(['"\udcff"', '"\\ud800"', "1e400", "1" * 400])
leaves = st.just(json.dumps(URN_TEXT)) | scalars.map(json.dumps) | no_scalars
in_objects = joined(["urn", "status", "links", "assigned_at", "self", "pages", "next", "total"])
values = st.recursive(leaves, lambda value: listed_json(value) | in_objects(value), max_leaves=10)
documents = joined(["resources", "\\u0072esources", "links", "meta"])(
    values | listed_json(in_objects(leaves))
).map(lambda text: text.encode("utf-8", "surrogateescape"))


@given(st.binary() | documents)
@example(b'{"resources":[{"urn":"\xff"}],"resources":[]}')
@example(b'{"resources":[{"urn":1e400}],"\\u0072esources":[]}')
def test_any_document(content: bytes) -> None:
    """Any bytes are a page or a `DecodeError`, and earlier pages do not change that."""
    try:
        expected = after_usual(content)
    except DecodeError as error:
        for decode in (after_few, after_many):
            with pytest.raises(DecodeError, match=f"^{re.escape(str(error))}$"):
                decode(content)
    else:
        assert expected == after_few(content) == after_many(content)


def test_many_faults() -> None:
    """The message names the first faults, and the rest of the document is not read."""
    body = b'{"resources":[' + b",".join([b'{"urn":"do:app:1"}', *[b"{}"] * 100_000]) + b"]}"
    with pytest.raises(DecodeError) as caught:
        decode_resources(body)
    faults = [f"resources[{number}]: 'urn' is missing" for number in (1, 2, 3)]
    assert "; ".join(faults) == str(caught.value)


def test_times_at_the_ends() -> None:
    """A time that has no UTC keeps its zone, and one without a zone is UTC."""
    early = Resource(URN_TEXT, datetime.fromisoformat("0001-01-01T00:00:00+01:00"))
    naive = Resource(URN_TEXT, datetime(2020, 1, 1))  # noqa: DTZ001 - it is the point
    assert b'"0001-01-01T00:00:00+01:00"' in encode([early])
    assert b'"2020-01-01T00:00:00Z"' in encode([naive])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"urn": "do:floatingipv6:2604:a880::1"},
        {"urn": "do:domain:b\u00fccher.example"},
        *({"urn": urn} for urn in ODD_URNS),
        {"assigned_at": ""},
        {"assigned_at": None},
        {"assigned_at": 5},
        {"assigned_at": "2018-09-28 19:26:37"},
        {"assigned_at": "2018-09-28T19:26:37+02:00"},
        {"links": None},
        {"links": {}},
        {"links": "self"},
        {"links": {"self": 5}},
        {"status": None},
        {"status": "new"},
        {"status": 5},
        {"new": {}},
    ],
)
def test_unusual_beside_usual(changes: dict[str, object]) -> None:
    """The fast path returns the same resource as cattrs, also for an unusual one in a list."""
    odd = {**WIRE, **changes}
    content = body(resources=[WIRE, odd, WIRE])
    usual, resource = structure(WIRE, Resource), structure(odd, Resource)
    for decode in (after_usual, after_few, after_many):
        items = decode(content).items
        assert [usual, resource, usual] == items
        assert [type(resource.status), type(usual.status)] == [type(r.status) for r in items[1:]]


def test_pages_in_a_row() -> None:
    """The unusual resources of a page are counted up to a maximum, until a page has none."""
    many = codec._MANY
    for count, expected in ((0, 0), (1, 1), (2, 2), (0, 0), (many + 1, many), (1, many), (0, 0)):
        page_of(body(resources=[WIRE, *[WIRE | {"status": 5}] * count]))
        assert expected == codec._unusual


CHANGES: list[dict[str, object]] = [
    {},
    {"new": 5},
    {"status": "new"},
    {"status": 5},
    {"assigned_at": ""},
    {"links": {"self": "x", "new": 5}},
    {"urn": "do:App:"},
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("count", [10, 50, 200])
@pytest.mark.parametrize("malformed", [0, 3, 30])
def test_unusual_among_many(change: dict[str, object], count: int, malformed: int) -> None:
    """A resource in a list equals the same resource alone, with any number of unusual ones."""
    elements = [
        WIRE | {"urn": f"do:a:{n}"} | (change if n % (200 // count) == 0 else {})
        for n in range(200)
    ]
    for element in elements[100 : 100 + malformed]:
        element["assigned_at"] = ""
    expected = [structure(element, Resource) for element in elements]
    content = body(resources=elements)
    for decode in (after_usual, after_few, after_many):
        page = decode(content)
        assert expected == page.items
        assert [type(resource.status) for resource in expected] == [
            type(resource.status) for resource in page.items
        ]
        assert [urn_text(resource) for resource in expected] == page.keys


@given(st.lists(st.sampled_from(CHANGES), max_size=40))
def test_any_unusual(changes: list[dict[str, object]]) -> None:
    """A resource equals the same one alone, also in a document with other members."""
    elements = [WIRE | {"urn": f"do:a:{n}"} | change for n, change in enumerate(changes)]
    expected = [structure(element, Resource) for element in elements]
    for document in (body(resources=elements), body(resources=elements, new=5)):
        assert expected == decode_resources(document)


@given(
    st.from_regex(
        "20(18|20)-02-2[89][Tt _]23:(26|59)(:[56][09])?([.,][0-9]{1,9})?"
        "( ?[Zz]|[+-][0-2][0-9]:?[03]0)?",
        fullmatch=True,
    )
)
def test_times_beside_usual(text: str) -> None:
    """A time in any format is the same in a list as alone."""
    timed, odd = {**WIRE, "assigned_at": text}, {**WIRE, "status": 5}
    [alone] = decode_resources(body(resources=[timed]))
    [beside, _] = decode_resources(body(resources=[timed, odd]))
    assert alone.assigned_at == beside.assigned_at == structure(timed, Resource).assigned_at


def test_all_fields() -> None:
    """A decoded resource has all fields, and can't be changed."""
    [resource] = decode_resources(body(resources=[WIRE]))
    assert attrs.asdict(RESOURCE) == attrs.asdict(resource)
    assert URN is type(resource.urn)
    for field in attrs.fields(Resource):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(resource, field.name, None)


def test_no_time() -> None:
    """Text that is not a time becomes None."""
    assert Resource(URN_TEXT) == structure({"urn": URN_TEXT, "assigned_at": "\ud800"}, Resource)


@pytest.mark.parametrize("name", WIRE)
def test_missing_beside_usual(name: str) -> None:
    """A missing member is None, and a missing URN is an error."""
    odd = {key: value for key, value in WIRE.items() if key != name}
    body = encode_members({"resources": [WIRE, odd]})
    if name == "urn":
        with pytest.raises(DecodeError, match=r"resources\[1\]"):
            decode_page(body, Resource)
    else:
        assert structure(odd, Resource) == decode_page(body, Resource).items[1]


@pytest.mark.parametrize("urn", [*BAD_URNS, 5, None])
@pytest.mark.parametrize("usual", [0, 1, 30, 200])
@pytest.mark.parametrize("others", [{}, {"new": {}}, {"status": 5}], ids=["usual", "new", "typed"])
def test_bad_urn_beside_usual(usual: int, urn: object, others: dict[str, object]) -> None:
    """A malformed URN is refused, at any position between any number of valid ones."""
    content = body(resources=[*[WIRE | others] * usual, {**WIRE, **others, "urn": urn}, WIRE])
    for decode in (after_usual, after_few, after_many):
        with pytest.raises(DecodeError, match=rf"^resources\[{usual}\]: ") as caught:
            decode(content)
        if isinstance(urn, str):
            reason = f'expected a URN of the form do:TYPE:ID, got "{urn}"'
            assert str(caught.value).endswith(reason)


@given(
    st.lists(st.from_regex(r"(do:([aA1]([.-]|)){0,2}:|)[a ü\"\n\x85\u2028:]{0,3}", fullmatch=True))
)
def test_urns_among_others(texts: list[str]) -> None:
    """A list of texts is accepted if each of them is accepted by itself."""
    accepted = True
    for text in texts:
        try:
            assert text == listed_urn(text)
        except ValueError:
            accepted = False
    assert accepted == are_listed_urns(texts)
    if all(char >= " " for text in texts for char in text):
        assert accepted == are_listed_urns(texts, escaped=False)


def test_memory() -> None:
    """A resource that is kept takes less than 400 bytes, also after its URN was read."""
    names = [f"do:droplet:{number}" for number in range(10**8, 10**8 + 1000)]
    content = body(resources=[WIRE | {"urn": name} for name in names])
    decode_resources(content)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        resources = decode_resources(content)
        assert names == [resource.urn for resource in resources]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 400 * len(names) > after - before


def test_keys() -> None:
    """The decoder gives the identities of resources, which are their URNs."""
    page = page_of(body(resources=[WIRE, {"urn": "do:App:"}]))
    assert [urn_text(resource) for resource in page.items] == page.keys


def test_fast_path_has_all_members() -> None:
    """The fast path reads exactly the members that cattrs writes."""
    assert [*converter().unstructure(RESOURCE)] == [*_Members.__struct_encode_fields__]


@pytest.mark.parametrize("urn", ODD_URNS)
def test_odd_urns(urn: str) -> None:
    """Any type and id that the API lists is kept as it is."""
    [resource] = page_of(body(resources=[{"urn": urn}])).items
    [_, resource_type, resource_id] = urn.split(":", 2)
    assert (urn, resource_type) == (str(resource.urn), resource.type)
    assert (resource_type, resource_id) == (resource.urn.type, resource.urn.id)
    assert [{"urn": urn}] == json.loads(encode([resource]))
    assert f'{{"resources":[{json.dumps(urn, ensure_ascii=False)}]}}'.encode() == encode_urns(
        [resource.urn]
    )
