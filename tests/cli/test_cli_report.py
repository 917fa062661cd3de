"""The subcommand `report`."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import Project
from digitalocean_projects._cli import main
from digitalocean_projects._cli.report import Summary

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with resources in two of three projects."""
    account.seed([f"do:droplet:{number}" for number in range(16)], default=True)
    account.seed(["do:volume:1", "do:app:1", "do:droplet:99", "do:droplet:98"], name="web")
    account.seed(name="empty")
    return account


def test_full_disk(account: Emulator, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure to write is an error in each form."""
    account.seed(["do:droplet:1"])
    for form in ("text", "json", "jsonl"):
        with open("/dev/full", "w", encoding="utf-8") as full, monkeypatch.context() as patch:  # noqa: PTH123
            patch.setattr("sys.stdout", full)
            assert 1 == main(["report", "-q", "-o", form])
        assert "No space left on device" in capsys.readouterr().err


def test_report(account: Emulator, capsys: Capture) -> None:
    """`report` prints the count of each type with a bar, highest first."""
    assert 0 == main(["report"])
    output = capsys.readouterr()
    assert [
        "Project        Type     Resources",
        "empty                           0",
        "web            droplet          2  █████▋",
        "               app              1  ██▊",
        "               volume           1  ██▊",
        f"first-project  droplet         16  {'█' * 45}",
    ] == output.out.splitlines()
    assert "# 20 resources in 3 projects\n" == output.err
    assert 80 == len(output.out.splitlines()[-1])
    assert 1 + 3 == len(account.requests)


def test_doubts(account: Emulator, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes say which counts may be too small."""
    twice = {"resources": [{"urn": "do:droplet:98"}] * 2, "meta": {"total": 2}}
    web = next(project.id for project in account.projects() if project.name == "web")
    account.respond(200, twice, when=lambda request: web in request.path, times=3)
    assert 0 == main(["report", "-q", "-o", "jsonl"])
    changed = "the listing changed while it was read; items may be missing or out of date"
    hidden = "the listing lacks 1 resource; the token may lack scopes"
    assert [f"# web: {changed}", f"# web: {hidden}"] == capsys.readouterr().err.splitlines()
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", account.add_token(["project:read", "droplet:read"]))
    assert 0 == main(["report", "-q", "-o", "json"])
    assert f"# web: {hidden.replace('1 resource', '2 resources')}\n" == capsys.readouterr().err


def test_report_as_json(account: Emulator, capsys: Capture) -> None:
    """JSON output has the same counts, in an array or a line for each project."""
    expected = [
        {
            "id": project.id,
            "name": project.name,
            "is_default": project.is_default,
            "resources": {"empty": 0, "web": 4}.get(project.name, 16),
            "types": {"empty": {}, "web": {"droplet": 2, "app": 1, "volume": 1}}.get(
                project.name, {"droplet": 16}
            ),
        }
        for project in account.projects()
    ]
    assert 0 == main(["report", "-o", "json"])
    assert expected == json.loads(capsys.readouterr().out)
    assert 0 == main(["report", "-o", "jsonl"])
    output = capsys.readouterr()
    assert expected == [json.loads(line) for line in output.out.splitlines()]
    assert "" == output.err


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("46", "first-project  droplet         16  " + "█" * 11),
        ("37", "first-p…  droplet         16  " + "█" * 7),
        ("30", "first-p…  droplet         16"),
        ("10", "first-p…  droplet         16"),
    ],
)
def test_narrow_report(
    monkeypatch: pytest.MonkeyPatch, columns: str, expected: str, capsys: Capture
) -> None:
    """A narrow terminal gets shorter bars or none, and names are cut."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    assert 0 == main(["report"])
    assert expected == capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("encoding", "bar", "cut"), [("utf-8", "█", "…"), ("cp437", "#", "~"), ("ascii", "#", "~")]
)
def test_encodings(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, encoding: str, bar: str, cut: str
) -> None:
    """Bars are in ASCII if the encoding lacks the block characters."""
    account.seed(["do:droplet:1000"], name="x" * 100)
    output = io.TextIOWrapper(written := io.BytesIO(), encoding)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", output)
        assert 0 == main(["report"])
    lines = written.getvalue().decode(encoding).splitlines()
    assert f"{'x' * 29}{cut}  droplet          1  " == lines[1][:52]
    assert lines[-1].endswith("droplet         16  " + bar * (80 - 52))


def test_shortened() -> None:
    """The sum of several types stands for them, and a single last type stays."""
    types = {"droplet": 5, "volume": 3, "domain": 2, "app": 1}
    project = Project(id="1", name="web")
    summary = Summary(project, types)
    assert {"droplet": 5, "volume": 3, "2 more types": 3} == summary.shortened(2).types
    for most in (3, 4, 5):
        assert types == summary.shortened(most).types


def test_nothing_to_report(account: Emulator, capsys: Capture) -> None:
    """Without visible projects, `report` prints the headings."""
    account.respond(200, {"projects": []})
    assert 0 == main(["report", "--quiet"])
    assert ("Project  Type  Resources\n", "") == capsys.readouterr()


def break_project(account: Emulator, *names: str, status: int = 403) -> None:
    """Refuse to list the resources of these projects."""
    ids = [project.id for project in account.projects() if project.name in names]
    account.respond(
        status, when=lambda request: any(one in request.path for one in ids), times=None
    )


@pytest.mark.parametrize("name", ["web", "empty", "first-project"])
@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
def test_project_that_fails(account: Emulator, capsys: Capture, name: str, output: str) -> None:
    """If a project cannot be listed, the others are printed and the exit status is 1."""
    break_project(account, name)
    assert 1 == main(["report", "-o", output])
    printed = capsys.readouterr()
    names = [project.name for project in account.projects() if project.name != name]
    if output == "json":
        assert names == [summary["name"] for summary in json.loads(printed.out)]
    elif output == "jsonl":
        assert names == [json.loads(line)["name"] for line in printed.out.splitlines()]
    else:
        rows = printed.out.splitlines()[1:]
        assert names == [row.split()[0] for row in rows if not row.startswith(" ")]
    failure = printed.err.splitlines()[-1]
    assert failure.startswith(f"digitalocean-projects: {name}: 403 (GET /v2/projects/")
    assert (2 if output == "text" else 1) == len(printed.err.splitlines())


def test_all_projects_fail(account: Emulator, capsys: Capture) -> None:
    """Each project that cannot be listed gets one line on standard error."""
    account.seed(name="odd\x1b[2J\nname")
    break_project(account, *(project.name for project in account.projects()))
    assert 1 == main(["report", "-o", "json"])
    printed = capsys.readouterr()
    assert "[]\n" == printed.out
    assert ["odd [2J name", "empty", "web", "first-project"] == [
        line.split(": ")[1] for line in printed.err.splitlines()
    ]


def test_report_fails(account: Emulator, capsys: Capture) -> None:
    """A failure that concerns all projects ends the report after the projects before it."""
    break_project(account, "web", status=401)
    assert 1 == main(["report", "-q"])
    printed = capsys.readouterr()
    assert "Project  Type  Resources\nempty                  0\n" == printed.out
    assert printed.err.startswith("digitalocean-projects: 401 (GET")
    assert 1 == len(printed.err.splitlines())


def test_report_fails_at_once(account: Emulator, capsys: Capture) -> None:
    """If nothing could be listed, `report` prints the error only."""
    account.respond(401, times=None)
    assert 1 == main(["report", "-o", "json"])
    printed = capsys.readouterr()
    assert ("", True) == (printed.out, printed.err.startswith("digitalocean-projects: 401 (GET"))


@pytest.mark.parametrize("output", ["text", "json"])
def test_reader_leaves_a_report_that_fails(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: Capture, output: str
) -> None:
    """A closed pipe does not hide that a project could not be listed."""
    break_project(account, "web")
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as unread, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", unread)
        assert 1 == main(["report", "-o", output])
    assert "web: 403" in capsys.readouterr().err
