"""Resources: the resources in JSON, which msgspec reads as far as they are as documented."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import attrs
import msgspec

from .enums import ResourceStatus
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
# If there are many unusual resources, to try each as a usual one only costs time: 1.2 µs.
_MOST_TRIED = 10
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
# Unknown members are an error, since msgspec would accept numbers in them that are too large, and
# text that is not UTF-8.
_Members: Any = msgspec.defstruct(
    "_Members",
    [
        (
            field.name,
            _TYPES.get(field.name, _HINTS[field.name]),
            *([] if field.default is attrs.NOTHING else [field.default]),
        )
        for field in _FIELDS
    ],
    rename=_NAMES,
    forbid_unknown_fields=True,
    gc=False,
)


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


def _decoder(element: Any) -> Callable[[bytes], Any]:
    fields: list[Any] = [("resources", list[element]), ("links", Any, None), ("meta", Any, None)]
    return msgspec.json.Decoder(
        msgspec.defstruct("_Document", fields, forbid_unknown_fields=True)
    ).decode


_decode_usual = _decoder(_Members)
_decode_elements = _decoder(msgspec.Raw)
_decode_members = msgspec.json.Decoder(_Members).decode
_decode_any = msgspec.json.Decoder().decode
# True after a page with unusual resources. Then the next page probably has some, too, and to try
# the whole page first would take another 24 µs on average.
_expects_unusual = False


def decode_resources(body: bytes) -> tuple[dict[str, Any], list[Resource], list[str]]:
    """Return the links and metadata, resources and URNs of a page, or of what an assignment did.

    Raises:
        KeyError: A URN is missing.
        TypeError: An element is not an object, or a URN is not a string.
        ValueError: A URN is malformed, or the document has other members or malformed ones.
        RecursionError: The document is nested too deeply.
    """
    document, decoded = _decoded(body)
    urns = [members.urn for members in decoded]
    if not are_listed_urns(urns, escaped=b"\\" in body):
        raise ValueError
    return {"links": document.links, "meta": document.meta}, _resources(decoded), urns


def _decoded(body: bytes) -> tuple[Any, list[Any]]:
    """Return the document, and the members of each resource."""
    global _expects_unusual  # noqa: PLW0603 - a guess, which may be wrong
    if not _expects_unusual:
        with suppress(msgspec.ValidationError):
            document = _decode_usual(body)
            return document, document.resources
    document = _decode_elements(body)
    decoded, unusual = _decode_each(document.resources)
    _expects_unusual = unusual > 0
    return document, decoded


def _decode_each(elements: list[msgspec.Raw]) -> tuple[list[Any], int]:
    """Return the members of each resource, and the number of unusual ones that were tried first.

    For a page of 200 this takes 38 µs more than to decode the whole page, and 0.9 to 1.3 µs more
    for each unusual resource. To decode the whole page to dicts instead takes 42 µs more, and then
    each usual resource takes longer, too.
    """
    unusual = 0
    decoded: list[Any] = []
    for element in elements:
        try:
            decoded.append(_decode_members(element))
        except msgspec.ValidationError:
            decoded.append(_structured(_decode_any(element)))
            unusual += 1
            if unusual == _MOST_TRIED:
                break
    decoded += map(_structured, map(_decode_any, elements[len(decoded) :]))
    return decoded, unusual


def structured_resources(elements: list[Any]) -> list[Resource]:
    """Return the resources of a decoded list.

    Raises:
        KeyError: As in `decode_resources`.
        TypeError: As in `decode_resources`.
        ValueError: A URN is malformed.
    """
    decoded = [*map(_structured, elements)]
    if not are_listed_urns([members.urn for members in decoded]):
        raise ValueError
    return _resources(decoded)


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
