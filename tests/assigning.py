"""Assignments in tests: the requests that arrived, and the outcomes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AssignmentError, AssignmentResult
    from digitalocean_projects.testing import Emulator, RecordedRequest

BUSY = {"id": "forbidden", "message": "can't be updated while it processes previous actions"}


def droplets(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def asked(request: RecordedRequest) -> list[str]:
    return json.loads(request.body)["resources"] if request.method == "POST" else []


def sent(emulator: Emulator) -> list[list[str]]:
    return [urns for request in emulator.requests if (urns := asked(request))]


def holds(*numbers: int) -> Callable[[RecordedRequest], bool]:
    """Return a filter of the assignments of one of these Droplets."""
    return lambda request: not set(droplets(*numbers)).isdisjoint(asked(request))


def outcome(result: AssignmentResult | AssignmentError) -> tuple[list[str], ...]:
    """Return the URNs in `done`, `failed`, `unknown` and `untouched`."""
    known = [[str(resource.urn) for resource in some] for some in (result.done, result.failed)]
    return *known, list(map(str, result.unknown)), list(map(str, result.untouched))
