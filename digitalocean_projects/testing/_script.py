"""Script: answers and faults that are sent instead of the API's answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from ._recording import RecordedRequest
    from .faults import Fault


@attrs.define(eq=False)
class Entry:
    """An answer or a fault, and the requests that it is for.

    Attributes:
        part: A fault, or the bytes to send.
        when: A function that accepts a request; None accepts all.
        left: The number of requests that are still to be answered.
    """

    part: bytes | Fault
    when: Callable[[RecordedRequest], bool] | None
    left: float

    def accepts(self, request: RecordedRequest) -> bool:
        """Return True if the part answers a request."""
        if not (isinstance(self.part, bytes) or self.part._concerns(request)):  # noqa: SLF001 - not for users
            return False
        return self.when is None or self.when(request)


class Script:
    """Answers and faults in the order in which they were added.

    Attributes:
        entries: Those that have requests left.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []

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
        self.entries.append(Entry(part, when, math.inf if times is None else times))

    def take(self, request: RecordedRequest) -> bytes | Fault | None:
        """Return the first part that accepts the request, and count its use; None if none does."""
        for entry in self.entries:
            if entry.accepts(request):
                entry.left -= 1
                if not entry.left:
                    self.entries.remove(entry)
                return entry.part
        return None
