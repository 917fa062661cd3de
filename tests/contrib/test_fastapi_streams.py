"""Streams: listings as JSON lines, and an end for work whose reader has left."""

import asyncio
import json
import logging
import socket
import weakref
from collections.abc import Iterator, MutableMapping
from functools import partial
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

from digitalocean_projects import AsyncClient, RetryPolicy
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
    """An application that streams and counts."""
    once = RetryPolicy(attempts=1)
    make = partial(AsyncClient, token, base_url=url, limits=None, retry=once)
    app = FastAPI(lifespan=client_lifespan(make), exception_handlers=exception_handlers)

    @app.get("/stream")
    async def stream(client: AsyncClientDep) -> JSONLinesResponse:
        return JSONLinesResponse(client.projects.list_resources(), headers={"x-mine": "1"})

    @app.get("/projects")
    async def projects(client: AsyncClientDep) -> JSONLinesResponse:
        return JSONLinesResponse(client.projects.list(), status_code=203)

    @app.get("/count")
    async def count(client: AsyncClientDep, request: Request) -> int:
        listing = client.projects.list_resources().collect()
        return len(await until_disconnected(request, listing))

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
    """Projects can be streamed, too, and under another status."""
    answer = browser.get("/projects")
    assert 203 == answer.status_code
    assert [emulator.default_project_id] == [line["id"] for line in lines(answer)]


def test_nothing(browser: httpx2.Client) -> None:
    """What holds nothing has no line."""
    answer = browser.get("/stream")
    assert (200, "") == (answer.status_code, answer.text)


def test_failure_before_the_first_page(browser: httpx2.Client, emulator: Emulator) -> None:
    """What fails before anything was sent is answered as everywhere."""
    emulator.respond(404, {"id": "not_found", "message": "No such project"})
    answer = browser.get("/stream")
    assert (404, "No such project") == (answer.status_code, answer.json()["detail"])


def test_failure_behind(browser: httpx2.Client, emulator: Emulator) -> None:
    """What fails later breaks the connection off, so that nobody takes a part for the whole."""
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


def test_until_disconnected(browser: httpx2.Client, emulator: Emulator) -> None:
    """Who stays has the result, or the error."""
    emulator.seed(["do:droplet:1"], default=True)
    assert 1 == browser.get("/count").json()
    emulator.respond(412, {"message": "Not now"})
    assert 412 == browser.get("/count").status_code


def get(browser: httpx2.Client, path: str) -> socket.socket:
    """A connection on which something is asked."""
    connection = socket.create_connection((browser.base_url.host, browser.base_url.port), 20)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def has_left(connection: socket.socket) -> bool:
    with connection:
        return b"" == connection.recv(65536)


@pytest.mark.parametrize("path", ["/stream", "/count"])
def test_reader_leaves_at_once(
    path: str, silent_server: SilentServer, caplog: pytest.LogCaptureFixture
) -> None:
    """When nobody waits for the first page any more, its request is cancelled."""
    with serve(make_app(silent_server.url)) as browser, get(browser, path) as reader:
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


def test_reader_leaves_a_stream(
    silent_server: SilentServer, caplog: pytest.LogCaptureFixture
) -> None:
    """When the reader leaves, all requests under way are cancelled, and no more are sent."""
    with serve(make_app(silent_server.url)) as browser, get(browser, "/stream") as reader:
        first = silent_server.requested()
        first.sendall(first_of_17_pages())
        received = b""
        while b"do:droplet:1" not in received:
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
    """A request whose server has these messages, or raises them, and then no more."""
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
    """What takes for ever, and a moment more when it is cancelled."""

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
    """Who cancels the wait cancels the work, and the look-out for the reader."""
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
    """Also while the body was still to come, the work has ended when that is told."""
    before, work = asyncio.all_tasks(), Work()
    with pytest.raises(ClientDisconnect):
        await until_disconnected(make_request(*messages), work())
    assert work.ended == work.begun.is_set()
    assert before == asyncio.all_tasks()


@pytest.mark.anyio
async def test_body_can_be_read_later() -> None:
    """To look out for the reader takes nothing of the body away."""
    request = make_request(BODY)

    async def work() -> int:
        return 5

    assert 5 == await until_disconnected(request, work())
    assert b"abc" == await request.body()


@pytest.mark.anyio
async def test_body_was_a_stream() -> None:
    """A body that was read part by part is not asked for again."""
    request = make_request(BODY, LEFT)
    assert [b"abc", b""] == [part async for part in request.stream()]
    with pytest.raises(ClientDisconnect):
        await until_disconnected(request, Work()())


@pytest.mark.anyio
async def test_server_fails() -> None:
    """What goes wrong in the server is no reader's leave."""
    with pytest.raises(ValueError, match="broken"):
        await until_disconnected(make_request(BODY, ValueError("broken")), Work()())


@pytest.mark.anyio
async def test_failures_leave_no_cycles() -> None:
    """What failed is forgotten at once, with all that its frames hold."""

    class Failure(Exception):  # noqa: N818 - it is one
        pass

    raised = [Failure()]
    forgotten = weakref.ref(raised[0])

    async def fail() -> None:
        raise raised.pop()

    with pytest.raises(Failure):
        await until_disconnected(make_request(BODY), fail())
    # The loop holds what it has just run.
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
    """What an endpoint has left for later is done behind the stream."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await stream(emulator, send)
    assert [200, b"", b""] == [message.get("body", message.get("status")) for message in sent]


@pytest.mark.anyio
async def test_reader_has_left_before_the_stream(emulator: Emulator) -> None:
    """Who has left before anything was sent gets an answer all the same, for what is between."""
    emulator.fail(faults.Silence())
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await stream(emulator, send, LEFT)
    assert 499 == sent[0]["status"]


@pytest.mark.anyio
async def test_reader_shows_in_sending(emulator: Emulator) -> None:
    """A server may tell by an error in sending that the reader has left."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        raise OSError

    await stream(emulator, send)
    assert ["http.response.start"] == [message["type"] for message in sent]
