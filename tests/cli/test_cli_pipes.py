"""The command between others in the shell.

What the streams are is the same for `main` in this process, as far as it goes; a few cases run in a
process of their own, for what Python does with the streams when it starts and ends.
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

# Not in development mode, where asyncio complains of a slow machine.
COMMAND = [sys.executable, "-W", "error", "-m", "digitalocean_projects"]
ONE_WAVE = 16
NO_SPACE = "digitalocean-projects: [Errno 28] No space left on device\n"
AGAIN = "# some may have been assigned: to assign them again does no harm\n"


@pytest.fixture(autouse=True)
def _buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Python write to pipes and files as it usually does."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def in_bash(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in which the command is `$C`, where each part of a pipeline must succeed."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],  # noqa: S607 - wherever it is
        capture_output=True,
        check=False,
        env={**os.environ, "C": shlex.join(COMMAND)},
        text=True,
        timeout=60,
    )


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process, with other standard streams."""

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
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_head(account: Emulator, form: str) -> None:
    """When the reader has enough, no more is asked for than was under way, and all is well."""
    account.seed([f"do:droplet:{number}" for number in range(20_000)], default=True)
    done = in_bash(f"$C list -o {form} | head -3")
    assert (0, "", 3) == (done.returncode, done.stderr, len(done.stdout.splitlines()))
    assert len(account.requests) <= 1 + ONE_WAVE


def test_reader_of_the_demonstration_leaves(
    run: Run, capsys: pytest.CaptureFixture[str], unread: int
) -> None:
    """The same holds for what newcomers type."""
    with os.fdopen(os.dup(unread), "w") as output:
        assert 0 == run("list", "--demo", stdout=output)
    assert [] == [line for line in capsys.readouterr().err.splitlines() if not line.startswith("#")]


def test_pipeline(
    account: Emulator, run: Run, capsys: pytest.CaptureFixture[str], say: Callable[[str], None]
) -> None:
    """What one command lists, another one assigns."""
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
    """Ctrl-C ends it at once."""
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
    """An interrupted command says nothing if it can't have changed anything."""
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
    """An interrupted `reconcile` says that it may have changed something, unless it can't."""
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
    """A pipe whose reader has left."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.process
def test_nobody_reads_the_notes(
    account: Emulator, run: Run, capsys: pytest.CaptureFixture[str], unread: int
) -> None:
    """That nobody reads notes or output doesn't hide that resources were not assigned."""
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
    assert 1 + 100 == len(capsys.readouterr().out.splitlines())


@pytest.mark.process
@pytest.mark.parametrize(
    ("option", "expected", "unread_streams"),
    [("--help", 0, ["stdout"]), ("--no", 2, ["stdout", "stderr"])],
)
def test_nobody_reads_the_help(
    option: str, expected: int, unread_streams: list[str], unread: int
) -> None:
    """Nor does it change the status of a call that is only told what is right."""
    streams: dict[str, Any] = {"stderr": subprocess.PIPE, **dict.fromkeys(unread_streams, unread)}
    done = subprocess.run([*COMMAND, option], check=False, **streams, timeout=60)
    assert expected == done.returncode
    assert not done.stderr


@pytest.mark.process
@pytest.mark.usefixtures("account")
def test_full_disk() -> None:
    """Output that can't be written is a failure, which is reported once."""
    done = in_bash("$C list > /dev/full")
    assert (1, NO_SPACE) == (done.returncode, done.stderr)


@pytest.mark.parametrize("form", ["text", "json", "jsonl"])
def test_doubt_on_a_full_disk(
    account: Emulator,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    say: Callable[[str], None],
    form: str,
) -> None:
    """A failure to write hides nothing that is in doubt."""
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
    doubt = "# it is unknown what became of do:droplet:2\n"
    assign = ["assign", "default", "do:droplet:1", "do:droplet:2"]
    assert NO_SPACE + doubt == run_on_a_full_disk(*assign)
    account.seed(["do:droplet:3"])
    say("do:droplet:1\ndo:droplet:2\ndo:droplet:3\n")
    counts = "# 1 added, 0 removed, 1 kept\n"
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
    """A table has escapes for characters that the output's encoding lacks; JSON is UTF-8."""
    account.seed(["do:domain:bücher.example"], default=True)
    output = io.TextIOWrapper(written := io.BytesIO(), encoding)
    assert 0 == run("list", "-o", form, stdout=output)
    assert expected in written.getvalue()


@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("$C list >&- 2>&- <&-", (0, "", "")),
        ("$C assign default do:droplet:404 -o json >&-", (1, "", "")),
    ],
)
@pytest.mark.usefixtures("account")
def test_streams_that_the_shell_closes(script: str, expected: tuple[int, str, str]) -> None:
    """What would go to a stream that the shell has closed goes to nowhere."""
    done = in_bash(script)
    assert expected == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("closed", "command", "expected"),
    [
        ("stderr", "list", (0, "URN  Assigned At  Status\n", "")),
        ("stdout", "list", (0, "", "# 0 resources on 1 pages\n")),
        ("stderr", "list no-such-project", (1, "", "")),
        ("stderr", "list --no-such-option", (2, "", "")),
        ("stdin", "assign default - -o json", (0, "[]\n", "# there is nothing to assign\n")),
    ],
)
@pytest.mark.usefixtures("account")
def test_closed_streams(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    closed: str,
    command: str,
    expected: tuple[int, str, str],
) -> None:
    """The other streams are used as usual where Python finds one closed."""
    assert expected == (run(*command.split(), **{closed: None}), *capsys.readouterr())
