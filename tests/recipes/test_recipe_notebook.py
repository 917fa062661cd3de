"""The examples of README.rst that make a table, in the kernel of a notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.readme import blocks

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Matplotlib may have to build its cache of fonts first.
LONG = 300
BEGIN = "from digitalocean_projects import AsyncClient, Client\n\nclient = Client()"
END = """
page = await AsyncClient().projects.list_resources().first_page()
page.total, len(pandas.read_parquet("resources.parquet")), open("resources.png", "rb").read(4)
"""


@pytest.mark.usefixtures("emulator")
def test_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clients work in the kernel's running loop, and pandas reads the rows."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    examples = blocks()
    (end,) = (number for number, block in enumerate(examples) if block.name == "notebook")
    codes = [BEGIN, examples[end - 1].text, examples[end].text, END]
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": str(number),
            "metadata": {},
            "outputs": [],
            "source": code,
        }
        for number, code in enumerate(codes)
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook = tmp_path / "notebook.ipynb"
    notebook.write_text(json.dumps(document), "utf-8")
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", str(notebook)]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=LONG)
    output = json.loads(notebook.read_text("utf-8"))["cells"][-1]["outputs"][-1]
    assert ["(1034, 1234, b'\\x89PNG')"] == output["data"]["text/plain"]
