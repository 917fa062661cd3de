"""Script: answers and faults given beforehand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._recording import RecordedRequest
    from .faults import Fault


@attrs.define(eq=False)
class _Entry:
    part: bytes | Fault
    when: Callable[[RecordedRequest], bool] | None
    left: float


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
        """Play the part `times` times, for what `when` accepts (None: without end, for all).

        Raises:
            ValueError: `times` is less than 1.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is at least 1, or None, not {times}")
        self._entries.append(_Entry(part, when, math.inf if times is None else times))

    def __bool__(self) -> bool:
        return bool(self._entries)

    def take(self, request: RecordedRequest) -> bytes | Fault | None:
        """The first part that is for this request and not used up, if there is one."""
        for entry in self._entries:
            if entry.when is None or entry.when(request):
                entry.left -= 1
                if not entry.left:
                    self._entries.remove(entry)
                return entry.part
        return None
