"""Options: the arguments that several subcommands share."""

from __future__ import annotations

import argparse
from functools import partial

from digitalocean_projects._defaults import DEFAULT_TIMEOUT, ENVIRONMENT, MOST_SECONDS
from digitalocean_projects._messages import Secret

from .tables import FORMS, TABLE_FORMS

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .parser import Commands, Parser
    from .tables import Table

ALLOW_INSECURE_VARIABLE = "DIGITALOCEAN_PROJECTS_ALLOW_INSECURE"
_FORMS_TEXT = "text, json for one JSON document, or jsonl for one JSON object per line"
_TABLE_FORMS_TEXT = (
    "text, json for one JSON document, jsonl for one JSON object per line, or csv in UTF-8, where "
    "a text that a spreadsheet would take for a formula begins with an apostrophe"
)


def add_command(
    commands: Commands,
    name: str,
    command: str,
    *examples: str,
    details: str = "",
    table: Table | None = None,
    has_output: bool = True,
    all_contexts: bool = False,
    is_local: Callable[[argparse.Namespace], bool] = lambda _: False,
) -> Parser:
    """Add a subcommand that works with an account, and return its parser.

    Args:
        commands: The group that gets the subcommand.
        name: Its name.
        command: The module and the name of the function that is called with a client and the
            options, and returns the exit status.
        examples: Calls of it, without the command's name.
        details: More sentences, in lines of at most 80 characters.
        table: The columns of its table; None if it prints no table.
        has_output: False if it writes nothing to standard output.
        all_contexts: True if it has the option `--all-contexts`.
        is_local: Returns true if the options need no account, so that the client is None.
    """
    parser = commands.add(name, *examples, details=details)
    parser.set_defaults(command=command, is_local=is_local)
    settings = parser.add_argument_group("account")
    account = settings.add_mutually_exclusive_group()
    account.add_argument(
        "--demo",
        action="store_true",
        help="use a new emulator with sample resources in two projects; it needs no token and "
        "no network, and ends with this command",
    )
    account.add_argument(
        "--context",
        metavar="NAME",
        help="use the token of this context in 'doctl auth list'; it requires PyYAML",
    )
    account.add_argument(
        "--current-context",
        action="store_true",
        help="use the token of doctl's current context",
    )
    if all_contexts:
        account.add_argument(
            "--all-contexts",
            action="store_true",
            help="show the accounts of all contexts in 'doctl auth list'; after an error of one, "
            "go on, and exit with status 1 at the end",
        )
    else:
        parser.set_defaults(all_contexts=False)
    settings.add_argument(
        "--allow-insecure",
        action="store_true",
        help="send the token over http to other machines, too, such as to an emulator in another "
        "container; everybody on the way can read it",
    )
    settings.add_argument(
        "--proxy",
        type=Secret,
        default=ENVIRONMENT,
        metavar="URL",
        help="HTTP proxy, http://[user:password@]host[:port]; 'none' for no proxy, and 'env', the "
        "default, for that of the variables https_proxy, all_proxy and no_proxy",
    )
    _add_limits(parser)
    output = parser.add_argument_group("output")
    add_quiet(output)
    output.add_argument(
        "-v",
        "--verbose",
        "--trace",
        action="store_true",
        help="write a line for each request on standard error: its status, time and request id",
    )
    if has_output:
        output.add_argument(
            "-o",
            "--output",
            choices=FORMS if table is None else TABLE_FORMS,
            default="text",
            metavar="FORM",
            help=f"{_FORMS_TEXT if table is None else _TABLE_FORMS_TEXT} (default: %(default)s)",
        )
    if table is not None:
        output.add_argument(
            "--format",
            type=partial(_columns, table),
            dest="columns",
            metavar="COLUMN,...",
            help="columns to print; ignored with JSON; choose from "
            f"{table.names.replace(',', ', ')} (default: {table.default})",
        )
        output.add_argument(
            "--no-header", action="store_true", help="print no headings; ignored with JSON"
        )
    return parser


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("time limits")
    limits.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="maximum time of one attempt of a request (default: %(default)g)",
    )
    limits.add_argument(
        "--deadline",
        type=float,
        metavar="SECONDS",
        help="maximum time of one request with its retries and its waits for the rate limit "
        "(default: none)",
    )


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Add the option `--strict`."""
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with status 1 if the listing changed while it was read, since items may be "
        "missing then",
    )


def add_wait(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the option `--wait SECONDS`, whose help is `text`."""
    parser.add_argument("--wait", type=_wait, metavar="SECONDS", help=text)


def _wait(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0 on, got {text!r}")
    return seconds


def add_project(parser: argparse.ArgumentParser) -> None:
    """Add the argument PROJECT."""
    text = "UUID, name, or 'default' for the default project"
    parser.add_argument("project", metavar="PROJECT", type=_project, help=text)


def add_projects(parser: argparse.ArgumentParser, default: str = "") -> None:
    """Add the argument PROJECT, of which there may be several, or none if it has a default."""
    text = f"UUID, name, or 'default' for the default project (default: {default})"
    parser.add_argument(
        "projects",
        metavar="PROJECT",
        nargs="*" if default else "+",
        default=[default],
        type=_project,
        help=text if default else "UUID or name",
    )


def add_project_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--project`, which can be repeated."""
    parser.add_argument(
        "--project",
        action="append",
        dest="projects",
        metavar="PROJECT",
        type=_project,
        help="list this project only: its UUID, name, or 'default'; can be repeated",
    )


def _project(text: str) -> str:
    if text.startswith("do:"):
        raise argparse.ArgumentTypeError(
            f"must be a UUID, a name or 'default', got the URN {text!r}; "
            "write PROJECT first, and then the URNs"
        )
    return text


def add_quiet(parser: argparse._ActionsContainer) -> None:
    """Add the option `--quiet`."""
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print no counts, hints or progress"
    )


def known_columns(action: argparse.Action) -> Sequence[str]:
    """Return the names of the columns that an argument accepts; none if it accepts no columns."""
    if not (isinstance(action.type, partial) and action.type.func is _columns):
        return ()
    table: Table = action.type.args[0]
    return table.names.split(",")


def _columns(table: Table, names: str) -> tuple[str, ...]:
    try:
        return table.named(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
