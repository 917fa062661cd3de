"""Which project is meant, and what may be set of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from digitalocean_projects import Environment, Project, Purpose
from digitalocean_projects._arguments import project_path, settable

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
