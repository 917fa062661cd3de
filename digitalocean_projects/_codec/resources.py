"""Resources: the resources in JSON, which msgspec reads as far as they are as documented."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import attrs
import msgspec

from .enums import STATUSES, ResourceStatus
from .models import Resource, Value, urn_text
from .structure import MEMBERS, twin_hook
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
# The value of a field, if it is not the member itself.
_VALUES = {"self_link": "(links := members.self_link) and links.self"}
_MOST_ODD = 10
_are_listed = re.compile(f"(?:{LISTED_PATTERN}\n)*+").fullmatch
# This takes 40 % of the time for lines of ASCII, which must not contain control characters.
_are_plain_listed = re.compile(f"(?:do:{LISTED_TYPE_PATTERN}+:.*+\n)*+").fullmatch


_HINTS = get_type_hints(Resource)


class _Twin(Value):
    """A mutable twin of `Resource`; an assignment to `__class__` makes it one.

    The slots of a frozen class can be set by calls only. For a page of 200 this takes 46 µs, calls
    of the slots' own setters take 78 µs, and of the constructor 210 µs (medians of 300 runs each).
    """

    __slots__ = Resource.__slots__


# With a constructor, for cattrs. Without one, instances are made in 60 % of the time.
_OddTwin: Any = attrs.make_class(
    "_OddTwin",
    {
        field.name: attrs.field(default=field.default, type=_HINTS[field.name])
        for field in attrs.fields(Resource)
    },
    bases=(_Twin,),
    slots=True,
    weakref_slot=False,
)


def _described(types: dict[str, Any], **options: Any) -> Any:
    """Return a struct for the members of a resource, under the names that cattrs gives them."""
    types = _HINTS | types
    fields: list[Any] = [
        (
            field.name,
            types[field.name],
            *([] if field.default is attrs.NOTHING else [field.default]),
        )
        for field in attrs.fields(Resource)
    ]
    names = {name: member.rename for name, member in MEMBERS[Resource].items() if member.rename}
    return msgspec.defstruct("_Members", fields, rename=names, gc=False, **options)


def _maker(values: dict[str, str]) -> Callable[[list[Any]], list[Resource]]:
    """Return a function that makes resources of decoded members.

    attrs and cattrs also make functions from the fields of a class. A loop with `setattr` would be
    as general, but takes 2.5 times as long: 102 µs instead of 40 µs for a page of 200.
    """
    lines = [
        "def make(decoded):",
        " resources = []",
        " for members in decoded:",
        "  resource = Twin()",
        *(
            f"  resource.{field.name} = {values.get(field.name, f'members.{field.name}')}"
            for field in attrs.fields(Resource)
        ),
        "  resource.__class__ = Resource",
        "  resources.append(resource)",
        " return resources",
    ]
    names: dict[str, Any] = {"Resource": Resource, "Twin": _Twin, "status_of": STATUSES.get}
    exec("\n".join(lines), names)  # noqa: S102 - it has only names of fields
    return cast("Callable[[list[Any]], list[Resource]]", names["make"])


# Unknown members are read with all others, since msgspec would accept numbers in them that are too
# large, and text that is not UTF-8.
_Members: Any = _described(_TYPES, forbid_unknown_fields=True)
_make = _maker(_VALUES)
# For resources that have unknown members or a new status, too.
_MembersAmongOthers = _described(_TYPES | {"status": str | None})
_make_among_others = _maker(_VALUES | {"status": "status_of(members.status, members.status)"})
_decode_usual = msgspec.json.Decoder(
    msgspec.defstruct(
        "_Usual",
        [
            ("resources", list[_Members]),
            ("links", Any, None),
            ("meta", Any, None),
        ],
        forbid_unknown_fields=True,
    )
).decode


def decode_usual(body: bytes) -> tuple[dict[str, Any], list[Resource], list[str]] | None:
    """Return the links and metadata, resources and URNs of a page, or of what an assignment did.

    Returns:
        None if a URN is unusual and takes more time to read.

    Raises:
        msgspec.DecodeError: Anything else in the document is unusual.
        RecursionError: The document is nested too deeply.
        UnicodeDecodeError: The document is not UTF-8.
    """
    usual: Any = _decode_usual(body)
    urns = [members.urn for members in usual.resources]
    if not are_listed_urns(urns, escaped=b"\\" in body):
        return None
    return {"links": usual.links, "meta": usual.meta}, _make(usual.resources), urns


def unusual_resources(elements: list[Any]) -> list[Resource]:
    """Return the resources of a decoded list.

    msgspec converts an element in a fourth of the time of cattrs, unless it has a value of another
    type than documented. If there are many such elements, trying msgspec first only costs time.

    Raises:
        KeyError: A URN is missing.
        TypeError: An element is not an object, or a URN is not a string.
        ValueError: A URN is malformed.
    """
    urns: list[str] = []
    decoded: list[Any] = []
    odd: dict[int, Any] = {}
    structure_odd = _odd_hook()
    for index, element in enumerate(elements):
        if len(odd) < _MOST_ODD:
            try:
                members = msgspec.convert(element, _MembersAmongOthers)
            except msgspec.ValidationError:
                pass
            else:
                decoded.append(members)
                urns.append(members.urn)
                continue
        resource = odd[index] = structure_odd(element, _OddTwin)
        resource.__class__ = Resource
        urns.append(urn_text(resource))
    if not are_listed_urns(urns):
        raise ValueError
    resources = _make_among_others(decoded)
    for index, resource in odd.items():
        resources.insert(index, resource)
    return resources


@cache
def _odd_hook() -> Callable[[Any, Any], Any]:
    return twin_hook(_OddTwin)


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
