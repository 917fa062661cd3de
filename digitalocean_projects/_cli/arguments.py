"""The command's arguments, and the help on them."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from digitalocean_projects import __version__
from digitalocean_projects._arguments import DEFAULT_PROJECT
from digitalocean_projects._codec.models import Environment, Purpose

from . import projects, resources, standalone
from .columns import PROJECT_COLUMNS, RESOURCE_COLUMNS
from .output import FORMS
from .parser import Parser
from .terminal import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from digitalocean_projects._facade.sync import Client

    from .columns import Column, Columns

    _Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its type
    Command = Callable[[Client, argparse.Namespace], int]

_LAST_PORT = 65535
_PROJECT = "its UUID, its name, or 'default'"
_EPILOG = f"""\
A PROJECT is its UUID, its name, or 'default'; name:TEXT is the one named TEXT,
whatever that looks like. A URN is like do:droplet:1; '-' reads lines of them
from standard input, and leaves out what is empty or begins with '#'.

The token is taken from DIGITALOCEAN_TOKEN, or else DIGITALOCEAN_ACCESS_TOKEN,
or with --context from doctl's configuration; the API's address from
DIGITALOCEAN_API_URL, if it is set.

Exit status: 0; 1 if the API refused or failed, a resource was not assigned, or
a file could not be read or written; 2 if the call is wrong; 130 after Ctrl-C,
143 after SIGTERM, 129 after SIGHUP.

examples, all without an account:
  {PROGRAM} list --demo
  {PROGRAM} list web-shop --demo -o jsonl | head -3
  {PROGRAM} report --demo
  {PROGRAM} assign --help
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command's arguments.

    Its result has a `command` that is called with a client and the result, or a `run` that is
    called with the result alone.
    """
    parser: argparse.ArgumentParser = Parser(
        prog=PROGRAM,
        description="List and assign the resources of DigitalOcean projects.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_resource_commands(commands)
    group = _add_parser(
        commands,
        "projects",
        "list, make, change and delete projects",
        "projects list",
        "projects get --help",
    )
    _add_project_commands(group.add_subparsers(required=True, metavar="COMMAND"))
    _add_emulator(commands)
    _add_completion(commands, parser)
    return parser


def _add_resource_commands(commands: _Subparsers) -> None:
    _add_project(_add_list(commands), nargs="?", default=DEFAULT_PROJECT)

    command = _add(
        commands,
        "assign",
        resources.assign,
        "move resources to a project",
        "assign web-shop do:droplet:1 do:domain:example.com",
        "assign web-shop - < urns.txt",
        "list --format URN --no-header | grep droplet |\n    {} assign web-shop -",
        columns=RESOURCE_COLUMNS,
    )
    _add_project(command)
    _add_urns(command)

    command = _add(
        commands,
        "move",
        resources.assign,
        "move resources to the project behind --to",
        "move do:droplet:1 do:droplet:2 --to web-shop",
        columns=RESOURCE_COLUMNS,
    )
    _add_urns(command)
    command.add_argument("--to", required=True, dest="project", metavar="PROJECT", help=_PROJECT)

    command = _add(
        commands,
        "unassign",
        resources.unassign,
        "move resources to the default project",
        "unassign do:droplet:310984024",
        columns=RESOURCE_COLUMNS,
    )
    _add_urns(command)

    command = _add(
        commands,
        "reconcile",
        resources.reconcile,
        "assign what is missing, only that",
        "reconcile web-shop urns.txt --dry-run",
        "reconcile web-shop urns.txt --prune",
    )
    _add_project(command)
    command.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="lines of the wanted URNs (default: standard input)",
    )
    command.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    command.add_argument("--prune", action="store_true", help="unassign what isn't in the file")

    _add(
        commands,
        "report",
        resources.report,
        "count the resources by project and type",
        "report",
        "report -o json | jq 'map({{name, resources}})'",
    )


def _add_list(commands: _Subparsers, name: str = "list") -> argparse.ArgumentParser:
    return _add(
        commands,
        name,
        resources.list_resources,
        "list a project's resources",
        "list",
        "list web-shop --format URN,Status",
        "list web-shop --format URN --no-header > urns.txt",
        "list -o jsonl | jq -r .urn",
        columns=RESOURCE_COLUMNS,
        aliases=["ls"],
    )


def _add_project_commands(commands: _Subparsers) -> None:
    _add(
        commands,
        "list",
        projects.list_projects,
        "list the projects",
        "projects list --format ID,Name,Purpose",
        "projects list -o json | jq -r '.[].name'",
        columns=PROJECT_COLUMNS,
        aliases=["ls"],
    )

    command = _add(
        commands,
        "get",
        projects.get_project,
        "show a project",
        "projects get default",
        "projects get web-shop --format ID --no-header",
        columns=PROJECT_COLUMNS,
        aliases=["g"],
    )
    _add_project(command)

    command = _add(
        commands,
        "create",
        projects.create_project,
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

    command = _add(
        commands,
        "update",
        projects.update_project,
        "change a project",
        "projects update web-shop --description 'All that sells'",
        "projects update web-shop --default",
        columns=PROJECT_COLUMNS,
        aliases=["u"],
    )
    _add_project(command)
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

    command = _add(
        commands,
        "delete",
        projects.delete_project,
        "delete an empty project",
        "projects delete web-shop --wait 120",
        aliases=["d", "rm"],
        has_output=False,
    )
    _add_project(command)
    command.add_argument(
        "--wait",
        type=float,
        metavar="SECONDS",
        help="wait up to SECONDS for moved resources to leave the project",
    )
    command.add_argument(
        "-f", "--force", action="store_true", help="as doctl has it: nobody is ever asked"
    )
    group = _add_parser(
        commands,
        "resources",
        "list and assign, as doctl has it",
        "projects resources list default",
    )
    _add_doctl_commands(group.add_subparsers(required=True, metavar="COMMAND"))


def _add_doctl_commands(commands: _Subparsers) -> None:
    _add_project(_add_list(commands))
    command = _add(
        commands,
        "assign",
        resources.assign,
        "move resources to a project",
        "projects resources assign web-shop \\\n      --resource=do:droplet:310984024",
        columns=RESOURCE_COLUMNS,
        aliases=["a"],
    )
    _add_project(command)
    command.add_argument(
        "--resource",
        action="extend",
        type=lambda text: text.split(","),
        required=True,
        dest="resources",
        metavar="URN[,URN]",
        help="may be repeated",
    )


def _add_emulator(commands: _Subparsers) -> None:
    emulator = _add_parser(
        commands,
        "emulator",
        "serve the API, emulated",
        "emulator --demo --port 8080",
    )
    _add_demo(emulator)
    _add_quiet(emulator)
    emulator.add_argument("--host", default="127.0.0.1", help="the address (default: %(default)s)")
    emulator.add_argument("--port", type=_port, default=0, help="the port (default: a free one)")
    emulator.set_defaults(run=standalone.emulate)


def _add_completion(commands: _Subparsers, parser: argparse.ArgumentParser) -> None:
    completion = _add_parser(
        commands,
        "completion",
        "print what lets a shell complete this command",
        "completion bash >> ~/.bash_completion",
        "completion zsh > ~/.zfunc/_{}",
    )
    completion.add_argument("shell", choices=standalone.SHELLS)
    completion.set_defaults(run=standalone.complete, parser=parser)


def _add_parser(
    commands: _Subparsers, name: str, text: str, *examples: str, aliases: Sequence[str] = ()
) -> argparse.ArgumentParser:
    lines = (f"  {PROGRAM} {example.format(PROGRAM)}" for example in examples)
    return commands.add_parser(
        name,
        aliases=aliases,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog="\n".join(("examples:" if len(examples) > 1 else "example:", *lines)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add(
    commands: _Subparsers,
    name: str,
    command: Command,
    text: str,
    *examples: str,
    columns: Columns[Any] | None = None,
    aliases: Sequence[str] = (),
    has_output: bool = True,
) -> argparse.ArgumentParser:
    parser = _add_parser(commands, name, text, *examples, aliases=aliases)
    parser.set_defaults(command=command)
    account = parser.add_argument_group("account").add_mutually_exclusive_group()
    _add_demo(account)
    account.add_argument(
        "--context", metavar="NAME", help="use the token of this context of doctl's"
    )
    output = parser.add_argument_group("output")
    _add_quiet(output)
    if has_output:
        forms = "a table, one JSON document, or a JSON line each (default: %(default)s)"
        output.add_argument("-o", "--output", choices=FORMS, default="text", help=forms)
    if columns is not None:
        output.add_argument(
            "--format",
            type=partial(_columns, columns),
            dest="columns",
            metavar="COLUMN,...",
            help=f"what the table shows, of {columns.names.replace(',', ', ')} "
            f"(default: {columns.default})",
        )
        output.add_argument("--no-header", action="store_true", help="leave out the headings")
    return parser


def _add_project(parser: argparse.ArgumentParser, **options: Any) -> None:
    parser.add_argument("project", metavar="PROJECT", help=_PROJECT, **options)


def _add_urns(parser: argparse.ArgumentParser) -> None:
    text = "like do:droplet:1, or '-' for lines of standard input"
    parser.add_argument("resources", nargs="+", metavar="URN", help=text)


def _add_demo(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--demo",
        action="store_true",
        help="use an emulator with 1,234 resources in two projects: no token, no network",
    )


def _add_quiet(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="no notes, and no progress")


def _add_members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--description", metavar="TEXT", help="what it is")
    parser.add_argument(
        "--environment",
        type=str.capitalize,
        choices=list(map(str, Environment)),
        metavar="NAME",
        help=f"one of {', '.join(Environment)}, in any case",
    )


def _columns(columns: Columns[Any], names: str) -> tuple[Column[Any], ...]:
    try:
        return columns.named(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"not a port: {text!r}")
    return int(text)
