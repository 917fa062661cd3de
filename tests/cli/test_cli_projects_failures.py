"""The failures of the subcommands on projects."""

from __future__ import annotations

import os
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli import input as input_module
from digitalocean_projects._cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with two droplets in `web` and one in the default project."""
    account.seed(["do:droplet:1", "do:droplet:2"], name="web")
    account.seed(["do:droplet:3"], default=True)
    return account


FAILURES: list[tuple[list[str], int, str]] = [
    (["projects", "get", "shop"], 1, "no project is named 'shop'"),
    (["projects", "get", "Web"], 1, "no project is named 'Web'"),
    (["projects", "get", UNKNOWN], 1, "404 not_found"),
    (["projects", "create", "web", "--purpose", "IoT"], 1, "409 conflict"),
    (
        ["projects", "create", "", "--purpose", "IoT"],
        2,
        "name must have 1 to 175 characters, got 0",
    ),
    (
        ["projects", "create", "x" * 176, "--purpose", "IoT"],
        2,
        "name must have 1 to 175 characters, got 176",
    ),
    (["projects", "update", "web"], 2, "nothing to update: pass at least one of name, "),
    (["projects", "delete", "default"], 2, "the default project can't be deleted"),
    (["projects", "delete", "first-project"], 1, "400 bad_request"),
    (["projects", "delete", "shop", "default"], 2, "the default project can't be deleted"),
    (["projects", "delete", "Default"], 1, "Default: no project is named 'Default'"),
    (["projects", "delete", ""], 1, "digitalocean-projects: '': no project"),
    (["projects", "delete", "\x01"], 1, "digitalocean-projects: '\\x01': no project"),
    (["projects", "delete", "a\udcff"], 1, "digitalocean-projects: 'a\\udcff': no project"),
    (["reconcile", "web", "\udcff"], 1, "No such file or directory: "),
    (
        ["projects", "list", "--demo", "--proxy", "none"],
        2,
        "--proxy must not be passed with --demo",
    ),
    (["projects", "list", "--timeout", "0"], 2, "timeout must be positive and at most"),
    (["projects", "list", "--deadline", "nan"], 2, "deadline must be positive and at most"),
    (["assign", "shop", "do:droplet:1"], 1, "no project is named 'shop'"),
    (["unassign", "do:droplet:1", "droplet:2"], 2, "argument URN: "),
    (["unassign", "do:vpc:1"], 1, "400 bad_request"),
    (["reconcile", "shop"], 1, "no project is named 'shop'"),
    (["reconcile", "default", "--prune"], 2, "the default project can't be pruned"),
    (["reconcile", "first-project", "--prune"], 2, "the default project can't be pruned"),
    (["reconcile", "web", "no-such-file"], 1, "No such file or directory: 'no-such-file'"),
    (["reconcile", "web", "."], 1, "Is a directory: '.'"),
]


@pytest.mark.parametrize(("arguments", "expected", "text"), FAILURES)
def test_failures(  # noqa: PLR0917 - fixtures
    account: Emulator,
    capsys: Capture,
    say: Callable[[str], None],
    arguments: list[str],
    expected: int,
    text: str,
) -> None:
    """A failure prints one line and changes nothing."""
    before = account.projects()
    say("do:droplet:1\n")
    assert expected == main(arguments)
    output = capsys.readouterr()
    assert output.err.startswith("digitalocean-projects: ")
    assert ("", True, 1) == (output.out, text in output.err, output.err.count("\n"))
    assert (before, ["do:droplet:3"]) == (account.projects(), account.resources())
    assert account.token not in output.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["projects", "rename"],
        ["projects", "get"],
        ["projects", "create", "web"],
        ["projects", "create", "web", "--purpose", "IoT", "--environment", "moon"],
        ["projects", "delete", "web", "--wait", "long"],
        ["projects", "delete", "web", "--wait", "nan"],
        ["assign", "web", "do:droplet:1", "--wait=-1"],
        ["projects", "list", "--timeout", "long"],
        ["projects", "list", "--demo", "--context", "work"],
        ["projects", "list", "--all-contexts"],
        ["projects", "list", "-o", "xml"],
        ["move", "do:droplet:1", "--to", "web"],
        ["unassign"],
        ["reconcile"],
    ],
)
def test_usage(arguments: list[str], capsys: Capture) -> None:
    """An invalid call prints the usage."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert 2 == caught.value.code
    assert "usage: digitalocean-projects" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "name", "text"),
    [
        ("list --output", "list", "argument -o/--output: expected one argument"),
        ("list --no-such", "list", "unrecognized arguments: --no-such"),
        ("unassign do:droplet:1 --no-such -o xml", "unassign", "argument -o/--output"),
        ("projects get web --no-such x", "projects get", "unrecognized arguments: --no-such x"),
        ("projects resources ls web --wait 1", "projects resources list", "unrecognized arguments"),
        ("projects --no-such", "projects", "unrecognized arguments: --no-such"),
        ("--no-such", "", "unrecognized arguments: --no-such"),
    ],
)
def test_usage_of_the_subcommand(arguments: str, name: str, text: str, capsys: Capture) -> None:
    """A wrong argument of a subcommand prints the usage of that subcommand."""
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert 2 == caught.value.code
    error = capsys.readouterr().err
    program = f"digitalocean-projects {name}".strip()
    assert error.startswith(f"usage: {program} [-h]")
    assert f"\n{program}: error: {text}" in error
    assert error.endswith(f"\nTry '{program} --help'.\n")


def test_names_that_two_projects_have(account: Emulator, capsys: Capture) -> None:
    """A name that two projects have is refused, with the ids of both."""
    project = {"id": UNKNOWN, "name": "web"}
    account.respond(200, {"projects": [project, {**project, "id": UNKNOWN.replace("4", "5")}]})
    assert 1 == main(["list", "web"])
    assert f"2 projects are named 'web': {UNKNOWN}, " in capsys.readouterr().err


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_another_encoding(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, capsys: Capture
) -> None:
    """A list that is not in UTF-8 is refused with its first such line, and nothing changes."""
    file = tmp_path / "wanted"
    file.write_bytes(b"\xef\xbb\xbfdo:droplet:3\n\xfc.example\n")
    name = str(file) if source == "file" else "-"
    with file.open(encoding="utf-8") as wanted:
        monkeypatch.setattr("sys.stdin", wanted)
        assert 1 == main(["reconcile", "web", name, "--prune"])
    place = name if source == "file" else source
    error = capsys.readouterr().err
    assert f"digitalocean-projects: {place}:2: the text must be in UTF-8\n" == error
    assert ["do:droplet:3"] == account.resources()


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (["reconcile", "web", "wanted", "--prune"], "wanted:4"),
        (["reconcile", "web", "-"], "standard input:4"),
        (["assign", "web", "do:droplet:3", "-"], "standard input:4"),
        (["unassign", "do:droplet:3", "droplet:1"], "argument URN"),
    ],
)
def test_wrong_line(  # noqa: PLR0917 - fixtures
    account: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    say: Callable[[str], None],
    capsys: Capture,
    command: list[str],
    place: str,
) -> None:
    """A text that is not a URN is refused with its file and line, and nothing is sent."""
    lines = "# wanted\x0cby\u2028us\n\ndo:droplet:3\n droplet:1\ndo:droplet:4\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wanted").write_text(lines, "utf-8")
    say(lines)
    assert 2 == main(command)
    error = capsys.readouterr().err
    assert error.startswith(f"digitalocean-projects: {place}: ")
    assert "'droplet:1'" in error
    assert [] == account.requests


def test_long_list(account: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A text without an end is refused, and nothing is sent."""
    monkeypatch.setattr(input_module, "_LARGEST", 1000)
    assert 1 == main(["reconcile", "web", "/dev/zero"])
    expected = "digitalocean-projects: /dev/zero: the text must have at most 1,000 bytes\n"
    assert expected == capsys.readouterr().err
    assert [] == account.requests


def test_names_from_elsewhere(account: Emulator, capsys: Capture) -> None:
    """Control characters from the server are not printed."""
    project = {"id": UNKNOWN, "name": "\x1b[2Jgone\nmore", "environment": "\x07"}
    account.respond(200, {"projects": [project]})
    assert 0 == main(["projects", "list"])
    assert (
        f"{UNKNOWN}  [2Jgone more               false" == (capsys.readouterr().out.splitlines()[1])
    )
    account.respond(200, {"projects": [project]})
    assert 1 == main(["projects", "get", "\x1b[2J"])
    assert "no project is named '\\x1b[2J'" in capsys.readouterr().err


@pytest.mark.usefixtures("account")
def test_name_that_is_no_text(capsys: Capture) -> None:
    """An argument that is not valid text is refused."""
    assert 2 == main(["projects", "create", "\udcff", "--purpose", "IoT"])
    assert capsys.readouterr().err.startswith("digitalocean-projects: name ")


@contextmanager
def unread_output() -> Iterator[None]:
    """Make standard output a pipe whose reader has closed it."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", encoding="utf-8") as output, redirect_stdout(output):  # noqa: PTH123 - a descriptor
        yield


@pytest.mark.parametrize(
    "command", [["projects", "list"], ["projects", "get", "web", "-o", "json"], ["list", "web"]]
)
def test_reader_leaves(account: Emulator, command: list[str], capsys: Capture) -> None:
    """A closed pipe ends the command without a message."""
    with unread_output():
        assert 0 == main(command)
    assert account.requests
    assert ("", "") == capsys.readouterr()


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize(("urn", "expected"), [("do:droplet:1", 0), ("do:droplet:404", 1)])
def test_reader_leaves_a_move(account: Emulator, output: str, urn: str, expected: int) -> None:
    """A closed pipe does not change the exit status of `assign`."""
    with unread_output():
        assert expected == main(["assign", "default", urn, "-o", output])
    assert (expected == 0) == (urn in account.resources())


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("output", ["text", "json"])
def test_reader_leaves_a_reconciliation(
    output: str, capsys: Capture, say: Callable[[str], None]
) -> None:
    """A closed pipe does not change the exit status of `reconcile`."""
    say("do:droplet:404\n")
    with unread_output():
        assert 1 == main(["reconcile", "web", "-o", output])
    assert "# 0 added, 0 removed, 0 kept, 1 not moved\n" == capsys.readouterr().err


def test_nothing_to_keep(account: Emulator, capsys: Capture, say: Callable[[str], None]) -> None:
    """`reconcile --prune` refuses an empty list, as from a failed pipe."""
    say("")
    assert 2 == main(["reconcile", "web", "--prune"])
    assert "resources must not be empty with prune=True" in capsys.readouterr().err
    assert ["do:droplet:3"] == account.resources()
