"""The start of the command: Ctrl-C, and the modules that it loads."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

pytestmark = pytest.mark.process

INTERRUPTED = """\
import signal, sys

class Interrupting:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == sys.argv[1]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
from digitalocean_projects.__main__ import main
sys.exit(main(["list", "--demo"]))
"""
LOADED = """\
import sys
from digitalocean_projects._cli import main
lazy = {"digitalocean_projects.testing", "rich", "shtab", "wcwidth", "yaml"}
for options in [], ["--demo"]:
    main(["report", "-q", *options])
    print(*lazy & {*sys.modules}, file=sys.stderr)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "module",
    [
        "digitalocean_projects._cli.program",
        "cattrs",
        "aiohttp",
        "digitalocean_projects.testing",
    ],
)
def test_interrupt_while_it_loads(module: str) -> None:
    """Ctrl-C ends the command without a message while any module loads."""
    done = run(INTERRUPTED, module)
    assert (130, "", "") == (done.returncode, done.stdout, done.stderr)


def test_what_is_loaded_for_its_use(account: Emulator) -> None:
    """The emulator and the optional packages are loaded only when they are used."""
    assert "\ndigitalocean_projects.testing\n" == run(LOADED).stderr
    assert account.requests
