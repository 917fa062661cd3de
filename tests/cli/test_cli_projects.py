"""The subcommands on projects, and those that move resources."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import Client
from digitalocean_projects._cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]

WEB_SHOP = "7372f58d-31f8-476c-b2e6-32be4df0ec2d"
IN_WEB_SHOP = "do:droplet:310984024"


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with two droplets in `web` and one in the default project."""
    account.seed(["do:droplet:1", "do:droplet:2"], name="web", environment="Staging")
    account.seed(["do:droplet:3"], default=True)
    return account


@pytest.fixture
def web(account: Emulator) -> str:
    """The UUID of `web`."""
    return next(project.id for project in account.projects() if project.name == "web")


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_projects_list(account: Emulator, web: str, capsys: Capture) -> None:
    """`projects list` prints the id, name and environment of each project, and the default."""
    assert 0 == main(["projects", "list"])
    output = capsys.readouterr()
    assert [
        ["ID", "Name", "Environment", "Is", "Default?"],
        [web, "web", "Staging", "false"],
        [account.default_project_id, "first-project", "true"],
    ] == words(output.out)
    assert "" == output.err


def test_projects_list_as_json(account: Emulator, capsys: Capture) -> None:
    """JSON output has the shape of the API."""
    assert 0 == main(["projects", "list", "-o", "json"])
    printed = json.loads(capsys.readouterr().out)
    assert [project.name for project in account.projects()] == [one["name"] for one in printed]
    assert {
        "created_at": "2024-01-01T00:00:01Z",
        "description": "",
        "environment": "Staging",
        "id": account.projects()[0].id,
        "is_default": False,
        "name": "web",
        "owner_id": 1234567,
        "owner_uuid": "579233b2c479241523cba5e3af55d0f50f2d6414",
        "purpose": "Web Application",
        "updated_at": "2024-01-01T00:00:01Z",
    } == printed[0]


def test_projects_that_change(account: Emulator, capsys: Capture) -> None:
    """A listing of projects that changed while it was read is reported."""
    twin = {"id": "x", "name": "y"}
    account.respond(200, {"projects": [twin, twin]}, times=None)
    for option, expected in ([], 0), (["--strict"], 1):
        assert expected == main(["projects", "list", *option])
        assert "the listing changed while it was read" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["id", "upper-case id", "name", "default"])
def test_projects_get(account: Emulator, web: str, way: str, capsys: Capture) -> None:
    """A project is given as its id, its name, or `default`."""
    ways = {"id": web, "upper-case id": web.upper(), "name": "web", "default": "default"}
    assert 0 == main(["projects", "get", ways[way]])
    expected = account.default_project_id if way == "default" else web
    assert expected == words(capsys.readouterr().out)[1][0]


@pytest.mark.parametrize(
    "command",
    [
        ["list", "web"],
        ["assign", "web", "do:droplet:1"],
        ["reconcile", "web", "--dry-run"],
        ["projects", "get", "web"],
        ["projects", "update", "web", "--name", "shop"],
    ],
)
def test_names_everywhere(
    account: Emulator, command: list[str], web: str, say: Callable[[str], None]
) -> None:
    """Each subcommand that takes a project takes its name, which costs one listing."""
    say("do:droplet:1")
    assert 0 == main(command)
    assert ["/v2/projects", f"/v2/projects/{web}"] == [
        request.path.removesuffix("/resources") for request in account.requests
    ]


def test_projects_create(account: Emulator, capsys: Capture) -> None:
    """`projects create` creates a project and prints it."""
    arguments = ["--purpose", "IoT", "--description", "It sells", "--environment", "PRODUCTION"]
    assert 0 == main(["projects", "create", "shop", *arguments])
    shop = account.projects()[0]
    assert [[shop.id, "shop", "Production", "false"]] == words(capsys.readouterr().out)[1:]
    assert ("shop", "IoT", "It sells") == (shop.name, shop.purpose, shop.description)
    assert 0 == main(["projects", "create", "mail", "--purpose", "my own", "-o", "json"])
    (mail,) = json.loads(capsys.readouterr().out)
    assert ("mail", "Other: my own") == (mail["name"], mail["purpose"])
    assert ("", "") == (account.projects()[0].description, account.projects()[0].environment)


def test_projects_create_default(account: Emulator, capsys: Capture) -> None:
    """`projects create --default` makes the new project the default one, by a second request."""
    create = ["projects", "create", "--purpose", "IoT", "--default", "--format", "Name,IsDefault"]
    assert 0 == main([*create, "shop", "--no-header"])
    assert "shop  true\n" == capsys.readouterr().out
    assert account.projects()[0].id == account.default_project_id
    account.respond(403, when=lambda request: request.method == "PATCH")
    assert 1 == main([*create, "mail", "--no-header"])
    output = capsys.readouterr()
    assert "mail  false\n" == output.out
    expected = "digitalocean-projects: the project was created, but it is not the default project: "
    assert output.err.startswith(f"{expected}403 ")
    assert ["mail", "shop"] == [project.name for project in account.projects()[:2]]


def test_projects_update(account: Emulator, web: str, capsys: Capture) -> None:
    """`projects update` sends the given attributes only."""
    assert 0 == main(["projects", "update", "web", "--name", "shop", "--description", ""])
    assert [[web, "shop", "Staging", "false"]] == words(capsys.readouterr().out)[1:]
    assert {"name": "shop", "description": ""} == json.loads(account.requests[-1].body)
    assert 0 == main(["projects", "update", "shop", "--purpose", "IoT", "--environment", "staging"])
    assert {"purpose": "IoT", "environment": "Staging"} == json.loads(account.requests[-1].body)
    assert 0 == main(["projects", "update", web, "--default"])
    assert web == account.default_project_id


def test_projects_delete(account: Emulator, web: str, capsys: Capture) -> None:
    """`projects delete` deletes an empty project, and prints a note only."""
    assert 1 == main(["projects", "delete", "web"])
    assert "412 precondition_failed" in capsys.readouterr().err
    assert 0 == main(["unassign", "do:droplet:1", "do:droplet:2"])
    capsys.readouterr()
    assert 0 == main(["projects", "delete", "web"])
    assert ("", "# deleted: web\n") == capsys.readouterr()
    assert [account.default_project_id] == [project.id for project in account.projects()]
    assert 1 == main(["projects", "delete", web])
    assert "404 not_found" in capsys.readouterr().err


def test_projects_delete_several(account: Emulator, capsys: Capture) -> None:
    """`projects delete` accounts for each project, and goes on after a failure."""
    full, first, second = account.seed(["do:droplet:4"]), account.seed(), account.seed(name="shop")
    assert 1 == main(["projects", "delete", first, full, "no-such", "shop", first])
    deleted, full_one, unknown, shop = capsys.readouterr().err.splitlines()
    assert (f"# deleted: {first}", "# deleted: shop") == (deleted, shop)
    assert full_one.startswith(f"digitalocean-projects: {full}: 412 precondition_failed")
    assert unknown.startswith("digitalocean-projects: no-such: no project is named 'no-such'")
    left = {project.id for project in account.projects()}
    assert (True, set()) == (full in left, {first, second} & left)


@pytest.fixture
def slow_moves(monkeypatch: pytest.MonkeyPatch, account: Emulator) -> None:
    """Moves take 30 seconds on a clock that only the command moves."""

    class WaitingMoves:
        time = account.clock.time

        async def sleep(self, seconds: float) -> None:
            account.clock.jump(seconds)

    monkeypatch.setattr(
        "digitalocean_projects._facade.sync.Client", lambda _, **__: Client(clock=WaitingMoves())
    )
    account.move_delay = 30.0


@pytest.mark.usefixtures("slow_moves")
def test_assign_waits(account: Emulator, web: str, capsys: Capture) -> None:
    """With `--wait`, `assign` and `unassign` end once the project lists the resources."""
    assert 0 == main(["assign", "web", "do:droplet:3"])
    assert ["do:droplet:3"] == account.resources()
    assert 0 == main(["assign", "web", "do:droplet:3", "--wait", "60"])
    assert "do:droplet:3" in account.resources(web)
    assert 0 == main(["unassign", "do:droplet:3", "--wait", "60"])
    assert ["do:droplet:3"] == account.resources()
    capsys.readouterr()
    move = ["projects", "resources", "assign", "web", "--resource=do:droplet:3", "--no-header"]
    assert 1 == main([*move, "--wait", "2.5"])
    output = capsys.readouterr()
    assert [["do:droplet:3", "assigned"]] == [line[::2] for line in words(output.out)]
    assert "1 resource is missing in project" in output.err
    assert 1 == main(["assign", "web", "do:droplet:404", "--wait", "60"])
    assert "POST" == account.requests[-1].method


@pytest.mark.usefixtures("slow_moves")
def test_projects_delete_waits(account: Emulator, capsys: Capture) -> None:
    """With `--wait`, a project is deleted once the moved resources have left it."""
    assert 0 == main(["unassign", "do:droplet:1", "do:droplet:2"])
    assert 1 == main(["projects", "delete", "web", "--wait", "2.5"])
    assert 0 == main(["projects", "delete", "web", "--wait", "60"])
    assert "412 precondition_failed" in capsys.readouterr().err
    assert ["first-project"] == [project.name for project in account.projects()]


def test_assign_and_unassign(account: Emulator, web: str, capsys: Capture) -> None:
    """`assign` moves resources to a project, and `unassign` to the default project."""
    assert 0 == main(["assign", "web", "do:droplet:1", "do:droplet:3"])
    assert [["do:droplet:1", "already_assigned"], ["do:droplet:3", "assigned"]] == [
        line[::2] for line in words(capsys.readouterr().out)[1:]
    ]
    assert 0 == main(["unassign", "do:droplet:1", "-o", "json"])
    assert ["assigned"] == [one["status"] for one in json.loads(capsys.readouterr().out)]
    assert ["do:droplet:1"] == account.resources()
    assert ["do:droplet:3", "do:droplet:2"] == sorted(account.resources(web), reverse=True)


def test_moving_from_standard_input(
    account: Emulator, capsys: Capture, say: Callable[[str], None]
) -> None:
    """`unassign -` reads URNs from standard input, and exits with 1 if one fails."""
    say("# the old ones\n\n do:droplet:1 \ndo:droplet:404\n")
    assert 1 == main(["unassign", "-"])
    printed = [line[::2] for line in words(capsys.readouterr().out)[1:]]
    assert [["do:droplet:1", "assigned"], ["do:droplet:404", "not_found"]] == printed
    assert ["do:droplet:1", "do:droplet:3"] == account.resources()


@pytest.mark.parametrize("command", [["assign", "web", "-"], ["unassign", "-"]])
def test_nothing_to_move(
    account: Emulator, command: list[str], capsys: Capture, say: Callable[[str], None]
) -> None:
    """An empty list of URNs is reported, and nothing is sent."""
    say("# none\n")
    assert 0 == main([*command, "--no-header"])
    assert ("", "# the list of URNs is empty; nothing was moved\n") == capsys.readouterr()
    assert 0 == main([*command, "--no-header", "-q"])
    assert ("", "") == capsys.readouterr()
    assert "POST" not in {request.method for request in account.requests}


def test_moving_fails_later(account: Emulator, capsys: Capture) -> None:
    """After a failed chunk, the results of other chunks and the resources left are printed."""
    urns = [f"do:droplet:{number}" for number in range(1000, 1201)]
    account.seed(urns)
    account.respond(403, when=lambda request: b"do:droplet:1100" in request.body)
    assert 1 == main(["unassign", *urns])
    output = capsys.readouterr()
    moved = [line[0] for line in words(output.out)[1:]]
    # The third chunk may have been sent before the second one failed.
    assert moved in (urns[:100], urns[:100] + urns[200:])
    *notes, failure = output.err.splitlines()
    assert [f"# not moved: {urn}" for urn in urns if urn not in moved] == notes
    assert failure.startswith("digitalocean-projects: 403 (POST /v2/projects/default/resources")


def test_projects_of_the_demonstration(capsys: Capture) -> None:
    """`--demo` has two projects, and needs no token and no network."""
    assert 0 == main(["projects", "list", "--demo"])
    output = capsys.readouterr()
    assert [WEB_SHOP, "web-shop", "false"] == words(output.out)[1]
    assert ["first-project", "true"] == words(output.out)[2][1:]
    assert "# demo emulator: projects web-shop and first-project (default)\n" == output.err


@pytest.mark.parametrize(
    "command",
    [
        ["projects", "get", "web-shop"],
        ["projects", "create", "mail", "--purpose", "IoT"],
        ["projects", "update", "web-shop", "--default"],
        ["unassign", IN_WEB_SHOP],
        ["reconcile", "web-shop", "--prune"],
    ],
)
def test_demo(command: list[str], capsys: Capture, say: Callable[[str], None]) -> None:
    """Each subcommand works with `--demo`."""
    say(IN_WEB_SHOP)
    assert 0 == main([*command, "--demo"])
    assert "# demo emulator: " in capsys.readouterr().err


def test_deleting_in_the_demonstration(capsys: Capture) -> None:
    """With `--demo`, a project that holds resources is not deleted."""
    assert 1 == main(["projects", "delete", "web-shop", "--demo"])
    assert "412 precondition_failed" in capsys.readouterr().err
