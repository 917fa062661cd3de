"""The subcommand `diff`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli import main
from digitalocean_projects._cli.account_file import AccountProject, parse_account
from digitalocean_projects._cli.diff import compared
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]

A = "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679"
B = "5e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679"


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with resources in three projects."""
    account.seed(["do:droplet:1", "do:floatingip:192.0.2.1"], default=True)
    account.seed(["do:droplet:2", "do:app:1"], name="web")
    account.seed(name="empty")
    return account


@pytest.fixture
def old(account: Emulator, tmp_path: Path) -> Path:
    """A file with the state of the account."""
    path = tmp_path / "old.jsonl"
    path.write_text(account.dump(), "utf-8")
    return path


def lines(*objects: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def change(account: Emulator) -> None:
    """Move a resource, delete one, and create one."""
    empty = next(project for project in account.projects() if project.name == "empty")
    text = account.dump().replace('app:1","type":"app","id":"1"', 'app:2","type":"app","id":"2"')
    account.load(text, replace=True)
    account.load(lines({"urn": "do:floatingip:192.0.2.1", "project_id": empty.id}))


def test_same(account: Emulator, old: Path, capsys: Capture) -> None:
    """Without differences, nothing is printed and the exit status is 0."""
    assert 0 == main(["diff", str(old)])
    assert ("", "# 0 moved, 0 added, 0 removed, 4 unchanged\n") == capsys.readouterr()
    assert 1 + 3 == len(account.requests)
    assert 0 == main(["projects", "update", "web", "--name", "renamed"])
    for form, expected in (("json", "[]\n"), ("jsonl", ""), ("csv", "change,urn,from,to\n")):
        capsys.readouterr()
        assert 0 == main(["diff", str(old), "-q", "-o", form])
        assert (expected, "") == capsys.readouterr()


def test_different(account: Emulator, old: Path, capsys: Capture, tmp_path: Path) -> None:
    """Moved, added and removed resources are printed in this order; the exit status is 1."""
    change(account)
    table = (
        "Change   URN                      From           To\n"
        "moved    do:floatingip:192.0.2.1  first-project  empty\n"
        "added    do:app:2                                web\n"
        "removed  do:app:1                 web\n"
    )
    assert 1 == main(["diff", str(old)])
    assert (table, "# 1 moved, 1 added, 1 removed, 2 unchanged\n") == capsys.readouterr()
    # A resource that is gone was missing in two readings.
    assert 2 * (1 + 3) == len(account.requests)
    new = tmp_path / "new.json"
    assert 0 == main(["inventory", "-o", "json"])
    new.write_text(capsys.readouterr().out, "utf-8")
    account.forget_requests()
    assert 1 == main(["diff", str(old), str(new)])
    assert table == capsys.readouterr().out
    assert 1 == main(["diff", str(old), str(new), "-o", "json"])
    ids = {project.name: project.id for project in account.projects()}
    web = {"id": ids["web"], "name": "web"}
    first = {"id": ids["first-project"], "name": "first-project"}
    expected = [
        {
            "change": "moved",
            "urn": "do:floatingip:192.0.2.1",
            "from": first,
            "to": {"id": ids["empty"], "name": "empty"},
        },
        {"change": "added", "urn": "do:app:2", "from": None, "to": web},
        {"change": "removed", "urn": "do:app:1", "from": web, "to": None},
    ]
    assert expected == json.loads(capsys.readouterr().out)
    assert 1 == main(["diff", str(old), str(new), "-o", "jsonl"])
    assert expected == [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [] == account.requests


def test_standard_input(
    monkeypatch: pytest.MonkeyPatch, old: Path, capsys: Capture, say: Callable[[str], None]
) -> None:
    """Either side may be standard input, but not both; two exports need no token."""
    monkeypatch.delenv("DIGITALOCEAN_TOKEN")
    for arguments in (["-", str(old)], [str(old), "-"]):
        say(old.read_text("utf-8"))
        assert 0 == main(["diff", *arguments])
    assert 2 == main(["diff", "-", "-"])
    assert "OLD and NEW must not both be standard input" in capsys.readouterr().err
    assert 2 == main(["diff", str(old)])
    assert "no API token" in capsys.readouterr().err


PROJECT = {"kind": "project", "id": A, "name": "a"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # The same id with another name; the same name with another id.
        ([PROJECT | {"name": "z"}], [PROJECT], []),
        ([PROJECT | {"id": B}], [PROJECT], [("moved", f"a ({B})", f"a ({A})")]),
        # A name alone, on either side.
        ([{"name": "a"}], [PROJECT], []),
        ([PROJECT], [{"name": "a"}], []),
        ([{"name": "a"}], [{"name": "a"}], []),
        ([{"name": "b"}], [PROJECT], [("moved", "b", "a")]),
        ([{"name": "b"}], [{"name": "a"}], [("moved", "b", "a")]),
        # The default project by its word.
        ([{"id": "default", "name": "a"}], [PROJECT], []),
        ([], [PROJECT | {"is_default": True}], []),
        ([PROJECT | {"is_default": True}], [], []),
        ([], [], []),
        # An id goes before a name that was exchanged with that of another project.
        (
            [{"kind": "project", "id": B, "name": "a"}, {"kind": "project", "id": A, "name": "b"}],
            [{"kind": "project", "id": B, "name": "b"}, PROJECT],
            [],
        ),
    ],
)
def test_projects(
    old: list[dict[str, object]],
    new: list[dict[str, object]],
    expected: list[tuple[str, str, str]],
) -> None:
    """A project is the same by its id, by being the default one, or else by its name."""
    sides = []
    for projects in (old, new):
        text = lines(*projects)
        last = projects[-1] if projects else {"id": "default"}
        key = {"project_id": last["id"]} if "id" in last else {"project": last["name"]}
        text += lines({"urn": "do:app:1", **key})
        sides.append(parse_account(text, "x"))
    changes = compared(*sides)
    assert expected == [(one.kind, one.label(one.source), one.label(one.target)) for one in changes]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"project": "default"}, {"project": "a"}),
        ({"project_id": A}, {"project": "default"}),
        ({"project_id": A}, {"project": "a"}),
    ],
)
def test_unclear_projects(
    old: dict[str, str], new: dict[str, str], capsys: Capture, tmp_path: Path
) -> None:
    """If it is unclear whether projects are the same, that is an error."""
    for name, project in (("old", old), ("new", new)):
        (tmp_path / name).write_text(lines({"urn": "do:app:1", **project}), "utf-8")
    assert 2 == main(["diff", str(tmp_path / "old"), str(tmp_path / "new")])
    error = capsys.readouterr().err
    assert f"{tmp_path / 'new'}:1: " in error
    assert f" at {tmp_path / 'old'}:1; write both files with" in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "old.jsonl:1: invalid JSON"),
        (
            lines({"urn": "do:a:1", "project": "a"}, {"urn": "do:a:1", "project": "b"}),
            "old.jsonl:2: a resource must be in one project",
        ),
        (None, "No such file"),
    ],
)
@pytest.mark.usefixtures("account")
def test_trouble_with_files(text: str | None, message: str, capsys: Capture, old: Path) -> None:
    """A damaged or missing file is an error, with exit status 2."""
    old.unlink()
    if text is not None:
        old.write_text(text, "utf-8")
    assert 2 == main(["diff", str(old)])
    output = capsys.readouterr()
    assert "" == output.out
    assert message in output.err


@pytest.mark.parametrize("status", [401, 403, 422])
@pytest.mark.parametrize("path", ["/v2/projects", "/resources"])
def test_trouble_with_the_account(
    account: Emulator, old: Path, capsys: Capture, status: int, path: str
) -> None:
    """If the account can't be read completely, that is an error, and nothing is gone."""
    account.fail(faults.Status(status), when=lambda request: request.path.endswith(path))
    assert 2 == main(["diff", str(old), "-q"])
    output = capsys.readouterr()
    assert ("", True) == (output.out, f" {status} " in output.err)


def test_hidden_resources(
    account: Emulator, old: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resource that the token may not see is not gone."""
    token = account.add_token(["project:read", "droplet:read", "app:read"])
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", token)
    assert 2 == main(["diff", str(old)])
    expected = (
        "digitalocean-projects: do:floatingip:192.0.2.1: it may be one of the 1 resource that the "
        "account has but the token may not see\n"
    )
    assert ("", expected) == capsys.readouterr()


def moving(account: Emulator, name: str, *urns: str, times: int | None = 1) -> None:
    """Answer with these resources of a project."""
    project = next(project.id for project in account.projects() if project.name == name)
    account.respond(
        200,
        {"resources": [{"urn": urn} for urn in urns]},
        when=lambda request: project in request.path,
        times=times,
    )


def test_changes_meanwhile(account: Emulator, old: Path, capsys: Capture) -> None:
    """A resource that a reading misses or lists twice while it moves is read again."""
    # The first reading misses one; the second one is complete.
    moving(account, "web", "do:droplet:2")
    assert 0 == main(["diff", str(old)])
    # It is in two projects, and then where it was.
    moving(account, "empty", "do:droplet:2")
    assert 0 == main(["diff", str(old)])
    # A listing that doesn't settle within one reading.
    moving(account, "web", "do:app:1", "do:app:1", "do:droplet:2", times=3)
    assert 0 == main(["diff", str(old)])
    capsys.readouterr()
    # It never settles.
    moving(account, "empty", "do:droplet:2", times=None)
    assert 2 == main(["diff", str(old)])
    expected = "do:droplet:2 was listed in 'empty' and in 'web', in every attempt; try again later"
    assert ("", f"digitalocean-projects: {expected}\n") == capsys.readouterr()


def test_changes_in_every_reading(account: Emulator, old: Path, capsys: Capture) -> None:
    """Different resources that are gone in each reading are not gone."""
    moving(account, "web", "do:app:1")
    moving(account, "web", "do:droplet:2")
    moving(account, "web")
    assert 2 == main(["diff", str(old)])
    expected = "the account changed while it was read, in every attempt; try again later"
    assert ("", f"digitalocean-projects: {expected}\n") == capsys.readouterr()
    twice = [{"id": A, "name": "x"}] * 2
    account.respond(200, {"projects": twice}, times=9, when=lambda r: "resources" not in r.path)
    account.respond(200, {"resources": []}, when=lambda request: A in request.path, times=None)
    assert 2 == main(["diff", str(old)])
    expected = "the projects changed while they were listed, in every attempt; try again later"
    assert ("", f"digitalocean-projects: {expected}\n") == capsys.readouterr()


@pytest.mark.parametrize("form", ["text", "json"])
def test_reader_that_leaves(account: Emulator, old: Path, form: str) -> None:
    """A closed pipe doesn't hide that there are differences."""
    change(account)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as unread, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", unread)
        assert 1 == main(["diff", str(old), "-q", "-o", form])


@pytest.mark.usefixtures("account")
def test_full_disk(old: Path, capsys: Capture) -> None:
    """Output that can't be written is an error."""
    with open("/dev/full", "w") as full, pytest.MonkeyPatch.context() as patch:  # noqa: PTH123 - a device
        patch.setattr("sys.stdout", full)
        assert 2 == main(["diff", str(old), "-o", "json"])
    assert "No space left" in capsys.readouterr().err


def test_edited_export(account: Emulator, old: Path, capsys: Capture) -> None:
    """After two lines of an export are edited and applied, the account is as the export says."""
    members = [json.loads(line) for line in old.read_text("utf-8").splitlines()]
    for one in members:
        if one.get("urn") in {"do:droplet:1", "do:app:1"}:
            one["project"] = {"do:droplet:1": "web", "do:app:1": "empty"}[one["urn"]]
            del one["project_id"]
    old.write_text(lines(*members), "utf-8")
    assert 0 == main(["plan", str(old), "-q", "--no-header", "--format", "URN"])
    assert {"do:droplet:1", "do:app:1"} == set(capsys.readouterr().out.split())
    assert 1 == main(["diff", str(old), "-q", "--no-header", "--format", "Change,URN"])
    assert "moved  do:app:1\nmoved  do:droplet:1\n" == capsys.readouterr().out
    assert 0 == main(["apply", str(old), "-q"])
    assert 0 == main(["diff", str(old), "-q"])
    assert account.requests


def test_many_projects() -> None:
    """The number of comparisons of names grows with the number of projects, not with its square."""
    comparisons = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal comparisons
            comparisons += 1
            return str.__eq__(self, other)

    def account(numbers: Iterable[int]) -> list[AccountProject]:
        return [
            AccountProject(
                id=None, name=Name(f"p{i}"), is_default=False, attributes={}, urns=(), place="x"
            )
            for i in numbers
        ]

    assert [] == compared(account(range(300)), account(reversed(range(300))))
    assert 0 < comparisons < 3_000


def test_other_default_project() -> None:
    """Default projects with different ids are different ones."""
    line = (
        '{{"name": "{0}", "id": "{1}", "is_default": true}}\n{{"project": "{0}", "urn": "do:a:1"}}'
    )
    old, new = (parse_account(line.format(*it), "x") for it in (("a", A), ("b", B)))
    assert ["moved"] == [change.kind for change in compared(old, new)]
