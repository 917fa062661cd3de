"""The subcommand `inventory`, `list` with several projects, and CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digitalocean_projects._cli import main
from digitalocean_projects.testing import Emulator, faults

if TYPE_CHECKING:
    Capture = pytest.CaptureFixture[str]

ODD = 'Büro "A", Zürich\n東京'


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with resources in two of three projects."""
    account.seed(["do:droplet:1", "do:volume:7"], default=True)
    account.seed(["do:app:1", "do:floatingip:192.0.2.1", "do:droplet:9"], name="web")
    account.seed(name="empty")
    return account


def ids(account: Emulator) -> dict[str, str]:
    return {project.name: project.id for project in account.projects()}


def test_inventory(account: Emulator, capsys: Capture) -> None:
    """The projects are in the order of their names, and their resources as listed."""
    assert 0 == main(["inventory", "--format", "Project,URN,Status"])
    expected = (
        "Project        URN                      Status\n"
        "first-project  do:droplet:1             ok\n"
        "first-project  do:volume:7              ok\n"
        "web            do:app:1                 ok\n"
        "web            do:floatingip:192.0.2.1  ok\n"
        "web            do:droplet:9             ok\n"
    )
    assert (expected, "# 5 resources in 3 projects\n") == capsys.readouterr()
    assert 1 + 3 == len(account.requests)


def test_export_is_the_state(account: Emulator, capsys: Capture) -> None:
    """An export is the emulator's own text of the account, and a seeded emulator exports it."""
    assert 0 == main(["projects", "update", "web", "--name", ODD, "--purpose", "=2+3"])
    capsys.readouterr()
    assert 0 == main(["inventory", "-o", "jsonl", "--with-projects"])
    export = capsys.readouterr().out
    # The text of a time may have fewer digits there.
    assert re.sub(r"\.[0-9]+Z", "Z", account.dump()) == re.sub(r"\.[0-9]+Z", "Z", export)
    copy = Emulator()
    copy.load(export)
    assert copy.dump() == export
    assert 3 + 5 == export.count("\n")
    assert 0 == main(["inventory", "-o", "json", "--with-projects"])
    assert [json.loads(line) for line in export.splitlines()] == json.loads(capsys.readouterr().out)
    assert 0 == main(["inventory", "-o", "jsonl"])
    lines = [line for line in export.splitlines() if '"kind"' not in line]
    assert lines == capsys.readouterr().out.splitlines()


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=10)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    held=st.dictionaries(NAMES, st.lists(IDS, unique=True, max_size=4), max_size=4),
    status=st.sampled_from(["ok", "odd", None]),
    assigned_at=st.sampled_from(["2024-05-06T07:08:09Z", "2024-05-06T07:08:09.5Z", "", None]),
)
def test_round_trip(
    held: dict[str, list[str]],
    status: str | None,
    assigned_at: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    """An export that seeds another emulator is exported again, identical to the byte."""
    text, exports = "", list[str]()
    for name, found in held.items():
        text += json.dumps({"kind": "project", "name": name}) + "\n"
        for number in found:
            urn = f"do:space:{len(text)}-{number}"
            members = {"urn": urn, "project": name, "status": status, "assigned_at": assigned_at}
            text += json.dumps(members) + "\n"
    for _ in range(3):
        with Emulator(limits=(), contents=text) as emulator:
            monkeypatch.setenv("DIGITALOCEAN_API_URL", emulator.url)
            monkeypatch.setenv("DIGITALOCEAN_TOKEN", emulator.token)
            assert 0 == main(["inventory", "-o", "jsonl", "--with-projects"])
        text = capsys.readouterr().out
        exports.append(text)
    assert exports[0] == exports[1] == exports[2]
    assert sum(map(len, held.values())) == exports[0].count('"urn"')


def test_csv(account: Emulator, capsys: Capture) -> None:
    """CSV has a header with the names of JSON, a line per resource, and quotes where necessary."""
    assert 0 == main(["projects", "update", "web", "--name", ODD])
    capsys.readouterr()
    assert 0 == main(["inventory", "-o", "csv", "--with-projects"])
    output = capsys.readouterr()
    assert "" == output.err
    assert "\r" not in output.out
    rows = list(csv.DictReader(io.StringIO(output.out, newline="")))
    assert ["project", "project_id", "urn", "type", "id", "assigned_at", "status", "self_link"] == (
        list(rows[0])
    )
    web = [row for row in rows if row["project"] == ODD]
    assert [("", ""), ("do:app:1", "app"), ("do:floatingip:192.0.2.1", "floatingip")] == [
        (row["urn"], row["type"]) for row in web[:3]
    ]
    assert {ids(account)[ODD]} == {row["project_id"] for row in web}
    assert 0 == main(["inventory", "-o", "csv", "--project", ODD, "--format", "Project,id"])
    assert '"Büro ""A"", Zürich\n東京",9\n' == capsys.readouterr().out[-len(ODD) - 7 :]
    assert 0 == main(["inventory", "-o", "csv", "--format", "URN", "--no-header", "--type", "app"])
    assert "do:app:1\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+2", "'=1+2"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("\N{FULLWIDTH EQUALS SIGN}1", "'\N{FULLWIDTH EQUALS SIGN}1"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("a=1", "a=1"),
        (" =1", "' =1"),
        ("\ufeff=1", "'\ufeff=1"),
        ("\u200b \u2060+1", "'\u200b \u2060+1"),
        ("'\xad\t@a", "''\xad\t@a"),
        ("\ufeffa=1", "\ufeffa=1"),
        ('=cmd|"/C calc"!A0', '\'=cmd|"/C calc"!A0'),
        ("a\x1b[2J\x00b\x9b", "a\ufffd[2J\ufffdb\ufffd"),
    ],
)
def test_csv_is_no_program(account: Emulator, capsys: Capture, name: str, cell: str) -> None:
    """A name that a spreadsheet or terminal would act on is neutralized."""
    account.seed([], name=name)
    assert 0 == main(["projects", "list", "-o", "csv", "--format", "Name", "--no-header"])
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [cell] == rows[0]


@pytest.mark.parametrize("separator", ",;|\t")
def test_csv_with_other_separators(account: Emulator, capsys: Capture, separator: str) -> None:
    """A cell with any usual separator is quoted, so that a reader that guesses splits none."""
    account.seed([], name=f"a{separator}=b")
    assert 0 == main(["projects", "list", "-o", "csv", "--format", "Name", "--no-header"])
    assert f'"a{separator}=b"' == capsys.readouterr().out.splitlines()[0]


def test_csv_of_projects(account: Emulator, capsys: Capture) -> None:
    """CSV of a list of projects has all their members."""
    account.respond(
        200, {"projects": [{"id": "x", "name": "y", "created_at": "2024-01-01T00:00:00.5Z"}]}
    )
    assert 0 == main(["projects", "list", "-o", "csv"])
    assert (
        "id,owner_uuid,owner_id,name,description,purpose,environment,is_default,created_at,updated_at\n"
        "x,,,y,,,,false,2024-01-01T00:00:00.500000Z,\n"
    ) == capsys.readouterr().out


def test_csv_of_one_project(account: Emulator, capsys: Capture) -> None:
    """CSV of one project's resources has no columns on the project."""
    assert 0 == main(["list", "-o", "csv"])
    link = "https://api.digitalocean.com/v2/droplets/1"
    lines = capsys.readouterr().out.splitlines()
    assert "urn,type,id,assigned_at,status,self_link" == lines[0]
    assert lines[1].startswith("do:droplet:1,droplet,1,2024-")
    assert lines[1].endswith(f"Z,ok,{link}")
    assert account.requests


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["droplet"], ["do:droplet:1", "do:droplet:9"]),
        (["droplet", "volume"], ["do:droplet:1", "do:volume:7", "do:droplet:9"]),
        (["reservedip"], ["do:floatingip:192.0.2.1"]),
        (["Odd.Type"], []),
    ],
)
@pytest.mark.usefixtures("account")
def test_types(types: list[str], expected: list[str], capsys: Capture) -> None:
    """`--type` selects resources of any of several types, under each name of a type."""
    options = [word for each in types for word in ("--type", each)]
    for command in (["inventory"], ["list", "default", "web"]):
        assert 0 == main([*command, *options, "--format", "URN", "--no-header"])
        output = capsys.readouterr()
        assert expected == output.out.split()
        assert f"# {len(expected)} resource{'s' * (len(expected) != 1)} in" in output.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("droplets", "argument --type: use the type 'droplet' instead of 'droplets'"),
        ("Volume", "argument --type: types are in lower case; use 'volume' instead of 'Volume'"),
        ("do:droplet:1", "argument --type: type must be a resource type, such as 'droplet', got"),
        ("", "argument --type: type must be a resource type, such as 'droplet', got ''"),
    ],
)
def test_wrong_types(text: str, message: str, capsys: Capture) -> None:
    """A text that is no type is refused, with the likely type."""
    with pytest.raises(SystemExit) as caught:
        main(["inventory", "--type", text])
    assert 2 == caught.value.code
    assert message in capsys.readouterr().err


def test_types_of_one_project(account: Emulator, capsys: Capture) -> None:
    """`list --type` selects resources on all pages, in each form."""
    account.seed([f"do:droplet:{number}" for number in range(1000, 1300)], default=True)
    assert 0 == main(["list", "--type", "volume", "--format", "URN", "--no-header"])
    assert ("do:volume:7\n", "# 1 resource on 2 pages\n") == capsys.readouterr()
    for form in ("json", "jsonl"):
        assert 0 == main(["list", "--type", "volume", "-o", form])
        assert 1 == capsys.readouterr().out.count("do:volume:7")


def test_projects(account: Emulator, capsys: Capture) -> None:
    """`--project` takes a UUID, a name or `default`; each project is listed once."""
    web = ids(account)["web"]
    chosen = ["--project", web, "--project", "default", "--project", "first-project"]
    assert 0 == main(["inventory", *chosen, "--format", "ProjectID,URN", "--no-header"])
    output = capsys.readouterr()
    assert [
        "do:droplet:1",
        "do:volume:7",
        "do:app:1",
        "do:floatingip:192.0.2.1",
        "do:droplet:9",
    ] == (output.out.split()[1::2])
    assert "# 5 resources in 2 projects\n" == output.err


def test_projects_that_are_not_found(account: Emulator, capsys: Capture) -> None:
    """A project that isn't found is a failure, and the resources of the other ones are listed."""
    gone = "11111111-2222-4333-8444-555555555555"
    for command in (
        ["inventory", "--project", gone, "--project", "no-such", "--project", "web"],
        ["list", gone, "no-such", "web"],
    ):
        assert 1 == main([*command, "--format", "URN", "--no-header", "-q"])
        output = capsys.readouterr()
        assert 3 == len(output.out.splitlines())
        first, second = output.err.splitlines()
        assert first.startswith(f"digitalocean-projects: {gone}: 404 not_found")
        assert "digitalocean-projects: no-such: no project is named 'no-such'" == second
    account.fail(faults.Status(401), times=None)
    assert 1 == main(["inventory", "--project", gone, "--project", "web"])
    assert 1 == capsys.readouterr().err.count("digitalocean-projects: 401")


@pytest.mark.usefixtures("account")
def test_list_of_several(capsys: Capture) -> None:
    """`list` shows the project of each resource if several projects are listed."""
    assert 0 == main(["list", "web", "default", "name:web", "--type", "droplet"])
    lines = capsys.readouterr().out.splitlines()
    assert ["Project        URN           Assigned At", "web            do:droplet:9"] == [
        lines[0][:40],
        lines[1][:27],
    ]
    assert 3 == len(lines)
    assert 0 == main(["list", "web", "default", "-o", "json"])
    listed = json.loads(capsys.readouterr().out)
    assert ["project", "project_id", "urn", "assigned_at", "links", "status"] == list(listed[0])
    assert ["web"] * 3 + ["first-project"] * 2 == [each["project"] for each in listed]
    assert 0 == main(["list", "--format", "Project,URN", "--no-header"])
    assert "first-project  do:droplet:1\nfirst-project  do:volume:7\n" == capsys.readouterr().out


def break_project(account: Emulator, name: str, status: int) -> None:
    project = ids(account)[name]
    account.respond(status, when=lambda request: project in request.path, times=None)


@pytest.mark.parametrize("command", [["inventory"], ["list", "first-project", "web", "empty"]])
@pytest.mark.parametrize("form", ["text", "json", "jsonl", "csv"])
def test_project_that_fails(
    account: Emulator, capsys: Capture, command: list[str], form: str
) -> None:
    """The resources of the other projects are written, then the error; the exit status is 1."""
    account.seed(["do:droplet:50"], name="other")
    break_project(account, "web", 403)
    assert 1 == main([*command, "-o", form, "-q"])
    output = capsys.readouterr()
    assert "do:droplet:1" in output.out
    assert "do:app:1" not in output.out
    assert output.err.startswith("digitalocean-projects: web: 403 (GET /v2/projects/")
    assert 1 == output.err.count("\n")


def test_token_that_fails(account: Emulator, capsys: Capture) -> None:
    """An error that concerns all projects ends the command after the projects before it."""
    break_project(account, "web", 401)
    assert 1 == main(["inventory", "-o", "json"])
    output = capsys.readouterr()
    assert ["do:droplet:1", "do:volume:7"] == [each["urn"] for each in json.loads(output.out)]
    assert output.err.startswith("digitalocean-projects: 401 (GET")
    break_project(account, "empty", 401)
    assert 1 == main(["inventory", "-o", "json"])
    assert "" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("text", "Project  URN  Assigned At  Status\n"),
        ("json", "[]\n"),
        ("jsonl", ""),
        ("csv", "project,project_id,urn,type,id,assigned_at,status,self_link\n"),
    ],
)
def test_nothing(account: Emulator, capsys: Capture, form: str, expected: str) -> None:
    """An account without visible projects has headings, an empty array, or no line."""
    account.respond(200, {"projects": []})
    assert 0 == main(["inventory", "-o", form, "-q"])
    assert (expected, "") == capsys.readouterr()


def test_doubts(account: Emulator, capsys: Capture) -> None:
    """Notes say what may be missing, and a resource that is listed twice is a failure."""
    token = account.add_token(["project:read", "droplet:read"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITALOCEAN_TOKEN", token)
        assert 0 == main(["inventory", "-q", "-o", "jsonl"])
    assert [
        "# first-project: the listing lacks 1 resource; the token may lack scopes",
        "# web: the listing lacks 2 resources; the token may lack scopes",
    ] == capsys.readouterr().err.splitlines()
    empty = ids(account)["empty"]
    moving = {"resources": [{"urn": "do:reservedip:192.0.2.1"}]}
    account.respond(200, moving, when=lambda request: empty in request.path)
    assert 1 == main(["inventory", "-q", "-o", "jsonl"])
    expected = "do:floatingip:192.0.2.1: it is in empty and in web, so it has just been moved"
    assert f"digitalocean-projects: {expected}\n" == capsys.readouterr().err
    twice = {"resources": [{"urn": "do:droplet:2"}, {"urn": "do:droplet:2"}]}
    account.respond(200, twice, when=lambda request: empty in request.path, times=3)
    assert 0 == main(["inventory", "-q", "-o", "jsonl"])
    changed = "the listing changed while it was read; items may be missing or out of date"
    assert f"# empty: {changed}\n" == capsys.readouterr().err
    account.respond(200, {"projects": [{"id": empty, "name": "x"}] * 2}, times=3)
    assert 0 == main(["inventory", "-q", "-o", "jsonl"])
    expected = "the projects changed while they were listed; some may be missing\n"
    assert f"# {expected}" == capsys.readouterr().err
    account.respond(200, {"projects": [{"id": empty, "name": "x"}] * 2}, times=3)
    account.respond(200, twice, when=lambda request: empty in request.path, times=3)
    assert 1 == main(["inventory", "-q", "-o", "jsonl", "--strict"])
    assert [
        f"digitalocean-projects: {expected[:-1]}",
        f"digitalocean-projects: x: {changed}",
    ] == capsys.readouterr().err.splitlines()


@pytest.mark.usefixtures("account")
def test_reader_that_leaves() -> None:
    """A closed pipe ends the command silently."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as unread, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", unread)
        assert 0 == main(["inventory", "-o", "jsonl"])
