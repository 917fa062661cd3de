"""Codec: JSON bytes to models and back, by way of cattrs and msgspec."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, cast, get_type_hints

import attrs

from .enums import Environment
from .models import Project, Resource

# msgspec is loaded with the first JSON, since it takes 6 ms. From then on, `import` takes 0.2 µs,
# and `from … import` 2 µs.
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
    from types import ModuleType

    import msgspec


T = TypeVar("T")


class DecodeError(ValueError):
    """The bytes are not the expected document."""


@attrs.frozen(kw_only=True, slots=False)  # faster, see `_described.Request`
class PageDocument(Generic[T]):
    """A page as the API sent it.

    Args:
        items: The items on the page.
        total: `meta.total`, if it is a number from 0, or None.
        more: True if there is a `next` link, so that another page follows.
        next: The page number in the `next` link, or None.
        last: The page number in the `last` link, or None.
        garbled: True if the links have another type than documented, so that a `next` link may be
            missing.
        keys: The identities of the items, if decoding gave them; None to ask the listing.
    """

    items: list[T]
    total: int | None
    more: bool
    next: int | None
    last: int | None
    garbled: bool = False
    keys: Sequence[Hashable] | None = attrs.field(default=None, eq=False, repr=False)


# The maximum number of digits of a number that is used.
_MOST_DIGITS = 15
# Members of an error document, and bounds for the texts in it.
_NAMES = ("id", "request_id")
_OTHER_MESSAGES = ("error", "messages", "errors", "detail", "title", "root_causes")
_DEEPEST_TEXT = 5
_MOST_TEXTS = 10
_MOST_VALUES = 1000
# Each text repeats the name, so that a longer name would cost memory.
_LONGEST_NAME = 50
_BOM = b"\xef\xbb\xbf"
_MEMBERS: dict[type, str] = {Resource: "resources", Project: "projects"}
_find_page_number = re.compile(rf"[?&]page=([0-9]{{1,{_MOST_DIGITS}}})(?=[&#]|\Z)").search


@cache
def _no_json() -> tuple[type[Exception], ...]:
    """Return the errors of msgspec, which include those for numbers too large, and for depth."""
    import msgspec  # noqa: PLC0415 - see at the top

    return msgspec.DecodeError, UnicodeDecodeError, RecursionError


@cache
def _encoder() -> msgspec.json.Encoder:
    """Return the encoder, for which subclasses of str, such as `URN`, are plain text."""
    import msgspec  # noqa: PLC0415 - see at the top

    return msgspec.json.Encoder(enc_hook=str.__str__)


@cache
def _project_decoder() -> Callable[[bytes], Any]:
    """Return a decoder of a document that holds a project, with no members but the documented ones.

    It has none of `Resource`'s tricks, since a response has one project.
    """
    import msgspec  # noqa: PLC0415 - see at the top

    hints = get_type_hints(Project)
    time = Annotated[datetime, msgspec.Meta(tz=True)] | None
    # The members that must have this type in JSON to be usual, if it is not the type of the field.
    usual = {"environment": Environment, "owner_id": Any, "created_at": time, "updated_at": time}
    fields = [
        (field.name, usual.get(field.name, hints[field.name])) for field in attrs.fields(Project)
    ]
    project = msgspec.defstruct("_Project", fields, forbid_unknown_fields=True)
    document = msgspec.defstruct(
        "_UsualProject", [("project", project)], forbid_unknown_fields=True
    )
    return msgspec.json.Decoder(document).decode


def decode_page(body: bytes, item: type[T]) -> PageDocument[T]:
    """Return the page of a listing in a response's body.

    The list of items must be there and valid. Anything else may be missing or of any type.

    Raises:
        DecodeError: The body is not such a page. The message may quote what the server sent.
    """
    return _page(*_with_items(body, item))


def decode_objects(body: bytes, member: str) -> PageDocument[dict[str, Any]]:
    """Return the page of a listing whose items are any objects, in this member of the document.

    Raises:
        DecodeError: The body is not such a page. The message may quote what the server sent.
    """
    document = _document(body)
    if member not in document:
        names = ", ".join(document) or "no members"
        raise DecodeError(f"expected an object with {member!r}, got {names}")
    value = document[member]
    if not isinstance(value, list):
        raise DecodeError(f"{member}: expected a list, got {type(value).__name__}")
    for index, element in enumerate(value):
        if not isinstance(element, dict):
            found = type(element).__name__
            raise DecodeError(f"{member}[{index}]: expected an object, got {found}")
    return _page(document, value)


def decode_value(body: bytes) -> Any:
    """Return any JSON value.

    Raises:
        DecodeError: The body is not JSON. The message quotes nothing of it.
    """
    import msgspec  # noqa: PLC0415 - see at the top

    try:
        return msgspec.json.decode(body.removeprefix(_BOM))
    except RecursionError:  # its text depends on the version of Python
        raise DecodeError("invalid JSON: it is nested too deeply") from None
    except _no_json() as error:
        raise DecodeError(f"invalid JSON: {error}") from None


def _page(
    document: Mapping[str, Any], items: list[T], keys: Sequence[Hashable] | None = None
) -> PageDocument[T]:
    links = document.get("links")
    pages = _object(links).get("pages")
    following = _object(pages).get("next")
    return PageDocument(
        items=items,
        total=_total(_object(document.get("meta")).get("total")),
        more=bool(following),
        next=_page_number(following),
        last=_page_number(_object(pages).get("last")),
        garbled=not (_is_object(links) and _is_object(pages) and _is_link(following)),
        keys=keys,
    )


def decode_resources(body: bytes) -> list[Resource]:
    """Return the resources in the response to an assignment.

    Raises:
        DecodeError: The body is not such a response. The message may quote what the server sent.
    """
    return _with_items(body, Resource)[1]


def decode_project(body: bytes, wanted: str | None = None) -> Project:
    """Return the project in a response that holds one.

    Args:
        body: The body of the response.
        wanted: The UUID of the project in lower case; None for any project.

    Raises:
        DecodeError: The body is not such a response. The message may quote what the server sent.
    """
    project = _usual_project(body) or _project(_document(body))
    if wanted is not None and project.id.lower() != wanted:
        raise DecodeError(f"expected the project {wanted}, got {project.id!r}")
    return project


def _usual_project(body: bytes) -> Project | None:
    """Return the project, or None if anything in it is unusual and takes more time to read.

    This takes 3 µs, and structuring 9 µs. A small request takes 130 µs.
    """
    import msgspec  # noqa: PLC0415 - see at the top

    try:
        members = _project_decoder()(body).project
    except _no_json():
        return None
    # msgspec also reads 1.0 as an int.
    return Project(**msgspec.structs.asdict(members)) if type(members.owner_id) is int else None


def _project(document: dict[str, Any]) -> Project:
    from .structure import faults, structure  # noqa: PLC0415 - it loads cattrs

    if "project" not in document:
        raise DecodeError("project is missing")
    value = document["project"]
    try:
        return structure(value, Project)
    except (KeyError, TypeError, ValueError):
        pass
    raise DecodeError("; ".join(faults(value, Project, "project")))


def decode_error(body: bytes) -> dict[str, str]:
    """Return the texts `id`, `message` and `request_id` of an error document, if it has them.

    If the message is an object, a list or in other members, its first texts are joined.
    """
    try:
        document = _document(body)
    except DecodeError:
        return {}
    texts = {name: document[name] for name in _NAMES if isinstance(document.get(name), str)}
    others = [document.get(name) for name in _OTHER_MESSAGES]
    return {**texts, "message": _joined(document.get("message")) or _joined(others)}


def _joined(value: Any) -> str:
    texts = filter(None, islice(_texts(value, _DEEPEST_TEXT), _MOST_VALUES))
    # Such documents often repeat a text.
    return "; ".join(dict.fromkeys(islice(texts, _MOST_TEXTS)))


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Yield the texts in a part of a document, each after the names of the members it is in.

    Yields "" for each value that is not a text, so that a caller can bound the work.
    """
    if isinstance(value, str):
        yield value if value.strip() else ""
        return
    yield ""
    if depth and isinstance(value, dict):
        for name, part in value.items():
            for text in _texts(part, depth - 1):
                yield f"{name}: {text}" if text and len(name) <= _LONGEST_NAME else text
    elif depth and isinstance(value, list):
        for part in value:
            yield from _texts(part, depth - 1)


def encode_urns(urns: Iterable[str]) -> bytes:
    """Return the body of an assignment."""
    return _encoder().encode({"resources": list(urns)})


def encode_members(members: Mapping[str, object]) -> bytes:
    """Return the body of a request that creates or changes something."""
    return _encoder().encode(dict(members))


def encode(items: Iterable[object]) -> bytes:
    """Return the items as a JSON list: resources and projects as the API would send them."""
    from .structure import unstructure  # noqa: PLC0415 - it loads cattrs

    return _encoder().encode(unstructure(list(items)))


def encode_lines(items: Iterable[object]) -> bytes:
    """Return the items as `encode` does, each on a line of its own."""
    from .structure import unstructure  # noqa: PLC0415 - it loads cattrs

    return _encoder().encode_lines(unstructure(list(items)))


def _document(body: bytes) -> dict[str, Any]:
    document = decode_value(body)
    if not isinstance(document, dict):
        raise DecodeError(f"expected a JSON object, got {type(document).__name__}")
    return document


def _with_items(
    body: bytes, item: type[T]
) -> tuple[dict[str, Any], list[T], Sequence[Hashable] | None]:
    """Return a document's members, its items, and their keys if they are known."""
    if item is Resource:
        with suppress(KeyError, TypeError, ValueError, *_no_json()):
            return cast(
                "tuple[dict[str, Any], list[T], list[str]]",
                _resources().decode_resources(body.removeprefix(_BOM)),
            )
    document = _document(body)
    if item is Resource and isinstance(elements := document.get(_MEMBERS[item]), list):
        with suppress(KeyError, TypeError, ValueError):
            return (document, *_resources().structured_resources(elements))
    return document, _items(document, item), None


@cache
def _resources() -> ModuleType:
    """Return the module of resources, which loads cattrs. An import for each page takes 1 µs."""
    from . import resources  # noqa: PLC0415 - see above

    return resources


def _items(document: dict[str, Any], item: type[T]) -> list[T]:
    from .structure import converter, explanation  # noqa: PLC0415 - it loads cattrs

    member = _MEMBERS[item]
    if member not in document:
        raise DecodeError(f"{member} is missing")
    value = document[member]
    try:
        return converter().structure(value, list[item])  # type: ignore[valid-type]  # a type at run time
    except (KeyError, TypeError, ValueError):
        pass
    raise DecodeError(explanation(value, item, member))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_object(value: Any) -> bool:
    """Return True for an object or null, which stands for one without members."""
    return value is None or isinstance(value, dict)


def _is_link(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _total(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**_MOST_DIGITS else None


def _page_number(link: Any) -> int | None:
    found = _find_page_number(link) if isinstance(link, str) else None
    return int(found[1]) if found else None
