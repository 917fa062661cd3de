"""Plans of an emulated account, and what carrying them out changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from digitalocean_projects import (
    URN,
    APIError,
    APIResponseError,
    AppliedPlan,
    AssignmentError,
    ConflictError,
    Environment,
    InventoryError,
    Move,
    NewProject,
    NotFoundError,
    PaginationError,
    Plan,
    Project,
    ProjectLookupError,
    ServerError,
)
from digitalocean_projects.testing import MockClock, faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AssignmentResult, AsyncClient, ProjectLike
    from digitalocean_projects.testing import Emulator, RecordedRequest

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

UNKNOWN = "4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679"


def urns(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def sent(emulator: Emulator) -> list[str]:
    """Return the requests: the method, and what of its path is left without UUIDs."""
    return [request.method for request in emulator.requests]


def is_post(request: RecordedRequest) -> bool:
    return request.method == "POST"


@pytest.fixture
def web(emulator: Emulator) -> str:
    """The id of `web`, which has the Droplets 1 and 2; `api` has 3 to 5, the default project 6."""
    emulator.seed(urns(3, 4, 5), name="api")
    emulator.seed(urns(6), default=True)
    return emulator.seed(urns(1, 2), name="web")


def held(emulator: Emulator) -> dict[str, set[str]]:
    return {p.name: set(map(str, emulator.resources(p.id))) for p in emulator.projects()}


async def test_apply(emulator: Emulator, make_either: MakeClient, web: str) -> None:
    """Only the planned resources are moved, and each target gets one request."""
    wanted = {"web": urns(3, 1, 6), "default": iter(urns(4)), "shop": urns(2)}
    outcomes: list[AssignmentResult] = []
    async with make_either() as client:
        plan = await client.projects.plan(wanted, create=True)
        assert {"GET"} == set(sent(emulator))
        emulator.forget_requests()
        done = await client.projects.apply(plan, on_chunk=outcomes.append)
        # api and the default project are listed for the first chunk, web for the third one.
        assert ["POST", "GET", "GET", "POST", "POST", "GET", "POST"] == sent(emulator)
        done.raise_for_failed()
        again = await client.projects.plan({web: urns(3, 1, 6), "default": urns(4)})
        emulator.forget_requests()
        nothing = await client.projects.apply(again)
    assert {
        "web": {*urns(1, 3, 6)},
        "api": {*urns(5)},
        "first-project": {*urns(4)},
        "shop": {*urns(2)},
    } == held(emulator)
    assert (["shop"], urns(3, 6, 4, 2), urns(1)) == (
        [project.name for project in done.created],
        list(done.moved),
        list(done.kept),
    )
    assert [2, 1, 1] == [len(outcome.done) for outcome in outcomes]
    assert (AppliedPlan(created=(), moved=(), kept=again.kept), []) == (nothing, sent(emulator))
    assert not again.changed


async def test_attributes(emulator: Emulator, make_client: MakeClient) -> None:
    """A new project gets the attributes of the plan; without an environment, none is sent."""
    other = Project(
        id=UNKNOWN, name="shop", purpose="IoT", description="Sells", environment=Environment.STAGING
    )
    async with make_client() as client:
        wanted: dict[ProjectLike, list[str]] = {other: [], "bare": []}
        plan = await client.projects.plan(wanted, create=True)
        done = await client.projects.apply(plan)
    assert [("shop", "IoT", "Sells", "Staging"), ("bare", "Web Application", "", "")] == [
        (one.name, one.purpose, one.description, one.environment) for one in done.created
    ]
    assert b"environment" not in emulator.requests[-1].body


@pytest.mark.parametrize("gone", ["moved", "deleted"])
async def test_left(emulator: Emulator, make_client: MakeClient, web: str, gone: str) -> None:
    """A resource that has left its source since the plan isn't moved, and is reported."""
    async with make_client() as client:
        plan = await client.projects.plan({web: urns(3, 4, 6)})
        emulator.seed(urns(3, 4, 5), name="new")
        if gone == "deleted":
            await client.projects.delete(next(p.id for p in emulator.projects() if p.name == "api"))
        emulator.forget_requests()
        outcomes: list[AssignmentResult] = []
        done = await client.projects.apply(plan, on_chunk=outcomes.append)
        assert (urns(6), urns(3, 4), ()) == (list(done.moved), list(done.left), done.untouched)
        assert urns(3, 4) == list(map(str, outcomes[0].untouched))
        with pytest.raises(AssignmentError, match="1 assigned, 2 untouched"):
            done.raise_for_failed()
        # The sources are api and the default project; web is listed for those that have left.
        assert ["GET", "GET", "GET", "POST"] == sent(emulator)
        plan = await client.projects.plan({web: urns(3)})
        emulator.seed(urns(3))
        emulator.forget_requests()
        assert urns(3) == list((await client.projects.apply(plan)).left)
        assert ["GET", "GET"] == sent(emulator)
    assert {*urns(1, 2, 6)} == held(emulator)["web"]


@pytest.mark.parametrize("emulator", [{"clock": MockClock(rate=0)}], indirect=True)
async def test_arrived(emulator: Emulator, make_client: MakeClient, web: str) -> None:
    """A resource whose earlier move is completed meanwhile is kept, and the target listed once."""
    emulator.move_delay = 30.0
    async with make_client() as client:
        await client.projects.assign_resources(web, urns(3, 4))
        await client.projects.assign_resources("default", urns(5))
        plan = await client.projects.plan({web: urns(3, 4, 5, 6), "new": []}, create=True)
        assert 4 == len(plan.moves)
        emulator.clock.jump(60)
        emulator.forget_requests()
        done = await client.projects.apply(plan, chunk_size=1)
    assert (urns(6), urns(3, 4), urns(5)) == (list(done.moved), list(done.kept), list(done.left))
    # After the new project: api and web for the first Droplet, and the default project for the 6.
    assert ["POST", "GET", "GET", "GET", "POST"] == sent(emulator)


@pytest.mark.parametrize("emulator", [{"clock": MockClock(rate=0)}], indirect=True)
async def test_arrived_before_a_failure(
    emulator: Emulator, make_client: MakeClient, web: str
) -> None:
    """A resource whose earlier move is completed is done even if a later request fails."""
    emulator.move_delay = 30.0
    async with make_client() as client:
        await client.projects.assign_resources(web, urns(3))
        plan = await client.projects.plan({web: urns(3, 4, 6)})
        emulator.clock.jump(60)
        emulator.seed(urns(4))
        emulator.seed(urns(6), name="new")
        emulator.fail(faults.Status(403), when=is_post)
        plan = attrs.evolve(plan, moves=(*plan.moves, move("do:droplet:1", target_id=web)))
        with pytest.raises(AssignmentError) as caught:
            await client.projects.apply(plan, chunk_size=3)
    assert [("do:droplet:3", "already_assigned")] == [
        (resource.urn, resource.status) for resource in caught.value.done
    ]
    assert urns(4, 6, 1) == list(caught.value.untouched)


async def test_source_that_cannot_be_listed(
    emulator: Emulator, make_client: MakeClient, web: str
) -> None:
    """A 404 that isn't the API's own says nothing about a source, so it is an error."""
    async with make_client() as client:
        plan = await client.projects.plan({web: urns(3)})
        emulator.fail(faults.Html(404))
        with pytest.raises(NotFoundError):
            await client.projects.apply(plan)
    assert "POST" not in sent(emulator)


def leave_on_page_2(emulator: Emulator, left: list[int]) -> None:
    """Each time that page 2 is requested, move the next of the Droplets to another project."""

    def act(request: Any) -> bool:
        if request.query.get("page") == "2" and left:
            emulator.seed(urns(left.pop(0)))
        return False

    emulator.respond(500, when=act, times=None)


async def test_source_that_changes(emulator: Emulator, make_client: MakeClient) -> None:
    """A source that changes is listed again until all are there, and only the last listing counts.

    The Droplet 4 is seen by the first listing only.
    """
    emulator.seed(urns(*range(500)), name="old")
    left: list[int] = []
    leave_on_page_2(emulator, left)
    async with make_client() as client:
        plan = await client.projects.plan({"default": urns(3, 499)})
        left.append(100)
        emulator.forget_requests()
        done = await client.projects.apply(plan)
        assert (2, 4, []) == (len(done.moved), len(emulator.requests), left)
        plan = await client.projects.plan({"default": urns(4, 5, 6)})
        emulator.seed(urns(6))
        left += [4, 101, 102, 103]
        emulator.forget_requests()
        done = await client.projects.apply(plan)
        assert (urns(5), urns(4, 6)) == (list(done.moved), list(done.left))
        # Three times three pages, one of the target for those that have left, and the move.
        assert (11, [103]) == (len(emulator.requests), left)


@pytest.mark.parametrize("of", ["/v2/projects", "resources"])
async def test_plan_needs_a_settled_account(
    emulator: Emulator, make_client: MakeClient, of: str
) -> None:
    """If a project or the list of projects keeps changing, no plan is made."""
    emulator.seed(urns(1), name="web")
    page = {"links": {"pages": {"last": "x?page=5"}}, "meta": {"total": 9}}
    emulator.respond(
        200,
        {"resources": [], "projects": [], **page},
        when=lambda request: request.path.endswith(of),
        times=None,
    )
    async with make_client() as client:
        with pytest.raises(APIError) as caught:
            await client.projects.plan({"web": urns(1)})
    error = (
        caught.value.failures[0][1] if isinstance(caught.value, InventoryError) else caught.value
    )
    assert isinstance(error, PaginationError)


async def test_plan_needs_every_project(
    emulator: Emulator, make_client: MakeClient, web: str
) -> None:
    """If a project can't be read, no plan is made."""
    emulator.fail(faults.Status(500), when=lambda request: web in request.path)
    async with make_client() as client:
        with pytest.raises(InventoryError):
            await client.projects.plan({"api": urns(1)})
        with pytest.raises(ProjectLookupError, match="no project is named 'shop'; create it, or"):
            await client.projects.plan({"shop": urns(1)})
        wrong: Any
        for wrong in ({"web": urns(1), "api": urns(1)}, {"do:app:1": []}):
            emulator.forget_requests()
            with pytest.raises(ValueError, match="got"):
                await client.projects.plan(wrong)
            assert [] == emulator.requests
        with pytest.raises(TypeError, match="create must be a bool, got str"):
            await client.projects.plan({}, create="yes")  # type: ignore[arg-type]  # it is refused


async def test_refused(emulator: Emulator, make_client: MakeClient, web: str) -> None:
    """A refused resource doesn't stop the others, and one that doesn't exist is in `failed`."""
    emulator.seed(["do:floatingip:192.0.2.1"])
    emulator.attach("do:floatingip:192.0.2.1", "do:droplet:5")
    async with make_client() as client:
        wanted = {web: [*urns(3, 404, 4), "do:reservedip:192.0.2.1"], "default": urns(2)}
        done = await client.projects.apply(await client.projects.plan(wanted))
    assert urns(3, 4, 2) == list(done.moved)
    assert [("do:droplet:404", "not_found"), ("do:floatingip:192.0.2.1", "refused")] == [
        (resource.urn, resource.status) for resource in done.failed
    ]
    assert [412] == [refusal.status for refusal in done.refused]


async def test_reserved_ip_follows(emulator: Emulator, make_client: MakeClient, web: str) -> None:
    """A reserved IP that is moved with its Droplet comes after it, so it isn't refused."""
    emulator.seed(["do:floatingip:192.0.2.1"])
    emulator.attach("do:floatingip:192.0.2.1", "do:droplet:3")
    async with make_client() as client:
        wanted = {web: ["do:floatingip:192.0.2.1", *urns(3)]}
        done = await client.projects.apply(await client.projects.plan(wanted), chunk_size=1)
    assert ((URN("droplet", 3),), (URN("floatingip", "192.0.2.1"),), ()) == (
        done.moved,
        done.kept,
        done.failed,
    )


@pytest.mark.parametrize("broken", ["POST", "GET"])
async def test_failure_in_the_middle(
    emulator: Emulator, make_client: MakeClient, web: str, broken: str
) -> None:
    """An error has the outcome of each resource; the same wanted state can be planned again."""
    wanted = {web: urns(3, 4, 5), "default": urns(1, 2), "new": []}

    def is_second(request: RecordedRequest) -> bool:
        posts = [one for one in emulator.requests if one.method == "POST"]
        return request.method == broken and len(posts) == (3 if broken == "POST" else 4)

    emulator.fail(faults.Status(503), when=is_second)
    async with make_client() as client:
        plan = await client.projects.plan(wanted, create=True)
        with pytest.raises(AssignmentError) as caught:
            await client.projects.apply(plan, chunk_size=1, concurrency=1)
        error = caught.value
        assert ["new"] == [project.name for project in error.created]
        rebuilt: Any = AssignmentError
        assert error.created == rebuilt(*error.args).created
        assert isinstance(error.error, ServerError)
        done = [str(resource.urn) for resource in error.done]
        if broken == "POST":
            assert (urns(3), urns(4), urns(5, 1, 2)) == (
                done,
                list(error.unknown),
                list(error.untouched),
            )
        else:
            assert (urns(3, 4, 5), (), urns(1, 2)) == (done, error.unknown, list(error.untouched))
        rest = await client.projects.apply(await client.projects.plan(wanted))
        rest.raise_for_failed()
    expected = {"web": {*urns(3, 4, 5)}, "first-project": {*urns(1, 2, 6)}}
    assert {**expected, "api": set(), "new": set()} == held(emulator)


@pytest.mark.usefixtures("web")
async def test_failure_of_a_creation(emulator: Emulator, make_client: MakeClient) -> None:
    """If a project can't be created, nothing is moved, and a note names the created ones."""
    wanted = {"one": urns(1), "two": urns(2)}
    async with make_client() as client:
        plan = await client.projects.plan(wanted, create=True)
        emulator.seed(name="two")
        before = held(emulator)
        with pytest.raises(ConflictError) as caught:
            await client.projects.apply(plan)
        assert ["created before the error: 'one'; another plan finds them"] == (
            caught.value.__notes__
        )
        assert {**before, "one": set()} == held(emulator)
        with pytest.raises(ConflictError) as caught:
            await client.projects.apply(plan)
        assert not hasattr(caught.value, "__notes__")
        plan = await client.projects.plan({"four": urns(1)}, create=True)
        with pytest.raises(KeyError) as failed:
            await client.projects.apply(plan, on_chunk=lambda _: {"y": 1}["x"])
        assert ["created before the error: 'four'; another plan finds them"] == (
            failed.value.__notes__
        )
        plan = await client.projects.plan({"three": urns(1)}, create=True)
        emulator.respond(201, {"project": {"id": "x", "name": "three"}})
        with pytest.raises(APIResponseError, match=r"to be a UUID, got \"x\" \(POST /v2/projects"):
            await client.projects.apply(plan)


def move(urn: str, **members: Any) -> Move:
    ids = {"source": None, "source_id": None, "target": "web", "target_id": UNKNOWN}
    return Move(urn=URN.parse(urn), **(ids | members))


@pytest.mark.parametrize(
    ("plan", "error", "message"),
    [
        ({}, TypeError, "plan must be a Plan, got dict"),
        (Plan(moves=(move("do:app:1"),) * 2), ValueError, "got do:app:1 twice"),
        (
            Plan(moves=(move("do:app:1", target_id=None),), new_projects=(NewProject(name="x"),)),
            ValueError,
            "plan.new_projects must have the target of each move that has no target_id, got 'web'",
        ),
        (Plan(moves=(move("do:app:1", target_id="x"),)), ValueError, "project must be a UUID"),
        (Plan(moves=(move("do:app:1", source_id="../x"),)), ValueError, "project must be a UUID"),
        (
            Plan(
                moves=(move("do:app:1", target_id="", target="x"),),
                new_projects=(NewProject(name="x"),),
            ),
            ValueError,
            "project must be a UUID",
        ),
        (Plan(moves=(move("do:app:1", target_id=5),)), TypeError, "project must be a UUID"),
        (
            Plan(moves=(Move(**{**move("do:app:1").to_dict(), "urn": "do:app:1"}),)),
            TypeError,
            "urn of each of plan.moves must be a URN, got str",
        ),
        (Plan(moves=("x",)), TypeError, "each of plan.moves must be a Move, got str"),  # type: ignore[arg-type]  # refused
        (
            Plan(new_projects=(NewProject(name="x"), "y")),  # type: ignore[arg-type]  # refused
            TypeError,
            "each of plan.new_projects must be a NewProject, got str",
        ),
        (
            Plan(new_projects=(NewProject(name="x"), NewProject(name=None))),  # type: ignore[arg-type]  # refused
            TypeError,
            "name must be a string, got NoneType",
        ),
        (
            Plan(new_projects=(NewProject(name="x"), NewProject(name="y", purpose=""))),
            ValueError,
            "purpose must have 1 to 255 characters, got 0",
        ),
        (
            Plan(new_projects=(NewProject(name="x"),) * 2),
            ValueError,
            "plan.new_projects must have each name once, got 'x' twice",
        ),
    ],
)
async def test_invalid_plan(
    emulator: Emulator, make_client: MakeClient, plan: Any, error: type[Exception], message: str
) -> None:
    """A plan that a program has made itself is checked before any request."""
    async with make_client() as client:
        with pytest.raises(error, match=message):
            await client.projects.apply(plan)
        with pytest.raises(ValueError, match="chunk_size"):
            await client.projects.apply(Plan(), chunk_size=0)
        with pytest.raises(TypeError, match="on_chunk must be a function or None, got list"):
            await client.projects.apply(Plan(), on_chunk=[])  # type: ignore[arg-type]  # refused

        async def note(_: object) -> None: ...

        with pytest.raises(TypeError, match="or None, got a coroutine function"):
            await client.projects.apply(Plan(), on_chunk=note)
    assert [] == emulator.requests
