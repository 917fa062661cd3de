"""The command in a pipeline of the shell.

Most cases replace the standard streams of this process. The others start a process, since Python
handles the streams when it starts and exits.
"""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects._cli import main
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from digitalocean_projects.testing import Emulator

    Run = Callable[..., int]

# Without the development mode, in which asyncio warns on a slow machine.
COMMAND = [sys.executable, "-W", "error", "-m", "digitalocean_projects"]
ONE_WAVE = 16
NO_SPACE = "digitalocean-projects: [Errno 28] No space left on device\n"
CLOSED = "digitalocean-projects: [Errno 9] Bad file descriptor\n"
AGAIN = "# some resources may have been moved; it is safe to run the command again\n"


@pytest.fixture(autouse=True)
def _buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Python buffer what it writes to pipes and files, which is its default."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def in_bash(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which `$C` is the command; each part of a pipeline must succeed."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],  # noqa: S607 - found on the path
        capture_output=True,
        check=False,
        env={**os.environ, "C": shlex.join(COMMAND)},
        text=True,
        timeout=60,
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs the command in this process with other standard streams."""

    def run(*arguments: str, **streams: Any) -> int:
        with monkeypatch.context() as patch:
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            try:
                return main(arguments)
            except SystemExit as end:
                return int(end.code or 0)

    return run


@pytest.mark.process
def test_head(account: Emulator) -> None:
    """If the reader closes the pipe, no further request starts and the status is 0."""
    account.seed([f"do:droplet:{number}" for number in range(20_000)], default=True)
    done = in_bash("$C list -o jsonl | head -3")
    assert (0, "", 3) == (done.returncode, done.stderr, len(done.stdout.splitlines()))
    assert len(account.requests) <= 1 + ONE_WAVE


def test_reader_of_a_table_leaves(
    account: Emulator, run: Run, capsys: pytest.CaptureFixture[str], unread: int
) -> None:
    """That holds for a table, too."""
    account.seed([f"do:droplet:{number}" for number in range(20_000)], default=True)
    with os.fdopen(os.dup(unread), "w") as output:
        assert 0 == run("list", stdout=output)
    assert ("", "") == capsys.readouterr()
    assert len(account.requests) <= 1 + ONE_WAVE


def test_reader_of_the_demonstration_leaves(
    run: Run, capsys: pytest.CaptureFixture[str], unread: int
) -> None:
    """With `--demo`, a closed pipe is no failure either."""
    with os.fdopen(os.dup(unread), "w") as output:
        assert 0 == run("list", "--demo", stdout=output)
    assert [] == [line for line in capsys.readouterr().err.splitlines() if not line.startswith("#")]


def test_pipeline(
    account: Emulator, run: Run, capsys: pytest.CaptureFixture[str], say: Callable[[str], None]
) -> None:
    """`assign` accepts the output of `list`."""
    account.seed([f"do:droplet:{number}" for number in range(300)], default=True)
    web = account.seed(["do:domain:example.com"], name="web")
    assert 0 == run("list", "--format", "URN", "--no-header", "-q")
    say("\n".join(urn for urn in capsys.readouterr().out.split() if urn.endswith("9")))
    assert 0 == run("assign", web, "-", "-o", "jsonl")
    output = capsys.readouterr()
    assert (30, "") == (len(output.out.splitlines()), output.err)
    assert 31 == len(account.resources(web))


@pytest.mark.process
def test_interrupt(account: Emulator) -> None:
    """Ctrl-C ends the command at once, and a note says that resources may have moved."""
    account.fail(faults.Silence(), times=None)
    with subprocess.Popen(
        [*COMMAND, "assign", "default", "do:droplet:1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not account.requests:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (130, "", AGAIN) == (process.returncode, output, errors)
    assert 1 == len(account.requests)


@pytest.mark.parametrize(
    ("command", "note"),
    [
        (["list"], ""),
        (["report", "-o", "json"], ""),
        (["assign", "web", "do:droplet:1"], ""),
        (["unassign", "do:droplet:1", "-q"], AGAIN),
    ],
)
def test_note_after_an_interrupt(
    account: Emulator, capsys: pytest.CaptureFixture[str], command: list[str], note: str
) -> None:
    """An interrupted command prints a note only if it may have changed something."""
    account.fail(faults.Silence(), times=None)

    def interrupt() -> None:
        while not account.requests:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert 130 == main(command)
    thread.join()
    assert ("", note) == capsys.readouterr()
    assert 1 == len(account.requests)


CREATE = ["projects", "create", "shop", "--purpose", "IoT", "--format", "Name", "--no-header"]


@pytest.mark.parametrize(
    ("command", "method", "output", "errors"),
    [
        (CREATE, "POST", "", "# may have been created: shop\n"),
        (
            [*CREATE, "--default"],
            "PATCH",
            "shop\n",
            "# the project was created, and it may be the default project\n",
        ),
        (["projects", "update", "web", "--name", "x"], "GET", "", ""),
        (
            ["projects", "update", "web", "--name", "x"],
            "PATCH",
            "",
            "# may have been updated: web\n",
        ),
        (
            ["projects", "delete", "empty", "a\x01"],
            "GET",
            "",
            "# not deleted: empty\n# not deleted: 'a\\x01'\n",
        ),
        (
            ["projects", "delete", "empty", "web", "-q"],
            "DELETE",
            "",
            "# may have been deleted: empty\n# not deleted: web\n",
        ),
    ],
)
def test_projects_that_are_interrupted(  # noqa: PLR0917 - fixtures
    account: Emulator,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    method: str,
    output: str,
    errors: str,
) -> None:
    """An interrupted subcommand accounts for each project that it may have changed."""
    for name in ("empty", "web"):
        account.seed([], name=name)
    account.fail(faults.Silence(), when=lambda request: request.method == method, times=None)

    def interrupt() -> None:
        while not [request for request in account.requests if request.method == method]:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert 130 == main(command)
    thread.join()
    assert (output, errors) == capsys.readouterr()


@pytest.mark.parametrize(
    ("method", "options", "text"), [("POST", [], AGAIN), ("GET", ["--dry-run"], "")]
)
def test_reconcile_that_is_interrupted(  # noqa: PLR0917 - fixtures
    account: Emulator,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    method: str,
    options: list[str],
    text: str,
) -> None:
    """An interrupted `reconcile` prints a note unless it is a dry run."""
    file = tmp_path / "urns.txt"
    file.write_text("do:droplet:1\ndo:droplet:77\n", "utf-8")
    account.fail(faults.Silence(), when=lambda request: request.method == method, times=None)

    def interrupt() -> None:
        while not [request for request in account.requests if request.method == method]:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert 130 == main(["reconcile", "default", str(file), *options])
    thread.join()
    assert ("", text) == capsys.readouterr()


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe whose reader has closed it."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.process
def test_nobody_reads_the_notes(
    account: Emulator, run: Run, capsys: pytest.CaptureFixture[str], unread: int
) -> None:
    """Closed pipes do not change the exit status if resources were not assigned."""
    urns = [f"do:droplet:{number}" for number in range(301)]
    account.seed(urns)
    account.respond(403, when=lambda request: b"do:droplet:100" in request.body, times=None)
    command = ["assign", "default", *urns]
    done = subprocess.run(
        [*COMMAND, *command], check=False, stdout=unread, stderr=unread, timeout=60
    )
    assert 1 == done.returncode
    with os.fdopen(os.dup(unread), "w") as notes:
        assert 1 == run(*command, stderr=notes)
    assert 1 + 100 <= len(capsys.readouterr().out.splitlines())


@pytest.mark.process
@pytest.mark.parametrize(
    ("option", "expected", "unread_streams"),
    [("--help", 0, ["stdout"]), ("--no", 2, ["stdout", "stderr"])],
)
def test_nobody_reads_the_help(
    option: str, expected: int, unread_streams: list[str], unread: int
) -> None:
    """Closed pipes do not change the exit status of help and usage messages."""
    streams: dict[str, Any] = {"stderr": subprocess.PIPE, **dict.fromkeys(unread_streams, unread)}
    done = subprocess.run([*COMMAND, option], check=False, **streams, timeout=60)
    assert expected == done.returncode
    assert not done.stderr


@pytest.mark.process
@pytest.mark.usefixtures("account")
def test_full_disk() -> None:
    """A failure to write output is reported once, with exit status 1."""
    done = in_bash("$C list > /dev/full")
    assert (1, NO_SPACE) == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["list", "--help"], ["completion", "tcsh"]]
)
@pytest.mark.parametrize("buffering", [0, -1])
def test_help_on_a_full_disk(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], buffering: int
) -> None:
    """A failure to write other answers is reported, too, with and without a buffer."""
    with open("/dev/full", "wb", buffering=buffering) as disk:  # noqa: PTH123 - a device
        full = io.TextIOWrapper(disk, write_through=not buffering)
        assert 1 == run(*arguments, stdout=full)
        assert NO_SPACE == capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "json", "jsonl"])
def test_doubt_on_a_full_disk(
    account: Emulator,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    say: Callable[[str], None],
    form: str,
) -> None:
    """After a failure to write, resources with an unknown outcome are still reported."""
    account.seed(["do:droplet:1"], default=True)

    def run_on_a_full_disk(*arguments: str) -> str:
        with Path("/dev/full").open("w", encoding="utf-8") as full:
            assert 1 == run(*arguments, "-o", form, stdout=full)
        return capsys.readouterr().err

    assert NO_SPACE == run_on_a_full_disk("list")
    assert NO_SPACE == run_on_a_full_disk("assign", "default", "do:droplet:1")
    account.fail(
        faults.Omit(["do:droplet:2"]), when=lambda request: request.method == "POST", times=None
    )
    doubt = "# outcome unknown: do:droplet:2\n"
    assign = ["assign", "default", "do:droplet:1", "do:droplet:2"]
    assert NO_SPACE + doubt == run_on_a_full_disk(*assign)
    account.seed(["do:droplet:3"])
    say("do:droplet:1\ndo:droplet:2\ndo:droplet:3\n")
    counts = "# 1 added, 0 removed, 1 kept, 1 not moved\n"
    assert NO_SPACE + doubt + counts == run_on_a_full_disk("reconcile", "default")


@pytest.mark.parametrize(
    ("form", "encoding", "expected"),
    [
        ("text", "ascii", rb"do:domain:b\xfccher.example"),
        ("text", "latin-1", "do:domain:bücher.example".encode("latin-1")),
        ("json", "ascii", "do:domain:bücher.example".encode()),
        ("jsonl", "utf-16", "do:domain:bücher.example".encode()),
    ],
)
def test_names_that_the_encoding_lacks(
    account: Emulator, run: Run, form: str, encoding: str, expected: bytes
) -> None:
    """A table escapes characters that the encoding lacks; JSON is always in UTF-8."""
    account.seed(["do:domain:bücher.example"], default=True)
    output = io.TextIOWrapper(written := io.BytesIO(), encoding)
    assert 0 == run("list", "-o", form, stdout=output)
    assert expected in written.getvalue()


@pytest.mark.process
@pytest.mark.usefixtures("account")
def test_streams_that_the_shell_closes() -> None:
    """Output for a standard output that the shell has closed is an error."""
    done = in_bash("$C list >&- 2>&- <&-")
    assert (1, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("closed", "command", "expected"),
    [
        ("stderr", "list", (0, "URN  Assigned At  Status\n", "")),
        ("stdout", "list", (1, "", CLOSED)),
        ("stdout", "assign default do:droplet:404 -o json", (1, "", CLOSED)),
        ("stdout", "projects delete {} -q", (0, "", "")),
        ("stderr", "list no-such-project", (1, "", "")),
        ("stderr", "list --no-such-option", (2, "", "")),
        ("stdin", "assign default - -o json", (1, "", CLOSED)),
    ],
)
def test_closed_streams(
    account: Emulator,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    *,
    closed: str,
    command: str,
    expected: tuple[int, str, str],
) -> None:
    """A closed stream is an error where it is used, and does not affect the other streams."""
    arguments = command.format(account.seed()).split()
    assert expected == (run(*arguments, **{closed: None}), *capsys.readouterr())
