"""The windows of a budget: when each token comes back, and when the next one is free."""

from __future__ import annotations

import pytest

from digitalocean_projects import Limits, TokenBucket
from digitalocean_projects._limiter.budget import NO_REPORT, Budget, Window


def window(*back: float, capacity: int = 3, reserve: int = 1) -> Window:
    made = Window(capacity, 60.0, margin=1.0, reserve=reserve)
    for at in back:
        made.give_back(at - made.period)
    return made


def test_names() -> None:
    """A window has a name, and adds the margin to its period."""
    assert ("3 requests per 60 s", 61.0) == (window().name, window().period)


@pytest.mark.parametrize(
    ("now", "in_flight", "in_use"), [(9.9, 0, 2), (9.9, 2, 4), (10.0, 0, 1), (20.0, 1, 1)]
)
def test_in_use(now: float, in_flight: int, in_use: int) -> None:
    """A token is in use until the moment at which it comes back."""
    assert in_use == window(20.0, 10.0).in_use(now, in_flight)


@pytest.mark.parametrize(
    ("now", "in_flight", "before", "bulk", "at"),
    [
        (0.0, 0, 0, False, 0.0),
        (0.0, 1, 0, False, 10.0),
        (0.0, 0, 0, True, 10.0),
        (0.0, 0, 1, True, 20.0),
        (10.0, 1, 0, False, 10.0),
        (10.0, 1, 0, True, 20.0),
        (0.0, 0, 2, False, 20.0),
        (0.0, 0, 3, False, 61.0),
        (0.0, 0, 4, False, 71.0),
        (0.0, 0, 7, False, 132.0),
        (25.0, 3, 0, False, 86.0),
    ],
)
def test_free_at(now: float, in_flight: int, before: int, at: float, *, bulk: bool) -> None:
    """The next token is there now, or comes back, in the order of those that wait for them.

    Those under way, and those that wait before, may be answered at once.
    """
    assert at == window(20.0, 10.0).free_at(now, in_flight, before, bulk=bulk)


def test_soonest() -> None:
    """A token in flight may come back before one with an unknown fate."""
    assert 61.0 == window(91.0).free_at(0.0, 2, 0, bulk=False)


def test_reserve_of_a_small_window() -> None:
    """Bulk requests can take at least one token."""
    small = window(capacity=1, reserve=5)
    assert (0.0, 61.0) == tuple(small.free_at(0.0, number, 0, bulk=True) for number in (0, 1))


def test_spare() -> None:
    """The spare tokens are those that are free now, without the reserve; returned ones leave."""
    made = window(10.0, 20.0, capacity=5)
    assert [2, 3, 2] == [made.spare(9.9, 0), made.spare(10.0, 0), made.spare(10.0, 1)]
    assert [20.0] == made._back


def test_returned_tokens_take_no_memory() -> None:
    """A budget whose windows are never full forgets the tokens that have returned."""
    budget = Budget(Limits(windows=((10, 60.0),)), lambda: 0.0)
    for minute in range(100):
        lease = TokenBucket(Limits()).lease()
        now = 70.0 * minute
        assert budget.is_ready(now, bulk=False)
        budget.take(lease, now)
        budget.end(lease, "settled", NO_REPORT, now)
    assert len(budget._windows[0]._back) <= 10
