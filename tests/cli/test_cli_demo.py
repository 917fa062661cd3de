"""The tour that the command shows on an emulator."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import Client
from digitalocean_projects._cli import main
from digitalocean_projects.testing import Emulator, seed_demo

if TYPE_CHECKING:
    from pathlib import Path

    Capture = pytest.CaptureFixture[str]

COMMAND = [sys.executable, "-W", "error", "-m", "digitalocean_projects"]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the token and the address of the API from the environment."""
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN", "DIGITALOCEAN_API_URL"):
        monkeypatch.delenv(name, raising=False)


def section(text: str, number: int) -> list[str]:
    """Return the lines under a numbered heading."""
    return re.split(r"^\d\. .*\n", text, flags=re.MULTILINE)[number].splitlines()


def test_tour(capsys: Capture) -> None:
    """`demo` needs no token, and what it prints agrees with the data and the other commands."""
    assert 0 == main(["demo", "-q"])
    output = capsys.readouterr()
    lines = output.out.splitlines()
    assert "" == output.err
    assert 30 <= len(lines) <= 40
    assert [] == [line for line in lines if len(line) > 80 and "/activate" not in line]

    with Emulator() as emulator, Client(emulator.token, base_url=emulator.url) as client:
        web_shop = seed_demo(emulator)
        listed = client.projects.list_resources()
        pages, resources = len(list(listed.pages())), listed.collect()
        client.projects.assign_resources(web_shop, resources[:3])
        counts = [len(emulator.resources(project.id)) for project in emulator.projects()]
    moved = [str(resource.urn) for resource in resources[:3]]
    *rows, summary, _ = section(output.out, 1)
    assert moved == [row.split()[0] for row in rows[1:]]
    assert re.fullmatch(
        rf"These are the first 3 of {len(resources):,} resources, read from {pages} pages in "
        r"\d+ ms\.",
        summary,
    )
    assert [[urn, "assigned"] for urn in moved] == [
        row.split() for row in section(output.out, 2)[1:-1]
    ]
    report = section(output.out, 3)[1:-1]
    begins = [number for number, row in enumerate(report) if not row.startswith(" ")]
    shown = [report[: begins[1]], report[begins[1] :]]
    assert counts == [
        sum(int(n) for row in rows for n in re.findall(r" (\d+)  ", row)) for rows in shown
    ]
    assert all("█" in rows[0] for rows in shown)


def test_commands_of_the_tour(capsys: Capture) -> None:
    """The commands that `demo` prints are valid."""
    assert 0 == main(["demo"])
    commands = [
        line.split("#")[0].split()[1:]
        for line in section(capsys.readouterr().out, 4)
        if line.startswith("  digitalocean-projects ")
    ]
    assert ["emulator", "--demo"] == commands[0]
    for command in commands[1:]:
        if "--help" in command:
            with pytest.raises(SystemExit) as caught:
                main(command)
            assert 0 == caught.value.code
        else:
            assert 0 == main([*command, "--demo"])


def test_activation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture) -> None:
    """`demo` prints the line that activates its environment if the shell needs it."""
    script = tmp_path / "my env" / "activate"
    script.parent.mkdir()
    monkeypatch.setattr("sys.executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", "")

    def first_command() -> str:
        assert 0 == main(["demo"])
        return section(capsys.readouterr().out, 4)[0].split("#")[0].strip()

    assert "digitalocean-projects emulator --demo" == first_command()
    script.touch()
    assert f". '{script}'" == first_command()
    script.with_name("digitalocean-projects").touch(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    assert "digitalocean-projects emulator --demo" == first_command()


@pytest.mark.parametrize(("columns", "no_color"), [("30", "1"), ("200", "")])
def test_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, columns: str, no_color: str
) -> None:
    """On a terminal, headings are bold unless NO_COLOR is set, and sentences fit its width."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert 0 == main(["demo"])
    text = capsys.readouterr().out
    assert (not no_color) == ("\x1b[1m1. List" in text)
    assert (columns == "200") == ("to your API token and leave DIGITALOCEAN_API_URL unset" in text)


def test_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tour is in ASCII if the encoding of standard output is."""
    output = io.TextIOWrapper(written := io.BytesIO(), "ascii")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", output)
        assert 0 == main(["demo"])
    assert b"##" in written.getvalue()
    assert b"\\" not in written.getvalue()


def test_closed_pipe(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A reader that closes the pipe ends the tour with status 0 and without a message."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", 1) as unread, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", unread)
        assert 0 == main(["demo"])
    assert ("", "") == capsys.readouterr()


@pytest.mark.usefixtures("no_leaks")
def test_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Ctrl-C ends the tour with status 130, and stops its emulator."""

    def interrupt(_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("digitalocean_projects._cli.demo.print_report", interrupt)
    assert 130 == main(["demo"])
    output = capsys.readouterr()
    assert ("2. Move" in output.out, output.err) == (True, "")


@pytest.mark.process
def test_streams_that_the_shell_closes() -> None:
    """Without standard streams, the tour fails, and writes to none of its connections."""
    done = subprocess.run(
        ["bash", "-c", '"$@" <&- >&- 2>&-', "-", *COMMAND, "demo"],  # noqa: S607 - found on the path
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (1, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_closed_stream(closed: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A standard output that is closed is an error; a closed standard error is ignored."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, closed, None)
        is_open = main(["demo"]) == 0
    output = capsys.readouterr()
    assert (closed == "stderr", closed == "stdout") == (is_open, bool(output.err))
    assert is_open == ("3. Count" in output.out)
