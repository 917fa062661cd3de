"""An interpreter that has loaded the package, and runs programs in children of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from pathlib import Path

# To load the package takes longer than most programs do. A child ends as an interpreter does.
_CODE = """
import gc, json, os, signal, sys
import digitalocean_projects, digitalocean_projects.testing, aiohttp, anyio

anyio.run(anyio.sleep, 0)  # loads its backend
gc.freeze()  # so that no child copies objects which it only looks at
for line in sys.stdin:
    program = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(300)  # ends one that hangs
        os.environ.update(program["environment"])
        os.chdir(program["folder"])
        sys.path.insert(0, "")
        os.dup2(os.open("out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open("err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        exec(compile(program["code"], "<program>", "exec"), {"__name__": "__main__"})
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
# Without the plugins that happen to be installed, each of which takes a while to load.
_PYTEST = """
import os, sys, pytest
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
sys.exit(pytest.main({arguments}))
"""


@attrs.frozen
class Done:
    """The end of a program."""

    status: int
    output: str
    errors: str


class Warm:
    """An interpreter in which each warning is an error."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)
        assert 0 == self._process.returncode

    def run(self, code: str, folder: Path, environment: dict[str, str] | None = None) -> Done:
        """Run a program in this folder, where it leaves its output."""
        program = {"code": code, "environment": environment or {}, "folder": str(folder)}
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(program), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        output, errors = ((folder / name).read_text("utf-8") for name in ("out", "err"))
        return Done(status, output, errors)

    def run_pytest(
        self, arguments: list[str], folder: Path, environment: dict[str, str] | None = None
    ) -> Done:
        """Run the tests in this folder with the plugin of the package."""
        # Wherever the folder is, no other project's configuration is this one's.
        (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
        plugin = ["-p", "digitalocean_projects.contrib.pytest"]
        arguments = ["-W", "error", "--strict-markers", *plugin, *arguments]
        return self.run(_PYTEST.format(arguments=arguments), folder, environment)
