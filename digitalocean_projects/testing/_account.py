"""Account: the projects, resources and tokens that the emulator serves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from operator import attrgetter
from typing import Any
from uuid import UUID

import attrs

from digitalocean_projects._codec.urn import URN

from ._assignment import EPOCH, Assignment, Labels, instant, second, self_link
from ._attachments import Attachments
from ._clock import MockClock
from ._project import StoredProject
from ._token import Token

UNUSED = "first-project"
"""The name of the default project of a new account."""
_NO_DEFAULT = "you must always have a default project"
_NUMBER = attrgetter("number")
_is_droplet = re.compile("do:droplet:[1-9][0-9]{0,17}").fullmatch


class NameTakenError(ValueError):
    """A name that another project has."""


class _Holding:
    """The resources that the listing of a project shows."""

    def __init__(self) -> None:
        self._held: dict[URN, Assignment] = {}
        self._listing: list[Assignment] | None = None

    def listing(self) -> list[Assignment]:
        if self._listing is None:
            self._listing = sorted(self._held.values(), key=_NUMBER, reverse=True)
        return self._listing

    def add(self, assignment: Assignment) -> None:
        self._held[assignment.urn] = assignment
        self._listing = None

    def remove(self, urn: URN) -> None:
        del self._held[urn]
        self._listing = None


@attrs.frozen(kw_only=True)
class Contents:
    """The projects and resources of an account at some time.

    Attributes:
        epoch: The time from which the account's times count.
        changes: The number of changes of projects since then.
        projects: The projects by id, oldest first.
        listings: The listing of each project, newest assignment first.
        labels: The names and tags of Droplets.
    """

    epoch: datetime
    changes: int
    projects: Mapping[str, StoredProject]
    listings: Mapping[str, Sequence[Assignment]]
    labels: Mapping[URN, Labels] = attrs.field(factory=dict)


class Account:
    """The state of the emulated API. It needs a lock if several threads use it.

    It is deterministic: the same calls produce the same ids, tokens and times. The assignments and
    the changes of projects are numbered, and each time follows from its number.

    Args:
        clock: The clock of `move_delay`.
        number: The number of the account within its emulator. It determines the ids and the tokens.

    Attributes:
        move_delay: The seconds that callers of `place` pass as `delay`.
        number: The number of the account.
        tokens: The tokens by their text; the first one is the account's own.
        attachments: The reserved IPs of Droplets, and the load balancers of Kubernetes clusters.
        labels: The names and tags of Droplets.
        busy_until: The times on the clock until which projects refuse assignments, by their ids.
    """

    def __init__(self, clock: MockClock, number: int = 0) -> None:
        self.move_delay: float = 0.0
        self.number: int = number
        self.tokens: dict[str, Token] = {}
        self.attachments: Attachments = Attachments()
        self.labels: dict[URN, Labels] = {}
        self.busy_until: dict[str, float] = {}
        self._clock = clock
        # Ids and tokens of different accounts differ.
        self._salt = f"{number} " if number else ""
        self._projects: dict[str, StoredProject] = {}
        self._project_ids: set[str] = set()
        self._epoch = EPOCH
        self._changes = 0
        self._holdings: dict[str, _Holding] = {}
        self._assignments: dict[URN, Assignment] = {}
        self._shown: dict[URN, _Holding] = {}
        self._moves: list[tuple[float, int, Assignment]] = []
        self._number = 0
        self.add_project(UNUSED, is_default=True)

    @property
    def default(self) -> StoredProject:
        """The default project; there is always one."""
        return next(project for project in self._projects.values() if project.is_default)

    def projects(self) -> list[StoredProject]:
        """Return all projects, newest first."""
        return list(reversed(self._projects.values()))

    def project(self, project_id: str) -> StoredProject | None:
        """Return the project with this id, in any case, the default one for `default`, or None."""
        return self.default if project_id == "default" else self._projects.get(project_id.lower())

    def add_project(self, name: str | None, **attributes: Any) -> StoredProject:
        """Create an empty project, and return it.

        The name determines the id, unless a project had that id before. None chooses a name.

        Raises:
            NameTakenError: The name is taken.
            TypeError: An attribute is not of its type in `StoredProject`.
            ValueError: A `StoredProject` can't have this value of an attribute.
        """
        if name is None:
            taken = {project.name for project in self._projects.values()}
            candidates = (f"project-{number}" for number in count(len(taken)))
            name = next(candidate for candidate in candidates if candidate not in taken)
        now = second(self._epoch, self._changes)
        project = StoredProject(
            id=self.new_id(name), name=name, **attributes, created_at=now, updated_at=now
        )
        self._check_name(project)
        self._changes += 1
        self._project_ids.add(project.id)
        self._projects[project.id] = project
        self._holdings[project.id] = _Holding()
        return project

    def change_project(self, project: StoredProject, **changes: Any) -> StoredProject:
        """Change some attributes of a project, and return it.

        If it becomes the default project, the previous one changes, too.

        Raises:
            NameTakenError: Another project has the name.
            TypeError: A value is not of its type in `StoredProject`.
            ValueError: A `StoredProject` can't have such a value, or no default project would be
                left.
        """
        now = second(self._epoch, self._changes)
        changed = attrs.evolve(project, **changes, updated_at=now)
        self._check_name(changed)
        if project.is_default and not changed.is_default:
            raise ValueError(_NO_DEFAULT)
        if changed.is_default and not project.is_default:
            default = self.default
            self._projects[default.id] = attrs.evolve(default, is_default=False, updated_at=now)
        self._changes += 1
        self._projects[project.id] = changed
        return changed

    def remove_project(self, project: StoredProject) -> None:
        """Delete a project that is empty.

        Raises:
            ValueError: It is the default one.
        """
        if project.is_default:
            raise ValueError(_NO_DEFAULT)
        del self._projects[project.id]
        del self._holdings[project.id]

    def is_empty(self, project: StoredProject) -> bool:
        """Return True if the project holds no resource, and none is moving to it."""
        return not self.listing(project) and all(
            assignment.project_id != project.id for assignment in self._assignments.values()
        )

    def listing(self, project: StoredProject) -> list[Assignment]:
        """Return the project's listing, newest first; the caller must not change the list."""
        self._settle()
        return self._holdings[project.id].listing()

    def assignment(self, urn: URN) -> Assignment | None:
        """Return the resource's last assignment, even if no listing shows it yet.

        None means that there is no such resource.
        """
        return self._assignments.get(urn.canonical)

    def is_busy(self, project: StoredProject) -> bool:
        """Return True while the project refuses assignments."""
        return self._clock.time() < self.busy_until.get(project.id, 0.0)

    def keep_busy(self, project: StoredProject, seconds: float) -> None:
        """Make the project refuse assignments for some seconds."""
        self.busy_until[project.id] = self._clock.time() + seconds

    def droplets(self) -> list[tuple[int, Labels]]:
        """Return the id, the name and the tags of each Droplet, by id.

        The API's ids are numbers, so a Droplet with another id is left out.
        """
        ids = sorted(int(urn.id) for urn in self._assignments if _is_droplet(urn))
        return [
            (number, self.labels.get(URN("droplet", number), Labels(f"droplet-{number}")))
            for number in ids
        ]

    def place(self, urn: URN, project: StoredProject, delay: float = 0.0) -> Assignment:
        """Move the resource to the project, as its newest; create it if it doesn't exist.

        The reserved IPs that are attached to a Droplet move with it. Listings show a resource in
        its old project until `delay` seconds have passed on the clock. If it moves again before
        that, they never show the earlier move.
        """
        self._settle()
        urn = urn.canonical
        self.attachments.show(urn)
        assignment = self._new_assignment(urn, project)
        self._assignments[urn] = assignment
        if delay:
            move = (self._clock.time() + delay, assignment.number, assignment)
            heappush(self._moves, move)
        else:
            self._show(assignment)
        self._follow(urn, delay)
        return assignment

    def _new_assignment(self, urn: URN, project: StoredProject) -> Assignment:
        earlier = self._assignments.get(urn)
        self._number += 1
        return Assignment(
            urn=urn,
            project_id=project.id,
            number=self._number,
            assigned_at=instant(self._epoch, self._number),
            self_link=self_link(urn) if earlier is None else earlier.self_link,
        )

    @property
    def contents(self) -> Contents:
        """The projects, and the resources by their last assignment, even if it isn't shown yet."""
        listings: dict[str, list[Assignment]] = {project_id: [] for project_id in self._projects}
        for assignment in sorted(self._assignments.values(), key=_NUMBER, reverse=True):
            listings[assignment.project_id].append(assignment)
        return Contents(
            epoch=self._epoch,
            changes=self._changes,
            projects=dict(self._projects),
            listings=listings,
            labels=dict(self.labels),
        )

    @contents.setter
    def contents(self, contents: Contents) -> None:
        # A resource with the same assignment as before may be on its way, and stays so.
        self._epoch = contents.epoch
        self._projects = dict(contents.projects)
        self._project_ids |= contents.projects.keys()
        self._changes = contents.changes
        self.labels = dict(contents.labels)
        self._holdings = {
            project_id: self._holdings.get(project_id) or _Holding()
            for project_id in contents.projects
        }
        for listing in contents.listings.values():
            for assignment in listing:
                if self._assignments.get(assignment.urn) is not assignment:
                    self._number = max(self._number, assignment.number)
                    self._assignments[assignment.urn] = assignment
                    self._show(assignment)
        self.attachments.keep(self._assignments)
        self.follow_droplets()

    def clear(self) -> None:
        """Remove all projects, resources and attachments; `contents` must be set after that."""
        self.attachments = Attachments()
        self._project_ids, self._holdings, self.busy_until = set(), {}, {}
        self._assignments, self._shown, self._moves, self._number = {}, {}, [], 0

    def attach(self, urn: URN, to: URN) -> None:
        """Attach a reserved IP to a Droplet, or a load balancer to a Kubernetes cluster.

        The IP moves to the project of its Droplet. The load balancer disappears from all listings.

        Raises:
            ValueError: The resources have other types, or one of them doesn't exist.
        """
        self._settle()
        urn, to = urn.canonical, to.canonical
        for one in (urn, to):
            if one not in self._assignments:
                raise ValueError(f"the resource must exist, got {one}; create it with seed()")
        self.attachments.attach(urn, to)
        if self.attachments.hides(urn):
            del self._assignments[urn]
            self._shown.pop(urn).remove(urn)
        else:
            self._follow(to, 0.0)

    def follow_droplets(self) -> None:
        """Move all attached reserved IPs to the projects of their Droplets."""
        for droplet in self.attachments.droplets:
            self._follow(droplet, 0.0)

    def _follow(self, droplet: URN, delay: float) -> None:
        """Move the reserved IPs of a Droplet to its project."""
        project_id = self._assignments[droplet].project_id
        for address in self.attachments.addresses(droplet):
            if self._assignments[address].project_id != project_id:
                self.place(address, self._projects[project_id], delay)

    def place_hidden(self, urn: URN, project: StoredProject) -> Assignment:
        """Return a new assignment of a resource that no listing shows."""
        return self._new_assignment(urn, project)

    def _settle(self) -> None:
        """Show the moves whose time has passed."""
        while self._moves and self._moves[0][0] <= self._clock.time():
            _, _, assignment = heappop(self._moves)
            if self._assignments.get(assignment.urn) is assignment:
                self._show(assignment)

    def _show(self, assignment: Assignment) -> None:
        holding = self._shown.get(assignment.urn)
        if holding is not None:
            holding.remove(assignment.urn)
        holding = self._shown[assignment.urn] = self._holdings[assignment.project_id]
        holding.add(assignment)

    def new_id(self, name: str) -> str:
        """Return the id of a new project, which its name and the earlier ids determine."""
        digest = f"{self._salt}project {name}".encode("utf-8", "surrogatepass")
        while True:
            digest = hashlib.sha256(digest).digest()
            project_id = str(UUID(bytes=digest[:16], version=4))
            if project_id not in self._project_ids:
                return project_id

    def _check_name(self, project: StoredProject) -> None:
        for other in self._projects.values():
            if other.name == project.name and other.id != project.id:
                raise NameTakenError(
                    f"name must be unique, but another project has the name {project.name!r}"
                )

    def token_text(self, number: int) -> str:
        """Return the text of the token with a number, which determines it."""
        return f"dop_v1_{hashlib.sha256(f'{self._salt}token {number}'.encode()).hexdigest()}"
