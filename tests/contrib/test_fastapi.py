"""The endpoints of a FastAPI application on a real server, with the emulator as the API."""

import json
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any
from uuid import UUID, uuid4

import attrs
import httpx2
import pytest
from fastapi import (
    Body,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Request,
    Response,
    WebSocket,
)
from fastapi.testclient import TestClient

from digitalocean_projects import (
    URN,
    AsyncClient,
    Client,
    ClientUsageError,
    NotFoundError,
    Page,
    Project,
    Resource,
)
from digitalocean_projects._codec.json import encode
from digitalocean_projects.contrib.fastapi import (
    AsyncClientDep,
    ClientDep,
    TenantClientDep,
    async_client_for,
    client_for,
    client_lifespan,
    exception_handlers,
)
from digitalocean_projects.testing import Emulator
from tests.contrib.serving import example, serve
from tests.exposure import exposed

URNS = ["do:droplet:1", "do:domain:example.com", "do:volume:3"]
ALLOWED = {"project:read", "project:update", "droplet:read"}


@pytest.fixture
def project_id(account: Emulator) -> str:
    return account.seed(URNS, name="web")


@pytest.fixture
def browser(account: Emulator) -> Iterator[httpx2.Client]:
    """Yield a client of the guide's application, which uses the account."""
    assert [] == account.requests
    with serve(example()["app"]) as browser:
        yield browser


def test_projects(browser: httpx2.Client, account: Emulator, project_id: str) -> None:
    """A list of projects has the JSON of the API."""
    answer = browser.get("/projects")
    assert 200 == answer.status_code
    assert [project_id, account.default_project_id] == [item["id"] for item in answer.json()]
    with Client() as client:
        assert json.loads(encode(client.projects.list().collect())) == answer.json()


def test_page(browser: httpx2.Client, project_id: str) -> None:
    """A page has items, number and total."""
    page = browser.get(f"/projects/{project_id}/newest").json()
    assert (URNS, 1, 3) == ([item["urn"] for item in page["items"]], page["number"], page["total"])


def test_stream(browser: httpx2.Client, project_id: str) -> None:
    """A stream has one line for each resource."""
    answer = browser.get(f"/projects/{project_id}/resources")
    assert "application/jsonl" == answer.headers["content-type"]
    assert URNS == [json.loads(line)["urn"] for line in answer.text.splitlines()]


def test_assign_with_the_callers_token(
    browser: httpx2.Client, account: Emulator, project_id: str
) -> None:
    """The bearer token of the request is sent to the API."""
    token = account.add_token(ALLOWED)
    answer = browser.put(
        "/projects/default/resources/do:droplet:1", headers={"Authorization": f"Bearer {token}"}
    )
    assert (200, "assigned") == (answer.status_code, answer.json()["status"])
    assert f"Bearer {token}" == account.requests[-1].headers["Authorization"]
    assert URNS[1:] == account.resources(project_id)


@pytest.mark.parametrize(
    "authorization", [None, "Basic abc", "Bearer a b", "Bearer dor_v1_abc", "Bearer unknown"]
)
def test_bad_callers_token(browser: httpx2.Client, authorization: str | None) -> None:
    """A missing, malformed or unknown token of the caller is a 401."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = browser.put("/projects/default/resources/do:droplet:1", headers=headers)
    assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])
    assert "abc" not in answer.text


def test_callers_scopes(browser: httpx2.Client, account: Emulator) -> None:
    """A token of the caller that lacks a scope is a 403."""
    headers = {"Authorization": f"Bearer {account.add_token(['project:read'])}"}
    answer = browser.put("/projects/default/resources/do:droplet:1", headers=headers)
    assert 403 == answer.status_code


def test_def_endpoint(browser: httpx2.Client, account: Emulator, project_id: str) -> None:
    """A `def` endpoint receives a blocking client."""
    answer = browser.post("/projects/default/resources", json=URNS[:2])
    assert (200, URNS[:2]) == (answer.status_code, [item["urn"] for item in answer.json()])
    assert URNS[2:] == account.resources(project_id)


@pytest.mark.parametrize("project_id", ["web", "Default", f"{UUID(int=1)}x", "..%00"])
def test_bad_project_id(browser: httpx2.Client, account: Emulator, project_id: str) -> None:
    """An invalid project id is a 422, and no request is sent."""
    answer = browser.get(f"/projects/{project_id}/resources")
    assert 422 == answer.status_code
    assert [["path", "project_id"]] == [error["loc"] for error in answer.json()["detail"]]
    assert [] == account.requests


def test_bad_urns(browser: httpx2.Client, account: Emulator) -> None:
    """Each invalid URN is one error with its position, and no request is sent."""
    answer = browser.post("/projects/default/resources", json=["do:droplet:1", "x", "do:a:b", 5])
    expected = [["body", 1], ["body", 3]]
    assert expected == [error["loc"] for error in answer.json()["detail"]]
    assert [] == account.requests


def test_document(browser: httpx2.Client) -> None:
    """The OpenAPI document describes each value once."""
    document = browser.get("/openapi.json").json()
    components = document["components"]["schemas"]
    assert {"Links", "Page_Resource_", "Project", "Resource"} <= set(components)
    operation = document["paths"]["/projects/{project_id}/resources/{urn}"]["put"]
    project_id, urn = operation["parameters"]
    assert ("urn", "urn") == (urn["name"], urn["schema"]["format"])
    assert "default" in project_id["schema"]["pattern"]
    assert [{"HTTPBearer": []}] == operation["security"]
    answer = document["paths"]["/projects/{project_id}/resources"]["get"]["responses"]["200"]
    assert ["application/jsonl"] == list(answer["content"])


def test_body_and_query(account: Emulator) -> None:
    """All values are types for bodies, and a URN is one for queries, too."""
    app = FastAPI()

    @app.post("/")
    async def echo(
        urn: URN,
        page: Page[Project],
        resource: Annotated[Resource, Body()],
    ) -> tuple[URN, Page[Project], Resource]:
        return urn, page, resource

    resource = {"urn": "do:droplet:1", "status": "ok"}
    project = attrs.asdict(Project(id="1", name="a"))
    page = {"items": [project], "number": 1, "total": 1}
    with serve(app) as browser:
        url = "/?urn=do:volume:2"
        answer = browser.post(url, json={"page": page, "resource": resource}).json()
        assert ["do:volume:2", page, resource] == answer
        bad = browser.post("/?urn=volume", json={"page": page, "resource": {}}).json()
    assert [["query", "urn"], ["body", "resource", "urn"]] == [e["loc"] for e in bad["detail"]]
    assert [] == account.requests


def test_token_from_elsewhere(account: Emulator) -> None:
    """A custom dependency provides the token, and the service is responsible for it."""
    tokens = {"acme": account.token, "gone": "dop_v1_gone", "none": ""}

    def token_of(tenant: Annotated[str, Header()]) -> str:
        return tokens[tenant]

    app = FastAPI(lifespan=client_lifespan(), exception_handlers=exception_handlers)

    @app.get("/async")
    async def count(client: Annotated[AsyncClient, Depends(async_client_for(token_of))]) -> int:
        return len(await client.projects.list().collect())

    @app.get("/blocking")
    def count_blocking(client: Annotated[Client, Depends(client_for(token_of))]) -> int:
        return len(client.projects.list().collect())

    with serve(app) as browser:
        for path in ("/async", "/blocking"):
            answers = [browser.get(path, headers={"tenant": tenant}) for tenant in tokens]
            assert [200, 502, 500] == [answer.status_code for answer in answers]
            assert 1 == answers[0].json()


def test_blocking_tenant(account: Emulator) -> None:
    """A `def` endpoint can use the caller's token, too."""
    app = FastAPI(lifespan=client_lifespan(), exception_handlers=exception_handlers)

    @app.get("/")
    def count(client: TenantClientDep) -> int:
        return len(client.projects.list().collect())

    with serve(app) as browser:
        good = browser.get("/", headers={"Authorization": f"Bearer {account.token}"})
        assert (200, 1) == (good.status_code, good.json())
        assert 401 == browser.get("/", headers={"Authorization": "Bearer wrong"}).status_code


@pytest.mark.usefixtures("account")
def test_clients_live_as_long_as_the_application() -> None:
    """Each client is created once, and closed when the application stops."""
    made: list[AsyncClient | Client] = []

    def make(kind: type[Any]) -> Any:
        made.append(kind())
        return made[-1]

    app = FastAPI(lifespan=client_lifespan(partial(make, AsyncClient), partial(make, Client)))

    @app.get("/")
    async def both(awaited: AsyncClientDep, blocking: ClientDep) -> list[bool]:
        return [awaited is made[0], blocking is made[1]]

    with serve(app) as browser:
        assert [AsyncClient] == [type(client) for client in made]
        assert [[True, True]] * 2 == [browser.get("/").json() for _ in range(2)]
        assert [AsyncClient, Client] == [type(client) for client in made]
    awaited, blocking = made
    assert isinstance(awaited, AsyncClient)
    assert isinstance(blocking, Client)
    with pytest.raises(ClientUsageError, match="closed"):
        awaited._manager.check_open()
    with pytest.raises(ClientUsageError, match="closed"):
        blocking.projects.get_default()


@pytest.mark.usefixtures("account")
def test_own_lifespan() -> None:
    """A custom lifespan can enter that of the clients."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with client_lifespan()(app) as state:
            yield {**state, "mine": 5}

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def name(client: AsyncClientDep) -> str:
        return (await client.projects.get_default()).name

    with serve(app) as browser:
        assert "first-project" == browser.get("/").json()


def test_no_lifespan() -> None:
    """Without the lifespan, a request is a 500."""
    app = FastAPI(exception_handlers=exception_handlers)

    @app.get("/")
    async def endpoint(client: AsyncClientDep) -> None:
        raise AssertionError(client)

    with serve(app) as browser:
        assert 500 == browser.get("/").status_code


@pytest.mark.process
def test_without_fastapi() -> None:
    """Without FastAPI, the import names the extra to install."""
    code = "import sys; sys.modules['fastapi'] = None; import digitalocean_projects.contrib.fastapi"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, text=True, timeout=30
    )
    expected = "ImportError: digitalocean_projects.contrib.fastapi requires FastAPI; install "
    assert f"{expected}the extra digitalocean-projects[fastapi]" == done.stderr.splitlines()[-1]


def test_websocket(account: Emulator) -> None:
    """A WebSocket endpoint receives the client, and an error in it ends the connection."""
    app = FastAPI(lifespan=client_lifespan(), exception_handlers=exception_handlers)

    @app.websocket("/")
    async def name(websocket: WebSocket, client: AsyncClientDep) -> None:
        await websocket.accept()
        await websocket.send_text((await client.projects.get_default()).name)
        await client.projects.get(str(uuid4()))

    def converse(client: TestClient) -> None:
        with client.websocket_connect("/") as websocket:
            assert "first-project" == websocket.receive_text()
            # The next message is the end.
            websocket.receive_text()

    with TestClient(app) as client, pytest.raises(NotFoundError):
        converse(client)
    assert 2 == len(account.requests)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("from_caller", [False, True])
def test_malformed_token_shows_nowhere(*, from_caller: bool) -> None:
    """A token that is refused before its use is in no frame of the package."""

    def token_of() -> str:
        return "dop_v1_secret\n"

    app = FastAPI(lifespan=client_lifespan())
    told: list[str] = []
    dependency = async_client_for(token_of, from_caller=from_caller)

    @app.get("/")
    async def endpoint(client: Annotated[AsyncClient, Depends(dependency)]) -> None:
        raise AssertionError(client)

    @app.exception_handler(HTTPException)
    @app.exception_handler(ClientUsageError)
    async def tell(_: Request, error: Exception) -> Response:
        frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
        told.extend(str(frame.locals) for frame in frames if "contrib" in frame.filename)
        return Response(status_code=401)

    with serve(app) as browser:
        assert 401 == browser.get("/").status_code
    assert told
    assert "secret" not in "".join(told)


def test_no_functions() -> None:
    """A client or a token in place of the function that returns it is a TypeError."""
    client: Any = AsyncClient("x")
    for options in ({"make_async_client": client}, {"make_client": client}):
        with pytest.raises(TypeError, match=r"must be callable, got AsyncClient; pass a function"):
            client_lifespan(**options)
    secret: Any = "swordfish"  # noqa: S105 - a test's
    for make in (async_client_for, client_for):
        with pytest.raises(TypeError, match=r"^token must be a dependency, .+, got str$") as caught:
            make(secret)
        assert not any(secret in text for text in exposed(caught.value))
