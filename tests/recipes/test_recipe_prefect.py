"""The flow of Prefect, with a temporary server of Prefect."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.contrib.conftest import Server
from tests.recipes.conftest import recipe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.redis, pytest.mark.slow]

# Prefect's server takes some time to make its database.
LONG = 300


@pytest.fixture
def redis() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        server = Server(folder)
        server.start()
        yield server
        server.kill()


@pytest.mark.usefixtures("emulator")
def test_prefect(redis: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks of a flow count the resources of each project, with one bucket in Redis."""
    monkeypatch.setenv("REDIS_URL", redis.url)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", str(LONG))
    program = tmp_path / "prefect_flow.py"
    program.write_text(recipe("prefect_flow.py"), "utf-8")
    done = subprocess.run(
        [sys.executable, str(program)], check=True, stdout=subprocess.PIPE, text=True, timeout=LONG
    )
    assert "{'web-shop': 200, 'first-project': 1034}" == done.stdout.strip()
    (key,) = redis.admin.keys("digitalocean-projects:*")
    assert key
