"""Wire: what goes over a socket in place of an answer, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable


@attrs.frozen(kw_only=True)
class Wire:
    """Bytes, and how they come; the connection ends after them.

    Attributes:
        chunks: The bytes.
        delay: Seconds before the first chunk.
        pause: Seconds between two chunks.
        end: How the connection ends: by a FIN, by a RST, or by the client.
    """

    chunks: Iterable[bytes] = ()
    delay: float = 0.0
    pause: float = 0.0
    end: Literal["close", "reset", "wait"] = "close"


def message(
    status: int, body: object, headers: Mapping[str, str] | Iterable[tuple[str, str]]
) -> bytes:
    """An HTTP/1.1 answer with these headers and, of its own, only those that are missing.

    A 204, which has no body, gets neither a type nor a length.
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
