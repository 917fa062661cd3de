"""Other clients of the API for Python, on the emulator: each of their operations on projects."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import digitalocean
import pydo
import pydo.aio
import pytest
from azure.core.exceptions import HttpResponseError

import digitalocean_projects as package
from digitalocean_projects import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from digitalocean_projects.testing import Emulator

# The emulator has no certificate.
PLAIN = {"enforce_https": False}
# As with the API, pydo's deletions fail without this header.
JSON = {"Content-Type": "application/json"}
WHOLE = {
    "name": "blog",
    "description": "Mine",
    "purpose": "Website or blog",
    "environment": "Staging",
    "is_default": False,
}
DEMO = 1034


def test_table(projects: Any) -> None:
    """The table for users of other clients names their methods, and tests here call each one."""
    table = re.findall(
        r"^\| `projects\.(\w+)` \| `(\w+)\.(\w+)` ", package.__doc__ or "", re.MULTILINE
    )
    assert 8 == len(table)
    tested = Path(__file__).read_text("utf-8")
    with Client("token") as client:
        for name, kind, method in table:
            assert callable(getattr(client.projects, name))
            assert callable(getattr(projects, name))
            assert callable(getattr(getattr(digitalocean, kind), method))
            assert f"projects.{name}(" in tested
            # This one ignores `end_point`, so it can't be called here.
            assert method == "get_default_project" or f".{method}(" in tested


@pytest.fixture
def projects(emulator: Emulator) -> Iterator[Any]:
    """Provide pydo's operations on projects."""
    with pydo.Client(token=emulator.token, endpoint=emulator.url) as client:
        yield client.projects


def urns(answer: Any) -> list[str]:
    return [resource["urn"] for resource in answer["resources"]]


def test_pydo_projects(projects: Any, emulator: Emulator) -> None:
    """Pydo creates, reads, changes and deletes projects."""
    created = projects.create({"name": "web", "purpose": "mine"}, **PLAIN)["project"]
    assert ("web", "Other: mine", False) == (
        created["name"],
        created["purpose"],
        created["is_default"],
    )
    assert created == projects.get(created["id"], **PLAIN)["project"]
    names = [project["name"] for project in projects.list(per_page=2, **PLAIN)["projects"]]
    assert ["web", "web-shop"] == names
    updated = projects.update(created["id"], WHOLE, **PLAIN)["project"]
    assert WHOLE == {name: updated[name] for name in WHOLE}
    patched = projects.patch(created["id"], {"name": "shop"}, **PLAIN)["project"]
    assert {**updated, "name": "shop", "updated_at": patched["updated_at"]} == patched
    assert emulator.default_project_id == projects.get_default(**PLAIN)["project"]["id"]
    default = {**WHOLE, "is_default": True}
    assert "blog" == projects.update_default(default, **PLAIN)["project"]["name"]
    assert "main" == projects.patch_default({"name": "main"}, **PLAIN)["project"]["name"]
    with pytest.raises(HttpResponseError, match="Content-Type must be application/json"):
        projects.delete(created["id"], **PLAIN)
    assert projects.delete(created["id"], headers=JSON, **PLAIN) is None
    assert created["id"] not in {project.id for project in emulator.projects()}


def test_pydo_resources(projects: Any, emulator: Emulator) -> None:
    """Pydo lists and assigns resources, page after page."""
    answer = projects.list_resources_default(**PLAIN)
    assert (20, DEMO) == (len(answer["resources"]), answer["meta"]["total"])
    expected = emulator.resources()
    moved = expected[:3]
    web = projects.create({"name": "web", "purpose": "IoT"}, **PLAIN)["project"]["id"]
    answer = projects.assign_resources(web, {"resources": moved}, **PLAIN)
    assert [(urn, "assigned") for urn in moved] == [
        (resource["urn"], resource["status"]) for resource in answer["resources"]
    ]
    assert moved[::-1] == urns(projects.list_resources(web, per_page=5, **PLAIN))
    assert moved == urns(projects.assign_resources_default({"resources": moved}, **PLAIN))
    pages = [
        urns(projects.list_resources(emulator.default_project_id, page=page, **PLAIN))
        for page in (1, 2)
    ]
    assert emulator.resources()[:40] == [*pages[0], *pages[1]]


def test_pydo_errors(projects: Any, emulator: Emulator) -> None:
    """Pydo returns the refusal of a deletion, and raises other errors."""
    web = emulator.seed(["do:droplet:1"], name="web")
    answer = projects.delete(web, headers=JSON, **PLAIN)
    assert "precondition_failed" == answer["id"]
    with pytest.raises(HttpResponseError) as caught:
        projects.assign_resources(web, {"resources": ["do:database:1"]}, **PLAIN)
    assert 400 == caught.value.status_code


def test_pydo_async(emulator: Emulator) -> None:
    """Pydo's asyncio client lists and assigns resources."""

    async def move() -> Any:
        async with pydo.aio.Client(token=emulator.token, endpoint=emulator.url) as client:
            answer = await client.projects.list_resources_default(**PLAIN)
            body = {"resources": urns(answer)}
            web = (await client.projects.list(**PLAIN))["projects"][0]["id"]
            return web, await client.projects.assign_resources(web, body, **PLAIN)

    expected = emulator.resources()[:20]
    web, answer = asyncio.run(move())
    assert expected == urns(answer)
    assert expected[::-1] == emulator.resources(web)[:20]


@pytest.fixture
def options(emulator: Emulator) -> dict[str, str]:
    """Provide the arguments of python-digitalocean's classes."""
    return {"token": emulator.token, "end_point": f"{emulator.url}/v2/"}


def test_python_digitalocean_projects(options: dict[str, str], emulator: Emulator) -> None:
    """python-digitalocean creates, reads, changes and deletes projects."""
    manager = digitalocean.Manager(**options)
    assert ["web-shop", "first-project"] == [p.name for p in manager.get_all_projects()]
    project = digitalocean.Project(name="web", purpose="IoT", environment="Staging", **options)
    project.create_project()
    assert ("web", "", False) == (project.name, project.description, project.is_default)
    project.update_project(name="blog", description="Mine")
    same = digitalocean.Project(id=project.id, **options)
    same.load()
    assert ("blog", "Mine", "IoT", "Staging") == (
        same.name,
        same.description,
        same.purpose,
        same.environment,
    )
    assert project.set_as_default_project()["project"]["is_default"]
    assert project.id == emulator.default_project_id
    with pytest.raises(digitalocean.DataReadError, match="you must always have a default project"):
        project.delete_project()
    other = digitalocean.Project(id=emulator.seed(), **options)
    assert other.delete_project()
    assert other.id not in {project.id for project in emulator.projects()}


def test_python_digitalocean_resources(options: dict[str, str], emulator: Emulator) -> None:
    """python-digitalocean lists all pages of a project, and assigns resources."""
    default = digitalocean.Project(id=emulator.default_project_id, **options)
    assert emulator.resources() == default.get_all_resources()
    web = digitalocean.Project(id=emulator.seed(), **options)
    answer = web.assign_resource(moved := emulator.resources()[:3])
    assert moved == urns(answer)
    web.load_resources()
    assert moved[::-1] == web.resources
