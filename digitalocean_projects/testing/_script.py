"""Script: answers given beforehand, byte for byte."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http.client import responses
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._recording import RecordedRequest


def message(
    status: int, body: object, headers: Mapping[str, str] | Iterable[tuple[str, str]]
) -> bytes:
    """An HTTP/1.1 answer with these headers and, of its own, only those that are missing."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    given = {name.lower() for name, _ in fields}
    if "content-type" not in given:
        fields.append(("Content-Type", "application/json"))
    if given.isdisjoint(("content-length", "transfer-encoding")):
        fields.append(("Content-Length", str(len(content))))
    if "connection" not in given:
        fields.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in fields]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + content


@attrs.define(eq=False)
class _Entry:
    data: bytes
    when: Callable[[RecordedRequest], bool] | None
    left: float


class Script:
    """Answers in the order in which they were added."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(
        self, data: bytes, *, when: Callable[[RecordedRequest], bool] | None, times: int | None
    ) -> None:
        """Answer `data`, `times` times, to what `when` accepts (None: without end, to all).

        Raises:
            ValueError: `times` is less than 1.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is at least 1, or None, not {times}")
        self._entries.append(_Entry(data, when, math.inf if times is None else times))

    def take(self, request: RecordedRequest) -> bytes | None:
        """The first answer that is for this request and not used up, if there is one."""
        for entry in self._entries:
            if entry.when is None or entry.when(request):
                entry.left -= 1
                if not entry.left:
                    self._entries.remove(entry)
                return entry.data
        return None
