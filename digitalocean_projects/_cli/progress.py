"""Progress: a report of long work and waits on standard error, if that is a terminal."""

from __future__ import annotations

import logging
import os
import select
import sys
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

import attrs

from digitalocean_projects._messages import redacted

from .terminal import counted, is_capable, note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console

    from digitalocean_projects._facade.sync import Client

T = TypeVar("T")


@attrs.define
class Progress:
    """The progress of some work.

    Args:
        unit: The unit of `done` and `total`, in the singular.
        done: The number of units that are done.
        total: The number of all units; None if it is unknown.
        waits_for: What the work waits for between two requests; "" if it doesn't wait there.
    """

    unit: str
    done: int = 0
    total: int | None = None
    waits_for: str = ""

    def __str__(self) -> str:
        of = "" if self.total is None else f"{self.done:,} of "
        return f"{of}{counted(self.done if self.total is None else self.total, self.unit)}"


@attrs.define
class _Waits:
    """The ends of the waits that the log has announced, as times of `monotonic`."""

    limit: float = 0.0
    retry: float = 0.0

    def note(self, record: logging.LogRecord) -> None:
        now = monotonic()
        self.limit = max(self.limit, now + getattr(record, "do_wait", 0.0))
        self.retry = max(self.retry, now + getattr(record, "do_delay", 0.0))


class _View:
    """The text of the progress: the work that is done, and the wait, if there is one."""

    def __init__(self, client: Client, look: Callable[[], Progress]) -> None:
        self._client = client
        self._look = look
        self._latest: tuple[int, int] | None = None
        self._changed = monotonic()

    def __call__(self) -> tuple[Progress, str]:
        now = self._look()
        wait = self._wait(now)
        return now, f"{now}, waiting for {wait}" if wait else str(now)

    def _wait(self, now: Progress) -> str:
        statistics, moment = self._client.statistics(), monotonic()
        if self._latest != (latest := (now.done, statistics.requests)):
            self._latest, self._changed = latest, moment
        bucket = statistics.bucket
        if bucket is not None and bucket.waiting:
            return _rest("the rate limit", max(_waits.limit - moment, bucket.paused))
        if _waits.retry > moment:
            return _rest("the next attempt", _waits.retry - moment)
        stalled = moment - self._changed
        if stalled < STALLED:
            return ""
        if bucket is not None and bucket.in_flight:
            return f"a response ({stalled:.0f} s so far)"
        return now.waits_for


def _rest(subject: str, seconds: float) -> str:
    return f"{subject} (about {seconds:.0f} s)" if round(seconds) > 0 else subject


def requests_of(client: Client, waits_for: str = "") -> Callable[[], Progress]:
    """Return a function that counts the requests that the client has sent.

    Args:
        client: The client.
        waits_for: What the work waits for between two requests; "" if it doesn't wait there.
    """
    return lambda: Progress("request", client.statistics().requests, waits_for=waits_for)


def first_attempts(client: Client) -> int:
    """Return the number of requests that the client has sent, without retries."""
    statistics = client.statistics()
    return statistics.requests - statistics.retries


@contextmanager
def progress_shown(
    client: Client, look: Callable[[], Progress], *, quiet: bool, streamed: bool = False
) -> Iterator[Callable[[Iterable[T]], Iterator[T]]]:
    """Show the progress of the block on standard error if it takes longer than `PATIENCE`.

    Args:
        client: The client that does the work.
        look: Returns the progress; called in another thread.
        quiet: True to show nothing.
        streamed: True if the block writes the pages of a listing while it reads them. The block
            iterates over the pages through the function that it gets. On a terminal, written pages
            are progress enough, so only the wait for the next page is shown there.
    """
    if quiet or not sys.stderr.isatty():
        yield iter
    elif streamed and sys.stdout.isatty():
        yield lambda pages: _watched(client, look, iter(pages))
    else:
        with _reported(client, look):
            yield iter


def _watched(client: Client, look: Callable[[], Progress], pages: Iterator[T]) -> Iterator[T]:
    while True:
        with _reported(client, look):
            page = next(pages, None)
        if page is None:
            return
        yield page


@contextmanager
def _reported(client: Client, look: Callable[[], Progress]) -> Iterator[None]:
    reporter = _Reporter(_View(client, look))
    try:
        # This stands before the start, since a signal may come at any point after it.
        _reporters.add(reporter)
        reporter.start()
        yield
    finally:
        reporter.end()
        _reporters.discard(reporter)


class _Notes(logging.Handler):
    """A handler that writes log records as notes, above the bar if there is one.

    Args:
        level: The lowest level of the records that it writes.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._least = level

    def emit(self, record: logging.LogRecord) -> None:
        _waits.note(record)
        if record.levelno < self._least:
            return
        text = record.getMessage()
        for reporter in list(_reporters):
            if reporter.console is not None:
                from rich.text import Text  # noqa: PLC0415 - an optional extra

                with suppress(OSError):
                    reporter.console.print(Text(redacted(f"# {text}")), soft_wrap=True)
                return
        note(text)


@contextmanager
def log_noted(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """Write the log of the package as notes during the block.

    Args:
        quiet: True to write nothing.
        verbose: True to write all records: a line for each attempt. False to write warnings, such
            as those of retries. Verbose or not, waits are recorded for the progress.
    """
    least = logging.DEBUG if verbose else logging.CRITICAL if quiet else logging.WARNING
    logger, notes = logging.getLogger("digitalocean_projects"), _Notes(least)
    level = logger.level
    logger.addHandler(notes)
    # A wait for the rate limit is logged as INFO. A record of a lower level costs time.
    logger.setLevel(min(least, logging.INFO))
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(notes)
        _waits.limit = _waits.retry = 0.0


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

    def __init__(self, view: _View) -> None:
        self.console: Console | None = None
        self._view = view
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
        seconds = FIRST_LINE
        while not self._is_ended(seconds):
            note(self._view()[1])
            seconds = LINES_INTERVAL

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
                now, text = self._view()
                bar.update(
                    task, completed=now.done, total=now.total, description=text, refresh=True
                )
        self.console = None


_reporters: set[_Reporter] = set()
_waits = _Waits()
_STDERR = 2
_HIDE_CURSOR = b"\x1b[?25l"
_SHOW_CURSOR = b"\x1b[?25h"
# Seconds.
PATIENCE = 0.5
STALLED = 1.0
BAR_INTERVAL = 0.1
FIRST_LINE = 1.0
LINES_INTERVAL = 5.0
LONGEST_END = 1.0
