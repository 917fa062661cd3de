"""Projects: decoding and encoding."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitalocean_projects import Environment, Project
from digitalocean_projects._codec.json import (
    DecodeError,
    _usual_project,
    decode_page,
    decode_project,
    decode_value,
    encode,
    encode_members,
)

WIRE = {
    "id": "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679",
    "owner_uuid": "99525febec065ca37b2ffe4f852fd2b2581895e7",
    "owner_id": 258992,
    "name": "my-web-api",
    "description": "My website API",
    "purpose": "Service or API",
    "environment": "Production",
    "is_default": False,
    "created_at": "2018-09-27T20:10:35Z",
    "updated_at": "2018-09-27T20:10:35Z",
}
MOMENT = datetime(2018, 9, 27, 20, 10, 35, tzinfo=UTC)
PROJECT = Project(
    id="4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679",
    owner_uuid="99525febec065ca37b2ffe4f852fd2b2581895e7",
    owner_id=258992,
    name="my-web-api",
    description="My website API",
    purpose="Service or API",
    environment=Environment.PRODUCTION,
    created_at=MOMENT,
    updated_at=MOMENT,
)


def project_from(**members: Any) -> Project:
    return decode_project(json.dumps({"project": {"id": "x", "name": "y", **members}}).encode())


def test_documented() -> None:
    """A project as the provider's reference shows it, alone and on a page."""
    assert PROJECT == decode_project(json.dumps({"project": WIRE}).encode())
    page = decode_page(json.dumps({"projects": [WIRE], "meta": {"total": 1}}).encode(), Project)
    assert ([PROJECT], 1) == (page.items, page.total)


def test_optional_members() -> None:
    """All members but the id and name may be missing."""
    assert Project(id="x", name="y") == project_from()


@pytest.mark.parametrize("member", sorted(WIRE.keys() - {"id", "name"}))
@pytest.mark.parametrize("odd", [None, 5.5, {}, [], [5]])
def test_unreadable(member: str, odd: Any) -> None:
    """A malformed member counts as missing."""
    assert Project(id="x", name="y") == project_from(**{member: odd})


def test_new_environment() -> None:
    """A new or empty environment is kept as it is."""
    assert "Moon" == project_from(environment="Moon").environment
    assert not project_from(environment="").environment
    assert isinstance(project_from(environment="Staging").environment, Environment)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "project is missing"),
        ('{"project": null}', "project: expected a JSON object, got NoneType"),
        ('{"project": []}', "project: expected a JSON object, got list"),
        ('{"project": {"id": "x"}}', "project.name: 'name' is missing"),
        ('{"project": {"id": 5, "name": "y"}}', "project.id: expected a string, got int"),
        ("[]", "expected a JSON object, got list"),
    ],
)
def test_bad_documents(text: str, fault: str) -> None:
    """The message for a malformed project says what is wrong."""
    with pytest.raises(DecodeError) as caught:
        decode_project(text.encode())
    assert fault == str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("True", True), ("false", False), ("", False), (1, False), (None, False)],
)
def test_default_as_text(value: object, expected: bool) -> None:  # noqa: FBT001 - a parameter
    """The API may send `is_default` as text; any other value means that it isn't the default."""
    body = json.dumps({"project": {**WIRE, "is_default": value}}).encode()
    assert expected is decode_project(body).is_default


def test_encode() -> None:
    """A project is encoded as the API would send it, with all its members."""
    assert [WIRE] == json.loads(encode([PROJECT]))
    [empty] = json.loads(encode([Project(id="x", name="y")]))
    assert ({*WIRE}, None, "", False) == (
        {*empty},
        empty["created_at"],
        empty["purpose"],
        empty["is_default"],
    )
    assert b'{"name":"y","environment":"Staging"}' == encode_members(
        {"name": "y", "environment": Environment.STAGING}
    )


TIMES = st.sampled_from(["2018-09-27T20:10:35Z", "2018-09-27T20:10:35", "", "soon", None, 5])
TEXTS: st.SearchStrategy[Any] = st.sampled_from(["", "a", "é\n", "\ud800", None, 1, []])
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(["x", WIRE["id"], 5, None]),
    "owner_uuid": TEXTS,
    "owner_id": st.sampled_from([258992, 1.0, True, None, "5", 10**30]),
    "name": st.sampled_from(["web", "", 5]),
    "description": TEXTS,
    "purpose": TEXTS,
    "environment": st.sampled_from(["Production", "production", "", None, 5, []]),
    "is_default": st.sampled_from([True, False, "true", 1, None]),
    "created_at": TIMES,
    "updated_at": TIMES,
}


@given(
    changes=st.fixed_dictionaries({}, optional=MEMBERS),
    missing=st.sets(st.sampled_from(sorted(WIRE)), max_size=1),
    more=st.dictionaries(st.sampled_from(["team", "Id"]), st.just(1), max_size=1),
)
def test_fast_reading(changes: dict[str, Any], missing: set[str], more: dict[str, Any]) -> None:
    """A project is read as cattrs reads it, whether its members are as documented or not."""
    members = {**WIRE, **changes, **more}
    document = {"project": {name: value for name, value in members.items() if name not in missing}}
    body = json.dumps(document).encode()
    outcomes: list[Project | str] = []
    for decode in (decode_project, by_cattrs):
        try:
            outcomes.append(decode(body))
        except DecodeError as error:
            outcomes.append(str(error).replace("projects[0]", "project"))
    assert outcomes[0] == outcomes[1]
    assert isinstance(outcomes[0], str) or repr(outcomes[0]) == repr(outcomes[1])


@pytest.mark.parametrize("end", [', "x": 1e400}}', '}, "x": 1e400}'])
def test_number_out_of_range(end: str) -> None:
    """A number that is too large is refused in an unknown member, too."""
    body = f'{{"project": {json.dumps(WIRE)[:-1]}{end}'.encode()
    with pytest.raises(DecodeError, match=r"^invalid JSON: Number out of range"):
        decode_project(body)


def by_cattrs(body: bytes) -> Project:
    """Return the first project on a page with the project in `body`, which only cattrs reads."""
    page = {"projects": [decode_value(body)["project"]]}
    return decode_page(json.dumps(page).encode(), Project).items[0]


def test_usual_project_is_read_fast() -> None:
    """A documented project takes the fast way."""
    body = json.dumps({"project": WIRE}).encode()
    assert PROJECT == _usual_project(body)
    assert Environment.PRODUCTION is decode_project(body).environment
