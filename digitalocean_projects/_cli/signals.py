"""Signals: handlers that restore the terminal before a signal ends or stops the command."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .progress import cursor_shown, end_progress

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ended(KeyboardInterrupt):
    """An exception for a signal other than Ctrl-C that ends the command.

    Attributes:
        status: The exit status.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise exceptions for signals in the block, after the progress has left the terminal.

    Without a handler, a process with the id 1 in a container ignores SIGTERM, and any other process
    ends with the cursor of the terminal hidden. Signals that are ignored, as with `nohup`, or that
    have a handler already, are left alone. Outside of the main thread, this has no effect.

    Raises:
        KeyboardInterrupt: SIGINT was received.
        Ended: SIGTERM or SIGHUP was received.
    """
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for name, handler in _HANDLERS.items():
                number = getattr(signal, name, None)  # Windows lacks some.
                if number and (earlier := signal.getsignal(number)) in _DEFAULTS:
                    before[number] = earlier
                    signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _end(number: int, _: object) -> None:
    end_progress()
    raise KeyboardInterrupt if number == signal.SIGINT else Ended(number)


def _stop(number: int, _: object) -> None:
    """Show the cursor, and apply the signal's default action: stop or end the process."""
    with cursor_shown():
        handler = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, handler)


_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
_HANDLERS = {"SIGINT": _end, "SIGTERM": _end, "SIGHUP": _end, "SIGTSTP": _stop, "SIGQUIT": _stop}
