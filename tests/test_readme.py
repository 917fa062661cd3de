"""README.rst does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import attrs
import docutils.core
import docutils.nodes
import pytest

import digitalocean_projects
from digitalocean_projects import testing
from digitalocean_projects.testing import Emulator, seed_demo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text("utf-8")


@attrs.frozen
class Block:
    language: str
    text: str


def blocks() -> list[Block]:
    """All code blocks; a markup fault is an exception."""
    settings = {"halt_level": 2, "report_level": 2, "syntax_highlight": "none"}
    document = docutils.core.publish_doctree(README, settings_overrides=settings)
    return [
        Block(node["classes"][1], node.astext())
        for node in document.findall(docutils.nodes.literal_block)
    ]


def examples() -> list[tuple[str, str]]:
    """The Python examples, each with the output shown behind it, if there is any."""
    return [
        (block.text, following.text if following.language == "none" else "")
        for block, following in pairwise([*blocks(), Block("", "")])
        if block.language == "python"
    ]


@pytest.mark.parametrize(("code", "output"), examples())
def test_example(code: str, output: str, tmp_path: Path) -> None:
    """Each example runs as it stands, on the demonstration's account, and prints what is shown.

    One that is made of tests passes.
    """
    command = ["-c", code]
    if "def test_" in code:
        (tmp_path / "test_example.py").write_text(code, "utf-8")
        command = ["-m", "pytest", "-q", "-W", "error", "-p", "no:asyncio", str(tmp_path)]
    with Emulator() as emulator:
        seed_demo(emulator)
        done = subprocess.run(
            [sys.executable, "-W", "error", *command],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env={
                **os.environ,
                "DIGITALOCEAN_API_URL": emulator.url,
                "DIGITALOCEAN_TOKEN": emulator.token,
            },
            text=True,
            timeout=30,
        )
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    tests = code.count("def test_")
    assert (f"{tests} passed in" in done.stdout) if tests else (output == done.stdout.rstrip())


def test_first_two_commands() -> None:
    """The first two commands are one line each; the second is what CI runs."""
    first, second = [block.text for block in blocks() if block.language == "shell"][:2]
    assert ([], []) == (first.splitlines()[1:], second.splitlines()[1:])
    run = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert second in map(str.strip, run)


def test_first_command() -> None:
    """What the first command runs, once it has installed the package, works."""
    first = next(block.text for block in blocks() if block.language == "shell")
    commands = first.split(" && ")[2:]
    name, path = ".venv/bin/digitalocean-projects", f"{sys.executable} -m digitalocean_projects"
    for command in commands:
        assert command.startswith(name)
        done = subprocess.run(
            command.replace(name, path).split(),
            capture_output=True,
            check=False,
            text=True,
            timeout=30,
        )
        assert 0 == done.returncode, done.stderr
        assert done.stdout


@pytest.mark.parametrize("module", [digitalocean_projects, testing])
def test_public_names_are_described(module: object) -> None:
    """README.rst mentions each public name that a user needs to know."""
    assert hasattr(module, "__all__")
    indirect = {"HasURN", "URNLike", "ResourceStatus", "DEFAULT_PROJECT", "RecordedRequest"}
    missing = [name for name in module.__all__ if name not in README and name not in indirect]
    assert [] == missing
