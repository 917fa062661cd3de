"""Faults: the ways in which an answer can go wrong, for `Emulator.fail`.

`Status`, `NotAssigned` and `Omit` change what is answered; after every other fault the connection
ends. Seconds are real ones: they don't follow the emulator's clock.
"""

from __future__ import annotations

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import attrs

from digitalocean_projects._codec.urn import URN

from ._answer import Answer, Wire, message
from ._api import API
from ._clock import not_negative
from ._recording import RecordedRequest

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
    "Status",
    "Truncate",
    "WrongLength",
]

_GZIP = 16 + zlib.MAX_WBITS
_BLOCK = b" " * (1 << 16)
_CHUNKED = {"Transfer-Encoding": "chunked"}
_PAGE = b"""\
<!DOCTYPE html>
<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>
"""
_GARBAGE = b'{"resources": [\xff\xfe\x00'

_not_negative = attrs.validators.ge(0)
_optional = attrs.validators.optional(_not_negative)


def _finite(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    not_negative(attribute.name, value)


def _canonical(urns: Iterable[URN | str]) -> frozenset[URN]:
    return frozenset(URN.of(urn).canonical for urn in urns)


class Fault(ABC):
    """A way in which an answer goes wrong."""

    __slots__ = ()

    @abstractmethod
    def _play(self, api: API, request: RecordedRequest) -> Answer | Wire:
        """Return what is sent instead of the API's answer."""


class _Undone(Fault):
    """A fault that keeps a request from being carried out; it still counts for the limits."""

    __slots__ = ()

    def _play(self, api: API, request: RecordedRequest) -> Wire:
        api.count(request)
        return self._wire()

    @abstractmethod
    def _wire(self) -> Wire:
        """Return what is sent."""


class _Spoilt(Fault):
    """A fault that the answer meets on its way back; the request is carried out."""

    __slots__ = ()

    def _play(self, api: API, request: RecordedRequest) -> Wire:
        return self._wire(api.answer(request))

    @abstractmethod
    def _wire(self, answer: Answer) -> Wire:
        """Return what is sent of the answer."""


@attrs.frozen
class Status(Fault):
    """Nothing is done, and the answer is an error document of this status.

    A 429 says that no request remains: of the shorter limit with `retry_after`, of the longest
    one without.

    Attributes:
        status: The status.
        retry_after: The header of this name, in seconds; None leaves it out.
        reset_after: `ratelimit-reset`, as seconds from the answer's `Date`; None leaves it as the
            emulator's limits have it.
    """

    status: int
    retry_after: int | None = attrs.field(default=None, kw_only=True, validator=_optional)
    reset_after: int | None = attrs.field(default=None, kw_only=True)

    def _play(self, api: API, request: RecordedRequest) -> Answer:
        return api.refuse(request, self.status, self.retry_after, self.reset_after)


@attrs.frozen
class NotAssigned(Fault):
    """An assignment answers 200, but doesn't move some resources, and gives them this status.

    Requests for other operations are answered as usual.

    Attributes:
        status: The status, such as `service_down`.
        urns: The resources; None for all.
    """

    status: str
    urns: frozenset[URN] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_canonical)
    )

    def _play(self, api: API, request: RecordedRequest) -> Answer:
        return api.answer(request, self._status_of)

    def _status_of(self, urn: URN) -> str | None:
        return self.status if self.urns is None or urn in self.urns else None


@attrs.frozen
class Omit(Fault):
    """An assignment is done, but its answer leaves out some resources.

    Requests for other operations are answered as usual.

    Attributes:
        urns: The resources.
    """

    urns: frozenset[URN] = attrs.field(converter=_canonical)

    def _play(self, api: API, request: RecordedRequest) -> Answer:
        answer = api.answer(request)
        if request.method != "POST":
            return answer
        document = json.loads(answer.body)
        if "resources" in document:
            texts = {str(urn) for urn in self.urns}
            document["resources"] = [
                resource for resource in document["resources"] if resource["urn"] not in texts
            ]
        return attrs.evolve(answer, body=json.dumps(document).encode())


@attrs.frozen
class Html(_Undone):
    """Nothing is done, and the answer is a web page, as of a proxy.

    Attributes:
        status: The answer's status.
    """

    status: int = 502

    def _wire(self) -> Wire:
        return Wire(chunks=(message(self.status, _PAGE, {"Content-Type": "text/html"}),))


@attrs.frozen
class Garbage(_Undone):
    """Nothing is done, and the answer's body is neither JSON nor text, though its header says so.

    Attributes:
        status: The answer's status.
    """

    status: int = 200

    def _wire(self) -> Wire:
        return Wire(chunks=(message(self.status, _GARBAGE, {}),))


@attrs.frozen
class Reset(_Undone):
    """Nothing is done, and the connection is reset (RST)."""

    def _wire(self) -> Wire:
        return Wire(end="reset")


@attrs.frozen
class Disconnect(_Undone):
    """Nothing is done, and the connection is closed (FIN)."""

    def _wire(self) -> Wire:
        return Wire()


@attrs.frozen
class Silence(_Undone):
    """Nothing is done, and no answer comes until the client leaves or the emulator stops."""

    def _wire(self) -> Wire:
        return Wire(end="wait")


@attrs.frozen
class Endless(_Undone):
    """Nothing is done, and the answer's body has no end; it comes as fast as it is read.

    Attributes:
        status: The answer's status.
    """

    status: int = 200

    def _wire(self) -> Wire:
        head = message(self.status, b"", _CHUNKED)
        return Wire(chunks=chain((head,), _chunked(repeat(_BLOCK))))


@attrs.frozen
class Bomb(_Undone):
    """Nothing is done, and the answer's body is small, but large when it is unpacked (gzip).

    Attributes:
        size: Bytes of the body when it is unpacked.
        status: The answer's status.
    """

    size: int = attrs.field(validator=_not_negative)
    status: int = attrs.field(default=200, kw_only=True)

    def _wire(self) -> Wire:
        head = message(self.status, b"", {"Content-Encoding": "gzip", **_CHUNKED})
        return Wire(chunks=chain((head,), _chunked(_zipped(self.size))))


@attrs.frozen
class HugeHeaders(_Undone):
    """Nothing is done, and the answer's headers are huge.

    Attributes:
        size: Bytes of one header's value.
    """

    size: int = attrs.field(default=1 << 20, validator=_not_negative)

    def _wire(self) -> Wire:
        return Wire(chunks=(message(200, {}, {"X-Padding": "x" * self.size}),))


@attrs.frozen
class Delay(_Spoilt):
    """The right answer comes late; what was asked is done at once.

    Attributes:
        seconds: How late.
    """

    seconds: float = attrs.field(validator=_finite)

    def _wire(self, answer: Answer) -> Wire:
        return Wire(chunks=(_head(answer) + answer.body,), delay=self.seconds)


@attrs.frozen
class Drip(_Spoilt):
    """The right answer comes byte by byte.

    Attributes:
        seconds: The time between two bytes.
        headers: Whether the headers come byte by byte, too; otherwise they come at once.
    """

    seconds: float = attrs.field(validator=_finite)
    headers: bool = attrs.field(default=False, kw_only=True)

    def _wire(self, answer: Answer) -> Wire:
        head = _head(answer)
        chunks = chain(_each(head) if self.headers else (head,), _each(answer.body))
        return Wire(chunks=chunks, pause=self.seconds)


@attrs.frozen
class Truncate(_Spoilt):
    """The right answer ends in the middle of its body, under the whole one's `Content-Length`.

    Attributes:
        at: How many bytes of the body come, though never all; None for half of it.
    """

    at: int | None = attrs.field(default=None, validator=_optional)

    def _wire(self, answer: Answer) -> Wire:
        length = len(answer.body)
        at = length // 2 if self.at is None else min(self.at, length - 1)
        return Wire(chunks=(_head(answer), answer.body[:at]))


@attrs.frozen
class WrongLength(_Spoilt):
    """The right answer comes whole, but under a wrong `Content-Length`.

    Attributes:
        by: How many bytes more than there are; it may be negative.
    """

    by: int = -1

    def _wire(self, answer: Answer) -> Wire:
        headers = {**answer.headers, "Content-Length": str(len(answer.body) + self.by)}
        return Wire(chunks=(message(answer.status, answer.body, headers),))


@attrs.frozen
class LostAnswer(Fault):
    """What was asked is done, and the connection is reset instead of an answer."""

    def _play(self, api: API, request: RecordedRequest) -> Wire:
        api.answer(request)
        return Wire(end="reset")


def _head(answer: Answer) -> bytes:
    data = message(answer.status, answer.body, answer.headers)
    return data[: len(data) - len(answer.body)]


def _each(data: bytes) -> Iterator[bytes]:
    return (bytes([byte]) for byte in data)


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
