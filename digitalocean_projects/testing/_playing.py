"""Playing: what a fault makes of an answer."""

from __future__ import annotations

import json
import zlib
from itertools import chain, repeat
from typing import TYPE_CHECKING

import attrs

from . import faults
from ._answer import Wire, message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from digitalocean_projects._codec.urn import URN

    from ._answer import Answer
    from ._api import API
    from ._recording import RecordedRequest

_GZIP = 16 + zlib.MAX_WBITS
_BLOCK = b" " * (1 << 16)
_PAGE = b"""\
<!DOCTYPE html>
<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>
"""
_GARBAGE = b'{"resources": [\xff\xfe\x00'


def play(
    part: bytes | faults.Fault, api: API, origin: str, request: RecordedRequest
) -> Answer | Wire:
    """What answers this request to the API at `origin`, after doing what the fault lets be done."""
    match part:
        case faults.Status():
            return api.refuse(request, part.status, part.retry_after, part.reset_after)
        case faults.ResourceStatus():
            return api.answer(origin, request, _status_of(part))
        case faults.Omit():
            return _without(part.urns, request, api.answer(origin, request))
        case (
            faults.Delay()
            | faults.Drip()
            | faults.Truncate()
            | faults.WrongLength()
            | faults.LostAnswer()
        ):
            return _spoilt(part, api.answer(origin, request))
        case _:
            api.count(request)
            return _replaced(part)


def _status_of(part: faults.ResourceStatus) -> Callable[[URN], str | None]:
    return lambda urn: part.status if part.urns is None or urn in part.urns else None


def _without(urns: frozenset[URN], request: RecordedRequest, answer: Answer) -> Answer:
    if request.method != "POST":
        return answer
    document = json.loads(answer.body)
    if "resources" in document:
        texts = {str(urn) for urn in urns}
        document["resources"] = [
            resource for resource in document["resources"] if resource["urn"] not in texts
        ]
    return attrs.evolve(answer, body=json.dumps(document).encode())


def _spoilt(
    part: faults.Delay | faults.Drip | faults.Truncate | faults.WrongLength | faults.LostAnswer,
    answer: Answer,
) -> Wire:
    body = answer.body
    data = message(answer.status, body, answer.headers)
    head = data[: len(data) - len(body)]
    match part:
        case faults.Delay():
            return Wire(chunks=(data,), delay=part.seconds)
        case faults.Drip():
            chunks = _each(data) if part.headers else chain((head,), _each(body))
            return Wire(chunks=chunks, pause=part.seconds)
        case faults.Truncate():
            at = len(body) // 2 if part.at is None else min(part.at, len(body) - 1)
            return Wire(chunks=(head, body[:at]))
        case faults.WrongLength():
            headers = {**answer.headers, "Content-Length": str(len(body) + part.by)}
            return Wire(chunks=(message(answer.status, body, headers),))
        case _:
            return Wire(end="reset")


def _each(data: bytes) -> Iterator[bytes]:
    return (bytes([byte]) for byte in data)


def _replaced(
    part: bytes
    | faults.Reset
    | faults.Disconnect
    | faults.Silence
    | faults.Html
    | faults.Garbage
    | faults.HugeHeaders
    | faults.Endless
    | faults.Bomb,
) -> Wire:
    match part:
        case bytes():
            return Wire(chunks=(part,))
        case faults.Reset():
            return Wire(end="reset")
        case faults.Disconnect():
            return Wire()
        case faults.Silence():
            return Wire(end="wait")
        case _:
            return Wire(chunks=_odd(part))


def _odd(
    part: faults.Html | faults.Garbage | faults.HugeHeaders | faults.Endless | faults.Bomb,
) -> Iterator[bytes]:
    match part:
        case faults.Html():
            yield message(part.status, _PAGE, {"Content-Type": "text/html"})
        case faults.Garbage():
            yield message(part.status, _GARBAGE, {})
        case faults.HugeHeaders():
            yield message(200, {}, {"X-Padding": "x" * part.size})
        case faults.Endless():
            yield message(part.status, b"", {"Transfer-Encoding": "chunked"})
            yield from _chunked(repeat(_BLOCK))
        case _:
            headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
            yield message(part.status, b"", headers)
            yield from _chunked(_zipped(part.size))


def _zipped(size: int) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=_GZIP)
    for left in range(size, 0, -len(_BLOCK)):
        yield compressor.compress(_BLOCK[:left])
    yield compressor.flush()


def _chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
