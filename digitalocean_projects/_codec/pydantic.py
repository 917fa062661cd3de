"""Pydantic: the schemas with which pydantic reads, writes and describes the public values."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Required,
    TypeVar,
    get_args,
    get_type_hints,
)

import attrs
from pydantic import ConfigDict, Field, PlainSerializer, WithJsonSchema, with_config
from pydantic_core import (
    PydanticCustomError,
    PydanticSerializationUnexpectedValue,
    core_schema,
)
from typing_extensions import TypedDict

from . import enums, models
from .structure import structure, time_text
from .urn import LISTED_TYPE_PATTERN, URN, listed_urn, sendable

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

T = TypeVar("T")

Time = Annotated[
    datetime,
    PlainSerializer(time_text, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


# JSON has no times and tuples, so a strict model could not read them.
_NOT_STRICT = ConfigDict(strict=False)


# These classes give OpenAPI documents their names, docstrings and members.
@with_config(_NOT_STRICT)
class Links(TypedDict, total=False):
    """The links of a resource."""

    self: str | None


@with_config(_NOT_STRICT)
class Resource(TypedDict, total=False):
    """A resource of a project."""

    urn: Required[URN]
    assigned_at: Time | None
    links: Links | None
    status: Annotated[str | None, Field(examples=list(enums.ResourceStatus))]


@with_config(_NOT_STRICT)
class Project(TypedDict, total=False):
    """A project."""

    id: Required[str]
    name: Required[str]
    description: str
    purpose: Annotated[str, Field(examples=list(enums.Purpose))]
    environment: Annotated[str, Field(examples=list(enums.Environment))]
    is_default: bool
    owner_uuid: str | None
    owner_id: int | None
    created_at: Time | None
    updated_at: Time | None


@with_config(_NOT_STRICT)
class Page(TypedDict, Generic[T]):
    """A page of a listing."""

    items: tuple[T, ...]
    number: Annotated[int, Field(ge=1)]
    total: Annotated[int, Field(ge=0)] | None


def urn_schema() -> CoreSchema:
    """Return the schema of a URN: a string in JSON, and in Python any argument of `URN.of`.

    The text may be any that the API lists, since a model must be able to read what it has written.
    """
    text = core_schema.str_schema(
        pattern=f"^do:{LISTED_TYPE_PATTERN}:",
        metadata={"pydantic_js_updates": {"format": "urn", "examples": ["do:droplet:4126873"]}},
    )
    return core_schema.with_info_plain_validator_function(
        _urn,
        json_schema_input_schema=text,
        serialization=core_schema.plain_serializer_function_ser_schema(
            _urn_text, return_schema=text, when_used="json"
        ),
    )


def _urn(value: Any, info: core_schema.ValidationInfo) -> URN:
    with suppress(TypeError, ValueError):
        is_text = isinstance(value, str) or info.mode == "json"
        return sendable(listed_urn(value) if is_text else URN.of(value))
    raise PydanticCustomError("urn_parsing", "Input should be a URN of the form do:TYPE:ID")


def _urn_text(value: Any) -> str:
    return str(_checked(URN, value))


def value_schema(cls: type[Any], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a public value: the object that its `to_dict` returns."""
    if cls is models.Page:
        return _page_schema(source, handler)
    if cls in _WAYS:
        members, read, write = _WAYS[cls]
    else:
        members, read, write = _described(cls), lambda members: cls(**members), _fields  # type: ignore[arg-type]  # a class is hashable
    return _object_schema(cls, handler.generate_schema(members), read=read, write=write)


@cache
def _described(cls: type[Any]) -> Any:
    """Return a class that describes the fields of a value, under the same name."""
    members = TypedDict(cls.__name__, get_type_hints(cls))  # type: ignore[misc]  # made at run time
    members.__doc__ = (cls.__doc__ or "").partition("\n")[0]
    return with_config(_NOT_STRICT)(members)


def _fields(value: Any) -> dict[str, Any]:
    return attrs.asdict(value, recurse=False)


def _resource_members(resource: models.Resource) -> dict[str, Any]:
    members = {
        "urn": resource.urn,
        "assigned_at": resource.assigned_at,
        "links": None if resource.self_link is None else {"self": resource.self_link},
        "status": resource.status,
    }
    # The API leaves out unknown members.
    return {name: value for name, value in members.items() if value is not None}


# The values whose JSON members differ from their fields, each with the class that describes the
# members, and the functions that read and write them.
_WAYS: dict[type, tuple[Any, Callable[[dict[str, Any]], Any], Callable[[Any], dict[str, Any]]]] = {
    models.Resource: (Resource, partial(structure, item=models.Resource), _resource_members),
    models.Project: (Project, partial(structure, item=models.Project), _fields),
}


def _page_schema(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    (item,) = get_args(source) or (Any,)
    return _object_schema(
        models.Page,
        handler.generate_schema(Page[item]),  # type: ignore[valid-type]  # a type at run time
        read=lambda members: models.Page(**members, rate_limit=None),
        write=_page_members,
        # An instance may hold items of other types.
        check=lambda page, handler: attrs.evolve(page, items=handler(_page_members(page))["items"]),
    )


def _page_members(page: models.Page[Any]) -> dict[str, Any]:
    return {"items": page.items, "number": page.number, "total": page.total}


def _object_schema(
    cls: type[T],
    members: CoreSchema,
    *,
    read: Callable[[dict[str, Any]], T],
    write: Callable[[T], dict[str, Any]],
    check: Callable[[T, core_schema.ValidatorFunctionWrapHandler], T] = lambda value, _: value,
) -> CoreSchema:
    """Return a schema of `cls`, which accepts an instance that passes the check, or its members."""

    def validate(value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> T:
        return check(value, handler) if isinstance(value, cls) else read(handler(value))

    def serialize(value: Any) -> dict[str, Any]:
        return write(_checked(cls, value))

    return core_schema.no_info_wrap_validator_function(
        validate,
        members,
        serialization=core_schema.plain_serializer_function_ser_schema(
            serialize, return_schema=members
        ),
    )


def _checked(cls: type[T], value: Any) -> T:
    """Return `value`, or raise the error after which pydantic tries the other types of a union."""
    if not isinstance(value, cls):
        raise PydanticSerializationUnexpectedValue(f"Expected {cls.__name__}")
    return value
