"""Parser: the parser of the command and of its subcommands."""

from __future__ import annotations

import argparse
import sys

from digitalocean_projects._cli.terminal import FAILED, PROGRAM, columns, is_written
from digitalocean_projects._messages import TOKEN_VARIABLES, redacted

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn, TypeAlias

    _SubParsersAction: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - no public name
else:
    _SubParsersAction = argparse._SubParsersAction  # noqa: SLF001 - no public name

_TOKEN_OPTION = "--access-token"  # noqa: S105 - a name


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """A formatter that makes room for the indent of subcommands, which argparse ignores.

    The usage shows options that exclude each other one by one, since argparse doesn't break a line
    within their group.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        # argparse also leaves two columns free, but would load shutil to ask for the width.
        super().__init__(prog, width=columns() - 2, **options)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        super().add_usage(usage, actions, [each for each in groups if each.required], prefix)

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, Commands):
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

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or the version; exit with status 1 if standard output can't be written.

        argparse ignores that.
        """
        if file is not sys.stdout:
            super()._print_message(message, file)
        elif not is_written(lambda: print(message, end="", flush=True)):
            self.exit(FAILED)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message without secrets, and exit with status 2."""
        super().error(f"{redacted(message)}\nTry '{self.prog} --help'.")

    def add_commands(self) -> Commands:
        """Return the group for its subcommands; without one of them, its help is printed."""
        self.set_defaults(group=self)
        # Without the argument `prog`, argparse would format a usage, which takes 1 ms.
        return self.add_subparsers(  # type: ignore[return-value]  # the given class
            action=Commands, metavar="COMMAND", title="commands", prog=self.prog
        )


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


class Commands(_SubParsersAction):
    """The subcommands of a parser.

    The parser of a subcommand is made when it is used, since all of them take 10 ms.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._makers: dict[str, Callable[[Commands], object]] = {}
        self._texts: dict[str, str] = {}
        self._aliases: dict[str, tuple[str, ...]] = {}

    def announce(
        self, name: str, text: str, add: Callable[[Commands], object], *aliases: str
    ) -> None:
        """Show a subcommand in the help, and accept it.

        Args:
            name: Its name.
            text: Its summary, as an imperative.
            add: Adds its parser, by `add_parser`.
            aliases: Other names.
        """
        self._choices_actions.append(self._ChoicesPseudoAction(name, aliases, text))
        self._texts[name], self._aliases[name] = text, aliases
        self._makers.update(dict.fromkeys((name, *aliases), add))
        self.choices.update(dict.fromkeys((name, *aliases)))  # type: ignore[arg-type]  # until it is used

    def add(self, name: str, *examples: str, details: str = "") -> Parser:
        """Add the parser of a subcommand that was announced, and return it.

        Args:
            name: Its name.
            examples: Calls of it, without the command's name.
            details: More sentences, in lines of at most 80 characters.
        """
        text = self._texts[name]
        lines = (f"  {PROGRAM} {example.format(PROGRAM)}" for example in examples)
        parser = Parser(
            prog=f"{self._prog_prefix} {name}",
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
        self.choices.update(dict.fromkeys((name, *self._aliases[name]), parser))
        return parser

    def add_group(self, name: str, *examples: str) -> Commands:
        """Add a subcommand that has subcommands itself, and return the group for them."""
        return self.add(name, *examples).add_commands()

    def make(self, name: str) -> argparse.ArgumentParser:
        """Return the parser of a subcommand."""
        if self.choices[name] is None:
            self._makers[name](self)
        return self.choices[name]

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None
    ) -> None:
        self.make(values[0])
        super().__call__(parser, namespace, values, option)
