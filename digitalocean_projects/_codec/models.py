"""Models: the API's documents as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

import attrs

from digitalocean_projects._described import status_text
from digitalocean_projects._messages import quoted
from digitalocean_projects._public import publish

from .enums import Environment, ResourceStatus
from .headers import Headers, RateLimit
from .urn import URN, listed_text, type_hint

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Value:
    """A public value that can be converted to JSON types."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the value as plain JSON types: dicts, lists, strings, numbers, bools and None.

        The members of a resource and a project are those of the API's JSON, as in `-o json` of the
        command. Times are ISO 8601 texts in UTC. A resource omits the members that are None.

        Every encoder accepts these types. Pass them to `msgspec.json.encode`, which raises a
        `TypeError` for a value that holds a `URN`, such as `AssignmentResult.unknown`.
        """
        from .structure import unstructure  # noqa: PLC0415 - it loads cattrs

        members: dict[str, Any] = unstructure(self)
        return members

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from .pydantic import value_schema  # noqa: PLC0415 - only users of pydantic need it

        return value_schema(cls, source, handler)


def _text_repr(value: str | None) -> str:
    """Return the `repr` of the text, for an enum's member, too."""
    return repr(None if value is None else str(value))


@attrs.frozen(kw_only=True, slots=False)  # faster, see `_described.Request`
class Project(Value):
    """A project.

    Args:
        id: The UUID.
        name: The name, unique in the account.
        description: The description; "" if the API sends none.
        purpose: The purpose; see `Purpose`. That of a default project may be "".
        environment: An `Environment`, or any other text that the API may send; "" for none.
        is_default: True if new resources are added to this project unless another one is named.
        owner_uuid: The UUID of the owner, or None if the API sends none.
        owner_id: The numeric id of the owner, or None if the API sends none.
        created_at: The time of creation, with a time zone; None if the API sends no valid time.
        updated_at: The time of the last change, with a time zone, or None as above.
    """

    id: str
    name: str
    description: str = ""
    purpose: str = ""
    environment: Environment | str = attrs.field(default="", repr=_text_repr)
    is_default: bool = False
    owner_uuid: str | None = None
    owner_id: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@attrs.frozen(init=False, weakref_slot=False)
class Resource(Value):
    """A resource of a project, as the API sends it.

    Args:
        urn: The resource's name, as a `URN` or its text. As in a listing, the text may be any
            `do:TYPE:REST` without control characters.
        assigned_at: The time of the assignment to the project, with a time zone; None if the API
            sends no valid time.
        self_link: The URL of the resource in the API, or of the bucket for a Space; None if the API
            sends none.
        status: A `ResourceStatus`, any other text that the API sends, or None if it sends none.

    Raises:
        TypeError: `urn` is neither a URN nor a string.
        ValueError: `urn` is not of the form `do:TYPE:REST`.
    """

    urn: URN
    assigned_at: datetime | None = None
    self_link: str | None = None
    status: ResourceStatus | str | None = attrs.field(default=None, repr=_text_repr)

    # A converter of attrs would do, but then pyright sees no `HasURN` in this class.
    def __init__(
        self,
        urn: URN | str,
        assigned_at: datetime | None = None,
        self_link: str | None = None,
        status: ResourceStatus | str | None = None,
    ) -> None:
        self.__attrs_init__(urn, assigned_at, self_link, status)  # type: ignore[arg-type]  # the setter converts it

    # The methods of attrs would make a URN at each comparison, see below.
    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _state(self) == _state(other)

    def __hash__(self) -> int:
        return hash(_state(self))

    def __getstate__(self) -> tuple[Any, ...]:
        return _state(self)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for set_slot, value in zip(_set_slots, state, strict=True):
            set_slot(self, value)

    @property
    def type(self) -> str:
        """The type in the resource's name, such as `droplet`."""
        return self.urn.type

    @property
    def id(self) -> str:
        """The id in the resource's name, such as `13457723`."""
        return self.urn.id


# A URN is an object that the garbage collector tracks, as each instance of a subclass of str is. So
# the slot keeps plain text, and reading it makes a URN. For 40,000 resources that were read, this
# saves 40,000 tracked objects, 48 bytes and 0.22 µs each. Plain text is also all that msgspec can
# encode, which reads slots directly.
_urn_slot, *_other_slots = (vars(Resource)[field.name] for field in attrs.fields(Resource))
urn_text: Callable[[Resource], str] = _urn_slot.__get__
_set_slots = [slot.__set__ for slot in (_urn_slot, *_other_slots)]
# The setter has the check, since the constructors of subclasses that attrs makes use it, too.
Resource.urn = property(  # type: ignore[assignment]  # the slot, as a URN
    lambda self: str.__new__(URN, urn_text(self)),
    lambda self, urn: _urn_slot.__set__(self, listed_text(urn)),
    doc="The resource's name.",
)


def _state(resource: Resource) -> tuple[Any, ...]:
    """Return the values of the slots."""
    return urn_text(resource), *_others_of(resource)


_others_of = attrgetter(*(slot.__name__ for slot in _other_slots))


@attrs.frozen(kw_only=True)
class Refusal(Value):
    """An error with which the API refused to assign a resource that was sent alone.

    `str` gives the status, the id and the message, and the right spelling of a wrong type.

    Args:
        urn: The resource, as it was passed.
        status: The HTTP status: 400, 412 or 422.
        id: The error's short name, such as `precondition_failed`; "" if the response has none.
        message: The API's explanation; "" if the response has none.
        request_id: The id that DigitalOcean's support asks for, or None.
    """

    urn: URN
    status: int
    id: str
    message: str
    request_id: str | None

    def __str__(self) -> str:
        text = status_text(self.status, self.id, self.message)
        hint = type_hint(self.urn.type) if self.status == HTTPStatus.BAD_REQUEST else ""
        return f"{text}{hint and f'; {hint}'}"


class HasItems(Protocol[T_co]):
    """A part of a listing, with several items."""

    @property
    def items(self) -> tuple[T_co, ...]:
        """Its items."""


@attrs.frozen(kw_only=True, repr=False, slots=False)  # faster, see `_described.Request`
class Page(Value, Generic[T]):
    """A page of a listing.

    `to_dict` returns its items, number and total.

    Args:
        items: The items on the page, in the API's order, without those on an earlier page of the
            same reading.
        number: The page's number, from 1.
        total: The number of items in the listing according to the API, which also counts items
            that the token may not see; None if the API sends none.
        rate_limit: The rate limit in the headers of the response, or None.
        request_id: The id that DigitalOcean's support asks for, or None. Two pages may be equal
            although their ids or headers differ.
        headers: The headers of the response: a read-only mapping, whose keys ignore case. The
            values of a repeated header are joined by `, `.
    """

    items: tuple[T, ...]
    number: int
    total: int | None
    rate_limit: RateLimit | None
    request_id: str | None = attrs.field(default=None, eq=False)
    headers: Mapping[str, str] = attrs.field(factory=Headers, eq=False)

    def __repr__(self) -> str:
        return f"<Page number={self.number} items={len(self.items)} total={self.total}>"


@attrs.frozen(kw_only=True, repr=False)
class ProjectResources(Value):
    """A project and the resources that it holds.

    Args:
        project: The project.
        resources: Its resources, newest assignment first.
        total: The number of its resources according to the API, which also counts those that the
            token may not see; None if the API sends none.
        settled: False if the listing changed in every reading, so that resources may be missing or
            may have left the project.
    """

    project: Project
    resources: tuple[Resource, ...]
    total: int | None = None
    settled: bool = True

    @property
    def items(self) -> tuple[tuple[Project, Resource], ...]:
        """Each resource with the project."""
        return tuple((self.project, resource) for resource in self.resources)

    def __repr__(self) -> str:
        name = quoted(self.project.name)
        return f"<ProjectResources project={name} resources={len(self.resources)}>"


publish(globals())
