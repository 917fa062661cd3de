"""Problem documents: the answers of a service to errors of the API."""

import json
import logging
import math
import pickle
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, Header, Request
from starlette.requests import ClientDisconnect

from digitalocean_projects import (
    URN,
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    AssignmentError,
    AssignmentTimeoutError,
    AsyncClient,
    Client,
    ClientUsageError,
    InventoryError,
    PaginationError,
    Project,
    ProjectLookupError,
    RateLimitWaitError,
    Resource,
    RetryPolicy,
)
from digitalocean_projects._described import Request as APIRequest
from digitalocean_projects._messages import Secret
from digitalocean_projects._session.transport import status_error
from digitalocean_projects.contrib.fastapi import (
    AsyncClientDep,
    ClientDep,
    TenantAsyncClientDep,
    TenantClientDep,
    async_client_for,
    client_lifespan,
    exception_handlers,
)
from digitalocean_projects.contrib.fastapi.dependencies import _TenantToken
from digitalocean_projects.contrib.redis import RedisLimitsError, RedisUnavailableError
from digitalocean_projects.testing import Emulator, RecordedRequest, faults
from tests.contrib.serving import serve

REQUEST = APIRequest(method="GET", path="/v2/projects")
DROPLET = URN("droplet", 1)
DONE, REFUSED = Resource(DROPLET, status="ok"), Resource("do:droplet:2", status="not_found")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def problem(answer: httpx2.Response) -> dict[str, object]:
    """Return the document without the members that all documents share."""
    assert "application/problem+json" == answer.headers["content-type"]
    document: dict[str, object] = answer.json()
    assert ("about:blank", answer.status_code) == (document.pop("type"), document.pop("status"))
    assert document.pop("title")
    return document


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Yield an emulator for all tests of the module."""
    with Emulator(limits=()) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def tenant(emulator: Emulator) -> str:
    """Return another token of the same account."""
    return emulator.add_token(["project:read", "project:update", "droplet:read"])


@pytest.fixture(scope="module")
def raised() -> list[Exception]:
    """Return the list whose last error the endpoint `/raise` raises."""
    return []


def add_tenants_endpoints(app: FastAPI) -> None:
    """Add endpoints that use another token."""

    @app.get("/tenant")
    async def tenant_name(client: TenantAsyncClientDep) -> str:
        return (await client.projects.get_default()).name

    @app.get("/tenant/inventory")
    async def tenant_inventory(client: TenantAsyncClientDep) -> None:
        async for _ in client.projects.resources_by_project():
            pass

    @app.get("/tenant/blocking")
    def tenant_name_blocking(client: TenantClientDep) -> str:
        return client.projects.get_default().name

    @app.get("/tenant/view")
    async def tenant_name_by_view(client: TenantAsyncClientDep) -> str:
        return (await client.with_options(timeout=5.0).projects.get_default()).name

    async def header(token: Annotated[str, Header()]) -> str:
        return token

    async def header_or_bearer(request: Request) -> str:
        return request.headers.get("token", request.headers.get("authorization", "")[7:])

    by_header = async_client_for(header_or_bearer, from_caller=True)

    @app.get("/tenant/header")
    async def tenant_name_by_header(client: Annotated[AsyncClient, Depends(by_header)]) -> str:
        return (await client.projects.get_default()).name

    @app.get("/stored")
    async def stored_name(client: Annotated[AsyncClient, Depends(async_client_for(header))]) -> str:
        return (await client.projects.get_default()).name


def add_endpoints_with_both_tokens(app: FastAPI, service_token: str) -> None:
    """Add endpoints that use two tokens."""

    @app.get("/tenant-then-service")
    async def tenant_first(tenant: TenantAsyncClientDep, client: AsyncClientDep) -> str:
        names = [(await each.projects.get_default()).name for each in (tenant, client)]
        return " ".join(names)

    @app.get("/service-then-tenant")
    async def service_first(tenant: TenantAsyncClientDep, client: AsyncClientDep) -> str:
        names = [(await each.projects.get_default()).name for each in (client, tenant)]
        return " ".join(names)

    @app.get("/tenant-with-service-token")
    async def replaced(tenant: TenantAsyncClientDep) -> str:
        client = tenant.with_options(token=service_token)
        return (await client.projects.get_default()).name

    @app.get("/tenant-then-service/blocking")
    def tenant_first_blocking(tenant: TenantClientDep, client: ClientDep) -> str:
        return " ".join(each.projects.get_default().name for each in (tenant, client))


def add_assigning_endpoints(app: FastAPI) -> None:
    """Add endpoints that assign two resources in two requests."""

    async def assign(client: AsyncClient) -> None:
        urns = ["do:droplet:1", "do:droplet:2"]
        await client.projects.assign_resources("default", urns, chunk_size=1)

    @app.post("/assign")
    async def assign_by_service(client: AsyncClientDep) -> None:
        await assign(client)

    @app.post("/tenant/assign")
    async def assign_by_tenant(client: TenantAsyncClientDep) -> None:
        await assign(client)


@pytest.fixture(scope="module")
def browser(emulator: Emulator, raised: list[Exception]) -> Iterator[httpx2.Client]:
    """Return a client of an application whose clients don't retry."""
    options: dict[str, Any] = {
        "base_url": emulator.url,
        "retry": RetryPolicy(attempts=1),
        "limits": None,
    }
    make = partial(AsyncClient, emulator.token, **options)
    blocking = partial(Client, emulator.token, **options)
    app = FastAPI(lifespan=client_lifespan(make, blocking), exception_handlers=exception_handlers)

    @app.get("/")
    async def name(client: AsyncClientDep) -> str:
        return (await client.projects.get_default()).name

    @app.get("/impatient")
    async def name_soon(client: AsyncClientDep) -> str:
        return (await client.with_options(timeout=0.1).projects.get_default()).name

    add_tenants_endpoints(app)
    add_endpoints_with_both_tokens(app, emulator.token)
    add_assigning_endpoints(app)

    @app.get("/raise")
    @app.get("/raise/{text}")
    async def fail() -> None:
        raise raised[-1]

    with serve(app) as browser:
        yield browser


PASSED_ON = (400, 404, 409, 412, 422)
HIDDEN = (302, 402, 403, 405, 500, 502, 503, 504)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, status) for status in PASSED_ON),
        *((status, 502) for status in (401, *HIDDEN)),
        (429, 503),
    ],
)
def test_status(browser: httpx2.Client, emulator: Emulator, status: int, expected: int) -> None:
    """With the service's token, only the API's verdict on the request is passed on."""
    emulator.respond(status, {"id": "x", "message": "Not now", "request_id": "abc-1"})
    answer = browser.get("/")
    assert expected == answer.status_code
    assert ({"detail": "Not now"} if status in PASSED_ON else {}) == problem(answer)
    assert "www-authenticate" not in answer.headers
    assert emulator.token not in answer.text


@pytest.mark.parametrize("path", ["/tenant", "/tenant/blocking", "/tenant/view", "/tenant/header"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, status) for status in (401, 403, *PASSED_ON)),
        *((status, 502) for status in HIDDEN if status != 403),
        (429, 503),
    ],
)
def test_callers_token(
    browser: httpx2.Client, emulator: Emulator, status: int, expected: int, path: str
) -> None:
    """With the caller's token, the API's verdict on the token is passed on, too."""
    emulator.respond(status, {"message": "Not you", "request_id": "abc-1"})
    answer = browser.get(path, headers=bearer(emulator.token))
    assert expected == answer.status_code
    detail = {"detail": "Not you"} if status < 500 and expected == status else {}
    assert {**detail, "upstream_request_id": "abc-1"} == problem(answer)
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    "path",
    [
        "/tenant-then-service",
        "/service-then-tenant",
        "/tenant-with-service-token",
        "/tenant-then-service/blocking",
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_both_tokens(
    browser: httpx2.Client, emulator: Emulator, tenant: str, path: str, status: int
) -> None:
    """In a request that uses both tokens, an error belongs to the token that it was sent with."""
    service = f"Bearer {emulator.token}"

    def is_services(request: RecordedRequest) -> bool:
        return request.headers["Authorization"] == service

    emulator.respond(status, {"message": "Not the service"}, when=is_services)
    answer = browser.get(path, headers=bearer(tenant))
    assert (502, {}) == (answer.status_code, problem(answer))
    if path != "/tenant-with-service-token":
        emulator.respond(status, {"message": "Not you"}, when=lambda r: not is_services(r))
        answer = browser.get(path, headers=bearer(tenant))
        assert (status, {"detail": "Not you"}) == (answer.status_code, problem(answer))


@pytest.mark.parametrize(("path", "expected"), [("/assign", 502), ("/tenant/assign", 401)])
def test_assignment_that_fails_later(
    browser: httpx2.Client, emulator: Emulator, tenant: str, path: str, expected: int
) -> None:
    """The error inside an `AssignmentError` belongs to the token that it was sent with."""
    emulator.seed(["do:droplet:1", "do:droplet:2"])
    emulator.respond(401, {"message": "Expired"}, when=lambda r: "droplet:2" in str(r.body))
    answer = browser.post(path, headers=bearer(tenant))
    assert expected == answer.status_code
    detail = {"detail": "Expired"} if expected == 401 else {}
    outcome = {"done": ["do:droplet:1"], "untouched": ["do:droplet:2"]}
    assert {**detail, **outcome} == problem(answer)


@pytest.mark.parametrize("token", ["", "a b", "dor_v1_secret"])
def test_malformed_token(browser: httpx2.Client, token: str) -> None:
    """A malformed token of the caller is a 401 with the reason."""
    answer = browser.get("/tenant/header", headers={"token": token})
    assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])
    assert "token must " in str(problem(answer)["detail"])
    assert "secret" not in answer.text


@pytest.mark.parametrize("token", ["", "a b", "dor_v1_secret"])
def test_malformed_token_of_the_service(browser: httpx2.Client, token: str) -> None:
    """A malformed token of the service is a 500 without the reason."""
    answer = browser.get("/stored", headers={"token": token})
    assert (500, {}) == (answer.status_code, problem(answer))


@pytest.mark.parametrize(
    ("path", "fault", "expected"),
    [
        ("/impatient", faults.Silence(), 504),
        ("/", faults.Reset(), 502),
        ("/", faults.Html(502), 502),
        ("/", faults.Garbage(200), 502),
    ],
)
def test_fault(
    browser: httpx2.Client, emulator: Emulator, path: str, fault: faults.Fault, expected: int
) -> None:
    """A timeout is a 504, and other failures are a 502."""
    emulator.fail(fault)
    answer = browser.get(path)
    assert expected == answer.status_code
    assert {} == problem(answer)


def test_retry_after(browser: httpx2.Client, emulator: Emulator) -> None:
    """A 429 of the API is a 503 with `Retry-After`."""
    emulator.fail(faults.Status(429, retry_after=7))
    answer = browser.get("/")
    assert (503, "7") == (answer.status_code, answer.headers["retry-after"])


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (RateLimitWaitError(12.3, "busy"), 503, {}),
        (ClientUsageError("closed"), 500, {}),
        (APIError("x"), 502, {}),
        (RedisUnavailableError("redis://internal"), 503, {}),
        (RedisLimitsError("redis://internal"), 503, {}),
        (APIConnectionError("internal:443 refused", REQUEST), 502, {}),
        (APITimeoutError("no answer in time", REQUEST), 504, {}),
        (APIResponseError("no JSON", REQUEST, request_id="abc"), 502, {}),
        (PaginationError("no end", REQUEST, request_id="abc"), 502, {}),
        (ProjectLookupError("internal-web"), 404, {"detail": "no project has the name"}),
        (
            ProjectLookupError("web", (Project(id="1", name="web"), Project(id="2", name="web"))),
            409,
            {"detail": "several projects have the name"},
        ),
        (AssignmentTimeoutError((DROPLET,)), 504, {"missing": ["do:droplet:1"]}),
        (
            AssignmentError(done=(DONE,), failed=(REFUSED,), unknown=()),
            422,
            {
                "detail": "1 assigned, 1 failed: do:droplet:2 (not_found)",
                "done": ["do:droplet:1"],
                "failed": [{"urn": "do:droplet:2", "status": "not_found"}],
            },
        ),
        (
            AssignmentError(
                done=(),
                failed=(),
                unknown=(DROPLET,),
                untouched=(URN("droplet", 3),),
                error=RateLimitWaitError(5, "busy"),
            ),
            503,
            {"unknown": ["do:droplet:1"], "untouched": ["do:droplet:3"]},
        ),
    ],
)
def test_error(
    browser: httpx2.Client,
    raised: list[Exception],
    error: APIError,
    status: int,
    expected: dict[str, object],
) -> None:
    """Each error of the package has its document, with the outcome for each resource."""
    raised.append(error)
    answer = browser.get("/raise")
    assert status == answer.status_code
    assert expected == problem(answer)


def refusal(status: int, message: str, *, of_tenant: bool = False) -> APIError:
    """Return the error for an answer of the API."""
    token = _TenantToken("token") if of_tenant else Secret("token")
    body = json.dumps({"message": message}).encode()
    headers = {"retry-after": message} if message.isdigit() else {}
    return status_error(status, headers, body, REQUEST, secret=token)


@pytest.mark.parametrize(
    ("errors", "status", "expected"),
    [
        ([refusal(401, "Expired", of_tenant=True)] * 2, 401, {"detail": "Expired"}),
        ([refusal(403, "Forbidden", of_tenant=True)], 403, {"detail": "Forbidden"}),
        ([refusal(404, "Gone")] * 2, 404, {"detail": "Gone"}),
        ([refusal(401, "Expired"), refusal(401, "Expired", of_tenant=True)], 502, {}),
        ([refusal(401, "Expired")] * 2, 502, {}),
        ([refusal(403, "No", of_tenant=True), refusal(401, "Expired", of_tenant=True)], 502, {}),
        ([refusal(404, "Gone"), refusal(500, "Internal")], 502, {}),
        ([APITimeoutError("internal", REQUEST)] * 2, 504, {}),
        ([RedisUnavailableError("internal")], 503, {}),
        ([InventoryError(((Project(id="1", name="web"), refusal(404, "Gone")),))], 404, None),
        ([], 502, {}),
    ],
)
def test_inventory_error(
    browser: httpx2.Client,
    raised: list[Exception],
    errors: list[APIError],
    status: int,
    expected: dict[str, object] | None,
) -> None:
    """An inventory whose failures agree has their document, without the projects."""
    failures = [(Project(id=str(n), name="internal-web"), e) for n, e in enumerate(errors)]
    raised.append(InventoryError(tuple(failures)))
    answer = browser.get("/raise")
    assert status == answer.status_code
    assert ({"detail": "Gone"} if expected is None else expected) == problem(answer)
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert "internal" not in answer.text


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([refusal(429, "7"), RateLimitWaitError(30, "busy"), refusal(429, "")], "30"),
        ([RedisUnavailableError("away"), refusal(429, "7")], "7"),
        ([refusal(429, "")] * 2, None),
        ([RateLimitWaitError(math.inf, "busy"), refusal(429, "7")], None),
    ],
)
def test_longest_wait(
    browser: httpx2.Client, raised: list[Exception], errors: list[APIError], expected: str | None
) -> None:
    """`Retry-After` of an inventory is its longest wait."""
    project = Project(id="1", name="web")
    raised.append(InventoryError(tuple((project, error) for error in errors)))
    answer = browser.get("/raise")
    assert (503, expected) == (answer.status_code, answer.headers.get("retry-after"))


def test_inventory_of_a_caller(browser: httpx2.Client, emulator: Emulator) -> None:
    """The API's refusal of the caller's token in an inventory is passed on."""
    emulator.seed(["do:droplet:7"])
    emulator.respond(
        403,
        {"message": "Not you"},
        when=lambda r: r.path.endswith("/resources"),
        times=len(emulator.projects()),
    )
    answer = browser.get("/tenant/inventory", headers=bearer(emulator.token))
    assert (403, {"detail": "Not you"}) == (answer.status_code, problem(answer))


@pytest.mark.parametrize(
    ("seconds", "expected"), [(12.3, "13"), (12, "12"), (0.0, "1"), (-5.0, "1"), (math.inf, None)]
)
def test_wait(
    browser: httpx2.Client, raised: list[Exception], seconds: float, expected: str | None
) -> None:
    """`Retry-After` is an integer of at least 1, rounded up, and omitted if it is unknown."""
    raised.append(RateLimitWaitError(seconds, "busy"))
    answer = browser.get("/raise")
    assert (503, expected) == (answer.status_code, answer.headers.get("retry-after"))


def test_copies_of_errors(browser: httpx2.Client, raised: list[Exception]) -> None:
    """A pickled error still knows whether the token was the caller's."""
    for token in (_TenantToken("token"), Secret("token")):
        error = status_error(403, {}, b'{"message": "Not you"}', REQUEST, secret=token)
        raised.append(pickle.loads(pickle.dumps(error)))  # noqa: S301 - ours
        answer = browser.get("/raise")
        expected = (403, {"detail": "Not you"}) if token.of_tenant else (502, {})
        assert expected == (answer.status_code, problem(answer))


def test_reader_has_left(browser: httpx2.Client, raised: list[Exception]) -> None:
    """A disconnection of the caller is not an error of the service."""
    raised.append(ClientDisconnect())
    assert 499 == browser.get("/raise").status_code


def test_log(
    browser: httpx2.Client, raised: list[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """A 5xx is logged with fields, and an error of the caller is not."""
    raised.append(PaginationError("no end", REQUEST, request_id="abc"))
    browser.get("/raise")
    raised.append(ProjectLookupError("web"))
    browser.get("/raise")
    messages = [
        (record.levelno, record.getMessage())
        for record in caplog.records
        if record.name == "digitalocean_projects"
    ]
    expected = "GET /raise: no end (GET /v2/projects, request id abc)"
    assert [(logging.WARNING, expected)] == messages
    (record,) = (record for record in caplog.records if "do_error" in vars(record))
    assert {
        "do_method": "GET",
        "do_path": "/raise",
        "do_status": 502,
        "do_error": "PaginationError",
        "do_request_id": "abc",
    } == {name: value for name, value in vars(record).items() if name.startswith("do_")}


def test_log_is_one_line(
    browser: httpx2.Client, raised: list[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """A line break in the caller's path doesn't begin a new line in the log."""
    raised.append(PaginationError("no end", REQUEST))
    browser.get("/raise/%1b[31mall is well")
    (record,) = (record for record in caplog.records if "do_error" in vars(record))
    expected = "GET /raise/ [31mall is well: no end (GET /v2/projects)"
    assert expected == record.getMessage()
