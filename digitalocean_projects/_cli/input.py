"""Input: text and URNs in a file or in standard input."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from digitalocean_projects._codec.urn import URN, distinct_urns
from digitalocean_projects._messages import one_line

from .terminal import note

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "-"
_LARGEST = 128 << 20
# The hint of `URN.parse` for several URNs in one text, which is meant for Python programs.
_SEPARATELY = "by itself, in a list"


def place_of(name: str) -> str:
    """Return the name of a file for messages."""
    return "standard input" if name == STDIN else one_line(name)


def read_text(name: str, content: str, *, quiet: bool) -> str:
    """Return the text of a file or of standard input.

    Args:
        name: The name of the file; `-` is standard input.
        content: The content, for a note that the command waits for a user to type it.
        quiet: True to write no such note.

    Raises:
        OSError: The file cannot be read, is too large, or is not in UTF-8.
    """
    is_stdin, place = name == STDIN, place_of(name)
    if is_stdin and sys.stdin.isatty():
        note(f"reading {content} from standard input until Ctrl-D", quiet=quiet)
    with nullcontext(sys.stdin.buffer) if is_stdin else Path(name).open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(f"{place}: the text must have at most {_LARGEST:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise OSError(f"{place}:{number}: the text must be in UTF-8") from None


def urns_in(name: str, *, quiet: bool) -> Iterator[URN]:
    """Yield the URNs in the lines of a file or of standard input.

    Empty lines and comments are skipped.

    Raises:
        OSError: The file cannot be read, or is not in UTF-8.
        ValueError: A line is not a URN; the message names the file and the line.
    """
    text = read_text(name, "URNs, one per line,", quiet=quiet)
    # `splitlines` would also end a line, and so a comment, at a form feed or U+2028.
    for number, line in enumerate(StringIO(text, newline=None), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield _urn(stripped, f"{place_of(name)}:{number}", "on its own line")


def urns_of(arguments: Iterable[str], *, quiet: bool) -> list[URN]:
    """Return the distinct URNs of arguments, where `-` stands for those in standard input.

    Raises:
        OSError: Standard input cannot be read, or is not in UTF-8.
        ValueError: An argument or a line is not a URN; the message names the place.
    """

    def urns() -> Iterator[URN]:
        for argument in arguments:
            if argument == STDIN:
                yield from urns_in(argument, quiet=quiet)
            else:
                yield _urn(argument, "argument URN", "as its own argument")

    return distinct_urns(urns())


def _urn(text: str, place: str, separately: str) -> URN:
    try:
        return URN.parse(text)
    except ValueError as error:
        reason = str(error).replace(_SEPARATELY, separately)
        raise ValueError(f"{place}: {reason}") from None
