"""File: the text of an account, as JSON lines, and its reader."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs

from ._token import check_token, checked_scopes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._account import Contents

_find_object = re.compile(r"[^ \t\r\n]").search


class _RepeatedError(ValueError):
    """A member that an object has twice."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        repeated, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _RepeatedError(f"the member {repeated!r:.60} must be given once")
    return members


_decode = json.JSONDecoder(object_pairs_hook=_members).raw_decode


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
        token: The account's own token.
        tokens: The account's further tokens and their scopes; None allows everything.
        entries: The projects and the resources.
    """

    token: str
    tokens: dict[str, frozenset[str] | None] = attrs.field(factory=dict)
    entries: list[Entry] = attrs.field(factory=list)


def read(text: str, token: str) -> list[Section]:
    """Return the sections of a file, of which there is at least one.

    Args:
        text: The text of the file.
        token: The own token of the first section's account.

    Raises:
        ValueError: The text is not JSON, or an object is not one of the file's.
    """
    sections = [Section(token)]
    for entry in _entries(text):
        kind = entry.members.get("kind")
        if kind == "account":
            sections.append(Section(_token(entry)))
        elif kind == "token":
            added = _token(entry)
            if added == sections[-1].token or added in sections[-1].tokens:
                raise entry.error("token must differ from the account's other tokens")
            sections[-1].tokens[added] = _scopes(entry)
        elif kind == "project" or (kind is None and not {"urn", "name"}.isdisjoint(entry.members)):
            sections[-1].entries.append(entry)
        else:
            raise entry.error("expected a project, or a resource with a urn")
    return sections


def _entries(text: str) -> Iterator[Entry]:
    """Yield the objects of a text that is any sequence of objects and of arrays of objects."""
    position, line = 0, 1
    while True:
        if (first := _find_object(text, position)) is None:
            return
        line += text.count("\n", position, first.start())
        position = first.start()
        try:
            value, end = _decode(text, position)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {error.lineno}: invalid JSON ({error.msg})") from None
        except _RepeatedError as error:
            raise ValueError(f"line {line}: {error}") from None
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


def _token(entry: Entry) -> str:
    if (token := entry.text("token")) is None:
        raise entry.error("token must be given")
    try:
        check_token(token)
    except ValueError as error:
        raise entry.error(error) from None
    return token


def _scopes(entry: Entry) -> frozenset[str] | None:
    match entry.members.get("scopes"):
        case None:
            return None
        case [*scopes] if all(isinstance(scope, str) for scope in scopes):
            try:
                return checked_scopes(scopes)
            except ValueError as error:
                raise entry.error(error) from None
        case _:
            raise entry.error("scopes must be a list of strings, or null for every scope")
