"""FastAPI: clients for endpoints, responses for their errors, and listings as streams.

Requires FastAPI, which the extra `digitalocean-projects[fastapi]` installs.

# A new application

The clients take their token from the environment (`DIGITALOCEAN_TOKEN`). This is `app.py`:

```python
from functools import partial
from typing import Annotated

from fastapi import Body, FastAPI, Request

from digitalocean_projects import URN, AsyncClient, Client, Page, Project, Resource
from digitalocean_projects.contrib.fastapi import (
    AsyncClientDep,
    ClientDep,
    JSONLinesResponse,
    ProjectID,
    TenantAsyncClientDep,
    client_lifespan,
    exception_handlers,
    problem_responses,
    until_disconnected,
)

app = FastAPI(
    title="Inventory",
    lifespan=client_lifespan(partial(AsyncClient, deadline=20.0), partial(Client, deadline=20.0)),
    exception_handlers=exception_handlers,
    responses=problem_responses,
)


@app.get("/projects")
async def list_projects(client: AsyncClientDep, request: Request) -> list[Project]:
    return await until_disconnected(request, client.projects.list().collect())


@app.get("/projects/{project_id}/newest")
async def newest(project_id: ProjectID, client: AsyncClientDep) -> Page[Resource]:
    return await client.projects.list_resources(project_id, per_page=20).first_page()


@app.get(
    "/projects/{project_id}/resources",
    response_class=JSONLinesResponse,
    responses=JSONLinesResponse.responses(Resource),
)
async def stream_resources(project_id: ProjectID, client: AsyncClientDep) -> JSONLinesResponse:
    return JSONLinesResponse(client.projects.list_resources(project_id))


@app.put("/projects/{project_id}/resources/{urn}")
async def assign(project_id: ProjectID, urn: URN, tenant: TenantAsyncClientDep) -> Resource:
    result = await tenant.projects.assign_resources(project_id, [urn])
    result.raise_for_failed()
    return result.resources[0]


@app.post("/projects/{project_id}/resources")
def assign_all(
    project_id: ProjectID, urns: Annotated[list[URN], Body(max_length=1000)], client: ClientDep
) -> list[Resource]:
    result = client.projects.assign_resources(project_id, urns)
    result.raise_for_failed()
    return list(result.resources)
```

Start it with `uvicorn app:app`. Its tests need no account: the fixture `do_emulator` of
`digitalocean_projects.contrib.pytest` starts an emulator, and the application finds it in the
environment. Use `TestClient` as a context manager, because the lifespan makes the clients.

```python
from fastapi.testclient import TestClient

from app import app


def test_newest(do_emulator):
    do_emulator.seed(["do:droplet:1"], default=True)
    with TestClient(app) as browser:
        page = browser.get("/projects/default/newest").json()
    assert page["items"][0]["urn"] == "do:droplet:1"


def test_unknown_token(do_emulator):
    with TestClient(app, headers={"Authorization": "Bearer unknown"}) as browser:
        answer = browser.put("/projects/default/resources/do:droplet:1")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "Unable to authenticate you"
```

# An existing application

`add_clients` adds the clients, the handlers and the documentation of the errors to an application
that has a lifespan of its own. If that lifespan needs the clients, enter
`async with client_lifespan()(app) as state:` in it, and yield the members of `state` together with
its own. A mounted application uses the clients of the application that mounts it, but it needs the
handlers, too.

```python
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from digitalocean_projects.contrib.fastapi import AsyncClientDep, add_clients


@asynccontextmanager
async def lifespan(app):
    yield {"greeting": "Hello"}


app = FastAPI(lifespan=lifespan)
add_clients(app)


@app.get("/")
async def greet(client: AsyncClientDep, request: Request) -> str:
    project = await client.projects.get_default()
    return f"{request.state.greeting}, {project.name}"
```

```python
from fastapi.testclient import TestClient

from app import app


def test_greeting(do_emulator):
    with TestClient(app) as browser:
        assert browser.get("/").json() == "Hello, first-project"
```

# Tenants with tokens of their own

Every tenant's client is a view of the application's client: it uses the same connections, and has
the rate limits of its own token. `TenantAsyncClientDep` and `TenantClientDep` take the token from
the request's header `Authorization: Bearer …`. If the token comes from a session or a database,
write a dependency that returns it, and pass that to `async_client_for` or `client_for`. If the
service has no token of its own, pass any text as the token to `AsyncClient` and `Client`, and use
only the tenants' clients.

```python
from functools import partial
from typing import Annotated

from fastapi import Depends, FastAPI, Header

from digitalocean_projects import AsyncClient, Client
from digitalocean_projects.contrib.fastapi import (
    async_client_for,
    client_lifespan,
    exception_handlers,
)

app = FastAPI(
    lifespan=client_lifespan(partial(AsyncClient, "none"), partial(Client, "none")),
    exception_handlers=exception_handlers,
)


def token_of_tenant(tenant: Annotated[str, Header()]) -> str:
    raise NotImplementedError("look the token up in your database")


TenantClient = Annotated[AsyncClient, Depends(async_client_for(token_of_tenant))]


@app.get("/total")
async def total(client: TenantClient) -> int:
    return (await client.projects.list_resources().first_page()).total
```

Tests replace that dependency:

```python
from fastapi.testclient import TestClient

from app import app, token_of_tenant


def test_total(do_emulator, monkeypatch):
    do_emulator.seed(["do:droplet:1", "do:volume:2"], default=True)
    token = do_emulator.token
    monkeypatch.setitem(app.dependency_overrides, token_of_tenant, lambda: token)
    with TestClient(app) as browser:
        assert browser.get("/total").json() == 2
```

# Types

- `AsyncClientDep`: the application's `AsyncClient`, for `async def` endpoints.
- `ClientDep`: the application's `Client`, for `def` endpoints. It is made at the first request that
  needs it.
- `TenantAsyncClientDep`, `TenantClientDep`: the same with the bearer token of the request. FastAPI
  answers a request without a bearer token with a 401.
- `ProjectID`: a project's UUID or `default`, as text. FastAPI answers any other value with a 422.
- `URN`, `Resource`, `Project` and `Page[…]` of `digitalocean_projects` can be used as types in
  request bodies, responses and models of pydantic (2.10.4 or newer), and `URN` also in paths and
  queries. Declare a body as `Annotated[Resource, Body()]`; without `Body`, FastAPI takes it for a
  query parameter. Their JSON is that of the API, and a `Page` has `items`, `number` and `total`. An
  invalid value is a 422 with one error.

# Errors

`exception_handlers` turns the package's errors into problem documents (RFC 9457). FastAPI's own 401
and 422 keep their format. A document shows nothing about the service's own token and account. So
the response depends on the token that the failed request was sent with, even in an endpoint that
uses two clients. A token is the caller's own if it comes from `TenantAsyncClientDep`,
`TenantClientDep` or a dependency that was made with `from_caller=True`. Any other token is the
service's.

| error | status, with the service's token | status, with the caller's token |
|---|---|---|
| the API's 400, 404, 409, 412, 422 | the same, with `detail` | the same, with `detail` |
| the API's 401, 403 | 502 | the same, with `detail` |
| the API's 429, `RateLimitWaitError` | 503, with `Retry-After` if known | the same |
| any other status of the API | 502 | 502 |
| `APITimeoutError` | 504 | 504 |
| `RedisLimitsError` | 503 | 503 |
| any other `APIError` | 502 | 502 |
| `AssignmentTimeoutError` | 504, with `missing` | the same |
| `ProjectLookupError` | 404 if no project has the name, 409 if several have | the same |
| `ClientUsageError` | 500 | 500 |
| `AssignmentError` | that of its `error`, or else 422 | the same |
| `InventoryError` | that of its failures if they agree, or else 502 | the same |
| a malformed token | 500 | 401, with `detail` |

`detail` is the API's message. A 5xx has none, except the 505 of `JSONLinesResponse`. If the request
was sent with the caller's token, the document has `upstream_request_id`, the id that DigitalOcean's
support asks for. The document of an `AssignmentError` lists the resources in `done`, `failed`,
`unknown` and `untouched`. The logger `digitalocean_projects` reports every 5xx in full as a
warning.

The handlers don't handle errors in a WebSocket endpoint: the server ends the connection, as after
any other error.

# Streams

`JSONLinesResponse` sends a listing page by page. If an error occurs after the first page, the
connection is aborted, so the caller can detect that the listing is incomplete: over HTTP/1.1 the
last chunk is missing. HTTP/1.0 has no chunks. Over HTTP/1.0, the listing is collected first and
sent with its length, and a listing of more than `max_http10_body` bytes (16 MiB by default) is a
505. nginx's `proxy_pass` uses HTTP/1.0 by default; set `proxy_http_version 1.1`. A middleware made
by `@app.middleware("http")` hides the error: the stream then ends like a complete one. Write a pure
ASGI middleware instead.

When the caller disconnects, a `JSONLinesResponse` cancels its pending requests.
`until_disconnected` cancels any coroutine in this case. Work in a `def` endpoint isn't cancelled.

# Threads and workers

A `def` endpoint occupies one of the server's 40 worker threads while its requests wait for the rate
limits. So at most 8 threads of a process wait for the limits of one token (`waiting_threads` of
`client_lifespan`). If a request in another thread would have to wait for more than a second, it
raises `RateLimitWaitError` at once, which is a 503 with `Retry-After`. `async def` endpoints occupy
no thread, so this maximum doesn't apply to them.

Each worker process has its own clients. To share the allowance of each token between the processes,
pass `limits=RedisLimits(…)` of `digitalocean_projects.contrib.redis` to all clients.
"""

from digitalocean_projects._public import publish

from .dependencies import (
    AsyncClientDep,
    ClientDep,
    ProjectID,
    TenantAsyncClientDep,
    TenantClientDep,
    add_clients,
    async_client_for,
    client_for,
    client_lifespan,
)
from .problems import exception_handlers, problem_responses
from .streams import JSONLinesResponse, until_disconnected

__all__ = [
    "AsyncClientDep",
    "ClientDep",
    "JSONLinesResponse",
    "ProjectID",
    "TenantAsyncClientDep",
    "TenantClientDep",
    "add_clients",
    "async_client_for",
    "client_for",
    "client_lifespan",
    "exception_handlers",
    "problem_responses",
    "until_disconnected",
]

publish(globals(), __name__)
