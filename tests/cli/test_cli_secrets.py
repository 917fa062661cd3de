"""Tokens in the arguments and the input of the command."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]

TOKEN = "dop_v1_" + "0123456789abcdef" * 4
COMMANDS = [
    "",
    "demo",
    "list",
    "ls",
    "assign",
    "unassign",
    "reconcile",
    "plan",
    "apply",
    "report",
    "projects",
    "projects list",
    "projects get",
    "projects create",
    "projects update",
    "projects delete",
    "projects resources",
    "projects resources list",
    "projects resources assign",
    "emulator",
    "completion",
]


def status_of(arguments: list[str]) -> object:
    """Run the command, and return its exit status."""
    try:
        return main(arguments)
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "option",
    [
        "-t {}",
        "-t{}",
        "-t={}",
        "-t",
        "--access-token {}",
        "--access-token={}",
        "--access {}",
        "--a={}",
    ],
)
def test_doctls_option(command: str, option: str, capsys: Capture) -> None:
    """Options of doctl for a token are refused, and the message names the alternatives."""
    token = "swordfish"  # noqa: S105 - it does not look like a token
    assert 2 == status_of([*command.split(), *option.format(token).split()])
    output = capsys.readouterr()
    assert "argument -t/--access-token: " in output.err
    assert "set DIGITALOCEAN_TOKEN, or use --context" in output.err
    assert (False, "") == (token in output.err, output.out)


@pytest.mark.parametrize(
    "arguments",
    [
        "{}",
        "--token {}",
        "--token={}",
        "-T {}",
        "-T{}",
        "list {}",
        "list name:{}",
        "list default {}",
        "list -o {}",
        "list --output={}",
        "list --format {}",
        "list --format URN,{}",
        "list --format 'Bearer {}'",
        "list --out{}",
        "list -q{}",
        "list --quiet={}",
        "list --no-header={}",
        "list --context {}",
        "list --no={}",
        "report {}",
        "assign {} do:droplet:1",
        "assign default {}",
        "assign default do:droplet:1 {}",
        "move do:droplet:1 --to {}",
        "move do:droplet:1 --to={}",
        "unassign {}",
        "reconcile default {}",
        "reconcile {} nofile",
        "reconcile default nofile {}",
        "projects {}",
        "projects get {}",
        "projects create {} --purpose x",
        "projects create --name {} --purpose x",
        "projects create x --purpose {}",
        "projects create x --purpose x --description 'my {}'",
        "projects create x --purpose x --environment {}",
        "projects update default --name {}",
        "projects update default --default={}",
        "projects update default --environment {}",
        "projects delete {}",
        "projects delete default --wait {}",
        "projects resources assign default --resource={}",
        "projects resources assign default --resource=do:droplet:1,{}",
        "emulator --port {}",
        "emulator --host '{}'",
        "completion {}",
    ],
)
def test_token_as_argument(account: Emulator, capsys: Capture, arguments: str) -> None:
    """A token in another argument is neither printed nor sent to the API."""
    assert status_of(shlex.split(arguments.format(TOKEN))) in {1, 2}
    output = capsys.readouterr()
    assert "digitalocean-projects" in output.err
    assert TOKEN[:12] not in output.err + output.out
    assert TOKEN[7:20] not in output.err + output.out
    sent = [f"{request.path} {request.body!r}" for request in account.requests]
    assert [] == [text for text in sent if TOKEN in text]


@pytest.mark.parametrize(
    "arguments",
    [
        "--proxy {} list",
        "list --pro={}",
        "list --proxys={}",
        "list --timeout {}",
        "projects list {}",
    ],
)
def test_password_as_argument(account: Emulator, capsys: Capture, arguments: str) -> None:
    """A usage error masks the user and the password of a proxy in any argument."""
    assert 2 == status_of(arguments.format("http://user:swordfish@proxy.example:3128").split())
    error = capsys.readouterr().err
    assert "http://***@proxy.example:3128" in error
    assert ("swordfish" in error, "user:" in error, account.requests) == (False, False, [])


def test_abbreviations(account: Emulator, capsys: Capture) -> None:
    """An abbreviation of an option is unknown."""
    assert 2 == status_of(["list", "--out", "json"])
    assert "unrecognized arguments: --out" in capsys.readouterr().err
    assert [] == account.requests


@pytest.mark.parametrize("command", ["assign default -", "unassign -", "reconcile default"])
@pytest.mark.parametrize("line", ["{}", "do:droplet:1\n{}", "do:droplet:1 {}", "Bearer {}"])
def test_token_in_lines(
    account: Emulator, capsys: Capture, say: Callable[[str], None], command: str, line: str
) -> None:
    """A token in a line of standard input is not printed, and nothing is sent."""
    say(line.format(TOKEN))
    assert 2 == main(command.split())
    output = capsys.readouterr()
    assert (True, False) == ("***" in output.err, TOKEN[7:20] in output.err + output.out)
    assert [] == account.requests


def test_token_in_file(account: Emulator, capsys: Capture, tmp_path: Path) -> None:
    """A token in a file or its name is not printed, and nothing is sent."""
    file = tmp_path / TOKEN
    file.write_text(f"{TOKEN}\n")
    assert 2 == main(["reconcile", "default", str(file)])
    file.write_bytes(b"\xff")
    assert 1 == main(["reconcile", "default", str(file)])
    output = capsys.readouterr()
    assert (3, False) == (output.err.count("***"), TOKEN[7:20] in output.err + output.out)
    assert [] == account.requests


@pytest.mark.parametrize("token", ["swordfish", "sword"])
@pytest.mark.parametrize("arguments", ["list {}", "list -x{}", "-x {}", "assign default {}"])
def test_environments_token(
    account: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    token: str,
    arguments: str,
) -> None:
    """The token in the environment is not printed, even if it is a plain word."""
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", token)
    assert status_of(arguments.format(f"/{token}").split()) in {1, 2}
    output = capsys.readouterr()
    assert (True, False) == ("***" in output.err, token in output.err + output.out)
    assert all(account.token in request.headers["Authorization"] for request in account.requests)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell: str, capsys: Capture) -> None:
    """A shell does not complete the refused options."""
    assert 0 == main(["completion", shell])
    assert "access-token" not in capsys.readouterr().out


def test_token_in_other_places(account: Emulator, capsys: Capture) -> None:
    """A URN that contains a token is refused, and the message does not show it."""
    assert 2 == main(["assign", "default", f"do:droplet:{TOKEN}"])
    error = capsys.readouterr().err
    assert "argument URN: a URN must not contain an API token" in error
    assert TOKEN not in error
    assert [] == account.requests
