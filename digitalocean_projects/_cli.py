"""The command `digitalocean-projects`."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from . import __version__
from ._codec import encode
from ._config import DEFAULT_PROJECT
from ._errors import APIError, AssignmentError, ClientUsageError, one_line
from ._results import AssignmentResult
from ._sync import Client
from .testing import Emulator, seed_demo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ._models import Resource
    from ._urn import URN

_PROGRAM = "digitalocean-projects"
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130
_LAST_PORT = 65535
_EPILOG = """\
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
        return _fail(error, _FAILED)
    except (ValueError, ClientUsageError) as error:
        return _fail(error, _USAGE)
    except BrokenPipeError:
        _discard_output()
        return 0
    except (APIError, OSError) as error:
        return _fail(error, _FAILED)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _discard_output() -> None:
    """Write to nowhere: whoever read the output has enough, and Python would flush at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: Exception, status: int) -> int:
    print(f"{_PROGRAM}: {error}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="List and assign the resources of DigitalOcean projects.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--demo",
        action="store_true",
        help="use an emulator with 1,234 resources in two projects: no token, no network",
    )
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("-o", "--output", choices=["text", "json"], default="text")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", parents=[common, output], help="list a project")
    command.add_argument(
        "project", nargs="?", default=DEFAULT_PROJECT, help="its UUID, or 'default' (the default)"
    )
    command.set_defaults(run=_list)

    command = commands.add_parser("assign", parents=[common, output], help="move resources")
    command.add_argument("project", help="the UUID of the project to move them to, or 'default'")
    command.add_argument(
        "resources", nargs="+", metavar="URN", help="such as do:droplet:1; '-' reads lines of them"
    )
    command.set_defaults(run=_assign)

    command = commands.add_parser("emulator", parents=[common], help="serve the API, emulated")
    command.add_argument("--host", default="127.0.0.1", help="the address (default: %(default)s)")
    command.add_argument("--port", type=_port, default=0, help="the port (default: a free one)")
    command.set_defaults(run=_emulate)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"not a port: {text!r}")
    return int(text)


@contextmanager
def _client(options: argparse.Namespace) -> Iterator[Client]:
    if not options.demo:
        with Client() as client:
            yield client
        return
    with Emulator() as emulator:
        web_shop = seed_demo(emulator)
        _note(f"on an emulator, with the projects 'default' and {web_shop}")
        with Client(emulator.token, base_url=emulator.url) as client:
            yield client


def _note(text: str) -> None:
    print(f"# {text}", file=sys.stderr)


def _print(resources: Iterable[Resource]) -> None:
    for resource in resources:
        assigned_at = resource.assigned_at.isoformat() if resource.assigned_at else ""
        # Without what a server might send to play with the terminal.
        urn, status = one_line(str(resource.urn)), one_line(resource.status or "")
        print(f"{urn:<48}  {status:<16}  {assigned_at}".rstrip())
    print(end="", flush=True)


def _print_json(resources: Iterable[Resource]) -> None:
    print(encode(resources).decode(), flush=True)


def _list(options: argparse.Namespace) -> int:
    with _client(options) as client:
        paginator = client.projects.list_resources(options.project)
        if options.output == "json":
            _print_json(paginator.collect())
        else:
            count = number = 0
            for page in paginator.pages():
                _print(page.items)
                count, number = count + len(page.items), page.number
            _note(f"{count} resources on {number} pages")
        if not paginator.settled:
            _note("the project changed meanwhile: something may be missing")
    return 0


def _assign(options: argparse.Namespace) -> int:
    with _client(options) as client:
        try:
            told = client.projects.assign_resources(options.project, _urns(options.resources))
            untouched: tuple[URN, ...] = ()
            failure = None
        except AssignmentError as error:
            told = AssignmentResult(resources=error.done + error.failed, unknown=error.unknown)
            untouched, failure = error.untouched, error.error
    try:
        (_print_json if options.output == "json" else _print)(told.resources)
    except BrokenPipeError:
        _discard_output()
    for urn in told.unknown:
        _note(f"it is unknown what became of {urn}")
    for urn in untouched:
        _note(f"nothing was done with {urn}")
    if failure is not None:
        return _fail(failure, _FAILED)
    return _FAILED if told.failed or told.unknown else 0


def _urns(arguments: Iterable[str]) -> Iterator[str]:
    for argument in arguments:
        if argument == "-":
            yield from filter(None, map(str.strip, sys.stdin))
        else:
            yield argument


def _emulate(options: argparse.Namespace) -> int:
    emulator = Emulator(options.host, options.port)
    if options.demo:
        _note(f"the projects are 'default' and {seed_demo(emulator)}")
    with emulator:
        print(f"export DIGITALOCEAN_API_URL={emulator.url}")
        print(f"export DIGITALOCEAN_TOKEN={emulator.token}", flush=True)
        _note("Ctrl-C ends it")
        while True:
            Event().wait()
