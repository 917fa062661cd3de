"""Structure: how the models look in JSON, by way of cattrs."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import cattrs
import msgspec
from cattrs.cols import is_mutable_sequence, list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from .models import Environment, Project, Resource, ResourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MOST_FAULTS = 3
STATUSES: dict[str | None, ResourceStatus] = {status.value: status for status in ResourceStatus}
_ENVIRONMENTS: dict[str, Environment] = {value.value: value for value in Environment}


def structure(members: Any, item: type[T]) -> T:
    """Return the resource or project with these members, whose times may be parsed already."""
    return converter().structure(members, item)


def time_text(moment: datetime | None) -> str | None:
    """Return the time as the API writes it."""
    if moment is None:
        return None
    moment = _with_zone(moment)
    # Not where that is before the first year, or after the last.
    with suppress(OverflowError):
        moment = moment.astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def explanation(value: Any, item: type, member: str) -> str:
    """Return the first faults in a list of items, found by structuring them with more care."""
    if not isinstance(value, list):
        return f"{member}: expected a list, got {type(value).__name__}"
    faults: list[str] = []
    for index, element in enumerate(value):
        try:
            converter(detailed=True).structure(element, item)
        except Exception as error:  # noqa: BLE001 - each is one of the faults to explain
            path = f"{member}[{index}]"
            describe = partial(_fault, element)
            faults += map(
                _path_first, cattrs.transform_error(error, path, format_exception=describe)
            )
            if len(faults) >= _MOST_FAULTS:
                break
    return "; ".join(faults)


def _fault(element: Any, error: BaseException, _: object) -> str:
    """Return one fault. Of what the server sent it holds a malformed URN only, uncut.

    The text may hold the token, which can't be found any more in a part of it or in its `repr`.
    """
    if isinstance(error, KeyError):
        return f"{error} is missing"
    if isinstance(error, TypeError):
        return str(error)
    return f'expected a URN of the form do:TYPE:ID, got "{element["urn"]}"'


def _path_first(fault: str) -> str:
    """Return a fault of cattrs with its path in front, where a long text doesn't hide it."""
    text, _, path = fault.rpartition(" @ ")
    return f"{path.removesuffix('._urn')}: {text}"


def _status(value: Any, _: object) -> ResourceStatus | str | None:
    return STATUSES.get(value, value) if isinstance(value, str) else None


def _environment(value: Any, _: object) -> Environment | str:
    return _ENVIRONMENTS.get(value, value) if isinstance(value, str) else ""


def _some(kind: type[T], default: T | None) -> Callable[[Any, object], Any]:
    """A hook that takes what is of this kind, and else has the default."""
    return lambda value, _: value if type(value) is kind else default


def _text(value: Any, _: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value


def _time(value: Any, _: object) -> datetime | None:
    if isinstance(value, datetime):
        return _with_zone(value)
    # Text that is empty, as the API may send it, needs no exceptions.
    if not value:
        return None
    try:
        # As a usual resource's time is read.
        return _with_zone(msgspec.convert(value, datetime))
    except (msgspec.ValidationError, ValueError):  # before msgspec 0.21, it is no ValueError
        pass
    try:
        return _with_zone(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return None


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
            raise TypeError(f"expected an object, got {type(value).__name__}")
        return structure(value, cls)

    return detailed if converter.detailed_validation else structure


@cache
def converter(*, detailed: bool = False) -> cattrs.Converter:
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
