"""Listing: the subcommand that lists the resources of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from digitalocean_projects._arguments import DEFAULT_PROJECT

from .arguments import add_command, add_project, project_id
from .output import RESOURCE_COLUMNS, Output
from .progress import Progress, progress_shown, requests_of
from .terminal import counted, note

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from digitalocean_projects._codec.models import Resource
    from digitalocean_projects._facade.sync import Client, Paginator

    from .arguments import Commands


def add_list(commands: Commands) -> None:
    """Add the subcommand `list`."""
    parser = _add_list(
        commands,
        "list",
        "list web-shop --format URN,Status",
        "list web-shop --format URN --no-header > urns.txt",
        "list -o jsonl | jq -r .urn",
    )
    add_project(parser, default=DEFAULT_PROJECT)


def add_doctl_list(commands: Commands) -> None:
    """Add `list` as doctl has it: its PROJECT is required."""
    add_project(_add_list(commands, "projects resources list web-shop --format URN,Status"))


def _add_list(commands: Commands, *examples: str) -> ArgumentParser:
    return add_command(
        commands,
        "list",
        list_resources,
        "list the resources of a project",
        *examples,
        details="The JSON objects have the members that the API sends.",
        columns=RESOURCE_COLUMNS,
        aliases=["ls"],
    )


def list_resources(client: Client, options: Namespace) -> int:
    """List the resources of a project."""
    output = Output(options, RESOURCE_COLUMNS)
    paginator = client.projects.list_resources(project_id(client, options.project))
    if output.is_streamed:
        _stream(client, output, paginator, options)
    else:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            resources = paginator.collect()
        output.write(resources)
    note_change(paginator)
    return 0


def _stream(
    client: Client, output: Output[Resource], paginator: Paginator[Resource], options: Namespace
) -> None:
    progress = Progress("resource")
    pages = 0
    with progress_shown(client, lambda: progress, quiet=options.quiet, streamed=True):
        for page in paginator.pages():
            progress.done += len(page.items)
            progress.total = page.total
            output.write(page.items)
            pages = page.number
    if output.is_text:
        note(
            f"{counted(progress.done, 'resource')} on {counted(pages, 'page')}",
            quiet=options.quiet,
        )


def note_change(paginator: Paginator[Any]) -> None:
    """Warn the user if a listing may be incomplete or out of date."""
    if not paginator.settled:
        note("the listing changed while it was read; items may be missing or out of date")
