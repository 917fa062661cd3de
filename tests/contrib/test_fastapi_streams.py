"""Streams: listings as JSON lines, and the cancellation of work after a disconnection."""

import asyncio
import gzip
import json
import logging
import socket
import tracemalloc
import weakref
from collections.abc import Iterator, MutableMapping
from functools import partial
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Body, FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

from digitalocean_projects import AsyncClient, Client, RetryPolicy, ServerError
from digitalocean_projects.contrib.fastapi import (
    AsyncClientDep,
    JSONLinesResponse,
    client_lifespan,
    exception_handlers,
    until_disconnected,
)
from digitalocean_projects.testing import Emulator, faults
from tests.conftest import SilentServer
from tests.contrib.serving import serve


def make_app(url: str, token: str = "token") -> FastAPI:  # noqa: S107 - no secret
    """Return an application that streams and counts."""
    once = RetryPolicy(attempts=1)
    make = partial(AsyncClient, token, base_url=url, limits=None, retry=once)
    app = FastAPI(lifespan=client_lifespan(make), exception_handlers=exception_handlers)

    @app.api_route("/stream", methods=["GET", "HEAD"])
    async def stream(client: AsyncClientDep) -> JSONLinesResponse:
        return JSONLinesResponse(client.projects.list_resources(), headers={"x-mine": "1"})

    @app.get("/bounded")
    async def bounded(client: AsyncClientDep, most: int) -> JSONLinesResponse:
        return JSONLinesResponse(client.projects.list_resources(), max_http10_body=most)

    @app.get("/projects")
    async def projects(client: AsyncClientDep) -> JSONLinesResponse:
        return JSONLinesResponse(client.projects.list(), status_code=203)

    @app.get("/count")
    async def count(client: AsyncClientDep, request: Request) -> int:
        listing = client.projects.list_resources().collect()
        return len(await until_disconnected(request, listing))

    @app.post("/count")
    async def count_unread(client: AsyncClientDep, request: Request) -> int:
        listing = client.projects.list_resources().collect()
        return len(await until_disconnected(request, listing))

    @app.post("/read")
    async def read(client: AsyncClientDep, request: Request, words: Annotated[Any, Body()]) -> Any:
        await until_disconnected(request, client.projects.list_resources().collect())
        return [words, await request.json()]

    return app


@pytest.fixture
def browser(emulator: Emulator) -> Iterator[httpx2.Client]:
    with serve(make_app(emulator.url, token=emulator.token)) as browser:
        yield browser


def lines(answer: httpx2.Response) -> list[Any]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_resources(browser: httpx2.Client, emulator: Emulator) -> None:
    """Each resource of all pages is a line, in order."""
    urns = [f"do:droplet:{number}" for number in range(450)]
    emulator.seed(urns, default=True)
    answer = browser.get("/stream")
    assert (200, "application/jsonl") == (answer.status_code, answer.headers["content-type"])
    assert "1" == answer.headers["x-mine"]
    assert urns == [line["urn"] for line in lines(answer)]


def test_projects(browser: httpx2.Client, emulator: Emulator) -> None:
    """Projects can be streamed, too, and with another status."""
    answer = browser.get("/projects")
    assert 203 == answer.status_code
    assert [emulator.default_project_id] == [line["id"] for line in lines(answer)]


def test_nothing(browser: httpx2.Client) -> None:
    """An empty listing has no line."""
    answer = browser.get("/stream")
    assert (200, "") == (answer.status_code, answer.text)


def test_failure_before_the_first_page(browser: httpx2.Client, emulator: Emulator) -> None:
    """An error before the first page is handled like any other error."""
    emulator.respond(404, {"id": "not_found", "message": "No such project"})
    answer = browser.get("/stream")
    assert (404, "No such project") == (answer.status_code, answer.json()["detail"])


def test_failure_behind(browser: httpx2.Client, emulator: Emulator) -> None:
    """A later error aborts the connection, so a part doesn't look complete."""
    emulator.seed([f"do:droplet:{number}" for number in range(450)], default=True)
    emulator.respond(500, when=lambda request: request.query.get("page") == "3")
    with browser.stream("GET", "/stream") as answer:
        assert 200 == answer.status_code
        received = answer.iter_lines()
        assert [f"do:droplet:{n}" for n in range(400)] == [
            json.loads(next(received))["urn"] for _ in range(400)
        ]
        with pytest.raises(httpx2.RemoteProtocolError):
            next(received)


def exchange(browser: httpx2.Client, request: str) -> tuple[str, httpx2.Headers, bytes]:
    """Send a request line over a connection of its own, and read until it is closed."""
    host, port = browser.base_url.host, browser.base_url.port
    fields = "Host: localhost\r\nConnection: close\r\nAccept-Encoding: gzip"
    with socket.create_connection((host, port), 20) as connection:
        connection.sendall(f"{request}\r\n{fields}\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    names_and_values = (line.partition(": ") for line in lines)
    headers = httpx2.Headers([(name, value) for name, _, value in names_and_values])
    return status.split()[1], headers, body


def seed(emulator: Emulator, count: int = 450) -> list[str]:
    """Put droplets into the default project, and return their URNs."""
    urns = [f"do:droplet:{number}" for number in range(count)]
    emulator.seed(urns, default=True)
    return urns


@pytest.mark.parametrize("count", [0, 1, 450])
def test_http_1_0(browser: httpx2.Client, emulator: Emulator, count: int) -> None:
    """Over HTTP/1.0 a listing is sent with its length, so that a part can't look complete."""
    urns = seed(emulator, count)
    status, headers, body = exchange(browser, "GET /stream HTTP/1.0")
    assert ("200", str(len(body))) == (status, headers["content-length"])
    assert ("application/jsonl", "1") == (headers["content-type"], headers["x-mine"])
    assert urns == [json.loads(line)["urn"] for line in body.splitlines()]


@pytest.mark.parametrize("page", ["1", "2", "3"])
def test_http_1_0_failure(browser: httpx2.Client, emulator: Emulator, page: str) -> None:
    """Over HTTP/1.0 a listing that fails at any page is a problem document."""
    seed(emulator)
    emulator.respond(500, when=lambda request: request.query.get("page", "1") == page)
    status, headers, body = exchange(browser, "GET /stream HTTP/1.0")
    assert ("502", "application/problem+json") == (status, headers["content-type"])
    assert 502 == json.loads(body)["status"]


@pytest.mark.parametrize("excess", [0, 1])
def test_http_1_0_bound(emulator: Emulator, caplog: pytest.LogCaptureFixture, excess: int) -> None:
    """Over HTTP/1.0 a listing that is longer than the bound is a problem document."""
    seed(emulator)
    with serve(make_app(emulator.url, token=emulator.token)) as browser:
        length = len(browser.get("/stream").content)
        status, headers, body = exchange(browser, f"GET /bounded?most={length - excess} HTTP/1.0")
        assert length == len(browser.get(f"/bounded?most={length - excess}").content)
    assert str(len(body)) == headers["content-length"]
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    if not excess:
        assert ("200", length, []) == (status, len(body), records)
        return
    detail = f"the listing is longer than the {length - 1} bytes allowed over HTTP/1.0"
    assert ("505", "application/problem+json") == (status, headers["content-type"])
    assert (505, detail) == (json.loads(body)["status"], json.loads(body)["detail"])
    (record,) = records
    assert f"GET /bounded: {detail}; set proxy_http_version 1.1" == record.getMessage()
    assert (505, None) == (vars(record)["do_status"], vars(record)["do_error"])


def test_http_1_0_bound_ends_the_listing(emulator: Emulator) -> None:
    """No page is requested once the bound is exceeded."""
    seed(emulator, 5000)
    with serve(make_app(emulator.url, token=emulator.token)) as browser:
        assert "505" == exchange(browser, "GET /bounded?most=1 HTTP/1.0")[0]
    assert 1 == len(emulator.requests)


@pytest.mark.anyio
async def test_wrong_paginators() -> None:
    """Anything but the paginator of an `AsyncClient` is refused at once, with what to pass."""
    alone = "pass client.projects.list_resources(…) itself, without collect()"
    with Client("token", base_url="http://127.0.0.1:1") as client:
        blocking, listing = client.projects, AsyncClient("token").projects
        wrong: list[tuple[Any, str]] = [
            (
                blocking.list(),
                "got Paginator; declare `client: AsyncClientDep`, whose listings are",
            ),
            (blocking.resources_by_project(), "got Inventory; only the listing of one project"),
            (listing.resources_by_project(), "got AsyncInventory; only the listing of one project"),
            (listing.list().collect(), f"got coroutine; {alone}"),
            (listing.list().pages(), f"got _Pages; {alone}"),
            ([], f"got list; {alone}"),
        ]
        for paginator, reason in wrong:
            with pytest.raises(TypeError) as caught:
                JSONLinesResponse(paginator)
            assert str(caught.value).startswith(f"paginator must be an AsyncPaginator, {reason}")
    request = Request({"type": "http"})
    with pytest.raises(TypeError, match="work must be awaitable, got list; pass the call of a"):
        await until_disconnected(request, [])  # type: ignore[arg-type]  # it is the point


@pytest.mark.parametrize("most", [0, -1, 1.5, True])
def test_bad_bound(most: Any) -> None:
    """The bound must be an integer of at least 1."""
    paginator = AsyncClient("token").projects.list()
    with pytest.raises((TypeError, ValueError), match="max_http10_body"):
        JSONLinesResponse(paginator, max_http10_body=most)


def test_default_bound() -> None:
    """The bound is 16 MiB by default."""
    assert (
        16 * 1024 * 1024 == JSONLinesResponse(AsyncClient("token").projects.list())._max_http10_body
    )


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_head(browser: httpx2.Client, emulator: Emulator, version: str) -> None:
    """A HEAD request reads the first page only, and has the headers of a GET."""
    seed(emulator)
    status, headers, body = exchange(browser, f"HEAD /stream HTTP/{version}")
    assert ("200", "application/jsonl", b"") == (status, headers["content-type"], body)
    assert 1 == len(emulator.requests)
    emulator.respond(404)
    assert "404" == exchange(browser, f"HEAD /stream HTTP/{version}")[0]


def zipped(emulator: Emulator) -> FastAPI:
    app = make_app(emulator.url, token=emulator.token)
    app.add_middleware(GZipMiddleware)
    return app


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_gzip(emulator: Emulator, version: str) -> None:
    """A compressed listing is complete, and over HTTP/1.0 has its length."""
    urns = seed(emulator)
    with serve(zipped(emulator)) as browser:
        _, headers, body = exchange(browser, f"GET /stream HTTP/{version}")
    assert "gzip" == headers["content-encoding"]
    if version == "1.1":
        assert "chunked" == headers["transfer-encoding"]
        assert body.endswith(b"\r\n0\r\n\r\n")
    else:
        assert str(len(body)) == headers["content-length"]
        text = gzip.decompress(body)
        assert urns == [json.loads(line)["urn"] for line in text.splitlines()]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_gzip_failure(emulator: Emulator, version: str) -> None:
    """A compressed listing that fails is an incomplete response, too."""
    seed(emulator)
    emulator.respond(500, when=lambda request: request.query.get("page") == "3")
    with serve(zipped(emulator)) as browser:
        status, headers, body = exchange(browser, f"GET /stream HTTP/{version}")
    if version == "1.1":
        assert ("200", "chunked") == (status, headers["transfer-encoding"])
        assert not body.endswith(b"0\r\n\r\n")
    else:
        assert "502" == status


@pytest.mark.parametrize("fails", [False, True])
def test_http_1_0_behind_middleware(emulator: Emulator, *, fails: bool) -> None:
    """Over HTTP/1.0, a middleware that hides failed streams does no harm."""
    urns = seed(emulator)
    if fails:
        emulator.respond(500, when=lambda request: request.query.get("page") == "3")
    app = make_app(emulator.url, token=emulator.token)
    behind_middleware(app)
    with serve(app) as browser:
        status, headers, body = exchange(browser, "GET /stream HTTP/1.0")
    assert str(len(body)) == headers["content-length"]
    assert ("502" if fails else "200") == status
    assert fails or urns == [json.loads(line)["urn"] for line in body.splitlines()]


def test_until_disconnected(browser: httpx2.Client, emulator: Emulator) -> None:
    """A connected caller receives the result, or the error."""
    emulator.seed(["do:droplet:1"], default=True)
    assert 1 == browser.get("/count").json()
    emulator.respond(412, {"message": "Not now"})
    assert 412 == browser.get("/count").status_code


def get(browser: httpx2.Client, path: str, version: str = "1.1") -> socket.socket:
    """Return a connection after a request was sent on it."""
    return send(browser, f"GET {path} HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())


def send(browser: httpx2.Client, request: bytes) -> socket.socket:
    """Return a connection after these bytes were sent on it."""
    connection = socket.create_connection((browser.base_url.host, browser.base_url.port), 20)
    connection.sendall(request)
    return connection


PART_OF_A_BODY = [
    b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n",
    b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc",
    b"POST /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"POST /count HTTP/1.0\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc",
]


def behind_middleware(app: FastAPI) -> None:
    @app.middleware("http")
    async def pass_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)


@pytest.mark.parametrize("request_text", PART_OF_A_BODY)
@pytest.mark.parametrize("middleware", [False, True])
def test_body_that_does_not_end(
    emulator: Emulator, request_text: bytes, *, middleware: bool
) -> None:
    """The response doesn't wait for a body that the endpoint doesn't read."""
    app = make_app(emulator.url, token=emulator.token)
    if middleware:
        behind_middleware(app)
    seed(emulator, 3)
    with serve(app) as browser, send(browser, request_text) as connection:
        received = b""
        while not received.endswith(b"\r\n\r\n3"):
            piece = connection.recv(65536)
            assert piece
            received += piece
    assert b"200" == received.split()[1]


@pytest.mark.parametrize("request_text", PART_OF_A_BODY)
def test_sender_leaves_in_the_body(request_text: bytes, silent_server: SilentServer) -> None:
    """When the sender leaves before the end of the body, the work is cancelled."""
    with serve(make_app(silent_server.url)) as browser, send(browser, request_text) as connection:
        upstream = silent_server.requested()
        connection.close()
        assert has_left(upstream)


def test_large_body(silent_server: SilentServer) -> None:
    """A body that the endpoint doesn't read isn't kept in memory."""
    piece, count = bytes(1 << 20), 48
    head = "POST /count HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {count * len(piece)}\r\n\r\n"
    with serve(make_app(silent_server.url)) as browser, send(browser, head.encode()) as connection:
        upstream = silent_server.requested()
        tracemalloc.start()
        try:
            for _ in range(count):
                connection.sendall(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        connection.close()
        assert has_left(upstream)
    assert peak < 8 * len(piece)


def test_body_that_was_read(browser: httpx2.Client, emulator: Emulator) -> None:
    """A body that was read before is kept, whatever its size."""
    seed(emulator, 3)
    words = ["word"] * 100_000
    assert [words, words] == browser.post("/read", json=words).json()


def has_left(connection: socket.socket) -> bool:
    with connection:
        return b"" == connection.recv(65536)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/stream", "/count"])
def test_reader_leaves_at_once(
    path: str, version: str, silent_server: SilentServer, caplog: pytest.LogCaptureFixture
) -> None:
    """When the reader leaves before the first page, its request is cancelled."""
    with serve(make_app(silent_server.url)) as browser, get(browser, path, version) as reader:
        upstream = silent_server.requested()
        reader.close()
        assert has_left(upstream)
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


def first_of_17_pages() -> bytes:
    resource = {"urn": "do:droplet:1"}
    pages = {"next": "https://x/?page=2", "last": "https://x/?page=17"}
    document = {"resources": [resource], "links": {"pages": pages}, "meta": {"total": 17}}
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_reader_leaves_a_stream(
    version: str, silent_server: SilentServer, caplog: pytest.LogCaptureFixture
) -> None:
    """When the reader leaves, all pending requests are cancelled, and no more are sent."""
    with serve(make_app(silent_server.url)) as browser, get(browser, "/stream", version) as reader:
        first = silent_server.requested()
        first.sendall(first_of_17_pages())
        received = b""
        while version == "1.1" and b"do:droplet:1" not in received:
            received += reader.recv(65536)
        # Pages 2 to 17, one of them on the first connection.
        assert first.recv(65536)
        upstream = [first, *(silent_server.requested() for _ in range(15))]
        reader.close()
        assert [True] * 16 == [has_left(connection) for connection in upstream]
    assert [] == [record for record in caplog.records if record.levelno >= logging.WARNING]


BODY = {"type": "http.request", "body": b"abc", "more_body": False}
LEFT = {"type": "http.disconnect"}


def make_request(*messages: Any) -> Request:
    """Return a request that receives these messages, or raises these errors, and then blocks."""
    left = iter(messages)

    async def receive() -> MutableMapping[str, Any]:
        for message in left:
            if isinstance(message, Exception):
                raise message
            return dict(message)
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http"}, receive)


class Work:
    """An endless piece of work, whose cancellation takes a moment."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = False

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.ended = True


@pytest.mark.anyio
async def test_cancellation() -> None:
    """A cancellation of the wait cancels the work, and the watch for the disconnection."""
    before, work = asyncio.all_tasks(), Work()
    waiting = asyncio.create_task(until_disconnected(make_request(BODY), work()))
    await work.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.ended
    assert before == asyncio.all_tasks()


@pytest.mark.anyio
@pytest.mark.parametrize("messages", [(LEFT,), (BODY, LEFT)])
async def test_reader_has_left(messages: tuple[Any, ...]) -> None:
    """After a disconnection in the body, the work has ended before the error is raised."""
    before, work = asyncio.all_tasks(), Work()
    with pytest.raises(ClientDisconnect):
        await until_disconnected(make_request(*messages), work())
    assert work.ended == work.begun.is_set()
    assert before == asyncio.all_tasks()


@pytest.mark.anyio
async def test_body_was_read() -> None:
    """A body that was read before can still be read later."""
    request = make_request(BODY)
    assert b"abc" == await request.body()
    assert b"abc" == await until_disconnected(request, request.body())
    assert b"abc" == await request.body()


@pytest.mark.anyio
async def test_body_was_dropped() -> None:
    """A body that was not read before can't be read later, not even in part."""
    request = make_request({**BODY, "more_body": True}, BODY)
    with pytest.raises(RuntimeError, match="Stream consumed"):
        await until_disconnected(request, request.body())
    with pytest.raises(RuntimeError, match="Stream consumed"):
        await request.body()


@pytest.mark.anyio
async def test_body_was_a_stream() -> None:
    """A body that was read in parts is not read again."""
    request = make_request(BODY, LEFT)
    assert [b"abc", b""] == [part async for part in request.stream()]
    with pytest.raises(ClientDisconnect):
        await until_disconnected(request, Work()())


@pytest.mark.anyio
async def test_server_fails() -> None:
    """An error of the server is not taken for a disconnection."""
    with pytest.raises(ValueError, match="broken"):
        await until_disconnected(make_request(BODY, ValueError("broken")), Work()())


@pytest.mark.anyio
async def test_failures_leave_no_cycles() -> None:
    """A failure leaves no reference cycles."""

    class Failure(Exception):  # noqa: N818 - it is one
        pass

    async def fail() -> None:
        raise raised.pop()

    for as_task in (False, True):
        raised = [Failure()]
        forgotten = weakref.ref(raised[0])
        work = asyncio.ensure_future(fail()) if as_task else fail()
        with pytest.raises(Failure):
            await until_disconnected(make_request(BODY), work)
        del work
        # The loop still refers to its last callback.
        await asyncio.sleep(0)
        assert forgotten() is None


async def stream(emulator: Emulator, send: Any, *messages: Any) -> BackgroundTask:
    """Send a listing of 450 resources, with a background task."""
    done: list[int] = []
    request = make_request(*messages)
    async with AsyncClient(emulator.token, base_url=emulator.url) as client:
        response = JSONLinesResponse(client.projects.list_resources())
        response.background = BackgroundTask(done.append, 1)
        await response(request.scope, request.receive, send)
    assert [1] == done
    return response.background


@pytest.mark.anyio
async def test_background(emulator: Emulator) -> None:
    """The background task of an endpoint runs after the stream."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await stream(emulator, send)
    assert [200, b"", b""] == [message.get("body", message.get("status")) for message in sent]


@pytest.mark.anyio
async def test_reader_has_left_before_the_stream(emulator: Emulator) -> None:
    """A disconnection before the stream gives a response, for the middleware."""
    emulator.fail(faults.Silence())
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await stream(emulator, send, LEFT)
    assert 499 == sent[0]["status"]


@pytest.mark.anyio
@pytest.mark.parametrize("http_version", ["2", "3"])
async def test_later_versions(emulator: Emulator, http_version: str) -> None:
    """Over HTTP/2 and later a listing is streamed, and a failed one has no last message."""
    seed(emulator)
    emulator.respond(500, when=lambda request: request.query.get("page") == "3")
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "http_version": http_version}
    once = RetryPolicy(attempts=1)
    async with AsyncClient(emulator.token, base_url=emulator.url, retry=once) as client:
        response = JSONLinesResponse(client.projects.list_resources())
        with pytest.raises(ServerError):
            await response(scope, make_request().receive, send)
    assert [True, True] == [message["more_body"] for message in sent[1:]]


@pytest.mark.anyio
async def test_error_of_a_session_factory() -> None:
    """An `OSError` from elsewhere than the server is not taken for a disconnection."""

    def fail() -> Any:
        raise PermissionError("no certificate")

    async def send(message: Any) -> None:
        raise AssertionError(message)

    request = make_request()
    async with AsyncClient("token", session_factory=fail) as client:
        response = JSONLinesResponse(client.projects.list())
        with pytest.raises(PermissionError):
            await response(request.scope, request.receive, send)


@pytest.mark.anyio
async def test_reader_shows_in_sending(emulator: Emulator) -> None:
    """An error of the server in sending counts as a disconnection."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        raise OSError

    await stream(emulator, send)
    assert ["http.response.start"] == [message["type"] for message in sent]
