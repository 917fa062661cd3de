"""Terminal: notes on standard error, styles, and the standard streams."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from io import TextIOWrapper

from digitalocean_projects._messages import one_line, quoted, redacted

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

PROGRAM = "digitalocean-projects"
STDIN = "-"
FAILED = 1
USAGE = 2


class Style(StrEnum):
    """A style of text, as the parameter of the terminal's `SGR` sequence."""

    BOLD = "1"
    RED = "31"
    GREEN = "32"


def note(text: str, *, quiet: bool = False) -> None:
    """Write a note on standard error."""
    if not quiet:
        _write_line(f"# {text}")


def complain(text: object) -> None:
    """Write the reason of a failure on standard error."""
    _write_line(f"{PROGRAM}: {text}")


def _write_line(line: str) -> None:
    # A note that cannot be written does not change the outcome of the command.
    # contextlib with its `suppress` would take 4 % of the time of `--help`.
    try:  # noqa: SIM105 - see above
        print(redacted(line), file=sys.stderr)
    except OSError:
        pass


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def label_of(argument: str) -> str:
    """Return an argument for a note; in quotes if a terminal doesn't show it as it is."""
    return argument if argument and one_line(argument) == argument else quoted(argument)


def is_capable(stream: TextIO) -> bool:
    """Return true if a stream is a terminal that can do more than print lines."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def styled(text: str, style: Style) -> str:
    """Return `text` in a style if standard output is a terminal that shows styles.

    A NO_COLOR in the environment that is not empty turns styles off: https://no-color.org
    """
    if os.environ.get("NO_COLOR") or not is_capable(sys.stdout):
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def width_of(text: str) -> int:
    """Return the number of terminal cells that `text` occupies.

    Without wcwidth, sequences of several characters, such as flags and families, are estimated.
    """
    if text.isascii():
        return len(text)
    try:
        from wcwidth import wcswidth  # noqa: PLC0415 - an optional extra
    except ImportError:
        return sum(map(_width, text))
    return max(wcswidth(text), 0)


def symbols_of(text: str) -> list[str]:
    """Return the symbols of which `text` consists; without wcwidth, its characters."""
    try:
        from wcwidth import iter_graphemes  # noqa: PLC0415 - an optional extra
    except ImportError:
        return list(text)
    return list(iter_graphemes(text))


def _width(character: str) -> int:
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - few texts need it

    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def terminal_width() -> int:
    """Return the width of standard output in cells; 80 if it is not a terminal."""
    return columns() if sys.stdout.isatty() else _USUAL_WIDTH


def columns() -> int:
    """Return the number of columns that COLUMNS names or the terminal has; 80 by default.

    That is what `shutil.get_terminal_size` returns, but shutil loads in 3 ms.
    """
    try:
        named = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        named = 0
    if named > 0:
        return named
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError):
        return _USUAL_WIDTH


def prepare_streams() -> None:
    """Make sure that the standard streams exist, and accept any text.

    If the shell has closed a stream, its use fails as it would in C, except that text for standard
    error is discarded. Characters that the encoding of standard output lacks are written as
    escapes.
    """
    for name, mode, flag in _STREAMS:
        if getattr(sys, name) is None:
            closed = os.open(os.devnull, flag)
            setattr(sys, name, os.fdopen(closed, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def drop_unwritten(stream: TextIO) -> None:
    """Discard text that a stream cannot write, since Python would try again when it exits."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_written(write: Callable[[], None]) -> bool:
    """Call `write`; return false if its output could not be written.

    A reader that has closed the pipe is not a failure. An error is reported here, so that notes may
    follow it.
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
# Standard input that is opened for writing can't be read, and the reverse.
_STREAMS = (
    ("stdin", "r", os.O_WRONLY),
    ("stdout", "w", os.O_RDONLY),
    ("stderr", "w", os.O_WRONLY),
)
