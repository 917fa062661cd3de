"""A folder for the files of a recipe, and the programs that serve them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects.testing import seed_demo
from tests.forked import PATIENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    Start = Callable[..., "Program"]


# Seconds: a guard against a hang.
_LONG = 120


class Program:
    """A program that goes on until it is told to end."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "dev", "-m", *arguments],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    def logged(self, pattern: str) -> str:
        """The group of the pattern, once something in the log matches it."""
        end = monotonic() + _LONG
        while not (found := re.search(pattern, self.log)):
            assert self.process.poll() is None, self.log
            assert monotonic() < end, self.log
            sleep(0.02)
        return found[1]

    def stop(self) -> None:
        """End it, which it does with nothing left open."""
        self.process.terminate()
        # Some raise the signal again once they are done.
        assert self.process.wait(_LONG) in {0, -signal.SIGTERM}, self.log
        assert "ResourceWarning" not in self.log, self.log


@pytest.fixture
def emulator(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator with the demonstration's account, named by the environment."""
    seed_demo(emulator)
    monkeypatch.setenv("DIGITALOCEAN_API_URL", emulator.url)
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", emulator.token)
    return emulator


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a module as a program in the test's folder, and leaves none behind."""
    programs: list[Program] = []

    def start(*arguments: str) -> Program:
        programs.append(Program(tmp_path, *arguments))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait(30)


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Runs a script in the test's folder; returns what it printed."""

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", PATIENT + code],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ},
            text=True,
            timeout=_LONG,
        )
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout

    return run
