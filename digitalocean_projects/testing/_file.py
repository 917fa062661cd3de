"""File: the text of an account, as JSON lines, and its reader."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from digitalocean_projects._codec.urn import URN, listed_urn

from ._account import Contents
from ._assignment import Assignment, Labels, instant, second, self_link
from ._project import StoredProject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_FIELDS = tuple(field.name for field in attrs.fields(StoredProject))
_DEFAULT = "default"
_UNUSED = "first-project"
# Times from here on leave no room for later ones.
_LAST_YEAR = 9000
_decode = json.JSONDecoder().raw_decode
_skip_space = re.compile(r"[ \t\r\n]*").match


def line_of(members: dict[str, Any]) -> str:
    """Return an object as a line of the file."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"


def lines_of(contents: Contents) -> Iterator[str]:
    """Yield the lines of an account: each project, by name, and then its resources as listed."""
    for project in sorted(contents.projects.values(), key=lambda each: (each.name, each.id)):
        yield line_of({"kind": "project", **attrs.asdict(project, recurse=False)})
        for assignment in contents.listings[project.id]:
            labels = contents.labels.get(assignment.urn)
            yield line_of(
                {
                    "project": project.name,
                    "project_id": project.id,
                    "urn": assignment.urn,
                    "type": assignment.urn.type,
                    "id": assignment.urn.id,
                    "assigned_at": assignment.assigned_at,
                    "status": assignment.status,
                    "self_link": assignment.self_link,
                    **(attrs.asdict(labels) if labels else {}),
                }
            )


@attrs.frozen
class Entry:
    """An object of the file.

    Attributes:
        where: Its place, for messages.
        members: Its members.
        stands_alone: True unless it is one of several in an array.
    """

    where: str
    members: dict[str, Any]
    stands_alone: bool

    def error(self, problem: object) -> ValueError:
        """Return an error that names the place."""
        return ValueError(f"{self.where}: {problem}")

    def text(self, name: str) -> str | None:
        """Return a member that is a text, or None if it is null or missing.

        Raises:
            ValueError: It is of another type, or no valid Unicode text.
        """
        value = self.members.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.error(f"{name} must be a string, got {type(value).__name__}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.error(f"{name} must be valid Unicode text") from None
        return value

    def uuid(self, name: str) -> str | None:
        """Return a member that is a UUID, or None if it is null or missing.

        Raises:
            ValueError: It is of another type, or no UUID.
        """
        text = self.text(name)
        try:
            return None if text is None else str(UUID(text))
        except ValueError:
            raise self.error(f"{name} must be a UUID, got {text!r:.60}") from None


@attrs.define
class Section:
    """The part of a file that is about one account.

    Attributes:
        token: The account's token; None for the first section.
        tokens: The account's further tokens and their scopes; None allows everything.
        entries: The projects and the resources.
    """

    token: str | None = None
    tokens: dict[str, frozenset[str] | None] = attrs.field(factory=dict)
    entries: list[Entry] = attrs.field(factory=list)


def read(text: str) -> list[Section]:
    """Return the sections of a file, of which there is at least one.

    Raises:
        ValueError: The text is not JSON, or an object is not one of the file's.
    """
    sections = [Section()]
    for entry in _entries(text):
        kind = entry.members.get("kind")
        if kind == "account":
            sections.append(Section(_token(entry)))
        elif kind == "token":
            sections[-1].tokens[_token(entry)] = _scopes(entry)
        elif kind == "project" or (kind is None and not {"urn", "name"}.isdisjoint(entry.members)):
            sections[-1].entries.append(entry)
        else:
            raise entry.error("expected a project, or a resource with a urn")
    return sections


def _entries(text: str) -> Iterator[Entry]:
    """Yield the objects of a text that is any sequence of objects and of arrays of objects."""
    position, line = 0, 1
    while True:
        start = position
        if (position := _end_of_space(text, position)) == len(text):
            return
        line += text.count("\n", start, position)
        try:
            value, end = _decode(text, position)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {error.lineno}: invalid JSON ({error.msg})") from None
        except (ValueError, RecursionError):
            raise ValueError(f"line {line}: invalid JSON") from None
        values = value if isinstance(value, list) else [value]
        for number, each in enumerate(values, 1):
            where = f"line {line}" if each is value else f"line {line}, item {number}"
            if not isinstance(each, dict):
                found = type(each).__name__
                raise ValueError(f"{where}: expected an object, got {found}")  # noqa: TRY004 - JSON
            yield Entry(where, each, len(values) == 1)
        line += text.count("\n", position, end)
        position = end


def _end_of_space(text: str, position: int) -> int:
    found = _skip_space(text, position)
    return found.end() if found else position


def _token(entry: Entry) -> str:
    if (token := entry.text("token")) is None:
        raise entry.error("token must be given")
    return token


def _scopes(entry: Entry) -> frozenset[str] | None:
    match entry.members.get("scopes"):
        case None:
            return None
        case [*scopes] if all(isinstance(scope, str) for scope in scopes):
            return frozenset(scopes)
        case _:
            raise entry.error("scopes must be a list of strings, or null for every scope")


def merged(contents: Contents, entries: Sequence[Entry], new_id: Callable[[str], str]) -> Contents:
    """Return the contents of an account after entries of a file were added.

    Args:
        contents: The contents of the account.
        entries: The projects and the resources.
        new_id: A function that returns the id of a new project for its name.

    Raises:
        ValueError: An entry is invalid, or contradicts another one or the account.
    """
    if not entries:
        return contents
    merger = _Merger(contents, new_id)
    for entry in entries:
        if "urn" in entry.members and entry.members.get("kind") is None:
            merger.add_resource(entry)
        else:
            merger.add_project(entry)
    return merger.contents()


class _Merger:
    """The projects and resources of an account while entries of a file are added."""

    def __init__(self, before: Contents, new_id: Callable[[str], str]) -> None:
        self._before = before
        self._new_id = new_id
        self._projects = dict(before.projects)
        self._ids = {project.name: project.id for project in before.projects.values()}
        default = next(project for project in before.projects.values() if project.is_default)
        self._default = default.id
        self._default_of_the_file: str | None = None
        # The empty project of a new account gives way to a default project of the file.
        is_unused = default.name == _UNUSED and not before.listings[default.id]
        self._unused = default.id if is_unused else None
        # The project of resources that name none.
        self._current = _DEFAULT
        self._new: dict[URN, tuple[str, Entry]] = {}
        self._labels: dict[URN, Labels] = {}

    def add_project(self, entry: Entry) -> None:
        for each in ("owner_uuid", "created_at", "updated_at"):
            entry.text(each)
        if not isinstance(entry.members.get("owner_id", 0), int | None):
            raise entry.error("owner_id must be an integer")
        attributes = {
            name: entry.members[name] for name in _FIELDS if entry.members.get(name) is not None
        }
        attributes.pop("id", None)
        name = entry.text("name")
        project_id = entry.uuid("id") or self._ids.get(name or "")
        if project_id is None or project_id not in self._projects:
            project_id = self._create(entry, project_id, name)
        if project_id == self._unused:
            self._unused = None
        before = self._projects[project_id]
        try:
            project = attrs.evolve(before, **attributes)
        except (TypeError, ValueError) as error:
            raise entry.error(error) from None
        if self._ids.setdefault(project.name, project_id) != project_id:
            raise entry.error(f"name must be that of no other project, got {project.name!r}")
        if project.name != before.name:
            del self._ids[before.name]
        if attributes.get("is_default"):
            if self._default_of_the_file not in {None, project_id}:
                raise entry.error("is_default must be true for only one project")
            self._default_of_the_file = project_id
        self._projects[project_id] = project
        self._current = project_id if entry.stands_alone else _DEFAULT

    def add_resource(self, entry: Entry) -> None:
        try:
            urn = listed_urn(entry.members["urn"]).canonical
        except (TypeError, ValueError) as error:
            raise entry.error(error) from None
        for name in ("assigned_at", "status", "self_link"):
            entry.text(name)
        # The link has another place in the API's form of a resource, which doctl prints.
        if "self_link" not in entry.members and "links" in entry.members:
            links = entry.members["links"]
            nested = attrs.evolve(entry, members=links if isinstance(links, dict) else {})
            entry.members["self_link"] = nested.text("self")
        if urn.type == "droplet" and not {"name", "tags"}.isdisjoint(entry.members):
            self._labels.setdefault(urn, _labels(urn, entry))
        self._new.setdefault(urn, (self._project_of(entry), entry))

    def _project_of(self, entry: Entry) -> str:
        name = entry.text("project")
        if (text := entry.text("project_id")) == _DEFAULT:
            return _DEFAULT
        if text is not None:
            project_id = entry.uuid("project_id") or ""
            if project_id in self._projects:
                return project_id
            return self._create(entry, project_id, name or f"project-{project_id}")
        if name is None:
            return self._current
        if name in self._ids:
            return self._ids[name]
        return _DEFAULT if name == _DEFAULT else self._create(entry, None, name)

    def _create(self, entry: Entry, project_id: str | None, name: str | None) -> str:
        """Add an empty project, which may replace the unused one of the same name."""
        if name is None:
            raise entry.error("name must be given")
        replaces = self._unused is not None and self._ids.get(name) == self._unused
        if replaces:
            self._drop_unused()
        elif name in self._ids:
            raise entry.error(f"name must be that of no other project, got {name!r}")
        project_id = project_id or self._new_id(name)
        try:
            project = StoredProject(id=project_id, name=name, created_at="", updated_at="")
        except ValueError as error:
            raise entry.error(error) from None
        self._projects[project_id] = project
        self._ids[name] = project_id
        if replaces:
            self._default = project_id
        return project_id

    def _drop_unused(self) -> None:
        if self._unused is not None:
            del self._ids[self._projects.pop(self._unused).name]
            self._unused = None

    def contents(self) -> Contents:
        default = self._default_of_the_file or self._default
        if default != self._unused and all(
            project_id != self._unused for project_id, _ in self._new.values()
        ):
            self._drop_unused()
        epoch = _latest(self._before.epoch, self._times())
        projects = {
            project.id: attrs.evolve(
                project,
                is_default=project.id == default,
                created_at=project.created_at or second(epoch, 0),
                updated_at=project.updated_at or project.created_at or second(epoch, 0),
            )
            for project in self._projects.values()
        }
        return Contents(
            epoch=epoch,
            changes=1,
            projects=dict(sorted(projects.items(), key=lambda item: item[1].created_at)),
            listings=self._listings(epoch, default),
            labels={**self._before.labels, **self._labels},
        )

    def _times(self) -> Iterator[str | None]:
        for project in self._projects.values():
            yield project.created_at
            yield project.updated_at
        for listing in self._before.listings.values():
            for assignment in listing:
                yield assignment.assigned_at
        for _, entry in self._new.values():
            yield entry.members.get("assigned_at")

    def _listings(self, epoch: datetime, default: str) -> dict[str, list[Assignment]]:
        added: dict[str, list[tuple[URN, Entry]]] = {}
        for urn, (place, entry) in self._new.items():
            added.setdefault(default if place == _DEFAULT else place, []).append((urn, entry))
        number, listings = 0, dict[str, list[Assignment]]()
        for project_id in self._projects:
            listing = list[Assignment]()
            for earlier in reversed(self._before.listings.get(project_id, ())):
                if earlier.urn not in self._new:
                    number += 1
                    listing.append(attrs.evolve(earlier, number=number))
            for urn, entry in reversed(added.get(project_id, ())):
                number += 1
                listing.append(_assignment(urn, project_id, number, entry, epoch))
            listing.reverse()
            listings[project_id] = listing
        return listings


def _labels(urn: URN, entry: Entry) -> Labels:
    """Return the name and the tags of a Droplet."""
    tags = entry.members.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise entry.error("tags must be a list of strings")
    return Labels(entry.text("name") or f"droplet-{urn.id}", tuple(tags))


def _assignment(
    urn: URN, project_id: str, number: int, entry: Entry, epoch: datetime
) -> Assignment:
    """Return a resource of the file; what it doesn't say is as for a new resource."""
    members = entry.members
    return Assignment(
        urn=urn,
        project_id=project_id,
        number=number,
        assigned_at=members.get("assigned_at", instant(epoch, number)),
        status=members.get("status", "ok"),
        self_link=members.get("self_link", self_link(urn)),
    )


def _latest(epoch: datetime, times: Iterable[str | None]) -> datetime:
    """Return the first full second after all times; times that can't be read are ignored."""
    for text in times:
        try:
            time = datetime.fromisoformat(text or "")
        except ValueError:
            continue
        if time.year < _LAST_YEAR:
            time = (time if time.tzinfo else time.replace(tzinfo=UTC)).replace(microsecond=0)
            epoch = max(epoch, time + timedelta(seconds=1))
    return epoch
