"""The command `digitalocean-projects`."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from . import __version__, _commands
from ._commands import FAILED, PROGRAM, discard_output, note
from ._config import DEFAULT_PROJECT
from ._errors import APIError, ClientUsageError
from ._models import Environment
from ._sync import Client
from .testing import Emulator, seed_demo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    _Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its type
    Command = Callable[[Client, argparse.Namespace], int]

_USAGE, _INTERRUPTED = 2, 130
_LAST_PORT = 65535
_EPILOG = """\
A PROJECT is its UUID, its name, or 'default'. A URN is like do:droplet:1; '-' reads lines of them
from standard input, and leaves out what is empty or begins with '#'.

The token is taken from DIGITALOCEAN_TOKEN, or else DIGITALOCEAN_ACCESS_TOKEN; the API's
address from DIGITALOCEAN_API_URL, if it is set.

Exit status: 0; 1 if the API refused or failed, or a resource was not assigned; 2 if the call
is wrong; 130 after Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        # Here, so that a reader who has left is noticed here.
        print(end="", flush=True)
    except UnicodeError as error:
        return _fail(error, FAILED)
    except (ValueError, ClientUsageError) as error:
        return _fail(error, _USAGE)
    except BrokenPipeError:
        discard_output()
        return 0
    except (APIError, OSError) as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _fail(error: Exception, status: int) -> int:
    print(f"{PROGRAM}: {error}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="List and assign the resources of DigitalOcean projects.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_resource_commands(commands)
    projects = commands.add_parser("projects", help="list, make, change and delete projects")
    _add_project_commands(projects.add_subparsers(required=True, metavar="COMMAND"))
    emulator = commands.add_parser("emulator", help="serve the API, emulated")
    _add_demo(emulator)
    emulator.add_argument("--host", default="127.0.0.1", help="the address (default: %(default)s)")
    emulator.add_argument("--port", type=_port, default=0, help="the port (default: a free one)")
    emulator.set_defaults(run=_emulate)
    return parser


def _add_resource_commands(commands: _Subparsers) -> None:
    command = _add(commands, "list", _commands.list_resources, "list a project's resources")
    command.add_argument("project", nargs="?", default=DEFAULT_PROJECT, metavar="PROJECT")

    command = _add(commands, "assign", _commands.assign, "move resources to a project")
    command.add_argument("project", metavar="PROJECT")
    command.add_argument("resources", nargs="+", metavar="URN")

    command = _add(commands, "move", _commands.assign, "the same, told the other way around")
    command.add_argument("resources", nargs="+", metavar="URN")
    command.add_argument("--to", required=True, dest="project", metavar="PROJECT")

    command = _add(commands, "unassign", _commands.unassign, "move them to the default project")
    command.add_argument("resources", nargs="+", metavar="URN")

    command = _add(commands, "reconcile", _commands.reconcile, "assign what is missing, only that")
    command.add_argument("project", metavar="PROJECT")
    command.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="lines of the wanted URNs (default: standard input)",
    )
    command.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    command.add_argument("--prune", action="store_true", help="unassign what isn't in the file")


def _add_project_commands(commands: _Subparsers) -> None:
    _add(commands, "list", _commands.list_projects, "list the projects")

    command = _add(commands, "get", _commands.get_project, "show a project")
    command.add_argument("project", metavar="PROJECT")

    command = _add(commands, "create", _commands.create_project, "make a project")
    command.add_argument("name", metavar="NAME")
    command.add_argument("--purpose", required=True)
    _add_members(command)

    command = _add(commands, "update", _commands.update_project, "change a project")
    command.add_argument("project", metavar="PROJECT")
    command.add_argument("--name")
    command.add_argument("--purpose")
    command.add_argument("--default", action="store_true", help="make it the default project")
    _add_members(command)

    command = _add(commands, "delete", _commands.delete_project, "delete an empty project")
    command.add_argument("project", metavar="PROJECT")
    command.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="for how long to wait until all that was moved has left (default: %(default)g)",
    )


def _add(commands: _Subparsers, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text)
    _add_demo(parser)
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    parser.set_defaults(run=partial(_with_client, command))
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--demo",
        action="store_true",
        help="use an emulator with 1,234 resources in two projects: no token, no network",
    )


def _add_members(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--description")
    parser.add_argument("--environment", type=str.capitalize, choices=list(map(str, Environment)))


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"not a port: {text!r}")
    return int(text)


def _with_client(command: Command, options: argparse.Namespace) -> int:
    with _client(options) as client:
        return command(client, options)


@contextmanager
def _client(options: argparse.Namespace) -> Iterator[Client]:
    if not options.demo:
        with Client() as client:
            yield client
        return
    with Emulator() as emulator:
        web_shop = seed_demo(emulator)
        note(f"on an emulator, with the projects 'default' and {web_shop}")
        with Client(emulator.token, base_url=emulator.url) as client:
            yield client


def _emulate(options: argparse.Namespace) -> int:
    emulator = Emulator(options.host, options.port)
    if options.demo:
        note(f"the projects are 'default' and {seed_demo(emulator)}")
    with emulator:
        print(f"export DIGITALOCEAN_API_URL={emulator.url}")
        print(f"export DIGITALOCEAN_TOKEN={emulator.token}", flush=True)
        note("Ctrl-C ends it")
        while True:
            Event().wait()
