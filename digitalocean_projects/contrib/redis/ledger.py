"""Ledger: the leases of one process that the API may still count."""

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
    """The leases, by number: what became of each, and of which Redis has yet to be told.

    Args:
        span: The seconds after which the API doesn't count a request any more.
        hold: The seconds for which Redis counts a lease of unknown end as used.

    Attributes:
        worker: What the numbers belong to, on whichever host.
        untold: The numbers of the leases that Redis has to be told of, first come first.
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
        """Return `count` new lease numbers."""
        if not self._issued or now - self._issued[-1][0] >= _SECONDS_BETWEEN_MARKS:
            self._issued.append((now, self._next))
        first, self._next = self._next, self._next + count
        return range(first, self._next)

    def open(self, number: int, counted: float) -> None:
        """Add a lease. The API counts its request at `counted` at the latest."""
        self._counted[number] = counted

    def close(self, number: int, counted: float | None) -> None:
        """Record the latest moment at which the API can have counted a request.

        It is None if the request was never sent.
        """
        if counted is not None:
            self._counted[number] = counted
        else:
            # It was forgotten if the request has taken longer than the hold.
            self._counted.pop(number, None)
            if number in self.untold:
                # Redis never knew of it.
                del self.untold[number]
                return
        self.untold[number] = None

    def repeat(self, numbers: Iterable[int]) -> None:
        """Queue these numbers to be sent to Redis again."""
        self.untold.update(dict.fromkeys(numbers))

    def repeat_all(self, but: Collection[int]) -> bool:
        """Have Redis told of all but these; returns whether there are any."""
        others = self._counted.keys() - but
        self.repeat(sorted(others))
        return bool(others)

    def tell(self) -> dict[int, float | None]:
        """What to tell next: when the API has counted each; None if the lease is given back."""
        told = {number: self._counted.get(number) for number in islice(self.untold, _TOLD_AT_ONCE)}
        for number in told:
            del self.untold[number]
        return told

    def counted(self, but: Collection[int]) -> list[float]:
        """When the API has counted each but these."""
        return [counted for number, counted in self._counted.items() if number not in but]

    def forget(self, now: float) -> None:
        """Forget what the API has forgotten, and the numbers that Redis has forgotten."""
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
