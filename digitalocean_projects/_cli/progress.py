"""Progress: a report of long work on standard error, if that is a terminal."""

from __future__ import annotations

import logging
import os
import select
import sys
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._messages import redacted

from .terminal import counted, is_capable, note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from digitalocean_projects._facade.sync import Client


@attrs.define
class Progress:
    """The progress of some work.

    Args:
        unit: The unit of `done` and `total`, in the singular.
        done: The number of units that are done.
        total: The number of all units; None if it is unknown.
        waiting: True if the work waits for the rate limit.
    """

    unit: str
    done: int = 0
    total: int | None = None
    waiting: bool = False

    def __str__(self) -> str:
        of = "" if self.total is None else f"{self.done:,} of "
        total = counted(self.done if self.total is None else self.total, self.unit)
        return f"{of}{total}{', waiting for the rate limit' if self.waiting else ''}"


def requests_of(client: Client) -> Callable[[], Progress]:
    """Return a function that counts the requests that the client has sent."""
    return lambda: Progress("request", client.statistics().requests)


def first_attempts(client: Client) -> int:
    """Return the number of requests that the client has sent, without retries."""
    statistics = client.statistics()
    return statistics.requests - statistics.retries


@contextmanager
def progress_shown(
    client: Client, look: Callable[[], Progress], *, quiet: bool, streamed: bool = False
) -> Iterator[None]:
    """Show the progress of the block on standard error if it takes longer than `PATIENCE`.

    Args:
        client: The client that does the work.
        look: Returns the progress; called in another thread.
        quiet: True to show nothing.
        streamed: True if the block writes while it works. On a terminal, that is progress enough.
    """
    if quiet or not sys.stderr.isatty() or (streamed and sys.stdout.isatty()):
        yield
        return

    def progress() -> Progress:
        bucket = client.statistics().bucket
        return attrs.evolve(look(), waiting=bucket is not None and bucket.waiting > 0)

    reporter = _Reporter(progress)
    try:
        # This stands before the start, since a signal may come at any point after it.
        _reporters.add(reporter)
        reporter.start()
        yield
    finally:
        reporter.end()
        _reporters.discard(reporter)


class _Notes(logging.Handler):
    """A handler that writes each log record as a note, above the bar if there is one."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(logging.WARNING)
        self._quiet = quiet

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        for reporter in list(_reporters):
            if reporter.console is not None:
                from rich.text import Text  # noqa: PLC0415 - an optional extra

                with suppress(OSError):
                    reporter.console.print(Text(redacted(f"# {text}")), soft_wrap=True)
                return
        note(text, quiet=self._quiet)


@contextmanager
def warnings_noted(*, quiet: bool) -> Iterator[None]:
    """Write the warnings of the package, such as those of retries, as notes during the block."""
    logger, notes = logging.getLogger("digitalocean_projects"), _Notes(quiet=quiet)
    logger.addHandler(notes)
    try:
        yield
    finally:
        logger.removeHandler(notes)


def end_progress() -> None:
    """Erase the progress from the terminal. A signal handler may call this at any point."""
    for reporter in list(_reporters):
        reporter.end()


@contextmanager
def cursor_shown() -> Iterator[None]:
    """Show the cursor of the terminal during the block, if a bar hides it."""
    hidden = any(reporter.console is not None for reporter in _reporters)
    if hidden:
        _write(_SHOW_CURSOR)
    yield
    if hidden:
        _write(_HIDE_CURSOR)


def _write(sequence: bytes) -> None:
    """Write to the terminal unless that would block, as it does after Ctrl-S."""
    # This bypasses the stream, since the interrupted code may hold the stream's lock.
    with suppress(OSError):
        if sys.platform == "win32" or select.select((), (_STDERR,), (), 0)[1]:
            os.write(_STDERR, sequence)


class _Reporter:
    """A thread that shows progress until `end` is called.

    Attributes:
        console: The console of the bar, which hides the cursor; None while there is no bar.
    """

    def __init__(self, progress: Callable[[], Progress]) -> None:
        self.console: Console | None = None
        self._progress = progress
        # An Event has a lock, for which a signal handler that sets it could wait forever.
        self._end: SimpleQueue[None] = SimpleQueue()
        self._thread = Thread(target=self._report, name=__name__, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Erase the progress from the terminal; a second call has no effect."""
        self._end.put(None)
        with suppress(RuntimeError):  # The thread has not been started.
            self._thread.join(LONGEST_END)
        if self._thread.is_alive():
            # The thread waits for a lock that the code under the signal handler holds.
            _write(_SHOW_CURSOR)

    def _is_ended(self, seconds: float) -> bool:
        """Wait for the end for at most `seconds`; return true if it came."""
        with suppress(Empty):
            self._end.get(timeout=seconds)
            return True
        return False

    def _report(self) -> None:
        if self._is_ended(PATIENCE):
            return
        # The terminal may be closed.
        with suppress(OSError):
            if is_capable(sys.stderr) and find_spec("rich"):
                self._show_bar()
            else:
                self._note_lines()

    def _note_lines(self) -> None:
        while not self._is_ended(LINES_INTERVAL):
            note(str(self._progress()))

    def _show_bar(self) -> None:
        from rich import progress as rich  # noqa: PLC0415 - an optional extra
        from rich.console import Console  # noqa: PLC0415 - an optional extra

        self.console = Console(stderr=True)
        with rich.Progress(
            rich.BarColumn(bar_width=24),
            rich.TextColumn("{task.description}", markup=False),
            rich.TimeElapsedColumn(),
            console=self.console,
            transient=True,
            auto_refresh=False,
            # The subcommand writes its results to standard output.
            redirect_stdout=False,
            redirect_stderr=False,
        ) as bar:
            task = bar.add_task("", total=None)
            while not self._is_ended(BAR_INTERVAL):
                now = self._progress()
                bar.update(
                    task, completed=now.done, total=now.total, description=str(now), refresh=True
                )
        self.console = None


_reporters: set[_Reporter] = set()
_STDERR = 2
_HIDE_CURSOR = b"\x1b[?25l"
_SHOW_CURSOR = b"\x1b[?25h"
# Seconds.
PATIENCE = 0.5
BAR_INTERVAL = 0.1
LINES_INTERVAL = 5.0
LONGEST_END = 1.0
