"""The command between others in the shell."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects.testing import Emulator

pytestmark = pytest.mark.process

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


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_head(account: Emulator, form: str) -> None:
    """When the reader has enough, no more is asked for than was under way, and all is well."""
    account.seed([f"do:droplet:{number}" for number in range(20_000)], default=True)
    done = in_bash(f"$C list -o {form} | head -3")
    assert (0, "", 3) == (done.returncode, done.stderr, len(done.stdout.splitlines()))
    assert len(account.requests) <= 1 + ONE_WAVE


def test_head_of_the_demonstration() -> None:
    """The same holds for what newcomers type."""
    done = in_bash("$C list --demo -o jsonl | head -3")
    assert (0, 3) == (done.returncode, len(done.stdout.splitlines()))
    assert [] == [line for line in done.stderr.splitlines() if not line.startswith("# on an emu")]


def test_pipeline(account: Emulator) -> None:
    """What one command lists, another one assigns."""
    account.seed([f"do:droplet:{number}" for number in range(300)], default=True)
    web = account.seed(["do:domain:example.com"], name="web")
    done = in_bash(
        "$C list --format URN --no-header -q | grep 9$ | $C assign web - -o jsonl | wc -l"
    )
    assert (0, "30\n", "") == (done.returncode, done.stdout, done.stderr)
    assert 31 == len(account.resources(web))


@pytest.mark.parametrize(
    ("command", "note"),
    [
        (["list"], ""),
        (["report", "-o", "json"], ""),
        (["assign", "web", "do:droplet:1"], ""),
        (["assign", "default", "do:droplet:1"], AGAIN),
        (["unassign", "do:droplet:1", "-q"], AGAIN),
    ],
)
def test_interrupt(account: Emulator, command: list[str], note: str) -> None:
    """Ctrl-C ends it at once, without a word if nothing can have been changed."""
    account.fail(faults.Silence(), times=None)
    with subprocess.Popen(
        [*COMMAND, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not account.requests:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (130, "", note) == (process.returncode, output, errors)
    assert 1 == len(account.requests)


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe whose reader has left."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


def test_nobody_reads_the_notes(account: Emulator, unread: int) -> None:
    """That nobody reads notes or output doesn't hide that resources were not assigned."""
    urns = [f"do:droplet:{number}" for number in range(301)]
    account.seed(urns)
    account.respond(403, when=lambda request: b"do:droplet:100" in request.body, times=None)
    command = [*COMMAND, "assign", "default", *urns]
    for output in unread, subprocess.PIPE:
        done = subprocess.run(command, check=False, stdout=output, stderr=unread, timeout=30)
        assert 1 == done.returncode
    assert 1 + 100 == len(done.stdout.splitlines())


@pytest.mark.parametrize(("option", "expected"), [("--help", 0), ("--version", 0), ("--no", 2)])
def test_nobody_reads_the_help(option: str, expected: int, unread: int) -> None:
    """Nor does it change the status of a call that is only told what is right."""
    for errors in unread, subprocess.PIPE:
        done = subprocess.run(
            [*COMMAND, option], check=False, stdout=unread, stderr=errors, timeout=30
        )
        assert expected == done.returncode
    assert bool(expected) == bool(done.stderr)


@pytest.mark.parametrize("form", ["text", "json", "jsonl"])
def test_full_disk(account: Emulator, form: str) -> None:
    """Output that can't be written is a failure, which hides nothing that is in doubt."""
    account.seed(["do:droplet:1"], default=True)
    done = in_bash(f"$C list -o {form} > /dev/full")
    assert (1, NO_SPACE) == (done.returncode, done.stderr)
    done = in_bash(f"$C assign default do:droplet:1 -o {form} > /dev/full")
    assert (1, NO_SPACE) == (done.returncode, done.stderr)
    account.fail(
        faults.Omit(["do:droplet:2"]), when=lambda request: request.method == "POST", times=None
    )
    doubt = "# it is unknown what became of do:droplet:2\n"
    done = in_bash(f"$C assign default do:droplet:1 do:droplet:2 -o {form} > /dev/full")
    assert (1, NO_SPACE + doubt) == (done.returncode, done.stderr)
    account.seed(["do:droplet:3"])
    script = "printf 'do:droplet:%s\\n' 1 2 3"
    done = in_bash(f"{script} | $C reconcile default -o {form} > /dev/full")
    counts = "# 1 added, 0 removed, 1 kept\n"
    assert (1, NO_SPACE + doubt + counts) == (done.returncode, done.stderr)


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
    account: Emulator, form: str, encoding: str, expected: bytes
) -> None:
    """A table has escapes for characters that the output's encoding lacks; JSON is UTF-8."""
    account.seed(["do:domain:bücher.example"], default=True)
    done = subprocess.run(
        [*COMMAND, "list", "-o", form],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=30,
    )
    assert expected in done.stdout


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("$C list 2>&-", (0, "URN  Assigned At  Status\n", "")),
        ("$C list >&-", (0, "", "# 0 resources on 1 pages\n")),
        ("$C list >&- 2>&- <&-", (0, "", "")),
        ("$C list no-such-project 2>&-", (1, "", "")),
        ("$C list --no-such-option 2>&-", (2, "", "")),
        ("$C assign default do:droplet:404 -o json >&-", (1, "", "")),
        ("$C assign default - -o json <&-", (0, "[]\n", "# there is nothing to assign\n")),
    ],
)
@pytest.mark.usefixtures("account")
def test_closed_streams(script: str, expected: tuple[int, str, str]) -> None:
    """What would go to a stream that the shell has closed goes to nowhere."""
    done = in_bash(script)
    assert expected == (done.returncode, done.stdout, done.stderr)
