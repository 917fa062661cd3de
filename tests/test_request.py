"""Requests to any endpoint of the API, and listings of it."""

from __future__ import annotations

import json
import pickle
from collections import deque
from datetime import UTC, datetime
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from digitalocean_projects import (
    URN,
    APIError,
    APIResponseError,
    APIStatusError,
    ClientUsageError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    RateLimit,
    ResourceStatus,
    RetryPolicy,
    ServerError,
)
from digitalocean_projects.testing import faults
from tests.exposure import exposed

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects import AsyncClient
    from digitalocean_projects.testing import Emulator

    MakeClient = Callable[..., AsyncClient]

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_leaks")]

PATH = "/v2/droplets"
ONE_MORE = RetryPolicy(attempts=2, base_delay=0)


class Size(IntEnum):
    """An int whose text differs from its digits."""

    SMALL = 1


# Responses


async def test_response(make_either: MakeClient, emulator: Emulator) -> None:
    """A response has the status, the headers, the body, the request id and the rate limit."""
    headers = {
        "x-request-id": "7",
        "X-Kind": "a",
        "x-kind": "b",
        "ratelimit-limit": "5000",
        "ratelimit-remaining": "4999",
        "ratelimit-reset": "1700000000",
    }
    emulator.respond(202, {"action": {"id": 1, "ids": [10**30, 1.5, None, "é"]}}, headers)
    async with make_either() as client:
        found = await client.request("post", "/v2/droplets/1/actions", json={"type": "reboot"})
    assert (202, "7") == (found.status, found.request_id)
    assert {"action": {"id": 1, "ids": [10**30, 1.5, None, "é"]}} == found.json()
    assert found.json() is not found.json()
    reset = datetime.fromtimestamp(1700000000, UTC)
    assert RateLimit(limit=5000, remaining=4999, reset=reset) == found.rate_limit
    assert ("a, b", "a, b") == (found.headers["X-KIND"], found.headers.get("x-kind"))
    assert {"x-request-id", "content-type"} <= set(found.headers)
    assert len(found.headers) == len([*found.headers])
    assert "<APIResponse 202 to POST /v2/droplets/1/actions>" == repr(found)
    sent = emulator.requests[0]
    assert ("POST", b'{"type":"reboot"}') == (sent.method, sent.body)
    assert "application/json" == sent.headers["Content-Type"]


async def test_response_is_read_only(make_client: MakeClient, emulator: Emulator) -> None:
    """A response and its headers are frozen, show no values, and hold no token."""
    emulator.respond(200, {"echo": "secret"}, {"X-Echo": "secret"})
    async with make_client() as client:
        found = await client.request("GET", PATH)
    with pytest.raises(AttributeError):
        found.status = 500  # type: ignore[misc]
    headers: Any = found.headers
    with pytest.raises(TypeError):
        headers["x-echo"] = ""
    assert (1, "secret" in headers) == (headers.get(1, 1), False)
    with pytest.raises(KeyError, match="nothing"):
        headers["nothing"]
    assert "secret" not in repr([found, headers])
    copied = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
    assert (found.json(), dict(headers)) == (copied.json(), dict(copied.headers))
    assert emulator.token.encode() not in pickle.dumps(found)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (204, b"", "expected JSON, got an empty body"),
        (200, b"", "expected JSON, got an empty body"),
        (200, b"{", "invalid JSON: Input data was truncated"),
        (200, b"kind: Config\n", r"invalid JSON: JSON is malformed: .* \(byte 0\)"),
        (200, b"[NaN]", r"invalid JSON: JSON is malformed: .* \(byte 1\)"),
        (200, b"\xff", "invalid JSON: "),
        (200, b"[" * 100_000, "invalid JSON: it is nested too deeply"),
    ],
)
async def test_body_that_is_no_json(
    make_client: MakeClient, emulator: Emulator, status: int, body: bytes, reason: str
) -> None:
    """Any body is a response, and `json` raises an error for one that is not JSON."""
    emulator.respond(status, body, {"x-request-id": "7"})
    async with make_client() as client:
        found = await client.request("DELETE", "/v2/droplets/1")
    assert (status, body) == (found.status, found.body)
    with pytest.raises(APIResponseError, match=f"^{reason}.*request id 7") as caught:
        found.json()
    error = caught.value
    assert (status, "7") == (error.status, error.request_id)
    assert ("DELETE", "/v2/droplets/1") == (error.method, error.path)
    assert (None, None) == (error.__cause__, error.__context__)


async def test_body_that_is_too_large(make_client: MakeClient, emulator: Emulator) -> None:
    """A body of more than `max_body` bytes is an error, also in a listing."""
    emulator.respond(200, b"[" + b" " * 1000, times=2)
    async with make_client(max_body=1000) as client:
        with pytest.raises(APIResponseError, match=r"exceeds 1000 bytes \(max_body\)"):
            await client.request("GET", PATH)
        with pytest.raises(APIResponseError, match=r"exceeds 1000 bytes \(max_body\)"):
            await client.paginate(PATH, "droplets").collect()


async def test_head(make_either: MakeClient, emulator: Emulator) -> None:
    """A HEAD has the headers of a GET, and no body, although a length is announced."""
    emulator.add_droplet(1, "web")
    async with make_either(base_url=emulator.url) as client:
        found = await client.request("HEAD", PATH)
        assert int(found.headers["content-length"]) > 0
        assert (200, b"") == (found.status, found.body)
        # The connection is usable, so nothing was left on it.
        assert [1] == [each["id"] for each in await client.paginate(PATH, "droplets").collect()]
        allowed = await client.request("OPTIONS", PATH)
        assert (204, "GET, HEAD, OPTIONS") == (allowed.status, allowed.headers["allow"])


async def test_errors(make_either: MakeClient, emulator: Emulator) -> None:
    """An error status raises the error of its class, and a redirect is not followed."""
    token = emulator.add_token(["project:read"])
    other = f"{emulator.url}/v2/projects"
    for status in (301, 302, 303, 307, 308):
        emulator.respond(status, b"", {"Location": other}, when=lambda it: it.path == "/v2/moved")
    async with make_either() as client:
        with pytest.raises(NotFoundError, match="404 not_found: The resource") as missing:
            await client.request("GET", "/v2/volumes")
        assert ("GET", "/v2/volumes") == (missing.value.method, missing.value.path)
        with pytest.raises(NotFoundError):
            await client.paginate("/v2/volumes", "volumes").collect()
        for status in (301, 302, 303, 307, 308):
            with pytest.raises(APIStatusError) as moved:
                await client.request("GET", "/v2/moved")
            assert status == moved.value.status
        with pytest.raises(PermissionDeniedError) as denied:
            await client.with_options(token=token).request("GET", PATH)
        assert () == denied.value.scopes
    assert not [it for it in emulator.requests if it.path == "/v2/projects"]
    with pytest.raises(ClientUsageError, match="closed"):
        await client.request("GET", PATH)


async def test_gateway(make_client: MakeClient, emulator: Emulator) -> None:
    """A path of the base URL comes first, and messages have the whole path."""
    emulator.respond(200, {"droplets": [{"id": 1}]}, times=2)
    async with make_client(base_url=f"{emulator.url}/gateway") as client:
        found = await client.request("GET", PATH, params={"name": "a&b"})
        assert 1 == len(await client.paginate(PATH, "droplets").collect())
    assert "<APIResponse 200 to GET /gateway/v2/droplets?name=a%26b>" == repr(found)
    assert {"/gateway/v2/droplets"} == {it.path for it in emulator.requests}


# Secrets


async def test_token_that_the_server_repeats(make_either: MakeClient, emulator: Emulator) -> None:
    """Errors and `repr`s don't show a token that the server sends back, anywhere."""
    echo = {"x-request-id": emulator.token, "X-Echo": emulator.token}
    text = f'{{"{emulator.token}": ["{emulator.token}"'
    whole = {emulator.token: [emulator.token], "droplets": {emulator.token: 1}}
    async with make_either() as client:
        emulator.respond(200, text.encode(), echo)
        found = await client.request("GET", PATH)
        assert "***" == found.request_id
        with pytest.raises(APIResponseError) as caught:
            found.json()
        errors: list[APIError] = [caught.value]
        for status, key in ((200, "droplets"), (200, "missing"), (302, "droplets")):
            emulator.respond(status, whole, {**echo, "Location": f"http://x/{emulator.token}"})
            with pytest.raises(APIError) as page:
                await client.paginate(PATH, key).collect()
            errors.append(page.value)
        emulator.respond(500, {"message": emulator.token}, echo)
        with pytest.raises(ServerError) as failed:
            await client.request("PUT", "/v2/x", json={"a": [1]})
        errors.append(failed.value)
    for error in errors:
        assert (None, None) == (error.__cause__, error.__context__)
        assert not any(emulator.token in shown for shown in exposed(error))
    assert emulator.token not in repr([found, found.headers])


async def test_token_in_the_arguments(make_client: MakeClient, emulator: Emulator) -> None:
    """A token in the path or the query is refused, in any form, and not repeated."""
    own = "my-own/secret token"
    escaped = emulator.token.replace("dop", "%64%6fp")
    async with make_client("my-own-secret") as client:
        for arguments in (
            (f"/v2/{emulator.token}", {}),
            (f"/v2/{escaped}/x", {}),
            (f"https://x/{emulator.token}", {}),
            ("/v2/my-own-secret", {}),
            ("/v2/my%2Down-secret", {}),
            ("/v2/x", {"a": ["b", emulator.token]}),
            ("/v2/x", {f"my-own-secret {own}": "b"}),
            ("/v2/x", {"a": f"DOP_V1_{own}"}),
        ):
            with pytest.raises(ValueError, match="must not contain an API token") as caught:
                await client.request("GET", arguments[0], params=arguments[1])
            assert emulator.token[8:] not in str(caught.value)
            with pytest.raises(ValueError, match="must not contain an API token"):
                client.paginate(arguments[0], "x", params=arguments[1])
        with pytest.raises(ValueError, match=r"method must be .*, got '\*\*\*'"):
            await client.request(emulator.token, PATH)
        # A digest is a part of some paths, and a short token may be a part of a word.
        digest = f"/v2/registry/a/repositories/b/digests/sha256:{'ab' * 32}"
        for view in (client, client.with_options(token="v2")):
            with pytest.raises(APIStatusError):
                await view.request("DELETE", digest)
    assert {digest} == {it.path for it in emulator.requests}


# Paths

SENT_AS_THEY_ARE = [
    "/v2/droplets/",
    "/v2/account/keys/3b:16:bf:e4",
    "/v2/registry/a/repositories/b%2Fc/tags/v1.0..2",
    "/v2/domains/m%C3%BCnchen.de/records",
    "/v2/a-b_c~d.e,f;g=h@i!$&'()*+",
    "/v2/.hidden/...",
    "/v2/%2525",
]
BEGIN = "path must begin with '/v2/'"
UPWARDS = "path must have no empty part, no '.', no '..' and no control character, also encoded"
CHARACTERS = "path must consist of the ASCII characters of a URL's path"
REFUSED = {
    "": f"{BEGIN} and the name of an endpoint, got ''$",
    "/": f"{BEGIN} and the name of an endpoint, got '/'$",
    "/v2": f"{BEGIN} and the name of an endpoint, got '/v2'$",
    "/v2/": f"{BEGIN} and the name of an endpoint, got '/v2/'$",
    "droplets": f"{BEGIN} and .*, got 'droplets'; write '/v2/droplets'$",
    "/droplets": f"{BEGIN} and .*; write '/v2/droplets'$",
    "v2/droplets/1": f"{BEGIN} and .*; write '/v2/droplets/1'$",
    "/V2/droplets": f"{BEGIN} and ",
    "/v20/droplets": f"{BEGIN} and ",
    "/v2.1/droplets": f"{BEGIN} and ",
    " /v2/droplets": f"{BEGIN} and ",
    "/v1/../v2/droplets": f"{BEGIN} and ",
    ".": f"{BEGIN} and ",
    "@evil.example/v2/x": f"{BEGIN} and ",
    ":80@evil.example/v2/x": f"{BEGIN} and ",
    "https://api.digitalocean.com/v2/droplets": f"{BEGIN}, without a scheme and host, got 'https",
    "//evil.example/v2/x": f"{BEGIN}, without a scheme and host",
    "\\\\evil.example/v2/x": f"{BEGIN}, without a scheme and host",
    "/v2/https://evil.example": f"{BEGIN}, without a scheme and host",
    "/v2/droplets?page=2": r"path must have no query and no fragment, got .*; pass params=\{…\}",
    "/v2/droplets?": "path must have no query",
    "/v2/droplets#": "path must have no query and no fragment",
    "/v2/a b": f"{CHARACTERS}, got '/v2/a b'; encode each part with urllib.parse.quote",
    "/v2/münchen": CHARACTERS,
    "/v2/a\n": CHARACTERS,
    "/v2/a\r\nX-Evil: 1": CHARACTERS,
    "/v2/a\0": CHARACTERS,
    "/v2/a\\b": CHARACTERS,
    "/v2/a%": CHARACTERS,
    "/v2/a%2": CHARACTERS,
    "/v2/a%zz": CHARACTERS,
    "/v2/\ud800": CHARACTERS,
    "/v2/\uff0e\uff0e/x": CHARACTERS,
    **dict.fromkeys(
        [
            "/v2/..",
            "/v2/.",
            "/v2/../x",
            "/v2/a/../b",
            "/v2/a/./b",
            "/v2/a/..",
            "/v2/a//b",
            "/v2//a",
            "/v2/a//",
            "/v2/%2e%2e/x",
            "/v2/%2E./x",
            "/v2/.%2e",
            "/v2/%252e%252e/x",
            "/v2/%25252e./x",
            "/v2/a%2f..%2fb",
            "/v2/a%2F%2Fb",
            "/v2/a/%2Fb",
            "/v2/a%252f..%252fb",
            "/v2/..;x=1/a",
            "/v2/%2e%2e%3bx/a",
            "/v2/a/;x/b",
            "/v2/..%20/a",
            "/v2/a%00",
            "/v2/a%0d%0aX:1",
            "/v2/a%5c..%5cb",
            "/v2/a%255cb",
            "/v2/a%7f",
            "/v2/%c0%ae%c0%ae/x",
            "/v2/%ff",
        ],
        UPWARDS,
    ),
    "/v2/" + "a" * 2000: "path must have at most 2000 characters, got 2004$",
    "/v2/" + "%25" * 10**6: "path must have at most 2000 characters, got 3000004$",
}


@pytest.mark.parametrize("path", SENT_AS_THEY_ARE)
async def test_path(make_client: MakeClient, emulator: Emulator, path: str) -> None:
    """A path of the API reaches the server unchanged."""
    emulator.respond(200, {"items": []}, times=2)
    async with make_client() as client:
        await client.request("GET", path)
        await client.paginate(path, "items").collect()
    assert [path, path] == [it.path for it in emulator.requests]


async def test_refused_paths(make_client: MakeClient, emulator: Emulator) -> None:
    """A path that names a host, leaves the API or could be read as another one isn't sent."""
    async with make_client() as client:
        for path, message in REFUSED.items():
            with pytest.raises(ValueError, match=f"^{message}"):
                await client.request("GET", path)
            with pytest.raises(ValueError, match=f"^{message}"):
                client.paginate(path, "droplets")
        for wrong in (None, 1, b"/v2/droplets", ["/v2/droplets"]):
            odd: Any = wrong
            with pytest.raises(
                TypeError, match=r"^path must be a string, got .*; pass a path such"
            ):
                await client.request("GET", odd)
            with pytest.raises(TypeError, match=r"^path must be a string\b"):
                client.paginate(odd, "droplets")
        assert 0 == client.statistics().requests
    assert [] == emulator.requests


def test_long_path_is_checked_fast(make_client: MakeClient) -> None:
    """A path with a thousand levels of encoding is refused like any other one."""
    client = make_client()
    with pytest.raises(ValueError, match=f"^{UPWARDS}"):
        client.paginate("/v2/%" + "25" * 990 + "2e./x", "x")
    with pytest.raises(ValueError, match="API token"):
        client.paginate("/v2/%" + "25" * 980 + "64op_v1_x", "x")


# Other arguments


async def test_params(make_either: MakeClient, emulator: Emulator) -> None:
    """Texts are encoded, bools are words, and a sequence repeats the name."""
    emulator.respond(200, {"x": []}, times=3)
    params: Any = MappingProxyType(
        {
            "tag_name": "a b&c=d/é+%",
            "private": True,
            "public": False,
            "size": Size.SMALL,
            "empty": "",
            "urn": URN("droplet", 1),
            "status": ResourceStatus.OK,
            "ids[]": [1, "2"],
        }
    )
    async with make_either() as client:
        found = await client.request("GET", PATH, params=params)
        await client.paginate(PATH, "x", params=params, per_page=5).collect()
        await client.request("GET", PATH, params={})
    query = (
        "tag_name=a%20b%26c%3Dd%2F%C3%A9%2B%25&private=true&public=false&size=1&empty="
        "&urn=do%3Adroplet%3A1&status=ok&ids%5B%5D=1&ids%5B%5D=2"
    )
    assert f"<APIResponse 200 to GET {PATH}?{query}>" == repr(found)
    first = {
        "tag_name": "a b&c=d/é+%",
        "private": "true",
        "public": "false",
        "size": "1",
        "empty": "",
        "urn": "do:droplet:1",
        "status": "ok",
        "ids[]": "1",
    }
    assert [first, {**first, "page": "1", "per_page": "5"}, {}] == [
        it.query for it in emulator.requests
    ]


async def test_longest_query(make_client: MakeClient, emulator: Emulator) -> None:
    """A query has at most 8,000 characters."""
    emulator.respond(200)
    async with make_client() as client:
        await client.request("GET", PATH, params={"a": "b" * 7998})
        with pytest.raises(ValueError, match=LONG):
            await client.request("GET", PATH, params={"a": "b" * 7999})
    assert 7998 == len(emulator.requests[0].query["a"])


LONG = "params must have at most 8000 characters as a query, got more; send several requests, each"
WRONG_PARAMS: list[tuple[Any, type[Exception], str]] = [
    ("tag_name=x", TypeError, "params must be a Mapping, got str; pass a dict"),
    ([("tag_name", "x")], TypeError, "params must be a Mapping, got list"),
    ({1: "x"}, TypeError, "the name of a parameter must be a string, got int"),
    ({"": "x"}, ValueError, "the name of a parameter must not be empty"),
    (
        {"a": None},
        TypeError,
        r"params\['a'\] must be a string or an int, got NoneType; pass a list",
    ),
    ({"a": 1.5}, TypeError, r"params\['a'\] must be a string or an int, got float"),
    ({"a": b"x"}, TypeError, r"params\['a'\] must be a string or an int, got bytes"),
    ({"a": {"b": "c"}}, TypeError, r"params\['a'\] must be a string or an int, got dict"),
    ({"a": {"b"}}, TypeError, r"params\['a'\] must be a string or an int, got set"),
    ({"a": range(2_000_000)}, TypeError, r"params\['a'\] must be a string or an int, got range"),
    ({"a": deque(["b"])}, TypeError, r"params\['a'\] must be a string or an int, got deque"),
    ({"a": 10**5000}, ValueError, r"params\['a'\] must be an int of at most 1024 bits, got 16610$"),
    ({"a": [1, -(10**400)]}, ValueError, r"params\['a'\] must be an int of .* bits, got 1329$"),
    ({"a": ["b", None]}, TypeError, r"params\['a'\] must be a string or an int, got NoneType"),
    ({"a": [["b"]]}, TypeError, r"params\['a'\] must be a string or an int, got list"),
    ({"a": []}, ValueError, r"params\['a'\] must not be an empty list; leave it out for no filter"),
    ({"a": "\ud800"}, ValueError, "params must be valid Unicode text, got a lone surrogate"),
    ({"\udfff": "a"}, ValueError, "params must be valid Unicode text, got a lone surrogate"),
    ({"a": [1] * 5000}, ValueError, LONG),
    ({"a": "b" * 10**7}, ValueError, LONG),
    ({"a" * 10**7: "b"}, ValueError, LONG),
    ({f"a{number}": "b" for number in range(3000)}, ValueError, LONG),
    # Each of these characters is encoded as nine.
    ({"a": "\u20ac" * 889}, ValueError, LONG),
]
DEEP: list[Any] = []
DEEP.append(DEEP)
SHARED: list[Any] = []
for _ in range(99):
    SHARED = [SHARED, SHARED]
LARGE = "json must have at most 1,000,000 values and 16 MiB of text, got more"
WRONG_JSON: list[tuple[Any, type[Exception], str]] = [
    ({1: 2}, TypeError, "the keys in json must be strings, got int"),
    ({"a": [{None: 2}]}, TypeError, "the keys in json must be strings, got NoneType"),
    (b"{}", TypeError, "json must consist of dicts, lists, strings, numbers, .*, got bytes"),
    ({"a": {"b"}}, TypeError, "json must consist of .*, got set"),
    ([datetime.now(UTC)], TypeError, "json must consist of .*, got datetime"),
    (object(), TypeError, "json must consist of .*, got object"),
    (iter([]), TypeError, "json must consist of .*, got list_iterator"),
    (MappingProxyType({}), TypeError, "json must consist of .*, got mappingproxy"),
    (float("nan"), ValueError, "the numbers in json must be finite, got nan"),
    ([{"a": float("-inf")}], ValueError, "the numbers in json must be finite, got -inf"),
    ("\ud800", ValueError, "json must be valid Unicode text, got a lone surrogate"),
    ({"\udfff": 1}, ValueError, "json must be valid Unicode text, got a lone surrogate"),
    (10**5000, ValueError, "json must have numbers of fewer digits"),
    (DEEP, ValueError, "json must have at most 100 levels of lists and dicts, got more"),
    (SHARED, ValueError, LARGE),
    ([[None] * 1000] * 1000, ValueError, LARGE),
    (["x" * 2**20] * 17, ValueError, LARGE),
    ([{"x" * 2**20: None}] * 17, ValueError, LARGE),
    ([10**4000] * 10_000, ValueError, LARGE),
]


async def test_wrong_arguments_of_request(make_either: MakeClient, emulator: Emulator) -> None:
    """A wrong argument is an error before any request."""
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"method": 1}, TypeError, "method must be a string, got int"),
        ({"method": ""}, ValueError, "method must be GET, HEAD, .* or OPTIONS, got ''"),
        ({"method": "GET\r\nX: y"}, ValueError, r"method must be .*, got 'GET\\r"),
        ({"method": "CONNECT"}, ValueError, "method must be .*, got 'CONNECT'"),
        ({"method": "TRACE"}, ValueError, "method must be .*, got 'TRACE'"),
        ({"idempotent": 1}, TypeError, "idempotent must be a bool, got int"),
        *(({"params": value}, kind, text) for value, kind, text in WRONG_PARAMS),
        *(({"json": value}, kind, text) for value, kind, text in WRONG_JSON),
    ]
    async with make_either() as client:
        for changes, kind, text in wrong:
            arguments: dict[str, Any] = {"method": "GET", "path": PATH, **changes}
            with pytest.raises(kind, match=f"^{text}"):
                await client.request(arguments.pop("method"), arguments.pop("path"), **arguments)
        assert 0 == client.statistics().requests
    assert [] == emulator.requests


async def test_wrong_arguments_of_paginate(make_either: MakeClient) -> None:
    """A wrong argument of a listing is an error at once."""
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"key": 1}, TypeError, "key must be a string, got int"),
        ({"key": ""}, ValueError, "key must not be empty; pass the member with the items"),
        ({"per_page": 0}, ValueError, "per_page must be between 1 and 200, got 0"),
        ({"per_page": 201}, ValueError, "per_page must be between 1 and 200, got 201"),
        ({"per_page": "1"}, TypeError, "per_page must be an int, got str"),
        ({"concurrency": 0}, ValueError, "concurrency must be at least 1, got 0"),
        ({"max_pages": 0}, ValueError, "max_pages must be at least 1, got 0"),
        ({"params": {"page": 1}}, ValueError, "params must not have 'page'; pass per_page=…"),
        ({"params": {"per_page": 1}}, ValueError, "params must not have 'per_page'; pass per_p"),
        *(({"params": value}, kind, text) for value, kind, text in WRONG_PARAMS),
    ]
    async with make_either() as client:
        for changes, kind, text in wrong:
            arguments: dict[str, Any] = {"key": "droplets", **changes}
            with pytest.raises(kind, match=f"^{text}"):
                client.paginate(PATH, arguments.pop("key"), **arguments)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "é\u2028\U0001f600",
        0,
        False,
        -1.5e300,
        10**40,
        [(1, [None, True]), {"": {"a": ()}}, URN("droplet", 1), Size.SMALL],
    ],
)
async def test_json(make_client: MakeClient, emulator: Emulator, value: object) -> None:
    """Any JSON value is sent as it is."""
    emulator.respond(200)
    async with make_client() as client:
        await client.request("POST", "/v2/x", json=value)
    assert json.loads(json.dumps(value)) == json.loads(emulator.requests[0].body)


async def test_large_body(make_client: MakeClient, emulator: Emulator) -> None:
    """A body of several MiB is sent completely in each attempt, and causes no warning."""
    text = "x" * 3 * 2**20
    emulator.respond(503)
    emulator.respond(200)
    async with make_client(retry=ONE_MORE) as client:
        await client.request("PUT", "/v2/x", json=text)
    assert [f'"{text}"'.encode()] * 2 == [it.body for it in emulator.requests]
    assert {str(len(text) + 2)} == {it.headers["Content-Length"] for it in emulator.requests}


# Retries


@pytest.mark.parametrize("failure", [faults.Status(503), faults.Reset()], ids=["503", "reset"])
@pytest.mark.parametrize(
    ("method", "idempotent", "requests"),
    [
        ("GET", None, 2),
        ("HEAD", None, 2),
        ("PUT", None, 2),
        ("delete", None, 2),
        ("POST", None, 1),
        ("PATCH", None, 1),
        ("OPTIONS", None, 1),
        ("POST", True, 2),
        ("PATCH", True, 2),
        ("GET", False, 1),
        ("PUT", False, 1),
    ],
)
async def test_retries(  # noqa: PLR0917 - parameters of the test
    make_client: MakeClient,
    emulator: Emulator,
    failure: faults.Fault,
    method: str,
    idempotent: bool | None,  # noqa: FBT001 - a parameter of the test
    requests: int,
) -> None:
    """A request that may have been carried out is sent again only if that changes nothing."""
    emulator.fail(failure)
    emulator.respond(204)
    async with make_client(retry=ONE_MORE) as client:
        if requests == 1:
            with pytest.raises(APIError) as caught:
                await client.request(method, "/v2/x", idempotent=idempotent)
            assert caught.value.in_doubt
        else:
            found = await client.request(method, "/v2/x", idempotent=idempotent)
            assert 204 == found.status
    assert [method.upper()] * requests == [it.method for it in emulator.requests]


async def test_retry_of_what_was_not_carried_out(
    make_client: MakeClient, emulator: Emulator
) -> None:
    """Any method is sent again after a response that says that nothing was done."""
    emulator.fail(faults.Status(429, retry_after=0))
    emulator.respond(200)
    async with make_client(retry=ONE_MORE) as client:
        await client.request("POST", "/v2/x", json={"a": 1}, idempotent=False)
    assert [b'{"a":1}'] * 2 == [it.body for it in emulator.requests]


# Listings


async def test_paginate(make_either: MakeClient, emulator: Emulator) -> None:
    """A listing has the items of all pages, under the query, with a paginator's methods."""
    for number in range(1, 101):
        emulator.add_droplet(number, f"web-{number}", ["shop"] if number % 2 else [])
    async with make_either() as client:
        listing = client.paginate(
            PATH, "droplets", params={"tag_name": "shop"}, per_page=10, concurrency=2
        )
        assert [*range(1, 101, 2)] == [item["id"] async for item in listing]
        assert "<AsyncPaginator of /v2/droplets>" == repr(listing) or "Blocking" in repr(listing)
        found = await listing.collect(strict=True)
        assert ({"id": 3, "name": "web-3", "status": "active", "tags": ["shop"]}, 50) == (
            found[1],
            len(found),
        )
        assert listing.settled
        page = await listing.first_page()
        assert (10, 1, 50) == (len(page.items), page.number, page.total)
        async with listing:
            assert 50 == len([item async for item in listing])
        with pytest.raises(PaginationError, match="max_pages allows no page after page 2"):
            await client.paginate(PATH, "droplets", per_page=10, max_pages=2).collect()
    assert {"shop", None} == {it.query.get("tag_name") for it in emulator.requests}


def respond(emulator: Emulator, *pages: list[Any], last: int | None = None) -> None:
    """Answer the next requests with these pages, of which each but the last has a next one."""
    for number, items in enumerate(pages, 1):
        links = {"next": f"?page={number + 1}"} if number < len(pages) else {}
        if last is not None:
            links["last"] = f"?page={last}"
        emulator.respond(200, {"things": items, "links": {"pages": links}})


async def test_identities(make_client: MakeClient, emulator: Emulator) -> None:
    """Each id or urn is returned once; items without one are all returned, also equal ones."""
    plain = [{"slug": "a"}, {"slug": "a"}, {"id": None}, {"id": ""}, {"id": ""}, {"id": [1]}]
    respond(
        emulator,
        [{"id": 1}, {"id": "1"}, {"urn": "1"}, *plain],
        [{"id": 2, "urn": "1"}, {"id": 1, "new": True}, {"urn": "1"}, *plain, {"id": True}],
    )
    async with make_client() as client:
        items = [item async for item in client.paginate("/v2/things", "things", concurrency=1)]
    first, second = [{"id": 1}, {"id": "1"}, {"urn": "1"}], [{"id": 2, "urn": "1"}]
    assert [*first, *plain, *second, *plain, {"id": True}] == items


async def test_changing_listing(make_client: MakeClient, emulator: Emulator) -> None:
    """If a listing never settles, items without an identity are those of its last reading."""
    for number in (1, 2, 3):
        respond(emulator, [{"id": number}, {"slug": "a"}, {"slug": "b"}], last=number + 1)
    async with make_client() as client:
        listing = client.paginate("/v2/things", "things", concurrency=1)
        found = await listing.collect()
        assert [{"id": 3}, {"slug": "a"}, {"slug": "b"}, {"id": 2}, {"id": 1}] == found
        assert listing.settled is False
        respond(emulator, [{"slug": "a"}, {"slug": "a"}])
        assert [{"slug": "a"}] * 2 == await listing.collect()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "expected a JSON object, got list"),
        ({}, "expected an object with 'things', got no members"),
        ({"droplets": [], "meta": {}}, "expected an object with 'things', got droplets, meta"),
        ({"things": None}, "things: expected a list, got NoneType"),
        ({"things": {"id": 1}}, "things: expected a list, got dict"),
        ({"things": [{"id": 1}, 2]}, r"things\[1\]: expected an object, got int"),
        ({"things": [None]}, r"things\[0\]: expected an object, got NoneType"),
    ],
)
async def test_other_documents(
    make_client: MakeClient, emulator: Emulator, document: object, reason: str
) -> None:
    """A page without a list of objects is an error that says what is there instead."""
    emulator.respond(200, document)
    async with make_client() as client:
        with pytest.raises(APIResponseError, match=rf"^{reason} \(GET /v2/things\?page=1&"):
            await client.paginate("/v2/things", "things").collect()
