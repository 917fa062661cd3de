"""The command: listing, assigning, failures, and the emulator."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import Client, __version__
from digitalocean_projects._cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

# Without the development mode, in which asyncio warns on a slow machine.
COMMAND = [sys.executable, "-W", "error", "-m", "digitalocean_projects"]

# A search for refused resources learns nothing from resources that have different types.
TYPES = [f"type{number}" for number in range(100)]


def test_list(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """`list` prints a line for each resource, and the counts on standard error."""
    web = account.seed(["do:droplet:1", "do:app:a"], name="web")
    account.seed(["do:droplet:2"], default=True)
    assert 0 == main(["list", web])
    assert (
        "URN           Assigned At           Status\n"
        "do:droplet:1  2024-01-01T00:00:02Z  ok\n"
        "do:app:a      2024-01-01T00:00:01Z  ok\n"
    ) == capsys.readouterr().out
    assert 0 == main(["list"])
    output = capsys.readouterr()
    assert ["URN", "do:droplet:2"] == [line.split()[0] for line in output.out.splitlines()]
    assert "# 1 resource on 1 page\n" == output.err


@pytest.mark.parametrize("quiet", [False, True])
def test_retry(account: Emulator, capsys: pytest.CaptureFixture[str], *, quiet: bool) -> None:
    """A retry leaves a note, unless notes are suppressed."""
    account.seed(["do:droplet:1"], name="web")
    # The retry on a reused connection has no delay.
    account.respond_raw(b"", when=lambda request: request.path.endswith("/resources"))
    assert 0 == main(["list", "web", *(["-q"] if quiet else [])])
    (noted, *_) = [*capsys.readouterr().err.splitlines(), ""]
    expected = "# attempt 1 of 4 failed, the next one starts at once: http://127.0.0.1:"
    assert quiet is not noted.startswith(expected)


@pytest.mark.parametrize("option", ["--verbose", "-vq", "--trace"])
def test_verbose(account: Emulator, capsys: pytest.CaptureFixture[str], option: str) -> None:
    """`--verbose` writes a line for each request, without the token."""
    account.respond(200, {"resources": []}, {"x-request-id": "id-1"})
    assert 0 == main(["list", "-o", "json", option])
    line = capsys.readouterr().err
    assert line.startswith("# GET /v2/projects/default/resources?page=1&per_page=200: 200 in ")
    assert line.endswith(" ms, attempt 1, request id id-1\n")
    account.respond(404, headers={"x-request-id": account.token})
    assert 1 == main(["list", option])
    output = capsys.readouterr()
    assert (True, False) == ("request id ***" in output.err, account.token in output.err)


def test_list_as_json(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON output has the shape of the API."""
    account.seed(["do:droplet:2"], default=True)
    assert 0 == main(["list", "-o", "json"])
    assert [
        {
            "urn": "do:droplet:2",
            "assigned_at": "2024-01-01T00:00:01.007900Z",
            "links": {"self": "https://api.digitalocean.com/v2/droplets/2"},
            "status": "ok",
        }
    ] == json.loads(capsys.readouterr().out)


def test_list_of_a_changing_project(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """A listing that changed while it was read is reported."""
    resource = {"urn": "do:droplet:1"}
    account.respond(200, {"resources": [resource, resource]}, times=None)
    for options, expected in (["list"], 0), (["list", "--strict", "-o", "json"], 1):
        assert expected == main(options)
        assert "the listing changed while it was read" in capsys.readouterr().err


def test_assign(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """`assign` prints a line for each resource, and exits with 0 if all were assigned."""
    web = account.seed(["do:droplet:1"], name="web")
    account.seed(["do:droplet:2"])
    assert 0 == main(["assign", web, "do:droplet:1", "do:droplet:2"])
    lines = capsys.readouterr().out.splitlines()
    assert [["do:droplet:1", "already_assigned"], ["do:droplet:2", "assigned"]] == [
        line.split()[::2] for line in lines[1:]
    ]


def test_assign_from_standard_input(
    account: Emulator, capsys: pytest.CaptureFixture[str], say: Callable[[str], None]
) -> None:
    """A dash reads URNs from the lines of standard input, and skips empty lines."""
    account.seed(["do:droplet:1", "do:droplet:2", "do:droplet:3"])
    say("\ufeffdo:droplet:2\n\n  do:droplet:3 \n")
    assert 0 == main(["assign", "default", "do:droplet:1", "-", "-o", "json"])
    printed = [resource["urn"] for resource in json.loads(capsys.readouterr().out)]
    assert ["do:droplet:1", "do:droplet:2", "do:droplet:3"] == printed


def test_assign_what_is_not_there(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """`assign` exits with 1 if a resource was not, or may not have been, assigned."""
    assert 1 == main(["assign", "default", "do:droplet:1"])
    assert ["do:droplet:1", "N/A", "not_found"] == capsys.readouterr().out.split()[-3:]
    account.respond(200, {"resources": []})
    assert 1 == main(["assign", "default", "do:droplet:1"])
    assert "# outcome unknown: do:droplet:1\n" == capsys.readouterr().err


def test_assign_fails_later(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """After a failed chunk, the results of the other chunks are printed."""
    urns = [f"do:droplet:{number}" for number in range(201)]
    account.seed(urns)
    account.respond(403, when=lambda request: b"do:droplet:100" in request.body)
    assert 1 == main(["assign", "default", *urns])
    output = capsys.readouterr()
    done = [line.split()[0] for line in output.out.splitlines()[1:]]
    assert urns[:100] == done[:100]
    rest = [urn for urn in urns if urn not in done]
    assert urns[100:200] == rest[:100]
    assert [f"# not moved: {urn}" for urn in rest] == output.err.splitlines()[:-1]
    assert output.err.splitlines()[-1].startswith("digitalocean-projects: 403 (POST /v2/")


@pytest.mark.parametrize("command", [["assign", "default"], ["unassign"]])
def test_refused_resource(
    account: Emulator, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """A refused resource does not stop the others, and the API's reason is printed."""
    account.seed(["do:droplet:2", "do:droplet:3"])
    assert 1 == main([*command, "do:droplet:2", "do:vpc:1", "do:droplet:3"])
    output = capsys.readouterr()
    rows = [line.split() for line in output.out.splitlines()[1:]]
    assert [
        ("do:droplet:2", "assigned"),
        ("do:vpc:1", "refused"),
        ("do:droplet:3", "assigned"),
    ] == [(row[0], row[-1]) for row in rows]
    explanation = "400 bad_request: resource types must be one of the following: app dbaas "
    assert output.err.startswith(f"digitalocean-projects: do:vpc:1: {explanation}")
    assert 1 == output.err.count("\n")


@pytest.mark.parametrize("emulator", [{"resource_types": TYPES}], indirect=True)
def test_undecided_resources(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Resources that were never accepted or refused alone are reported, with exit status 1."""
    urns = [f"do:{name}:1" for name in TYPES]
    account.seed(urns)
    refused = [f'"{urn}"'.encode() for urn in urns[60::10]]
    account.respond(412, when=lambda request: any(u in request.body for u in refused), times=None)
    assert 1 == main(["assign", "default", *urns])
    output = capsys.readouterr()
    untouched = [line.split()[-1] for line in output.err.splitlines() if "# not moved" in line]
    assert untouched
    assert sorted(urns) == sorted(
        untouched + [line.split()[0] for line in output.out.splitlines()[1:]]
    )


@pytest.mark.parametrize(
    ("arguments", "expected", "text"),
    [
        (["list", "00000000-0000-0000-0000-000000000000"], 1, "404 not_found"),
        (["list", "web"], 1, "no project is named 'web'"),
        (["assign", "default", "droplet:1"], 2, "argument URN: "),
        (["emulator", "--host", "192.0.2.1", "--port", "65535"], 1, "ssign requested address"),
    ],
)
def test_failures(
    account: Emulator,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: int,
    text: str,
) -> None:
    """A failure prints one line and no traceback."""
    assert expected == main(arguments)
    error = capsys.readouterr().err
    assert error.startswith("digitalocean-projects: ")
    assert (text in error, 1) == (True, error.count("\n"))
    assert account.token not in error


def test_no_token(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token, the command says how to get one or go without, and exits with 2."""
    monkeypatch.delenv("DIGITALOCEAN_TOKEN", raising=False)
    monkeypatch.delenv("DIGITALOCEAN_ACCESS_TOKEN", raising=False)
    assert 2 == main(["list"])
    error = capsys.readouterr().err
    assert "set DIGITALOCEAN_TOKEN, pass --context, or try --demo" in error


@pytest.mark.parametrize("arguments", [["no-such-command"], ["assign", "default"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid call prints the usage, the reason, and the option for help."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert 2 == caught.value.code
    error = capsys.readouterr().err
    assert error.startswith("usage: digitalocean-projects")
    assert error.endswith("--help'.\n")


@pytest.mark.parametrize("arguments", [[], ["projects"], ["projects", "resources"]])
def test_without_a_subcommand(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command without its subcommand prints the help on standard error, and exits with 2."""
    assert 2 == main(arguments)
    output = capsys.readouterr()
    assert "" == output.out
    assert output.err.startswith(f"usage: {' '.join(['digitalocean-projects', *arguments])} [-h]")
    assert "\ncommands:\n" in output.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version of the package."""
    with pytest.raises(SystemExit):
        main(["--version"])
    assert f"{__version__}\n" == capsys.readouterr().out


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    """`--demo` lists sample resources without a token."""
    assert 0 == main(["list", "--demo"])
    output = capsys.readouterr()
    assert 1 + 1034 == len(output.out.splitlines())
    assert [
        "# demo emulator: projects web-shop and first-project (default)",
        "# 1,034 resources on 6 pages",
    ] == output.err.splitlines()


PASTE = (
    "# paste these lines into another terminal, or open the URL in a browser; press Ctrl-C to stop"
)


@pytest.mark.process
def test_emulator() -> None:
    """`emulator` prints variables for the shell, and runs until Ctrl-C."""
    with subprocess.Popen(
        [*COMMAND, "emulator", "--demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            variables = dict(
                process.stdout.readline().strip().removeprefix("export ").split("=", 1)
                for _ in range(2)
            )
            with Client(
                variables["DIGITALOCEAN_TOKEN"], base_url=variables["DIGITALOCEAN_API_URL"]
            ) as client:
                assert 1034 == client.projects.list_resources().first_page().total
        finally:
            os.kill(process.pid, signal.SIGINT)
        assert 130 == process.wait(timeout=30)
        assert [
            "# projects web-shop and first-project (default)",
            PASTE,
        ] == process.stderr.read().splitlines()


@pytest.mark.parametrize("port", ["70000", "-1", "x", "²", "٨٠"])
def test_wrong_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A port outside of 0 to 65535 is refused."""
    with pytest.raises(SystemExit) as caught:
        main(["emulator", f"--port={port}"])
    assert 2 == caught.value.code
    assert "argument --port: must be from 0 to 65535, got" in capsys.readouterr().err


def test_status_from_elsewhere(account: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters from the server are not printed."""
    account.respond(200, {"resources": [{"urn": "do:droplet:1", "status": "\x1b[2Jgone"}]})
    assert 0 == main(["list"])
    assert ["do:droplet:1", "N/A", "[2Jgone"] == capsys.readouterr().out.split()[-3:]


def test_unexpected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that no subcommand raises on purpose isn't hidden."""
    monkeypatch.setattr("digitalocean_projects._cli.demo.show_tour", lambda _: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["demo"])


def test_module_is_only_imported() -> None:
    """Importing `__main__` does not run the command."""
    assert main is importlib.import_module("digitalocean_projects.__main__").main
