"""Which project is meant, and what may be set of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from digitalocean_projects import Environment, Project, Purpose
from digitalocean_projects._arguments import (
    checked_count,
    checked_seconds,
    checked_type,
    checked_wait,
    project_path,
    settable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "4E1BFBC3-dc3e-41f2-a18f-1b4d7ba71679"


@pytest.mark.parametrize("project", [ID, ID.lower(), UUID(ID), Project(id=ID, name="x")])
def test_path(project: Any) -> None:
    """A project is given as its UUID, in any case, or as a `Project`."""
    assert f"/v2/projects/{ID.lower()}" == project_path(project)


def test_default() -> None:
    """The default project has a word of its own."""
    assert "/v2/projects/default" == project_path("default")


@pytest.mark.parametrize(
    ("project", "error"),
    [
        ("", ValueError),
        ("web", ValueError),
        ("..", ValueError),
        (ID + "/", ValueError),
        (Project(id="../x", name="x"), ValueError),
        (None, TypeError),
        (5, TypeError),
    ],
)
def test_no_project(project: Any, error: type[Exception]) -> None:
    """Nothing else is one."""
    with pytest.raises(error, match="project must be a UUID, 'default' or a Project, got"):
        project_path(project)


def test_settable() -> None:
    """Given attributes are returned, with the API's spelling and a prefix that the API added."""
    assert {"name": "a", "environment": "Production", "is_default": False} == settable(
        name="a", environment="pRODUCTION", is_default=False
    )
    assert {"environment": "", "purpose": "Other: " + "p" * 255} == settable(
        environment="", purpose="Other: " + "p" * 255
    )
    assert {"purpose": ""} == settable(purpose="")
    assert {"purpose": "IoT", "environment": "Staging"} == settable(
        purpose=Purpose.IOT, environment=Environment.STAGING
    )
    assert {"description": "", "name": "n" * 175} == settable(description="", name="n" * 175)


@pytest.mark.parametrize(
    ("members", "error", "text"),
    [
        ({"name": ""}, ValueError, "name must have 1 to 175 characters, got 0"),
        ({"purpose": None}, TypeError, "purpose must be a string, got NoneType"),
        ({"name": "n" * 176}, ValueError, "name must have 1 to 175 characters, got 176"),
        (
            {"description": "n" * 256},
            ValueError,
            "description must have 0 to 255 characters, got 256",
        ),
        ({"name": "\udcff"}, ValueError, "name must be valid Unicode text"),
        ({"name": 5}, TypeError, "name must be a string, got int"),
        (
            {"environment": "moon"},
            ValueError,
            "must be Development, Staging or Production, got 'moon'",
        ),
        ({"environment": 5}, TypeError, "environment must be a string, got int"),
        ({"is_default": 1}, TypeError, "is_default must be a bool, got int"),
    ],
)
def test_not_settable(members: dict[str, Any], error: type[Exception], text: str) -> None:
    """An attribute that the API would refuse is refused at once."""
    with pytest.raises(error, match=text):
        settable(**members)


FIRST = "pass the project first, and then the resources"


@pytest.mark.parametrize(
    ("project", "hint"),
    [
        (ID.replace("-", ""), f"; write '{ID.lower()}'"),
        (f"{{{ID}}}", f"; write '{ID.lower()}'"),
        (f" {ID}", f"; write '{ID.lower()}'"),
        (f"{ID}\n", f"; write '{ID.lower()}'"),
        ("Default", "; write 'default'"),
        ("default ", "; write 'default'"),
        ("do:droplet:1", f"; that names a resource: {FIRST}"),
        ("web", "; look it up with projects.find('web')"),
        (" ", "got ' '"),
        (
            Project(id="web", name="x"),
            "got a Project with the id 'web'; get one with projects.find() or",
        ),
        ({"id": ID}, "got dict; pass its id"),
        ({}, "got dict"),
        (["do:droplet:1"], f"got list; {FIRST}"),
        (5, "got int"),
    ],
)
def test_hints(project: Any, hint: str) -> None:
    """The message names the likely mistake."""
    with pytest.raises((TypeError, ValueError)) as caught:
        project_path(project)
    assert hint in str(caught.value)
    assert str(caught.value).startswith("project must be a UUID, 'default' or a Project, got")
    assert ("projects.find('" in hint) == ("projects.find('" in str(caught.value))


@pytest.mark.parametrize(
    "check",
    [
        project_path,
        lambda value: checked_type("name", value, str),
        lambda value: checked_type("retry", value, int, hint="a number"),
        lambda value: checked_count("per_page", value),
        lambda value: checked_seconds("timeout", value),
        lambda value: checked_wait("wait", value),
    ],
)
def test_coroutine(check: Callable[[Any], object]) -> None:
    """A coroutine in place of its result is named as such."""

    async def find() -> None: ...

    coroutine = find()
    with pytest.raises(TypeError, match=r"got coroutine; did you forget await[?]$"):
        check(coroutine)
    coroutine.close()
