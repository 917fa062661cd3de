"""Terminal: notes on standard error, styles, and the standard streams."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from contextlib import contextmanager, suppress
from enum import StrEnum
from io import TextIOWrapper
from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

from digitalocean_projects._messages import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

PROGRAM = "digitalocean-projects"


class Style(StrEnum):
    """A style of text, as the parameter of the terminal's `SGR` sequence."""

    BOLD = "1"
    RED = "31"
    GREEN = "32"


def note(text: str, *, quiet: bool = False) -> None:
    """Write a note on standard error."""
    if not quiet:
        _tell(f"# {text}")


class _Notes(logging.Handler):
    """A handler that writes each log record as a note."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(logging.WARNING)
        self._quiet = quiet

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage(), quiet=self._quiet)


@contextmanager
def warnings_noted(*, quiet: bool) -> Iterator[None]:
    """Write the warnings of the package, such as those of retries, as notes during the block."""
    logger, notes = logging.getLogger("digitalocean_projects"), _Notes(quiet=quiet)
    logger.addHandler(notes)
    try:
        yield
    finally:
        logger.removeHandler(notes)


def complain(text: object) -> None:
    """Write why the command failed on standard error."""
    _tell(f"{PROGRAM}: {text}")


def _tell(line: str) -> None:
    # That nobody reads it changes nothing in what was done.
    with suppress(OSError):
        print(redacted(line), file=sys.stderr)


def is_capable(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can do more than lines."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def styled(text: str, style: Style) -> str:
    """Return `text` in a style if standard output is a terminal and colour is welcome.

    https://no-color.org
    """
    if os.environ.get("NO_COLOR") or not is_capable(sys.stdout):
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def width_of(text: str) -> int:
    """Return the number of terminal cells that `text` takes."""
    return sum(_width(character) for character in text) if not text.isascii() else len(text)


def _width(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def terminal_width() -> int:
    """Return the number of cells in a line of standard output; 80 if it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _USUAL_WIDTH


def prepare_streams() -> None:
    """Make sure that any text can be written to the standard streams.

    A stream that the shell has closed discards its text. Characters that the encoding of standard
    output lacks are written as escapes.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def drop_unwritten(stream: TextIO) -> None:
    """Drop what a stream can't write, since Python would try again at its exit."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_written(write: Callable[[], None]) -> bool:
    """Return whether `write` wrote its output, or nobody reads it any more.

    An error is reported here, so that notes may follow it.
    """
    try:
        write()
    except OSError as error:
        drop_unwritten(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            complain(error)
            return False
    return True


_USUAL_WIDTH = 80
