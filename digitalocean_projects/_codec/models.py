"""The API's documents as values."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - cattrs resolves the annotations
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import attrs

from digitalocean_projects._messages import status_text

from .urn import URN, listed_urn_text

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from .headers import RateLimit

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ResourceStatus(StrEnum):
    """What the API says of a resource that it listed or assigned.

    https://docs.digitalocean.com/reference/api/reference/project-resources/
    """

    OK = "ok"
    NOT_FOUND = "not_found"
    ASSIGNED = "assigned"
    ALREADY_ASSIGNED = "already_assigned"
    SERVICE_DOWN = "service_down"


class Environment(StrEnum):
    """What a project's resources are for.

    https://docs.digitalocean.com/reference/api/reference/projects/
    """

    DEVELOPMENT = "Development"
    STAGING = "Staging"
    PRODUCTION = "Production"


class Purpose(StrEnum):
    """What a project is for, in the API's words; of any other text it makes `Other: …`.

    https://docs.digitalocean.com/reference/api/reference/projects/
    """

    TRYING_OUT = "Just trying out DigitalOcean"
    EDUCATION = "Class project / Educational purposes"
    WEBSITE = "Website or blog"
    WEB_APPLICATION = "Web Application"
    SERVICE = "Service or API"
    MOBILE_APPLICATION = "Mobile Application"
    DATA_PROCESSING = "Machine learning / AI / Data processing"
    IOT = "IoT"
    TOOLING = "Operational / Developer tooling"


@attrs.frozen(kw_only=True, weakref_slot=False)
class Project:
    """A project.

    Args:
        id: Its UUID.
        name: Its name, which no other project of the account has.
        description: What it is, "" if the API doesn't say.
        purpose: What it is for; see `Purpose`. A default project's may be "".
        environment: An `Environment`, or any other text that the API may send, such as "".
        is_default: Whether what is made without naming a project goes into this one.
        owner_uuid: Whose it is; None if the API doesn't say.
        owner_id: The same as a number, or None.
        created_at: When it was made, with a time zone; None if the API doesn't say or what it says
            is no time.
        updated_at: When it was changed last, in the same way.
    """

    id: str
    name: str
    description: str = ""
    purpose: str = ""
    environment: Environment | str = ""
    is_default: bool = False
    owner_uuid: str | None = None
    owner_id: int | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from .pydantic import project_schema  # noqa: PLC0415 - only users of pydantic need it

        return project_schema(handler)


def _urn_text(value: URN | str) -> str:
    return str(value) if isinstance(value, URN) else listed_urn_text(value)


@attrs.frozen(repr=False, weakref_slot=False)
class Resource:
    """A resource of a project, as the API sends it.

    Args:
        urn: The resource's name, as a `URN` or its text. As in a listing, the text may be any
            `do:TYPE:REST` without control characters.
        assigned_at: When it came into its project, with a time zone; None if the API sends no
            readable time.
        self_link: The URL of the resource; a Space's is its bucket, on another host than the API.
        status: A `ResourceStatus`, any other text that the API sends, or None if it sends none.

    Raises:
        TypeError: `urn` is neither a URN nor a string.
        ValueError: `urn` is not of the form `do:TYPE:REST`.
    """

    _urn: str = attrs.field(converter=_urn_text)
    assigned_at: datetime | None = None
    self_link: str | None = None
    status: ResourceStatus | str | None = None

    @property
    def urn(self) -> URN:
        """The resource's name."""
        return URN._of_checked(self._urn)  # noqa: SLF001 - as it was when this was made

    @property
    def type(self) -> str:
        """The type in the resource's name, such as `droplet`."""
        return self._urn.split(":", 2)[1]

    def __repr__(self) -> str:
        status = None if self.status is None else str(self.status)
        return (
            f"Resource({self._urn!r}, assigned_at={self.assigned_at!r}, "
            f"self_link={self.self_link!r}, status={status!r})"
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from .pydantic import resource_schema  # noqa: PLC0415 - only users of pydantic need it

        return resource_schema(handler)


class UnfrozenResource:
    """A resource that is being filled: an assignment to `__class__` makes it a `Resource`.

    The slots of a frozen class can be set by calls only. For a page of 200 this takes 46 µs, calls
    of the slots' own setters take 78 µs, and of the constructor 210 µs (medians of 300 runs each).
    """

    __slots__ = Resource.__slots__  # type: ignore[attr-defined]  # which attrs makes

    _urn: str
    assigned_at: datetime | None
    self_link: str | None
    status: ResourceStatus | str | None


@attrs.frozen(kw_only=True)
class Refusal:
    """An error with which the API refused to assign a resource that was sent alone.

    `str` gives the status, the id and the message.

    Args:
        urn: The resource, as it was passed.
        status: The HTTP status: 400, 412 or 422.
        id: The error's short name, such as `precondition_failed`; "" if the answer has none.
        message: The API's explanation; "" if the answer has none.
        request_id: The id to quote to the provider's support, or None.
    """

    urn: URN
    status: int
    id: str
    message: str
    request_id: str | None

    def __str__(self) -> str:
        return status_text(self.status, self.id, self.message)


class HasItems(Protocol[T_co]):
    """A part of a listing."""

    @property
    def items(self) -> tuple[T_co, ...]:
        """What is in it."""


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """A page of a listing.

    Args:
        items: What is on the page, in the API's order, without what came on an earlier page of
            the same reading.
        number: The page's number, from 1.
        total: How many items the API says the listing has, also those that the token may not see;
            None if it doesn't say.
        rate_limit: What the answer said of the token's allowance, or None.
    """

    items: tuple[T, ...]
    number: int
    total: int | None
    rate_limit: RateLimit | None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from .pydantic import page_schema  # noqa: PLC0415 - only users of pydantic need it

        return page_schema(source, handler)


@attrs.frozen(kw_only=True)
class ProjectResources:
    """A project with what it holds.

    Args:
        project: The project.
        resources: Its resources, newest assignment first.
    """

    project: Project
    resources: tuple[Resource, ...]

    @property
    def items(self) -> tuple[tuple[Project, Resource], ...]:
        """Each resource with the project."""
        return tuple((self.project, resource) for resource in self.resources)
