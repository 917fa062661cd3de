"""Answer: documents, refusals and raw bytes that are sent to the client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_IDS = {
    401: "Unauthorized",
    413: "request_entity_too_large",
    422: "unprocessable_entity",
    429: "too_many_requests",
    500: "server_error",
}
_MESSAGES = {
    401: "Unable to authenticate you",
    403: "You are not authorized to perform this operation",
    404: "The resource you requested could not be found.",
    429: "API Rate limit exceeded.",
    500: "Unexpected server-side error",
}


def _phrase(status: int) -> str:
    return responses.get(status, "error")


@attrs.define(eq=False)
class RefusedError(Exception):
    """A refusal of a request, which is answered with an error document of this status.

    The default of the message is the one that the API has for the status.
    """

    status: int
    message: str = attrs.field()
    headers: dict[str, str] = attrs.field(factory=dict)

    @message.default
    def _message(self) -> str:
        return _MESSAGES.get(self.status) or _phrase(self.status)

    @property
    def id(self) -> str:
        """The document's `id`."""
        return _IDS.get(self.status) or _phrase(self.status).lower().replace(" ", "_")


@attrs.frozen
class Answer:
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@attrs.frozen(kw_only=True)
class Wire:
    """Raw bytes in place of an answer, and their times. The connection ends after them.

    Attributes:
        chunks: The bytes.
        delay: Real seconds before the first chunk.
        pause: Real seconds between two chunks.
        end: The end of the connection: by a FIN, by a RST, or by the client.
    """

    chunks: Iterable[bytes] = ()
    delay: float = 0.0
    pause: float = 0.0
    end: Literal["close", "reset", "wait"] = "close"


def message(
    status: int, body: object, headers: Mapping[str, str] | Iterable[tuple[str, str]]
) -> bytes:
    """Return the bytes of an HTTP/1.1 answer with these headers.

    A missing type, length and `Connection: close` are added; to a 204, which has no body, only the
    last.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    given = {name.lower() for name, _ in fields}
    if status == HTTPStatus.NO_CONTENT:
        given |= {"content-type", "content-length"}
    if "content-type" not in given:
        fields.append(("Content-Type", "application/json"))
    if given.isdisjoint(("content-length", "transfer-encoding")):
        fields.append(("Content-Length", str(len(content))))
    if "connection" not in given:
        fields.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in fields]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + content


def head(answer: Answer) -> bytes:
    """Return the bytes of an answer's status line and headers."""
    data = message(answer.status, answer.body, answer.headers)
    return data[: len(data) - len(answer.body)]


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a body in the chunked transfer coding."""
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
