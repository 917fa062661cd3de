"""Account file: the projects and resources of an account in an exported text.

It has the objects that `inventory` writes with `-o jsonl` or `-o json`, that the emulator reads and
writes, and that doctl prints with `-o json`. They may stand one after another or in arrays. An
object may also map projects to lists of URNs, which TOML can be used for, too.
"""

from __future__ import annotations

import json
import re
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from digitalocean_projects._arguments import NAME_PREFIX, is_project_id
from digitalocean_projects._codec.urn import URN, listed_urn
from digitalocean_projects._defaults import DEFAULT_PROJECT
from digitalocean_projects._messages import one_line, quoted

from .input import place_of, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator


class _RepeatedNameError(ValueError):
    """A member that an object has twice, of which the decoder would drop the first one."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(name for name, _ in pairs if members.pop(name, pairs) is pairs)
        raise _RepeatedNameError(f"an object must have each member once, got {quoted(twice)} twice")
    return members


_decode = json.JSONDecoder(object_pairs_hook=_members).raw_decode
# A dotted key in TOML with more parts than a domain name has labels, for which tomllib needs a time
# that grows with the square of their number. The limit of a quoted part keeps the search linear.
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.){0,64}+"|'[^'\n]{0,64}+')"""
_find_long_key = re.compile(rf"(?<![\w.-])(?:{_PART}[ \t]*+\.[ \t]*+){{128}}").search
_has_surrogate = re.compile(r"[\ud800-\udfff]").search
_space = re.compile(r"[ \t\r\n]*")
# An id is repeated for each resource of a project.
_uuid = cache(lambda text: str(UUID(text)))
_ATTRIBUTES = ("description", "purpose", "environment")


@attrs.frozen(kw_only=True)
class AccountProject:
    """A project in an account file.

    Attributes:
        id: Its UUID in lower case; `default` if the file names it only so; None if the file has
            only its name.
        name: Its name, or None if the file has only its id.
        is_default: True if the file says that it is the default project.
        attributes: Its description, purpose and environment, as far as the file has them.
        urns: Its resources under their canonical names, each once, in the order of the file.
        place: The place of the first object that names it, for messages.
    """

    id: str | None
    name: str | None
    is_default: bool
    attributes: dict[str, str]
    urns: tuple[URN, ...]
    place: str

    @property
    def label(self) -> str:
        """Its name, or else its id."""
        return self.name or self.id or DEFAULT_PROJECT


def read_account_file(name: str, *, quiet: bool) -> tuple[AccountProject, ...]:
    """Return the projects in a file, in its order.

    Args:
        name: The name of the file; `-` is standard input.
        quiet: True to write no note that the command waits for standard input.

    Raises:
        OSError: The file cannot be read, is too large, or is not in UTF-8.
        ValueError: Its text is no account; the message names the file and the line.
    """
    return parse_account(read_text(name, "an export", quiet=quiet), place_of(name))


def parse_account(text: str, source: str) -> tuple[AccountProject, ...]:
    """Return the projects in a text, in its order.

    A resource belongs to the project with its `project_id`, else to the one with the name in
    `project`, else to that of the last project that stands alone, as doctl prints it.

    Args:
        text: The text.
        source: Its name for messages.

    Raises:
        ValueError: The text is not JSON, an object is neither a project nor a resource, a resource
            is in two projects, or the text has several accounts; the message names the source and
            the line.
    """
    reader = _Reader()
    contexts: dict[str | None, None] = {}
    for entry in _toml(text, source) if _is_toml(text) else _entries(text, source):
        if entry.is_mapping:
            reader.add_mapping(entry)
            continue
        contexts[entry.text("context")] = None
        if len(contexts) > 1:
            names = " and ".join(quoted(context or "") for context in contexts)
            raise ValueError(
                f"{source}: it has several accounts (the contexts {names}); "
                "export one of them with --context"
            )
        kind = entry.members.get("kind")
        if kind == "token":  # a further token in the state of an emulator
            continue
        if kind is not None and kind != "project":
            raise entry.error(
                f'kind must be "project", or missing for a resource, got {quoted(str(kind))}'
            )
        if kind is None and "urn" in entry.members:
            reader.add_resource(entry)
        elif kind is not None or "name" in entry.members:
            reader.add_project(entry)
        else:
            raise entry.error(
                "an object must be a project with a name, or a resource with a urn, or map each "
                "project to a list of URNs"
            )
    return reader.projects()


@attrs.frozen
class _Entry:
    """An object of the text.

    Attributes:
        place: Its place, for messages.
        members: Its members.
        stands_alone: True unless it is one of several in an array.
    """

    place: str
    members: dict[str, Any]
    stands_alone: bool

    @property
    def is_mapping(self) -> bool:
        """True if it maps projects to lists."""
        lists = [isinstance(value, list) for value in self.members.values()]
        return bool(lists) and all(lists)

    def error(self, problem: object) -> ValueError:
        return ValueError(f"{self.place}: {problem}")

    def text(self, name: str) -> str | None:
        """Return a member that is a text; None if it is null or missing."""
        value = self.members.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.error(f"{name} must be a string, got {type(value).__name__}")
        if _has_surrogate(value):
            raise self.error(f"{name} must be valid Unicode text, got a lone surrogate")
        return value

    def project_id(self, name: str) -> str | None:
        """Return a member that is a UUID or `default`; None if it is null or missing."""
        text = self.text(name)
        if text is None or text == DEFAULT_PROJECT:
            return text
        try:
            return _uuid(text)
        except ValueError:
            raise self.error(f"{name} must be a UUID, got {quoted(text)}") from None

    def urn(self) -> URN:
        try:
            return listed_urn(self.members["urn"]).canonical
        except (TypeError, ValueError) as error:
            raise self.error(error) from None


def _is_toml(text: str) -> bool:
    """Return True if the first line with content is a key and a value."""
    for line in map(str.strip, StringIO(text)):
        if line and not line.startswith("#"):
            return "=" in line and line[0] not in "{["
    return False


def _toml(text: str, source: str) -> Iterator[_Entry]:
    """Yield the mapping in a text."""
    import tomllib  # noqa: PLC0415 - few files are in TOML

    if found := _find_long_key(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"{source}:{line}: a key must not have more than 128 parts")
    try:
        entry = _Entry(source, tomllib.loads(text), stands_alone=False)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source}: invalid TOML ({error})") from None
    except RecursionError:
        raise ValueError(f"{source}: invalid TOML (the nesting is too large)") from None
    if not entry.is_mapping:
        raise entry.error(
            "each key must be a project, and its value a list of URNs; put quotes around a name "
            "with dots or spaces"
        )
    yield entry


def _entries(text: str, source: str) -> Iterator[_Entry]:
    """Yield the objects of a text that is any sequence of objects and of arrays of objects."""
    position, line = 0, 1
    while True:
        start, position = position, _space.match(text, position).end()  # type: ignore[union-attr]  # it matches ""
        if position == len(text):
            return
        line += text.count("\n", start, position)
        try:
            value, end = _decode(text, position)
        except json.JSONDecodeError as error:
            raise _no_json(source, error.lineno, error.msg) from None
        except _RepeatedNameError as error:
            raise ValueError(f"{source}:{line}: {error}") from None
        except (ValueError, RecursionError):
            raise _no_json(source, line, "a number or the nesting is too large") from None
        values = value if isinstance(value, list) else [value]
        for number, each in enumerate(values, 1):
            place = f"{source}:{line}" if each is value else f"{source}:{line}: item {number}"
            if not isinstance(each, dict):
                found = type(each).__name__
                raise ValueError(f"{place}: expected a JSON object, got {found}")  # noqa: TRY004 - JSON
            yield _Entry(place, each, len(values) == 1)
        line += text.count("\n", position, end)
        position = end


def _no_json(source: str, line: int, problem: str) -> ValueError:
    return ValueError(
        f"{source}:{line}: invalid JSON ({problem}); write the file with 'inventory -o jsonl'"
    )


@attrs.define(eq=False)
class _Project:
    """A project while the text is read."""

    place: str
    id: str | None = None
    name: str | None = None
    attributes: dict[str, str] = attrs.field(factory=dict)
    urns: list[URN] = attrs.field(factory=list)


def _conflict(
    entry: _Entry,
    project_id: str | None,
    name: str | None,
    project: _Project,
    namesake: _Project | None,
) -> str:
    """Return the message for an id and a name that stand for different projects before."""
    move = "delete project_id to move the resource"
    action = move if "urn" in entry.members else "give each project one name and one id"
    if namesake and namesake.id:
        return (
            f"project {quoted(name or '')} has the id {namesake.id} at {namesake.place} and the id "
            f"{project_id} here; {action}"
        )
    return (
        f"project {quoted(name or '')} has the id {project_id} here, which is that of another "
        f"project at {project.place}; {action}"
    )


class _Reader:
    """The projects and resources that were read so far."""

    def __init__(self) -> None:
        self._all: list[_Project] = []
        self._by_id: dict[str, _Project] = {}
        self._by_name: dict[str, _Project] = {}
        # The project of resources that name none.
        self._current: _Project | None = None
        self._places: dict[URN, tuple[_Project, str]] = {}

    def add_project(self, entry: _Entry) -> None:
        name = entry.text("name")
        if not name:
            raise entry.error("name must be a string that is not empty")
        project = self._project(entry, entry.project_id("id"), name)
        # The API was seen to send it as text, too.
        if str(entry.members.get("is_default")).lower() == "true":
            self._set_default(entry, project)
        for attribute in _ATTRIBUTES:
            if (text := entry.text(attribute)) is not None:
                project.attributes[attribute] = text
        self._current = project if entry.stands_alone else None

    def _set_default(self, entry: _Entry, project: _Project) -> None:
        other = self._by_id.setdefault(DEFAULT_PROJECT, project)
        if other is project:
            return
        if other.name is not None or other.id != DEFAULT_PROJECT:
            raise entry.error(f"only one project must be the default one; see {other.place}")
        # Until now, the file has named it by "default" only.
        self._by_id[DEFAULT_PROJECT] = project
        self._all.remove(other)
        project.urns[:0] = other.urns
        for urn in other.urns:
            self._places[urn] = project, self._places[urn][1]

    def add_resource(self, entry: _Entry) -> None:
        urn = entry.urn()
        project_id, name = entry.project_id("project_id"), entry.text("project")
        if project_id is None and name == DEFAULT_PROJECT and name not in self._by_name:
            project_id, name = name, None
        project = self._current
        if project_id or name:
            project = self._project(entry, project_id, name)
        if project is None:
            raise entry.error("a resource must have the name of its project as 'project'")
        before, place = self._places.setdefault(urn, (project, entry.place))
        if before is not project:
            raise entry.error(
                f"a resource must be in one project, but {urn} is in another one at {place}"
            )
        if place is entry.place:
            project.urns.append(urn)

    def add_mapping(self, entry: _Entry) -> None:
        for key, texts in entry.members.items():
            is_id = is_project_id(key)
            name = None if is_id else key.removeprefix(NAME_PREFIX)
            if name == "":
                raise entry.error("the name of a project must not be empty")
            project = self._project(entry, key.lower() if is_id else None, name)
            for number, text in enumerate(texts):
                place = f"{entry.place}: {one_line(key)}[{number}]"
                try:
                    urn = URN.parse(text).canonical
                except (TypeError, ValueError) as error:
                    raise ValueError(f"{place}: {error}") from None
                _, before = self._places.setdefault(urn, (project, place))
                if before is not place:
                    raise ValueError(f"{place}: {urn} must be listed once; see {before}")
                project.urns.append(urn)

    def _project(self, entry: _Entry, project_id: str | None, name: str | None) -> _Project:
        """Return the project with this id and name, which may be a new one."""
        by_id, by_name = self._by_id.get(project_id or ""), self._by_name.get(name or "")
        project = by_id or by_name
        if project is None:
            project = _Project(place=entry.place)
            self._all.append(project)
        ids, names = {project_id, project.id} - {None, DEFAULT_PROJECT}, {name, project.name}
        if len(ids) > 1 or len(names - {None}) > 1 or by_name not in {None, project}:
            raise entry.error(_conflict(entry, project_id, name, project, by_name))
        if project_id is not None:
            self._by_id[project_id] = project
            if project.id in {None, DEFAULT_PROJECT}:
                project.id = project_id
        if name is not None:
            self._by_name[name] = project
            project.name = name
        return project

    def projects(self) -> tuple[AccountProject, ...]:
        default = self._by_id.get(DEFAULT_PROJECT)
        return tuple(
            AccountProject(
                id=project.id,
                name=project.name,
                is_default=project is default,
                attributes=project.attributes,
                urns=tuple(project.urns),
                place=project.place,
            )
            for project in self._all
        )
