"""Inventory: the subcommand that lists the resources of all projects, and rows with a project."""

from __future__ import annotations

import argparse
import re
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._codec.structure import time_text
from digitalocean_projects._codec.urn import LISTED_TYPE_PATTERN, listed_urn, type_hint
from digitalocean_projects._errors import APIError, ClientUsageError, InventoryError
from digitalocean_projects._messages import one_line

from .arguments import add_command, add_project_option, add_strict, project_named
from .output import RESOURCE_COLUMNS, Column, Columns, Output
from .progress import progress_shown, requests_of
from .terminal import FAILED, complain, counted, note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

    from digitalocean_projects._codec.models import Project, ProjectResources, Resource
    from digitalocean_projects._facade.sync import Client

    from .arguments import Commands

_is_type = re.compile(LISTED_TYPE_PATTERN).fullmatch
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
    """

    project: Project
    resource: Resource | None = None

    def exported(self) -> dict[str, object]:
        """Return the object of an export, which the emulator and `diff` can read."""
        if self.resource is None:
            members = self.project.to_dict()
            return {"kind": "project", **{name: members[name] for name in _ORDER}}
        urn = self.resource.urn
        return {
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
        column.name,
        column.heading,
        lambda row: "" if row.resource is None else column.value(row.resource),
        lambda row: row.resource is not None and column.is_bad(row.resource),
    )


PROJECT_COLUMNS = (
    Column[Row]("Project", "Project", lambda row: row.project.name),
    Column[Row]("ProjectID", "Project ID", lambda row: row.project.id),
)
ROW_COLUMNS = Columns[Row](
    (*PROJECT_COLUMNS, *map(_of_resource, RESOURCE_COLUMNS.known)),
    default="Project,URN,AssignedAt,Status",
    plain=Row.exported,
)


def add_inventory(commands: Commands) -> None:
    """Add the subcommand `inventory`."""
    parser = add_command(
        commands,
        "inventory",
        inventory,
        "list the resources of all projects",
        "inventory --type droplet --type volume",
        "inventory --with-projects -o jsonl > account.jsonl",
        "emulator --seed account.jsonl",
        "inventory -o csv > account.csv",
        details="It prints each resource with its project, ordered by the projects' names. If a\n"
        "project cannot be listed, it prints the error, goes on, and ends with exit\n"
        "status 1. With '-o jsonl' and '-o json', the output is an export, which 'diff'\n"
        "and the emulator read. The members of its objects are project, project_id, urn,\n"
        "type, id, assigned_at, status and self_link. Those of a project are the API's,\n"
        'after "kind": "project".',
        columns=ROW_COLUMNS,
    )
    add_project_option(parser)
    add_type(parser)
    add_strict(parser)
    parser.add_argument(
        "--with-projects",
        action="store_true",
        help="print each project, too, before its resources, so that empty ones are included",
    )


def add_type(parser: argparse.ArgumentParser) -> None:
    """Add the option `--type`."""
    parser.add_argument(
        "--type",
        action="append",
        dest="types",
        metavar="TYPE",
        type=_listed_type,
        help="list resources of this type only, such as droplet; can be repeated",
    )


def _listed_type(text: str) -> str:
    """Return the name of a type in listings."""
    if hint := type_hint(text):
        raise argparse.ArgumentTypeError(hint)
    if not _is_type(text):
        raise argparse.ArgumentTypeError(f"must be a type, such as droplet, got {text!r}")
    return listed_urn(f"do:{text}:").canonical.type


def of_types(resources: Sequence[Resource], types: Sequence[str] | None) -> Sequence[Resource]:
    """Return the resources that have one of the types; None stands for all types."""
    if types is None:
        return resources
    return [resource for resource in resources if resource.type in types]


def inventory(client: Client, options: Namespace) -> int:
    """List the resources of all projects, or of the given ones."""
    output = Output(options, ROW_COLUMNS)
    if options.projects:
        projects = [project_named(client, text) for text in options.projects]
    else:
        paginator = client.projects.list()
        projects = paginator.collect()
        if not paginator.settled:
            note("the projects changed while they were listed; projects may be missing")
    projects = sorted(projects, key=attrgetter("name", "id"))
    return list_by_project(client, output, projects, options, with_projects=options.with_projects)


def list_by_project(
    client: Client,
    output: Output[Row],
    projects: Sequence[Project],
    options: Namespace,
    *,
    with_projects: bool = False,
) -> int:
    """Write the resources of several projects, and return the exit status.

    Args:
        client: The client of the account.
        output: The writer.
        projects: The projects, in the order of the output.
        options: The options of the user: `types`, `strict` and `quiet`.
        with_projects: True to write a row for each project, too.
    """
    collected: list[Row] = []
    places: dict[str, str] = {}
    failures: list[str] = []
    end: APIError | ClientUsageError | None = None
    read = number = 0
    # The columns of a table are as wide as the cells of all projects.
    look, streamed = requests_of(client), output.is_streamed and not output.is_text
    try:
        with progress_shown(client, look, quiet=options.quiet, streamed=streamed):
            for page in client.projects.resources_by_project(projects).pages():
                resources = of_types(page.resources, options.types)
                rows = [Row(page.project)] if with_projects else []
                rows += [Row(page.project, resource) for resource in resources]
                failures += _faults(page, places, strict=options.strict)
                read, number = read + 1, number + len(resources)
                if streamed:
                    output.write(rows)
                else:
                    collected += rows
    except InventoryError as error:
        failures += [f"{one_line(project.name)}: {reason}" for project, reason in error.failures]
    except (APIError, ClientUsageError) as error:
        if not read:
            raise
        end = error
    if not streamed or not read:
        output.write(collected)
    if output.is_text:
        note(
            f"{counted(number, 'resource')} in {counted(read, 'project')}",
            quiet=options.quiet,
        )
    for failure in failures:
        complain(failure)
    if end is not None:
        raise end
    return FAILED if failures else 0


def _faults(page: ProjectResources, places: dict[str, str], *, strict: bool) -> Iterable[str]:
    """Yield the faults of a project's listing, and note what may be missing in it.

    Args:
        page: The project and its resources.
        places: The names of the projects of the resources so far, to which these are added.
        strict: True if a change during the listing is a fault.
    """
    name = one_line(page.project.name)
    if not page.settled:
        change = (
            f"{name}: the listing changed while it was read; items may be missing or out of date"
        )
        if strict:
            yield change
        else:
            note(change)
    if (hidden := hidden_in(page)) > 0:
        note(f"{name}: the listing lacks {counted(hidden, 'resource')}; the token may lack scopes")
    for resource in page.resources:
        urn = str(resource.urn.canonical)
        other = places.setdefault(urn, name)
        if other is not name:
            yield f"{one_line(urn)}: it is in {other} and in {name}, since it has just been moved"


def hidden_in(page: ProjectResources) -> int:
    """Return the number of resources that the API counts in a project but does not list."""
    return 0 if page.total is None else page.total - len(page.resources)
