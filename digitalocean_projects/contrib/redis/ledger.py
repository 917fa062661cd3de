"""Ledger: the leases of one process whose requests the API may still count."""

from __future__ import annotations

import secrets
from collections import deque
from itertools import islice, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_TOLD_AT_ONCE = 500
_SECONDS_BETWEEN_MARKS = 60.0


class Ledger:
    """The leases by number, with the times of their requests, and the reports to send to Redis.

    Args:
        span: The seconds after which the API no longer counts a request.
        hold: The seconds after which Redis assumes that the request of a lease reached the API.

    Attributes:
        worker: A random name, unique among all workers and hosts, to which the numbers belong.
        untold: The numbers of the leases that must be reported to Redis, oldest report first.
    """

    def __init__(self, span: float, hold: float) -> None:
        self.worker: str = secrets.token_hex(8)
        self.untold: dict[int, None] = {}
        self._span = span
        self._life = 2 * hold + span
        self._issued: deque[tuple[float, int]] = deque()
        self._forgotten = 0
        self._counted: dict[int, float] = {}
        self._next = 0

    def numbers(self, count: int, now: float) -> range:
        """Return `count` unused lease numbers."""
        if not self._issued or now - self._issued[-1][0] >= _SECONDS_BETWEEN_MARKS:
            self._issued.append((now, self._next))
        first, self._next = self._next, self._next + count
        return range(first, self._next)

    def open(self, number: int, counted: float) -> None:
        """Add a lease; the API counts its request at `counted` at the latest."""
        self._counted[number] = counted

    def close(self, number: int, counted: float | None) -> None:
        """Record the latest moment at which the API can have counted a request.

        It is None if the request was never sent.
        """
        if counted is not None:
            self._counted[number] = counted
        else:
            # The lease is missing if its request has taken longer than the hold.
            self._counted.pop(number, None)
            if number in self.untold:
                # Redis never heard of the lease.
                del self.untold[number]
                return
        self.untold[number] = None

    def repeat(self, numbers: Iterable[int]) -> None:
        """Queue these numbers to be sent to Redis again."""
        self.untold.update(dict.fromkeys(numbers))

    def repeat_all(self, but: Collection[int]) -> bool:
        """Queue all leases except these; return True if there are any."""
        others = self._counted.keys() - but
        self.repeat(sorted(others))
        return bool(others)

    def tell(self) -> dict[int, float | None]:
        """Dequeue the next reports: for each number the time at which the API has counted it.

        The time is None if the lease is given back.
        """
        told = {number: self._counted.get(number) for number in islice(self.untold, _TOLD_AT_ONCE)}
        for number in told:
            del self.untold[number]
        return told

    def counted(self, but: Collection[int]) -> list[float]:
        """Return the times at which the API has counted the leases, except for these numbers."""
        return [counted for number, counted in self._counted.items() if number not in but]

    def forget(self, now: float) -> None:
        """Drop the requests that the API no longer counts, and the numbers that Redis dropped."""
        oldest = now - self._span
        for number, _ in list(takewhile(lambda item: item[1] <= oldest, self._counted.items())):
            del self._counted[number]
            self.untold.pop(number, None)
        self.numbers(0, now)
        while self._issued[0][0] <= now - self._life:
            _, self._forgotten = self._issued.popleft()
        forgotten = [n for n in self.untold if n < self._forgotten and n not in self._counted]
        for number in forgotten:
            del self.untold[number]
