"""Window: the tokens of a bucket for one of the API's windows, without those under way."""

from __future__ import annotations

from bisect import bisect_right, insort


class Window:
    """When each token comes back that the API may count still.

    Args:
        capacity: How many tokens there are.
        period: The seconds for which the API counts a request.
        margin: The seconds that are added to the period.
        reserve: How many tokens bulk requests leave to the others.

    Attributes:
        name: What it says of itself.
        period: The seconds after which a token comes back.
    """

    def __init__(self, capacity: int, period: float, *, margin: float, reserve: int) -> None:
        self.name = f"no more than {capacity} requests in {period:g} s"
        self.period = period + margin
        self._capacity = capacity
        self._reserve = min(reserve, capacity - 1)
        self._back: list[float] = []

    def give_back(self, at: float) -> None:
        """Have one more token back then."""
        insort(self._back, at)

    def in_use(self, now: float, in_flight: int) -> int:
        """How many tokens are out, with those under way."""
        return in_flight + len(self._back) - bisect_right(self._back, now)

    def free_at(self, now: float, in_flight: int, before: int, *, bulk: bool) -> float:
        """When there is a token at the soonest, `before` others having been taken."""
        back = self._back
        if back and back[0] <= now:
            del back[: bisect_right(back, now)]
        missing = in_flight + len(back) + before - self._capacity
        if bulk:
            missing += self._reserve
        if missing < 0:
            return now
        # Each token comes again and again; one under way is back in a period at the soonest.
        rounds, place = divmod(missing, self._capacity)
        soonest = now + self.period
        if place < len(back):
            soonest = min(soonest, back[place])
        return soonest + rounds * self.period
