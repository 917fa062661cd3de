"""The command `digitalocean-projects`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    try:
        from .program import run  # noqa: PLC0415 - it takes a while, in which Ctrl-C may come

        return run(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
