"""The values in other libraries: tables, Celery's results, YAML and a Litestar handler."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import yaml
from celery import Celery
from celery.backends.base import Backend
from litestar import Litestar, get
from litestar.testing import TestClient

from digitalocean_projects import (
    URN,
    AssignmentError,
    AssignmentTimeoutError,
    Client,
    NotFoundError,
    Resource,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

DROPLET = URN("droplet", 1)


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    assert emulator.url
    with Client() as client:
        yield client


def test_set_difference(client: Client, emulator: Emulator) -> None:
    """The listed resources that are in a set of texts are not in its difference."""
    wanted = {str(urn) for urn in emulator.resources()}
    listed = {resource.urn for resource in client.projects.list_resources()}
    assert set() == listed - wanted == wanted - listed
    assert len(wanted) == len(listed & wanted) > 0


def test_json(client: Client) -> None:
    """`json.dumps` accepts URNs, and what `to_dict` returns."""
    resources = client.projects.list_resources().collect()
    assert [r.urn for r in resources] == json.loads(json.dumps([r.urn for r in resources]))
    assert [r.to_dict() for r in resources] == json.loads(
        json.dumps([resource.to_dict() for resource in resources])
    )
    assert resources[0].to_dict() == yaml.safe_load(yaml.safe_dump(resources[0].to_dict()))


def test_data_frame(client: Client, tmp_path: Path) -> None:
    """Resources become a table, which is filtered by a URN's text and saved as Parquet."""
    resources = client.projects.list_resources().collect()
    rows = [{**r.to_dict(), "type": r.type, "id": r.id} for r in resources]
    frame = pd.DataFrame(rows)
    assert len(resources) == len(frame)
    assert [resources[0].id] == list(frame[frame["urn"] == resources[0].urn]["id"])
    urns = pd.DataFrame(
        {"urn": [r.urn for r in resources], "at": [r.assigned_at for r in resources]}
    )
    assert "datetime64" in str(urns["at"].dtype)
    assert len(resources) == len(frame.merge(urns, on="urn"))
    for number, each in enumerate((frame, urns)):
        file = tmp_path / f"{number}.parquet"
        each.to_parquet(file)
        assert [r.urn for r in resources] == list(pd.read_parquet(file)["urn"])
    assert frame["type"].value_counts().sum() == len(resources)


def test_match(client: Client) -> None:
    """A `match` statement takes the URN out of a resource."""
    match client.projects.list_resources().first_page().items[0]:
        case Resource(urn):
            assert isinstance(urn, URN)


@pytest.mark.parametrize(
    "error",
    [
        AssignmentTimeoutError((DROPLET,)),
        AssignmentError(done=(), failed=(Resource(DROPLET, status="not_found"),), unknown=()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_celery(error: Exception) -> None:
    """Celery's JSON result backend restores an error with its class and attributes."""
    check_celery(error)


def test_celery_with_a_response(client: Client) -> None:
    """The error of a real response is restored, too."""
    with pytest.raises(NotFoundError) as caught:
        client.projects.get("4de7ac8b-495b-4884-9a69-1050c6793cd6")
    check_celery(caught.value)


def check_celery(error: Exception) -> None:
    backend = Backend(Celery("tests", set_as_current=False), serializer="json")
    stored = backend.encode_result(error, "FAILURE")
    meta = backend.encode({"status": "FAILURE", "result": stored})
    again: Any = backend.decode_result(meta)["result"]
    assert type(error) is type(again)
    assert (str(error), vars(error)) == (str(again), vars(again))


def test_litestar(client: Client) -> None:
    """A Litestar handler returns resources with their URNs."""
    resources = client.projects.list_resources().collect()

    def listing() -> list[Resource]:
        return resources

    def urns() -> list[URN]:
        return [resource.urn for resource in resources]

    handlers = [
        get(path, sync_to_thread=False)(function)
        for path, function in (("/", listing), ("/urns", urns))
    ]
    with TestClient(Litestar(handlers)) as http:
        assert [r.urn for r in resources] == [row["urn"] for row in http.get("/").json()]
        assert [r.urn for r in resources] == http.get("/urns").json()
