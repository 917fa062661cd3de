"""Site: scripted answers and faults, the API, and the emulator's own operations."""

from __future__ import annotations

from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING

import attrs

from ._answer import Wire

if TYPE_CHECKING:
    from threading import RLock

    from ._admin import Admin
    from ._answer import Answer
    from ._api import API
    from ._recording import Record, RecordedRequest
    from ._script import Script

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


@attrs.define(kw_only=True, eq=False)
class Site:
    """The answers to all requests. Its methods may be called from any thread.

    Attributes:
        lock: The lock of the other attributes. It is reentrant, because a `when` of the script may
            call the emulator.
        record: The newest requests.
        script: The scripted answers and faults.
        api: The API, which answers the requests that the script leaves.
        admin: The emulator's own operations.
        max_body: The maximum length of a body in bytes.
        latency: The real seconds that each answer of the API is delayed.
        jitter: The maximum difference to `latency`.
        changes: The number of requests that may have changed the state.
    """

    lock: RLock
    record: Record
    script: Script
    api: API
    admin: Admin
    max_body: int
    latency: float
    jitter: float
    changes: int = 0
    _random: Random = attrs.field(factory=lambda: Random(0), init=False)  # noqa: S311 - not secret

    def wants_body(self, request: RecordedRequest) -> bool:
        """Return True if the body of a request must be read; the request has none yet."""
        with self.lock:
            return (
                self.admin.handles(request) or bool(self.script.entries) or self.api.knows(request)
            )

    def delay(self, request: RecordedRequest) -> float:
        """Return the real seconds to wait before a request is answered."""
        if not self.latency or self.admin.handles(request):
            return 0.0
        with self.lock:
            return self.latency + self._random.uniform(-self.jitter, self.jitter)

    def answer(self, request: RecordedRequest) -> Answer | Wire:
        """Answer a request."""
        with self.lock:
            if request.method not in _READS:
                self.changes += 1
            if self.admin.handles(request):
                return self.admin.answer(request)
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
            if not self.admin.handles(request):
                self.record.add(request)
            message = f"The request body is larger than {self.max_body} bytes."
            return self.api.refuse(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message=message)
