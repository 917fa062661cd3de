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
    from digitalocean_projects.testing import Emulator

COMMAND = [sys.executable, "-X", "dev", "-W", "error", "-m", "digitalocean_projects"]
ONE_WAVE = 16


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
    "command",
    [["list"], ["report", "-o", "json"], ["assign", "default", "do:droplet:1"]],
)
def test_interrupt(account: Emulator, command: list[str]) -> None:
    """Ctrl-C ends it at once, without a word."""
    account.fail(faults.Silence(), times=None)
    with subprocess.Popen(
        [*COMMAND, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while not account.requests:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (130, "", "") == (process.returncode, output, errors)
    assert 1 == len(account.requests)
