"""Projects as values."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from digitalocean_projects.testing import StoredProject

DOCUMENTED_PURPOSES = [
    *("Just trying out DigitalOcean", "Class project / Educational purposes"),
    *("Website or blog", "Web Application", "Service or API", "Mobile Application"),
    *("Machine learning / AI / Data processing", "IoT", "Operational / Developer tooling"),
]


def project(**attributes: Any) -> StoredProject:
    attributes = {"name": "web", **attributes}
    return StoredProject(id="", created_at="", updated_at="", **attributes)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(("purpose", purpose, purpose) for purpose in [*DOCUMENTED_PURPOSES, ""]),
        ("purpose", "service or api", "Other: service or api"),
        ("purpose", "Other: x", "Other: x"),
        ("purpose", "Other: ", "Other: "),
        ("purpose", "x" * 255, "Other: " + "x" * 255),
        ("purpose", "Other: " + "x" * 255, "Other: " + "x" * 255),
        ("environment", "STAGING", "Staging"),
        ("environment", "production", "Production"),
        ("environment", "Development", "Development"),
        ("environment", "", ""),
        *(("name", text, text) for text in ("x", " ", "x" * 175, "\U0001f600" * 175)),
        *(("description", text, text) for text in ("", "x" * 255)),
    ],
)
def test_attribute(name: str, value: str, expected: str) -> None:
    """A purpose of one's own is marked as such once, and an environment is spelt in one way."""
    assert expected == getattr(project(**{name: value}), name)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", "", "name must be 1 to 175 characters of text"),
        ("name", "x" * 176, "name must be 1 to 175 characters of text"),
        ("name", "\ud800", "name must be 1 to 175 characters of text"),
        ("description", "x" * 256, "description must be 0 to 255 characters of text"),
        ("purpose", "x" * 256, "purpose must be 0 to 255 characters of text"),
        ("purpose", "Other: " + "x" * 256, "purpose must be 0 to 255 characters of text"),
        ("environment", "Test", "environment must be Development, Staging or Production"),
        ("environment", " Staging", "environment must be Development, Staging or Production"),
    ],
)
def test_wrong_value(name: str, value: str, message: str) -> None:
    """What the API doesn't allow is refused."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        project(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(
            (name, value, f"{name} must be a string, not {type(value).__name__}")
            for name in ("name", "description", "purpose", "environment")
            for value in (5, True, None, ["x"], {"x": 1})
        ),
        *(
            ("is_default", value, f"is_default must be a boolean, not {type(value).__name__}")
            for value in (0, "true", None)
        ),
    ],
)
def test_wrong_type(name: str, value: object, message: str) -> None:
    """What is of another type is refused."""
    with pytest.raises(TypeError, match=f"^{message}$"):
        project(**{name: value})


def test_frozen() -> None:
    """A project is a value."""
    assert project(environment="staging") == project(environment="Staging")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        project().name = "shop"  # type: ignore[misc] # what is tested
