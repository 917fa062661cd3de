"""Input: the text in a file or in standard input."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from .terminal import STDIN, label_of, note

_LARGEST = 128 << 20


def place_of(name: str) -> str:
    """Return the name of a file for messages."""
    return "standard input" if name == STDIN else label_of(name)


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
