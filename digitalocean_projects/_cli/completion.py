"""Completion: the subcommand that prints a script for a shell's completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from digitalocean_projects._errors import ClientUsageError

from .arguments.options import known_columns
from .arguments.parser import Commands
from .terminal import INSTALL

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence


_FILES = ("FILE", "OLD", "NEW")
# It completes the last name of a list. The names before it are a part of each candidate.
_BASH = """\
{name}() {{
  local before=""
  [[ $1 == *,* ]] && before="${{1%,*}},"
  compgen -P "$before" -W "{words}" -- "${{1##*,}}"
}}
"""


def complete(options: Namespace) -> int:
    """Print a script that lets a shell complete the command."""
    try:
        import shtab  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise ClientUsageError(f"completion requires shtab: {INSTALL}") from None
    parser = options.make_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE
        elif names := known_columns(action):
            action.complete = _completing(names)
    print(shtab.complete(parser, options.shell))
    return 0


def _actions(parser: ArgumentParser) -> Iterator[Any]:
    """Yield the arguments of a parser and its subcommands, which shtab reads, too."""
    for action in parser._actions:  # noqa: SLF001 - no public name
        yield action
        if isinstance(action, Commands):
            for subparser in map(action.make, action.choices):
                yield from _actions(subparser)


def _completing(columns: Sequence[str]) -> dict[str, object]:
    """Return shtab's description of a list of columns, which are separated by commas."""
    words = " ".join(columns)
    name = f"_digitalocean_projects_columns_{'_'.join(columns)}"
    return {
        "bash": name,
        "zsh": f"_values -s , column {words}",
        "fish": words,
        "preamble": {"bash": _BASH.format(name=name, words=words)},
    }
