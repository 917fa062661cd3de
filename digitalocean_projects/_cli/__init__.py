"""The command `digitalocean-projects`."""

from __future__ import annotations

TYPE_CHECKING = False  # typing loads in 4 ms
if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    try:
        from .program import run  # noqa: PLC0415 - Ctrl-C may come while it loads

        return run(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
