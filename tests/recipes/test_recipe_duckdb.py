"""The export of an account in DuckDB."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes.conftest import recipe

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.usefixtures("emulator")
def test_duckdb(tmp_path: Path) -> None:
    """SQL counts the resources of the export by project and type."""
    command = Path(sys.executable).with_name("digitalocean-projects")
    with (tmp_path / "inventory.jsonl").open("wb") as export:
        subprocess.run([command, "inventory", "-o", "jsonl"], check=True, stdout=export)
    done = subprocess.run(
        [sys.executable, "-c", recipe("duckdb_inventory.py")],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
    )
    rows = [line.rsplit(" ", 3) for line in done.stdout.splitlines()]
    assert 1234 == sum(int(count) for _, _, count, _ in rows)
    assert {"web-shop", "first-project"} == {project for project, *_ in rows}
    assert "2024-01-01" == rows[0][3]
