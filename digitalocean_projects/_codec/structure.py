"""Structure: how the models look in JSON, by way of cattrs."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import cattrs
import msgspec
from cattrs.cols import is_mutable_sequence, list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from digitalocean_projects._public import PACKAGE

from .enums import STATUSES, Environment, ResourceStatus
from .models import Page, Project, Resource
from .urn import URN, listed_urn

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MOST_FAULTS = 3
_LONGEST_WITH_SIX_DIGITS = len("2018-09-28T19:26:37.123456")
_READERS = (datetime.fromisoformat, partial(msgspec.convert, type=datetime))
_ENVIRONMENTS: dict[str, Environment] = {value.value: value for value in Environment}


def structure(members: Any, item: type[T]) -> T:
    """Return the resource or project with these members, whose times may be parsed already."""
    return converter().structure(members, item)


def unstructure(value: object) -> Any:
    """Return a value as plain JSON types: an object as a dict."""
    return converter().unstructure(value)


def time_text(moment: datetime | None) -> str | None:
    """Return the time as the API writes it."""
    if moment is None:
        return None
    moment = _with_zone(moment)
    # In UTC, the time may lie before the first year or after the last one.
    with suppress(OverflowError):
        moment = moment.astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def explanation(value: Any, item: type, member: str) -> str:
    """Return the first faults in a list of items, found by structuring it again in detail."""
    if not isinstance(value, list):
        return f"{member}: expected a list, got {type(value).__name__}"
    found: list[str] = []
    for index, element in enumerate(value):
        found += faults(element, item, f"{member}[{index}]")
        if len(found) >= _MOST_FAULTS:
            break
    return "; ".join(found)


def faults(element: Any, item: type, path: str) -> list[str]:
    """Return the faults in one item, found by structuring it again in detail."""
    try:
        converter(detailed=True).structure(element, item)
    except Exception as error:  # noqa: BLE001 - each is one of the faults to explain
        describe = partial(_fault, element)
        return [*map(_path_first, cattrs.transform_error(error, path, format_exception=describe))]
    return []


def _fault(element: Any, error: BaseException, _: object) -> str:
    """Return one fault. It quotes a malformed URN as a whole, and nothing else of the response.

    The URN may hold the token, which a cut text or a `repr` would hide from the redaction.
    """
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, TypeError):
        return str(error)
    return f'expected a URN of the form do:TYPE:ID, got "{element["urn"]}"'


def _path_first(fault: str) -> str:
    """Return a fault of cattrs with its path in front, so that a long text doesn't hide it."""
    text, _, path = fault.rpartition(" @ ")
    return f"{path.removesuffix('.urn')}: {text}"


def _status(value: Any, _: object) -> ResourceStatus | str | None:
    if value is None or isinstance(value, str):
        return STATUSES.get(value, value)
    # It must not look like a missing status, since that stands for success.
    return f"invalid status of type {type(value).__name__}"


def _environment(value: Any, _: object) -> Environment | str:
    return _ENVIRONMENTS.get(value, value) if isinstance(value, str) else ""


def _plain(value: str | None) -> str | None:
    """Return the text of an enum's member."""
    return None if value is None else str.__str__(value)


def _some(kind: type[T], default: T | None) -> Callable[[Any, object], Any]:
    """Return a hook that takes a value of this kind, and replaces any other by the default."""
    return lambda value, _: value if type(value) is kind else default


def _flag(value: Any, _: object) -> bool:
    # The API was seen to send it as text, too.
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _text(value: Any, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value


def _time(value: Any, _: object) -> datetime | None:
    # The API may send empty text, for which an exception would be slow.
    if not value:
        return None
    if isinstance(value, datetime):
        return _with_zone(value)
    if not isinstance(value, str):
        return None
    # msgspec reads the times of usual resources. It takes 4 times as long here, but it rounds
    # fractions of more than six digits, which fromisoformat cuts off.
    readers = _READERS if len(value) <= _LONGEST_WITH_SIX_DIGITS else reversed(_READERS)
    for read in readers:
        try:
            return _with_zone(read(value))
        except (msgspec.ValidationError, ValueError):  # before msgspec 0.21, it is no ValueError
            continue
    return None


def _with_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _self_link(value: Any, _: object) -> str | None:
    link = value.get("self") if isinstance(value, dict) else None
    return link if isinstance(link, str) else None


# The fields that look different in JSON.
MEMBERS: dict[type, dict[str, Any]] = {
    Resource: {
        "assigned_at": override(struct_hook=_time, unstruct_hook=time_text),
        "self_link": override(
            rename="links",
            struct_hook=_self_link,
            unstruct_hook=lambda link: {"self": _plain(link)},
        ),
        "status": override(struct_hook=_status, unstruct_hook=_plain),
    },
    Project: {
        "id": override(struct_hook=_text),
        "name": override(struct_hook=_text),
        "description": override(struct_hook=_some(str, "")),
        "purpose": override(struct_hook=_some(str, "")),
        "environment": override(struct_hook=_environment, unstruct_hook=_plain),
        "is_default": override(struct_hook=_flag),
        "owner_uuid": override(struct_hook=_some(str, None)),
        "owner_id": override(struct_hook=_some(int, None)),
        "created_at": override(struct_hook=_time, unstruct_hook=time_text),
        "updated_at": override(struct_hook=_time, unstruct_hook=time_text),
    },
}


def _is_error(cls: Any) -> bool:
    kinds = get_args(cls) if get_origin(cls) is UnionType else (cls,)
    return any(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds)


def _named_error(error: BaseException) -> list[Any]:
    return [f"{type(error).__module__}:{type(error).__qualname__}", *error.args]


def _error(value: Any, _: object) -> Any:
    """Return the public error with this name and these arguments, or None.

    The name may come from outside, so no other class is made: an `APIError` with the same text and
    notes takes the place of a user's error.
    """
    if value is None:
        return None
    name, *arguments = value
    package = sys.modules[PACKAGE]
    module, _, public = name.partition(":")
    if module == PACKAGE and public in package.__all__:
        cls = getattr(package, public)
        if _is_error(cls):
            return cls(*arguments)
    return package.APIError(*arguments)


def _list_hook(cls: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    structure = list_structure_factory(cls, converter)

    def elements(value: Any, _: object) -> Any:
        if not isinstance(value, list | None):
            raise TypeError
        # The provider may send null for an empty list.
        return structure(value or [], cls)

    return elements


def _object_hook(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    structure = make_dict_structure_fn(
        cls, converter, _cattrs_prefer_attrib_converters=True, **MEMBERS[cls]
    )

    def detailed(value: Any, _: object) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"expected a JSON object, got {type(value).__name__}")
        return structure(value, cls)

    return detailed if converter.detailed_validation else structure


@cache
def converter(*, detailed: bool = False) -> cattrs.Converter:
    converter = cattrs.Converter(
        detailed_validation=detailed, unstruct_collection_overrides={tuple: list}
    )
    converter.register_structure_hook(URN, lambda value, _: listed_urn(value))
    # For URNs, members of enums and other subclasses, too.
    converter.register_unstructure_hook(str, str.__str__)
    converter.register_structure_hook(datetime, _time)
    converter.register_unstructure_hook(datetime, time_text)
    converter.register_structure_hook_func(_is_error, _error)
    converter.register_unstructure_hook(BaseException, _named_error)
    converter.register_structure_hook_factory(
        is_mutable_sequence, lambda cls: _list_hook(cls, converter)
    )
    for cls, wire in MEMBERS.items():
        converter.register_structure_hook(cls, _object_hook(cls, converter))
        # The API leaves out unknown members of a resource, but none of a project.
        omit = cls is Resource
        converter.register_unstructure_hook(
            cls, make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=omit, **wire)
        )
    # A page in JSON is for callers of a service, whom the response of the API doesn't concern.
    left_out: Any = dict.fromkeys(("rate_limit", "request_id", "headers"), override(omit=True))
    page = make_dict_unstructure_fn(Page, converter, **left_out)
    converter.register_unstructure_hook(Page, page)
    return converter
