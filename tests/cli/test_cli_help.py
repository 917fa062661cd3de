"""The help of the command, and its completion."""

from __future__ import annotations

import argparse
import os
import pty
import runpy
import shlex
import shutil
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli import main
from digitalocean_projects._cli.arguments.parser import Commands
from digitalocean_projects._cli.completion import generator
from digitalocean_projects._cli.program import make_parser
from digitalocean_projects._cli.terminal import columns
from digitalocean_projects._cli.work import function_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    Capture = pytest.CaptureFixture[str]


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and the parsers of its subcommands, each once."""
    yield parser
    for action in parser._actions:
        if isinstance(action, Commands):
            for subparser in dict.fromkeys(map(action.make, action.choices)):
                yield from parsers(subparser)


PARSERS = {parser.prog: parser for parser in parsers(make_parser())}
EXAMPLES = [
    line.strip()
    for parser in PARSERS.values()
    for line in (parser.epilog or "").rpartition("\nexample")[2].replace("\\\n", "").splitlines()
    if line.startswith("  ")
]


@pytest.mark.parametrize("name", PARSERS)
def test_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Each subcommand has help in ASCII, at most 80 characters wide, with an example."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        main([*name.split()[1:], "--help"])
    assert 0 == caught.value.code
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert [] == [line for line in shown.splitlines() if len(line) > 80]
    assert "example" in shown
    for action in PARSERS[name]._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction) or action.choices


def test_functions() -> None:
    """Each subcommand names the function that does its work, has subcommands, or prints a file."""
    for name, parser in PARSERS.items():
        if path := parser.get_default("command") or parser.get_default("run"):
            assert callable(function_of(path))
        elif name != "digitalocean-projects completion":
            assert parser is parser.get_default("group")


@pytest.mark.parametrize(
    ("named", "expected"),
    [("100", 100), ("0", 80), ("-5", 80), ("wide", 80), ("9" * 5000, 80), ("", 80)],
)
def test_columns(named: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The width is that of COLUMNS, or else of the terminal, or else 80."""
    monkeypatch.setenv("COLUMNS", named)
    with Path(os.devnull).open("w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert expected == columns()


def test_columns_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without COLUMNS, the width is that of the terminal, if it has one."""
    monkeypatch.delenv("COLUMNS", raising=False)
    leader, follower = pty.openpty()
    with os.fdopen(leader), os.fdopen(follower, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        for size, expected in ((61, 61), (0, 80)):
            termios.tcsetwinsize(follower, (24, size))
            assert expected == columns()


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples(example: str) -> None:
    """The examples in the help are valid calls."""
    words = shlex.split(example, comments=False)
    calls = [i for i, word in enumerate(words) if word == "digitalocean-projects"]
    assert calls
    for start in calls:
        arguments = list(words[start + 1 :])
        for end, word in enumerate(arguments):
            if word in {"|", ">", ">>", "<"}:
                arguments = arguments[:end]
                break
        if arguments[-1] == "--help":
            arguments.pop()
            assert " ".join(["digitalocean-projects", *arguments]) in PARSERS
        else:
            options = make_parser().parse_args(arguments)
            assert "demo" in options or arguments[0] in {"completion", "demo"}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("digitalocean-projects rep", ["report"]),
        ("digitalocean-projects projects de", ["delete"]),
        ("digitalocean-projects list --no", ["--no-header"]),
        ("digitalocean-projects report -o js", ["json", "jsonl"]),
        ("digitalocean-projects ls --dem", ["--demo"]),
        ("digitalocean-projects ls --format As", ["AssignedAt"]),
        ("digitalocean-projects projects ls --format ID,Own", ["ID,OwnerUUID", "ID,OwnerID"]),
        ("digitalocean-projects reconcile web ur", ["urns.txt"]),
        ("digitalocean-projects emulator --seed u", ["urns.txt"]),
    ],
)
@pytest.mark.process
def test_completion(typed: str, expected: list[str], capsys: Capture, tmp_path: Path) -> None:
    """In bash, Tab completes subcommands, options and their values."""
    (tmp_path / "urns.txt").touch()
    assert 0 == main(["completion", "bash"])
    script = f"""
        {capsys.readouterr().out}
        COMP_WORDS=({typed}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        $(complete -p digitalocean-projects | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],  # noqa: S607 - found on the path
        capture_output=True,
        check=True,
        cwd=tmp_path,
        text=True,
        timeout=30,
    )
    assert (expected, "") == (done.stdout.split(), done.stderr)


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells(shell: str, capsys: Capture) -> None:
    """Other shells get a script in their own language."""
    assert 0 == main(["completion", shell])
    assert {"zsh": "#compdef digitalocean-projects", "fish": "complete -c", "tcsh": "complete "}[
        shell
    ] in capsys.readouterr().out


def test_scripts_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each script is what its generator writes, on any supported Python."""
    monkeypatch.setattr(sys, "argv", ["generator.py", "--check"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(generator.__file__, run_name="__main__")
    assert 0 == caught.value.code


def test_check_of_scripts(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    """`--check` reports the scripts that differ; without it, they are generated again."""
    folder = Path(shutil.copytree(generator.FOLDER, tmp_path / "completion"))
    monkeypatch.setattr(generator, "FOLDER", folder)
    current = (folder / "script.zsh").read_text("utf-8")
    (folder / "script.zsh").write_text(f"{current}\n", "utf-8")
    assert 1 == generator.main(["--check"])
    assert 2 == generator.main(["--chek"])
    outdated = "script.zsh is out of date: run the generator\n"
    assert ("", f"{outdated}{generator.__doc__}\n") == capsys.readouterr()
    assert 0 == generator.main([])
    assert current == (folder / "script.zsh").read_text("utf-8")
