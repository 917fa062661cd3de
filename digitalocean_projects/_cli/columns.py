"""Columns: what a table may show of a resource or a project, by doctl's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from digitalocean_projects._assignment.results import REFUSED
from digitalocean_projects._codec.models import Project, Resource, ResourceStatus
from digitalocean_projects._codec.structure import time_text
from digitalocean_projects._messages import quoted

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

T = TypeVar("T")

_MISSING = "N/A"
_REFUSALS = frozenset({ResourceStatus.NOT_FOUND, ResourceStatus.SERVICE_DOWN, REFUSED})


@attrs.frozen
class Column(Generic[T]):
    """A column of a table.

    Args:
        name: What `--format` calls it.
        heading: What stands above it.
        value: What it shows of an item; None if there is nothing to show.
        is_bad: Whether to alarm the reader.
    """

    name: str
    heading: str
    value: Callable[[T], str | None]
    is_bad: Callable[[T], bool] = attrs.field(default=lambda _: False)

    def text(self, item: T) -> str:
        """What it shows of an item."""
        value = self.value(item)
        return _MISSING if value is None else value


@attrs.frozen
class Columns(Generic[T]):
    """The columns that there are for one kind of item.

    Args:
        known: All of them.
        default: The names of those that are shown if no others are asked for.
    """

    known: tuple[Column[T], ...]
    default: str

    @property
    def names(self) -> str:
        """The names of all, as a user would write them."""
        return ",".join(column.name for column in self.known)

    def named(self, names: str) -> tuple[Column[T], ...]:
        """The columns that are asked for, by names in any case with commas between them.

        Raises:
            ValueError: There is no such column.
        """
        by_name = {column.name.lower(): column for column in self.known}
        wanted = [name.strip() for name in names.split(",")]
        if unknown := [name for name in wanted if name.lower() not in by_name]:
            raise ValueError(f"unknown column {quoted(unknown[0])}; choose from {self.names}")
        return tuple(by_name[name.lower()] for name in wanted)


def _moment(moment: datetime | None) -> str | None:
    return time_text(moment and moment.replace(microsecond=0))


RESOURCE_COLUMNS = Columns[Resource](
    (
        Column("URN", "URN", lambda resource: str(resource.urn)),
        Column("AssignedAt", "Assigned At", lambda resource: _moment(resource.assigned_at)),
        Column(
            "Status", "Status", lambda resource: resource.status, lambda r: r.status in _REFUSALS
        ),
        Column("Type", "Type", lambda resource: resource.type),
        Column("ID", "ID", lambda resource: resource.urn.id),
    ),
    default="URN,AssignedAt,Status",
)
PROJECT_COLUMNS = Columns[Project](
    (
        Column("ID", "ID", lambda project: project.id),
        Column("OwnerUUID", "Owner UUID", lambda project: project.owner_uuid),
        Column("OwnerID", "Owner ID", lambda p: None if p.owner_id is None else str(p.owner_id)),
        Column("Name", "Name", lambda project: project.name),
        Column("Description", "Description", lambda project: project.description),
        Column("Purpose", "Purpose", lambda project: project.purpose),
        Column("Environment", "Environment", lambda project: project.environment),
        Column("IsDefault", "Is Default?", lambda project: str(project.is_default).lower()),
        Column("CreatedAt", "Created At", lambda project: _moment(project.created_at)),
        Column("UpdatedAt", "Updated At", lambda project: _moment(project.updated_at)),
    ),
    default="ID,Name,Environment,IsDefault",
)
