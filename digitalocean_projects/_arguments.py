"""Arguments: checks of the values that users pass."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from uuid import UUID

from ._codec.models import Environment, Project
from ._messages import holds_token, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ProjectLike: TypeAlias = str | UUID | Project
"""A project as an argument: its UUID, `default`, or a `Project`."""

DEFAULT_PROJECT = "default"
"""The text that names the default project."""
MOST_SECONDS = 1e9
PROJECTS_PATH = "/v2/projects"
_has_surrogate = re.compile(r"[\ud800-\udfff]").search
# As JSON Schema's regular expressions have it, too.
PROJECT_ID_PATTERN = (
    f"^({DEFAULT_PROJECT}|[0-9a-fA-F]{{8}}(-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}})$"
)
_is_project_id = re.compile(PROJECT_ID_PATTERN).fullmatch
_LONGEST = {"name": 175, "description": 255, "purpose": 255}


def checked_seconds(name: str, value: float) -> float:
    """A time-out.

    Raises:
        TypeError: It is no number.
        ValueError: It isn't positive and finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is a number of seconds, not {type(value).__name__}")
    if not 0 < value <= MOST_SECONDS:
        raise ValueError(f"{name} is more than 0 and at most {MOST_SECONDS:.0e}, not {value}")
    return value


def checked_wait(name: str, value: float) -> float:
    """A time to wait, which may be none.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative, or not finite.
    """
    return 0.0 if value == 0 and value is not False else checked_seconds(name, value)


def checked_type(name: str, value: T, expected: type | tuple[type, ...]) -> T:
    """A value of the right type.

    Raises:
        TypeError: It is of another one.
    """
    if not isinstance(value, expected):
        names = expected if isinstance(expected, tuple) else (expected,)
        wanted = " or ".join(cls.__name__.removesuffix("Type") for cls in names)
        raise TypeError(f"{name} is a {wanted}, not {type(value).__name__}")
    return value


def checked_count(name: str, value: int, most: int | None = None) -> int:
    """A whole number from 1, to `most` if there is one.

    Raises:
        TypeError: It is no int.
        ValueError: It isn't in the range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an int, not {type(value).__name__}")
    if value < 1 or (most is not None and value > most):
        raise ValueError(
            f"{name} is at least 1{f' and at most {most}' if most else ''}, not {value}"
        )
    return value


def is_project_id(text: str) -> bool:
    """Return whether the text is a UUID or `default`."""
    return _is_project_id(text) is not None


def project_path(project: ProjectLike) -> str:
    """Return the path of a project.

    Raises:
        TypeError: `project` is of another type than annotated.
        ValueError: `project` is a text that is neither `default` nor a UUID.
    """
    if isinstance(project, Project):
        project = project.id
    if not isinstance(project, str | UUID):
        raise TypeError(
            f"project must be a UUID, {DEFAULT_PROJECT!r} or a Project, "
            f"got {type(project).__name__}"
        )
    text = str(project)
    if not is_project_id(text):
        raise ValueError(
            f"project must be a UUID, {DEFAULT_PROJECT!r} or a Project, got {quoted(text)}; "
            "look up a name with projects.find()"
        )
    return f"{PROJECTS_PATH}/{text.lower()}"


def settable(**members: object) -> dict[str, object]:
    """Return the checked members of a project, spelled as in the API.

    Raises:
        TypeError: Something is of another type than it should be.
        ValueError: The name is empty, a text is too long or holds an API token, or the environment
            is none of the three.
    """
    return {name: _CHECKS[name](name, value) for name, value in members.items()}


def _checked_text(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{name} is a str, not {type(text).__name__}")
    # What the API has put before a purpose of one's own comes back to it.
    length = len(text.removeprefix("Other: "))
    if length > _LONGEST[name]:
        raise ValueError(f"{name} has at most {_LONGEST[name]} characters, not {length}")
    if not text and name == "name":
        raise ValueError(f"{name} is empty")
    if holds_token(text):
        raise ValueError(f"{name} must not contain an API token")
    if _has_surrogate(text):
        raise ValueError(f"{name} holds lone surrogates, which are no text")
    return str.__str__(text)


def _checked_environment(name: str, environment: object) -> str:
    if not isinstance(environment, str):
        raise TypeError(f"{name} is a str, not {type(environment).__name__}")
    if not environment:
        # As a project has it that was made without one.
        return ""
    with suppress(ValueError):
        return Environment(environment.capitalize())
    # Outside the block, since the error in it repeats the text, which may be a token.
    raise ValueError(f"{name} is one of {', '.join(Environment)}, not {quoted(environment)}")


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "name": _checked_text,
    "description": _checked_text,
    "purpose": _checked_text,
    "environment": _checked_environment,
    "is_default": lambda name, value: checked_type(name, value, bool),
}
