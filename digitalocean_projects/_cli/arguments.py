"""Arguments: the parser, and the arguments that several subcommands share."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from digitalocean_projects._arguments import NAME_PREFIX, checked_wait, is_project_id
from digitalocean_projects._defaults import DEFAULT_TIMEOUT, ENVIRONMENT
from digitalocean_projects._errors import APIError
from digitalocean_projects._messages import TOKEN_VARIABLES, Secret, redacted
from digitalocean_projects._paginator.reader import concerns_all

from .output import FORMS, TABLE_FORMS
from .progress import progress_shown, requests_of
from .terminal import PROGRAM, label_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import NoReturn, TypeAlias

    from digitalocean_projects._codec.models import Project
    from digitalocean_projects._facade.sync import Client

    from .output import Column, Columns

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - no public name
    Command: TypeAlias = Callable[[Client, argparse.Namespace], int]


ALLOW_INSECURE_VARIABLE = "DIGITALOCEAN_PROJECTS_ALLOW_INSECURE"
_TOKEN_OPTION = "--access-token"  # noqa: S105 - a name
_USAGE = 2
_FORMS_TEXT = "text, json for one JSON document, or jsonl for one JSON object per line"
_TABLE_FORMS_TEXT = (
    "text, json for one JSON document, jsonl for one JSON object per line, or csv in UTF-8, where "
    "a text that a spreadsheet would take for a formula begins with an apostrophe"
)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """A formatter that makes room for the indent of subcommands, which argparse ignores.

    The usage shows options that exclude each other one by one, since argparse doesn't break a line
    within their group.
    """

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        super().add_usage(usage, actions, [each for each in groups if each.required], prefix)

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - no public name
            self._action_max_length += self._indent_increment


class Parser(argparse.ArgumentParser):
    """A parser for the command or one of its subcommands.

    It refuses doctl's options for a token. Its messages show neither a token nor the password of a
    proxy, even if it was passed as another argument. Options have no abbreviations, since a later
    version may have more options.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=_HelpFormatter, allow_abbrev=False)
        # argparse repeats the value of an unknown option, so each abbreviation is an option, too.
        names = [_TOKEN_OPTION[:end] for end in range(len(_TOKEN_OPTION), len("--"), -1)]
        self.add_argument("-t", *names, action=_RefuseToken, nargs="?", help=argparse.SUPPRESS)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            if near := _SYNONYMS.get(value) or _nearest(value, action.choices or ()):
                error.message += f"; did you mean {near!r}?"
            raise

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse the arguments; an unknown one is an error of the subcommand that it follows.

        argparse reports it as an error of the whole command, with that usage.
        """
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message without secrets, and exit with status 2."""
        super().error(f"{redacted(message)}\nTry '{self.prog} --help'.")


# Words for subcommands that are not near to their names.
_SYNONYMS = {"move": "assign"}


def _nearest(value: str, choices: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only this error needs it

    return next(iter(get_close_matches(value, choices)), "")


class _RefuseToken(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.error(
            f"argument {'/'.join(self.option_strings[:2])}: other users of this machine can read "
            f"command lines; set {TOKEN_VARIABLES[0]}, or use --context"
        )


def add_parser(
    commands: Commands,
    name: str,
    text: str,
    *examples: str,
    details: str = "",
    aliases: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Add a subcommand, and return its parser.

    Args:
        commands: The group that gets the subcommand.
        name: Its name.
        text: Its summary, as an imperative.
        examples: Calls of it, without the command's name.
        details: More sentences, in lines of at most 80 characters.
        aliases: Other names.
    """
    lines = (f"  {PROGRAM} {example.format(PROGRAM)}" for example in examples)
    return commands.add_parser(
        name,
        aliases=aliases,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.\n{details}",
        epilog="\n".join(
            (
                f"For environment variables and exit statuses, see {PROGRAM} --help.",
                "",
                "examples:" if len(examples) > 1 else "example:",
                *lines,
            )
        ),
    )


def add_commands_to(parser: argparse.ArgumentParser) -> Commands:
    """Return the group for the subcommands of a parser, which prints its help without one."""

    def print_help(_: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return _USAGE

    parser.set_defaults(run=print_help)
    return parser.add_subparsers(metavar="COMMAND", title="commands")


def add_group(commands: Commands, name: str, text: str, *examples: str) -> Commands:
    """Add a subcommand that has subcommands itself, and return the group for them."""
    return add_commands_to(add_parser(commands, name, text, *examples))


def add_command(
    commands: Commands,
    name: str,
    command: Command,
    text: str,
    *examples: str,
    details: str = "",
    columns: Columns[Any] | None = None,
    aliases: Sequence[str] = (),
    has_output: bool = True,
    all_contexts: bool = False,
    is_local: Callable[[argparse.Namespace], bool] = lambda _: False,
) -> argparse.ArgumentParser:
    """Add a subcommand that works with an account, and return its parser.

    Args:
        commands: The group that gets the subcommand.
        name: Its name.
        command: Called with a client and the options; returns the exit status.
        text: Its summary, as an imperative.
        examples: Calls of it, without the command's name.
        details: More sentences, in lines of at most 80 characters.
        columns: The columns of its table; None if it prints no table.
        aliases: Other names.
        has_output: False if it writes nothing to standard output.
        all_contexts: True if it has the option `--all-contexts`.
        is_local: Returns true if the options need no account, so that the client is None.
    """
    parser = add_parser(commands, name, text, *examples, details=details, aliases=aliases)
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
            choices=FORMS if columns is None else TABLE_FORMS,
            default="text",
            metavar="FORM",
            help=f"{_FORMS_TEXT if columns is None else _TABLE_FORMS_TEXT} (default: %(default)s)",
        )
    if columns is not None:
        output.add_argument(
            "--format",
            type=partial(_columns, columns),
            dest="columns",
            metavar="COLUMN,...",
            help="columns to print; ignored with JSON; choose from "
            f"{columns.names.replace(',', ', ')} (default: {columns.default})",
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
        return checked_wait("SECONDS", float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a number of seconds from 0 on, got {text!r}"
        ) from None


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


def chosen_project(client: Client, text: str, *, quiet: bool) -> str:
    """Return the id of the project that an argument names, and show a long search."""
    with progress_shown(client, requests_of(client), quiet=quiet):
        return project_id(client, text)


def chosen_projects(
    client: Client, names: Iterable[str], *, quiet: bool
) -> tuple[list[Project], list[str]]:
    """Return the projects that are named so, each once, and a message for each that isn't found.

    Raises:
        APIError: The request for any other project would raise the same error.
    """
    found: dict[str, Project] = {}
    failures: list[str] = []
    with progress_shown(client, requests_of(client), quiet=quiet):
        for name in names:
            try:
                project = project_named(client, name)
            except APIError as error:
                if concerns_all(error):
                    raise
                failures.append(f"{label_of(name)}: {error}")
            else:
                found[project.id] = project
    return list(found.values()), failures


def project_named(client: Client, text: str) -> Project:
    """Return the project with this UUID or name, or the default one; see `project_id`."""
    if not text.startswith(NAME_PREFIX) and is_project_id(text):
        return client.projects.get(text)
    return client.projects.find(text.removeprefix(NAME_PREFIX))


def project_id(client: Client, text: str) -> str:
    """Return `text` if it is a project's UUID or `default`, else the id of the project so named.

    Text after `name:` is always a name.
    """
    return text if is_project_id(text) else project_named(client, text).id


def add_quiet(parser: argparse._ActionsContainer) -> None:
    """Add the option `--quiet`."""
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print no counts, hints or progress"
    )


def known_columns(action: argparse.Action) -> Sequence[str]:
    """Return the names of the columns that an argument accepts; none if it accepts no columns."""
    if not (isinstance(action.type, partial) and action.type.func is _columns):
        return ()
    (columns,) = action.type.args
    return [column.name for column in columns.known]


def _columns(columns: Columns[Any], names: str) -> tuple[Column[Any], ...]:
    try:
        return columns.named(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
