"""Resources: the resources in JSON, which msgspec reads as far as they are as documented."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import attrs
import msgspec

from .enums import STATUSES, ResourceStatus
from .models import Resource, Value
from .structure import MEMBERS, converter
from .urn import LISTED_PATTERN, LISTED_TYPE_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable


class _Links(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    self: str | None = None


# The types in JSON of the fields that have another type there. All other fields have their own.
_TYPES: dict[str, Any] = {
    "urn": str,
    "assigned_at": Annotated[datetime, msgspec.Meta(tz=True)] | None,
    "self_link": _Links | None,
    "status": ResourceStatus | None,
}
# The value of a field, if it is not the member itself, and the member for such a value.
_VALUES = {"self_link": "(links := members.self_link) and links.self"}
_WRAPPED = {"self_link": "Links({})"}
# From about 25 unusual resources in a page of 200 on, to decode the page to dicts is faster: each
# takes 2.3 µs in the way for a few.
_MANY = 20
# Decoded elements are converted in slices of this size, so that a malformed one delays few.
# For a page of 200 with one, this saves 80 µs. To convert all at once saves 16 µs without any.
_SLICE = 20
_are_listed = re.compile(f"(?:{LISTED_PATTERN}\n)*+").fullmatch
# This takes 40 % of the time for lines of ASCII, which must not contain control characters.
_are_plain_listed = re.compile(f"(?:do:{LISTED_TYPE_PATTERN}+:.*+\n)*+").fullmatch


class _Twin(Value):
    """A mutable twin of `Resource`; an assignment to `__class__` makes it one.

    The slots of a frozen class can be set by calls only. For a page of 200 this takes 46 µs, calls
    of the slots' own setters take 78 µs, and of the constructor 210 µs (medians of 300 runs each).
    """

    __slots__ = Resource.__slots__


_FIELDS = attrs.fields(Resource)
_HINTS = get_type_hints(Resource)
_OVERRIDES = MEMBERS[Resource]
# By the name of a field, the name that cattrs gives the member.
_NAMES = {field.name: field.name for field in _FIELDS} | {
    name: override.rename for name, override in _OVERRIDES.items() if override.rename
}


def _struct(types: dict[str, Any], *, strict: bool) -> Any:
    fields: list[Any] = [
        (
            field.name,
            types.get(field.name, _HINTS[field.name]),
            *([] if field.default is attrs.NOTHING else [field.default]),
        )
        for field in _FIELDS
    ]
    return msgspec.defstruct(
        "_Members", fields, rename=_NAMES, forbid_unknown_fields=strict, gc=False
    )


# Unknown members are an error, since msgspec would accept numbers in them that are too large, and
# text that is not UTF-8.
_Members: Any = _struct(_TYPES, strict=True)
# For elements that are decoded already, which may have unknown members or a new status.
_LooseMembers: Any = _struct(_TYPES | {"status": str | None}, strict=False)


def _hook(name: str) -> Callable[[Any, Any], Any]:
    """Return the hook with which cattrs reads the member for a field."""
    override = _OVERRIDES.get(name)
    return override.struct_hook if override else converter().get_structure_hook(_HINTS[name])


def _made(lines: list[str]) -> Callable[[Any], Any]:
    """Return the function with these lines, which are made from the fields of `Resource`.

    attrs and cattrs also make functions from the fields of a class.
    """
    names: dict[str, Any] = {
        "Links": _Links,
        "Members": _Members,
        "Resource": Resource,
        "Twin": _Twin,
        **{f"{field.name}_of": _hook(field.name) for field in _FIELDS},
    }
    exec("\n".join(lines), names)  # noqa: S102 - it has only names of fields
    return cast("Callable[[Any], Any]", names["made"])


# A loop with `setattr` would take 2.5 times as long: 102 µs instead of 40 µs for a page of 200.
_resources: Callable[[list[Any]], list[Resource]] = _made(
    [
        "def made(decoded):",
        " resources = []",
        " for members in decoded:",
        "  resource = Twin()",
        *(
            f"  resource.{field.name} = {_VALUES.get(field.name, f'members.{field.name}')}"
            for field in _FIELDS
        ),
        "  resource.__class__ = Resource",
        "  resources.append(resource)",
        " return resources",
    ]
)


def _member_of(field: Any) -> str:
    """Return the expression for a member of an element, which the hook of cattrs has read."""
    name = _NAMES[field.name]
    if field.default is attrs.NOTHING:
        return f"element[{name!r}]"
    # The hooks return the default for None.
    return _WRAPPED.get(field.name, "{}").format(f"{field.name}_of(element.get({name!r}), None)")


# From the members of any resource, those of a usual one. The URN is not checked.
_structured = _made(
    [
        "def made(element):",
        f" return Members({', '.join(map(_member_of, _FIELDS))})",
    ]
)


def _document_decoder(element: Any) -> Callable[[bytes], Any]:
    fields: list[Any] = [("resources", list[element]), ("links", Any, None), ("meta", Any, None)]
    return msgspec.json.Decoder(
        msgspec.defstruct("_Document", fields, forbid_unknown_fields=True)
    ).decode


_decode_usual = _document_decoder(_Members)
_decode_elements = _document_decoder(msgspec.Raw)
_decode_members = msgspec.json.Decoder(_Members).decode
_decode_any = msgspec.json.Decoder().decode
_converted = partial(msgspec.convert, type=list[_LooseMembers])
# The number of unusual resources on the page before, at most `_MANY`. The next page probably has
# some, too. If these are few, to try the whole page first would take another 24 µs on average. If
# they are many, it fails at one of the first resources.
_unusual = 0


def decode_resources(body: bytes) -> tuple[dict[str, Any], list[Resource], list[str]]:
    """Return the links and metadata, resources and URNs of a page, or of what an assignment did.

    Raises:
        KeyError: A URN is missing.
        TypeError: An element is not an object, or a URN is not a string.
        ValueError: A URN is malformed, the document has other members or malformed ones, or
            `structured_resources` is faster.
        RecursionError: The document is nested too deeply.
    """
    document, decoded = _decoded(body)
    urns = [members.urn for members in decoded]
    if not are_listed_urns(urns, escaped=b"\\" in body):
        raise ValueError
    return {"links": document.links, "meta": document.meta}, _resources(decoded), urns


def _decoded(body: bytes) -> tuple[Any, list[Any]]:
    """Return the document, and the members of each resource.

    A usual page of 200 takes 110 µs in all. With one unusual resource it takes 153 µs, and with a
    new status or member in all resources, which are decoded to dicts, 225 µs.
    """
    global _unusual  # noqa: PLW0603 - a guess, which may be wrong
    before = _unusual
    if before in (0, _MANY):
        with suppress(msgspec.ValidationError):
            document = _decode_usual(body)
            _unusual = 0
            return document, document.resources
    # If a name is repeated, msgspec.Raw skips the earlier list without a check of its texts and
    # numbers. Without a backslash, a name has one spelling. The search takes 12 µs.
    if before == _MANY or b"\\" in body or body.count(b'"resources"') > 1:
        raise ValueError
    document = _decode_elements(body)
    decoded, unusual = _decode_each(document.resources)
    _unusual = unusual
    if unusual == _MANY:
        raise ValueError
    return document, decoded


def _decode_each(elements: list[msgspec.Raw]) -> tuple[list[Any], int]:
    """Return the members of the resources, and the number of unusual ones.

    The resources after the last of `_MANY` unusual ones are left out.
    """
    unusual = 0
    decoded: list[Any] = []
    for element in elements:
        try:
            decoded.append(_decode_members(element))
        except msgspec.ValidationError:
            decoded.append(_structured(_decode_any(element)))
            unusual += 1
            if unusual == _MANY:
                break
    return decoded, unusual


def structured_resources(elements: list[Any]) -> tuple[list[Resource], list[str]]:
    """Return the resources of a decoded list, and their URNs.

    Raises:
        KeyError: As in `decode_resources`.
        TypeError: As in `decode_resources`.
        ValueError: A URN is malformed.
    """
    decoded: list[Any] = []
    for start in range(0, len(elements), _SLICE):
        part = elements[start : start + _SLICE]
        try:
            decoded += _converted(part)
        except msgspec.ValidationError:
            decoded += map(_structured, part)
    for members in decoded:
        members.status = STATUSES.get(members.status, members.status)
    urns = [members.urn for members in decoded]
    if not are_listed_urns(urns):
        raise ValueError
    return _resources(decoded), urns


def are_listed_urns(texts: list[str], *, escaped: bool = True) -> bool:
    """Return True if `listed_urn` accepts every text, at a fraction of its cost.

    Args:
        texts: The texts.
        escaped: False if the texts are strings of JSON without a backslash, which have no control
            character below U+0020.

    Raises:
        TypeError: A text is not a string.
    """
    lines = "\n".join([*texts, ""])
    if not escaped and lines.isascii() and "\x7f" not in lines:
        return _are_plain_listed(lines) is not None
    return lines.count("\n") == len(texts) and _are_listed(lines) is not None
