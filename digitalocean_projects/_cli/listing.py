"""Listing: the subcommand that lists the resources of one or several projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from digitalocean_projects._codec.models import Project
from digitalocean_projects._defaults import DEFAULT_PROJECT
from digitalocean_projects._paginator.reader import UNSETTLED

from .arguments import (
    add_command,
    add_project,
    add_projects,
    add_strict,
    chosen_project,
    chosen_projects,
)
from .inventory import PROJECT_COLUMNS, ROW_COLUMNS, Row, RowWriter, add_type, of_types
from .output import RESOURCE_COLUMNS, Output
from .progress import Progress, progress_shown, requests_of
from .terminal import FAILED, counted, note

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from digitalocean_projects._codec.models import Resource
    from digitalocean_projects._facade.sync import Client, Paginator

    from .arguments import Commands


ONE_PROJECT = attrs.evolve(
    ROW_COLUMNS,
    default=RESOURCE_COLUMNS.default,
    csv_default=RESOURCE_COLUMNS.names,
    plain=lambda row: row.resource,
)
SEVERAL_PROJECTS = attrs.evolve(ROW_COLUMNS, plain=Row.listed)


def add_list(commands: Commands) -> None:
    """Add the subcommand `list`."""
    parser = _add_list(
        commands,
        "list web-shop --format URN,Status",
        "list web-shop --format URN --no-header > urns.txt",
        "list web-shop staging --type droplet",
        "list -o jsonl | jq -r .urn",
        details="The JSON objects have the members that the API sends. If several projects are\n"
        "listed, the members project and project_id come first; if one of them cannot be\n"
        "listed, the command prints the error, goes on, and ends with exit status 1.",
    )
    add_projects(parser, DEFAULT_PROJECT)
    add_type(parser)


def add_doctl_list(commands: Commands) -> None:
    """Add `list` as doctl has it: its PROJECT is required."""
    parser = _add_list(commands, "projects resources list web-shop --format URN,Status")
    add_project(parser)
    parser.set_defaults(projects=(), types=None)


def _add_list(
    commands: Commands,
    *examples: str,
    details: str = "The JSON objects have the members that the API sends.",
) -> ArgumentParser:
    parser = add_command(
        commands,
        "list",
        list_resources,
        "list the resources of a project",
        *examples,
        details=details,
        columns=ONE_PROJECT,
        aliases=["ls"],
    )
    add_strict(parser)
    return parser


def list_resources(client: Client, options: Namespace) -> int:
    """List the resources of one or several projects."""
    names = options.projects or [options.project]
    shows_project = any(column in PROJECT_COLUMNS for column in options.columns or ())
    if len(names) > 1 or shows_project:
        writer = RowWriter(Output(options, SEVERAL_PROJECTS), options)
        projects, failures = chosen_projects(client, names, quiet=options.quiet)
        writer.fail(failures)
        writer.add(client, projects)
        return writer.finish()
    output = Output(options, ONE_PROJECT)
    # Nothing that is printed needs the project, so it takes no request.
    project = Project(id=chosen_project(client, names[0], quiet=options.quiet), name=names[0])
    paginator = client.projects.list_resources(project)
    if output.is_streamed:
        _stream(client, output, paginator, project, options)
    else:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            resources = paginator.collect()
        output.write([Row(project, one) for one in of_types(resources, options.types)])
    return status_of(paginator, options)


def _stream(
    client: Client,
    output: Output[Row],
    paginator: Paginator[Resource],
    project: Project,
    options: Namespace,
) -> None:
    progress = Progress("resource")
    pages = number = 0
    with progress_shown(client, lambda: progress, quiet=options.quiet, streamed=True) as watched:
        for page in watched(paginator.pages()):
            progress.done += len(page.items)
            progress.total = page.total
            rows = [Row(project, one) for one in of_types(page.items, options.types)]
            output.write(rows)
            number += len(rows)
            pages = page.number
    if output.is_text:
        note(f"{counted(number, 'resource')} on {counted(pages, 'page')}", quiet=options.quiet)


def status_of(paginator: Paginator[Any], options: Namespace) -> int:
    """Return the exit status of a listing, and warn the user if it may be incomplete."""
    if paginator.settled:
        return 0
    note(UNSETTLED)
    return FAILED if options.strict else 0
