"""One bucket for each token, shared by all who have it, and kept while the API remembers."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import ref

import pytest

from digitalocean_projects import Limits, TokenBucket, _buckets
from digitalocean_projects._buckets import make_bucket, shared_bucket
from tests.simulation import VirtualTime

URL, TOKEN = "https://api.example", "dop_v1_" + 64 * "5"
LIMITS = Limits(windows=((2, 60.0),))


class User:
    """Who uses a bucket."""


def shared(user: User, clock: Any, token: str = TOKEN, **options: Any) -> TokenBucket:
    options = {"base_url": URL, "limits": LIMITS, **options}
    limits = options.pop("limits")
    return shared_bucket(limits, clock, token=token, user=user, **options)


async def take(bucket: TokenBucket) -> None:
    async with bucket.lease() as lease:
        lease.settle()


def forget(clock: VirtualTime) -> None:
    """Have so many buckets made and left that those which are idle are forgotten."""
    for number in range(2 * len(_buckets._left) + 2 * _buckets._FEW):
        shared(User(), clock, f"another {number}")
    gc.collect()


def test_shared() -> None:
    """Those with the same base URL, token, limits and clock share a bucket, however many."""
    clock, users = VirtualTime(), [User() for _ in range(3)]
    first, second, third = (shared(user, clock) for user in users)
    assert first is second is third
    assert first is shared(users[0], clock, limits=Limits(windows=((2, 60.0),)))


@pytest.mark.parametrize(
    "options", [{"base_url": "https://b.example"}, {"token": "b"}, {"limits": Limits()}]
)
def test_not_shared(options: dict[str, Any]) -> None:
    """Whoever differs in one of them has a bucket of their own."""
    clock, one, two = VirtualTime(), User(), User()
    assert shared(one, clock) is not shared(two, clock, **options)


def test_clocks() -> None:
    """Another clock is another bucket."""
    one, two = User(), User()
    assert shared(one, VirtualTime()) is not shared(two, VirtualTime())


def test_outlives_its_users() -> None:
    """A bucket stays while the API remembers its requests, and is forgotten with them."""
    clock, user = VirtualTime(), User()
    bucket = shared(user, clock)
    clock.run(take(bucket))
    kept = ref(bucket)
    del bucket, user
    forget(clock)
    assert shared(User(), clock) is kept()
    clock.now += 61.0
    forget(clock)
    assert kept() is None


def test_stays_with_a_user() -> None:
    """A bucket that is idle stays while somebody has it, who came after others had left."""
    clock, users = VirtualTime(), [User(), User()]
    kept = ref(shared(users[0], clock))
    del users[0]
    shared(users[0], clock)
    forget(clock)
    assert shared(User(), clock) is kept()


def test_many() -> None:
    """Thousands of tokens are a few buckets, each looked at a few times."""
    clock, looks = VirtualTime(), 0
    forget(clock)

    class Clock(VirtualTime):
        def time(self) -> float:
            nonlocal looks
            looks += 1
            return 0.0

    # Besides what other tests have left, whose hour isn't over.
    left = len(_buckets._left) + 4 * _buckets._FEW
    kept = len(_buckets._shared) + 4 * _buckets._FEW
    counting = Clock()
    for number in range(5000):
        shared(User(), counting, f"token {number}")
        assert len(_buckets._left) <= left
    assert looks < 4 * 5000
    assert len(_buckets._shared) <= kept


def test_name() -> None:
    """A bucket's name depends on token and base URL, and gives neither away."""
    names: list[str] = []

    class Own(Limits):
        """Limits of a kind for which there is another bucket."""

    def make(limits: Limits, name: str, clock: Any) -> TokenBucket:
        names.append(name)
        return TokenBucket(limits, clock=clock)

    make_bucket.register(Own, make)
    for url, token in [(URL, TOKEN), (URL, TOKEN[::-1]), ("https://b.example", TOKEN)]:
        shared(User(), VirtualTime(), token, base_url=url, limits=Own())
    assert (3, {64}) == (len(set(names)), {len(name) for name in names})
    assert not [name for name in names if TOKEN[:12] in name or "example" in name]
    kept = repr([_buckets._shared, list(_buckets._shared.items()), _buckets._users, _buckets._left])
    assert TOKEN not in kept
    assert "example" not in kept


def test_threads() -> None:
    """Threads that ask at the same moment get the same bucket."""
    clock, barrier = VirtualTime(), threading.Barrier(8, timeout=20)

    def get(number: int) -> list[TokenBucket]:
        found = []
        for turn in range(20):
            barrier.wait()
            users.append(User())
            found.append(shared(users[-1], clock, f"turn {turn}"))
            shared(User(), clock, f"{number} left at once")
        return found

    users: list[User] = []
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(get, range(8)))
    assert [1] * 20 == [len(set(column)) for column in zip(*rows, strict=True)]


FORK = """
import os, threading
from digitalocean_projects import Limits, _buckets
from digitalocean_projects._clock import SYSTEM_CLOCK
class User: pass
user = User()
def get(token):
    return _buckets.shared_bucket(Limits(), SYSTEM_CLOCK, base_url="o", token=token, user=user)
bucket = get("a")
held, forked = threading.Event(), threading.Event()
def hold():
    with _buckets._lock:
        held.set()
        forked.wait(20)
threading.Thread(target=hold).start()
held.wait(20)
if os.fork():
    forked.set()
    os.wait()
else:
    print(get("a") is bucket, get("b") is not bucket)
"""


def test_fork() -> None:
    """A forked process has the same buckets, and a free lock."""
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, check=False, text=True, timeout=30
    )
    assert ("True True\n", 0) == (done.stdout, done.returncode)
