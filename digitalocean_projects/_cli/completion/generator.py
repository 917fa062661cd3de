"""Generator: writes the scripts that let a shell complete the command.

    python -m digitalocean_projects._cli.completion.generator           write the files
    python -m digitalocean_projects._cli.completion.generator --check   fail if one is out of date

shtab makes them from the parsers of all subcommands. If the command did so each time, its start
would take four times as long as with the files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shtab

from digitalocean_projects._cli.arguments.options import known_columns
from digitalocean_projects._cli.arguments.parser import Commands
from digitalocean_projects._cli.program import SHELLS, make_parser

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator, Sequence

FOLDER = Path(__file__).parent
_FILES = ("FILE", "OLD", "NEW")
# It completes the last name of a list. The names before it are a part of each candidate.
_BASH = """\
{name}() {{
  local before=""
  [[ $1 == *,* ]] && before="${{1%,*}},"
  compgen -P "$before" -W "{words}" -- "${{1##*,}}"
}}
"""


def generate(shell: str) -> str:
    """Return the script for a shell."""
    parser = make_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE
        elif names := known_columns(action):
            action.complete = _completing(names)
    return f"{shtab.complete(parser, shell)}\n"


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


def main(arguments: list[str]) -> int:
    """Write the scripts, or with `--check` compare them; return the exit status."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    status = 0
    for shell in SHELLS:
        path = FOLDER / f"script.{shell}"
        script = generate(shell)
        if not arguments:
            path.write_text(script, "utf-8")
        elif path.read_text("utf-8") != script:
            print(f"{path.name} is out of date: run the generator", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
