"""Arguments: the parser, and the arguments that several subcommands have."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from digitalocean_projects._messages import TOKEN_VARIABLES, redacted

from .output import FORMS
from .terminal import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn, TypeAlias

    from digitalocean_projects._facade.sync import Client

    from .output import Column, Columns

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its type
    Command: TypeAlias = Callable[[Client, argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """A parser for the command or one of its subcommands.

    It refuses doctl's options for a token, and no usage message repeats a token, whichever argument
    it was passed as.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument(
            "-t", "--access-token", action=_RefuseToken, nargs="?", help=argparse.SUPPRESS
        )

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, without tokens, and exit with 2."""
        super().error(redacted(message))


class _RefuseToken(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.error(
            f"argument {'/'.join(self.option_strings)}: other users of this machine can read "
            f"command lines; set {TOKEN_VARIABLES[0]}, or use --context"
        )


def add_parser(
    commands: Commands, name: str, text: str, *examples: str, aliases: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Add a subcommand, and return its parser.

    Args:
        commands: What to add it to.
        name: Its name.
        text: What it does, as an imperative.
        examples: Calls of it, without the command's name.
        aliases: Other names.
    """
    lines = (f"  {PROGRAM} {example.format(PROGRAM)}" for example in examples)
    return commands.add_parser(
        name,
        aliases=aliases,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog="\n".join(("examples:" if len(examples) > 1 else "example:", *lines)),
    )


def add_group(commands: Commands, name: str, text: str, *examples: str) -> Commands:
    """Add a subcommand that has subcommands itself, and return those."""
    group = add_parser(commands, name, text, *examples)
    return group.add_subparsers(required=True, metavar="COMMAND")


def add_command(
    commands: Commands,
    name: str,
    command: Command,
    text: str,
    *examples: str,
    columns: Columns[Any] | None = None,
    aliases: Sequence[str] = (),
    has_output: bool = True,
) -> argparse.ArgumentParser:
    """Add a subcommand that works with an account, and return its parser.

    Args:
        commands: What to add it to.
        name: Its name.
        command: Called with a client and the options; returns the exit status.
        text: What it does, as an imperative.
        examples: Calls of it, without the command's name.
        columns: What its table may show; None if it has no table.
        aliases: Other names.
        has_output: Whether it writes anything to standard output.
    """
    parser = add_parser(commands, name, text, *examples, aliases=aliases)
    parser.set_defaults(command=command)
    account = parser.add_argument_group("account").add_mutually_exclusive_group()
    add_demo(account)
    account.add_argument(
        "--context", metavar="NAME", help="use the token of this context of doctl's"
    )
    output = parser.add_argument_group("output")
    add_quiet(output)
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


def add_project(parser: argparse.ArgumentParser, **options: Any) -> None:
    """Add the argument PROJECT."""
    text = "its UUID, its name, or 'default'"
    parser.add_argument("project", metavar="PROJECT", help=text, **options)


def add_demo(parser: argparse._ActionsContainer) -> None:
    """Add the option `--demo`."""
    parser.add_argument(
        "--demo",
        action="store_true",
        help="use an emulator with 1,234 resources in two projects: no token, no network",
    )


def add_quiet(parser: argparse._ActionsContainer) -> None:
    """Add the option `--quiet`."""
    parser.add_argument("-q", "--quiet", action="store_true", help="no notes, and no progress")


def _columns(columns: Columns[Any], names: str) -> tuple[Column[Any], ...]:
    try:
        return columns.named(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
