"""The API's documents as values."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - cattrs resolves the annotations
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from ._urn import URN, checked_urn_text

if TYPE_CHECKING:
    from ._headers import RateLimit

T = TypeVar("T")


class ResourceStatus(StrEnum):
    """What the API says of a resource that it listed or assigned.

    https://docs.digitalocean.com/reference/api/reference/project-resources/
    """

    OK = "ok"
    NOT_FOUND = "not_found"
    ASSIGNED = "assigned"
    ALREADY_ASSIGNED = "already_assigned"
    SERVICE_DOWN = "service_down"


def _urn_text(value: URN | str) -> str:
    return str(value) if isinstance(value, URN) else checked_urn_text(value)


@attrs.frozen(repr=False, weakref_slot=False)
class Resource:
    """A resource of a project.

    Args:
        urn: The resource's name, as a `URN` or its text.
        assigned_at: When it came into its project, with a time zone; None if the API doesn't say
            or what it says is no time.
        self_link: The URL of the resource; a Space's is its bucket, on another host than the API.
        status: A `ResourceStatus`, any other text that the API may send, or None if it sends none.

    Raises:
        TypeError: `urn` is neither a URN nor a string.
        ValueError: `urn` is not of the form `do:type:id`.
    """

    _urn: str = attrs.field(converter=_urn_text)
    assigned_at: datetime | None = None
    self_link: str | None = None
    status: ResourceStatus | str | None = None

    @cached_property
    def urn(self) -> URN:
        """The resource's name."""
        return URN.parse(self._urn)

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
