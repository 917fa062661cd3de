"""Terminal: what is written beside the output, and how it may look."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from contextlib import contextmanager
from enum import StrEnum
from io import UnsupportedOperation
from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

PROGRAM = "digitalocean-projects"


class Style(StrEnum):
    """How a text may stand out, as the parameter of the terminal's `SGR` sequence."""

    BOLD = "1"
    RED = "31"
    GREEN = "32"


def note(text: str, *, quiet: bool = False) -> None:
    """Tell the user something beside the output."""
    if not quiet:
        print(f"# {text}", file=sys.stderr)


def complain(text: object) -> None:
    """Tell the user why it failed."""
    print(f"{PROGRAM}: {text}", file=sys.stderr)


def is_capable(stream: TextIO) -> bool:
    """Whether a stream is a terminal that knows more than lines."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def is_file(stream: TextIO) -> bool:
    """Whether a stream goes to a file, where nobody sees it come."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except UnsupportedOperation:
        return False


def styled(text: str, style: Style) -> str:
    """`text` in a style, if standard output is a terminal and colour is welcome.

    https://no-color.org
    """
    if os.environ.get("NO_COLOR") or not is_capable(sys.stdout):
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def width_of(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    return sum(_width(character) for character in text) if not text.isascii() else len(text)


def _width(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def terminal_width() -> int:
    """How many cells a line of standard output has: 80, if that is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _USUAL_WIDTH


def discard_output() -> None:
    """Write to nowhere: whoever read the output has enough, and Python would flush at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def read_or_not() -> Iterator[None]:
    """Go on where nobody reads the output any more: what became of resources is to be told."""
    try:
        yield
    except BrokenPipeError:
        discard_output()


_USUAL_WIDTH = 80
