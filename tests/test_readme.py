"""README.rst says what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects._cli import main
from digitalocean_projects.testing import Emulator, seed_demo
from tests.programs import Programs
from tests.readme import README, ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.forked import Forks

LONGEST = 450
# An example shows what it prints in comments, on lines of their own or behind a `print`.
PRINTED = re.compile(r"^# (.+)$|\bprint\(.*\)  # (.+)$", re.MULTILINE)
# The examples that are files.
FILES = {"nightly.py", "test_nightly.py", "tenants.py", "test_tenants.py"}
TEST_FAILURE = """
import nightly
import pytest


def test_failure(do_emulator, monkeypatch):
    do_emulator.seed(name="web")
    do_emulator.add_droplet(1, "web-1", ["shop", "web"])
    monkeypatch.setattr(nightly, "PROJECTS", {"shop": "web", "web": "first-project"})
    with pytest.raises(ValueError, match="do:droplet:1"):
        nightly.main()
    assert do_emulator.resources() == ["do:droplet:1"]
"""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """The emulator that README.rst tells its reader to start."""
    with Emulator() as emulator:
        seed_demo(emulator)
        yield emulator


@pytest.mark.process
@pytest.mark.usefixtures("account")
def test_session(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The examples run in order on one emulator, and print what their comments show."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    names: dict[str, Any] = {}
    for block in blocks()[2:]:
        if block.language == "python" and not block.name:
            exec(compile(block.text, "README.rst", "exec", dont_inherit=True), names)  # noqa: S102 - ours
            shown = ["".join(found) for found in PRINTED.findall(block.text)]
            assert shown == capsys.readouterr().out.splitlines()
        elif block.language == "shell":
            script = f"set -o errexit -o pipefail\n{block.text}"
            assert subprocess.run(
                ["/bin/bash", "-c", script], check=True, stdout=subprocess.PIPE
            ).stdout
    names["client"].close()


@pytest.mark.process
def test_files(forks: Forks, tmp_path: Path) -> None:
    """The tests that are examples pass, and nightly.py refuses a Droplet with two of the tags."""
    (tmp_path / "test_failure.py").write_text(TEST_FAILURE, "utf-8")
    for block in blocks():
        if block.name in FILES:
            (tmp_path / block.name).write_text(block.text, "utf-8")
    output, errors, status = Programs(forks, tmp_path).run_pytest("-q", "-p", "no:cacheprovider")
    assert ("", 0) == (errors, status), output
    assert "3 passed" in output


def test_named_blocks() -> None:
    """Each named block is run here or by the session `recipes`."""
    assert FILES | {"notebook"} == {block.name for block in blocks() if block.name}


def test_first_two_commands() -> None:
    """The first two commands are one line each; the second is what CI runs."""
    first, second = [block.text for block in blocks() if block.language == "shell"][:2]
    assert ([], []) == (first.splitlines()[1:], second.splitlines()[1:])
    run = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert second in map(str.strip, run)


def test_first_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The first command works, once it has installed the package."""
    first = next(block.text for block in blocks() if block.language == "shell")
    for command in first.split(" && ")[2:]:
        name, *arguments = command.split()
        assert ".venv/bin/digitalocean-projects" == name
        assert 0 == main(arguments)
        assert capsys.readouterr().out


def test_length() -> None:
    """README.rst is a guide: the reference is in the docstrings."""
    assert len(README.splitlines()) <= LONGEST
