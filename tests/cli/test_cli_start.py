"""The start of the command: Ctrl-C, and the modules that it loads."""

from __future__ import annotations

import json
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
lazy = {"digitalocean_projects.testing", "rich", "wcwidth", "yaml"}
for options in [], ["--demo"]:
    main(["report", "-q", *options])
    print(*lazy & {*sys.modules}, file=sys.stderr)
"""
LIGHT = """\
import json, sys
from digitalocean_projects._cli import main

# All modules of the client and of the emulator load attrs.
heavy = {"attrs", "shutil"} - {*sys.modules}
results = []
for line in sys.argv[1:]:
    try:
        status = main(line.split())
    except SystemExit as end:
        status = end.code
    results.append([line, status, *heavy & {*sys.modules}])
print(json.dumps(results))
"""
EMULATED = """\
import sys
from digitalocean_projects._cli import main
from digitalocean_projects._cli import emulator

def end(_):
    print(*{"cattrs", "msgspec", "digitalocean_projects._codec.models"} & {*sys.modules})
    raise KeyboardInterrupt

emulator.sleep = end
print(main(["emulator"]))
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


def test_arguments_need_no_client() -> None:
    """The version, help, completion and wrong arguments don't load what only a subcommand needs."""
    expected = {
        "--version": 0,
        "--help": 0,
        "list --help": 0,
        "projects create --help": 0,
        "projects resources assign --help": 0,
        "emulator --help": 0,
        "mcp --help": 0,
        "completion --help": 0,
        "completion bash": 0,
        "": 2,
        "projects": 2,
        "lits": 2,
        "list --nope": 2,
        "assign": 2,
        "list -o xml": 2,
        "list --format URN,Nope": 2,
        "list --timeout soon": 2,
        "list -t token": 2,
        "list --type vpc": 2,
        "assign web-shop do:droplet:1 --wait -1": 2,
        "projects create shop --purpose IoT --environment test": 2,
        "emulator --latency fast": 2,
    }
    done = run(LIGHT, *expected)
    assert [*map(list, expected.items())] == json.loads(done.stdout.splitlines()[-1])


def test_emulator_needs_no_client() -> None:
    """The subcommand `emulator` loads none of the client's modules before it serves."""
    assert ["", "130"] == run(EMULATED).stdout.splitlines()[-2:]
