"""What the command's subcommands on projects do where something is wrong."""

from __future__ import annotations

import os
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator, with two droplets in `web` and one elsewhere."""
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
    (["projects", "delete", "web", "--wait", "nan"], 2, "wait must be between 0 and 1e+09"),
    (["projects", "delete", "web", "--wait=-1"], 2, "wait must be between 0 and 1e+09"),
    (["assign", "shop", "do:droplet:1"], 1, "no project is named 'shop'"),
    (["unassign", "do:droplet:1", "droplet:2"], 2, "resources[1]: not a URN"),
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
    """A failure is one line, with its status, and changes nothing."""
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
        ["projects"],
        ["projects", "rename"],
        ["projects", "get"],
        ["projects", "create", "web"],
        ["projects", "create", "web", "--purpose", "IoT", "--environment", "moon"],
        ["projects", "delete", "web", "--wait", "long"],
        ["projects", "list", "-o", "xml"],
        ["move", "do:droplet:1", "--to", "web"],
        ["unassign"],
        ["reconcile"],
    ],
)
def test_usage(arguments: list[str], capsys: Capture) -> None:
    """A wrong call is told what is right."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert 2 == caught.value.code
    assert "usage: digitalocean-projects" in capsys.readouterr().err


def test_names_that_two_projects_have(account: Emulator, capsys: Capture) -> None:
    """A name that doesn't tell which project is meant is refused, with those that have it."""
    project = {"id": UNKNOWN, "name": "web"}
    account.respond(200, {"projects": [project, {**project, "id": UNKNOWN.replace("4", "5")}]})
    assert 1 == main(["list", "web"])
    assert f"2 projects are named 'web': {UNKNOWN}, " in capsys.readouterr().err


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_another_encoding(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, capsys: Capture
) -> None:
    """A list that is no UTF-8 is a failure, and nothing is changed."""
    file = tmp_path / "wanted"
    file.write_bytes("do:droplet:3\ndo:domain:bücher.example\n".encode("latin-1"))
    name = str(file) if source == "file" else "-"
    with file.open(encoding="utf-8") as wanted:
        monkeypatch.setattr("sys.stdin", wanted)
        assert 1 == main(["reconcile", "web", name, "--prune"])
    told = repr(name) if source == "file" else source
    assert f"digitalocean-projects: {told} is not in UTF-8\n" == capsys.readouterr().err
    assert ["do:droplet:3"] == account.resources()


def test_file_with_a_wrong_line(account: Emulator, capsys: Capture, tmp_path: Path) -> None:
    """A line that is no URN is a wrong call, and nothing is changed."""
    file = tmp_path / "wanted"
    file.write_text("do:droplet:3\ndroplet:1\n", "utf-8")
    assert 2 == main(["reconcile", "web", str(file), "--prune"])
    assert "resources[1]: not a URN of the form do:type:id: 'droplet:1'" in capsys.readouterr().err
    assert ["do:droplet:3"] == account.resources()


def test_names_from_elsewhere(account: Emulator, capsys: Capture) -> None:
    """What a server sends can't play with the terminal."""
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
    """An argument whose bytes are no text can't be sent, and is a wrong call."""
    assert 2 == main(["projects", "create", "\udcff", "--purpose", "IoT"])
    assert capsys.readouterr().err.startswith("digitalocean-projects: name ")


@contextmanager
def unread_output() -> Iterator[None]:
    """Make standard output a pipe whose reader has left."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", encoding="utf-8") as output, redirect_stdout(output):  # noqa: PTH123 - a descriptor
        yield


@pytest.mark.parametrize(
    "command", [["projects", "list"], ["projects", "get", "web", "-o", "json"], ["list", "web"]]
)
def test_reader_leaves(account: Emulator, command: list[str], capsys: Capture) -> None:
    """A reader that has seen enough ends the command quietly."""
    with unread_output():
        assert 0 == main(command)
    assert account.requests
    assert ("", "") == capsys.readouterr()


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize(("urn", "expected"), [("do:droplet:1", 0), ("do:droplet:404", 1)])
def test_reader_leaves_a_move(account: Emulator, output: str, urn: str, expected: int) -> None:
    """That nobody reads the output doesn't hide whether a resource was moved."""
    with unread_output():
        assert expected == main(["assign", "default", urn, "-o", output])
    assert (expected == 0) == (urn in account.resources())


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("output", ["text", "json"])
def test_reader_leaves_a_reconciliation(
    output: str, capsys: Capture, say: Callable[[str], None]
) -> None:
    """Nor does it hide that a project isn't in the wanted state."""
    say("do:droplet:404\n")
    with unread_output():
        assert 1 == main(["reconcile", "web", "-o", output])
    assert "# 0 added, 0 removed, 0 kept\n" == capsys.readouterr().err


def test_nothing_to_keep(account: Emulator, capsys: Capture, say: Callable[[str], None]) -> None:
    """An empty list of what to keep, as of a pipe that failed, prunes nothing."""
    say("")
    assert 2 == main(["reconcile", "web", "--prune"])
    assert "all would be pruned" in capsys.readouterr().err
    assert [] == account.requests
