"""Faults: ways in which a request or its response can fail, for `Emulator.fail`.

| fault | the request is carried out | the client receives |
|---|---|---|
| `Status(status)` | no | an error document |
| `Html(status)` | no | the web page of a proxy |
| `Garbage(status)` | no | a body that is not JSON |
| `Reset()`, `Disconnect()` | no | the end of the connection (RST, FIN) |
| `Silence()` | no | nothing, until it disconnects |
| `Endless(status)` | no | a body without end |
| `Bomb(size)` | no | a small body that decompresses to `size` bytes |
| `HugeHeaders(size)` | no | a header of `size` bytes |
| `Delay(seconds)` | yes | the correct response, late |
| `Drip(seconds)` | yes | the correct response, byte by byte |
| `Truncate(at)` | yes | a part of the correct response |
| `WrongLength(by)` | yes | the correct response with a wrong `Content-Length` |
| `LostAnswer()` | yes | the end of the connection (RST) |
| `StaleReset(seconds)` | yes | the right answer with a `ratelimit-reset` in the past |
| `NotAssigned(status, urns)` | in part | an assignment that doesn't move these resources |
| `Omit(urns)` | yes | an assignment whose answer leaves out these resources |

`Status`, `StaleReset`, `NotAssigned` and `Omit` leave the connection open; every other fault ends
it. Every fault counts for the rate limits. Seconds are real seconds: they do not follow the
emulator's clock. The answer to a HEAD has no body. Faults are immutable. They raise `ValueError`
for a negative size or time, a status without three digits, and a malformed URN.
"""

from __future__ import annotations

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import attrs

from digitalocean_projects._codec.urn import URN

from ._answer import Answer, Wire, chunked, head, message
from ._api import API
from ._clock import not_negative
from ._recording import RecordedRequest, assigned_urns

__all__ = [
    "Bomb",
    "Delay",
    "Disconnect",
    "Drip",
    "Endless",
    "Fault",
    "Garbage",
    "Html",
    "HugeHeaders",
    "LostAnswer",
    "NotAssigned",
    "Omit",
    "Reset",
    "Silence",
    "StaleReset",
    "Status",
    "Truncate",
    "WrongLength",
]

_GZIP = 16 + zlib.MAX_WBITS
_BLOCK = b" " * (1 << 16)
_CHUNKED = {"Transfer-Encoding": "chunked"}
_PAGE = b"""<!DOCTYPE html>
<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>
"""
_GARBAGE = b'{"resources": [\xff\xfe\x00'

_not_negative = attrs.validators.ge(0)
_valid_status = attrs.validators.and_(attrs.validators.ge(100), attrs.validators.le(999))
_optional = attrs.validators.optional(_not_negative)


def _finite(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    not_negative(attribute.name, value)


def _canonical(urns: Iterable[URN | str]) -> frozenset[URN]:
    return frozenset(URN.of(urn).canonical for urn in urns)


class Fault(ABC):
    """A way in which a request or its response fails. The subclasses can be used."""

    __slots__ = ()

    def _concerns(self, request: RecordedRequest) -> bool:  # noqa: ARG002 - for subclasses
        """Return True if the fault applies to a request, which uses it up."""
        return True

    @abstractmethod
    def _play(self, api: API, request: RecordedRequest) -> Answer | Wire:
        """Return the response or the bytes to send instead of the API's response."""


class _NotCarriedOut(Fault):
    """A fault of a request that is not carried out, but counts for the rate limits."""

    __slots__ = ()

    def _play(self, api: API, request: RecordedRequest) -> Wire:
        api.count(request)
        return self._wire()

    @abstractmethod
    def _wire(self) -> Wire:
        """Return the bytes that are sent."""


class _WrongResponse(Fault):
    """A fault of the response; the request is carried out."""

    __slots__ = ()

    def _play(self, api: API, request: RecordedRequest) -> Wire:
        return self._wire(api.answer(request))

    @abstractmethod
    def _wire(self, answer: Answer) -> Wire:
        """Return the bytes to send instead of the response."""


@attrs.frozen
class Status(Fault):
    """An error document with this status; the request is not carried out.

    A 429 has `ratelimit-remaining: 0`. As with the API, a 429 with `retry_after` means that the
    limit per minute is used up, and one without it that the hourly limit is used up.

    Attributes:
        status: The HTTP status.
        retry_after: The value of the header `retry-after`, an int of at least 0 seconds; None, the
            default, leaves the header out.
        reset_after: The value of `ratelimit-reset`, an int of seconds after the response's `Date`;
            None, the default, keeps the value of the emulator's limits.
    """

    status: int = attrs.field(validator=_valid_status)
    retry_after: int | None = attrs.field(default=None, kw_only=True, validator=_optional)
    reset_after: int | None = attrs.field(default=None, kw_only=True)

    def _play(self, api: API, request: RecordedRequest) -> Answer:
        return api.refuse(request, self.status, self.retry_after, self.reset_after)


@attrs.frozen
class StaleReset(Fault):
    """The right answer, but with a `ratelimit-reset` in the past.

    Attributes:
        seconds: The seconds from that time to the answer's `Date`; 25 minutes by default.
    """

    seconds: int = attrs.field(default=1500, validator=_not_negative)

    def _play(self, api: API, request: RecordedRequest) -> Answer:
        answer = api.answer(request)
        reset = {"ratelimit-reset": api.time_text(-self.seconds)}
        return attrs.evolve(answer, headers={**answer.headers, **reset})


@attrs.frozen
class NotAssigned(Fault):
    """An assignment with the status 200 that doesn't move some resources.

    In the response, these resources have another status. Only assignments of one of these
    resources count for `times`. Other requests are answered as usual.

    Attributes:
        status: The status of the resources, such as `service_down`.
        urns: The URNs of the resources, as `URN` or text; None, the default, means all.
    """

    status: str
    urns: frozenset[URN] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_canonical)
    )

    def _concerns(self, request: RecordedRequest) -> bool:
        urns = assigned_urns(request)
        return bool(urns if self.urns is None else urns & self.urns)

    def _play(self, api: API, request: RecordedRequest) -> Answer:
        return api.answer(request, self._status_of)

    def _status_of(self, urn: URN) -> str | None:
        return self.status if self.urns is None or urn in self.urns else None


@attrs.frozen
class Omit(Fault):
    """An assignment that is carried out, but whose response leaves out some resources.

    Only assignments of one of these resources count for `times`, and no other requests.

    Attributes:
        urns: The URNs of the resources, as `URN` or text.
    """

    urns: frozenset[URN] = attrs.field(converter=_canonical)

    def _concerns(self, request: RecordedRequest) -> bool:
        return bool(assigned_urns(request) & self.urns)

    def _play(self, api: API, request: RecordedRequest) -> Answer:
        answer = api.answer(request)
        document = json.loads(answer.body)
        if "resources" in document:
            texts = {str(urn) for urn in self.urns}
            document["resources"] = [
                resource for resource in document["resources"] if resource["urn"] not in texts
            ]
        return attrs.evolve(answer, body=json.dumps(document).encode())


@attrs.frozen
class Html(_NotCarriedOut):
    """A web page, as a proxy may send it; the request is not carried out.

    Attributes:
        status: The HTTP status, 502 by default.
    """

    status: int = attrs.field(default=502, validator=_valid_status)

    def _wire(self) -> Wire:
        return Wire(chunks=(message(self.status, _PAGE, {"Content-Type": "text/html"}),))


@attrs.frozen
class Garbage(_NotCarriedOut):
    """A body of type `application/json` that is not even text; the request is not carried out.

    Attributes:
        status: The HTTP status, 200 by default.
    """

    status: int = attrs.field(default=200, validator=_valid_status)

    def _wire(self) -> Wire:
        return Wire(chunks=(message(self.status, _GARBAGE, {}),))


@attrs.frozen
class Reset(_NotCarriedOut):
    """A reset of the connection (RST) without a response; the request is not carried out."""

    def _wire(self) -> Wire:
        return Wire(end="reset")


@attrs.frozen
class Disconnect(_NotCarriedOut):
    """An end of the connection (FIN) without a response; the request is not carried out."""

    def _wire(self) -> Wire:
        return Wire()


@attrs.frozen
class Silence(_NotCarriedOut):
    """No response until the client disconnects or the emulator stops; nothing is carried out."""

    def _wire(self) -> Wire:
        return Wire(end="wait")


@attrs.frozen
class Endless(_NotCarriedOut):
    """A body without end, sent as fast as it is read; the request is not carried out.

    Attributes:
        status: The HTTP status, 200 by default.
    """

    status: int = attrs.field(default=200, validator=_valid_status)

    def _wire(self) -> Wire:
        start = message(self.status, b"", _CHUNKED)
        return Wire(chunks=chain((start,), chunked(repeat(_BLOCK))))


@attrs.frozen
class Bomb(_NotCarriedOut):
    """A small gzip body that is large after decompression; the request is not carried out.

    Attributes:
        size: The length of the decompressed body in bytes, at least 0.
        status: The HTTP status, 200 by default.
    """

    size: int = attrs.field(validator=_not_negative)
    status: int = attrs.field(default=200, kw_only=True, validator=_valid_status)

    def _wire(self) -> Wire:
        start = message(self.status, b"", {"Content-Encoding": "gzip", **_CHUNKED})
        return Wire(chunks=chain((start,), chunked(_zipped(self.size))))


@attrs.frozen
class HugeHeaders(_NotCarriedOut):
    """A huge header; the request is not carried out.

    Attributes:
        size: The length of the header's value in bytes, at least 0; 1 MiB by default.
    """

    size: int = attrs.field(default=1 << 20, validator=_not_negative)

    def _wire(self) -> Wire:
        return Wire(chunks=(message(200, {}, {"X-Padding": "x" * self.size}),))


@attrs.frozen
class Delay(_WrongResponse):
    """The correct response, late; the request is carried out at once.

    Attributes:
        seconds: The delay in real seconds, finite and at least 0.
    """

    seconds: float = attrs.field(validator=_finite)

    def _wire(self, answer: Answer) -> Wire:
        return Wire(chunks=(head(answer) + answer.body,), delay=self.seconds)


@attrs.frozen
class Drip(_WrongResponse):
    """The correct response, byte by byte.

    Attributes:
        seconds: The real seconds between two bytes, finite and at least 0.
        headers: True to send the headers byte by byte, too. By default they are sent at once.
    """

    seconds: float = attrs.field(validator=_finite)
    headers: bool = attrs.field(default=False, kw_only=True)

    def _wire(self, answer: Answer) -> Wire:
        start = head(answer)
        chunks = chain(_each(start) if self.headers else (start,), _each(answer.body))
        return Wire(chunks=chunks, pause=self.seconds)


@attrs.frozen
class Truncate(_WrongResponse):
    """The first part of the correct response, with the `Content-Length` of the whole.

    Attributes:
        at: The number of bytes of the body to send, an int of at least 0. The last byte is never
            sent. None, the default, sends half of the body.
    """

    at: int | None = attrs.field(default=None, validator=_optional)

    def _wire(self, answer: Answer) -> Wire:
        length = len(answer.body)
        at = length // 2 if self.at is None else min(self.at, length - 1)
        return Wire(chunks=(head(answer), answer.body[:at]))


@attrs.frozen
class WrongLength(_WrongResponse):
    """The whole correct response, with a wrong `Content-Length`.

    Attributes:
        by: The wrong length minus the correct one, in bytes; -1 by default.
    """

    by: int = -1

    def _wire(self, answer: Answer) -> Wire:
        headers = {**answer.headers, "Content-Length": str(len(answer.body) + self.by)}
        return Wire(chunks=(message(answer.status, answer.body, headers),))


@attrs.frozen
class LostAnswer(Fault):
    """A reset of the connection (RST) without a response, after the request was carried out."""

    def _play(self, api: API, request: RecordedRequest) -> Wire:
        api.answer(request)
        return Wire(end="reset")


def _each(data: bytes) -> Iterator[bytes]:
    return (bytes([byte]) for byte in data)


def _zipped(size: int) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=_GZIP)
    for left in range(size, 0, -len(_BLOCK)):
        yield compressor.compress(_BLOCK[:left])
    yield compressor.flush()
