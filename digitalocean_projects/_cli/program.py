"""Program: the command, from its arguments to its exit status."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from digitalocean_projects._defaults import BASE_URL, BASE_URL_VARIABLE, ENVIRONMENT
from digitalocean_projects._errors import APIError, ClientUsageError
from digitalocean_projects._facade.sync import Client
from digitalocean_projects._messages import TOKEN_VARIABLES
from digitalocean_projects._version import __version__
from digitalocean_projects.contrib.doctl import CONTEXT_VARIABLE

from . import projects
from .account import chosen_token
from .arguments import ALLOW_INSECURE_VARIABLE, Parser, add_commands_to, add_parser, add_quiet
from .assigning import add_assign
from .completion import add_completion
from .diff import add_diff
from .emulator import add_emulator
from .inventory import add_inventory
from .listing import add_list
from .mcp import add_mcp
from .plan import add_plan
from .progress import log_noted
from .reconcile import add_reconcile
from .report import add_report
from .signals import Ended, ended_by_signals
from .terminal import (
    FAILED,
    PROGRAM,
    complain,
    drop_unwritten,
    prepare_streams,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from .arguments import Commands

_USAGE = 2
_EPILOG = f"""\
A PROJECT is its UUID, its name, or 'default'. 'name:TEXT' is always a name. A
URN has the form do:TYPE:ID, such as do:droplet:1. '-' reads URNs from standard
input, one per line; empty lines and lines that begin with '#' are skipped.

environment variables:
  {TOKEN_VARIABLES[0]}         API token
  {TOKEN_VARIABLES[1]}  API token if the variable above is not set
  {CONTEXT_VARIABLE}       doctl's context, whose token is used instead; if
                             it is 'default', the variables above go first
  DIGITALOCEAN_CONFIG        doctl's configuration file, if it is another one
  {BASE_URL_VARIABLE}       address of the API
                             (default: {BASE_URL})
  {ALLOW_INSECURE_VARIABLE}
                             1 is the same as --allow-insecure
  https_proxy, no_proxy      proxy, and the hosts that are reached without it
  SSL_CERT_FILE              certificates of all trusted authorities
  NO_COLOR                   print no colors unless it is empty

exit status:
  0    success
  1    the API or the network failed, a resource was not assigned, or a file
       could not be read or written
  2    an argument or a setting is invalid; nothing was changed
       (diff: 1 if there are differences, 2 after any error)
  130  stopped by Ctrl-C (129 by SIGHUP, 143 by SIGTERM)

examples, which need no account:
  {PROGRAM} demo
  {PROGRAM} list --demo
  {PROGRAM} list web-shop --demo -o jsonl | head -3
  {PROGRAM} report --demo
  {PROGRAM} assign --help
"""


def run(arguments: Sequence[str] | None) -> int:
    """Run the command, and return its exit status.

    Raises:
        SystemExit: An argument is invalid, or help or the version was requested.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    prepare_streams()
    failed = FAILED
    try:
        with ended_by_signals():
            options = make_parser().parse_args(arguments)
            failed = getattr(options, "failed", FAILED)
            status = _run(options)
            # This reports a closed pipe here, and not when Python exits.
            sys.stdout.flush()
    except Ended as end:
        return end.status
    except (ValueError, ClientUsageError) as error:
        return _fail(error, _USAGE)
    except BrokenPipeError:
        return 0
    except (APIError, OSError) as error:
        return _fail(error, failed)
    finally:
        drop_unwritten(sys.stdout)
        drop_unwritten(sys.stderr)
    return status


def _fail(error: Exception, status: int) -> int:
    complain(error)
    return status


def _run(options: Namespace) -> int:
    status: int
    if "command" in options and options.is_local(options):
        status = options.command(None, options)
    elif "command" in options:
        with (
            log_noted(quiet=options.quiet, verbose=options.verbose),
            _client(options) as client,
        ):
            status = options.command(client, options)
    else:
        status = options.run(options)
    return status


@contextmanager
def _client(options: Namespace) -> Iterator[Client]:
    if options.demo and options.proxy != ENVIRONMENT:
        raise ValueError("--proxy must not be passed with --demo, which uses no network")
    limits = {"timeout": options.timeout, "deadline": options.deadline}
    if not options.demo:
        allow_insecure = options.allow_insecure or os.environ.get(ALLOW_INSECURE_VARIABLE) == "1"
        try:
            client = Client(
                chosen_token(options),
                allow_insecure=allow_insecure,
                proxy=None if options.proxy == "none" else options.proxy,
                **limits,
            )
        except ValueError as error:
            text = str(error).replace("allow_insecure=True", "--allow-insecure")
            text = text.replace("'env' or None", "'env' or 'none'")
            raise ValueError(text) from None
        with client:
            yield client
        return
    from .demo import demo_client  # noqa: PLC0415 - the emulator loads slowly

    with demo_client(quiet=options.quiet, **limits) as client:
        yield client


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments.

    The options that it returns have a `command`, which is called with a client and the options, or
    a `run`, which is called with the options alone.
    """
    parser: argparse.ArgumentParser = Parser(
        prog=PROGRAM,
        description="List, assign and count the resources of DigitalOcean projects.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--version", action="version", version=__version__, help="print the version and exit"
    )
    commands = add_commands_to(parser)
    _add_tour(commands)
    add_list(commands)
    add_inventory(commands)
    add_diff(commands)
    add_assign(commands)
    add_reconcile(commands)
    add_plan(commands)
    add_report(commands)
    projects.add_commands(commands)
    add_emulator(commands)
    add_mcp(commands)
    add_completion(commands, parser)
    return parser


def _add_tour(commands: Commands) -> None:
    tour = add_parser(
        commands,
        "demo",
        "show a short tour on a local emulator",
        "demo",
        details="It lists, moves and counts sample resources, and prints the commands to try\n"
        "next. It needs no token and no network.",
    )
    # It prints no notes, but every subcommand accepts the option.
    add_quiet(tour)
    tour.set_defaults(run=_show_tour)


def _show_tour(options: Namespace) -> int:
    from .demo import show_tour  # noqa: PLC0415 - the emulator loads slowly

    return show_tour(options)
