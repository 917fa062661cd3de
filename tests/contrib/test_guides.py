"""The examples in the docstrings of public modules do what the text says."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import testing
from digitalocean_projects.contrib import doctl, fastapi, mcp, redis
from digitalocean_projects.contrib import pytest as plugin
from tests.guides import examples
from tests.programs import Programs

if TYPE_CHECKING:
    from pathlib import Path

    from digitalocean_projects.testing import Emulator
    from tests.contrib.conftest import Server
    from tests.forked import Forks
    from tests.guides import Example

pytestmark = pytest.mark.process


@pytest.fixture
def programs(forks: Forks, tmp_path: Path, account: Emulator) -> Programs:
    """Return a folder for programs, whose environment names the emulator."""
    environment = {"DIGITALOCEAN_API_URL": account.url, "DIGITALOCEAN_TOKEN": account.token}
    return Programs(forks, tmp_path, environment)


@pytest.mark.parametrize("example", examples(testing))
def test_testing(example: Example, programs: Programs) -> None:
    """Each example of the emulator prints the output that is shown behind it."""
    assert example.output
    assert (example.output, "", 0) == programs.run(example.code)


def test_doctl(programs: Programs, account: Emulator) -> None:
    """The example of doctl's contexts prints the projects of each account."""
    (example,) = examples(doctl)
    file = programs.folder / "config.yaml"
    file.write_text(f"access-token: {account.token}\n", "utf-8")
    code = f"import os\nos.environ['DIGITALOCEAN_CONFIG'] = {str(file)!r}\n{example.code}"
    assert (example.output, "", 0) == programs.run(code)


def test_redis(programs: Programs, shared_server: Server) -> None:
    """A client with shared limits works, once the URL is that of a server."""
    (example,) = examples(redis)
    code = example.code.replace("redis://localhost:6379/0", shared_server.url)
    assert code != example.code
    assert (example.output, "", 0) == programs.run(code)


def test_mcp(programs: Programs) -> None:
    """The example of a program that serves in another way has the output that is shown."""
    (example,) = examples(mcp)
    assert (example.output, "", 0) == programs.run(example.code)


def test_pytest(programs: Programs) -> None:
    """The tests in the guide of the fixtures pass."""
    (example,) = examples(plugin)
    passes(programs, example)


@pytest.mark.parametrize(
    ("app", "tests"), [pair for pair in pairwise(examples(fastapi)) if pair[1].tests]
)
def test_fastapi(app: Example, tests: Example, programs: Programs) -> None:
    """The tests behind each application pass."""
    (programs.folder / "app.py").write_text(app.code, "utf-8")
    passes(programs, tests)


def passes(programs: Programs, example: Example) -> None:
    """Check that the tests of an example pass."""
    (programs.folder / "test_example.py").write_text(example.code, "utf-8")
    output, errors, status = programs.run_pytest("-q", "-p", "anyio.pytest_plugin")
    assert ("", 0) == (errors, status), output
    assert f"{example.tests} passed in" in output
