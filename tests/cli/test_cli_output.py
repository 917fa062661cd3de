"""The output of the command: tables, JSON, colors, and doctl's options for them."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli import main
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]

ACCENTED = "cafe\N{COMBINING ACUTE ACCENT}"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with a droplet in the default project."""
    account.seed(["do:droplet:1"], default=True)
    return account


def make_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard output a terminal with colors."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)


def test_format(account: Emulator, capsys: Capture) -> None:
    """`--format` selects columns in the given order, in upper or lower case."""
    assert 0 == main(["list", "--format", "id, TYPE,Urn"])
    assert "ID  Type     URN\n1   droplet  do:droplet:1\n" == capsys.readouterr().out
    assert 0 == main(["assign", "default", "do:droplet:1", "--format", "Status", "--no-header"])
    assert "already_assigned\n" == capsys.readouterr().out
    names = "OwnerID,OwnerUUID,Purpose,Description,CreatedAt,UpdatedAt,IsDefault"
    assert 0 == main(["projects", "get", "default", "--format", names])
    heading, values = capsys.readouterr().out.splitlines()
    assert "Owner ID  Owner UUID  " == heading[:22]
    assert ["1234567", "579233b2c479241523cba5e3af55d0f50f2d6414"] == values.split()[:2]
    assert values.endswith("true")
    project = {"id": UNKNOWN, "name": "x"}
    account.respond(200, {"project": project})
    assert 0 == main(["projects", "get", UNKNOWN, "--format", names, "--no-header"])
    assert ["N/A", "N/A", "N/A", "N/A", "false"] == capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("command", "known"),
    [
        (["assign", "default", "do:droplet:2"], "URN,Type,ID,AssignedAt,Status,SelfLink"),
        (
            ["projects", "update", "default", "--name", "x"],
            "ID,OwnerUUID,OwnerID,Name,Description,Purpose,Environment,IsDefault,CreatedAt,UpdatedAt",
        ),
    ],
)
@pytest.mark.parametrize("columns", ["Size", "ID,Size", "ID,", ""])
def test_no_such_column(
    account: Emulator, command: list[str], known: str, columns: str, capsys: Capture
) -> None:
    """An unknown column is refused before any request, with the known ones."""
    with pytest.raises(SystemExit) as caught:
        main([*command, "--format", columns])
    assert 2 == caught.value.code
    error = capsys.readouterr().err
    unknown = columns.removeprefix("ID,")
    assert f"unknown column '{unknown}'; choose from {known}\n" in error
    assert [] == account.requests


@pytest.mark.parametrize("option", [["--format", "URN"], ["--no-header"]])
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_columns_of_json(
    account: Emulator, option: list[str], output: str, capsys: Capture
) -> None:
    """Options for tables are ignored with JSON, as by doctl."""
    account.seed(["do:droplet:1"], default=True)
    assert 0 == main(["list", "-o", output, *option])
    assert '"assigned_at":"2024-' in capsys.readouterr().out


def test_json_lines(account: Emulator, capsys: Capture) -> None:
    """JSON lines have one object per line, in the shape of the API."""
    account.seed([f"do:droplet:{number}" for number in range(2, 303)], default=True)
    assert 0 == main(["list", "-o", "jsonl"])
    output = capsys.readouterr()
    lines = [json.loads(line) for line in output.out.splitlines()]
    assert [*range(2, 303), 1] == [int(line["urn"].removeprefix("do:droplet:")) for line in lines]
    assert ["urn", "assigned_at", "links", "status"] == list(lines[0])
    assert "" == output.err
    assert 0 == main(["projects", "list", "-o", "jsonl"])
    assert account.default_project_id == json.loads(capsys.readouterr().out)["id"]
    assert 1 == main(["assign", "default", "do:droplet:1", "do:droplet:404", "-o", "jsonl"])
    statuses = [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()]
    assert ["already_assigned", "not_found"] == statuses


def test_json_of_a_changing_project(account: Emulator, capsys: Capture) -> None:
    """A listing that changes while it is read is read again, at most twice."""
    twice = {"resources": [{"urn": "do:droplet:2"}, {"urn": "do:droplet:2"}]}
    account.respond(200, twice)
    assert 0 == main(["list", "-o", "json"])
    output = capsys.readouterr()
    urns = [resource["urn"] for resource in json.loads(output.out)]
    assert (["do:droplet:1"], "") == (urns, output.err)
    assert 2 == len(account.requests)
    account.respond(200, twice, times=None)
    assert 0 == main(["list", "-o", "json"])
    expected = "# the listing changed while it was read; items may be missing or out of date\n"
    assert expected == capsys.readouterr().err
    assert 2 + 3 == len(account.requests)


def test_empty_project(account: Emulator, capsys: Capture) -> None:
    """An empty project prints headings, an empty array, or no JSON line."""
    empty = account.seed()
    assert 0 == main(["list", empty])
    assert ("URN  Assigned At  Status\n", "# 0 resources on 1 page\n") == capsys.readouterr()
    assert 0 == main(["list", empty, "-o", "jsonl"])
    assert ("", "") == capsys.readouterr()
    assert 0 == main(["list", empty, "-o", "json"])
    assert ("[]\n", "") == capsys.readouterr()


@pytest.mark.parametrize("with_wcwidth", [True, False])
def test_wide_names(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: Capture, *, with_wcwidth: bool
) -> None:
    """Columns align by terminal cells, and a long cell shifts its own line only."""
    if not with_wcwidth:
        monkeypatch.setitem(sys.modules, "wcwidth", None)
    for name in ("東京", ACCENTED, "x" * 60):
        account.seed(name=name)
    assert 0 == main(["projects", "list", "--format", "Name,IsDefault"])
    assert [
        f"{'Name':52}  Is Default?",
        f"{'x' * 60}  false",
        f"{ACCENTED:53}  false",
        f"{'東京':50}  false",
        f"{'first-project':52}  true",
    ] == capsys.readouterr().out.splitlines()


# Each is two cells wide.
SYMBOLS = [
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, with zero-width joiners
    "\u2764\ufe0f",  # a heart, with a variation selector
    "\U0001f1e9\U0001f1ea",  # the flag of Germany, two regional indicators
    # The flag of England, a black flag with tags.
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "\U0001f44d\U0001f3fd",  # a thumb with a skin tone
    "1\ufe0f\u20e3",  # a keycap
]


def test_symbols(account: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Symbols of several characters are kept, align by their cells, and are never cut."""
    for symbol in SYMBOLS:
        account.seed(name=symbol * 5)
    assert 0 == main(["projects", "list", "--format", "Name,IsDefault", "--no-header"])
    lines = [f"{symbol * 5}     false" for symbol in reversed(SYMBOLS)]
    assert [*lines, "first-project  true"] == capsys.readouterr().out.splitlines()
    make_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "35")
    assert 0 == main(["report"])
    lines = capsys.readouterr().out.splitlines()
    cut = [line.partition("…")[0] for line in lines if "…" in line]
    assert [symbol * 3 for symbol in reversed(SYMBOLS)] == cut[:6]
    monkeypatch.setitem(sys.modules, "wcwidth", None)
    assert 0 == main(["report"])
    assert 6 <= capsys.readouterr().out.count("…")


def test_widths_of_pages(account: Emulator, capsys: Capture) -> None:
    """A column is as wide as the cells written so far, so pages can be streamed."""
    account.seed(["do:space:" + "y" * 30], default=True)
    account.seed([f"do:droplet:{number}" for number in range(1000, 1200)], default=True)
    assert 0 == main(["list", "--format", "URN,Status"])
    lines = capsys.readouterr().out.splitlines()
    assert ("URN              Status", "do:droplet:1199  ok") == (lines[0], lines[200])
    assert [f"do:space:{'y' * 30}  ok", f"{'do:droplet:1':39}  ok"] == lines[201:]


def test_colours(account: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """On a terminal, headings are bold and failed resources are red."""
    make_terminal(monkeypatch)
    assert 1 == main(
        ["assign", "default", "do:droplet:1", "do:droplet:404", "--format", "urn,status"]
    )
    assert [
        "\x1b[1mURN             Status\x1b[0m",
        "do:droplet:1    already_assigned",
        "\x1b[31mdo:droplet:404  not_found\x1b[0m",
    ] == capsys.readouterr().out.splitlines()
    account.fail(faults.NotAssigned("paused"))
    assert 1 == main(["assign", "default", "do:droplet:1", "--format", "status", "--no-header"])
    assert "paused\n" == capsys.readouterr().out


def test_colours_of_a_reconciliation(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    """`reconcile` prints changes in green and failures in red."""
    make_terminal(monkeypatch)
    web = account.seed(["do:droplet:2"], name="web")
    wanted = tmp_path / "wanted"
    wanted.write_text("do:droplet:1\ndo:droplet:404\n", "utf-8")
    assert 1 == main(["reconcile", web, str(wanted), "--prune"])
    assert (
        "\x1b[32m+ do:droplet:1\x1b[0m\n"
        "\x1b[32m- do:droplet:2\x1b[0m\n"
        "\x1b[31m! do:droplet:404  not_found\x1b[0m\n"
    ) == capsys.readouterr().out


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", None)]
)
def test_no_colours(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, variable: str, value: str | None
) -> None:
    """NO_COLOR and a terminal without colors turn colors off."""
    make_terminal(monkeypatch)
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    assert 0 == main(["list", "--format", "URN"])
    assert "URN\ndo:droplet:1\n" == capsys.readouterr().out


def test_another_standard_output(account: Emulator) -> None:
    """A table is written to a replaced standard output."""
    with redirect_stdout(io.StringIO()) as output:
        assert 0 == main(["list", "--format", "URN"])
    assert account.requests
    assert "URN\ndo:droplet:1\n" == output.getvalue()


def test_quiet(account: Emulator, capsys: Capture) -> None:
    """`--quiet` suppresses notes, but no failure and no doubt."""
    assert 0 == main(["list", "-q"])
    assert "" == capsys.readouterr().err
    assert 0 == main(["list", "--demo", "--quiet"])
    assert "" == capsys.readouterr().err
    account.fail(faults.Omit(["do:droplet:1"]))
    assert 1 == main(["assign", "default", "do:droplet:1", "-q"])
    assert "# outcome unknown: do:droplet:1\n" == capsys.readouterr().err
    assert 1 == main(["list", UNKNOWN, "-q"])
    assert "404 not_found" in capsys.readouterr().err


def test_doctl_shapes(account: Emulator, capsys: Capture) -> None:
    """Commands in doctl's syntax have the same effect."""
    urns = ["do:droplet:2", "do:droplet:3", "do:droplet:4"]
    account.seed(urns)
    create = ["projects", "create", "--name", "shop", "--purpose", "IoT"]
    assert 0 == main([*create, "--format", "ID", "--no-header"])
    shop = capsys.readouterr().out.strip()
    assert shop == account.projects()[0].id
    assert 0 == main(["projects", "update", shop, "--name", "web", "--is_default"])
    assign = ["projects", "resources", "assign", shop]
    assert 0 == main([*assign, "--resource=do:droplet:2,do:droplet:3", "--resource=do:droplet:4"])
    assert sorted(urns) == sorted(account.resources(shop))
    capsys.readouterr()
    for command in (["projects", "resources", "list", shop], ["projects", "resources", "ls", shop]):
        assert 0 == main([*command, "--format", "URN", "--no-header"])
        assert sorted(urns) == sorted(capsys.readouterr().out.split())
    assert 0 == main(["ls", shop, "--no-header"])
    assert 3 == len(capsys.readouterr().out.splitlines())
    assert 0 == main(["projects", "ls", "--format", "Name", "--no-header"])
    assert ["web", "project-1", "first-project"] == capsys.readouterr().out.split()
    empty = account.projects()[1].id
    assert 0 == main(["projects", "rm", empty, "--force"])
    assert ["web", "first-project"] == [project.name for project in account.projects()]


def test_doctl_aliases(account: Emulator, capsys: Capture) -> None:
    """Subcommands have the aliases that doctl has."""
    assert 0 == main(["projects", "c", "--name", "shop", "--purpose", "IoT"])
    assert 0 == main(["projects", "resources", "a", "shop", "--resource=do:droplet:1"])
    assert 0 == main(["projects", "u", "shop", "--name", "web"])
    assert ["do:droplet:1"] == account.resources(account.projects()[0].id)
    capsys.readouterr()
    assert 0 == main(["projects", "g", "web", "--format", "Name", "--no-header"])
    assert "web\n" == capsys.readouterr().out
    assert 0 == main(["unassign", "do:droplet:1"])
    assert 0 == main(["projects", "d", "web"])
    assert ["first-project"] == [project.name for project in account.projects()]


@pytest.mark.parametrize(
    ("urn", "path", "member"),
    [
        ("do:droplet:1", "/v2/droplets/1", "droplet"),
        ("do:reservedip:192.0.2.1", "/v2/reserved_ips/192.0.2.1", "reserved_ip"),
        ("do:floatingipv6:2001:db8::1", "/v2/reserved_ipv6/2001%3Adb8%3A%3A1", "reserved_ipv6"),
        ("do:kubernetes:a-b", "/v2/kubernetes/clusters/a-b", "kubernetes_cluster"),
    ],
)
def test_resources_get(
    account: Emulator, capsys: Capture, urn: str, path: str, member: str
) -> None:
    """`projects resources get` prints the object of the endpoint for the resource's type."""
    shown = {"id": 1, "name": "b\u00fccher"}
    account.respond(200, {member: shown}, times=None)
    for form, expected in (("text", shown), ("json", [shown]), ("jsonl", shown)):
        assert 0 == main(["projects", "resources", "get", urn, "-o", form])
        printed = capsys.readouterr().out
        assert expected == json.loads(printed)
        assert (printed.isascii(), form != "text") == (True, printed.count("\n") == 1)
    assert {("GET", path)} == {(request.method, request.path) for request in account.requests}


def test_resources_get_fails(
    account: Emulator, capsys: Capture, say: Callable[[str], None]
) -> None:
    """`projects resources get` refuses an unknown type, and reports a missing resource."""
    get = ["projects", "resources", "g"]
    assert 2 == main([*get, "do:vpc:1"])
    assert "the type must be one of app, domain, droplet, " in capsys.readouterr().err
    say("do:droplet:1\ndo:droplet:2\n")
    assert 2 == main([*get, "-"])
    assert "standard input must have exactly one URN, got 2" in capsys.readouterr().err
    assert [] == account.requests
    account.respond(404)
    assert 1 == main([*get, "do:droplet:404"])
    assert "404 (GET /v2/droplets/404" in capsys.readouterr().err
    account.respond(200, ["odd"])
    assert 0 == main([*get, "do:droplet:1", "-o", "jsonl"])
    assert '["odd"]\n' == capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (["--is_default=true"], {"name": "web", "is_default": True}),
        (["--is_default=false"], {"name": "web", "is_default": False}),
        (["--is_default"], {"name": "web", "is_default": True}),
        (["--default"], {"name": "web", "is_default": True}),
        ([], {"name": "web"}),
    ],
)
def test_doctl_switch(account: Emulator, option: list[str], expected: dict[str, object]) -> None:
    """`--is_default` takes an optional value after a `=`."""
    shop = account.seed(name="shop")
    assert 0 == main(["projects", "update", *option, shop, "--name", "web"])
    assert expected == json.loads(account.requests[-1].body)
    assert (expected.get("is_default") is True) == (shop == account.default_project_id)


@pytest.mark.parametrize("name", ["default", UNKNOWN, "name:x"])
def test_names_that_look_like_something_else(account: Emulator, name: str, capsys: Capture) -> None:
    """`name:` selects a project whose name looks like an id."""
    project_id = account.seed(["do:droplet:2"], name=name)
    assert 0 == main(["list", f"name:{name}", "--format", "URN", "--no-header"])
    assert "do:droplet:2\n" == capsys.readouterr().out
    assert 1 == main(["projects", "get", "name:no-such"])
    assert "no project is named 'no-such'" in capsys.readouterr().err
    assert ["do:droplet:2"] == account.resources(project_id)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2018-09-28T19:26:37.999Z", "2018-09-28T19:26:37Z"),
        ("2018-09-28T21:26:37+02:00", "2018-09-28T19:26:37Z"),
        ("2018-09-28 19:26:37", "2018-09-28T19:26:37Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("soon", "N/A"),
    ],
)
def test_times(account: Emulator, capsys: Capture, sent: str, shown: str) -> None:
    """Times are printed in UTC with whole seconds, if UTC can express them."""
    resource = {"urn": "do:droplet:1", "assigned_at": sent}
    account.respond(200, {"resources": [resource]})
    assert 0 == main(["list", "--format", "AssignedAt", "--no-header"])
    assert f"{shown}\n" == capsys.readouterr().out
