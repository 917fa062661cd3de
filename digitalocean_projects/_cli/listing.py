"""Listing: the subcommand that lists the resources of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from digitalocean_projects._arguments import DEFAULT_PROJECT

from .arguments import add_command, add_project, add_strict, chosen_project
from .output import RESOURCE_COLUMNS, Output
from .progress import Progress, progress_shown, requests_of
from .terminal import FAILED, counted, note

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
    parser = add_command(
        commands,
        "list",
        list_resources,
        "list the resources of a project",
        *examples,
        details="The JSON objects have the members that the API sends.",
        columns=RESOURCE_COLUMNS,
        aliases=["ls"],
    )
    add_strict(parser)
    return parser


def list_resources(client: Client, options: Namespace) -> int:
    """List the resources of a project."""
    output = Output(options, RESOURCE_COLUMNS)
    paginator = client.projects.list_resources(chosen_project(client, options))
    if output.is_streamed:
        _stream(client, output, paginator, options)
    else:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            resources = paginator.collect()
        output.write(resources)
    return status_of(paginator, options)


def _stream(
    client: Client, output: Output[Resource], paginator: Paginator[Resource], options: Namespace
) -> None:
    progress = Progress("resource")
    pages = 0
    with progress_shown(client, lambda: progress, quiet=options.quiet, streamed=True) as watched:
        for page in watched(paginator.pages()):
            progress.done += len(page.items)
            progress.total = page.total
            output.write(page.items)
            pages = page.number
    if output.is_text:
        note(
            f"{counted(progress.done, 'resource')} on {counted(pages, 'page')}",
            quiet=options.quiet,
        )


def status_of(paginator: Paginator[Any], options: Namespace) -> int:
    """Return the exit status of a listing, and warn the user if it may be incomplete."""
    if paginator.settled:
        return 0
    note("the listing changed while it was read; items may be missing or out of date")
    return FAILED if options.strict else 0
