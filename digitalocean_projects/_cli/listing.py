"""Listing: the subcommand that lists the resources of one or several projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from digitalocean_projects._codec.models import Project
from digitalocean_projects._paginator.reader import UNSETTLED

from .arguments.tables import PROJECT_OF_ROW, ROWS_OF_ONE_PROJECT
from .inventory import ROW_COLUMNS, Row, RowWriter, of_types
from .output import Output
from .progress import Progress, progress_shown, requests_of
from .project import chosen_project, chosen_projects
from .terminal import FAILED, counted, note

if TYPE_CHECKING:
    from argparse import Namespace

    from digitalocean_projects._codec.models import Resource
    from digitalocean_projects._facade.sync import Client, Paginator


_ONE_PROJECT = attrs.evolve(ROW_COLUMNS, table=ROWS_OF_ONE_PROJECT, plain=lambda row: row.resource)
_SEVERAL_PROJECTS = attrs.evolve(ROW_COLUMNS, plain=Row.listed)


def list_resources(client: Client, options: Namespace) -> int:
    """List the resources of one or several projects."""
    names = options.projects or [options.project]
    shows_project = any(column in PROJECT_OF_ROW for column in options.columns or ())
    if len(names) > 1 or shows_project:
        writer = RowWriter(Output(options, _SEVERAL_PROJECTS), options)
        projects, failures = chosen_projects(client, names, quiet=options.quiet)
        writer.fail(failures)
        writer.add(client, projects)
        return writer.finish()
    output = Output(options, _ONE_PROJECT)
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
