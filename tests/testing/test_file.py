"""The text of an account: what it holds, and what is read from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitalocean_projects.testing import Emulator, seed_demo

if TYPE_CHECKING:
    from .conftest import Call

WEB = "0ba8e9a5-3ad8-4a2b-9b02-6f6a1c8d7d11"
SHOP = "2f2f5c6e-8f1e-4d2c-a6a5-d3c1b1a4d0ef"
# This is what doctl prints; it indents its JSON by two spaces.
PROJECTS = [
    {
        "id": WEB,
        "owner_uuid": "99525febec065ca37b2ffe4f852fd2b2581895e7",
        "owner_id": 258992,
        "name": "first-project",
        "description": "My website API",
        "purpose": "Service or API",
        "environment": "Production",
        "is_default": True,
        "created_at": "2018-09-27T20:10:35Z",
        "updated_at": "2018-09-27T20:10:35Z",
    },
    {
        "id": SHOP,
        "owner_uuid": "99525febec065ca37b2ffe4f852fd2b2581895e7",
        "owner_id": 258992,
        "name": "shop",
        "description": "",
        "purpose": "Other: testing",
        "environment": "",
        "is_default": False,
        "created_at": "2019-09-27T20:10:35Z",
        "updated_at": "2019-09-27T20:10:35Z",
    },
]
RESOURCES = [
    {
        "urn": "do:droplet:13457723",
        "assigned_at": "2018-09-28T19:26:37Z",
        "links": {"self": "https://api.digitalocean.com/v2/droplets/13457723"},
        "status": "ok",
    },
    {
        "urn": "do:space:assets",
        "assigned_at": "2018-09-28T19:26:36.123456Z",
        "links": {"self": "https://assets.fra1.digitaloceanspaces.com"},
        "status": "ok",
    },
]


def printed(values: list[dict[str, Any]]) -> str:
    return json.dumps(values, indent=2) + "\n"


def line(**members: object) -> str:
    return json.dumps(members) + "\n"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in text.splitlines()]


def test_dump() -> None:
    """Projects are ordered by name, and each is followed by its resources as listed."""
    emulator = Emulator()
    emulator.seed(["do:droplet:1", "do:reservedip:192.0.2.1"], name="web")
    emulator.seed(["do:space:assets"], name="app", purpose="cafés", environment="Staging")
    assert [
        ("project", "app", None),
        (None, "app", "do:space:assets"),
        ("project", "first-project", None),
        ("project", "web", None),
        (None, "web", "do:droplet:1"),
        (None, "web", "do:floatingip:192.0.2.1"),
    ] == [
        (each.get("kind"), each.get("project", each.get("name")), each.get("urn"))
        for each in lines(emulator.dump())
    ]
    app, assets = emulator.dump().splitlines()[:2]
    project = emulator.projects()[0]
    assert app == (
        f'{{"kind":"project","id":"{project.id}",'
        '"owner_uuid":"579233b2c479241523cba5e3af55d0f50f2d6414","owner_id":1234567,'
        '"name":"app","description":"","purpose":"Other: cafés","environment":"Staging",'
        '"is_default":false,"created_at":"2024-01-01T00:00:02Z",'
        '"updated_at":"2024-01-01T00:00:02Z"}'
    )
    assert assets == (
        f'{{"project":"app","project_id":"{project.id}","urn":"do:space:assets","type":"space",'
        '"id":"assets","assigned_at":"2024-01-01T00:00:03Z","status":"ok",'
        '"self_link":"https://assets.nyc3.digitaloceanspaces.com"}'
    )


def full_emulator() -> Emulator:
    """Return an emulator with accounts, tokens, changed projects and moves in progress."""
    emulator = Emulator(move_delay=90.0)
    seed_demo(emulator)
    emulator.add_token(["project:read", "droplet:read"])
    tenant = emulator.add_account()
    tenant.add_token([])
    tenant.seed(["do:droplet:1", "do:droplet:2"], name="web")
    emulator.add_account("chosen").load(printed(PROJECTS) + printed(RESOURCES))
    return emulator


def test_dump_is_loaded_unchanged() -> None:
    """The text of an emulator, loaded into another one, is its text to the byte."""
    text = full_emulator().dump()
    for other in (Emulator(), full_emulator()):
        other.load(text, replace=True)
        assert text == other.dump()
    other = Emulator()
    other.load(text)
    assert text == other.dump()


def test_accounts_of_a_dump(call: Call, emulator: Emulator) -> None:
    """Further accounts and tokens work after a text was loaded, and `replace` removes others."""
    gone = emulator.add_account("gone")
    emulator.load(full_emulator().dump(), replace=True)
    statuses = [
        call("GET", "/v2/projects/default", authorization=f"Bearer {token}").status
        for token in ("chosen", gone.token, emulator.token)
    ]
    assert [200, 401, 200] == statuses
    reply = call("GET", f"/v2/projects/{WEB}/resources", authorization="Bearer chosen")
    assert RESOURCES == reply.document["resources"]


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        st.lists(st.sampled_from([f"do:volume:{number}" for number in range(9)]), max_size=6),
        max_size=4,
    )
)
def test_any_account_is_loaded_unchanged(projects: dict[str, list[str]]) -> None:
    """The text of any account can be loaded, and gives the same text again."""
    emulator, other = Emulator(), Emulator()
    for name, urns in projects.items():
        if name != "first-project":
            emulator.seed(urns, name=name)
    other.load(emulator.dump())
    assert emulator.dump() == other.dump()
    assert emulator.projects() == other.projects()
    for project in emulator.projects():
        assert emulator.resources(project.id) == other.resources(project.id)


def test_moves_are_finished_in_a_dump(emulator: Emulator, call: Call) -> None:
    """A resource that moves is in its new project already."""
    emulator.seed(["do:droplet:1"], default=True)
    web = emulator.seed(name="web")
    emulator.move_delay = 90.0
    call("POST", f"/v2/projects/{web}/resources", {"resources": ["do:droplet:1"]})
    assert "web" == lines(emulator.dump())[-1]["project"]
    assert ["do:droplet:1"] == emulator.resources()


def test_doctl(emulator: Emulator, call: Call) -> None:
    """The account that doctl read is made from the projects and resources that doctl prints."""
    emulator.load(printed(PROJECTS) + printed(RESOURCES))
    listing = call("GET", "/v2/projects").document
    assert PROJECTS[::-1] == listing["projects"]
    assert RESOURCES == call("GET", "/v2/projects/default/resources").document["resources"]


def test_resources_of_one_project() -> None:
    """Resources without a project are in the project that stands alone before them."""
    emulator = Emulator()
    emulator.load(printed(PROJECTS[1:]) + printed(RESOURCES[:1]))
    emulator.load(printed(PROJECTS) + printed(RESOURCES[1:]))
    assert ["do:droplet:13457723"] == emulator.resources(SHOP)
    assert ["do:space:assets"] == emulator.resources()


def test_resource_lines_alone() -> None:
    """Projects are made from resource lines, by id or by name; one without either is the default's.

    The order of the lines is that of the listings.
    """
    emulator = Emulator()
    emulator.load(
        line(project="web", project_id=WEB, urn="do:droplet:1")
        + line(project="shop", urn="do:droplet:2")
        + line(project="web", urn="do:droplet:3")
        + line(project_id=WEB, urn="do:droplet:4")
        + line(project_id=SHOP, urn="do:droplet:5")
        + line(project="default", urn="do:droplet:6")
        + line(project_id="default", urn="do:droplet:7")
        + line(urn="do:droplet:8")
        + line(project="web", urn="do:droplet:1")
    )
    found = {
        project.name: [urn.id for urn in emulator.resources(project.id)]
        for project in emulator.projects()
    }
    assert {
        "web": ["1", "3", "4"],
        "shop": ["2"],
        f"project-{SHOP}": ["5"],
        "first-project": ["6", "7", "8"],
    } == found
    assert emulator.resources(WEB)


def test_new_resources_come_first() -> None:
    """Loaded resources are listed before those that the project held; existing ones move."""
    emulator = Emulator()
    web = emulator.seed(["do:droplet:1", "do:droplet:2"], name="web")
    shop = emulator.seed(["do:droplet:3"], name="shop")
    emulator.load(line(project="web", urn="do:droplet:3") + line(project="web", urn="do:droplet:4"))
    assert [f"do:droplet:{number}" for number in (3, 4, 1, 2)] == emulator.resources(web)
    assert [] == emulator.resources(shop)
    times = [str(each["assigned_at"]) for each in lines(emulator.dump()) if "urn" in each]
    assert times == sorted(set(times), reverse=True)


def test_what_the_api_omits(emulator: Emulator, call: Call) -> None:
    """A null time, status or link is omitted in answers, and missing ones are as for new ones."""
    emulator.load(
        line(urn="do:droplet:1", assigned_at=None, status=None, self_link=None)
        + line(urn="do:droplet:2", links={})
        + line(urn="do:Odd.Type:3", assigned_at="", status="new")
    )
    first, second, third = call("GET", "/v2/projects/default/resources").document["resources"]
    assert {"urn": "do:droplet:1"} == first
    assert ["urn", "assigned_at", "status"] == list(second)
    assert ("do:Odd.Type:3", "", "new") == (third["urn"], third["assigned_at"], third["status"])


def test_names_and_tags(emulator: Emulator, call: Call) -> None:
    """The line of a Droplet may have its name and its tags, which other lines don't set."""
    emulator.load(
        line(urn="do:droplet:1", name="web-1", tags=["shop", "web"])
        + line(urn="do:droplet:2", tags=["shop"])
        + line(urn="do:droplet:3", name="db", tags=None)
        + line(urn="do:volume:4", name="disk", tags=1)
        + line(urn="do:droplet:not-a-number")
        + line(urn="do:droplet:5")
    )
    emulator.load(line(urn="do:droplet:1"))
    expected = [
        (1, "web-1", ["shop", "web"]),
        (2, "droplet-2", ["shop"]),
        (3, "db", []),
        (5, "droplet-5", []),
    ]
    droplets = call("GET", "/v2/droplets").document["droplets"]
    assert expected == [(each["id"], each["name"], each["tags"]) for each in droplets]
    other = Emulator(contents=emulator.dump())
    assert emulator.dump() == other.dump()
    other.add_droplet(1, "new")
    other.reset()
    assert emulator.dump() == other.dump()


def test_new_times_are_later() -> None:
    """After a load, changes are later than all times of the text that leave room for later ones."""
    emulator = Emulator()
    emulator.load(
        line(kind="project", name="web", created_at="2030-01-01 00:00:00", updated_at="")
        + line(urn="do:droplet:1", assigned_at="2031-05-05T05:05:05.5Z")
        + line(urn="do:droplet:2", assigned_at="9999-12-31T23:59:59Z")
    )
    emulator.seed(["do:droplet:3"], name="shop")
    assert emulator.projects()[0].created_at == "2031-05-05T05:05:07Z"
    assert 'do:droplet:3","type":"droplet","id":"3","assigned_at":"2031-05-05T05' in emulator.dump()


def test_existing_projects_are_changed() -> None:
    """A project line changes the project with its id or name, and may rename it."""
    emulator = Emulator()
    web = emulator.seed(["do:droplet:1"], name="web")
    emulator.load(
        line(name="web", description="new")
        + line(kind="project", id=web, name="shop")
        + line(name="web", is_default=True)
    )
    projects = {project.name: project for project in emulator.projects()}
    # The first default project was never used.
    assert {"web", "shop"} == projects.keys()
    assert ("new", ["do:droplet:1"]) == (projects["shop"].description, emulator.resources(web))
    assert projects["web"].is_default


def test_used_default_project_stays() -> None:
    """A default project that holds resources stays when the text brings another one."""
    emulator = Emulator()
    emulator.seed(["do:droplet:1"], default=True)
    emulator.load(line(name="web", is_default=True))
    assert [("first-project", False), ("web", True)] == sorted(
        (project.name, project.is_default) for project in emulator.projects()
    )


WRONG = {
    "{": "line 1: invalid JSON",
    '{"urn":"do:droplet:1"}\n\n[1]': "line 3, item 1: expected an object, got int",
    "[" * 100_000: "line 1: invalid JSON",
    '{"urn":"do:droplet:1"}\n{"urn":"do:droplet:1",}': "line 2: invalid JSON",
    '[{"urn":"do:droplet:1"},\n{"urn":"x"}]': "line 1, item 2: a URN must have the form",
    '{"urn":1}': "line 1: a URN must be a string",
    '{"urn":"do:droplet:1","tags":"web"}': "line 1: tags must be a list of strings",
    '{"urn":"do:droplet:1","tags":[1]}': "line 1: tags must be a list of strings",
    '{"urn":"do:droplet:1","name":1}': "line 1: name must be a string, got int",
    '{"resource":"do:droplet:1"}': "line 1: expected a project, or a resource with a urn",
    '{"kind":"droplet","urn":"do:droplet:1"}': "line 1: expected a project",
    '{"kind":"project","id":"web","name":"web"}': "line 1: id must be a UUID, got 'web'",
    f'{{"kind":"project","id":"{WEB}"}}': "line 1: name must be given",
    '{"name":"web","purpose":1}': "line 1: purpose must be a string",
    '{"name":""}': "line 1: name must have 1 to 175 characters",
    '{"name":"web","is_default":"true"}': "line 1: is_default must be a bool",
    '{"name":"web","owner_id":"1"}': "line 1: owner_id must be an integer",
    '{"name":"web","created_at":1}': "line 1: created_at must be a string, got int",
    '{"name":"web","owner_uuid":"\\ud800"}': "line 1: owner_uuid must be valid Unicode text",
    '{"urn":"do:droplet:1","links":{"self":"\\ud800"}}': "line 1: self must be valid Unicode text",
    '{"urn":"do:droplet:1","project_id":[]}': "line 1: project_id must be a string, got list",
    f'{{"name":"web"}}\n{{"name":"web","id":"{WEB}"}}': "line 2: name must be that of no other",
    f'{{"name":"web"}}\n{{"name":"x","id":"{WEB}"}}\n{{"name":"web","id":"{WEB}"}}': "line 3: name",
    '{"name":"a","is_default":true}\n{"name":"b","is_default":true}': "line 2: is_default must be",
    '{"kind":"token"}': "line 1: token must be given",
    '{"kind":"token","token":"a","scopes":[1]}': "line 1: scopes must be a list of strings",
    '{"kind":"token","token":"a b"}': "line 1: token must be printable ASCII",
    '{"kind":"account","token":"a"}\n{"kind":"token","token":"taken"}': "a token must be that of",
    '{"kind":"account","token":"a"}\n{"kind":"account","token":"first"}': "each account must have",
}


@pytest.mark.parametrize("text", WRONG)
def test_refused_texts(text: str) -> None:
    """A text that can't be loaded is a ValueError that names the line; nothing is changed."""
    emulator = Emulator(token="first")
    emulator.seed(["do:droplet:9"], name="shop")
    emulator.add_account("taken")
    before = emulator.dump()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - checked below
        emulator.load(text)
    assert str(caught.value).startswith(WRONG[text])
    assert before == emulator.dump()


def test_one_account() -> None:
    """A single account takes a text of one account, whose tokens become its own."""
    emulator = Emulator()
    tenant = emulator.add_account()
    with pytest.raises(ValueError, match="the text must contain one account"):
        tenant.load(line(kind="account", token="a"))
    tenant.load(line(kind="token", token="b", scopes=["project:read"]) + line(urn="do:droplet:1"))
    assert ["do:droplet:1"] == tenant.resources()
    assert [] == emulator.resources()
    assert '{"kind":"token","token":"b","scopes":["project:read"]}' in emulator.dump()
    assert "token" not in tenant.dump()
    assert 3 == len({tenant.token, tenant.add_token([]), tenant.add_token([])})
    tenant.load("", replace=True)
    assert [] == tenant.resources()
    assert '"b"' not in emulator.dump()


def test_tokens_after_a_load() -> None:
    """A new token differs from those that a text brought, even if some of them were removed."""
    emulator, other = Emulator(), Emulator()
    tokens = [emulator.add_token([]), emulator.add_token([])]
    other.load(line(kind="token", token=tokens[1]))
    assert other.add_token([]) not in {*tokens, other.token}
    accounts = [emulator.add_account().token for _ in range(3)]
    other.load("".join(line(kind="account", token=token) for token in accounts[::-1]))
    other.load(line(kind="account", token="new") + line(kind="account", token=accounts[0]))
    assert other.add_account().token not in accounts


def test_unused_project() -> None:
    """The project of a new account gives way to a default project, unless it was changed."""
    text = '{"kind":"project","name":"web","is_default":true}'
    emulators = [Emulator() for _ in range(3)]
    emulators[1].load('{"kind":"project","name":"first-project","description":"mine"}')
    emulators[2].seed(["do:droplet:1"], default=True)
    for emulator in emulators:
        emulator.load(text)
    assert [1, 2, 2] == [len(emulator.projects()) for emulator in emulators]


@pytest.mark.parametrize("where", ["", '{"urn":"do:droplet:1"}\n'])
def test_repeated_members(where: str) -> None:
    """An object can't have a member twice, also not in an object within it."""
    line = 2 if where else 1
    for text in ('{"urn":"do:droplet:2","urn":"do:droplet:3"}', '[{"links":{"a":1,"a":1}}]'):
        with pytest.raises(
            ValueError, match=f"line {line}: the member '(urn|a)' must be given once"
        ):
            Emulator().load(where + text)


A = '{"kind":"project","id":"11111111-1111-4111-8111-111111111111","name":"a"}'
B = '{"kind":"project","id":"22222222-2222-4222-8222-222222222222","name":"b"}'
CONTRADICTIONS = {
    '{"urn":"do:droplet:1","project":"a","project_id":"22222222-2222-4222-8222-222222222222"}': (
        "project must be the name 'b', got 'a'"
    ),
    '{"urn":"do:droplet:1","type":"volume"}': "type must be that of the urn do:droplet:1",
    '{"urn":"do:droplet:1","id":2}': "id must be that of the urn do:droplet:1, got 2",
    '{"urn":"do:droplet:1","assigned_at":"2024-99-99"}': "assigned_at must be a time such as",
    '{"kind":"project","name":"c","created_at":"yesterday"}': "created_at must be a time such as",
    '{"kind":"project","name":"c","updated_at":"1"}': "updated_at must be a time such as",
    '{"urn":"do:droplet:9","project":"b"}': "a resource must be in one project, got do:droplet:9",
    '{"urn":"do:droplet:9"}': "a resource must be in one project, got do:droplet:9 in two",
}


@pytest.mark.parametrize("text", CONTRADICTIONS)
def test_contradictions(text: str) -> None:
    """A line that contradicts itself or another one is refused, and changes nothing."""
    emulator = Emulator()
    before = emulator.dump()
    with pytest.raises(ValueError, match=f"^line 4: {CONTRADICTIONS[text]}"):
        # A project stands alone only outside of an array.
        emulator.load(f'[{A},\n{B}]\n{{"urn":"do:droplet:9","project":"a"}}\n{text}')
    assert before == emulator.dump()


def test_lines_that_agree() -> None:
    """A resource may be repeated in the same project, and have another notation of its type."""
    emulator = Emulator()
    emulator.load(
        f'{A}{{"urn":"do:reservedip:192.0.2.1","type":"reservedip","id":"192.0.2.1"}}'
        '{"urn":"do:floatingip:192.0.2.1","project":"a","assigned_at":""}'
        '{"urn":"do:droplet:1","project":"default"}'
        '{"urn":"do:droplet:1","project":"first-project"}'
    )
    assert ["do:floatingip:192.0.2.1"] == emulator.resources("11111111-1111-4111-8111-111111111111")
    assert ["do:droplet:1"] == emulator.resources()


def test_order_of_projects() -> None:
    """The order of projects goes through the file, and follows the instants of their creation."""
    names, emulator = ["z", "y", "m", "a"], Emulator()
    times = ["2024-05-01T12:00:00+05:00", "2024-05-01T08:00:00Z", None, None]
    emulator.load(
        "".join(
            line(kind="project", name=name, created_at=time)
            for name, time in zip(names, times, strict=True)
        )
    )
    projects = [project.name for project in emulator.projects()]
    assert [*reversed(names), "first-project"] == projects
    assert projects == [project.name for project in Emulator(contents=emulator.dump()).projects()]


def test_attached_address_stays_with_its_droplet() -> None:
    """Neither `seed` nor `load` separates an attached reserved IP from its Droplet."""
    emulator = Emulator()
    web = emulator.seed(["do:droplet:1", "do:floatingip:192.0.2.1"], name="web")
    emulator.attach("do:floatingip:192.0.2.1", "do:droplet:1")
    emulator.seed(["do:floatingip:192.0.2.1"], default=True)
    emulator.load('{"urn":"do:floatingip:192.0.2.1","project":"default"}')
    assert {"do:droplet:1", "do:floatingip:192.0.2.1"} == set(emulator.resources(web))
    assert [] == emulator.resources()
