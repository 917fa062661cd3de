"""Merge: the contents of an account after the entries of a file were added."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from digitalocean_projects._codec.urn import listed_urn

from ._account import UNUSED, Contents
from ._assignment import Assignment, Labels, instant, second, self_link
from ._project import StoredProject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from digitalocean_projects._codec.urn import URN

    from ._file import Entry

_FIELDS = tuple(field.name for field in attrs.fields(StoredProject))
_DEFAULT = "default"
# Times from here on leave no room for later ones.
_LAST_YEAR = 9000


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
        # The empty project of a new account gives way to a default project of the file, unless it
        # was changed.
        unused = StoredProject(
            id=default.id,
            name=UNUSED,
            is_default=True,
            created_at=default.created_at,
            updated_at=default.created_at,
        )
        is_unused = default == unused and not before.listings[default.id]
        self._unused = default.id if is_unused else None
        # The project of resources that name none.
        self._current = _DEFAULT
        self._new: dict[URN, tuple[str, Entry]] = {}
        self._labels: dict[URN, Labels] = {}
        # Resources in two places, which may turn out to be the default project.
        self._elsewhere: list[tuple[URN, str, Entry]] = []

    def add_project(self, entry: Entry) -> None:
        entry.text("owner_uuid")
        for each in ("created_at", "updated_at"):
            _check_time(entry, each)
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
            listed = listed_urn(entry.members["urn"])
        except (TypeError, ValueError) as error:
            raise entry.error(error) from None
        urn = listed.canonical
        for name in ("type", "id"):
            value = entry.members.get(name)
            if value is not None and str(value) not in {getattr(listed, name), getattr(urn, name)}:
                raise entry.error(f"{name} must be that of the urn {urn!s:.100}, got {value!r:.60}")
        for name in ("status", "self_link"):
            entry.text(name)
        _check_time(entry, "assigned_at")
        # The link has another place in the API's form of a resource, which doctl prints.
        if "self_link" not in entry.members and "links" in entry.members:
            links = entry.members["links"]
            nested = attrs.evolve(entry, members=links if isinstance(links, dict) else {})
            entry.members["self_link"] = nested.text("self")
        if urn.type == "droplet" and not {"name", "tags"}.isdisjoint(entry.members):
            self._labels.setdefault(urn, _labels(urn, entry))
        place = self._project_of(entry)
        if self._new.setdefault(urn, (place, entry))[0] != place:
            self._elsewhere.append((urn, place, entry))

    def _project_of(self, entry: Entry) -> str:
        name = entry.text("project")
        if (text := entry.text("project_id")) == _DEFAULT:
            return _DEFAULT
        if text is not None:
            project_id = entry.uuid("project_id") or ""
            if project_id in self._projects:
                own = self._projects[project_id].name
                if name not in {None, _DEFAULT, own}:
                    raise entry.error(f"project must be the name {own!r}, got {name!r:.60}")
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
        for urn, place, entry in self._elsewhere:
            if {place, self._new[urn][0]} != {_DEFAULT, default}:
                raise entry.error(f"a resource must be in one project, got {urn} in two")
        if default != self._unused and all(
            project_id != self._unused for project_id, _ in self._new.values()
        ):
            self._drop_unused()
        epoch = _latest(self._before.epoch, self._times())
        # Projects of the same time are ordered by name, as in the file.
        projects, changes = list[StoredProject](), 0
        for project in self._projects.values():
            created = project.created_at or second(epoch, changes)
            changes += not project.created_at
            updated = project.updated_at or created
            projects.append(
                attrs.evolve(
                    project,
                    is_default=project.id == default,
                    created_at=created,
                    updated_at=updated,
                )
            )
        projects.sort(key=lambda project: (_time(project.created_at) or epoch, project.name))
        return Contents(
            epoch=epoch,
            changes=max(changes, 1),
            projects={project.id: project for project in projects},
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
        before = self._before.listings
        number = max((each.number for listing in before.values() for each in listing), default=0)
        listings = dict[str, list[Assignment]]()
        for project_id in self._projects:
            listing = list[Assignment]()
            for urn, entry in reversed(added.get(project_id, ())):
                number += 1
                listing.append(_assignment(urn, project_id, number, entry, epoch))
            listing.reverse()
            listings[project_id] = listing + [
                earlier for earlier in before.get(project_id, ()) if earlier.urn not in self._new
            ]
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
    """Return a resource of the file; missing members get the values of a new resource."""
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
        time = _time(text)
        if time is not None and time.year < _LAST_YEAR:
            epoch = max(epoch, time.replace(microsecond=0) + timedelta(seconds=1))
    return epoch


def _time(text: str | None) -> datetime | None:
    """Return a time, in UTC if it names no zone, or None if it can't be read."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _check_time(entry: Entry, name: str) -> None:
    """Check a time, which may be null, missing or empty, as in answers of the API."""
    text = entry.text(name)
    if text and _time(text) is None:
        raise entry.error(f"{name} must be a time such as 2018-09-28T19:26:37Z, got {text!r:.60}")
