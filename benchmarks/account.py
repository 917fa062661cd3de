"""The account that the server tells of: its answers, as bytes."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

import orjson

PROJECT = "4de7ac8b-495b-4884-9a69-1050c6793cd6"
MOMENT = "2026-05-04T03:02:01Z"

_RESOURCE = (
    '{"urn":"do:%s:%s","assigned_at":"%s","links":'
    '{"self":"https://api.digitalocean.com/v2/%ss/%s"},"status":"ok"}'
)
_IDS = {
    "droplet": "{0}",
    "volume": "{0:08x}-3b1f-11f0-8a2c-0a58ac14d0e1",
    "domain": "shop-{0}.example.com",
    "loadbalancer": "39052d89-8dd4-4d49-8d5a-{0:012x}",
}
_PROJECT = {
    "id": PROJECT,
    "owner_uuid": "99525febec065ca37b2ffe4f852fd2b2581895e7",
    "owner_id": 258992,
    "name": "web-shop",
    "description": "What customers see",
    "purpose": "Service or API",
    "environment": "Production",
    "is_default": False,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
_HEAD = (
    "HTTP/1.1 {status}\r\n"
    "date: Mon, 04 May 2026 03:02:01 GMT\r\n"
    "content-type: application/json; charset=utf-8\r\n"
    "content-length: {length}\r\n"
    "ratelimit-limit: 5000\r\n"
    "ratelimit-remaining: 4999\r\n"
    "ratelimit-reset: 1777863721\r\n"
    "x-request-id: 2d9d8375-3c56-4925-a3e7-eb137fed17e9\r\n"
    "\r\n"
)
# /TOTAL/MILLISECONDS/v2/projects/ID, with /resources behind it or without.
_match_path = re.compile(r"(/(\d+)/[\d.]+/v2/projects/[\w-]+)(/resources)?").fullmatch
_FEW_PAGES = 2048


def urn(index: int) -> str:
    """The name of a resource."""
    kind = tuple(_IDS)[index % len(_IDS)]
    return f"do:{kind}:{_IDS[kind].format(index)}"


def listed(index: int) -> str:
    """A resource, as a page shows it."""
    kind = tuple(_IDS)[index % len(_IDS)]
    name = _IDS[kind].format(index)
    return _RESOURCE % (kind, name, MOMENT, kind, name)


def page(url: str, total: int, per_page: int, number: int) -> bytes:
    """A page of a project's resources.

    Args:
        url: What its links begin with.
        total: How many resources there are.
        per_page: How many stand on a page.
        number: Which page, from 1.
    """
    first, last = (number - 1) * per_page, max(1, -(-total // per_page))
    numbers = {"first": 1, "prev": number - 1, "next": number + 1, "last": last}
    links = ",".join(
        f'"{name}":"{url}?page={n}&per_page={per_page}"'
        for name, n in numbers.items()
        if 1 <= n <= last
    )
    resources = ",".join(map(listed, range(first, min(first + per_page, total))))
    return (
        f'{{"resources":[{resources}],"links":{{"pages":{{{links}}}}},"meta":{{"total":{total}}}}}'
    ).encode()


class Account:
    """Answers requests, for any number of resources: as many as the path says.

    Args:
        origin: Where the server is.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._answers = lru_cache(_FEW_PAGES)(self._read)

    def answer(self, method: str, target: str, body: bytes) -> bytes:
        """The answer to a request, with its head."""
        return self._answers(target) if method == "GET" else self._assign(body)

    def _read(self, target: str) -> bytes:
        parts = urlsplit(target)
        match = _match_path(parts.path)
        if match is None:
            return _whole("404 Not Found", b'{"id":"not_found","message":"no such path"}')
        project, total, resources = match.groups()
        if resources is None:
            return _whole("200 OK", orjson.dumps({"project": _PROJECT}))
        query = parse_qs(parts.query)
        per_page, number = (
            int(query.get(name, [default])[0])
            for name, default in (("per_page", "20"), ("page", "1"))
        )
        url = f"{self.origin}{project}{resources}"
        return _whole("200 OK", page(url, int(total), per_page, number))

    def _assign(self, body: bytes) -> bytes:
        told = (
            {"urn": name, "assigned_at": MOMENT, "links": {"self": name}, "status": "assigned"}
            for name in orjson.loads(body)["resources"]
        )
        return _whole("200 OK", orjson.dumps({"resources": list(told)}))


def _whole(status: str, body: bytes) -> bytes:
    return _HEAD.format(status=status, length=len(body)).encode() + body
