"""Inventory: the subcommand that lists the resources of all projects, and rows with a project."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._codec.structure import time_text
from digitalocean_projects._errors import APIError, ClientUsageError, InventoryError
from digitalocean_projects._messages import one_line
from digitalocean_projects._paginator.reader import UNSETTLED, hidden_in

from .account import for_each_account
from .arguments.tables import ROWS, ROWS_OF_ACCOUNT, ROWS_OF_ACCOUNTS
from .output import RESOURCE_COLUMNS, Column, Columns, Output
from .progress import progress_shown, requests_of
from .project import chosen_projects
from .terminal import FAILED, complain, counted, is_written, note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

    from digitalocean_projects._codec.models import Project, ProjectResources, Resource
    from digitalocean_projects._facade.sync import Client


_ORDER = (
    "id",
    "owner_uuid",
    "owner_id",
    "name",
    "description",
    "purpose",
    "environment",
    "is_default",
    "created_at",
    "updated_at",
)


@attrs.frozen
class Row:
    """A resource in its project, or a project alone.

    Args:
        project: The project.
        resource: The resource; None for the project alone.
        context: The doctl context of the account; "" if there is only one account.
    """

    project: Project
    resource: Resource | None = None
    context: str = ""

    def exported(self) -> dict[str, object]:
        """Return the object of an export, which the emulator and `diff` can read."""
        context: dict[str, object] = {"context": self.context} if self.context else {}
        if self.resource is None:
            members = self.project.to_dict()
            return context | {"kind": "project", **{name: members[name] for name in _ORDER}}
        urn = self.resource.urn
        return context | {
            "project": self.project.name,
            "project_id": self.project.id,
            "urn": str(urn),
            "type": urn.type,
            "id": urn.id,
            "assigned_at": time_text(self.resource.assigned_at),
            "status": self.resource.status,
            "self_link": self.resource.self_link,
        }

    def listed(self) -> dict[str, object]:
        """Return the API's object of the resource after the name and the id of the project."""
        members = {} if self.resource is None else self.resource.to_dict()
        return {"project": self.project.name, "project_id": self.project.id, **members}


def _of_resource(column: Column[Resource]) -> Column[Row]:
    """Return a column of resources as one of rows, which is empty for a project alone."""
    return Column(
        column.heading,
        lambda row: "" if row.resource is None else column.value(row.resource),
        lambda row: row.resource is not None and column.is_bad(row.resource),
    )


ROW_COLUMNS = Columns[Row](
    ROWS,
    (
        Column("Project", lambda row: row.project.name),
        Column("Project ID", lambda row: row.project.id),
        *map(_of_resource, RESOURCE_COLUMNS.known),
    ),
    plain=Row.exported,
)
_OF_ACCOUNT = attrs.evolve(
    ROW_COLUMNS,
    table=ROWS_OF_ACCOUNT,
    known=(Column[Row]("Context", lambda row: row.context), *ROW_COLUMNS.known),
)
_OF_ACCOUNTS = attrs.evolve(_OF_ACCOUNT, table=ROWS_OF_ACCOUNTS)


def of_types(resources: Sequence[Resource], types: Sequence[str] | None) -> Sequence[Resource]:
    """Return the resources that have one of the types; None stands for all types."""
    if types is None:
        return resources
    return [resource for resource in resources if resource.type in types]


def inventory(client: Client, options: Namespace) -> int:
    """List the resources of all projects, or of the given ones."""
    columns = _OF_ACCOUNTS if options.all_contexts else _OF_ACCOUNT
    writer = RowWriter(Output(options, columns), options)

    def add(client: Client, context: str) -> int:
        if options.projects:
            projects, failures = chosen_projects(client, options.projects, quiet=options.quiet)
            writer.fail(failures, context)
        else:
            paginator = client.projects.list()
            with progress_shown(client, requests_of(client), quiet=options.quiet):
                projects = paginator.collect()
            if not paginator.settled:
                text = "the projects changed while they were listed; some may be missing"
                writer.doubt(f"{start_of(context)}{text}")
        projects.sort(key=attrgetter("name", "id"))
        writer.add(client, projects, context)
        return 0

    status = for_each_account(client, options, add)
    return max(status, writer.finish())


class RowWriter:
    """A writer of the resources of several projects.

    Args:
        output: The writer of rows.
        options: The options of the user: `types`, `strict` and `quiet`, and for an inventory
            `with_projects`.
    """

    def __init__(self, output: Output[Row], options: Namespace) -> None:
        self._output = output
        self._options = options
        # The columns of a table are as wide as the cells of all projects.
        self._is_streamed = output.is_streamed and not output.is_text
        self._rows: list[Row] = []
        self._failures: list[str] = []
        self._resources = 0
        self._projects = 0

    def add(self, client: Client, projects: Sequence[Project], context: str = "") -> None:
        """Write the resources of projects of an account, or keep them until the end.

        Args:
            client: The client of the account.
            projects: The projects, in the order of the output.
            context: The doctl context of the account; "" if there is only one account.

        Raises:
            APIError: An error concerns all projects, and no project could be read.
        """
        before, look, start = self._projects, requests_of(client), start_of(context)
        streamed, places = self._is_streamed, dict[str, str]()
        failures: list[str] = []
        try:
            with progress_shown(
                client, look, quiet=self._options.quiet, streamed=streamed
            ) as watched:
                for page in watched(client.projects.resources_by_project(projects).pages()):
                    failures += self._faults(page, places, start)
                    self._add(page, context)
        except InventoryError as error:
            failures += [f"{one_line(one.name)}: {reason}" for one, reason in error.failures]
        except (APIError, ClientUsageError) as error:
            if self._projects == before:
                raise
            failures.append(str(error))
        self.fail(failures, context)

    def _add(self, page: ProjectResources, context: str) -> None:
        resources = of_types(page.resources, self._options.types)
        rows = [Row(page.project, resource, context) for resource in resources]
        if "with_projects" in self._options and self._options.with_projects:
            rows.insert(0, Row(page.project, None, context))
        self._projects += 1
        self._resources += len(resources)
        if self._is_streamed:
            self._output.write(rows)
        else:
            self._rows += rows

    def fail(self, failures: Iterable[str], context: str = "") -> None:
        """Keep failures of an account for the end, which makes the exit status 1."""
        self._failures += [f"{start_of(context)}{failure}" for failure in failures]

    def doubt(self, text: str) -> None:
        """Note a reason why resources may be missing, or with `--strict` a failure."""
        if self._options.strict:
            self._failures.append(text)
        else:
            note(text)

    def finish(self) -> int:
        """Write what was kept, and the failures; return the exit status."""
        written = True
        if not self._is_streamed or not self._projects:
            written = is_written(partial(self._output.write, self._rows))
        if self._output.is_text:
            resources = counted(self._resources, "resource")
            projects = counted(self._projects, "project")
            note(f"{resources} in {projects}", quiet=self._options.quiet)
        for failure in self._failures:
            complain(failure)
        return FAILED if self._failures or not written else 0

    def _faults(self, page: ProjectResources, places: dict[str, str], start: str) -> Iterable[str]:
        """Yield the faults of a project's listing, and note what may be missing in it.

        Args:
            page: The project and its resources.
            places: The names of the projects of the account's resources so far, to which these are
                added.
            start: The start of notes, which names the account.
        """
        name = one_line(page.project.name)
        if not page.settled:
            self.doubt(f"{start}{name}: {UNSETTLED}")
        note_hidden(page, start)
        for resource in page.resources:
            urn = str(resource.urn.canonical)
            other = places.setdefault(urn, name)
            if other is not name:
                yield f"{one_line(urn)}: it is in {other} and in {name}, so it has just been moved"


def note_hidden(page: ProjectResources, start: str) -> None:
    """Note that the API counts more resources in a project than it lists; `start` goes first."""
    if (hidden := hidden_in(page)) > 0:
        missing = counted(hidden, "resource")
        name = one_line(page.project.name)
        note(f"{start}{name}: the listing lacks {missing}; the token may lack scopes")


def start_of(context: str) -> str:
    """Return the start of a message on an account; "" if there is only one account."""
    return f"{one_line(context)}: " if context else ""
