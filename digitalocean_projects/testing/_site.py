"""Site: scripted answers and faults, and the API, which answers all other requests."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

import attrs

from ._answer import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock

    from ._answer import Answer
    from ._api import API
    from ._recording import Record, RecordedRequest
    from .faults import Fault


@attrs.define(eq=False)
class _Entry:
    part: bytes | Fault
    when: Callable[[RecordedRequest], bool] | None
    left: float

    def accepts(self, request: RecordedRequest) -> bool:
        """Return True if the part answers a request."""
        if not (isinstance(self.part, bytes) or self.part._concerns(request)):  # noqa: SLF001 - not for users
            return False
        return self.when is None or self.when(request)


class Script:
    """Answers and faults in the order in which they were added."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def add(
        self,
        part: bytes | Fault,
        *,
        when: Callable[[RecordedRequest], bool] | None,
        times: int | None,
    ) -> None:
        """Add a part, which answers the next `times` requests that `when` accepts.

        Args:
            part: A fault, or the bytes to send.
            when: None accepts all requests.
            times: None sets no limit.

        Raises:
            ValueError: `times` is less than 1.
        """
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1 or None, got {times}")
        self._entries.append(_Entry(part, when, math.inf if times is None else times))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def take(self, request: RecordedRequest) -> bytes | Fault | None:
        """Return the first part that accepts the request, and count its use; None if none does."""
        for entry in self._entries:
            if entry.accepts(request):
                entry.left -= 1
                if not entry.left:
                    self._entries.remove(entry)
                return entry.part
        return None


@attrs.frozen(kw_only=True)
class Site:
    """The answers to all requests. Its methods may be called from any thread.

    Attributes:
        lock: The lock of the other attributes. It is reentrant, because a `when` of the script may
            call the emulator.
        record: The newest requests.
        script: The scripted answers and faults.
        api: The API, which answers the requests that the script leaves.
        max_body: The maximum length of a body in bytes.
    """

    lock: RLock
    record: Record
    script: Script
    api: API
    max_body: int

    def wants_body(self, request: RecordedRequest) -> bool:
        """Return True if the body of a request must be read; the request has none yet."""
        with self.lock:
            return bool(self.script) or self.api.knows(request)

    def answer(self, request: RecordedRequest) -> Answer | Wire:
        """Answer a request."""
        with self.lock:
            # The request is recorded first, because a `when` of the script may look at the record.
            self.record.add(request)
            part = self.script.take(request)
            if isinstance(part, bytes):
                self.api.count(request)
                return Wire(chunks=(part,))
            if part is not None:
                return part._play(self.api, request)  # noqa: SLF001 - not for users
            if not self.api.knows(request):
                self.record.drop_body(request)
            return self.api.answer(request)

    def refuse_body(self, request: RecordedRequest) -> Answer:
        """Answer a request whose body is too large."""
        with self.lock:
            self.record.add(request)
            message = f"The request body is larger than {self.max_body} bytes."
            return self.api.refuse(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message=message)
