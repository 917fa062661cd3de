"""Signals that end or stop the command on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import Client
from digitalocean_projects._cli import main, progress, signals
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects.testing import Emulator

PYTHON = [sys.executable, "-W", "error"]
LISTING = [*PYTHON, "-m", "digitalocean_projects", "list", "-o", "json"]
EMULATOR = [*PYTHON, "-m", "digitalocean_projects", "emulator"]


@pytest.fixture(autouse=True)
def _foreground() -> Iterator[None]:
    """Reset two signals that a shell ignores in the processes it starts with `&`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Screen:
    """A terminal that is the standard error of a command."""

    def __init__(self, controller: int) -> None:
        self._controller = controller
        self.shown = b""

    def read(self, seconds: float = 60.0) -> bool:
        """Read more text; return False if none comes, or if the terminal is closed."""
        if not select.select([self._controller], [], [], seconds)[0]:
            return False
        try:
            more = os.read(self._controller, 1 << 16)
        except OSError:  # Linux raises this if the other end is closed.
            return False
        self.shown += more
        return bool(more)

    def wait_for(self, text: bytes) -> None:
        while text not in self.shown:
            assert self.read(), self.shown

    def has_cursor(self) -> bool:
        """Return True if the cursor is shown after the text so far."""
        while self.read(0.0):
            pass
        changes: list[bytes] = re.findall(rb"\x1b\[\?25([hl])", self.shown)
        return not changes or changes[-1] == b"h"


@contextmanager
def started(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], Screen]]:
    """Run a command in its own process group, with a terminal as its standard error."""
    controller, screen = pty.openpty()
    with subprocess.Popen(
        command,
        env={**os.environ, "TERM": "xterm"},
        stderr=screen,
        stdout=subprocess.PIPE,
        process_group=0,
    ) as process:
        os.close(screen)
        try:
            yield process, Screen(controller)
        finally:
            process.kill()
            os.close(controller)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
@pytest.mark.process
def test_end_under_the_bar(account: Emulator, number: int, status: int) -> None:
    """A signal that ends the command erases the bar and shows the cursor."""
    account.fail(faults.Silence(), when=lambda request: "page" in request.query, times=None)
    with started(LISTING) as (process, screen):
        screen.wait_for(b" request")
        assert not screen.has_cursor()
        process.send_signal(number)
        assert status == process.wait(timeout=60)
        assert screen.has_cursor()
        assert b"Traceback" not in screen.shown
        last = screen.shown.rindex(b" request")
        assert b"\x1b[2K" in screen.shown[last:]
        assert process.stdout
        assert b"" == process.stdout.read()


@pytest.mark.process
def test_kill_under_the_bar(account: Emulator) -> None:
    """A wait is shown; SIGQUIT ends the command at once, and the cursor is shown."""
    account.fail(faults.Silence(), when=lambda request: "page" in request.query, times=None)
    with started(LISTING) as (process, screen):
        screen.wait_for(b"1 request, waiting for a response (")
        process.send_signal(signal.SIGQUIT)
        assert -signal.SIGQUIT == process.wait(timeout=60)
        assert screen.has_cursor()


@pytest.mark.process
def test_stop_under_the_bar(account: Emulator) -> None:
    """A stopped command shows the cursor, and hides it when it continues."""
    account.fail(faults.Silence(), when=lambda request: "page" in request.query, times=None)
    with started(LISTING) as (process, screen):
        screen.wait_for(b" request")
        for _ in range(2):
            process.send_signal(signal.SIGTSTP)
            assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
            assert screen.has_cursor()
            process.send_signal(signal.SIGCONT)
            end = time.monotonic() + 60
            while screen.has_cursor():
                assert time.monotonic() < end
                time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert 143 == process.wait(timeout=60)
        assert screen.has_cursor()


@pytest.mark.process
def test_stop_of_the_emulator() -> None:
    """A command without a bar stops, continues and ends without a change on the terminal.

    It has a handler for SIGTERM, which process 1 of a container needs.
    """
    with started(EMULATOR) as (process, screen):
        screen.wait_for(b"Ctrl-C")
        process.send_signal(signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert 143 == process.wait(timeout=60)
        (line,) = screen.shown.splitlines()
        assert line.startswith(b"# paste these lines into another terminal")


EVERYWHERE = """
import itertools, signal, sys, threading, time
from types import FrameType
from digitalocean_projects import Client
from digitalocean_projects._cli import progress, signals

progress.PATIENCE, progress.BAR_INTERVAL = 0.0, 0.001
client = Client("token")
files = {progress.__file__, signals.__file__}

def run(number, times, at):
    left, lines, default = times, 0, signal.getsignal(number)

    def trace(frame, event, _):
        nonlocal left, lines
        if frame.f_code.co_filename not in files:
            return None
        if event == "line" and signal.getsignal(number) is signals._end:
            lines += 1
            if left and lines >= at:
                left -= 1
                signal.raise_signal(number)
        return trace

    try:
        sys.settrace(trace)
        with signals.ended_by_signals():
            with progress.progress_shown(client, lambda: progress.Progress("lines"), quiet=False):
                time.sleep(0.02)
        sys.settrace(None)
        return "done"
    except KeyboardInterrupt as end:
        sys.settrace(None)
        # After a signal in the last lines, the handlers stay until the process ends.
        signal.signal(number, default)
        return type(end).__name__

for number, times in itertools.product((signal.SIGINT, signal.SIGTERM), (1, 2)):
    at, ends = 1, []
    while not ends or ends[-1] != "done":
        ends.append(run(number, times, at))
        left = [thread for thread in threading.enumerate() if thread.name == progress.__name__]
        for thread in left:
            thread.join(10)
        assert not any(thread.is_alive() for thread in left)
        print("\\x1b[5n", end="", file=sys.stderr, flush=True)  # marks the end of this run
        at += 1
    print(*ends)
"""


@pytest.mark.process
def test_signals_at_any_line() -> None:
    """A signal at any line of the progress leaves the terminal restored."""
    with started([*PYTHON, "-c", EVERYWHERE]) as (process, screen):
        while screen.read():
            pass
        assert 0 == process.wait(timeout=60), screen.shown
        assert process.stdout
        printed = [line.split() for line in process.stdout.read().decode().splitlines()]
    for (*ends, last), name in zip(printed, ["KeyboardInterrupt"] * 2 + ["Ended"] * 2, strict=True):
        assert "done" == last
        assert {name} == set(ends)
        assert len(ends) > 15
    runs = screen.shown.split(b"\x1b[5n")[:-1]
    assert sum(map(len, printed)) == len(runs)
    assert any(b"\x1b[?25l" in run for run in runs)
    for run in runs:
        changes = re.findall(rb"\x1b\[\?25([hl])", run)
        assert not changes or b"h" == changes[-1], run


@pytest.mark.process
def test_lock_that_the_interrupted_code_holds() -> None:
    """The cursor is shown although the progress waits for a lock of the interrupted code."""
    code = """
import os, signal, sys, threading, time
from digitalocean_projects import Client
from digitalocean_projects._cli import progress, signals

progress.PATIENCE, progress.BAR_INTERVAL, progress.LONGEST_END = 0.0, 0.001, 0.2
lock, waits = threading.Lock(), threading.Event()

def look():
    if lock.locked():
        waits.set()
    with lock:
        return progress.Progress("lines")

try:
    with signals.ended_by_signals(), progress.progress_shown(Client("token"), look, quiet=False):
        time.sleep(0.3)
        with lock:
            waits.wait(60)
            signal.raise_signal(signal.SIGTERM)
except signals.Ended as end:
    os._exit(end.status)
"""
    with started([*PYTHON, "-c", code]) as (process, screen):
        while screen.read():
            pass
        assert 143 == process.wait(timeout=60)
        assert screen.has_cursor()
        assert b"\x1b[?25l" in screen.shown


@pytest.mark.process
def test_terminal_that_takes_no_more() -> None:
    """A signal ends the command although its terminal accepts no output."""
    code = """
import os, select, signal, time
from digitalocean_projects import Client
from digitalocean_projects._cli import progress, signals

progress.PATIENCE, progress.BAR_INTERVAL, progress.LONGEST_END = 0.0, 0.0, 0.2
try:
    with signals.ended_by_signals(), progress.progress_shown(
        Client("token"), lambda: progress.Progress("lines"), quiet=False
    ):
        while select.select([], [2], [], 0)[1]:
            time.sleep(0.05)
        time.sleep(0.3)
        signal.raise_signal(signal.SIGTERM)
except signals.Ended as end:
    os._exit(end.status)
"""
    with started([*PYTHON, "-c", code]) as (process, _):
        assert 143 == process.wait(timeout=60)


def test_handlers_are_taken_back(account: Emulator) -> None:
    """`main` restores the signal handlers of the program, in any thread."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with ThreadPoolExecutor(1) as pool:
        assert [0, 0] == [main(["list", "-q"]), pool.submit(main, ["list", "-q"]).result()]
    assert 2 == len(account.requests)
    assert before == {number: signal.getsignal(number) for number in before}


@pytest.mark.parametrize("handle", [lambda *_: None, signal.SIG_IGN])
def test_handler_of_the_program(handle: Any) -> None:
    """Handlers of the program and ignored signals are left alone."""
    before = signal.signal(signal.SIGTERM, handle)
    try:
        with signals.ended_by_signals():
            assert handle is signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_client_is_usable(account: Emulator) -> None:
    """A client can be used after a signal that the program handled."""
    with Client(account.token, base_url=account.url) as client:
        with pytest.raises(signals.Ended) as caught, signals.ended_by_signals():
            signal.raise_signal(signal.SIGTERM)
        assert 143 == caught.value.status
        assert client.projects.list_resources().first_page().items is not None


def test_stop_without_a_bar(capfd: pytest.CaptureFixture[str]) -> None:
    """Stopping a command without a bar does not change the cursor."""
    with progress.cursor_shown():
        pass
    assert ("", "") == capfd.readouterr()
