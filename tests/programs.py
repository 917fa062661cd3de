"""Programs of tests, each in its own process, which has imported the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.forked import Forks

_PROGRAM = """
import os, signal, sys
signal.alarm(0)  # the time of a test is not bounded by how busy the machine is
os.environ.update({environment})
os.chdir({folder!r})
sys.path.insert(0, "")
exec(compile({code!r}, "<program>", "exec", dont_inherit=True), {{"__name__": "__main__"}})
"""
# Other installed plugins are disabled, because each of them takes a while to load.
_PYTEST = """
import os, sys, pytest
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
sys.exit(pytest.main({arguments}))
"""
_PLUGIN = ["-p", "digitalocean_projects.contrib.pytest"]


@attrs.frozen
class Programs:
    """The working directory of programs, and their additional environment variables."""

    forks: Forks
    folder: Path
    environment: dict[str, str] = attrs.field(factory=dict)

    def run(self, code: str) -> tuple[str, str, int]:
        """Return the output, the errors and the exit status of a program."""
        program = _PROGRAM.format(environment=self.environment, folder=str(self.folder), code=code)
        return self.forks.start(program).end()

    def run_pytest(self, *arguments: str) -> tuple[str, str, int]:
        """Run the tests of the folder with the package's plugin; each warning is an error."""
        # An empty configuration keeps pytest from using that of a parent folder.
        (self.folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
        options = ["-W", "error", "--strict-markers", *_PLUGIN, *arguments]
        return self.run(_PYTEST.format(arguments=options))
