"""Flights: the requests of a token bucket that are in flight."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .lease import Lease

# A request that is unanswered for longer doesn't count for the slow start: one slow endpoint would
# hold up all others.
_SECONDS_YOUNG = 1.0


class Flights:
    """The leases in flight, each until it ends or its time is up: a state without I/O.

    Attributes:
        young: How many of them went less than a second before the last `advance`.
    """

    def __init__(self) -> None:
        self.young = 0
        self._leases: dict[Lease, None] = {}
        # The earliest end of a lease; it may be that of one which has ended since.
        self._next_end = math.inf
        # In the order in which they went. Those that have ended are no longer `young`.
        self._recent: deque[Lease] = deque()

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases)

    def __contains__(self, lease: Lease) -> bool:
        return lease in self._leases

    def add(self, lease: Lease) -> None:
        """Add a lease that goes now; do nothing if it is here already.

        The order matters: a signal handler's exception may come after any call.
        """
        if lease not in self._leases:
            lease.young = True
            self._next_end = min(self._next_end, lease.end)
            self._leases[lease] = None
            self._recent.append(lease)
            self.young += 1

    def remove(self, lease: Lease) -> None:
        """Remove a lease that has ended."""
        del self._leases[lease]
        if lease.young:
            lease.young = False
            self.young -= 1

    def advance(self, now: float) -> list[Lease]:
        """Count as young only the leases that still are; return those whose time is up."""
        recent = self._recent
        while recent and (not recent[0].young or recent[0].sent + _SECONDS_YOUNG <= now):
            lease = recent.popleft()
            if lease.young:
                lease.young = False
                self.young -= 1
        if self._next_end > now:
            return []
        ended = [lease for lease in self._leases if lease.end <= now]
        self._next_end = min((lease.end for lease in self if lease.end > now), default=math.inf)
        return ended

    def fewer_at(self, *, young: float, total: float) -> float:
        """Return when time alone makes them fewer than the maximum of the young ones and of all.

        That is -inf if there are fewer, and may be earlier if one has ended meanwhile.
        """
        at = -math.inf
        if self.young >= young:
            at = self._recent[0].sent + _SECONDS_YOUNG
        if len(self._leases) >= total:
            at = max(at, self._next_end)
        return at
