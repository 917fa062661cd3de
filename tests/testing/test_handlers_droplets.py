"""The listing of Droplets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call

PATH = "/v2/droplets"


@pytest.fixture
def web(emulator: Emulator) -> str:
    """Three Droplets with names and tags, one of them in a project, whose id is returned."""
    project = emulator.seed(["do:droplet:30", "do:volume:1"], name="web")
    emulator.add_droplet(30, "web-30", ["shop", "eu", "shop"])
    emulator.add_droplet(4, "Web-4", iter(["shop"]), project_id=project)
    emulator.add_droplet(5, "db")
    return project


def ids(document: Any) -> list[int]:
    return [droplet["id"] for droplet in document["droplets"]]


def test_droplets(emulator: Emulator, call: Call, web: str) -> None:
    """The listing has the Droplets of all projects by id, with names and tags."""
    assert ["do:droplet:4", "do:droplet:30", "do:volume:1"] == emulator.resources(web)
    assert ["do:droplet:5"] == emulator.resources()
    document = call("GET", PATH).document
    assert [4, 5, 30] == ids(document)
    droplet = {"id": 30, "name": "web-30", "status": "active", "tags": ["shop", "eu"]}
    assert droplet == document["droplets"][2]
    emulator.add_droplet(30, "new")
    assert [] == call("GET", PATH).document["droplets"][2]["tags"]
    assert web in {project.id for project in emulator.projects()}


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tag_name=shop", [4, 30]),
        ("tag_name=SHOP", []),
        ("tag_name=", []),
        ("name=web-4", [4]),
        ("name=WEB-30", [30]),
        ("name=web", []),
        ("type=droplets", [4, 5, 30]),
    ],
)
def test_filters(call: Call, query: str, expected: list[int]) -> None:
    """A tag is compared exactly, a name without its case, and other filters are ignored."""
    document = call("GET", f"{PATH}?{query}").document
    assert (expected, len(expected)) == (ids(document), document["meta"]["total"])


@pytest.mark.usefixtures("web")
def test_pages(emulator: Emulator, call: Call) -> None:
    """The links of a page keep the filter."""
    document = call("GET", f"{PATH}?tag_name=shop&per_page=1&page=2").document
    assert [30] == ids(document)
    expected = f"{emulator.url}{PATH}?page=1&per_page=1&tag_name=shop"
    assert expected == document["links"]["pages"]["prev"]


@pytest.mark.usefixtures("web")
def test_refusals(emulator: Emulator, call: Call) -> None:
    """Both filters together, another method, and a token without the scope are refused."""
    assert 400 == call("GET", f"{PATH}?tag_name=shop&name=db").status
    assert 405 == call("POST", PATH, {}).status
    token = emulator.add_token(["project:read"])
    assert 403 == call("GET", PATH, authorization=f"Bearer {token}").status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, "web"), "droplet_id must be at least 1, got 0"),
        ((1, 2), "name must be a string, and tags"),
        ((1, "web", "shop"), "tags must be a collection of strings"),
        ((1, "web", [1]), "tags must be a collection of strings"),
    ],
)
def test_wrong_droplets(emulator: Emulator, arguments: Any, message: str) -> None:
    """A Droplet with a wrong value is an error, and isn't created."""
    with pytest.raises((TypeError, ValueError), match=message):
        emulator.add_droplet(*arguments)
    with pytest.raises(ValueError, match="project_id must be 'default' or the UUID"):
        emulator.add_droplet(1, "web", project_id="web")
    assert [] == emulator.resources()
