"""Account: the projects, resources and tokens that the emulator serves."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from digitalocean_projects._urn import URN

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


def _instant(number: int) -> str:
    """The time of the account's `number`-th assignment; the API's times differ in precision."""
    moment = _EPOCH + timedelta(seconds=number, microseconds=number * 7919 % 1_000_000)
    digits = (0, 4, 6)[number % 3]
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text[: 20 + digits].rstrip('.')}Z"


def _project_id(name: str) -> str:
    digest = hashlib.sha256(f"project {name}".encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))


@attrs.frozen(kw_only=True)
class Assignment:
    """A resource's place in a project."""

    urn: URN
    assigned_at: str


@attrs.frozen
class Token:
    """What a bearer of a token may do; `None` stands for every scope."""

    scopes: frozenset[str] | None

    def allows(self, *scopes: str) -> bool:
        """Whether the token has one of these scopes."""
        return self.scopes is None or not self.scopes.isdisjoint(scopes)


class Project:
    """A project and what it holds."""

    def __init__(self, name: str) -> None:
        self.id = _project_id(name)
        self.name = name
        self._held: dict[URN, Assignment] = {}
        self._listing: list[Assignment] | None = None

    def listing(self) -> list[Assignment]:
        """All that the project holds, newest first: not to be changed by the caller."""
        if self._listing is None:
            self._listing = list(reversed(self._held.values()))
        return self._listing

    def __getitem__(self, urn: URN) -> Assignment:
        return self._held[urn]

    def add(self, assignment: Assignment) -> None:
        """Hold a resource that isn't held yet, as the newest."""
        self._held[assignment.urn] = assignment
        self._listing = None

    def remove(self, urn: URN) -> None:
        """Let go of a resource."""
        del self._held[urn]
        self._listing = None


class Account:
    """The state behind the emulated API; whoever shares it among threads guards it.

    Nothing in it is random: the same calls make the same ids, tokens and times.
    """

    def __init__(self) -> None:
        self._projects: dict[str, Project] = {}
        self._holders: dict[URN, Project] = {}
        self._tokens: dict[str, Token] = {}
        self._numbers = count(1)
        self.default = self.add_project("first-project")

    def project(self, project_id: str) -> Project | None:
        """The project of this id, or the default one for `default`."""
        return self.default if project_id == "default" else self._projects.get(project_id)

    def add_project(self, name: str | None) -> Project:
        """A new, empty project; `None` has a name made for it.

        Raises:
            ValueError: The name is taken.
        """
        taken = {project.name for project in self._projects.values()}
        if name is None:
            candidates = (f"project-{number}" for number in count(len(taken)))
            name = next(candidate for candidate in candidates if candidate not in taken)
        if name in taken:
            raise ValueError(f"a project of this name exists: {name!r}")
        project = Project(name)
        self._projects[project.id] = project
        return project

    def holder(self, urn: URN) -> Project | None:
        """The project that holds the resource, or None if there is no such resource."""
        return self._holders.get(urn.canonical)

    def place(self, urn: URN, project: Project) -> Assignment:
        """Move the resource to the project, as its newest; make it if there is none such."""
        urn = urn.canonical
        holder = self._holders.get(urn)
        if holder is not None:
            holder.remove(urn)
        self._holders[urn] = project
        assignment = Assignment(urn=urn, assigned_at=_instant(next(self._numbers)))
        project.add(assignment)
        return assignment

    def add_token(self, scopes: Iterable[str] | None, text: str | None = None) -> str:
        """Let `text`, or else a new token, do what `scopes` says; `None` allows everything."""
        if text is None:
            text = f"dop_v1_{hashlib.sha256(f'token {len(self._tokens)}'.encode()).hexdigest()}"
        self._tokens[text] = Token(None if scopes is None else frozenset(scopes))
        return text

    def token(self, text: str) -> Token | None:
        """The token that `text` spells."""
        return self._tokens.get(text)
