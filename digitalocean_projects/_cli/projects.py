"""Projects: the subcommands that list, make, change and delete them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from digitalocean_projects._codec.models import Environment, Purpose

from .arguments import add_command, add_group, add_project
from .output import PROJECT_COLUMNS, Output
from .progress import told
from .resources import add_doctl_commands, note_change, project_id, requests_of

if TYPE_CHECKING:
    from argparse import Namespace

    from digitalocean_projects._facade.sync import Client

    from .arguments import Commands


def add_commands(commands: Commands) -> None:
    """Add the subcommand `projects`, with its subcommands."""
    commands = add_group(
        commands,
        "projects",
        "list, make, change and delete projects",
        "projects list",
        "projects get --help",
    )
    add_command(
        commands,
        "list",
        list_projects,
        "list the projects",
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
        "make a project",
        f'projects create billing --purpose "{Purpose.SERVICE}" \\\n      --environment production',
        columns=PROJECT_COLUMNS,
        aliases=["c"],
    )
    name = command.add_mutually_exclusive_group(required=True)
    name.add_argument("name", nargs="?", metavar="NAME", help="its name")
    name.add_argument("--name", dest="named", metavar="NAME", help="the same, as doctl has it")
    command.add_argument("--purpose", required=True, metavar="TEXT", help="what it is for")
    _add_members(command)

    command = add_command(
        commands,
        "update",
        update_project,
        "change a project",
        "projects update web-shop --description 'All that sells'",
        "projects update web-shop --default",
        columns=PROJECT_COLUMNS,
        aliases=["u"],
    )
    add_project(command)
    command.add_argument("--name", metavar="TEXT", help="its new name")
    command.add_argument("--purpose", metavar="TEXT", help="what it is for")
    command.add_argument(
        "--default",
        "--is_default",
        action="store_const",
        const=True,
        help="make it the default project",
    )
    for value in (True, False):
        # As doctl has it, where a switch takes its value only behind a `=`.
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
        "projects delete web-shop --wait 120",
        aliases=["d", "rm"],
        has_output=False,
    )
    add_project(command)
    command.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="wait up to SECONDS for moved resources to leave the project",
    )
    command.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="accepted for doctl's sake; there is never a prompt",
    )
    group = add_group(
        commands,
        "resources",
        "list and assign, as doctl has it",
        "projects resources list default",
    )
    add_doctl_commands(group)


def _add_members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--description", metavar="TEXT", help="what it is")
    parser.add_argument(
        "--environment",
        type=str.capitalize,
        choices=list(map(str, Environment)),
        metavar="NAME",
        help=f"one of {', '.join(Environment)}, in any case",
    )


def list_projects(client: Client, options: Namespace) -> int:
    """List the projects."""
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
    """Make a project."""
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
    """Change a project."""
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
    with told(client, requests_of(client), quiet=options.quiet):
        client.projects.delete(project, wait=options.wait)
    return 0
