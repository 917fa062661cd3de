"""README.rst does what it says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import digitalocean_projects
from digitalocean_projects import testing
from digitalocean_projects._cli import main
from digitalocean_projects.testing import Emulator, seed_demo
from tests.programs import Programs
from tests.readme import README, ROOT, blocks, examples

if TYPE_CHECKING:
    from pathlib import Path

    from tests.forked import Forks
    from tests.readme import Example


@pytest.mark.process
@pytest.mark.parametrize("example", [example for example in examples() if not example.name])
def test_example(example: Example, forks: Forks, tmp_path: Path) -> None:
    """Each example runs as it stands, on the demonstration's account, and prints what is shown.

    One that is made of tests passes.
    """
    tests = example.code.count("def test_")
    with Emulator() as emulator:
        seed_demo(emulator)
        environment = {
            "DIGITALOCEAN_API_URL": emulator.url,
            "DIGITALOCEAN_TOKEN": emulator.token,
        }
        programs = Programs(forks, tmp_path, environment)
        if tests:
            (tmp_path / "test_example.py").write_text(example.code, "utf-8")
            output, errors, status = programs.run_pytest("-q", "-p", "anyio.pytest_plugin")
        else:
            output, errors, status = programs.run(example.code)
    assert ("", 0) == (errors, status), output
    assert f"{tests} passed in" in output if tests else example.output == output.rstrip()


def test_recipes_are_run() -> None:
    """What isn't run here is run by the session `recipes`."""
    tests = (ROOT / "tests" / "recipes").glob("test_*.py")
    run = {name for test in tests for name in re.findall(r'recipe\("([^"]+)"\)', test.read_text())}
    assert {f"recipe-{name}" for name in run} == {block.name for block in blocks() if block.name}


def test_first_two_commands() -> None:
    """The first two commands are one line each; the second is what CI runs."""
    first, second = [block.text for block in blocks() if block.language == "shell"][:2]
    assert ([], []) == (first.splitlines()[1:], second.splitlines()[1:])
    run = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert second in map(str.strip, run)


def test_first_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What the first command runs, once it has installed the package, works."""
    first = next(block.text for block in blocks() if block.language == "shell")
    for command in first.split(" && ")[2:]:
        name, *arguments = command.split()
        assert ".venv/bin/digitalocean-projects" == name
        assert 0 == main(arguments)
        assert capsys.readouterr().out


@pytest.mark.parametrize("module", [digitalocean_projects, testing])
def test_public_names_are_described(module: object) -> None:
    """README.rst mentions each public name that a user needs to know."""
    assert hasattr(module, "__all__")
    indirect = {
        "HasURN",
        "ProjectLike",
        "URNLike",
        "ResourceStatus",
        "DEFAULT_PROJECT",
        "RecordedRequest",
    }
    missing = [name for name in module.__all__ if name not in README and name not in indirect]
    assert [] == missing
