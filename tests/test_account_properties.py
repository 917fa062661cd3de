"""Random operations on projects and resources, compared with a model of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from digitalocean_projects import (
    BadRequestError,
    Client,
    ConflictError,
    NotFoundError,
    PreconditionFailedError,
    ProjectLookupError,
    RetryPolicy,
)
from digitalocean_projects.testing import Emulator, MockClock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from digitalocean_projects import Project, Projects

IN_WEB = ["do:droplet:1", "do:floatingip:192.0.2.1"]
IN_DEFAULT = ["do:droplet:2", "do:droplet:3", "do:floatingip:192.0.2.2", "do:volume:4"]
UNKNOWN = "do:droplet:404"
ALIASES = [urn.replace("floating", "reserved") for urn in IN_WEB + IN_DEFAULT if "ip" in urn]
URNS = st.lists(st.sampled_from([*IN_WEB, *IN_DEFAULT, *ALIASES, UNKNOWN]), max_size=5)
NAMES = ("web", "shop", "mail")
DELAYS = (0.0, 4.0, 40.0)

MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(NAMES),
    "purpose": st.sampled_from(["IoT", "Web Application", "my own"]),
    "description": st.sampled_from(["", "It sells"]),
    "environment": st.sampled_from(["Development", "production"]),
}
FEW_MEMBERS = st.fixed_dictionaries({}, optional={**MEMBERS, "is_default": st.booleans()})
ALL_MEMBERS = st.fixed_dictionaries({**MEMBERS, "is_default": st.booleans()})


def listed(urn: str) -> str:
    return urn.replace("reserved", "floating")


def as_answered(members: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes as the API returns them."""
    told = dict(members)
    if told.get("purpose") == "my own":
        told["purpose"] = "Other: my own"
    if "environment" in told:
        told["environment"] = told["environment"].capitalize()
    return told


@attrs.frozen(order=True)
class Place:
    """A resource's assignment: its number, its project and its time."""

    number: int
    project_id: str
    since: float = 0.0


@attrs.define
class Model:
    """An account.

    Attributes:
        projects: What can be set of each, oldest first.
        shown: The resources as they are listed.
        moves: Those that are on their way, with where to.
    """

    projects: dict[str, dict[str, Any]]
    shown: dict[str, Place] = attrs.field(factory=dict)
    moves: dict[str, Place] = attrs.field(factory=dict)
    number: int = 0

    @property
    def default(self) -> str:
        return next(key for key, members in self.projects.items() if members["is_default"])

    def put(self, urns: Iterable[str], project_id: str) -> None:
        for urn in urns:
            self.number += 1
            self.shown[urn] = Place(self.number, project_id)

    def settle(self, now: float) -> None:
        """Complete the moves whose time has come."""
        landed = {urn: place for urn, place in self.moves.items() if place.since <= now}
        self.shown |= landed
        self.moves = {urn: place for urn, place in self.moves.items() if urn not in landed}

    def goal(self, urn: str) -> str:
        return (self.moves.get(urn) or self.shown[urn]).project_id

    def listing(self, project_id: str) -> list[str]:
        places = sorted(((place, urn) for urn, place in self.shown.items()), reverse=True)
        return [urn for place, urn in places if place.project_id == project_id]

    def is_empty(self, project_id: str) -> bool:
        places = [*self.shown.values(), *self.moves.values()]
        return all(place.project_id != project_id for place in places)

    def assign(self, urns: Iterable[str], project_id: str, due: float) -> list[tuple[str, str]]:
        """Assign resources, and compare their statuses."""
        told = []
        for urn in dict.fromkeys(map(listed, urns)):
            if urn not in self.shown:
                told.append((urn, "not_found"))
            elif self.goal(urn) == project_id:
                told.append((urn, "already_assigned"))
            else:
                self.number += 1
                self.moves[urn] = Place(self.number, project_id, due)
                told.append((urn, "assigned"))
        return told

    def refusal(self, members: dict[str, Any], project_id: str = "") -> type[Exception] | None:
        """Return the reason for which the API refuses a project, or None."""
        names = [other["name"] for key, other in self.projects.items() if key != project_id]
        if members.get("name") in names:
            return ConflictError
        was_default = project_id == self.default
        return BadRequestError if was_default and members.get("is_default") is False else None

    def change(self, project_id: str, members: dict[str, Any]) -> None:
        if members.get("is_default"):
            self.projects[self.default]["is_default"] = False
        self.projects[project_id] |= as_answered(members)


class WaitingMoves:
    """A clock that each wait of the client moves forward."""

    def __init__(self, clock: MockClock) -> None:
        self.time = clock.time
        self._clock = clock

    async def sleep(self, seconds: float) -> None:
        self._clock.jump(seconds)


def settable(project: Any) -> dict[str, Any]:
    names = ("name", "description", "purpose", "environment", "is_default")
    return {name: getattr(project, name) for name in names}


class Account(RuleBasedStateMachine):
    """Random operations on an account."""

    def __init__(self) -> None:
        super().__init__()
        self.emulator = Emulator(limits=(), clock=MockClock(rate=0), move_delay=DELAYS[-1])
        self.emulator.start()
        self.client = Client(
            self.emulator.token,
            base_url=self.emulator.url,
            clock=WaitingMoves(self.emulator.clock),
            limits=None,
            retry=RetryPolicy(attempts=1),
        )
        default = self.emulator.seed(IN_DEFAULT, default=True)
        web = self.emulator.seed(IN_WEB, name="web", environment="Staging")
        first = {"name": "first-project", "description": "", "purpose": "", "environment": ""}
        self.model = Model({default: {**first, "is_default": True}})
        members = {"name": "web", "purpose": "Web Application", "environment": "Staging"}
        self.model.projects[web] = {**members, "description": "", "is_default": False}
        self.model.put(reversed(IN_DEFAULT), default)
        self.model.put(reversed(IN_WEB), web)
        self.gone: list[str] = []

    def teardown(self) -> None:
        self.client.close()
        self.emulator.stop()

    @property
    def projects(self) -> Projects:
        return self.client.projects

    @property
    def now(self) -> float:
        return self.emulator.clock.time()

    @property
    def due(self) -> float:
        return self.now + self.emulator.move_delay

    def a_project(self, data: st.DataObject) -> tuple[str, str | Project]:
        """Choose a project, and a form of its id."""
        key = data.draw(st.sampled_from(list(self.model.projects)))
        ways = [key.upper(), "project", *(["default"] if key == self.model.default else [])]
        way = data.draw(st.sampled_from(ways))
        return key, self.projects.get(key) if way == "project" else way

    @rule(members=st.fixed_dictionaries(MEMBERS))
    def create(self, members: dict[str, Any]) -> None:
        refusal = self.model.refusal(members)
        if refusal is not None:
            with pytest.raises(refusal):
                self.projects.create(**members)
            return
        project = self.projects.create(**members)
        expected = {**as_answered(members), "is_default": False}
        self.model.projects[project.id] = expected
        assert expected == settable(project)

    @rule(data=st.data(), members=FEW_MEMBERS)
    def patch(self, data: st.DataObject, members: dict[str, Any]) -> None:
        self.change(data, members, self.projects.patch)

    @rule(data=st.data(), members=ALL_MEMBERS)
    def update(self, data: st.DataObject, members: dict[str, Any]) -> None:
        self.change(data, members, self.projects.update)

    @rule(data=st.data())
    def make_default(self, data: st.DataObject) -> None:
        self.change(data, {"is_default": True}, self.projects.patch)

    def change(self, data: st.DataObject, members: dict[str, Any], operation: Any) -> None:
        key, told = self.a_project(data)
        refusal = self.model.refusal(members, key) if members else ValueError
        if refusal is not None:
            with pytest.raises(refusal):
                operation(told, **members)
            return
        project = operation(told, **members)
        self.model.change(key, members)
        assert self.model.projects[key] == settable(project)

    @rule(data=st.data(), wait=st.sampled_from([0.0, 0.0, 6.0, 60.0]))
    def delete(self, data: st.DataObject, wait: float) -> None:
        """A deletion is refused for a project with resources; it waits for those that leave."""
        key, told = self.a_project(data)
        if key == self.model.default:
            with pytest.raises(ValueError if told == "default" else BadRequestError):
                self.projects.delete(told)
            return
        self.model.settle(before := self.now)
        was_empty = self.model.is_empty(key)
        try:
            self.projects.delete(told, wait=wait)
        except PreconditionFailedError:
            assert before + wait == self.now
            self.model.settle(self.now)
            assert not self.model.is_empty(key)
            return
        assert was_empty == (before == self.now)
        self.model.settle(self.now)
        assert self.model.is_empty(key)
        del self.model.projects[key]
        self.gone.append(key)

    @rule(data=st.data(), urns=URNS, chunk_size=st.sampled_from([1, 100]))
    def assign(self, data: st.DataObject, urns: list[str], chunk_size: int) -> None:
        key, told = self.a_project(data)
        result = self.projects.assign_resources(told, urns, chunk_size=chunk_size)
        self.check_told(self.model.assign(urns, key, self.due), result)

    @rule(data=st.data(), urns=URNS, delay=st.sampled_from(DELAYS))
    def move(self, data: st.DataObject, urns: list[str], delay: float) -> None:
        """A resource that moves again never arrives at its earlier destination."""
        key, told = self.a_project(data)
        self.emulator.move_delay = delay
        urns = [*urns, *self.model.moves]
        result = self.projects.assign_resources(told, urns)
        self.check_told(self.model.assign(urns, key, self.due), result)

    @rule(urns=URNS)
    def unassign(self, urns: list[str]) -> None:
        result = self.projects.unassign_resources(urns)
        self.check_told(self.model.assign(urns, self.model.default, self.due), result)

    def check_told(self, expected: list[tuple[str, str]], result: Any) -> None:
        assert expected == [(str(resource.urn), resource.status) for resource in result.resources]
        assert ([pair for pair in expected if pair[1] == "not_found"], ()) == (
            [(str(resource.urn), resource.status) for resource in result.failed],
            result.unknown,
        )

    @rule(data=st.data(), urns=URNS, prune=st.booleans(), dry_run=st.booleans())
    def reconcile(
        self, data: st.DataObject, urns: list[str], *, prune: bool, dry_run: bool
    ) -> None:
        """A reconciliation compares the listing, and a second one after all moves does nothing."""
        key, told = self.a_project(data)
        model = self.model
        model.settle(self.now)
        held, wanted = model.listing(key), dict.fromkeys(map(listed, urns))
        missing = [urn for urn in wanted if urn not in held]
        unwanted = [urn for urn in held if prune and urn not in wanted]
        options = {"prune": prune, "dry_run": dry_run}
        self.emulator.forget_requests()
        if prune and (told == "default" or not urns or (unwanted and key == model.default)):
            with pytest.raises(ValueError, match=r"can't be pruned|must not be empty"):
                self.projects.reconcile(told, urns, **options)
            assert not self.wrote()
            return
        still = not model.moves
        done = self.projects.reconcile(told, urns, **options)
        kept = [urn for urn in held if urn in wanted]
        assert (not dry_run and bool(missing or unwanted)) == self.wrote()
        if dry_run:
            assert (missing, unwanted, kept, ()) == (
                [listed(str(urn)) for urn in done.added],
                list(map(str, done.removed)),
                list(map(str, done.kept)),
                done.failed,
            )
            return
        added = model.assign(missing, key, self.due)
        removed = model.assign(unwanted, model.default, self.due)
        assert [urn for urn, status in added if status == "assigned"] == list(map(str, done.added))
        kept += [urn for urn, status in added if status == "already_assigned"]
        assert kept == list(map(str, done.kept))
        assert [urn for urn, _ in removed] == list(map(str, done.removed))
        assert [pair for pair in added if pair[1] == "not_found"] == [
            (str(resource.urn), resource.status) for resource in done.failed
        ]
        if still:
            self.emulator.clock.jump(self.emulator.move_delay)
            self.emulator.forget_requests()
            known = [urn for urn in urns if urn != UNKNOWN]
            prune = prune and bool(known)
            assert not self.projects.reconcile(told, known, prune=prune).changed
            assert not self.wrote()

    def wrote(self) -> bool:
        return {"GET"} != {"GET", *(request.method for request in self.emulator.requests)}

    @precondition(lambda self: self.model.moves)
    @rule()
    def wait(self) -> None:
        """A wait ends when all moves are complete, not earlier, and not much later."""
        key = next(iter(self.model.moves.values())).project_id
        urns = [urn for urn in self.model.shown if self.model.goal(urn) == key]
        before, last = self.now, max(place.since for place in self.model.moves.values())
        self.projects.wait_until_assigned(key, urns, timeout=60.0)
        self.model.settle(self.now)
        assert set(urns) <= set(self.model.listing(key))
        assert before <= self.now <= max(before, last + 15.0)

    @rule(quarters=st.integers(1, 160))
    def advance(self, quarters: int) -> None:
        self.emulator.clock.jump(quarters / 4)

    @invariant()
    def agrees_on_projects(self) -> None:
        """The client, the emulator and the model have the same projects with the same names."""
        expected = list(reversed(self.model.projects.items()))
        told = self.projects.list(per_page=2).collect()
        assert expected == [(project.id, settable(project)) for project in told]
        assert expected == [(project.id, settable(project)) for project in self.emulator.projects()]
        assert len(told) == len({project.name for project in told})
        assert self.model.default == self.projects.get_default().id
        assert self.emulator.default_project_id == self.model.default

    @invariant()
    def agrees_on_resources(self) -> None:
        """They have the same resources, each in one project."""
        self.model.settle(self.now)
        expected = {key: self.model.listing(key) for key in reversed(self.model.projects)}
        assert expected == {key: self.emulator.resources(key) for key in expected}
        assert [(key, urn) for key, urns in expected.items() for urn in urns] == [
            (project.id, str(resource.urn))
            for project, resource in self.projects.resources_by_project()
        ]

    @invariant()
    def agrees_on_one_project(self) -> None:
        """They agree on a single project, which is a different one each time."""
        self.model.settle(self.now)
        keys = list(self.model.projects)
        key = keys[self.model.number % len(keys)]
        project = self.projects.find(self.model.projects[key]["name"])
        assert (key, self.model.projects[key]) == (project.id, settable(project))
        listing = self.projects.list_resources(project, per_page=3)
        assert self.model.listing(key) == [str(resource.urn) for resource in listing]

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def look_for_what_is_gone(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.gone))
        for operation in (self.projects.get, self.projects.delete):
            with pytest.raises(NotFoundError):
                operation(key)

    @rule(name=st.sampled_from(NAMES))
    def look_for_a_name(self, name: str) -> None:
        if name not in {members["name"] for members in self.model.projects.values()}:
            with pytest.raises(ProjectLookupError):
                self.projects.find(name)


Account.TestCase.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, derandomize=True
)
TestAccount = pytest.mark.slow(Account.TestCase)
