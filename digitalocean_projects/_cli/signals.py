"""Signals that end or stop the command, which leaves the terminal as it was."""

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
    """A signal other than Ctrl-C ends the command.

    Attributes:
        status: The exit status.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise exceptions for signals in the block, after the progress has left the terminal.

    Without a handler, a process that is number 1 of a container ignores SIGTERM, and any other one
    dies with the terminal's cursor hidden. Signals that are ignored, as with `nohup`, or that have
    a handler already, stay as they are. Does nothing outside of the main thread.

    Raises:
        KeyboardInterrupt: SIGINT came.
        Ended: SIGTERM or SIGHUP came.
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
    """Do what the signal does by default: stop the process, which may go on later, or kill it."""
    with cursor_shown():
        handler = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, handler)


_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
_HANDLERS = {"SIGINT": _end, "SIGTERM": _end, "SIGHUP": _end, "SIGTSTP": _stop, "SIGQUIT": _stop}
