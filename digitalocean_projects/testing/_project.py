"""StoredProject: a project as an account keeps it."""

from __future__ import annotations

import re

import attrs

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
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    return value


def _text(name: str, value: str, *, least: int = 0, most: int = 255) -> str:
    if not least <= len(_string(name, value)) <= most or _has_surrogate(value):
        raise ValueError(f"{name} must be {least} to {most} characters of text")
    return value


def _name(value: str) -> str:
    return _text("name", value, least=1, most=175)


def _description(value: str) -> str:
    return _text("description", value)


def _purpose(value: str) -> str:
    if _string("purpose", value) in _PURPOSES:
        return value
    # What was answered may be sent back, though the prefix makes it longer.
    return _OTHER + _text("purpose", value.removeprefix(_OTHER))


def _environment(value: str) -> str:
    environment = _ENVIRONMENTS.get(_string("environment", value).lower())
    if environment is None:
        raise ValueError("environment must be Development, Staging or Production")
    return environment


def _flag(value: bool) -> bool:  # noqa: FBT001 - attrs calls it
    if not isinstance(value, bool):
        raise TypeError(f"is_default must be a boolean, not {type(value).__name__}")
    return value


@attrs.frozen(kw_only=True)
class StoredProject:
    """A project as the API answers it, but for its owner.

    Attributes:
        id: Its UUID.
        name: 1 to 175 characters.
        description: At most 255 characters.
        purpose: One of those that the API names, or `Other: ` before at most 255 characters.
        environment: `Development`, `Staging`, `Production` or empty; given in any case.
        is_default: Whether it is the default project.
        created_at: When it was made, as text.
        updated_at: When it was changed last, as text.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: An attribute is too long, too short, or none that the API knows.
    """

    id: str
    name: str = attrs.field(converter=_name)
    description: str = attrs.field(default="", converter=_description)
    purpose: str = attrs.field(default="", converter=_purpose)
    environment: str = attrs.field(default="", converter=_environment)
    is_default: bool = attrs.field(default=False, converter=_flag)
    created_at: str
    updated_at: str
