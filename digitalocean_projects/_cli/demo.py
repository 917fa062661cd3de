"""Demo: the emulator with sample data, behind `--demo`, and the tour that shows it."""

from __future__ import annotations

import shlex
import shutil
import sys
from argparse import Namespace
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from time import perf_counter
from typing import TYPE_CHECKING

from digitalocean_projects._defaults import BASE_URL_VARIABLE, DEFAULT_PROJECT
from digitalocean_projects._facade.sync import Client
from digitalocean_projects._messages import TOKEN_VARIABLES
from digitalocean_projects.testing import Emulator, seed_demo

from .emulator import seed
from .output import RESOURCE_COLUMNS, Output
from .report import Summary, print_report
from .terminal import PROGRAM, Style, counted, note, styled, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from digitalocean_projects._codec.models import Resource

_SHOWN = 3
_MOVED = 3
_TYPES = 4
_URL, _TOKEN = BASE_URL_VARIABLE, TOKEN_VARIABLES[0]
_COMMANDS = f"""\
  {PROGRAM} emulator --demo       # in another terminal; it prints
  export {_URL}=...             # these lines
  export {_TOKEN}=...               # to paste here
  {PROGRAM} projects list
  {PROGRAM} list {{project}}
  {PROGRAM} reconcile --help"""
_ACCOUNT = (
    f"{PROGRAM} --help describes all commands and settings. To use your account, set {_TOKEN} to "
    f"your API token and leave {_URL} unset."
)


@contextmanager
def demo_client(*, quiet: bool, timeout: float, deadline: float | None) -> Iterator[Client]:
    """Yield a client of a new emulator with the sample data.

    Args:
        quiet: True to write no note on the emulator.
        timeout: As for `Client`.
        deadline: As for `Client`.
    """
    with Emulator() as emulator:
        note(f"demo emulator: {seed(emulator)}", quiet=quiet)
        with Client(
            emulator.token, base_url=emulator.url, timeout=timeout, deadline=deadline
        ) as client:
            yield client


def show_tour(_: Namespace) -> int:
    """List, move and count the resources of an emulator, and print the next commands to try."""
    with Emulator() as emulator, Client(emulator.token, base_url=emulator.url) as client:
        web_shop = client.projects.get(seed_demo(emulator))
        _print("A tour on a local emulator of the API. It needs no token and no network.")

        _print_heading("1. List the default project", "list")
        begin = perf_counter()
        listed = list(client.projects.list_resources(DEFAULT_PROJECT).pages())
        milliseconds = 1000 * (perf_counter() - begin)
        resources = [resource for page in listed for resource in page.items]
        _print_resources(resources[:_SHOWN], "URN,AssignedAt,Status")
        _print(
            f"These are the first {_SHOWN} of {counted(len(resources), 'resource')}, read from "
            f"{counted(len(listed), 'page')} in {milliseconds:.0f} ms."
        )

        _print_heading(
            f"2. Move {counted(_MOVED, 'resource')} to {web_shop.name}",
            f"assign {web_shop.name} URN...",
        )
        result = client.projects.assign_resources(web_shop, resources[:_MOVED])
        _print_resources(result.resources, "URN,Status")

        _print_heading("3. Count the resources by project and type", "report")
        pages = client.projects.resources_by_project().pages()
        print_report([Summary.of(page).shortened(_TYPES) for page in pages])

    _print_heading("4. Try it yourself")
    for command in _activation():
        print(f"  {command:<43} # in each terminal")
    print(_COMMANDS.format(project=web_shop.name))
    _print(_ACCOUNT)
    return 0


def _print(text: str) -> None:
    print(fill(text, terminal_width(), break_long_words=False, break_on_hyphens=False))


def _print_heading(text: str, command: str = "") -> None:
    print()
    print(styled(f"{text}: {PROGRAM} {command}" if command else text, Style.BOLD))


def _print_resources(resources: Sequence[Resource], names: str) -> None:
    options = Namespace(output="text", columns=names.split(","), no_header=False)
    Output(options, RESOURCE_COLUMNS).write(resources)


def _activation() -> list[str]:
    """Return the line that makes the shell find the command; none if it finds it already."""
    script = Path(sys.executable).with_name("activate")
    if shutil.which(PROGRAM) or not script.exists():
        return []
    return [f". {shlex.quote(str(script))}"]
