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

from ._assignment import EPOCH, Assignment, instant, second, self_link
from ._clock import MockClock

_NO_DEFAULT = "you must always have a default project"
_PURPOSES = frozenset(
    {
        "",
        "Just trying out DigitalOcean",
        "Class project / Educational purposes",
        "Website or blog",
        "Web Application",
        "Service or API",
        "Mobile Application",
        "Machine learning / AI / Data processing",
        "IoT",
        "Operational / Developer tooling",
    }
)
_OTHER = "Other: "
_ENVIRONMENTS = {name.lower(): name for name in ("", "Development", "Staging", "Production")}
_NUMBER = attrgetter("number")
_has_surrogate = re.compile("[\ud800-\udfff]").search


def _string(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    return value


def _text(name: str, value: str, *, least: int = 0, most: int = 255) -> str:
    length = len(_string(name, value))
    if not least <= length <= most:
        raise ValueError(f"{name} must have {least} to {most} characters, got {length}")
    if _has_surrogate(value):
        raise ValueError(f"{name} must be valid Unicode text, got a lone surrogate")
    return value


def _name(value: str) -> str:
    return _text("name", value, least=1, most=175)


def _description(value: str) -> str:
    return _text("description", value)


def _purpose(value: str) -> str:
    if _string("purpose", value) in _PURPOSES:
        return value
    # A client may send an answered purpose back, though its prefix makes it longer.
    return _OTHER + _text("purpose", value.removeprefix(_OTHER))


def _environment(value: str) -> str:
    environment = _ENVIRONMENTS.get(_string("environment", value).lower())
    if environment is None:
        raise ValueError(
            f"environment must be Development, Staging or Production, got {value[:40]!r}"
        )
    return environment


def _flag(value: bool) -> bool:  # noqa: FBT001 - attrs calls it
    if not isinstance(value, bool):
        raise TypeError(f"is_default must be a bool, got {type(value).__name__}")
    return value


@attrs.frozen(kw_only=True)
class StoredProject:
    """A project as the API returns it.

    `Emulator.projects` returns them. They are immutable.

    Attributes:
        id: The UUID.
        owner_uuid: The id of the account's owner.
        owner_id: The number of the account's owner.
        name: The name, of 1 to 175 characters.
        description: The description, of at most 255 characters.
        purpose: One of the API's purposes, or `Other: ` and at most 255 characters.
        environment: `Development`, `Staging`, `Production` or empty; any case is accepted.
        is_default: True for the default project.
        created_at: The time of the creation, as ISO 8601 text.
        updated_at: The time of the last change, as ISO 8601 text.

    Raises:
        TypeError: An attribute is not of its type.
        ValueError: An attribute is too long, too short, or unknown to the API.
    """

    id: str
    owner_uuid: str = "579233b2c479241523cba5e3af55d0f50f2d6414"
    owner_id: int = 1234567
    name: str = attrs.field(converter=_name)
    description: str = attrs.field(default="", converter=_description)
    purpose: str = attrs.field(default="", converter=_purpose)
    environment: str = attrs.field(default="", converter=_environment)
    is_default: bool = attrs.field(default=False, converter=_flag)
    created_at: str
    updated_at: str


@attrs.frozen
class Token:
    """A bearer token's scopes; None allows everything.

    `api:read` stands for every scope that reads, and `api:write` for every scope.
    """

    scopes: frozenset[str] | None

    def allows(self, *scopes: str) -> bool:
        """Return True if the token has one of these scopes."""
        if self.scopes is None or "api:write" in self.scopes:
            return True
        reads = any(scope.endswith(":read") for scope in scopes)
        return not self.scopes.isdisjoint(scopes) or (reads and "api:read" in self.scopes)


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
        epoch: The time from which the account's own times count; no earlier time is after it.
        projects: The projects by id, oldest first.
        listings: The listing of each project, newest assignment first.
    """

    epoch: datetime
    projects: Mapping[str, StoredProject]
    listings: Mapping[str, Sequence[Assignment]]


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
    """

    def __init__(self, clock: MockClock, number: int = 0) -> None:
        self.move_delay = 0.0
        self.number = number
        self.tokens: dict[str, Token] = {}
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
        self.add_project("first-project", is_default=True)

    @property
    def default(self) -> StoredProject:
        """The default project; there is always one."""
        return next(project for project in self._projects.values() if project.is_default)

    def projects(self) -> list[StoredProject]:
        """Return all projects, newest first."""
        return list(reversed(self._projects.values()))

    def project(self, project_id: str) -> StoredProject | None:
        """Return the project with this id, the default one for `default`, or None."""
        return self.default if project_id == "default" else self._projects.get(project_id)

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

    def place(self, urn: URN, project: StoredProject, delay: float = 0.0) -> Assignment:
        """Move the resource to the project, as its newest; create it if it doesn't exist.

        Listings show it in its old project until `delay` seconds have passed on the clock. If it
        moves again before that, they never show the earlier move.
        """
        self._settle()
        urn = urn.canonical
        earlier = self._assignments.get(urn)
        self._number += 1
        assignment = Assignment(
            urn=urn,
            project_id=project.id,
            number=self._number,
            assigned_at=instant(self._epoch, self._number),
            self_link=self_link(urn) if earlier is None else earlier.self_link,
        )
        self._assignments[urn] = assignment
        if delay:
            move = (self._clock.time() + delay, assignment.number, assignment)
            heappush(self._moves, move)
        else:
            self._show(assignment)
        return assignment

    @property
    def contents(self) -> Contents:
        """The projects, and the resources by their last assignment, even if it isn't shown yet."""
        listings: dict[str, list[Assignment]] = {project_id: [] for project_id in self._projects}
        for assignment in sorted(self._assignments.values(), key=_NUMBER, reverse=True):
            listings[assignment.project_id].append(assignment)
        return Contents(epoch=self._epoch, projects=dict(self._projects), listings=listings)

    @contents.setter
    def contents(self, contents: Contents) -> None:
        self._epoch = contents.epoch
        self._projects = dict(contents.projects)
        self._project_ids = set(contents.projects)
        self._changes = 0
        self._holdings = {project_id: _Holding() for project_id in contents.projects}
        self._assignments, self._shown, self._moves = {}, {}, []
        self._number = 0
        for listing in contents.listings.values():
            for assignment in listing:
                self._number = max(self._number, assignment.number)
                self._assignments[assignment.urn] = assignment
                self._show(assignment)

    def _settle(self) -> None:
        """Show the moves whose time has passed."""
        while self._moves and self._moves[0][0] <= self._clock.time():
            _, _, assignment = heappop(self._moves)
            if self._assignments[assignment.urn] is assignment:
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
                    f"name must be that of no other project, got {project.name!r}, which is taken"
                )

    def new_token(self) -> str:
        """Return the text of a new token, which the number of tokens determines."""
        texts = (
            f"dop_v1_{hashlib.sha256(f'{self._salt}token {number}'.encode()).hexdigest()}"
            for number in count(len(self.tokens))
        )
        return next(text for text in texts if text not in self.tokens)
