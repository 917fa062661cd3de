"""Plans: the moves for a wanted state, and the outcome of each resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from digitalocean_projects import (
    URN,
    AppliedPlan,
    AssignmentError,
    AssignmentResult,
    Environment,
    Move,
    NewProject,
    Plan,
    Project,
    ProjectLookupError,
    ProjectResources,
    Refusal,
    Resource,
)
from digitalocean_projects._arguments import urns_by_project
from digitalocean_projects._assignment.plan import find_targets, plan_moves

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WEB = Project(id="4e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679", name="web")
API = Project(id="5e1bfbc3-dc3e-41f2-a18f-1b4d7ba71679", name="api")
FIRST = Project(id="6E1BFBC3-DC3E-41F2-A18F-1B4D7BA71679", name="first", is_default=True)
TOKEN = "dop_v1_" + "a" * 64


def urns(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def listed(project: Project, *texts: str) -> ProjectResources:
    return ProjectResources(project=project, resources=tuple(map(Resource, texts)))


ACCOUNT = [
    listed(WEB, *urns(1, 2), "do:floatingip:192.0.2.1"),
    listed(API, *urns(3), "do:domain:example.com"),
    listed(FIRST, *urns(4)),
]


def plan(wanted: Mapping[Any, list[str]], *, create: bool = False, account: Any = ACCOUNT) -> Plan:
    projects = [each.project for each in account]
    targets = find_targets(urns_by_project(wanted), projects, create=create, secret=TOKEN)
    return plan_moves(targets, account)


def moves(wanted: Mapping[Any, list[str]], **options: Any) -> list[tuple[str, str | None, str]]:
    return [(move.urn, move.source, move.target) for move in plan(wanted, **options).moves]


class Counted(list[Project]):
    """A list that counts its iterations."""

    readings = 0

    def __iter__(self) -> Iterator[Project]:
        self.readings += 1
        return super().__iter__()


def test_moves() -> None:
    """Only resources that are elsewhere are moved, and what isn't named stays where it is."""
    made = plan({"web": urns(3, 1), "default": urns(2)})
    assert (
        Plan(
            moves=(
                Move(
                    urn=URN("droplet", 3),
                    source="api",
                    source_id=API.id,
                    target="web",
                    target_id=WEB.id,
                ),
                Move(
                    urn=URN("droplet", 2),
                    source="web",
                    source_id=WEB.id,
                    target="first",
                    target_id=FIRST.id,
                ),
            ),
            kept=(URN("droplet", 1),),
        )
        == made
    )
    assert (True, "<Plan new_projects=0 moves=2 kept=1>") == (made.changed, repr(made))
    nothing: Any
    for nothing in ({}, {"web": urns(1)}, {"api": []}):
        assert not plan(nothing).changed


@pytest.mark.parametrize(
    "web",
    ["web", "name:web", WEB.id, WEB.id.upper(), UUID(WEB.id), WEB, Project(id=WEB.id, name="x")],
)
def test_project(web: Any) -> None:
    """A project is given by its name, its id, or as a `Project`, whose id comes first."""
    assert [("do:droplet:3", "api", "web")] == moves({web: urns(3)})


@pytest.mark.parametrize("first", ["default", "first", FIRST.id, FIRST.id.lower(), UUID(FIRST.id)])
def test_default(first: Any) -> None:
    """The default project has its word, too."""
    assert [("do:droplet:3", "api", "first")] == moves({first: urns(3)})


def test_project_of_another_account() -> None:
    """A `Project` whose id the account lacks is the one with its name."""
    other = Project(id=str(UUID(int=1)), name="web")
    assert [("do:droplet:3", "api", "web")] == moves({other: urns(3)})


def test_names_that_look_like_something_else() -> None:
    """Text after `name:` is a name, even if it looks like a UUID, a URN or another word."""
    names = [str(UUID(int=1)), "default", "name:x", "do:droplet:9"]
    account = [listed(Project(id=str(UUID(int=n)), name=name)) for n, name in enumerate(names, 9)]
    account.append(listed(WEB, *urns(0, 1, 2, 3)))
    wanted = {f"name:{name}": urns(n) for n, name in enumerate(names)}
    assert names == [target for _, _, target in moves(wanted, account=account)]


def test_one_project_by_two_names() -> None:
    """Two keys for the same project add up."""
    wanted = {"web": urns(3), WEB.id: urns(1), "default": urns(2), "first": urns(4)}
    assert [3, 2] == [int(move.urn.id) for move in plan(wanted).moves]
    made = plan({"new": urns(1), "name:new": urns(2), "name:DEFAULT": []}, create=True)
    assert (["new", "DEFAULT"], 2) == ([one.name for one in made.new_projects], len(made.moves))


def test_projects_are_looked_through_once() -> None:
    """The time for a plan grows with its projects, not with the square of their number."""
    projects = Counted(each.project for each in ACCOUNT)
    wanted: dict[Any, list[URN]] = {key: [] for key in ("web", "new", "newer", API.id, "default")}
    assert 5 == len(find_targets(wanted, projects, create=True, secret=TOKEN))
    assert 1 == projects.readings


def test_no_source() -> None:
    """A resource that no project lists is moved as it was passed, without a source."""
    (move,) = plan({"web": ["do:Droplet:9".lower()]}).moves
    assert (None, None, WEB.id) == (move.source, move.source_id, move.target_id)


def test_notations() -> None:
    """A resource is found in any notation, and named as it is listed."""
    wanted = {"api": ["do:reservedip:192.0.2.1"], "web": ["do:domain:Example.COM"]}
    assert [
        ("do:floatingip:192.0.2.1", "web", "api"),
        ("do:domain:example.com", "api", "web"),
    ] == moves(wanted)
    assert (URN("floatingip", "192.0.2.1"),) == plan({"web": ["do:reservedip:192.0.2.1"]}).kept


def test_reserved_ips_last() -> None:
    """The reserved IPs of a project come after the Droplets that they may follow."""
    wanted = ["do:reservedip:192.0.2.1", *urns(1), "do:floatingip:192.0.2.9", *urns(2)]
    assert [
        "do:droplet:1",
        "do:droplet:2",
        "do:floatingip:192.0.2.1",
        "do:floatingip:192.0.2.9",
    ] == [urn for urn, _, _ in moves({"api": wanted})]


@pytest.mark.parametrize("order", [1, -1])
def test_listed_twice(order: int) -> None:
    """A resource that two projects list is moved, unless it is only in the right one."""
    account = [listed(WEB, *urns(1)), listed(API, *urns(1))][::order]
    assert [("do:droplet:1", "web", "api")] == moves({"api": urns(1)}, account=account)


def test_create() -> None:
    """A new project gets the attributes of the `Project`, or else defaults."""
    other = Project(
        id=str(UUID(int=1)),
        name="shop",
        purpose="Other: mine",
        description="It sells",
        environment=Environment.STAGING,
    )
    bare = Project(id=str(UUID(int=2)), name="bare")
    made = plan({other: urns(1), "name:new": urns(9), bare: []}, create=True)
    assert (
        NewProject(
            name="shop", purpose="Other: mine", description="It sells", environment="Staging"
        ),
        NewProject(name="new", purpose="Web Application", description="", environment=""),
        NewProject(name="bare"),
    ) == made.new_projects
    assert [("do:droplet:1", None), ("do:droplet:9", None)] == [
        (move.urn, move.target_id) for move in made.moves
    ]
    assert plan({"empty": []}, create=True).changed


TWINS = [listed(WEB), listed(Project(id=API.id, name="web"))]


@pytest.mark.parametrize(
    ("wanted", "account", "message"),
    [
        ({"webb": []}, ACCOUNT, "no project is named 'webb'; did you mean 'web'?"),
        ({"shop": []}, ACCOUNT, "no project is named 'shop'; create it, or pass create=True"),
        ({"web": []}, TWINS, f"2 projects are named 'web': {WEB.id}, {API.id}"),
        ({UUID(int=1): []}, ACCOUNT, f"no project has the id '{UUID(int=1)}'"),
        ({"default": []}, TWINS, "no project has the id 'default'"),
    ],
)
def test_no_such_project(wanted: Any, account: Any, message: str) -> None:
    """A project that doesn't exist, or not once, is an error."""
    with pytest.raises(ProjectLookupError) as caught:
        plan(wanted, account=account)
    assert message == str(caught.value)
    if message.startswith(("2", "no project has")):
        with pytest.raises(ProjectLookupError):
            plan(wanted, account=account, create=True)


def test_project_that_cannot_be_created() -> None:
    """An attribute that the API would refuse is an error, and so is white space around a name."""
    for name in (" web", "name:web\n"):
        with pytest.raises(ValueError, match="must not begin or end with white space, got"):
            plan({name: []}, create=True)
    with pytest.raises(ValueError, match="description must have 0 to 255 characters, got 256"):
        plan({Project(id=str(UUID(int=1)), name="x", description="x" * 256): []}, create=True)


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ([], TypeError, "wanted must be a mapping of projects to their URNs, got list"),
        ({1: []}, TypeError, "project must be a UUID, 'default' or a Project, got int"),
        ({"": []}, ValueError, "name must have 1 to 175 characters, got 0"),
        ({"DEFAULT": []}, ValueError, "got 'DEFAULT'; write 'default', or 'name:DEFAULT' for its"),
        ({" default": []}, ValueError, "got ' default'; write 'default', or"),
        ({"name:": []}, ValueError, "name must have 1 to 175 characters, got 0"),
        ({TOKEN: []}, ValueError, "name must not contain an API token"),
        (
            {"do:droplet:1": "web"},
            ValueError,
            "got 'do:droplet:1'; that names a resource: map each",
        ),
        ({Project(id="x", name="x"): []}, ValueError, "got a Project with the id 'x'"),
        ({"web": "do:app:1"}, TypeError, r"wanted\['web'\] must be a list of URNs, got one str;"),
        ({API: None}, TypeError, r"wanted\['api'\] must be a list of URNs, got one NoneType"),
        ({"a": ["do:app:1", "x"]}, ValueError, r"wanted\['a'\]\[1\]: a URN must have the form"),
        ({"a": [1]}, TypeError, r"wanted\['a'\]\[0\]: a resource must be a URN, its text"),
        (
            {"a": ["do:app:1"], "b": ["do:app:2", "do:app:1"]},
            ValueError,
            "must have each resource once, got do:app:1 in 'a' and in 'b'; remove one of them",
        ),
        ({"a": ["do:app:1"] * 2}, ValueError, "got do:app:1 twice in 'a'; remove one"),
        ({"a": ["do:app:1"], "name:a": ["do:app:1"]}, ValueError, "in 'a' and in 'name:a'"),
        (
            {"a": ["do:floatingip:192.0.2.1"], WEB: ["do:reservedip:192.0.2.1"]},
            ValueError,
            "got do:floatingip:192.0.2.1 in 'a' and in 'web'",
        ),
    ],
)
def test_invalid(wanted: Any, error: type[Exception], message: str) -> None:
    """A key or a URN that is wrong, or a resource that is wanted twice, is an error."""
    with pytest.raises(error, match=message):
        urns_by_project(wanted)


def test_iterables() -> None:
    """Resources may come in any form, and from an iterator."""
    given: Any = {WEB: iter([{"urn": "do:app:1"}, Resource("do:App:2"), URN("app", 3)])}
    assert {WEB: ["do:app:1", "do:App:2", "do:app:3"]} == urns_by_project(given)
    assert [URN] * 3 == [type(urn) for urn in urns_by_project({"x": urns(1, 2, 3)})["x"]]


REFUSAL = Refusal(urn=URN("app", 5), status=412, id="x", message="No.", request_id=None)


def test_outcome() -> None:
    """Each resource of a plan has one outcome."""
    one, two, three, four, five, six, seven = (URN("app", number) for number in range(1, 8))
    result = AssignmentResult(
        resources=(
            Resource(one, status="assigned"),
            Resource(two, status="already_assigned"),
            Resource(three, status="not_found"),
            Resource(five, status="refused"),
        ),
        unknown=(four,),
        untouched=(six, seven),
        refused=(REFUSAL,),
    )
    applied = AppliedPlan.of([result], created=[WEB], kept=[URN("app", 0)], left=[six])
    assert (
        AppliedPlan(
            created=(WEB,),
            moved=(one,),
            kept=(URN("app", 0), two),
            left=(six,),
            failed=result.failed,
            unknown=(four,),
            untouched=(seven,),
            refused=(REFUSAL,),
        )
        == applied
    )
    text = "<AppliedPlan created=1 moved=1 kept=2 left=1 failed=2 unknown=1 untouched=1>"
    assert text == repr(applied)
    with pytest.raises(
        AssignmentError, match="1 assigned, 2 failed, 1 unknown, 2 untouched: "
    ) as c:
        applied.raise_for_failed()
    assert ((Resource(one),), (six, seven), (REFUSAL,)) == (
        c.value.done,
        c.value.untouched,
        c.value.refused,
    )


@pytest.mark.parametrize("name", ["left", "unknown", "untouched", "failed"])
def test_raise_for_failed(name: str) -> None:
    """A resource that isn't in its project can be raised."""
    AppliedPlan(created=(), moved=(), kept=()).raise_for_failed()
    resource: Any = Resource("do:app:1", status="x") if name == "failed" else URN("app", 1)
    applied = AppliedPlan(created=(), moved=(), kept=(), **{name: (resource,)})
    with pytest.raises(AssignmentError):
        applied.raise_for_failed()
