"""StoredProject: a project of the emulator."""

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
_match_other = re.compile("(?:other: *)+(.?)", re.IGNORECASE | re.DOTALL).match
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


def answered_purpose(text: str) -> str:
    """Return a purpose with one prefix `Other: `, if it has one, and a capital after it."""
    found = _match_other(text)
    return text if found is None else f"{_OTHER}{found[1].upper()}{text[found.end() :]}"


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
