"""Where the token could show, and doesn't."""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import pickle
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientError, ClientSession, TraceConfig

from digitalocean_projects import (
    URN,
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    AssignmentError,
    AsyncClient,
    AuthenticationError,
    Client,
    ClientUsageError,
    InventoryError,
    Limits,
    ProjectLookupError,
    Resource,
    RetryPolicy,
)
from digitalocean_projects._described import Request
from digitalocean_projects._messages import Secret
from digitalocean_projects._session.transport import Answer
from tests.exposure import exposed, messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

LISTING = "/v2/projects/default/resources?page=1&per_page=200"
SECRET = "swordfish"  # noqa: S105 - of nothing
YOURS = "a hook or session of yours raised an exception: "


async def refused(client: AsyncClient) -> Exception:
    """The exception that listing raises."""
    async with client:
        with pytest.raises((APIError, ClientUsageError)) as caught:
            await client.projects.list_resources().first_page()
    return caught.value


ECHO = b"X-Request-Id: TOKEN\r\nX-Echo: TOKEN\r\n"
OK = b"HTTP/1.1 200 TOKEN\r\nSet-Cookie: a=TOKEN\r\n" + ECHO
MESSAGE = b'\r\n{"id": "TOKEN", "message": "TOKEN", "request_id": "TOKEN"}'
FAULTS = {
    "closed": b"",
    "cut off": OK + b"Content-Length: 99\r\n\r\n{TOKEN",
    "cut off in the headers": OK + b"X: TOKEN",
    "no HTTP": b"SSH-2.0-TOKEN\r\n",
    "bad header": OK + b"TOKEN\r\n\r\n",
    "bad chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nTOKEN\r\n",
    "bad compression": OK + b"Content-Encoding: gzip\r\n\r\nTOKEN",
    "large header": OK + b"X: " + b"TOKEN" * 10_000,
    "large body": OK + b"\r\n" + b"TOKEN" * 10_000,
    "no JSON": OK + b"\r\n{TOKEN",
    "another document": OK + b'\r\n{"TOKEN": "TOKEN", "resources": [{"urn": "TOKEN"}]}',
    "long URNs": OK
    + b'\r\n{"resources": ['
    + b",".join(b'{"urn": "%sTOKEN\'"}' % (b"x" * n) for n in (430, 450, 1))
    + b"]}",
    "another type": OK + b'\r\n{"TOKEN": "TOKEN", "resources": "TOKEN"}',
    "redirect": b"HTTP/1.1 302 ?\r\nLocation: http://[TOKEN\r\n" + ECHO + MESSAGE,
    "bad request": b"HTTP/1.1 400 ?\r\n" + ECHO + MESSAGE,
    "bad token": b"HTTP/1.1 401 ?\r\nWWW-Authenticate: TOKEN\r\n" + ECHO + MESSAGE,
    "forbidden": b"HTTP/1.1 403 ?\r\n" + ECHO + MESSAGE,
    "rate limit": b"HTTP/1.1 429 ?\r\nRetry-After: TOKEN\r\n" + ECHO + MESSAGE,
    "server error": b"HTTP/1.1 500 TOKEN\r\n" + ECHO + b"\r\nTOKEN",
}


@pytest.mark.parametrize("data", FAULTS.values(), ids=FAULTS)
async def test_token_after_fault(make_either: MakeClient, emulator: Emulator, data: bytes) -> None:
    """Nothing foreign stays behind an error, and nothing about it shows the token.

    Not even where the server repeats the token, and the traceback shows local variables.
    """
    emulator.respond_raw(data.replace(b"TOKEN", emulator.token.encode()))
    error = await refused(make_either(max_body=50_000))
    assert (None, None) == (error.__cause__, error.__context__)
    assert not any(emulator.token in text for text in exposed(error))


async def test_token_that_needs_escapes(emulator: Emulator) -> None:
    """A token with quotes and backslashes is hidden in a URN that an error quotes."""
    token = "a'b\"c\\d"  # noqa: S105 - one of no account
    emulator.respond(200, {"resources": [{"urn": f"{token}:'{token}' \u2028"}]})
    async with AsyncClient(token, base_url=emulator.url) as client:
        with pytest.raises(APIResponseError) as caught:
            await client.projects.list_resources().first_page()
    reason = """resources[0]: expected a URN of the form do:TYPE:ID, got "***:'***' \""""
    assert reason == caught.value.reason


@pytest.mark.parametrize("token", ["my-secret-token", "sword", "a'b\"c\\d", "x" * 300])
async def test_token_of_a_project(emulator: Emulator, token: str) -> None:
    """A client's own token, of any form, shows in no text about a project that the API sent."""
    async with AsyncClient(token, base_url=emulator.url) as client:
        for name, text in (("web", "web"), (token, "***")):
            projects = [{"id": token, "name": name}, {"id": f"{'y' * 400} {token}", "name": name}]
            emulator.respond(200, {"projects": projects})
            with pytest.raises(ProjectLookupError) as lookup:
                await client.projects.find(name)
            shown = f"2 projects are named {text!r}: ***, yyy"
            assert str(lookup.value).startswith(shown)
            assert text == lookup.value.name
            assert token[:50] not in f"{lookup.value!r} {lookup.value.args}"
        projects = [{"id": token, "name": token}, {"id": "x", "name": f"{'y' * 190} {token}"}]
        emulator.respond(200, {"projects": projects})
        with pytest.raises(InventoryError) as inventory:
            async for _ in client.projects.resources_by_project():
                pass
        assert """'***': expected the id of a project to be a UUID, got "***\"""" in str(
            inventory.value
        )
        assert token[:50] not in f"{inventory.value!r} {inventory.value.args}"
        for _, error in inventory.value.failures:
            assert token not in " ".join(messages(error))
    for raised in (lookup.value, inventory.value):
        assert str(raised) == str(copy.copy(raised))
        assert "secret" not in vars(raised)


@pytest.mark.parametrize("name", ["no JSON", "server error", "cut off"])
async def test_token_after_chunk(make_either: MakeClient, emulator: Emulator, name: str) -> None:
    """The same goes for the error of an assignment that was done in part, and its cause."""
    urns = ["do:droplet:1", "do:droplet:2"]
    emulator.respond(200, {"resources": [], "x": emulator.token}, {"X-Echo": emulator.token})
    emulator.respond_raw(FAULTS[name].replace(b"TOKEN", emulator.token.encode()))
    async with make_either() as client:
        with pytest.raises(AssignmentError) as caught:
            await client.projects.assign_resources("default", urns, chunk_size=1, concurrency=1)
    assert not any(emulator.token in text for text in exposed(caught.value))


@pytest.mark.parametrize("close", [True, False])
async def test_token_after_cancellation(emulator: Emulator, *, close: bool) -> None:
    """Nor does it show where the wait for the rest of an answer is ended."""
    begun = asyncio.Event()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = OK + b"Content-Length: 999\r\n\r\n{TOKEN"
        writer.write(answer.replace(b"TOKEN", emulator.token.encode()))
        await asyncio.sleep(0.05)
        begun.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        base_url = "http://{}:{}".format(*server.sockets[0].getsockname())
        async with AsyncClient(emulator.token, base_url=base_url) as client:
            request = asyncio.ensure_future(client.projects.list_resources().first_page())
            await begun.wait()
            if close:
                await client.aclose()
            else:
                request.cancel()
            with pytest.raises((ClientUsageError, asyncio.CancelledError)) as caught:
                await request
    assert close == isinstance(caught.value, ClientUsageError)
    assert not any(emulator.token in text for text in exposed(caught.value))


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
def test_repr(client_class: Callable[[str], AsyncClient | Client]) -> None:
    """A client and the objects that refer to it don't show the token."""
    client = client_class(SECRET)
    for value in (client, client.projects, client.projects.list_resources()):
        assert SECRET not in repr(value)


def test_answer() -> None:
    """An answer shows no header and nothing of its body, where a server may repeat the token."""
    request = Request(method="GET", path="/")
    answer = Answer(
        request=request,
        status=200,
        headers={"X": SECRET},
        body=SECRET.encode(),
        secret=Secret(SECRET),
    )
    assert f"Answer(request={request!r}, status=200)" == repr(answer)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://{refusing}"},
        {"base_url": "https://{answering}"},
        {"base_url": "https://a..b"},
        {"proxy": f"http://user:{SECRET}@{{refusing}}"},
        {"proxy": f"http://user:{SECRET}@{{answering}}", "base_url": "https://api.example"},
        {"timeout": 1e-9},
    ],
    ids=["refused", "no TLS", "no host", "no proxy", "no tunnel", "no time"],
)
async def test_token_without_connection(
    make_either: MakeClient, emulator: Emulator, options: dict[str, Any]
) -> None:
    """The same goes for the token, and a proxy's password, where the API isn't reached."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        addresses = {
            "refusing": "{}:{}".format(*sock.getsockname()),
            "answering": emulator.url.removeprefix("http://"),
        }
        options = {
            name: value.format(**addresses) if isinstance(value, str) else value
            for name, value in options.items()
        }
        error = await refused(make_either(SECRET, **options))
    assert (None, None) == (error.__cause__, error.__context__)
    assert not any(SECRET in text for text in exposed(error))


async def test_token_repeated_by_server(make_either: MakeClient, emulator: Emulator) -> None:
    """Where the server repeats the token, an error's text doesn't."""
    emulator.respond(401, {"message": f"no: {emulator.token}"}, {"X-Request-Id": emulator.token})
    error = await refused(make_either())
    assert f"401: no: *** (GET {LISTING}, request id ***, token passed to the client)" == str(error)
    assert isinstance(error, AuthenticationError)
    assert ("no: ***", "***") == (error.message, error.request_id)


@pytest.mark.parametrize("signal", ["on_request_start", "on_request_end"])
@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (KeyError, (ClientUsageError, f"{YOURS}KeyError: 'a ***'")),
        (RuntimeError, (ClientUsageError, f"{YOURS}RuntimeError: a ***")),
        (OSError, (APIConnectionError, "OSError: a ***")),
        (ClientError, (APIConnectionError, "ClientError: a ***")),
        (TimeoutError, (APITimeoutError, "no complete response from {url} within 30 s")),
    ],
)
async def test_failing_trace(
    make_either: MakeClient,
    emulator: Emulator,
    signal: str,
    raised: type[Exception],
    told: tuple[type[APIError], str],
) -> None:
    """An exception of a hook fails the request, and the error doesn't contain its token."""

    async def fail(_: object, __: object, parameters: Any) -> None:
        token = parameters.headers["Authorization"].removeprefix("Bearer ")
        raise raised(f"a {token}")

    trace = TraceConfig()
    getattr(trace, signal).append(fail)
    error = await refused(make_either(trace_configs=[trace]))
    expected = (told[0], told[1].format(url=emulator.url))
    assert expected == (type(error), str(error).removesuffix(f" (GET {LISTING})"))
    assert (None, None) == (error.__cause__, error.__context__)
    assert not any(emulator.token in text for text in exposed(error))


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
@pytest.mark.parametrize(
    "token",
    [
        f"{SECRET}\n",
        f" {SECRET}",
        f"{SECRET} {SECRET}",
        f"{SECRET}\x00",
        f"{SECRET}é",
        f"dor_v1_{SECRET}",
        SECRET.encode(),
        [SECRET],
    ],
    ids=lambda token: f"{token!r}",
)
def test_bad_token(client_class: Callable[..., object], token: Any) -> None:
    """The error for a malformed token never shows it, even in a traceback with locals."""
    with pytest.raises((TypeError, ValueError), match=r"^token must ") as caught:
        client_class(token)
    assert not any(SECRET in text for text in exposed(caught.value))


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
def test_bad_token_in_environment(
    client_class: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same goes for a token that the environment holds."""
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", f"{SECRET}\n")
    with pytest.raises(ValueError, match="DIGITALOCEAN_TOKEN must be printable ASCII") as caught:
        client_class()
    assert not any(SECRET in text for text in exposed(caught.value))


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "nonsense"},
        {"base_url": 1},
        {"proxy": f"socks5://user:{SECRET}@127.0.0.1"},
        {"proxy": f"http://user:{SECRET}@127.0.0.1:x"},
        {"proxy": f"http://user:{SECRET}"},
        {"proxy": f"http://user:{SECRET}@h", "session_factory": 5},
        {"timeout": 0},
        {"connect_timeout": "1"},
        {"max_body": 0},
        {"user_agent": "\n"},
        {"session_factory": ClientSession, "trace_configs": [TraceConfig()]},
    ],
    ids="-".join,
)
def test_token_beside_bad_argument(
    client_class: Callable[..., object], options: dict[str, Any]
) -> None:
    """A good token, or a proxy's password, isn't shown when another argument is wrong."""
    with pytest.raises((ValueError, TypeError)) as caught:
        client_class(f"dop_v1_{SECRET}", **options)
    assert not any(SECRET in text for text in exposed(caught.value))


TOKEN = "dop_v1_" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "call",
    [
        *(
            lambda _, value, name=name: AsyncClient("x", **{name: value})
            for name in inspect.signature(AsyncClient).parameters
            if name not in {"allow_insecure", "clock", "token", "trace_configs"}
        ),
        lambda client, value: client.with_options(timeout=value),
        lambda client, value: client.with_options(limits=value),
        lambda _, value: AsyncClient("x", base_url=f"https://{value}@host"),
        lambda _, value: AsyncClient("x", base_url=f"http://host/{value}"),
        lambda _, value: AsyncClient("x", proxy=f"http://{value}@host/x"),
        *(lambda _, value, name=name: Limits(**{name: value}) for name in ("windows", "margin")),
        lambda _, value: Limits(windows=[(value, 1.0)]),
        lambda _, value: RetryPolicy(attempts=value),
        lambda _, value: URN.parse(value),
        lambda _, value: URN(f"'{value}'", "1"),
        lambda _, value: URN("droplet", f"'{value}'"),
        lambda _, value: URN.of(value),
        lambda _, value: Resource(value),
        lambda client, value: client.projects.list(per_page=value),
        lambda client, value: client.projects.list(concurrency=value),
        lambda client, value: client.projects.list(max_pages=value),
        lambda client, value: client.projects.list_resources(value),
        lambda client, value: client.projects.get(value),
        lambda client, value: client.projects.create(value, "x"),
        lambda client, value: client.projects.create("x", value),
        lambda client, value: client.projects.create("x", "x", description=value),
        lambda client, value: client.projects.create("x", "x", environment=value),
        lambda client, value: client.projects.patch("default", name=value),
        lambda client, value: client.projects.patch("default", is_default=value),
        lambda client, value: client.projects.delete(value),
        lambda client, value: client.projects.delete(str(URN), wait=value),
        lambda client, value: client.projects.assign_resources(value, []),
        lambda client, value: client.projects.assign_resources("default", value),
        lambda client, value: client.projects.assign_resources("default", [value]),
        lambda client, value: client.projects.assign_resources("default", [], chunk_size=value),
        lambda client, value: client.projects.reconcile("default", [], dry_run=value),
        lambda client, value: client.projects.wait_until_assigned("default", [], timeout=value),
    ],
)
def test_token_as_another_argument(call: Callable[..., Any], emulator: Emulator) -> None:
    """A token that is passed as another argument is refused, and not repeated."""
    with Client(emulator.token, base_url=emulator.url) as client:
        for value in (TOKEN, f"Bearer {TOKEN}", f"x\n{TOKEN}", TOKEN.upper(), [TOKEN]):
            with pytest.raises((ValueError, TypeError)) as caught:
                call(client, value)
            assert not any("0123456789" in text for text in messages(caught.value))
    assert [] == emulator.requests


def test_token_as_name(emulator: Emulator) -> None:
    """Nor is a token repeated that was looked for as a project's name."""
    with (
        Client(emulator.token, base_url=emulator.url) as client,
        pytest.raises(ProjectLookupError, match=r"no project is named '\*\*\*'") as caught,
    ):
        client.projects.find(TOKEN)
    assert not any(TOKEN in text for text in messages(caught.value))
    assert TOKEN.encode() not in pickle.dumps(caught.value)


WITHOUT_EXTENSIONS = """
import sys
from aiohttp import http_writer
from digitalocean_projects import Client

assert http_writer._serialize_headers is http_writer._py_serialize_headers
token, url = sys.argv[1:]
with Client(token, base_url=url) as client:
    print(client.projects.list().first_page().total)
"""


@pytest.mark.process
def test_token_without_extensions(emulator: Emulator) -> None:
    """The token is sent whole also by aiohttp's writer in Python, which formats it."""
    arguments = [sys.executable, "-c", WITHOUT_EXTENSIONS, emulator.token, emulator.url]
    variables = {"AIOHTTP_NO_EXTENSIONS": "1", "MULTIDICT_NO_EXTENSIONS": "1"}
    environment = {**os.environ, **variables, "YARL_NO_EXTENSIONS": "1"}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert "1\n" == done.stdout
