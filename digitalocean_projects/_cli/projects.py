"""Projects: the subcommands that list, create, update and delete projects."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from digitalocean_projects._codec.enums import Environment, Purpose
from digitalocean_projects._defaults import DEFAULT_PROJECT
from digitalocean_projects._errors import APIError

from .arguments import (
    add_command,
    add_group,
    add_project,
    add_projects,
    add_strict,
    add_wait,
    chosen_project,
    project_id,
)
from .assigning import add_doctl_assign
from .listing import add_doctl_list, status_of
from .lookup import add_get
from .output import PROJECT_COLUMNS, Output
from .progress import first_attempts, progress_shown, requests_of
from .terminal import FAILED, complain, is_written, label_of, note

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from digitalocean_projects._codec.models import Project
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
    command = add_command(
        commands,
        "list",
        list_projects,
        "list the projects of the account",
        "projects list --format ID,Name,Purpose",
        "projects list -o json | jq -r '.[].name'",
        columns=PROJECT_COLUMNS,
        aliases=["ls"],
    )
    add_strict(command)

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
        "projects create main --purpose IoT --default",
        columns=PROJECT_COLUMNS,
        aliases=["c"],
    )
    name = command.add_mutually_exclusive_group(required=True)
    name.add_argument("name", nargs="?", metavar="NAME", help="unique name, at most 175 characters")
    name.add_argument("--name", dest="named", metavar="NAME", help="NAME as an option, as in doctl")
    _add_purpose(command, required=True)
    command.add_argument(
        "--default", action="store_true", help="make it the default project, by a second request"
    )
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
        delete_projects,
        "delete empty projects",
        "projects delete web-shop staging",
        "projects delete web-shop --wait 120",
        details="The API refuses to delete the default project or one that holds resources. If a\n"
        "project cannot be deleted, it prints the error, goes on, and ends with exit\n"
        "status 1.",
        aliases=["d", "rm"],
        has_output=False,
    )
    add_projects(command)
    add_wait(
        command,
        "retry for at most SECONDS while moved resources leave the project (default: do not retry)",
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
        "list, show and assign resources in doctl's syntax",
        "projects resources list default",
    )
    add_doctl_list(group)
    add_get(group)
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
    paginator = client.projects.list()
    with progress_shown(client, requests_of(client), quiet=options.quiet):
        projects = paginator.collect()
    _write(projects, options)
    return status_of(paginator, options)


def get_project(client: Client, options: Namespace) -> int:
    """Show a project."""
    with progress_shown(client, requests_of(client), quiet=options.quiet):
        project = client.projects.get(project_id(client, options.project))
    _write([project], options)
    return 0


def create_project(client: Client, options: Namespace) -> int:
    """Create a project."""
    name = options.name if options.named is None else options.named
    failure = None
    try:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            project = client.projects.create(
                name,
                options.purpose,
                description=options.description or "",
                environment=options.environment,
            )
    except KeyboardInterrupt:
        note(f"may have been created: {label_of(name)}")
        raise
    if options.default:
        try:
            with progress_shown(client, requests_of(client), quiet=options.quiet):
                project = client.projects.patch(project, is_default=True)
        except APIError as error:
            failure = error
        except KeyboardInterrupt:
            is_written(partial(_write, [project], options))
            note("the project was created, and it may be the default project")
            raise
    written = is_written(partial(_write, [project], options))
    if failure:
        complain(f"the project was created, but it is not the default project: {failure}")
    return FAILED if failure or not written else 0


def update_project(client: Client, options: Namespace) -> int:
    """Update a project."""
    project = chosen_project(client, options.project, quiet=options.quiet)
    try:
        with progress_shown(client, requests_of(client), quiet=options.quiet):
            updated = client.projects.patch(
                project,
                name=options.name,
                description=options.description,
                purpose=options.purpose,
                environment=options.environment,
                is_default=options.default,
            )
    except KeyboardInterrupt:
        note(f"may have been updated: {label_of(options.project)}")
        raise
    _write([updated], options)
    return 0


def delete_projects(client: Client, options: Namespace) -> int:
    """Delete projects, and account for each of them."""
    if DEFAULT_PROJECT in options.projects:
        raise ValueError("the default project can't be deleted")
    status = 0
    look = requests_of(client, "resources to leave the project")
    left = list(dict.fromkeys(options.projects))
    while left:
        text, before = left[0], None
        try:
            with progress_shown(client, look, quiet=options.quiet):
                project = project_id(client, text)
                before = first_attempts(client)
                client.projects.delete(project, wait=options.wait)
        except APIError as error:
            complain(f"{label_of(text)}: {error}")
            status = FAILED
        except KeyboardInterrupt:
            if before is not None and first_attempts(client) > before:
                note(f"may have been deleted: {label_of(left.pop(0))}")
            for rest in left:
                note(f"not deleted: {label_of(rest)}")
            raise
        else:
            note(f"deleted: {label_of(text)}", quiet=options.quiet)
        del left[0]
    return status


def _write(projects: Sequence[Project], options: Namespace) -> None:
    Output(options, PROJECT_COLUMNS).write(projects)
