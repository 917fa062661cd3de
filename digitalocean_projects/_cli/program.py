"""Program: the command, from its arguments to its exit status."""

from __future__ import annotations

import os
import sys

from digitalocean_projects._defaults import BASE_URL, BASE_URL_VARIABLE, CONTEXT_VARIABLE
from digitalocean_projects._messages import TOKEN_VARIABLES
from digitalocean_projects._version import __version__

from .arguments.options import ALLOW_INSECURE_VARIABLE, add_quiet
from .arguments.parser import Parser
from .arguments.resources import (
    add_apply,
    add_assign,
    add_diff,
    add_inventory,
    add_list,
    add_mcp,
    add_plan,
    add_reconcile,
    add_report,
    add_unassign,
)
from .terminal import FAILED, PROGRAM, USAGE, drop_unwritten, is_written, prepare_streams

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .arguments.parser import Commands

SHELLS = ("bash", "fish", "zsh", "tcsh")
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
    try:
        options = make_parser().parse_args(arguments)
        if "shell" in options:
            return _print_script(options.shell)
        if "command" not in options and "run" not in options:
            options.group.print_help(sys.stderr)
            return USAGE
        from .work import perform  # noqa: PLC0415 - it loads the client

        return perform(options)
    finally:
        drop_unwritten(sys.stdout)
        drop_unwritten(sys.stderr)


def make_parser() -> Parser:
    """Return the parser of the command's arguments.

    The options that it returns have a `command` or a `run`. Both are the module and the name of a
    function: the first one is called with a client and the options, the second one with the options
    alone. `completion` has the `shell` instead. Without a subcommand, they have the `group`, whose
    help is printed.
    """
    parser = Parser(
        prog=PROGRAM,
        description="List, assign and count the resources of DigitalOcean projects.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--version", action="version", version=__version__, help="print the version and exit"
    )
    commands = parser.add_commands()
    commands.announce("demo", "show a short tour on a local emulator", _add_demo)
    commands.announce("list", "list the resources of a project", add_list, "ls")
    commands.announce("inventory", "list the resources of all projects", add_inventory)
    commands.announce("diff", "compare two exports, or an export with the account", add_diff)
    commands.announce("assign", "move resources to a project", add_assign)
    commands.announce("unassign", "move resources to the default project", add_unassign)
    commands.announce("reconcile", "make a project match a list of URNs", add_reconcile)
    commands.announce("plan", "show the moves to a wanted state of several projects", add_plan)
    commands.announce("apply", "move resources to a wanted state of several projects", add_apply)
    commands.announce("report", "count the resources by project and type", add_report)
    commands.announce("projects", "list, create, update and delete projects", _add_projects)
    commands.announce("emulator", "run a local emulator of the API", _add_emulator)
    commands.announce("mcp", "serve tools for an assistant (Model Context Protocol)", add_mcp)
    commands.announce("completion", "print a shell completion script", _add_completion)
    return parser


def _add_demo(commands: Commands) -> None:
    parser = commands.add(
        "demo",
        "demo",
        details="It lists, moves and counts sample resources, and prints the commands to try\n"
        "next. It needs no token and no network.",
    )
    # It prints no notes, but every subcommand accepts the option.
    add_quiet(parser)
    parser.set_defaults(run="demo.show_tour")


def _add_projects(commands: Commands) -> None:
    from .arguments.projects import add_projects_group  # noqa: PLC0415 - one subcommand needs it

    add_projects_group(commands)


def _add_emulator(commands: Commands) -> None:
    from .arguments.emulator import add_emulator  # noqa: PLC0415 - one subcommand needs it

    add_emulator(commands)


def _add_completion(commands: Commands) -> None:
    parser = commands.add(
        "completion",
        "completion bash >> ~/.bash_completion",
        "completion zsh > ~/.zfunc/_{}",
    )
    parser.add_argument("shell", choices=SHELLS, help="shell that runs the script")


def _print_script(shell: str) -> int:
    # pathlib loads in 4 ms, and importlib.resources in 9 ms.
    path = os.path.join(os.path.dirname(__file__), "completion", f"script.{shell}")  # noqa: PTH118, PTH120 - see above
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - see above
        script = file.read()
    return 0 if is_written(lambda: print(script, end="", flush=True)) else FAILED
