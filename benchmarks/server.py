"""A fast server of a project with any number of resources, in a process of its own.

The path of a base URL, /TOTAL/MILLISECONDS/ODD, has the number of resources, the latency, and the
distance of resources that have an unusual member, or 0.
"""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import orjson

from .job import PROJECT, resource_id

_MOMENT = "2026-05-04T03:02:01Z"
_RESOURCE = (
    '{"urn":"do:%s:%s","assigned_at":"%s","links":'
    '{"self":"https://api.digitalocean.com/v2/%ss/%s"},"status":"ok"}'
)
_PROJECT = (
    f'{{"project":{{"id":"{PROJECT}","owner_uuid":"99525febec065ca37b2ffe4f852fd2b2581895e7",'
    '"owner_id":258992,"name":"web-shop","description":"What customers see",'
    '"purpose":"Service or API","environment":"Production","is_default":false,'
    f'"created_at":"{_MOMENT}","updated_at":"{_MOMENT}"}}}}'
)
_HEAD = (
    "HTTP/1.1 200 OK\r\n"
    "date: Mon, 04 May 2026 03:02:01 GMT\r\n"
    "content-type: application/json; charset=utf-8\r\n"
    "ratelimit-limit: 5000\r\n"
    "ratelimit-remaining: 4999\r\n"
    "ratelimit-reset: 1777863721\r\n"
    "x-request-id: 2d9d8375-3c56-4925-a3e7-eb137fed17e9\r\n"
)
_find_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE).search
_find_number = re.compile(r"\b(page|per_page)=(\d+)").findall


@contextmanager
def running_server() -> Iterator[tuple[str, int]]:
    """Run a server during the `with` block; give its URL and process id."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        port, number = listening.getsockname()[1], listening.fileno()
        command = [sys.executable, "-m", "benchmarks.server", str(number)]
        process = subprocess.Popen(command, pass_fds=[number], stdin=subprocess.PIPE)
    try:
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.communicate()


class Connection(asyncio.Protocol):
    """A client's connection, with one request at a time."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the request when it is complete."""
        received = self._received = self._received + data
        head, end, body = received.partition(b"\r\n\r\n")
        found = _find_length(head)
        if not end or len(body) < (int(found[1]) if found else 0):
            return
        self._received = b""
        method, target, _ = head[: head.index(b"\r\n")].decode().split(" ")
        answer = read(self._origin, target) if method == "GET" else assign(body)
        latency = int(target.split("/", 3)[2])
        if latency:
            self._loop.call_later(latency / 1000, self._transport.write, answer)
        else:
            self._transport.write(answer)


@lru_cache(10_000)
def read(origin: str, target: str) -> bytes:
    """Return the answer to a GET request."""
    path, _, query = target.partition("?")
    if not path.endswith("/resources"):
        return _answer(_PROJECT)
    numbers = {"per_page": 20, "page": 1}
    numbers |= {name: int(value) for name, value in _find_number(query)}
    _, total, _, odd, *_ = path.split("/")
    document = page(origin + path, int(total), numbers["per_page"], numbers["page"], int(odd))
    return _answer(document)


def page(url: str, total: int, per_page: int, number: int, odd: int = 0) -> str:
    """Return a page of the project's resources, with links that begin with `url`."""
    first, last = (number - 1) * per_page, max(1, -(-total // per_page))
    numbers = {"first": 1, "prev": number - 1, "next": number + 1, "last": last}
    links = ",".join(
        f'"{name}":"{url}?page={n}&per_page={per_page}"'
        for name, n in numbers.items()
        if 1 <= n <= last
    )
    resources = ",".join(
        _resource(index, "" if odd and not index % odd else _MOMENT)
        for index in range(first, min(first + per_page, total))
    )
    return (
        f'{{"resources":[{resources}],"links":{{"pages":{{{links}}}}},"meta":{{"total":{total}}}}}'
    )


def _resource(index: int, moment: str) -> str:
    kind, name = resource_id(index)
    return _RESOURCE % (kind, name, moment, kind, name)


def assign(body: bytes) -> bytes:
    """Return the answer to a request that assigns resources."""
    assigned = [
        {"urn": urn, "assigned_at": _MOMENT, "links": {"self": urn}, "status": "assigned"}
        for urn in orjson.loads(body)["resources"]
    ]
    return _answer(orjson.dumps({"resources": assigned}).decode())


def _answer(body: str) -> bytes:
    return f"{_HEAD}content-length: {len(body)}\r\n\r\n{body}".encode()


async def _serve(listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    origin = "http://{}:{}".format(*listening.getsockname())
    server = await loop.create_server(lambda: Connection(origin), sock=listening, backlog=512)
    # The end of standard input is the end of the process that started this one.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
