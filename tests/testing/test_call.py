"""Pages, whatever they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    from .conftest import Call

DEFAULT = "/v2/projects/default/resources"


def droplets(*numbers: int) -> list[str]:
    return [f"do:droplet:{number}" for number in numbers]


def urns(document: Any) -> list[str]:
    return [resource["urn"] for resource in document["resources"]]


@pytest.mark.parametrize(
    ("page", "expected", "links"),
    [
        (1, [1, 2], {"first": 1, "last": 3, "next": 2}),
        (2, [3, 4], {"first": 1, "last": 3, "next": 3, "prev": 1}),
        (3, [5], {"first": 1, "last": 3, "prev": 2}),
        (4, [], {"first": 1, "last": 3, "prev": 3}),
        (5, [], {"first": 1, "last": 3}),
        (999_999_999_999_999_999, [], {"first": 1, "last": 3}),
    ],
)
def test_pages(
    emulator: Emulator, call: Call, page: int, expected: list[int], links: dict[str, int]
) -> None:
    """`first` and `last` are on every page, `next` and `prev` only where there is such a page."""
    project_id = emulator.seed(droplets(1, 2, 3, 4, 5))
    path = f"/v2/projects/{project_id}/resources"
    document = call("GET", f"{path}?page={page}&per_page=2").document
    assert droplets(*expected) == urns(document)
    assert 5 == document["meta"]["total"]
    assert {
        name: f"{emulator.url}{path}?page={number}&per_page=2" for name, number in links.items()
    } == document["links"]["pages"]


def test_page_size(emulator: Emulator, call: Call) -> None:
    """A page has 20 resources if nothing else is asked for, and at most 200."""
    emulator.seed(droplets(*range(300)), default=True)
    assert (20, 200, 1) == (
        len(call("GET", DEFAULT).document["resources"]),
        len(call("GET", f"{DEFAULT}?per_page=200").document["resources"]),
        len(call("GET", f"{DEFAULT}?per_page=1").document["resources"]),
    )


@pytest.mark.parametrize(
    "query",
    [
        *("page=0", "page=-1", "page=", "page=x", "page=1.0", "page=1e3", "page=%2B1", "page=1_0"),
        *("page=%201", "page=%D9%A1", "page=%ff", f"page={'9' * 5000}"),
        *("per_page=0", "per_page=201", "per_page=-5", "per_page=all"),
    ],
)
@pytest.mark.parametrize("path", [DEFAULT, "/v2/projects"])
def test_wrong_page(call: Call, path: str, query: str) -> None:
    """A page number or size out of bounds is refused."""
    reply = call("GET", f"{path}?{query}")
    assert (400, "bad_request") == (reply.status, reply.document["id"])
