"""Account: the projects, resources and tokens that the emulator serves."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from operator import attrgetter
from typing import Any
from uuid import UUID

import attrs

from digitalocean_projects._codec.urn import URN

from ._clock import MockClock

_NO_DEFAULT = "you must always have a default project"
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
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
    """A project as the API returns it, without its owner.

    `Emulator.projects` returns them. They are immutable.

    Attributes:
        id: The UUID.
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
    name: str = attrs.field(converter=_name)
    description: str = attrs.field(default="", converter=_description)
    purpose: str = attrs.field(default="", converter=_purpose)
    environment: str = attrs.field(default="", converter=_environment)
    is_default: bool = attrs.field(default=False, converter=_flag)
    created_at: str
    updated_at: str


def _instant(number: int) -> str:
    """Return the time of the assignment `number`; as with the API, times differ in precision."""
    moment = _EPOCH + timedelta(seconds=number, microseconds=number * 7919 % 1_000_000)
    digits = (0, 4, 6)[number % 3]
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text[: 20 + digits].rstrip('.')}Z"


def _second(number: int) -> str:
    """Return the time of the change `number` of a project."""
    return f"{_EPOCH + timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}"


@attrs.frozen(kw_only=True)
class Assignment:
    """A resource's assignment to a project."""

    urn: URN
    project_id: str
    assigned_at: str


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
            # No two times are in one second, so they can be compared as text.
            self._listing = sorted(self._held.values(), key=attrgetter("assigned_at"), reverse=True)
        return self._listing

    def add(self, assignment: Assignment) -> None:
        self._held[assignment.urn] = assignment
        self._listing = None

    def remove(self, urn: URN) -> None:
        del self._held[urn]
        self._listing = None


class Account:
    """The state of the emulated API. It needs a lock if several threads use it.

    It is deterministic: the same calls produce the same ids, tokens and times. The assignments and
    the changes of projects are numbered, and each time follows from its number.

    Args:
        clock: The clock of `move_delay`.

    Attributes:
        move_delay: The seconds that callers of `place` pass as `delay`.
    """

    def __init__(self, clock: MockClock) -> None:
        self.move_delay = 0.0
        self._clock = clock
        self._projects: dict[str, StoredProject] = {}
        self._project_ids: set[str] = set()
        self._changes = 0
        self._holdings: dict[str, _Holding] = {}
        self._assignments: dict[URN, Assignment] = {}
        self._shown: dict[URN, _Holding] = {}
        self._moves: list[tuple[float, str, Assignment]] = []
        self._tokens: dict[str, Token] = {}
        self._numbers = count(1)
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
        now = _second(self._changes)
        project = StoredProject(
            id=self._new_id(name), name=name, **attributes, created_at=now, updated_at=now
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
        now = _second(self._changes)
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
        assignment = Assignment(
            urn=urn, project_id=project.id, assigned_at=_instant(next(self._numbers))
        )
        self._assignments[urn] = assignment
        if delay:
            move = (self._clock.time() + delay, assignment.assigned_at, assignment)
            heappush(self._moves, move)
        else:
            self._show(assignment)
        return assignment

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

    def _new_id(self, name: str) -> str:
        digest = f"project {name}".encode("utf-8", "surrogatepass")
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

    def add_token(self, scopes: Iterable[str] | None, text: str | None = None) -> str:
        """Add a token with these scopes, and return it; None allows everything."""
        if text is None:
            text = f"dop_v1_{hashlib.sha256(f'token {len(self._tokens)}'.encode()).hexdigest()}"
        self._tokens[text] = Token(None if scopes is None else frozenset(scopes))
        return text

    def token(self, text: str) -> Token | None:
        """Return the token with this text, or None."""
        return self._tokens.get(text)
