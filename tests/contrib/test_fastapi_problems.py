"""Problem documents: what a service answers where the API refuses, fails or is away."""

import logging
from collections.abc import Iterator
from functools import partial

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect

from digitalocean_projects import (
    URN,
    APIError,
    AssignmentError,
    AssignmentTimeoutError,
    AsyncClient,
    ClientUsageError,
    PaginationError,
    Project,
    ProjectLookupError,
    RateLimitWaitError,
    Resource,
    RetryPolicy,
)
from digitalocean_projects._request import Request
from digitalocean_projects.contrib.fastapi import (
    AsyncClientDep,
    TenantAsyncClientDep,
    client_lifespan,
    exception_handlers,
)
from digitalocean_projects.testing import Emulator, faults
from tests.contrib.serving import serve

REQUEST = Request(method="GET", path="/v2/projects")
DROPLET = URN("droplet", 1)
DONE, REFUSED = Resource(DROPLET, status="ok"), Resource("do:droplet:2", status="not_found")


def problem(answer: httpx2.Response) -> dict[str, object]:
    """The document, without what is the same in all."""
    assert "application/problem+json" == answer.headers["content-type"]
    document: dict[str, object] = answer.json()
    assert ("about:blank", answer.status_code) == (document.pop("type"), document.pop("status"))
    assert document.pop("title")
    return document


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One for all tests, as the application."""
    with Emulator(limits=()) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def raised() -> list[Exception]:
    """What the endpoint `/raise` raises: the last of it."""
    return []


@pytest.fixture(scope="module")
def browser(emulator: Emulator, raised: list[Exception]) -> Iterator[httpx2.Client]:
    """What asks an application whose client doesn't try again."""
    make = partial(
        AsyncClient,
        emulator.token,
        base_url=emulator.url,
        retry=RetryPolicy(attempts=1),
        timeout=0.3,
        limits=None,
    )
    app = FastAPI(lifespan=client_lifespan(make), exception_handlers=exception_handlers)

    @app.get("/")
    async def name(client: AsyncClientDep) -> str:
        return (await client.projects.get_default()).name

    @app.get("/tenant")
    async def tenant_name(client: TenantAsyncClientDep) -> str:
        return (await client.projects.get_default()).name

    @app.get("/raise")
    @app.get("/raise/{text}")
    async def fail() -> None:
        raise raised[-1]

    with serve(app) as browser:
        yield browser


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, status) for status in (400, 404, 409, 412, 422)),
        *((status, 502) for status in (302, 401, 402, 403, 405, 500, 502, 503, 504)),
        (429, 503),
    ],
)
def test_status(browser: httpx2.Client, emulator: Emulator, status: int, expected: int) -> None:
    """What the API says of what was asked is passed on; all else is no fault of the caller."""
    emulator.respond(status, {"id": "x", "message": "Not now", "request_id": "abc-1"})
    answer = browser.get("/")
    assert expected == answer.status_code
    assert {"detail": "Not now", "upstream_request_id": "abc-1"} == problem(answer)
    assert emulator.token not in answer.text


@pytest.mark.parametrize(("status", "expected"), [(401, 401), (403, 403), (404, 404), (500, 502)])
def test_callers_token(
    browser: httpx2.Client, emulator: Emulator, status: int, expected: int
) -> None:
    """A caller whose own token it is learns what is wrong with it."""
    emulator.respond(status, {"message": "Not you"})
    answer = browser.get("/tenant", headers={"Authorization": f"Bearer {emulator.token}"})
    assert expected == answer.status_code
    assert {"detail": "Not you"} == problem(answer)
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.Silence(), 504),
        (faults.Reset(), 502),
        (faults.Html(502), 502),
        (faults.Garbage(200), 502),
    ],
)
def test_fault(
    browser: httpx2.Client, emulator: Emulator, fault: faults.Fault, expected: int
) -> None:
    """A time-out is told from other failures."""
    emulator.fail(fault)
    answer = browser.get("/")
    assert expected == answer.status_code
    assert {} == problem(answer)


def test_retry_after(browser: httpx2.Client, emulator: Emulator) -> None:
    """The caller is told when to come again."""
    emulator.fail(faults.Status(429, retry_after=7))
    answer = browser.get("/")
    assert (503, "7") == (answer.status_code, answer.headers["retry-after"])


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (RateLimitWaitError(12.3, "busy"), 503, {}),
        (ClientUsageError("closed"), 500, {}),
        (PaginationError("no end", REQUEST, request_id="abc"), 502, {"upstream_request_id": "abc"}),
        (ProjectLookupError("web"), 404, {"detail": "no project is named 'web'"}),
        (
            ProjectLookupError("web", (Project(id="1", name="web"), Project(id="2", name="web"))),
            409,
            {"detail": "2 projects are named 'web': 1, 2"},
        ),
        (
            AssignmentTimeoutError((DROPLET,)),
            504,
            {"detail": "1 resources are missing: do:droplet:1", "missing": ["do:droplet:1"]},
        ),
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
    """Each error of the package has its document, which lists what became of each resource."""
    raised.append(error)
    answer = browser.get("/raise")
    assert status == answer.status_code
    assert expected == problem(answer)


def test_wait(browser: httpx2.Client, raised: list[Exception]) -> None:
    """A wait for the rate limit is told in whole seconds, rounded up."""
    raised.append(RateLimitWaitError(12.3, "busy"))
    assert "13" == browser.get("/raise").headers["retry-after"]


def test_reader_has_left(browser: httpx2.Client, raised: list[Exception]) -> None:
    """Where nobody waits for the answer, that is no error of the service."""
    raised.append(ClientDisconnect())
    assert 499 == browser.get("/raise").status_code


def test_log(
    browser: httpx2.Client, raised: list[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """What fails behind the service is in its log, in fields, too; what the caller did isn't."""
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
    """What the caller has put into the path doesn't play with the log."""
    raised.append(PaginationError("no end", REQUEST))
    browser.get("/raise/%1b[31mall is well")
    (record,) = (record for record in caplog.records if "do_error" in vars(record))
    expected = "GET /raise/ [31mall is well: no end (GET /v2/projects)"
    assert expected == record.getMessage()
