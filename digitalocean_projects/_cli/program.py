"""Program: the command, from its arguments to its exit status."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from time import sleep
from typing import TYPE_CHECKING

from digitalocean_projects._errors import APIError, ClientUsageError
from digitalocean_projects._facade.sync import Client
from digitalocean_projects._version import __version__

from . import projects, resources
from .arguments import Parser, add_demo, add_parser, add_quiet
from .doctl import context_token
from .report import add_report
from .resources import FAILED
from .signals import Ended, ended_by_signals
from .terminal import PROGRAM, complain, drop_unwritten, note, prepare_streams, warnings_noted

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from .arguments import Commands

_USAGE = 2
_LAST_PORT = 65535
# Seconds. A signal can't end a longer wait on each system, and two signals may miss it.
_A_WHILE = 0.5
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


def run(arguments: Sequence[str] | None) -> int:
    """Run the command, and return its exit status.

    Raises:
        SystemExit: The arguments are wrong, or only help was requested.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    prepare_streams()
    try:
        with ended_by_signals():
            status = _run(make_parser().parse_args(arguments))
            # Here, so that a reader who has left is noticed here.
            sys.stdout.flush()
    except Ended as end:
        return end.status
    except (ValueError, ClientUsageError) as error:
        return _fail(error, _USAGE)
    except BrokenPipeError:
        return 0
    except (APIError, OSError) as error:
        return _fail(error, FAILED)
    finally:
        drop_unwritten(sys.stdout)
        drop_unwritten(sys.stderr)
    return status


def _fail(error: Exception, status: int) -> int:
    complain(error)
    return status


def _run(options: Namespace) -> int:
    status: int
    if "command" in options:
        with warnings_noted(quiet=options.quiet), _client(options) as client:
            status = options.command(client, options)
    else:
        status = options.run(options)
    return status


@contextmanager
def _client(options: Namespace) -> Iterator[Client]:
    if not options.demo:
        token = None if options.context is None else context_token(options.context)
        with Client(token) as client:
            yield client
        return
    from digitalocean_projects.testing import (  # noqa: PLC0415 - it takes a while
        Emulator,
        seed_demo,
    )

    with Emulator() as emulator:
        web_shop = seed_demo(emulator)
        note(f"on an emulator: projects 'default' and {web_shop}", quiet=options.quiet)
        with Client(emulator.token, base_url=emulator.url) as client:
            yield client


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments.

    Its result has a `command` that is called with a client and the result, or a `run` that is
    called with the result alone.
    """
    parser: argparse.ArgumentParser = Parser(
        prog=PROGRAM,
        description="List and assign the resources of DigitalOcean projects.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    resources.add_commands(commands)
    add_report(commands)
    projects.add_commands(commands)
    _add_emulator(commands)
    _add_completion(commands, parser)
    return parser


def _add_emulator(commands: Commands) -> None:
    emulator = add_parser(
        commands,
        "emulator",
        "serve the API, emulated",
        "emulator --demo --port 8080",
    )
    add_demo(emulator)
    add_quiet(emulator)
    emulator.add_argument("--host", default="127.0.0.1", help="the address (default: %(default)s)")
    emulator.add_argument("--port", type=_port, default=0, help="the port (default: a free one)")
    emulator.set_defaults(run=_emulate)


def _add_completion(commands: Commands, parser: argparse.ArgumentParser) -> None:
    completion = add_parser(
        commands,
        "completion",
        "print what lets a shell complete this command",
        "completion bash >> ~/.bash_completion",
        "completion zsh > ~/.zfunc/_{}",
    )
    completion.add_argument("shell", choices=("bash", "fish", "zsh", "tcsh"))
    completion.set_defaults(run=_complete, parser=parser)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"not a port: {text!r}")
    return int(text)


def _emulate(options: Namespace) -> int:
    """Serve an emulator of the API until a signal ends the command."""
    from digitalocean_projects.testing import (  # noqa: PLC0415 - it takes a while
        Emulator,
        seed_demo,
    )

    # Nobody can look at the requests of this process.
    emulator = Emulator(options.host, options.port, keep_requests=0)
    if options.demo:
        note(f"the projects are 'default' and {seed_demo(emulator)}", quiet=options.quiet)
    with emulator:
        print(f"export DIGITALOCEAN_API_URL={emulator.url}")
        print(f"export DIGITALOCEAN_TOKEN={emulator.token}", flush=True)
        note("Ctrl-C ends it", quiet=options.quiet)
        while True:
            sleep(_A_WHILE)


def _complete(options: Namespace) -> int:
    """Print a script that lets a shell complete the command."""
    try:
        import shtab  # noqa: PLC0415 - an extra
    except ImportError:
        raise ClientUsageError(
            'completion needs shtab: pip install "digitalocean-projects[cli]"'
        ) from None
    print(shtab.complete(options.parser, options.shell))
    return 0
