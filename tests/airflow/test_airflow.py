"""The DAG of Airflow, in an environment of its own: Airflow needs older packages than the rest."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects.testing import seed_demo
from tests.contrib.conftest import Server

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

pytestmark = [pytest.mark.process, pytest.mark.redis, pytest.mark.slow]

# Airflow makes its database first.
LONG = 280
AIRFLOW = Path(sys.executable).with_name("airflow")


def test_airflow(account: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tasks of a DAG count the resources of each project, with one bucket in Redis."""
    seed_demo(account)
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "airflow_dag.py").write_bytes(Path(__file__).with_name("airflow_dag.py").read_bytes())
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    with tempfile.TemporaryDirectory(prefix="r") as folder:
        server = Server(folder)
        server.start()
        monkeypatch.setenv("REDIS_URL", server.url)
        try:
            for command in (["db", "migrate"], ["dags", "reserialize"]):
                subprocess.run([AIRFLOW, *command], capture_output=True, check=True, timeout=LONG)
            done = subprocess.run(
                [AIRFLOW, "dags", "test", "inventory"],
                capture_output=True,
                check=False,
                text=True,
                timeout=LONG,
            )
            assert 0 == done.returncode, done.stdout + done.stderr
            assert server.admin.keys("digitalocean-projects:*")
        finally:
            server.kill()
    listed = {request.path.split("/")[3] for request in account.requests if "res" in request.path}
    assert {project.id for project in account.projects()} == listed
