"""Codec: JSON bytes to models and back, by way of cattrs and msgspec."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, cast

import attrs
import cattrs
import msgspec
from cattrs.cols import is_mutable_sequence, list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from ._models import Environment, Project, Resource, ResourceStatus, UnfrozenResource
from ._urn import are_urn_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ._urn import URN

T = TypeVar("T")


class DecodeError(ValueError):
    """Bytes are not the document that they should be."""


@attrs.frozen(kw_only=True)
class PageDocument(Generic[T]):
    """A page as the API sent it.

    Args:
        items: What is on the page.
        total: `meta.total`, where it is a number from 0.
        more: Whether a `next` link says that there is another page.
        next: The page number in the `next` link, where it has one.
        last: The page number in the `last` link, where it has one.
    """

    items: list[T]
    total: int | None
    more: bool
    next: int | None
    last: int | None


class _Links(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    self: str | None = None


class _Members(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A resource as it mostly is."""

    urn: str
    assigned_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    links: _Links | None = None
    status: str | None = None


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    """A page or an answer to an assignment, as it mostly is: with nothing that isn't read."""

    resources: list[_Members]
    links: Any = None
    meta: Any = None


_decode_usual = msgspec.json.Decoder(_Usual).decode
# What msgspec raises, also of numbers that are too large, and of depth.
_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_FAULTS_TOLD = 3
# Of a number that is used.
_MOST_DIGITS = 15
# Of an error document.
_NAMES = ("id", "request_id")
_OTHER_MESSAGES = ("error", "messages", "errors", "detail", "title", "root_causes")
_DEEPEST_TEXT = 5
_MOST_TEXTS = 10
# As each text repeats the name, a longer one would cost memory.
_LONGEST_NAME = 50
_BOM = b"\xef\xbb\xbf"
_MEMBERS: dict[type, str] = {Resource: "resources", Project: "projects"}
_STATUSES: dict[str | None, ResourceStatus] = {status.value: status for status in ResourceStatus}
_ENVIRONMENTS: dict[str, Environment] = {value.value: value for value in Environment}
# Of what is a str, too, such as what a template engine marked as safe, the text.
_encoder = msgspec.json.Encoder(enc_hook=str.__str__)
_find_page_number = re.compile(rf"[?&]page=([0-9]{{1,{_MOST_DIGITS}}})(?=[&#]|$)").search


def decode_page(body: bytes, item: type[T]) -> PageDocument[T]:
    """The page of a listing in an answer's body.

    The list of items must be there and right. All else may be missing or anything.

    Raises:
        DecodeError: It isn't such a page.
    """
    document, items = _with_items(body, item)
    links = _object(_object(document.get("links")).get("pages"))
    return PageDocument(
        items=items,
        total=_total(_object(document.get("meta")).get("total")),
        more=bool(links.get("next")),
        next=_page_number(links.get("next")),
        last=_page_number(links.get("last")),
    )


def decode_resources(body: bytes) -> list[Resource]:
    """The resources in the answer to an assignment.

    Raises:
        DecodeError: It isn't such an answer.
    """
    return _with_items(body, Resource)[1]


def decode_project(body: bytes) -> Project:
    """The project in the answer to whatever is about one.

    Raises:
        DecodeError: It isn't such an answer.
    """
    value = _document(body).get("project")
    try:
        return structure(value, Project)
    except (KeyError, TypeError, ValueError):
        # As a list of one, which is told what is wrong with it.
        return _items({_MEMBERS[Project]: [value]}, Project)[0]


def decode_error(body: bytes) -> dict[str, str]:
    """Return the texts `id`, `message` and `request_id` of an error document, without missing ones.

    A message that is an object or a list, or spread over other members, is the first texts in it.
    """
    try:
        document = _document(body)
    except DecodeError:
        return {}
    texts = {name: document[name] for name in _NAMES if isinstance(document.get(name), str)}
    others = [document.get(name) for name in _OTHER_MESSAGES]
    return {**texts, "message": _joined(document.get("message")) or _joined(others)}


def _joined(value: Any) -> str:
    # Documents of this kind repeat a text.
    return "; ".join(dict.fromkeys(islice(_texts(value, _DEEPEST_TEXT), _MOST_TEXTS)))


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Yield the texts in a part of a document, each after the names of the members it is in."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif depth and isinstance(value, dict):
        for name, part in value.items():
            for text in _texts(part, depth - 1):
                yield f"{name}: {text}" if len(name) <= _LONGEST_NAME else text
    elif depth and isinstance(value, list):
        for part in value:
            yield from _texts(part, depth - 1)


def encode_urns(urns: Iterable[URN]) -> bytes:
    """The body of an assignment."""
    return _encoder.encode({"resources": [str(urn) for urn in urns]})


def encode_members(members: Mapping[str, object]) -> bytes:
    """The body that makes or changes something."""
    return _encoder.encode(dict(members))


def encode(items: Iterable[Resource | Project]) -> bytes:
    """The items as the API would send them, in a JSON list."""
    return _encoder.encode(_converter().unstructure(list(items)))


def encode_lines(items: Iterable[Resource | Project]) -> bytes:
    """The items as the API would send them, each on a line of its own."""
    return _encoder.encode_lines(_converter().unstructure(list(items)))


def structure(members: Any, item: type[T]) -> T:
    """The resource or project with these members of the API's object, its times parsed or not."""
    return _converter().structure(members, item)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body.removeprefix(_BOM))
    except _NO_JSON as error:
        raise DecodeError(f"no JSON: {error}") from None
    if not isinstance(document, dict):
        raise DecodeError(f"an object is wanted, not {type(document).__name__}")
    return document


def _with_items(body: bytes, item: type[T]) -> tuple[dict[str, Any], list[T]]:
    """What a document says, and its items."""
    usual = _usual(body) if item is Resource else None
    if usual is not None:
        rest = {"links": usual.links, "meta": usual.meta}
        return rest, cast("list[T]", _resources(usual.resources))
    document = _document(body)
    return document, _items(document, item)


def _usual(body: bytes) -> _Usual | None:
    """The document, unless anything in it is unusual, which is read with more care, and time."""
    try:
        usual = _decode_usual(body.removeprefix(_BOM))
    except _NO_JSON:
        return None
    return usual if are_urn_texts([members.urn for members in usual.resources]) else None


def _resources(usual: list[_Members]) -> list[Resource]:
    resources = [UnfrozenResource() for _ in usual]
    for resource, members in zip(resources, usual, strict=True):
        links, status = members.links, members.status
        resource._urn = members.urn  # noqa: SLF001 - of the class that is filled here
        resource.assigned_at = members.assigned_at
        resource.self_link = None if links is None else links.self
        resource.status = _STATUSES.get(status, status)
        resource.__class__ = Resource  # type: ignore[assignment]  # which has the same slots
    return cast("list[Resource]", resources)


def _items(document: dict[str, Any], item: type[T]) -> list[T]:
    member = _MEMBERS[item]
    if member not in document:
        raise DecodeError(f"{member} is missing")
    value = document[member]
    try:
        return _converter().structure(value, list[item])  # type: ignore[valid-type]  # a type at run time
    except (KeyError, TypeError, ValueError):
        pass
    raise DecodeError(_explanation(value, item, member))


def _explanation(value: Any, item: type, member: str) -> str:
    """What is wrong with a list of items, found by structuring them again with more care."""
    if not isinstance(value, list):
        return f"a list is wanted, not {type(value).__name__} @ {member}"
    faults: list[str] = []
    for index, element in enumerate(value):
        try:
            _converter(detailed=True).structure(element, item)
        except Exception as error:  # noqa: BLE001 - it is what is asked for
            path = f"{member}[{index}]"
            faults += cattrs.transform_error(error, path, format_exception=_fault)
            if len(faults) >= _FAULTS_TOLD:
                break
    return "; ".join(fault.removesuffix("._urn") for fault in faults)


def _fault(error: BaseException, _: object) -> str:
    """One fault, without what the server sent, since that may hold anything."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error) if isinstance(error, TypeError) else "not a URN of the form do:type:id"


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _total(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**_MOST_DIGITS else None


def _page_number(link: Any) -> int | None:
    found = _find_page_number(link) if isinstance(link, str) else None
    return int(found[1]) if found else None


def _status(value: Any, _: object) -> ResourceStatus | str | None:
    return _STATUSES.get(value, value) if isinstance(value, str) else None


def _environment(value: Any, _: object) -> Environment | str:
    return _ENVIRONMENTS.get(value, value) if isinstance(value, str) else ""


def _some(kind: type[T], default: T | None) -> Callable[[Any, object], Any]:
    """A hook that takes what is of this kind, and else has the default."""
    return lambda value, _: value if type(value) is kind else default


def _text(value: Any, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string is wanted, not {type(value).__name__}")
    return value


def _time(value: Any, _: object) -> datetime | None:
    if isinstance(value, datetime):
        return _with_zone(value)
    try:
        # As a usual resource's time is read.
        return _with_zone(msgspec.convert(value, datetime))
    except ValueError:
        pass
    try:
        return _with_zone(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return None


def time_text(moment: datetime | None) -> str | None:
    """The time as the API would write it."""
    if moment is None:
        return None
    moment = _with_zone(moment)
    # Not where that is before the first year, or after the last.
    with suppress(OverflowError):
        moment = moment.astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def _with_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _self_link(value: Any, _: object) -> str | None:
    link = value.get("self") if isinstance(value, dict) else None
    return link if isinstance(link, str) else None


# How each class's fields look in JSON, where that isn't plain.
_WIRE: dict[type, dict[str, Any]] = {
    Resource: {
        "_urn": override(rename="urn"),
        "assigned_at": override(struct_hook=_time, unstruct_hook=time_text),
        "self_link": override(
            rename="links", struct_hook=_self_link, unstruct_hook=lambda link: {"self": link}
        ),
        "status": override(struct_hook=_status),
    },
    Project: {
        "id": override(struct_hook=_text),
        "name": override(struct_hook=_text),
        "description": override(struct_hook=_some(str, "")),
        "purpose": override(struct_hook=_some(str, "")),
        "environment": override(struct_hook=_environment),
        "is_default": override(struct_hook=_some(bool, default=False)),
        "owner_uuid": override(struct_hook=_some(str, None)),
        "owner_id": override(struct_hook=_some(int, None)),
        "created_at": override(struct_hook=_time, unstruct_hook=time_text),
        "updated_at": override(struct_hook=_time, unstruct_hook=time_text),
    },
}


def _list_hook(cls: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    structure = list_structure_factory(cls, converter)

    def elements(value: Any, _: object) -> Any:
        if not isinstance(value, list | None):
            raise TypeError
        # An empty list of the provider's may be null.
        return structure(value or [], cls)

    return elements


def _object_hook(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    structure = make_dict_structure_fn(
        cls, converter, _cattrs_prefer_attrib_converters=True, **_WIRE[cls]
    )

    def detailed(value: Any, _: object) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"an object is wanted, not {type(value).__name__}")
        return structure(value, cls)

    return detailed if converter.detailed_validation else structure


@cache
def _converter(*, detailed: bool = False) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook_factory(
        is_mutable_sequence, lambda cls: _list_hook(cls, converter)
    )
    for cls, wire in _WIRE.items():
        converter.register_structure_hook(cls, _object_hook(cls, converter))
        # The API leaves out what it doesn't know of a resource, but nothing of a project.
        omit = cls is Resource
        converter.register_unstructure_hook(
            cls, make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=omit, **wire)
        )
    return converter
