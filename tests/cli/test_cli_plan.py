"""The subcommands `plan` and `apply`."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli import main
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator, RecordedRequest

    Capture = pytest.CaptureFixture[str]

MOVES = """\
Action  URN           From           To
move    do:droplet:3  first-project  web
move    do:droplet:2  web            first-project
"""
WANTED = 'web = ["do:droplet:3"]\ndefault = ["do:droplet:2"]\n'


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with two Droplets in `web` and one in the default project."""
    account.seed(["do:droplet:1", "do:droplet:2"], name="web")
    account.seed(["do:droplet:3"], default=True)
    return account


def held(account: Emulator) -> dict[str, set[str]]:
    return {p.name: set(map(str, account.resources(p.id))) for p in account.projects()}


def posts(account: Emulator) -> list[str]:
    return [request.path for request in account.requests if request.method == "POST"]


def test_export(account: Emulator, capsys: Capture, tmp_path: Path) -> None:
    """Two edited lines of an export are two moves, which `apply` makes, and `diff` agrees."""
    account.seed(name="empty", environment="Staging")
    export = tmp_path / "account.jsonl"
    assert 0 == main(["inventory", "--with-projects", "-o", "jsonl", "-q"])
    export.write_text(text := capsys.readouterr().out)
    lines = [json.loads(line) for line in text.splitlines()]
    assert 0 == main(["plan", str(export)])
    assert ("Action  URN  From  To\n", "# nothing to do, 3 kept\n") == capsys.readouterr()
    for line in lines:
        if line.get("urn") in {"do:droplet:2", "do:droplet:3"}:
            del line["project_id"]
            line["project"] = {"web": "first-project"}.get(line["project"], "web")
    export.write_text("\n".join(map(json.dumps, lines)))
    before = account.dump()
    assert 1 == main(["diff", str(export), "-q"])
    assert 3 == len(capsys.readouterr().out.splitlines())
    assert 0 == main(["plan", str(export)])
    output = capsys.readouterr()
    assert (set(MOVES.splitlines()), "# 2 moves, 1 kept\n") == (
        set(output.out.splitlines()),
        output.err,
    )
    assert before == account.dump()
    account.forget_requests()
    assert 0 == main(["apply", str(export)])
    output = capsys.readouterr()
    assert {"+ do:droplet:3  web", "+ do:droplet:2  first-project"} == {*output.out.splitlines()}
    assert "# 2 moved, 1 kept\n" == output.err
    assert 2 == len(posts(account))
    expected = {"web": {"do:droplet:1", "do:droplet:3"}, "first-project": {"do:droplet:2"}}
    assert {**expected, "empty": set()} == held(account)
    assert 0 == main(["diff", str(export), "-q"])
    capsys.readouterr()
    assert 0 == main(["apply", str(export)])
    assert ("", "# 0 moved, 3 kept\n") == capsys.readouterr()
    assert 2 == len(posts(account))


def test_edited_name(account: Emulator, capsys: Capture, tmp_path: Path) -> None:
    """A name that was edited beside the id of another project is refused."""
    path = tmp_path / "wanted.jsonl"
    staging = account.seed(["do:droplet:77"], name="staging")
    account.seed(name="site")
    members = {"project": "site", "project_id": staging.upper(), "urn": "do:droplet:77"}
    for name, status in (("site", 2), ("staging", 0)):
        path.write_text(json.dumps({**members, "project": name}), "utf-8")
        assert status == main(["plan", str(path)])
        error = capsys.readouterr().err
        expected = f"{path}:1: project 'site' has the id of 'staging'; delete project_id to move"
        assert (expected in error) == (status == 2)


def test_forms(account: Emulator, capsys: Capture, say: Callable[[str], None]) -> None:
    """A mapping is read from standard input, and a plan is printed as a table or JSON."""
    say(WANTED)
    assert 0 == main(["plan"])
    assert (MOVES, "# 2 moves, 0 kept\n") == capsys.readouterr()
    say(WANTED)
    assert 0 == main(["plan", "-", "--format", "urn,to", "--no-header", "-q"])
    assert ("do:droplet:3  web\ndo:droplet:2  first-project\n", "") == capsys.readouterr()
    wanted = {"new": ["do:droplet:1"], "default": ["do:droplet:3", "do:droplet:404"]}
    moves = [
        {
            "urn": "do:droplet:1",
            "source": "web",
            "source_id": next(p.id for p in account.projects() if p.name == "web"),
            "target": "new",
            "target_id": None,
        },
        {
            "urn": "do:droplet:404",
            "source": None,
            "source_id": None,
            "target": "first-project",
            "target_id": account.default_project_id,
        },
    ]
    new = {"name": "new", "purpose": "Web Application", "description": "", "environment": ""}
    notes = "# 1 of the resources is in no project\n# 1 new project, 2 moves, 1 kept\n"
    say(json.dumps(wanted))
    assert 0 == main(["plan", "--create", "-o", "json"])
    output = capsys.readouterr()
    expected = {"new_projects": [new], "moves": moves, "kept": ["do:droplet:3"]}
    assert (expected, notes) == (json.loads(output.out), output.err)
    say(json.dumps(wanted))
    assert 0 == main(["plan", "--create", "-o", "jsonl"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{"kind": "project", **new}, *moves] == lines
    say(json.dumps(wanted))
    assert 0 == main(["plan", "--create", "-o", "csv", "--format", "Action,URN,From,To"])
    assert (
        "action,urn,from,to\n"
        "create,,,new\n"
        "move,do:droplet:1,web,new\n"
        "move,do:droplet:404,,first-project\n"
    ) == capsys.readouterr().out
    say(json.dumps(wanted))
    assert 0 == main(["plan", "--create"])
    assert (
        "Action  URN             From  To\n"
        "create                        new\n"
        "move    do:droplet:1    web   new\n"
        "move    do:droplet:404  N/A   first-project\n"
    ) == capsys.readouterr().out
    assert [] == posts(account)


def test_create(account: Emulator, capsys: Capture, tmp_path: Path) -> None:
    """`--create` makes the projects that an export of another account describes."""
    file = tmp_path / "wanted"
    other = {"id": "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679", "environment": "Staging"}
    resource = {"project_id": other["id"], "urn": "do:droplet:1"}
    project = {"kind": "project", "name": "shop", "purpose": "IoT", **other}
    file.write_text(json.dumps([project, resource]))
    message = "no project is named 'shop'; create it, or pass --create"
    for command in ("plan", "apply"):
        assert 1 == main([command, str(file)])
        assert ("", f"digitalocean-projects: {message}\n") == capsys.readouterr()
    assert [] == posts(account)
    assert 0 == main(["apply", str(file), "--create"])
    assert (
        "+ project shop\n+ do:droplet:1  shop\n",
        "# 1 project created, 1 moved, 0 kept\n",
    ) == capsys.readouterr()
    (made,) = (project for project in account.projects() if project.name == "shop")
    assert ("IoT", "Staging") == (made.purpose, made.environment)
    file.write_text(json.dumps({**resource, "urn": "do:droplet:2"}))
    assert 1 == main(["apply", str(file), "--create"])
    assert f"no project has the id '{other['id']}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"web": ["do:app:1"], "web": []}', "an object must have each member once, got 'web' t"),
        ('{"web": ["do:app:1"], "default": ["do:app:1"]}', "do:app:1 must be listed once; see"),
        ("web", "invalid JSON"),
    ],
)
def test_invalid(
    account: Emulator, capsys: Capture, say: Callable[[str], None], text: str, message: str
) -> None:
    """A file that is ambiguous is an error of usage, and nothing is sent."""
    for command in ("plan", "apply"):
        say(text)
        assert 2 == main([command])
        assert message in capsys.readouterr().err
    assert [] == account.requests


@pytest.mark.parametrize("output", ["text", "json"])
def test_failures(
    account: Emulator, capsys: Capture, say: Callable[[str], None], output: str
) -> None:
    """A resource that isn't moved is printed with its reason, and the exit status is 1."""
    web = next(p.id for p in account.projects() if p.name == "web")
    listed: list[str] = []

    def leaves(request: RecordedRequest) -> bool:
        if web in request.path and request.method == "GET":
            listed.append(request.path)
            if len(listed) == 2:
                account.seed(["do:droplet:2"], name="other")
        return False

    account.respond(500, when=leaves)
    account.respond(422, {"id": "no", "message": "Busy."}, when=lambda r: b"oplet:3" in r.body)
    say('default = ["do:droplet:1", "do:droplet:2", "do:droplet:404"]\nweb = ["do:droplet:3"]')
    assert 1 == main(["apply", "-o", output])
    shown = capsys.readouterr()
    if output == "text":
        assert (
            "+ do:droplet:1  first-project\n! do:droplet:404  not_found\n! do:droplet:3  refused\n"
        ) == shown.out
    else:
        done = json.loads(shown.out)
        assert (["do:droplet:1"], ["do:droplet:2"]) == (done["moved"], done["left"])
        assert {"urn": "do:droplet:3", "status": "refused"} == done["failed"][1]
        assert "Busy." == done["refused"][0]["message"]
    assert [
        "digitalocean-projects: do:droplet:3: 422 no: Busy.",
        "# not moved, since web no longer lists it: do:droplet:2",
        "# 1 moved, 0 kept, 3 not moved",
    ] == shown.err.splitlines()


def test_error_in_the_middle(
    account: Emulator, capsys: Capture, say: Callable[[str], None]
) -> None:
    """After an error, what was done is printed, and the command can be run again."""
    wanted = f'new = ["do:droplet:1"]\n{WANTED}'
    account.fail(faults.Status(403), when=lambda request: b"droplet:2" in request.body)
    say(wanted)
    assert 1 == main(["apply", "--create"])
    shown = capsys.readouterr()
    assert "+ project new\n+ do:droplet:1  new\n+ do:droplet:3  web\n" == shown.out
    *notes, reason = shown.err.splitlines()
    counts = "# 1 project created, 2 moved, 0 kept, 1 not moved"
    assert ["# not moved: do:droplet:2", counts] == notes
    assert reason.startswith("digitalocean-projects: 403 ")
    say(wanted)
    assert 0 == main(["apply", "--create"])
    assert ("+ do:droplet:2  first-project\n", "# 1 moved, 2 kept\n") == capsys.readouterr()


def test_error_of_a_creation(
    account: Emulator, capsys: Capture, say: Callable[[str], None]
) -> None:
    """If a project can't be created, nothing is moved, and a note names the created ones."""
    before = held(account)
    conflict = {"id": "conflict", "message": "No."}
    account.respond(409, conflict, when=lambda request: b'"two"' in request.body)
    say('one = ["do:droplet:1"]\ntwo = ["do:droplet:2"]')
    assert 1 == main(["apply", "--create"])
    lines = capsys.readouterr().err.splitlines()
    assert "# created before the error: 'one'; another plan finds them" == lines[0]
    assert lines[1].startswith("digitalocean-projects: 409 conflict: No.")
    assert {**before, "one": set()} == held(account)


def in_flight(account: Emulator, number: int) -> Callable[[RecordedRequest], bool]:
    """Return a condition that is true for the assignments from this one on."""
    return lambda request: request.method == "POST" and len(posts(account)) >= number


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("output", ["text", "json"])
def test_interrupt(
    account: Emulator, capsys: Capture, tmp_path: Path, output: str, *, create: bool
) -> None:
    """An interrupted `apply` says what was done."""
    file = tmp_path / "wanted.toml"
    text = WANTED.replace("]", ', "do:droplet:404"]', 1)
    file.write_text(f"{text}\nnew = []" if create else text)
    account.fail(faults.Silence(), when=in_flight(account, 2 + create), times=None)

    def interrupt() -> None:
        while len(posts(account)) < 2 + create:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert 130 == main(["apply", str(file), "-o", output, *(["--create"] if create else [])])
    thread.join()
    shown = capsys.readouterr()
    changes = "+ do:droplet:3  web\n! do:droplet:404  not_found\n"
    if output == "text":
        assert changes == shown.out
    else:
        document = json.loads(shown.out)
        assert (None if create else []) == document["created"]
        assert ["do:droplet:3"] == document["moved"]
        assert ["do:droplet:404"] == [resource["urn"] for resource in document["failed"]]
        assert ["do:droplet:2"] == document["unknown"]
    assert [
        *(["# all projects were created"] if create else []),
        "# 1 of 3 resources moved, up to 1 more may have been; run the command again to go on",
    ] == shown.err.splitlines()


def test_interrupted_creation(account: Emulator, capsys: Capture, tmp_path: Path) -> None:
    """An `apply` that is interrupted while it creates projects says that some may exist."""
    file = tmp_path / "wanted.toml"
    file.write_text(f"{WANTED}\nnew = []")
    account.fail(faults.Silence(), when=in_flight(account, 1), times=None)

    def interrupt() -> None:
        while not posts(account):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert 130 == main(["apply", str(file), "--create"])
    thread.join()
    assert [
        "# some projects may have been created",
        "# 0 of 2 resources moved, up to 2 more may have been; run the command again to go on",
    ] == capsys.readouterr().err.splitlines()


@pytest.mark.process
def test_kill(account: Emulator, tmp_path: Path) -> None:
    """After a SIGKILL in the middle, the same command comes to the same end."""
    urns = [f"do:volume:{number}" for number in range(300)]
    account.seed(urns, name="old")
    file = tmp_path / "wanted.json"
    file.write_text(json.dumps({"web": urns}))
    arrivals = itertools.count()
    # Of the three chunks, the first one that arrives is carried out.
    account.fail(
        faults.Silence(),
        when=lambda request: request.method == "POST" and next(arrivals) > 0,
        times=None,
    )
    command = [sys.executable, "-m", "digitalocean_projects", "apply", str(file)]
    with subprocess.Popen(command) as process:
        while len(posts(account)) < 2 or held(account)["web"].isdisjoint(urns):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert 100 == len(held(account)["web"].intersection(urns))
    account._site.script.entries.clear()
    assert 0 == main(["apply", str(file)])
    assert {"do:droplet:1", "do:droplet:2", *urns} == held(account)["web"]
