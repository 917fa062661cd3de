"""Progress: how far long work is, on standard error, if that is a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Event, Thread
from typing import TYPE_CHECKING

import attrs

from .terminal import is_capable, note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from digitalocean_projects._sync import Client


@attrs.define
class Progress:
    """How far some work is.

    Args:
        unit: What is counted.
        done: How many are done.
        total: How many there are, as far as is known.
        waiting: Whether the rate limit holds it up.
    """

    unit: str
    done: int = 0
    total: int | None = None
    waiting: bool = False

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        waiting = ", waiting for the rate limit" if self.waiting else ""
        return f"{self.done:,}{of} {self.unit}{waiting}"


@contextmanager
def told(
    client: Client, look: Callable[[], Progress], *, quiet: bool, streamed: bool = False
) -> Iterator[None]:
    """While the block works, tell how far it is, unless it is done at once.

    Args:
        client: What does the work.
        look: Says how far it is; called in another thread.
        quiet: Whether to tell nothing.
        streamed: Whether the block writes as it works, which tells enough on a terminal.
    """
    if quiet or not sys.stderr.isatty() or (streamed and sys.stdout.isatty()):
        yield
        return

    def progress() -> Progress:
        bucket = client.statistics().bucket
        return attrs.evolve(look(), waiting=bucket is not None and bucket.waiting > 0)

    ended = Event()
    thread = Thread(target=_tell, args=(progress, ended), name=__name__, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _tell(progress: Callable[[], Progress], ended: Event) -> None:
    if ended.wait(PATIENCE):
        return
    show = _show_bar if is_capable(sys.stderr) and find_spec("rich") else _note_lines
    show(progress, ended)


def _note_lines(progress: Callable[[], Progress], ended: Event) -> None:
    while not ended.wait(LINES_INTERVAL):
        note(str(progress()))


def _show_bar(progress: Callable[[], Progress], ended: Event) -> None:
    from rich import progress as rich  # noqa: PLC0415 - an extra
    from rich.console import Console  # noqa: PLC0415 - an extra

    with rich.Progress(
        rich.BarColumn(bar_width=24),
        rich.TextColumn("{task.description}", markup=False),
        rich.TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
        # Standard output is the subcommand's.
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task("", total=None)
        while not ended.wait(BAR_INTERVAL):
            now = progress()
            bar.update(
                task, completed=now.done, total=now.total, description=str(now), refresh=True
            )


# Seconds.
PATIENCE = 0.5
BAR_INTERVAL = 0.1
LINES_INTERVAL = 5.0
