"""URNs: those in the arguments, in a file, or on standard input."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from digitalocean_projects._codec.urn import URN
from digitalocean_projects._codec.urns import distinct_urns

from .input import place_of, read_text
from .terminal import STDIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The hint of `URN.parse` for several URNs in one text, which is meant for Python programs.
_SEPARATELY = "by itself, in a list"


def distinct_arguments(arguments: Iterable[str], *, quiet: bool) -> list[URN]:
    """Return the URNs of the arguments, each of them once; `-` stands for standard input.

    Raises:
        OSError: Standard input cannot be read, or is not in UTF-8.
        ValueError: An argument or a line is not a URN.
    """

    def urns() -> Iterator[URN]:
        for argument in arguments:
            if argument == STDIN:
                yield from urns_in(argument, quiet=quiet)
            else:
                yield _urn(argument, "argument URN", "as its own argument")

    return list(distinct_urns(urns()))


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


def _urn(text: str, place: str, separately: str) -> URN:
    try:
        return URN.parse(text)
    except ValueError as error:
        reason = str(error).replace(_SEPARATELY, separately)
        raise ValueError(f"{place}: {reason}") from None
