"""README.rst's notebook, in a kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.readme import recipe

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.usefixtures("emulator")
def test_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clients work in a kernel's running loop, and what one cell makes the next one uses."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    example = recipe("notebook")
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": str(number),
            "metadata": {},
            "outputs": [],
            "source": cell,
        }
        for number, cell in enumerate(example.code.split("# %%\n")[1:])
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook = tmp_path / "notebook.ipynb"
    notebook.write_text(json.dumps(document), "utf-8")
    subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", "--inplace", notebook], check=True, timeout=60
    )
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    shown = ["".join(output["data"]["text/plain"]) for output in outputs]
    assert example.output.splitlines() == shown
