"""The projects of given resources, and the resources of given projects, by both clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest

from digitalocean_projects import (
    URN,
    AuthenticationError,
    Client,
    InventoryError,
    NotFoundError,
    PaginationError,
    Project,
    ServerError,
)
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AsyncClient, ProjectLike
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def ids(emulator: Emulator) -> dict[str, str]:
    """The ids of three projects by name, newest first; the default one is the last."""
    emulator.seed(["do:droplet:1", "do:floatingip:192.0.2.1"], default=True)
    emulator.seed([f"do:droplet:{number}" for number in range(1000, 1450)], name="big")
    emulator.seed(["do:droplet:2", "do:dbaas:9cc10173-e9ea-4176-9dbc-a4cee4c4ff30"], name="small")
    return {project.name: project.id for project in emulator.projects()}


def break_project(emulator: Emulator, project_id: str, fault: faults.Fault) -> None:
    emulator.fail(fault, when=lambda request: project_id in request.path, times=None)


@pytest.mark.parametrize(
    ("resource", "name", "requests"),
    [
        ("do:droplet:2", "small", 2),
        (URN("droplet", 2), "small", 2),
        ({"urn": "do:dbaas:9CC10173-E9EA-4176-9DBC-A4CEE4C4FF30"}, "small", 2),
        # The first and the last page of three.
        ("do:droplet:1000", "big", 3),
        ("do:droplet:1449", "big", 5),
        ("do:reservedip:192.0.2.1", "first-project", 6),
        ("do:droplet:404", None, 6),
    ],
)
@pytest.mark.usefixtures("ids")
async def test_project_of(
    emulator: Emulator, make_either: MakeClient, resource: Any, name: str | None, requests: int
) -> None:
    """The project that holds a resource is found with as few requests as possible."""
    async with make_either() as client:
        project = await client.projects.project_of(resource)
    assert (name, requests) == (project and project.name, len(emulator.requests))


@pytest.mark.usefixtures("ids")
async def test_project_of_concurrently(emulator: Emulator, make_client: MakeClient) -> None:
    """The outcome is the same if several projects are read at the same time."""
    async with make_client() as client:
        found = await client.projects.project_of("do:droplet:1000", concurrency=4)
        assert found is not None
        assert "big" == found.name
        assert None is await client.projects.project_of("do:droplet:404", concurrency=4)
    assert emulator.requests


async def test_project_of_with_a_failure(
    emulator: Emulator, make_either: MakeClient, ids: dict[str, str]
) -> None:
    """A project that can't be read matters only if no other project holds the resource."""
    break_project(emulator, ids["small"], faults.Status(500))
    async with make_either() as client:
        found = await client.projects.project_of("do:droplet:1")
        assert found is not None
        assert "first-project" == found.name
        with pytest.raises(InventoryError) as caught:
            await client.projects.project_of("do:droplet:2")
    ((project, error),) = caught.value.failures
    assert ("small", ServerError) == (project.name, type(error))


async def test_project_of_with_a_wrong_token(emulator: Emulator, make_client: MakeClient) -> None:
    """An error that concerns all projects is raised at once."""
    emulator.fail(faults.Status(401), when=lambda request: "/resources" in request.path)
    async with make_client() as client:
        with pytest.raises(AuthenticationError):
            await client.projects.project_of("do:droplet:1")


@pytest.mark.usefixtures("ids")
async def test_project_of_in_a_changing_project(
    emulator: Emulator, make_client: MakeClient
) -> None:
    """A project whose listing changes is read again; "nowhere" takes a settled reading of each."""
    changing = {"resources": [{"urn": "do:droplet:9"}, {"urn": "do:droplet:9"}]}
    when = lambda request: "/resources" in request.path  # noqa: E731 - of one line
    async with make_client() as client:
        emulator.respond(200, changing, when=when)
        found = await client.projects.project_of("do:droplet:2")
        assert found is not None
        assert "small" == found.name
        emulator.respond(200, changing, when=when, times=None)
        seen = await client.projects.project_of("do:droplet:9")
        assert seen is not None
        with pytest.raises(InventoryError) as caught:
            await client.projects.project_of("do:droplet:2")
    assert {PaginationError} == {type(error) for _, error in caught.value.failures}


@pytest.mark.parametrize(
    ("resource", "error"), [(1, TypeError), ("droplet:1", ValueError), ("do:a:do:b:1", ValueError)]
)
def test_project_of_what_is_no_resource(resource: Any, error: type[Exception]) -> None:
    """A wrong argument is refused before any request."""
    with Client("token") as client, pytest.raises(error):
        client.projects.project_of(resource)


async def test_chosen_projects(
    emulator: Emulator, make_either: MakeClient, ids: dict[str, str]
) -> None:
    """Projects are read in the given order, each once, in each form of a project."""
    async with make_either() as client:
        small = await client.projects.get(ids["small"])
        emulator.forget_requests()
        chosen: list[ProjectLike] = [
            UUID(ids["big"]),
            small,
            ids["small"].upper(),
            "default",
            ids["first-project"],
        ]
        inventory = client.projects.resources_by_project(iter(chosen))
        for _ in range(2):
            pages = [page async for page in inventory.pages()]
            assert ["big", "small", "first-project"] == [page.project.name for page in pages]
            assert [450, 2, 2] == [len(page.resources) for page in pages]
            assert [450, 2, 2] == [page.total for page in pages]
        emulator.forget_requests()
        assert 2 == len(await client.projects.resources_by_project([small]).collect())
        assert 1 == len(emulator.requests)
        assert [] == await client.projects.resources_by_project([]).collect()


@pytest.mark.usefixtures("ids")
async def test_chosen_project_that_does_not_exist(make_either: MakeClient) -> None:
    """An unknown UUID is an error at once, and a project that was deleted is a failure."""
    async with make_either() as client:
        with pytest.raises(NotFoundError):
            await client.projects.resources_by_project([UNKNOWN]).collect()
        deleted = Project(id=UNKNOWN, name="deleted")
        with pytest.raises(InventoryError) as caught:
            await client.projects.resources_by_project([deleted, "default"]).collect()
    ((project, error),) = caught.value.failures
    assert (deleted, NotFoundError) == (project, type(error))


@pytest.mark.parametrize(
    ("projects", "error", "message"),
    [
        ("default", TypeError, "must be a list of projects, got str; put a single project into a"),
        (1, TypeError, "projects must be a list of projects, got int"),
        (Project(id=UNKNOWN, name="x"), TypeError, "must be a list of projects, got Project"),
        ([Project(id="default", name="x")], ValueError, "the id 'default'; pass 'default'"),
        (["default", "web"], ValueError, "project must be a UUID, 'default' or a Project, got"),
        ([1], TypeError, "project must be a UUID, 'default' or a Project, got int"),
    ],
)
def test_wrong_projects(projects: Any, error: type[Exception], message: str) -> None:
    """The projects are checked at once."""
    with Client("token") as client, pytest.raises(error, match=message):
        client.projects.resources_by_project(projects)


async def test_hidden_resources(
    emulator: Emulator, make_either: MakeClient, ids: dict[str, str]
) -> None:
    """The total of a project counts the resources that the token may not see, too."""
    token = emulator.add_token(["project:read", "reserved_ip:read"])
    async with make_either(token) as client:
        (page,) = [page async for page in client.projects.resources_by_project(["default"]).pages()]
        assert (1, 2, True) == (len(page.resources), page.total, page.settled)
        paginator = client.projects.list_resources(ids["small"])
        assert None is paginator.settled
        assert [] == await paginator.collect()


async def test_totals(emulator: Emulator, make_either: MakeClient) -> None:
    """A paginator knows the total after a complete reading, if the API sends it."""
    emulator.seed([f"do:droplet:{number}" for number in range(3)], default=True)
    async with make_either() as client:
        paginator = client.projects.list_resources(per_page=2)
        assert None is paginator.total
        assert [None, None, 3] == [paginator.total async for _ in paginator]
        assert 3 == paginator.total
        emulator.respond(200, {"resources": []})
        assert [] == await paginator.collect()
        assert None is paginator.total


@pytest.mark.usefixtures("ids")
async def test_changing_projects(emulator: Emulator, make_client: MakeClient) -> None:
    """A project whose listing never settles says so."""
    twice = {"resources": [{"urn": "do:droplet:9"}, {"urn": "do:droplet:9"}]}
    small = emulator.projects()[0].id
    emulator.respond(200, twice, when=lambda request: small in request.path, times=None)
    async with make_client() as client:
        pages = [page async for page in client.projects.resources_by_project().pages()]
    assert [False, True, True] == [page.settled for page in pages]
    assert attrs.evolve(pages[0], settled=True) != pages[0]
