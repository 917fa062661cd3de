"""Projects: the subcommands that list, create, update and delete projects."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from digitalocean_projects._codec.models import Environment, Purpose

from .arguments import add_command, add_group, add_project, project_id
from .assigning import add_doctl_assign
from .listing import add_doctl_list, note_change
from .output import PROJECT_COLUMNS, Output
from .progress import progress_shown, requests_of

if TYPE_CHECKING:
    from argparse import Namespace

    from digitalocean_projects._facade.sync import Client

    from .arguments import Commands


def add_commands(commands: Commands) -> None:
    """Add the subcommand `projects`, with its subcommands."""
    commands = add_group(
        commands,
        "projects",
        "list, create, update and delete projects",
        "projects list",
        "projects get --help",
    )
    add_command(
        commands,
        "list",
        list_projects,
        "list the projects of the account",
        "projects list --format ID,Name,Purpose",
        "projects list -o json | jq -r '.[].name'",
        columns=PROJECT_COLUMNS,
        aliases=["ls"],
    )

    command = add_command(
        commands,
        "get",
        get_project,
        "show a project",
        "projects get default",
        "projects get web-shop --format ID --no-header",
        columns=PROJECT_COLUMNS,
        aliases=["g"],
    )
    add_project(command)

    command = add_command(
        commands,
        "create",
        create_project,
        "create a project",
        f'projects create billing --purpose "{Purpose.SERVICE}" \\\n      --environment production',
        columns=PROJECT_COLUMNS,
        aliases=["c"],
    )
    name = command.add_mutually_exclusive_group(required=True)
    name.add_argument("name", nargs="?", metavar="NAME", help="unique name, at most 175 characters")
    name.add_argument("--name", dest="named", metavar="NAME", help="NAME as an option, as in doctl")
    _add_purpose(command, required=True)
    _add_members(command)

    command = add_command(
        commands,
        "update",
        update_project,
        "update a project",
        "projects update web-shop --description 'Sells shoes'",
        "projects update web-shop --default",
        details="It changes the given attributes only.",
        columns=PROJECT_COLUMNS,
        aliases=["u"],
    )
    add_project(command)
    command.add_argument("--name", metavar="TEXT", help="new name, at most 175 characters")
    _add_purpose(command)
    command.add_argument(
        "--default",
        "--is_default",
        action="store_const",
        const=True,
        help="make it the default project",
    )
    for value in (True, False):
        # A switch of doctl's takes a value only after a `=`.
        command.add_argument(
            f"--is_default={value}".lower(),
            action="store_const",
            const=value,
            dest="default",
            help=argparse.SUPPRESS,
        )
    _add_members(command)

    command = add_command(
        commands,
        "delete",
        delete_project,
        "delete an empty project",
        "projects delete web-shop",
        "projects delete web-shop --wait 120",
        details="The API refuses to delete the default project or one that holds resources.",
        aliases=["d", "rm"],
        has_output=False,
    )
    add_project(command)
    command.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="retry for at most SECONDS while moved resources leave the project (default: do not "
        "retry)",
    )
    command.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="accepted for compatibility with doctl; there is no prompt",
    )
    group = add_group(
        commands,
        "resources",
        "list and assign resources in doctl's syntax",
        "projects resources list default",
    )
    add_doctl_list(group)
    add_doctl_assign(group)


def _add_purpose(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    text = (
        f"purpose, at most 255 characters: one that the API knows, such as '{Purpose.SERVICE}', or "
        "a text of your own, which the API stores as 'Other: TEXT'"
    )
    parser.add_argument("--purpose", required=required, metavar="TEXT", help=text)


def _add_members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--description", metavar="TEXT", help="description, at most 255 characters")
    parser.add_argument(
        "--environment",
        type=_environment,
        choices=list(map(str, Environment)),
        metavar="NAME",
        help=f"one of {', '.join(Environment)}, in upper or lower case",
    )


def _environment(text: str) -> str:
    try:
        return str(Environment(text.capitalize()))
    except ValueError:
        names = ", ".join(Environment)
        raise argparse.ArgumentTypeError(f"must be one of {names}, got {text!r}") from None


def list_projects(client: Client, options: Namespace) -> int:
    """List the projects of the account."""
    output = Output(options, PROJECT_COLUMNS)
    paginator = client.projects.list()
    output.write(paginator.collect())
    note_change(paginator)
    return 0


def get_project(client: Client, options: Namespace) -> int:
    """Show a project."""
    output = Output(options, PROJECT_COLUMNS)
    output.write([client.projects.get(project_id(client, options.project))])
    return 0


def create_project(client: Client, options: Namespace) -> int:
    """Create a project."""
    output = Output(options, PROJECT_COLUMNS)
    project = client.projects.create(
        options.name if options.named is None else options.named,
        options.purpose,
        description=options.description or "",
        environment=options.environment,
    )
    output.write([project])
    return 0


def update_project(client: Client, options: Namespace) -> int:
    """Update a project."""
    output = Output(options, PROJECT_COLUMNS)
    project = client.projects.patch(
        project_id(client, options.project),
        name=options.name,
        description=options.description,
        purpose=options.purpose,
        environment=options.environment,
        is_default=options.default,
    )
    output.write([project])
    return 0


def delete_project(client: Client, options: Namespace) -> int:
    """Delete a project."""
    project = project_id(client, options.project)
    with progress_shown(client, requests_of(client), quiet=options.quiet):
        client.projects.delete(project, wait=options.wait)
    return 0
