"""Parser: argparse's, which takes no token and shows none."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from digitalocean_projects._messages import TOKEN_VARIABLES, redacted

if TYPE_CHECKING:
    from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser for the command or one of its subcommands.

    It refuses doctl's options for a token, and no usage message repeats a token, whichever argument
    it was passed as.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
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
