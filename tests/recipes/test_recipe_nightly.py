"""The script of README.rst that sorts Droplets by tag, with pydo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.readme import named

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

pytestmark = [pytest.mark.process, pytest.mark.slow]

# pydo has no variable for the URL, and refuses http.
BEGIN = """
import functools
import os

import pydo


class Client(pydo.Client):
    def __init__(self, token):
        super().__init__(token, endpoint=os.environ["DIGITALOCEAN_API_URL"])
        self.droplets.list = functools.partial(self.droplets.list, enforce_https=False)


pydo.Client = Client
"""


def respond(emulator: Emulator, tag: str, page: int, ids: list[str], links: object) -> None:
    """Make the emulator list the Droplets with a tag, which the Projects API doesn't have."""
    body: dict[str, Any] = {"droplets": [{"id": int(text)} for text in ids], "links": links}
    query = {"tag_name": tag, "page": str(page)}
    emulator.respond(
        200,
        body,
        when=lambda request: (
            request.path == "/v2/droplets" and query.items() <= request.query.items()
        ),
    )


def test_nightly(emulator: Emulator, script: Callable[[str], str]) -> None:
    """The script reads all pages of each tag, and assigns the Droplets that a project lacks."""
    shop = next(project.id for project in emulator.projects() if project.name == "web-shop")
    prefix = "do:droplet:"
    inside, outside = (
        [urn.removeprefix(prefix) for urn in emulator.resources(project) if prefix in urn]
        for project in (shop, "default")
    )
    respond(emulator, "shop", 1, inside[:2], {"pages": {"next": "page 2"}})
    respond(emulator, "shop", 2, outside[:3], {})
    respond(emulator, "shared", 1, outside[5:6], {})
    code = BEGIN + named("nightly.py")
    expected = "web-shop 3 added 2 kept\nfirst-project 0 added 1 kept\n"
    assert expected == script(code)
    assert {f"{prefix}{text}" for text in outside[:3]} <= set(emulator.resources(shop))
