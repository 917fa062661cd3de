"""Projects: the arguments of the subcommands of `projects`."""

from __future__ import annotations

import argparse

from digitalocean_projects._codec.enums import Environment, Purpose

from .options import add_command, add_project, add_projects, add_strict, add_wait
from .resources import add_doctl_assign, add_doctl_list, add_get
from .tables import PROJECTS

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from .parser import Commands, Parser


def add_projects_group(commands: Commands) -> None:
    """Add the subcommand `projects`, with its subcommands."""
    group = commands.add_group("projects", "projects list", "projects get --help")
    group.announce("list", "list the projects of the account", _add_list, "ls")
    group.announce("get", "show a project", _add_get, "g")
    group.announce("create", "create a project", _add_create, "c")
    group.announce("update", "update a project", _add_update, "u")
    group.announce("delete", "delete empty projects", _add_delete, "d", "rm")
    group.announce("resources", "list, show and assign resources in doctl's syntax", _add_resources)


def _add_resources(commands: Commands) -> None:
    group = commands.add_group("resources", "projects resources list default")
    group.announce("list", "list the resources of a project", add_doctl_list, "ls")
    group.announce("get", "show a resource", add_get, "g")
    group.announce("assign", "move resources to a project", add_doctl_assign, "a")


def _add_list(commands: Commands) -> None:
    command = add_command(
        commands,
        "list",
        "projects.list_projects",
        "projects list --format ID,Name,Purpose",
        "projects list -o json | jq -r '.[].name'",
        table=PROJECTS,
    )
    add_strict(command)


def _add_get(commands: Commands) -> None:
    command = add_command(
        commands,
        "get",
        "projects.get_project",
        "projects get default",
        "projects get web-shop --format ID --no-header",
        table=PROJECTS,
    )
    add_project(command)


def _add_create(commands: Commands) -> None:
    command = add_command(
        commands,
        "create",
        "projects.create_project",
        f'projects create billing --purpose "{Purpose.SERVICE}" \\\n      --environment production',
        "projects create main --purpose IoT --default",
        table=PROJECTS,
    )
    name = command.add_mutually_exclusive_group(required=True)
    name.add_argument("name", nargs="?", metavar="NAME", help="unique name, at most 175 characters")
    name.add_argument("--name", dest="named", metavar="NAME", help="NAME as an option, as in doctl")
    _add_purpose(command, required=True)
    command.add_argument(
        "--default", action="store_true", help="make it the default project, by a second request"
    )
    _add_members(command)


def _add_update(commands: Commands) -> None:
    command = add_command(
        commands,
        "update",
        "projects.update_project",
        "projects update web-shop --description 'Sells shoes'",
        "projects update web-shop --default",
        details="It changes the given attributes only.",
        table=PROJECTS,
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


def _add_delete(commands: Commands) -> None:
    command = add_command(
        commands,
        "delete",
        "projects.delete_projects",
        "projects delete web-shop staging",
        "projects delete web-shop --wait 120",
        details="The API refuses to delete the default project or one that holds resources. If a\n"
        "project cannot be deleted, it prints the error, goes on, and ends with exit\n"
        "status 1.",
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


def _add_purpose(parser: Parser, *, required: bool = False) -> None:
    text = (
        f"purpose, at most 255 characters: one that the API knows, such as '{Purpose.SERVICE}', or "
        "a text of your own, which the API stores as 'Other: TEXT'"
    )
    parser.add_argument("--purpose", required=required, metavar="TEXT", help=text)


def _add_members(parser: Parser) -> None:
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
