"""The progress that the command shows on a terminal."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import Client, Limits, RetryPolicy
from digitalocean_projects._cli import main
from digitalocean_projects.testing import MockClock, faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator
    from digitalocean_projects.testing._recording import RecordedRequest

    Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """A terminal that records its text."""

    def isatty(self) -> bool:
        return True

    def shows(self, text: str, after: int = 0) -> bool:
        """Wait until `text` is shown after the first `after` characters."""
        end = time.monotonic() + 60
        while text not in self.getvalue()[after:]:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


class Shared(io.RawIOBase):
    """A standard output on the same terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._terminal.write(bytes(data).decode())
        return len(data)


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with 300 resources in `web` and one in the default project."""
    account.seed([f"do:droplet:{number}" for number in range(300)], name="web")
    account.seed(["do:domain:example.com"], default=True)
    return account


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal on which progress is shown at once."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("digitalocean_projects._cli.progress.PATIENCE", 0.01)
    for interval in ("BAR_INTERVAL", "FIRST_LINE", "LINES_INTERVAL"):
        monkeypatch.setattr(f"digitalocean_projects._cli.progress.{interval}", 0.01)
    monkeypatch.setattr("digitalocean_projects._cli.progress.STALLED", 60)
    return terminal


def hold(account: Emulator, where: str | int, until: Callable[[], bool]) -> list[bool]:
    """Delay a request by `until`; return the list of its results.

    Args:
        account: The emulator.
        where: A text in the request, or the number of the assignment.
        until: Function that delays the request.
    """
    results: list[bool] = []

    def look(request: RecordedRequest) -> bool:
        if isinstance(where, int):
            found = where == sum(request.method == "POST" for request in account.requests)
        else:
            found = where in repr(request)
        if not results and found:
            results.append(until())
        return False

    account.fail(faults.Reset(), when=look, times=None)
    return results


@pytest.mark.parametrize(
    ("command", "where", "shown"),
    [
        (["list", "web", "-o", "json"], "'page': '2'", "3 requests"),
        (["report"], "'page': '2'", "4 requests"),
        (["reconcile", "default", "urns"], 1, "4 requests"),
        (["assign", "default", "-"], 2, "100 of 300 resources"),
        (["unassign", "-"], 3, "200 of 300 resources"),
        (["apply", "wanted"], 3, "200 of 300 resources"),
        (["projects", "delete", "web", "--wait", "0.5"], "DELETE", "2 requests"),
    ],
)
@pytest.mark.parametrize("kind", ["rich", "without rich", "dumb terminal"])
def test_long_work(  # noqa: PLR0917 - fixtures
    account: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    say: Callable[[str], None],
    kind: str,
    command: list[str],
    where: str | int,
    shown: str,
) -> None:
    """During a request, a terminal shows the progress as a bar or in lines."""
    terminal = open_terminal(monkeypatch)
    if kind == "without rich":
        monkeypatch.setitem(sys.modules, "rich", None)
    elif kind == "dumb terminal":
        monkeypatch.setenv("TERM", "dumb")
    urns = "\n".join(f"do:droplet:{number}" for number in range(300))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "urns").write_text(urns, "utf-8")
    (tmp_path / "wanted").write_text(f"default = {urns.split()}", "utf-8")
    say(urns)
    results = hold(account, where, partial(terminal.shows, shown))
    assert (1 if "delete" in command else 0) == main(command)
    assert [True] == results
    drawn = terminal.getvalue()
    assert (kind == "rich") == ("\x1b[?25l" in drawn) == ("\x1b[?25h" in drawn) == ("━" in drawn)
    assert (kind != "rich") == (f"# {shown}\n" in drawn)


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_streamed_elsewhere(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, form: str, capsys: Capture
) -> None:
    """A listing that is streamed into a file or a pipe shows progress."""
    terminal = open_terminal(monkeypatch)
    results = hold(account, "'page': '2'", partial(terminal.shows, "200 of 300 resources"))
    assert 0 == main(["list", "web", "-o", form])
    assert [True] == results
    assert 300 <= len(capsys.readouterr().out.splitlines())


@pytest.fixture
def reporters(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that were started to show progress."""
    started: list[threading.Thread] = []

    class Reporter(threading.Thread):
        def start(self) -> None:
            started.append(self)
            super().start()

    monkeypatch.setattr("digitalocean_projects._cli.progress.Thread", Reporter)
    return started


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (["list", "web"], "do:droplet:100"),
        (["list", "web", "-o", "jsonl"], "do:droplet:100"),
        (["report", "-o", "jsonl"], '"web"'),
    ],
)
def test_streamed(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, command: list[str], written: str
) -> None:
    """On a terminal, a long wait is shown between two pages, and erased before the next one."""
    terminal = open_terminal(monkeypatch)
    raw: Any = Shared(terminal)
    output = io.TextIOWrapper(raw, "utf-8", write_through=True)
    monkeypatch.setattr("sys.stdout", output)
    where = "'page': '2'" if "list" in command else f"{web(account)}/resources"
    results = hold(account, where, partial(terminal.shows, "━"))
    assert 0 == main(command)
    assert [True] == results
    begin, _, end = terminal.getvalue().rpartition("\x1b[?25h")
    assert (1, True) == (terminal.getvalue().count(written), written in end or written in begin)
    for drawn in terminal.getvalue().split("\x1b[?25l")[1:]:
        assert written not in drawn.partition("\x1b[?25h")[0]


@pytest.mark.parametrize(
    "command",
    [
        ["list", "web"],
        ["list", "web", "-o", "json"],
        ["report"],
        ["assign", "web", "do:droplet:1"],
        ["reconcile", "web", "/dev/null"],
    ],
)
@pytest.mark.parametrize(("option", "expected"), [(["-q"], 0), (["--quiet"], 0), ([], 1)])
def test_quiet(  # noqa: PLR0917 - fixtures
    account: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    reporters: list[threading.Thread],
    command: list[str],
    option: list[str],
    expected: int,
) -> None:
    """`--quiet` suppresses progress."""
    open_terminal(monkeypatch)
    assert 0 == main([*command, *option])
    assert account.requests
    assert expected == bool(reporters)


def test_quick_work(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, reporters: list[threading.Thread]
) -> None:
    """Short work shows no progress."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr("digitalocean_projects._cli.progress.PATIENCE", 60)
    assert 0 == main(["list", "web", "-o", "json"])
    assert account.requests
    assert (2, "") == (len(reporters), terminal.getvalue())


def test_retries_are_no_progress(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    """A retried request counts once."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(
        "digitalocean_projects._facade.sync.Client",
        lambda token, **options: Client(token, **options, retry=RetryPolicy(base_delay=0)),
    )
    monkeypatch.setenv("TERM", "dumb")
    say("\n".join(account.resources(web(account))))
    account.fail(faults.Reset(), when=lambda request: request.method == "POST", times=2)
    line = "# 100 of 300 resources\n"
    # Two lines, since the first one may show the state before the request.
    results = hold(
        account,
        4,
        lambda: terminal.shows(line * 2, after=len(terminal.getvalue())),
    )
    assert 0 == main(["assign", "default", "-"])
    assert [True] == results
    assert 3 + 2 == len(account.requests)


def test_waiting_for_the_rate_limit(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    """The progress says when the work waits for the rate limit."""
    terminal = open_terminal(monkeypatch)
    clock = MockClock(rate=0)
    limits = Limits(windows=[(2, 60.0)])
    monkeypatch.setattr(
        "digitalocean_projects._facade.sync.Client",
        lambda token, **options: Client(token, **options, limits=limits, clock=clock),
    )
    waited = []

    def wait() -> None:
        waited.append(terminal.shows("200 of 300 resources, waiting for the rate limit"))
        clock.jump(120)

    thread = threading.Thread(target=wait)
    thread.start()
    say("\n".join(account.resources(web(account))))
    assert 0 == main(["assign", "default", "-"])
    thread.join()
    assert [True] == waited


def test_interrupt_before_anything_is_sent(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Ctrl-C before the first chunk was sent prints no note."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    limits = Limits(windows=[(1, 60.0)])
    monkeypatch.setattr(
        "digitalocean_projects._facade.sync.Client",
        lambda token, **options: Client(token, **options, limits=limits, clock=MockClock(rate=0)),
    )
    main_thread = threading.get_ident()

    def interrupt() -> None:
        terminal.shows("waiting for the rate limit")
        signal.pthread_kill(main_thread, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert 130 == main(["assign", "web", "do:droplet:1"])
    thread.join()
    assert 1 == len(account.requests)
    lines = set(terminal.getvalue().splitlines())
    waiting = "# 0 of 1 resource, waiting for the rate limit"
    assert f"{waiting} (about 61 s)" in lines
    # A slow machine also shows the request that looks the project up.
    assert lines <= {"# 1 request", "# 0 of 1 resource", waiting, f"{waiting} (about 61 s)"}
    assert "" == capsys.readouterr().out


class SlowSleep:
    """A clock on which a sleep lasts until the terminal shows a text."""

    def __init__(self, account: Emulator, shows: Callable[[], bool]) -> None:
        self._account = account
        self._shows = shows
        self._slept = 0.0
        self.shown: list[bool] = []

    def time(self) -> float:
        return time.monotonic() + self._slept

    async def sleep(self, seconds: float) -> None:
        self.shown.append(await asyncio.to_thread(self._shows))
        self._slept += seconds
        self._account.clock.jump(600)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["projects", "get", "default"], "1 request, waiting for a response (0 s so far)"),
        (["projects", "get", "web"], "1 request, waiting for the next attempt (about 9 s)"),
        (["unassign", "do:droplet:1", "--wait", "9"], "requests, waiting for the move"),
        (["projects", "delete", "web", "--wait", "9"], "waiting for resources to leave"),
    ],
)
def test_waits(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, command: list[str], text: str
) -> None:
    """The progress says what the command waits for."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("digitalocean_projects._cli.progress.STALLED", 0.02)
    clock = SlowSleep(account, partial(terminal.shows, text))
    retry = RetryPolicy(base_delay=9.0, jitter=lambda most: most)
    monkeypatch.setattr(
        "digitalocean_projects._facade.sync.Client",
        lambda token, **options: Client(token, retry=retry, clock=clock, **options),
    )
    shown = clock.shown
    account.move_delay = 500.0
    if "attempt" in text:
        account.fail(faults.Status(503))
    elif "response" in text:
        shown = hold(account, "GET", partial(terminal.shows, text))
    main(command)
    assert shown
    assert all(shown)


def web(account: Emulator) -> str:
    return next(project.id for project in account.projects() if project.name == "web")


def test_retry_below_a_bar(account: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note on a retry stands on a line of its own, although a bar is shown."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(
        "digitalocean_projects._facade.sync.Client",
        lambda token, **options: Client(token, retry=RetryPolicy(base_delay=0), **options),
    )
    results = hold(account, "'/v2/projects'", partial(terminal.shows, "1 request "))
    account.fail(faults.Reset(), when=lambda request: "/resources" in request.path)
    assert 0 == main(["report"])
    assert [True] == results
    drawn = terminal.getvalue()
    before, noted, after = drawn.partition("# attempt 1 of 4 failed")
    assert (True, True) == (bool(noted), before.endswith("\x1b[2K"))
    assert "\n" in after.partition("\x1b")[0]
    assert "1 requests" not in drawn
