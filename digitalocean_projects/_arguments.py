"""Arguments: the checks of the values that users pass."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from inspect import iscoroutine
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from uuid import UUID

from ._codec.enums import Environment
from ._codec.models import Project
from ._codec.urn import URN, URNLike
from ._codec.urns import checked_urns
from ._defaults import DEFAULT_PROJECT, MOST_SECONDS
from ._messages import holds_token, number_text, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ProjectLike: TypeAlias = str | UUID | Project
"""A project as an argument: its UUID, `default`, or a `Project`."""
AnyProject = TypeVar("AnyProject", bound=ProjectLike)

PROJECTS_PATH = "/v2/projects"
_has_surrogate = re.compile(r"[\ud800-\udfff]").search
# This pattern is also part of JSON Schemas, so it uses only their syntax.
PROJECT_ID_PATTERN = (
    f"^({DEFAULT_PROJECT}|[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}})$"
)
_is_project_id = re.compile(PROJECT_ID_PATTERN).fullmatch
NAME_PREFIX = "name:"
_LONGEST = {"name": 175, "description": 255, "purpose": 255}


def checked_seconds(name: str, value: float) -> float:
    """Return a number of seconds after checking it.

    Raises:
        TypeError: `value` is not a number.
        ValueError: `value` is not positive, or is more than 10^9.
    """
    _check_number(name, value)
    if not 0 < value <= MOST_SECONDS:
        raise ValueError(
            f"{name} must be positive and at most {MOST_SECONDS:.0e}, got {number_text(value)}"
        )
    return value


def checked_wait(name: str, value: float) -> float:
    """Return a number of seconds, which may be 0, after checking it.

    Raises:
        TypeError: `value` is not a number.
        ValueError: `value` is negative, not finite, or more than 10^9.
    """
    _check_number(name, value)
    if not 0 <= value <= MOST_SECONDS:
        raise ValueError(
            f"{name} must be between 0 and {MOST_SECONDS:.0e}, got {number_text(value)}"
        )
    return value


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "pass total_seconds()" if isinstance(value, timedelta) else "pass a float, like 30.0"
        raise TypeError(f"{name} must be a number of seconds, {_got(value, hint)}")


def checked_type(name: str, value: T, expected: type | tuple[type, ...], *, hint: str = "") -> T:
    """Return a value after checking its type.

    Args:
        name: The name of the argument.
        value: Its value.
        expected: The type or types that the value may have.
        hint: The value to pass instead, in words.

    Raises:
        TypeError: `value` has another type.
    """
    if not isinstance(value, expected):
        classes = expected if isinstance(expected, tuple) else (expected,)
        wanted = " or ".join(map(_with_article, classes))
        raise TypeError(f"{name} must be {wanted}, {_got(value, hint and f'pass {hint}')}")
    return value


def _got(value: object, hint: str = "") -> str:
    """Return the end of a message on a value of a wrong type: the type, and a hint."""
    if iscoroutine(value):
        hint = "did you forget await?"
    return f"got {type(value).__name__}{hint and f'; {hint}'}"


def _with_article(cls: type) -> str:
    if cls is NoneType:
        return "None"
    name = "string" if cls is str else cls.__name__
    is_vowel = name.startswith(("SSL", *"AEIOUaeiou")) and name != "URN"
    return f"{'an' if is_vowel else 'a'} {name}"


def checked_count(name: str, value: int, most: int | None = None) -> int:
    """Return a whole number after checking that it is at least 1, and at most `most`.

    Raises:
        TypeError: `value` is not an int.
        ValueError: `value` is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, {_got(value)}")
    if value < 1 or (most is not None and value > most):
        wanted = f"between 1 and {most}" if most else "at least 1"
        raise ValueError(f"{name} must be {wanted}, got {number_text(value)}")
    return value


def is_project_id(text: str) -> bool:
    """Return True if the text is a UUID or `default`."""
    return _is_project_id(text) is not None


def project_path(project: ProjectLike) -> str:
    """Return the path of a project.

    Raises:
        TypeError: `project` has another type than annotated.
        ValueError: `project` is a text that is neither `default` nor a UUID.
    """
    value = project.id if isinstance(project, Project) else project
    if not isinstance(value, (str, UUID)):
        raise TypeError(f"{_PROJECT}, {_got(value, _project_type_hint(value))}")
    text = str(value)
    if not is_project_id(text):
        if isinstance(project, Project):
            raise ValueError(
                f"{_PROJECT}, got a Project with the id {quoted(text)}; get one with "
                "projects.find() or projects.list()"
            )
        raise ValueError(f"{_PROJECT}, got {quoted(text)}{_project_hint(text)}")
    return f"{PROJECTS_PATH}/{text.lower()}"


def checked_projects(projects: Iterable[ProjectLike]) -> list[ProjectLike]:
    """Return the projects of a list, each once.

    Raises:
        TypeError: `projects` is not an iterable of several, or a project has another type.
        ValueError: A project is a text that is neither `default` nor a UUID, or a `Project` whose
            id is not a UUID.
    """
    if isinstance(projects, str) or not isinstance(projects, Iterable):
        raise TypeError(
            f"projects must be a list of projects, {_got(projects)}; "
            "put a single project into a list"
        )
    found = {project_path(project): project for project in projects}
    for project in found.values():
        if isinstance(project, Project) and project.id == DEFAULT_PROJECT:
            raise ValueError(
                f"{_PROJECT}, got a Project with the id {DEFAULT_PROJECT!r}; "
                f"pass {DEFAULT_PROJECT!r}"
            )
    return list(found.values())


_PROJECT = f"project must be a UUID, {DEFAULT_PROJECT!r} or a Project"


def _project_type_hint(value: object) -> str:
    """Return the likely mistake in a value of another type than that of a project."""
    if isinstance(value, Mapping):
        return "pass its id" if "id" in value else ""
    return "pass the project first, and then the resources" if isinstance(value, Iterable) else ""


def _project_hint(text: str) -> str:
    """Return the likely mistake in a text that is neither a UUID nor `default`."""
    inner = text.strip().lower()
    if not inner:
        return ""
    if inner.startswith("do:"):
        return "; that names a resource: pass the project first, and then the resources"
    if inner == DEFAULT_PROJECT:
        return f"; write {DEFAULT_PROJECT!r}"
    with suppress(ValueError):
        return f"; write {str(UUID(inner))!r}"
    return f"; look it up with projects.find({quoted(text)})"


def name_of(project: ProjectLike) -> str | None:
    """Return the name of a project that is given by its name; None if it is given by its id.

    A text is a name unless it is `default` or a UUID. Text after `name:` is always a name.

    Raises:
        TypeError: `project` has another type than annotated.
        ValueError: No project can have the name, or the id.
    """
    if isinstance(project, Project) or not isinstance(project, str) or is_project_id(project):
        project_path(project)
        return None
    name = project.removeprefix(NAME_PREFIX)
    if name == project and name.strip().lower() == DEFAULT_PROJECT:
        raise ValueError(
            f"project must be a UUID, a name, {DEFAULT_PROJECT!r} or a Project, got "
            f"{quoted(name)}; write {DEFAULT_PROJECT!r}, or {NAME_PREFIX + name!r} for its name"
        )
    if name.startswith("do:") and name == project:
        raise ValueError(
            f"project must be a UUID, a name, {DEFAULT_PROJECT!r} or a Project, "
            f"got {quoted(name)}; that names a resource: map each project to its resources"
        )
    settable(name=name)
    return name


def urns_by_project(
    wanted: Mapping[AnyProject, Iterable[URNLike]],
) -> dict[AnyProject, list[URN]]:
    """Return the URNs that each project must hold, after checking them.

    Raises:
        TypeError: `wanted` is no mapping, or a key or a value in it has another type.
        ValueError: A key or a URN is invalid, or a resource is wanted twice.
    """
    if not isinstance(wanted, Mapping):
        raise TypeError(f"wanted must be a mapping of projects to their URNs, {_got(wanted)}")
    urns: dict[AnyProject, list[URN]] = {}
    places: dict[URN, str] = {}
    for project, resources in wanted.items():
        name_of(project)
        place = quoted(project.name if isinstance(project, Project) else str(project))
        urns[project] = checked_urns(resources, f"wanted[{place}]")
        for urn in (urn.canonical for urn in urns[project]):
            if urn in places:
                first = places[urn]
                where = f"twice in {place}" if first == place else f"in {first} and in {place}"
                raise ValueError(
                    f"wanted must have each resource once, got {urn} {where}; remove one of them"
                )
            places[urn] = place
    return urns


def settable(**members: object) -> dict[str, object]:
    """Return the checked attributes of a project, as the API spells them.

    Raises:
        TypeError: An attribute has the wrong type.
        ValueError: The name is empty, a text is too long or contains an API token, or the
            environment is unknown.
    """
    return {name: _CHECKS[name](name, value) for name, value in members.items()}


def creatable(*, purpose: str, **members: object) -> dict[str, object]:
    """Return the checked attributes of a project to create, as the API spells them.

    Raises:
        TypeError: An attribute has the wrong type.
        ValueError: As in `settable`, or the purpose is empty.
    """
    checked = settable(purpose=purpose, **members)
    if not purpose:
        raise ValueError("purpose must have 1 to 255 characters, got 0")
    return checked


def _checked_text(name: str, value: str) -> str:
    text = checked_type(name, value, str)
    # The API puts this prefix before a purpose that it doesn't know, so a listed one may have it.
    length = len(text.removeprefix("Other: "))
    least, most = int(name == "name"), _LONGEST[name]
    if not least <= length <= most:
        raise ValueError(f"{name} must have {least} to {most} characters, got {length}")
    if holds_token(text):
        raise ValueError(f"{name} must not contain an API token")
    if _has_surrogate(text):
        raise ValueError(f"{name} must be valid Unicode text, got a lone surrogate")
    return str.__str__(text)


def _checked_environment(name: str, value: str) -> str:
    environment = checked_type(name, value, str)
    if not environment:
        # The API returns "" for a project that was created without an environment.
        return ""
    with suppress(ValueError):
        return Environment(environment.capitalize())
    # Outside the block, since the error in it repeats the text, which may be a token.
    *others, last = Environment
    raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {quoted(environment)}")


_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "name": _checked_text,
    "description": _checked_text,
    "purpose": _checked_text,
    "environment": _checked_environment,
    "is_default": lambda name, value: checked_type(name, value, bool),
}
