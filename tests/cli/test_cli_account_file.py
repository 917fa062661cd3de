"""The reader of exported accounts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli.account_file import parse_account, read_account_file
from digitalocean_projects.testing import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from digitalocean_projects._cli.account_file import AccountProject

WEB = "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679"
API = "5e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679"


def lines(*objects: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def held(projects: tuple[AccountProject, ...]) -> list[tuple[str | None, str | None, list[str]]]:
    """Return the id, the name and the resources of each project."""
    return [(one.id, one.name, list(map(str, one.urns))) for one in projects]


def test_state_of_an_emulator() -> None:
    """The projects, empty ones included, and their resources are as in the emulator."""
    emulator = Emulator()
    emulator.seed(["do:droplet:2", "do:app:x", "do:floatingip:192.0.2.1"], name="web")
    emulator.seed(["do:droplet:1"], default=True)
    emulator.seed(name="empty")
    emulator.add_token(["project:read"])
    projects = parse_account(emulator.dump(), "x")
    assert [
        ("empty", []),
        ("first-project", ["do:droplet:1"]),
        ("web", ["do:droplet:2", "do:app:x", "do:floatingip:192.0.2.1"]),
    ] == [(project.label, (project.urns and list(project.urns)) or []) for project in projects]
    stored = {project.name: project for project in emulator.projects()}
    for project in projects:
        twin = stored[project.label]
        assert (twin.id, twin.is_default) == (project.id, project.is_default)
        assert project.attributes == {
            name: getattr(twin, name) for name in ("description", "purpose", "environment")
        }
    # The same as an indented array, as with `-o json`.
    array = [json.loads(each) for each in emulator.dump().splitlines()]
    assert held(projects) == held(parse_account(json.dumps(array, indent=1), "x"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \r\n\t", []),
        ("[] []", []),
        # doctl's listings of one project and of its resources.
        (
            lines([{"name": "web", "id": WEB}], [{"urn": "do:droplet:1"}, {"urn": "do:app:x"}])
            + lines({"name": "api", "id": API.upper()}, {"urn": "do:volume:1"}),
            [(WEB, "web", ["do:droplet:1", "do:app:x"]), (API, "api", ["do:volume:1"])],
        ),
        # A listing of several projects, of which none owns the resources after it.
        (
            lines(
                [{"name": "web", "id": WEB}, {"name": "api"}], {"project_id": WEB, "urn": "do:a:1"}
            ),
            [(WEB, "web", ["do:a:1"]), (None, "api", [])],
        ),
        # The name alone, the id alone, and both.
        (
            lines(
                {"project": "web", "urn": "do:a:1"},
                {"project": "web", "project_id": WEB, "urn": "do:a:2"},
                {"project_id": WEB, "urn": "do:a:3"},
                {"project_id": API, "urn": "do:a:4"},
                {"project_id": API, "project": "api", "urn": "do:a:5"},
                {"project": "api", "urn": "do:a:6"},
            ),
            [
                (WEB, "web", ["do:a:1", "do:a:2", "do:a:3"]),
                (API, "api", ["do:a:4", "do:a:5", "do:a:6"]),
            ],
        ),
        # The default project by both of its words, and then by its attribute.
        (
            lines(
                {"project": "default", "urn": "do:a:1"}, {"project_id": "default", "urn": "do:a:2"}
            ),
            [("default", None, ["do:a:1", "do:a:2"])],
        ),
        (
            lines(
                {"project": "default", "urn": "do:a:1"},
                {"name": "first", "id": WEB, "is_default": "true"},
                {"project": "default", "urn": "do:a:2"},
                {"project": "first", "urn": "do:a:1"},
            ),
            [(WEB, "first", ["do:a:1", "do:a:2"])],
        ),
        (
            lines(
                {"project_id": "default", "project": "first", "urn": "do:a:1"},
                {"project_id": WEB, "project": "first", "urn": "do:a:2"},
                {"project_id": "default", "urn": "do:a:3"},
            ),
            [(WEB, "first", ["do:a:1", "do:a:2", "do:a:3"])],
        ),
        # A project may have this name.
        (
            lines({"name": "default"}, {"project": "default", "urn": "do:a:1"}),
            [(None, "default", ["do:a:1"])],
        ),
        # Repeated resources, under several of their names.
        (
            lines(
                {"project": "web", "urn": "do:reservedip:192.0.2.1"},
                {"project": "web", "urn": "do:floatingip:192.0.2.1", "kind": None},
                {"project": "web", "urn": f"do:dbaas:{WEB.upper()}", "status": "ok"},
            ),
            [(None, "web", ["do:floatingip:192.0.2.1", f"do:dbaas:{WEB}"])],
        ),
    ],
)
def test_texts(text: str, expected: list[tuple[str | None, str | None, list[str]]]) -> None:
    """Each resource is once in its project, in the order of the text."""
    assert expected == held(parse_account(text, "x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines({"name": "web"}) + "{", "x:2: invalid JSON (Expecting property name"),
        (
            lines({"name": "web"}, {"name": "a"}) + "urn,project\n",
            "x:3: invalid JSON (Expecting value)",
        ),
        ("[" * 100_000, "x:1: invalid JSON (a number or the nesting is too large)"),
        ("\n\n" + "1" * 5000, "x:3: invalid JSON (a number or the nesting is too large)"),
        ("\n1", "x:2: expected a JSON object, got int"),
        ('[{"name":\n"web"},\n[]]', "x:1: item 2: expected a JSON object, got list"),
        ("{}", "x:1: an object must be a project with a name, or a resource with a urn"),
        (
            '{"kind":"account","token":"t"}',
            "x:1: kind must be \"project\", or missing for a resource, got 'account'",
        ),
        ('{"kind":1}', "x:1: kind must be \"project\", or missing for a resource, got '1'"),
        ('{"kind":"project"}', "x:1: name must be a string that is not empty"),
        ('{"name":""}', "x:1: name must be a string that is not empty"),
        ('{"name":1}', "x:1: name must be a string, got int"),
        (r'{"name":"\ud800"}', "x:1: name must be valid Unicode text, got a lone surrogate"),
        ('{"name":"web","id":"1"}', "x:1: id must be a UUID, got '1'"),
        ('{"name":"web","purpose":[]}', "x:1: purpose must be a string, got list"),
        ('{"urn":1,"project":"web"}', "x:1: a URN must be a string, got int"),
        (
            '{"urn":"droplet:1","project":"web"}',
            "x:1: a URN must have the form do:TYPE:ID, got 'droplet:1'",
        ),
        ('{"urn":"do:a:1"}', "x:1: a resource must have the name of its project as 'project'"),
        (
            '[{"name":"a"},{"name":"b"}]\n{"urn":"do:a:1"}',
            "x:2: a resource must have the name of its project as 'project'",
        ),
        (
            lines({"urn": "do:a:1", "project": "a"}, {"urn": "do:a:2", "project": "b"})
            + lines({"urn": "do:a:1", "project": "b"}),
            "x:3: a resource must be in one project, but do:a:1 is in another one at x:1",
        ),
        (
            lines({"name": "a", "is_default": True}, {"name": "b", "is_default": True}),
            "x:2: only one project must be the default one; see x:1",
        ),
        (
            lines(
                {"project_id": "default", "project": "a", "urn": "do:a:1"},
                {"name": "b", "is_default": True},
            ),
            "x:2: only one project must be the default one; see x:1",
        ),
        # Only the name was changed, or only the id.
        (
            lines(
                {"name": "web", "id": WEB}, {"project": "api", "project_id": WEB, "urn": "do:a:1"}
            ),
            (
                f"x:2: the name and the id of a project must be as at x:1, got 'api' and {WEB}; "
                "leave out the id to name another project"
            ),
        ),
        (
            lines(
                {"name": "web", "id": WEB}, {"project": "web", "project_id": API, "urn": "do:a:1"}
            ),
            f"x:2: the name and the id of a project must be as at x:1, got 'web' and {API}",
        ),
        (
            lines(
                {"name": "web", "id": WEB}, {"name": "api", "id": API}, {"name": "api", "id": WEB}
            ),
            f"x:3: the name and the id of a project must be as at x:2, got 'api' and {WEB}",
        ),
    ],
)
def test_damaged_texts(text: str, message: str) -> None:
    """A text that is no account is refused; the message names the place."""
    with pytest.raises(ValueError, match=r"^x:") as caught:
        parse_account(text, "x")
    assert str(caught.value).startswith(message)


def test_files(tmp_path: Path, say: Callable[[str], None]) -> None:
    """An account is read from a file or from standard input, with or without a BOM."""
    text = lines({"name": "web"}) + "?"
    (tmp_path / "odd\nname").write_text(text, "utf-8-sig")
    say(text)
    for name, place in (str(tmp_path / "odd\nname"), "odd name"), ("-", "standard input"):
        with pytest.raises(ValueError, match=f"{place}:2: invalid JSON"):
            read_account_file(name, quiet=True)


def test_contexts() -> None:
    """An export of one context is an account; one of several contexts is refused as a whole."""
    first = {"context": "a", "project": "web", "project_id": WEB, "urn": "do:droplet:1"}
    second = {"context": "b", "kind": "project", "name": "web", "id": API}
    assert [(WEB, "web", ["do:droplet:1"])] == held(parse_account(lines(first, first), "x"))
    for text, names in (
        (lines(first, first, second), "'a' and 'b'"),
        (json.dumps([second, first]), "'b' and 'a'"),
        (lines({**first, "context": None}, second), "'' and 'b'"),
    ):
        message = f"x: it has several accounts (the contexts {names}); export one of them with"
        with pytest.raises(ValueError, match=re.escape(message)):
            parse_account(text, "x")


@pytest.mark.parametrize(
    "text",
    [
        (
            '{"web": ["do:reservedip:192.0.2.1"], "default": ["do:a:2"], "UUID": ["do:a:3"],'
            ' "name:default": ["do:a:4"], "a b.c": []}'
        ),
        (
            '# A comment\n\n web = [\n"do:reservedip:192.0.2.1" ]\ndefault = ["do:a:2"]\n'
            'UUID = ["do:a:3"]\n"name:default" = ["do:a:4"]\n"a b.c" = []'
        ),
        (
            '{"name:web": ["do:reservedip:192.0.2.1"]}\n{"default": ["do:a:2"]}\n'
            '{"project_id": "UUID", "urn": "do:a:3"} {"name:default": ["do:a:4"], "a b.c": []}'
        ),
    ],
    ids=["JSON", "TOML", "mixed"],
)
def test_mapping(text: str) -> None:
    """A mapping of projects to lists is an account, too; a key is a name or an id."""
    assert [
        (None, "web", ["do:floatingip:192.0.2.1"]),
        ("default", None, ["do:a:2"]),
        (API, None, ["do:a:3"]),
        (None, "default", ["do:a:4"]),
        (None, "a b.c", []),
    ] == held(parse_account(text.replace("UUID", API.upper()), "x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '\n{"web": ["do:a:1"], "api": [], "web": ["do:a:2"]}',
            "x:2: an object must have each member once, got 'web' twice",
        ),
        ('{"urn":"do:a:1","project":"web","urn":"do:a:2"}', "each member once, got 'urn' twice"),
        ('web = ["do:a:1"]\nweb = ["do:a:2"]', "x: invalid TOML (Cannot overwrite a value (at "),
        ("web = " + "[" * 100_000, "x: invalid TOML (the nesting is too large)"),
        ('a.b = ["do:a:1"]', "x: each key must be a project, and its value a list of URNs; put "),
        ('{"web": ["do:a:1"], "api": "do:a:2"}', "or map each project to a list of URNs"),
        ('{"web": ["do:a:1", 2]}', "x:1: web[1]: a URN must be a string, got int"),
        ('web = ["do:a:1", "do:A:2"]', "x: web[1]: a URN must have the form do:TYPE:ID, got"),
        ('{"": []}', "x:1: the name of a project must not be empty"),
        ('{"name:": []}', "x:1: the name of a project must not be empty"),
        ('{"web": ["do:a:1", "do:a:1"]}', "x:1: web[1]: do:a:1 must be listed once; see x:1: web["),
        (
            '{"web": ["do:a:1"],\n"name:web": ["do:a:1"]}',
            "x:1: name:web[0]: do:a:1 must be listed once; see x:1: web[0]",
        ),
        (
            lines({"urn": "do:a:1", "project": "a"}, {"b": ["do:a:1"]}),
            "x:2: b[0]: do:a:1 must be listed once; see x:1",
        ),
    ],
)
def test_bad_mapping(text: str, message: str) -> None:
    """Nothing in a mapping is dropped without an error."""
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_account(text, "x")
