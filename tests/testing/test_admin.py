"""The operations under `/_emulator/`, the page at `/`, and the guard of both."""

from __future__ import annotations

import contextlib
import html
import http.client
import json
import shlex
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from digitalocean_projects import Client
from digitalocean_projects.testing import Emulator, RecordedRequest, faults
from digitalocean_projects.testing._guard import problem_of_caller
from digitalocean_projects.testing._page import page

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Call, Reply

WEB = '{"kind":"project","name":"web"}\n{"urn":"do:droplet:1"}\n'


@pytest.fixture
def control(call: Call) -> Callable[..., Reply]:
    """Return a function that calls an operation of the emulator, without a token by default."""

    def control(method: str, name: str, body: object = None, token: str | None = None) -> Reply:
        authorization = None if token is None else f"Bearer {token}"
        content = body.encode() if isinstance(body, str) else body
        return call(method, f"/_emulator/{name}", content, authorization=authorization)

    return control


def test_attach(emulator: Emulator, control: Callable[..., Reply]) -> None:
    """A reserved IP is attached to a Droplet, in the account of the token."""
    ip, droplet = "do:floatingip:192.0.2.1", "do:droplet:1"
    tenant = emulator.add_account()
    for each, token in ((emulator, None), (tenant, tenant.token)):
        shop = each.seed([droplet], name="shop")
        each.seed([ip], default=True)
        assert 204 == control("POST", "attach", {"resource": ip, "to": droplet}, token).status
        assert {ip, droplet} == set(each.resources(shop))
    for wrong in ({"resource": ip}, {"resource": ip, "to": 1}, {"resource": ip, "to": "x"}):
        assert 400 == control("POST", "attach", wrong).status
    reply = control("POST", "attach", {"resource": droplet, "to": ip})
    assert 400 == reply.status


def test_state_and_seed(emulator: Emulator, control: Callable[..., Reply]) -> None:
    """The state can be read, added to and replaced; a token selects its account."""
    tenant = emulator.add_account()
    assert 204 == control("POST", "seed", WEB).status
    assert 204 == control("POST", "seed", "\ufeff" + WEB, tenant.token).status
    assert (1, 1) == tuple(
        sum(len(each.resources(project.id)) for project in each.projects())
        for each in (emulator, tenant)
    )
    whole, one = control("GET", "state"), control("GET", "state", token=tenant.token)
    assert "application/x-ndjson" == whole.headers["Content-Type"]
    assert (emulator.dump(), tenant.dump()) == (whole.body.decode(), one.body.decode())
    assert whole.body == control("GET", "state").body
    assert 204 == control("PUT", "state", '{"urn":"do:droplet:2"}', tenant.token).status
    assert ["do:droplet:2"] == tenant.resources()
    assert 204 == control("PUT", "state", WEB).status
    assert 401 == control("GET", "state", token=tenant.token).status
    assert 200 == control("HEAD", "state").status


def test_reset() -> None:
    """`reset` restores the contents of the start, and nothing of what happened since."""
    first, second = (Emulator(contents=WEB, token="own") for _ in range(2))
    first.add_account("other")
    first.add_token([])
    first.seed(["do:droplet:2"], name="shop")
    first.fail(faults.Reset())
    first.reset()
    assert first.dump() == second.dump()
    assert first.seed(name="new") == second.seed(name="new")
    assert first.projects() == second.projects()
    with first:
        first.reset()
    assert [] == first.requests


def test_tokens_and_accounts(emulator: Emulator, call: Call, control: Callable[..., Reply]) -> None:
    """Accounts and tokens are added and listed, each with its own scopes."""
    created = control("POST", "accounts", {"token": "tenant"})
    assert (201, {"token": "tenant"}) == (created.status, created.document)
    limited = control("POST", "tokens", {"scopes": ["project:read"]}, "tenant").document["token"]
    full = control("POST", "tokens").document["token"]
    assert [403, 201, 200] == [
        call("POST", "/v2/projects", project("a"), authorization=f"Bearer {limited}").status,
        call("POST", "/v2/projects", project("b"), authorization=f"Bearer {full}").status,
        call("GET", "/v2/projects", authorization=f"Bearer {limited}").status,
    ]
    own = [{"token": emulator.token, "scopes": None}, {"token": full, "scopes": None}]
    tenants = [
        {"token": "tenant", "scopes": None},
        {"token": limited, "scopes": ["project:read"]},
    ]
    assert [*own, *tenants] == control("GET", "tokens").document
    assert tenants == control("GET", "tokens", token="tenant").document
    assert [
        {"token": emulator.token, "projects": 2, "resources": 0},
        {"token": "tenant", "projects": 1, "resources": 0},
    ] == control("GET", "accounts").document


def project(name: str) -> dict[str, str]:
    return {"name": name, "purpose": "Web Application"}


def test_faults(emulator: Emulator, call: Call, control: Callable[..., Reply]) -> None:
    """Faults and responses are sent to the requests that they name, as often as they say."""
    for fault in (
        {"fault": "Status", "status": 503, "retry_after": 3, "path": "/v2/projects/*"},
        {"fault": "NotAssigned", "status": "service_down", "urns": ["do:droplet:1"], "times": 2},
        {"response": {"status": 418, "body": "tea", "headers": {"X-Pot": 1}}, "method": "GET"},
        {"response": {"body": {"a": 1}}, "times": None},
    ):
        assert 204 == control("POST", "faults", fault).status
    assert [
        {
            "fault": "Status(status=503, retry_after=3, reset_after=None)",
            "times": 1,
            "method": None,
            "path": "/v2/projects/*",
        },
        {
            "fault": "NotAssigned(status='service_down', urns=frozenset({'do:droplet:1'}))",
            "times": 2,
        },
        {"fault": "response", "times": 1, "method": "GET", "path": None},
        {"fault": "response", "times": None},
    ] == control("GET", "faults").document
    emulator.seed(["do:droplet:1"], default=True)
    first = call("GET", "/v2/projects/default")
    assert (503, "3") == (first.status, first.headers["retry-after"])
    body = {"resources": ["do:droplet:1"]}
    (resource,) = call("POST", "/v2/projects/default/resources", body).document["resources"]
    assert "service_down" == resource["status"]
    tea = call("GET", "/v2/projects")
    assert (418, b"tea", "1") == (tea.status, tea.body, tea.headers["X-Pot"])
    assert [{"a": 1}] * 2 == [call("GET", "/v2/projects").document for _ in range(2)]
    assert 204 == control("DELETE", "faults").status
    assert 200 == call("GET", "/v2/projects").status


def test_operations_ignore_faults_and_limits(control: Callable[..., Reply]) -> None:
    """The operations are answered during a fault, and are neither counted nor recorded."""
    control("POST", "faults", {"fault": "Reset", "times": None})
    assert [] == control("GET", "requests").document


def test_clock(emulator: Emulator, control: Callable[..., Reply]) -> None:
    """The clock can be read and moved forward."""
    before = control("GET", "clock").document
    after = control("POST", "clock", {"jump": 3600}).document
    assert 3600 <= after["seconds"] - before["seconds"] < 3700
    assert emulator.clock.time() >= after["seconds"]
    assert before["date"][:2] == after["date"][:2] == "20"


def test_requests(call: Call, control: Callable[..., Reply]) -> None:
    """The requests to the API are listed without secrets, and can be forgotten."""
    call("POST", "/v2/projects?a=b", b"\xff", headers={"X-Own": "1", "Cookie": "secret"})
    (request,) = control("GET", "requests").document
    assert ("POST", "/v2/projects", {"a": "b"}, "\ufffd") == (
        request["method"],
        request["path"],
        request["query"],
        request["body"],
    )
    assert "1" == request["headers"]["X-Own"]
    assert {"Authorization", "Cookie"}.isdisjoint(request["headers"])
    assert 204 == control("DELETE", "requests").status
    assert [] == control("GET", "requests").document


WRONG: list[tuple[str, str, object, int, str]] = [
    ("GET", "nothing", None, 404, "the path must be /_emulator/ and one of health, state, seed"),
    ("PATCH", "state", None, 405, "the method must be one of GET, PUT"),
    ("POST", "seed", "{", 400, "line 1: invalid JSON"),
    ("POST", "seed", b"\xff", 400, "the body must be UTF-8 text"),
    ("POST", "tokens", "{", 400, "the body must be JSON"),
    ("POST", "tokens", [], 400, "the body must be a JSON object"),
    ("POST", "tokens", {"scope": []}, 400, "the body must have only scopes, token"),
    ("POST", "tokens", {"scopes": "droplet:read"}, 400, "scopes must be a list of strings"),
    ("POST", "tokens", {"scopes": ["droplet"]}, 400, "a scope must have the form"),
    ("POST", "tokens", {"token": 1}, 400, "token must be a string"),
    ("POST", "accounts", {"token": "a b"}, 400, "token must be printable ASCII"),
    ("POST", "clock", {"jump": "1"}, 400, "jump must be a number from 0 to"),
    ("POST", "clock", {"jump": -1}, 400, "jump must be a number from 0 to"),
    ("POST", "clock", {"jump": True}, 400, "jump must be a number from 0 to"),
    ("POST", "clock", {"jump": 1e300}, 400, "jump must be a number from 0 to"),
    ("POST", "faults", {}, 400, "fault must be one of Bomb, Delay"),
    ("POST", "faults", {"fault": "Fault"}, 400, "fault must be one of Bomb, Delay"),
    ("POST", "faults", {"fault": "Status"}, 400, "Status must have a status, which is missing"),
    ("POST", "faults", {"fault": "Status", "status": 99}, 400, "'status' must be >= 100"),
    ("POST", "faults", {"fault": "Html", "status": 1000}, 400, "'status' must be <= 999"),
    ("POST", "faults", {"fault": "Bomb", "size": 1, "status": -5}, 400, "'status' must be >= 100"),
    ("POST", "faults", b'{"fault": "Reset", "times": 1e400}', 400, "times must be an integer"),
    ("POST", "faults", {"response": {}}, 400, "response must be an object with status, body or"),
    ("POST", "faults", {"response": {"code": 1}}, 400, "response must be an object with status"),
    ("POST", "faults", {"response": {"status": 99}}, 400, "status must be an integer from 100 to"),
    (
        "POST",
        "faults",
        {"response": {"headers": {"a": "b\r\nc: d"}}},
        400,
        "headers must be one line",
    ),
    ("POST", "faults", {"response": {"headers": [1]}}, 400, "headers must be an object"),
    ("POST", "faults", {"response": {"headers": {"a b": ""}}}, 400, "headers must be one line"),
    ("POST", "faults", {"fault": "Status", "status": "x"}, 400, "Status has no status 'x'"),
    ("POST", "faults", {"fault": "Status", "status": True}, 400, "Status has no status True"),
    ("POST", "faults", {"fault": "Reset", "size": 1}, 400, "Reset has no size 1"),
    ("POST", "faults", {"fault": "Drip", "seconds": -1}, 400, "seconds must be finite"),
    ("POST", "faults", {"fault": "Reset", "times": 1.5}, 400, "times must be an integer"),
    ("POST", "faults", {"fault": "Reset", "times": 0}, 400, "times must be at least 1"),
    ("POST", "faults", {"fault": "Reset", "path": 1}, 400, "path must be a string"),
    ("POST", "faults", {"response": 1}, 400, "response must be an object"),
    ("POST", "faults", {"response": {"status": "x"}}, 400, "status must be an integer"),
]


@pytest.mark.parametrize(("method", "name", "body", "status", "text"), WRONG)
def test_refused_operations(  # noqa: PLR0917 - parameters
    control: Callable[..., Reply], method: str, name: str, body: Any, status: int, text: str
) -> None:
    """A wrong call is refused with its reason, and changes nothing."""
    before = control("GET", "state").body
    reply = control(method, name, body)
    assert status == reply.status
    assert text in reply.document["message"]
    assert before == control("GET", "state").body
    assert [] == control("GET", "faults").document


ALLOWED = frozenset({"emulator"})
CALLERS = [
    ("localhost:8080", None, True),
    ("LOCALHOST.", None, True),
    ("127.0.0.1", None, True),
    ("[::1]:8080", None, True),
    ("192.0.2.1:8080", None, True),
    ("emulator:8080", None, True),
    ("Emulator", None, True),
    ("app.localhost", None, True),
    (socket.gethostname(), None, True),
    ("", None, False),
    ("", "null", False),
    ("evil.example", None, False),
    ("[::1", None, False),
    ("[::1].evil.example", None, False),
    ("[emulator]", None, False),
    ("a@127.0.0.1", None, False),
    ("127.0.0.1:99999", None, False),
    ("127.0.0.1:", None, False),
    ("localhost.evil.example", None, False),
    ("localhost:8080", "http://localhost:8080", True),
    ("192.0.2.1:8080", "http://192.0.2.1:8080", True),
    ("localhost:8080", "http://localhost:3000", False),
    ("localhost:8080", "http://localhost", False),
    ("localhost:8080", "http://emulator", False),
    ("localhost:8080", "https://localhost:8080", False),
    ("evil.example", "http://evil.example", False),
    ("localhost:8080", "http://203.0.113.5", False),
    ("localhost:8080", "null", False),
    ("localhost:8080", "", False),
]


@pytest.mark.parametrize(("host", "origin", "allowed"), CALLERS)
def test_callers(host: str, origin: str | None, *, allowed: bool) -> None:
    """A web page of another origin is refused, by its `Origin` or by the name in `Host`."""
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    request = attrs.evolve(_request("/_emulator/state"), headers=headers)
    assert allowed == (problem_of_caller(request, ALLOWED) is None)


def test_guard(call: Call) -> None:
    """The guard stands before all operations but the health check, and before the page."""
    foreign = {"Host": "evil.example"}
    statuses = [
        call("GET", path, authorization=None, headers=foreign).status
        for path in ("/", "/_emulator/state", "/_emulator/health")
    ]
    assert [403, 403, 200] == statuses
    headers = {"Origin": "https://evil.example"}
    reply = call("POST", "/_emulator/reset", authorization=None, headers=headers)
    message = reply.document["message"]
    assert "the origin 'https://evil.example' is not allowed; start with --allow-host" in message


def test_guard_of_the_api(emulator: Emulator, call: Call) -> None:
    """A browser reads the API from each origin, but only by an allowed name of the emulator."""
    emulator.fail(faults.Status(503))
    page = {"Host": "evil.example:8080", "Sec-Fetch-Site": "same-origin"}
    for headers in (page, {"Host": "evil.example:8080", "origin": "http://evil.example:8080"}):
        reply = call("GET", "/v2/projects", headers=headers)
        assert (403, None) == (reply.status, reply.headers["Access-Control-Allow-Origin"])
    assert [] == emulator.requests
    assert 503 == call("GET", "/v2/projects", headers={"Host": "evil.example"}).status
    reply = call("GET", "/v2/projects", headers={"Origin": "https://app.example"})
    assert "https://app.example" == reply.headers["Access-Control-Allow-Origin"]


def test_allowed_host() -> None:
    """`allow_hosts` names the emulator in a network of containers; `host` is one of them."""
    emulator = Emulator("Localhost", allow_hosts=["Emulator", "fe80::1"])
    assert {"localhost", "emulator", "fe80::1"} == emulator._site.admin._allowed_hosts


@pytest.mark.parametrize("name", ["", "x:8080", "http://x", "[::1]", "*", "x,y", "x ", ".x"])
def test_wrong_allowed_host(name: str) -> None:
    """An allowed host that no request can name is refused."""
    with pytest.raises(ValueError, match="an allowed host must be a name without scheme and port"):
        Emulator(allow_hosts=["emulator", name])


def test_wrong_hosts() -> None:
    """A single string is not a collection of hosts, and an empty host is not an address."""
    with pytest.raises(TypeError, match="allow_hosts must be a collection of names"):
        Emulator(allow_hosts="emulator")
    with pytest.raises(ValueError, match="host must be an address or a name, got ''"):
        Emulator("")


def test_requests_of_a_browser_itself(emulator: Emulator, call: Call) -> None:
    """The page and its icon use up no fault and aren't recorded; they can only be read."""
    emulator.fail(faults.Status(503))
    statuses = [
        call(method, path, authorization=None).status
        for method, path in (("GET", "/"), ("HEAD", "/"), ("GET", "/favicon.ico"), ("POST", "/"))
    ]
    assert [200, 200, 204, 405] == statuses
    assert [] == emulator.requests
    assert 503 == call("GET", "/").status


def test_page(emulator: Emulator, call: Call) -> None:
    """The page at `/` shows how to reach the emulator by the name that the request used."""
    emulator.seed(["do:droplet:1"], name="web")
    reply = call("GET", "/", authorization=None, headers={"Host": "localhost:1"})
    text = reply.body.decode()
    assert "text/html; charset=utf-8" == reply.headers["Content-Type"]
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "2 projects and 1 resource in\n1 account" in text
    assert "export DIGITALOCEAN_API_URL=http://localhost:1\n" in text
    assert f"export DIGITALOCEAN_ACCESS_TOKEN={emulator.token}\n" in text
    assert "The faults are Bomb, Delay, " in text
    assert "<code>POST /_emulator/clock</code>" in text
    # A request with a token is one to the API, which has no such path.
    assert 404 == call("GET", "/").status


def test_page_is_quoted_for_the_shell() -> None:
    """The page quotes a token that means something else to a shell."""
    text = page("http://localhost:1", strange := "a'b$(c)<", [], [], [])
    assert html.escape(f"export DIGITALOCEAN_TOKEN={shlex.quote(strange)}\n") in text


def test_links_name_the_host_of_the_request(call: Call) -> None:
    """Links lead to the host by which the request came."""
    headers = {"Host": "emulator:8080"}
    links = call("GET", "/v2/projects", headers=headers).document["links"]["pages"]
    assert links["first"].startswith("http://emulator:8080/v2/projects?")


def test_links_without_a_host(emulator: Emulator) -> None:
    """Links lead to the emulator's own URL if a request names no host, as in HTTP/1.0."""
    address = urlsplit(emulator.url)
    with socket.create_connection((address.hostname or "", address.port or 80), 60) as sock:
        head = f"GET /v2/projects HTTP/1.0\r\nAuthorization: Bearer {emulator.token}\r\n\r\n"
        sock.sendall(head.encode())
        with sock.makefile("rb") as stream:
            assert f'"first": "{emulator.url}/v2/projects?'.encode() in stream.read()


def test_latency() -> None:
    """Answers are late by the latency, which differs by at most the jitter."""
    delays = [
        [emulator._site.delay(request) for _ in range(20)]
        for emulator in (Emulator(latency=0.02, jitter=0.01) for _ in range(2))
        for request in [_request("/v2/projects")]
    ]
    assert delays[0] == delays[1]
    assert 0.01 <= min(delays[0]) < max(delays[0]) <= 0.03
    assert 0.0 == Emulator(latency=0.02)._site.delay(_request("/_emulator/health"))
    with pytest.raises(ValueError, match=r"jitter must be at most latency \(0.1\), got 0.2"):
        Emulator(latency=0.1, jitter=0.2)


def _request(path: str) -> RecordedRequest:
    return RecordedRequest(method="GET", path=path, query={}, headers={}, body=b"")


def test_late_answers() -> None:
    """An answer of the API is complete after the latency."""
    with Emulator(latency=0.01) as emulator:
        emulator.seed(["do:droplet:1"], default=True)
        with Client(emulator.token, base_url=emulator.url) as client:
            assert 1 == len(client.projects.list_resources().collect())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0::0"])  # noqa: S104 - only for a moment
def test_all_addresses(host: str) -> None:
    """An emulator on all addresses has a URL that can be called, and is reached by IPv4."""
    with Emulator(host) as emulator:
        port = urlsplit(emulator.url).port or 0
        for address in {urlsplit(emulator.url).hostname or "", "127.0.0.1"}:
            socket.create_connection((address, port), 60).close()


def test_scopes_of_the_own_token() -> None:
    """The emulator's own token can have few scopes."""
    emulator = Emulator(scopes=["project:read"])
    assert [{"project:read"}] == [
        set(token.scopes or ()) for token in emulator._account.tokens.values()
    ]
    assert "token" not in {json.loads(line)["kind"] for line in emulator.dump().splitlines()}


def test_large_body_of_an_operation() -> None:
    """A body that is too large for an operation is refused, and isn't recorded."""
    with Emulator(max_body=10) as emulator:
        address = urlsplit(emulator.url).netloc
        connection = http.client.HTTPConnection(address, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/_emulator/seed", WEB)
            assert 413 == connection.getresponse().status
        assert [] == emulator.requests
