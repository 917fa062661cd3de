"""Applications: clients for existing ones, reasons for a missing client, the OpenAPI document."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient

from digitalocean_projects import AsyncClient, ClientUsageError, NotFoundError, Resource
from digitalocean_projects.contrib.fastapi import (
    AsyncClientDep,
    JSONLinesResponse,
    add_clients,
    client_lifespan,
    exception_handlers,
    problem_responses,
)
from digitalocean_projects.testing import Emulator
from tests.contrib.serving import example

PROBLEM = "application/problem+json"


def with_endpoint(app: FastAPI) -> FastAPI:
    @app.get("/")
    async def name(client: AsyncClientDep) -> str:
        return (await client.projects.get_default()).name

    return app


@asynccontextmanager
async def unrelated(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {"mine": 5}


@asynccontextmanager
async def forgetful(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with client_lifespan()(app):
        yield {"mine": 5}


def not_run() -> TestClient:
    return TestClient(with_endpoint(FastAPI(lifespan=client_lifespan())))


def mounted() -> TestClient:
    app = FastAPI()
    app.mount("/sub", with_endpoint(FastAPI(lifespan=client_lifespan())))
    return TestClient(app, root_path="", base_url="http://testserver/sub")


REASONS: dict[str, Callable[[], TestClient]] = {
    "the application has no lifespan, so its state has no client; use FastAPI(lifespan=": (
        lambda: TestClient(with_endpoint(FastAPI()))
    ),
    "the application's lifespan has not run or has not entered client_lifespan(), so its": not_run,
    "the application's lifespan has not run or has not entered client_lifespan(), ": (
        lambda: TestClient(with_endpoint(FastAPI(lifespan=unrelated)))
    ),
    "the application's lifespan has entered client_lifespan(), but its state has no client; ": (
        lambda: TestClient(with_endpoint(FastAPI(lifespan=forgetful)))
    ),
    "the application is mounted, so its own lifespan doesn't run, and the state has no ": mounted,
}


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("reason", REASONS)
def test_no_client(reason: str) -> None:
    """An application without a client says why it has none."""
    browser = REASONS[reason]()
    if REASONS[reason] is not not_run:
        with browser, pytest.raises(ClientUsageError) as caught:
            browser.get("/")
    else:
        with pytest.raises(ClientUsageError) as caught:
            browser.get("/")
    assert str(caught.value).startswith(reason)


@pytest.mark.usefixtures("account")
def test_existing_application() -> None:
    """The lifespan, handlers and responses of the application stay."""

    async def handle(_: Request, __: Exception) -> Response:
        return Response("mine", 418)

    described: dict[int | str, dict[str, Any]] = {502: {"description": "mine"}}
    app = FastAPI(
        lifespan=unrelated, exception_handlers={NotFoundError: handle}, responses=described
    )
    add_clients(app)
    with pytest.raises(ClientUsageError, match="must be called once for an application"):
        add_clients(app)

    @app.get("/")
    async def endpoint(client: AsyncClientDep, request: Request) -> str:
        return f"{request.state.mine} {(await client.projects.get_default()).name}"

    @app.get("/missing")
    async def missing(client: AsyncClientDep) -> None:
        await client.projects.get("00000000-0000-4000-8000-000000000000")

    @app.get("/name")
    async def find(client: AsyncClientDep) -> None:
        await client.projects.find("x")

    with TestClient(app) as browser:
        assert "5 first-project" == browser.get("/").json()
        assert (418, "mine") == (browser.get("/missing").status_code, browser.get("/missing").text)
        assert PROBLEM == browser.get("/name").headers["content-type"]
        responses = browser.get("/openapi.json").json()["paths"]["/"]["get"]["responses"]
        assert {"description": "mine"} == responses["502"]
        assert [PROBLEM] == list(responses["503"]["content"])
        with pytest.raises(ClientUsageError, match="must be called before the application starts"):
            add_clients(app)
    wrong: Any = app.router
    with pytest.raises(TypeError, match="app must be a FastAPI, got APIRouter"):
        add_clients(wrong)


@pytest.fixture
def document(account: Emulator) -> Iterator[dict[str, Any]]:
    """Return the OpenAPI document of the guide's application."""
    del account
    with TestClient(example()["app"]) as browser:
        yield browser.get("/openapi.json").json()


def test_documented_errors(document: dict[str, Any]) -> None:
    """Each operation has the problem documents, and keeps FastAPI's own 422."""
    for path in document["paths"].values():
        for operation in path.values():
            assert {str(status) for status in problem_responses} < set(operation["responses"])
    responses = document["paths"]["/projects/{project_id}/newest"]["get"]["responses"]
    assert [PROBLEM, "application/json"] == list(responses["422"]["content"])
    assert {"description": "Bad Gateway"}.items() < responses["502"].items()
    properties = responses["502"]["content"][PROBLEM]["schema"]["properties"]
    assert {"type", "title", "status", "detail", "failed", "missing"} < set(properties)
    assert ["400", "401", "403", "404", "409", "412", "422", "500", "502", "503", "504"] == sorted(
        set(responses) - {"200"}
    )


def test_documented_stream(document: dict[str, Any]) -> None:
    """The description of a stream has the type of a line, without references."""
    responses = document["paths"]["/projects/{project_id}/resources"]["get"]["responses"]
    schema = responses["200"]["content"]["application/jsonl"]["itemSchema"]
    assert {"urn", "assigned_at", "links", "status"} == set(schema["properties"])
    assert "$ref" not in str(schema)
    wrong: Any = int
    with pytest.raises(TypeError, match="item must be Resource or Project, got <class 'int'>"):
        JSONLinesResponse.responses(wrong)
    assert ["application/jsonl"] == list(JSONLinesResponse.responses(Resource)[200]["content"])


@pytest.mark.usefixtures("account")
def test_reason_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With the handlers, the reason is in the log, and not in the response."""
    app = with_endpoint(FastAPI(exception_handlers=exception_handlers))
    with TestClient(app) as browser, caplog.at_level(logging.WARNING):
        answer = browser.get("/")
    assert (500, {"type", "title", "status"}) == (answer.status_code, set(answer.json()))
    assert "the application has no lifespan" in caplog.text


def test_unused_client() -> None:
    """A client that is made, and never used, needs no account."""
    app = FastAPI()
    add_clients(app, lambda: AsyncClient("unused"), waiting_threads=1)
    with TestClient(app) as browser:
        assert 404 == browser.get("/").status_code
