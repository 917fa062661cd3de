"""One bucket for each token, which all its clients share while the API counts requests."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import ref

import pytest

from digitalocean_projects import AsyncClient, Limits, TokenBucket
from digitalocean_projects._limiter import shared as _buckets
from digitalocean_projects._limiter.shared import make_bucket, shared_bucket
from tests.simulation import VirtualTime

URL, TOKEN = "https://api.example", "dop_v1_" + 64 * "5"
LIMITS = Limits(windows=((2, 60.0),))


class User:
    """A user of a bucket."""


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use an empty registry of buckets."""
    monkeypatch.setattr(_buckets, "_registry", _buckets._Registry())


def shared(user: User, clock: Any, token: str = TOKEN, **options: Any) -> TokenBucket:
    options = {"base_url": URL, "limits": LIMITS, **options}
    limits = options.pop("limits")
    return shared_bucket(limits, clock, token=token, user=user, **options)


async def take(bucket: TokenBucket) -> None:
    """Send a request whose response confirms the token."""
    async with bucket.lease() as lease:
        lease.settle()
        bucket.keep = True


def forget(clock: VirtualTime) -> None:
    """Create enough buckets to let idle ones be forgotten."""
    for number in range(len(_buckets._registry.left) // _buckets._LOOKED_AT + 2):
        shared(User(), clock, f"another {number}")
    gc.collect()


def test_shared() -> None:
    """All users with the same base URL, token, limits and clock share a bucket."""
    clock, users = VirtualTime(), [User() for _ in range(3)]
    first, second, third = (shared(user, clock) for user in users)
    assert first is second is third
    assert first is shared(users[0], clock, limits=Limits(windows=((2, 60.0),)))


@pytest.mark.parametrize(
    "options", [{"base_url": "https://b.example"}, {"token": "b"}, {"limits": Limits()}]
)
def test_not_shared(options: dict[str, Any]) -> None:
    """A user that differs in one of them has its own bucket."""
    clock, one, two = VirtualTime(), User(), User()
    assert shared(one, clock) is not shared(two, clock, **options)


def test_clocks() -> None:
    """Another clock is another bucket."""
    one, two = User(), User()
    assert shared(one, VirtualTime()) is not shared(two, VirtualTime())


def test_outlives_its_users() -> None:
    """A bucket is kept while the API counts its requests, and then forgotten."""
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


def test_outlives_a_manager_with_a_deadline() -> None:
    """A manager with a deadline uses the bucket, even after its original manager."""
    clock = VirtualTime()
    client = AsyncClient(TOKEN, limits=LIMITS, clock=clock)
    manager = client._manager.starting_within(10.0)
    del client
    gc.collect()
    assert manager._bucket is not None
    clock.run(take(manager._bucket))
    kept = ref(manager._bucket)
    del manager
    gc.collect()
    assert kept() is not None


def test_stays_with_a_user() -> None:
    """An idle bucket is kept for a user that came after all earlier ones had left."""
    clock, users = VirtualTime(), [User(), User()]
    kept = ref(shared(users[0], clock))
    clock.run(take(shared(users[0], clock)))
    del users[0]
    shared(users[0], clock)
    clock.now += 61.0
    forget(clock)
    assert shared(User(), clock) is kept()


def test_many() -> None:
    """2,000 unused buckets are forgotten after 100 new ones, each of which checks a few."""
    clock, looks = VirtualTime(), 0

    class Clock(VirtualTime):
        def time(self) -> float:
            nonlocal looks
            looks += 1
            return clock.now

    counting = Clock()
    before = len(_buckets._registry.left)

    async def send() -> None:
        for number in range(2_000):
            user = User()
            await take(shared(user, counting, f"token {number}"))

    clock.run(send())
    assert before + 2_000 >= len(_buckets._registry.left) >= 2_000
    clock.now += 61.0
    for number in range(100):
        before, looks = len(_buckets._registry.left), 0
        shared(User(), counting, f"other {number}")
        assert looks <= 4 * _buckets._LOOKED_AT
        assert before - len(_buckets._registry.left) <= _buckets._LOOKED_AT
    assert len(_buckets._registry.left) <= _buckets._LOOKED_AT


@pytest.mark.parametrize("report", ["settle", "refused", "unsent", "__str__"])
def test_last_reference(report: str) -> None:
    """A bucket whose leases have ended is freed by its last reference, without the collector."""

    async def main(bucket: TokenBucket) -> None:
        async with bucket.lease() as lease:
            getattr(lease, report)()
        leases.append(lease)

    leases: list[object] = []
    gc.disable()
    try:
        bucket = TokenBucket(LIMITS, clock=(clock := VirtualTime()))
        clock.run(main(bucket))
        kept = ref(bucket)
        del bucket
        assert kept() is None
    finally:
        gc.enable()


def test_unused_and_wrong_tokens() -> None:
    """A bucket is forgotten with its last user if none of its requests can count."""
    clock, users = VirtualTime(), [User(), User()]

    async def unauthorized(bucket: TokenBucket) -> None:
        async with bucket.lease() as lease:
            lease.settle()

    async def timed_out(bucket: TokenBucket) -> None:
        async with bucket.lease():
            pass

    wrong = ref(shared(users[0], clock))
    shared(users[1], clock)
    clock.run(unauthorized(shared(users[0], clock)))
    del users[0]
    # It is kept while it is used, so it limits a client that repeats a wrong token.
    assert (1,) == shared(users[0], clock).statistics().in_use
    users.clear()
    assert wrong() is None
    unknown = ref(shared(user := User(), clock, "another"))
    clock.run(timed_out(shared(user, clock, "another")))
    del user
    assert unknown() is not None


def test_pending_in_a_closed_loop() -> None:
    """A bucket outlives a user with pending requests, because these may have been sent."""
    clock, users = VirtualTime(), [User()]
    kept = ref(shared(users[0], clock))

    async def hang(bucket: TokenBucket) -> None:
        await bucket.lease(timeout=5.0).__aenter__()

    clock.run(hang(shared(users[0], clock)))
    users.clear()
    gc.collect()
    assert shared(User(), clock) is kept()


def test_client_of_a_signal_handler() -> None:
    """A signal handler can create a client while idle buckets are checked."""
    clock = VirtualTime()

    async def send() -> None:
        for number in range(10):
            user = User()
            await take(shared(user, clock, f"left {number}"))

    clock.run(send())
    clock.now += 61.0
    made: list[TokenBucket] = []

    class Clock(VirtualTime):
        def time(self) -> float:
            if not made:
                made.append(TokenBucket(LIMITS))
                shared(User(), clock, "of the handler")
            return clock.now

    user = User()
    clock.run(take(shared(user, busy := Clock(), "busy")))
    del user
    made.clear()
    busy.now = clock.now
    shared(User(), clock, "another")
    assert made


def test_name() -> None:
    """A bucket's name depends on token and base URL, and reveals neither."""
    names: list[str] = []

    class Own(Limits):
        """Limits with their own kind of bucket."""

    def make(limits: Limits, name: str, clock: Any) -> TokenBucket:
        names.append(name)
        return TokenBucket(limits, clock=clock)

    make_bucket.register(Own, make)
    for url, token in [(URL, TOKEN), (URL, TOKEN[::-1]), ("https://b.example", TOKEN)]:
        shared(User(), VirtualTime(), token, base_url=url, limits=Own())
    assert (3, {64}) == (len(set(names)), {len(name) for name in names})
    assert not [name for name in names if TOKEN[:12] in name or "example" in name]
    kept = repr(
        [
            _buckets._registry.shared,
            list(_buckets._registry.shared.items()),
            _buckets._registry.users,
            _buckets._registry.left,
        ]
    )
    assert TOKEN not in kept
    assert "example" not in kept


def test_threads() -> None:
    """Concurrent threads get the same bucket."""
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


# The second one forks as C code does, without Python's hooks.
FORKS = ["from os import fork", "import ctypes\nfork = ctypes.PyDLL(None).fork"]
FORK = """
import os, threading
from digitalocean_projects import Limits
from digitalocean_projects._limiter import shared as _buckets
from digitalocean_projects._clock import SYSTEM_CLOCK
class User: pass
user = User()
def get(token):
    return _buckets.shared_bucket(Limits(), SYSTEM_CLOCK, base_url="o", token=token, user=user)
bucket = get("a")
held, forked = threading.Event(), threading.Event()
def hold():
    with _buckets._registry.lock:
        held.set()
        forked.wait(20)
threading.Thread(target=hold, daemon=True).start()
held.wait(20)
if fork():
    forked.set()
    os.wait()
else:
    print(get("a") is bucket, get("b") is not bucket)
"""


@pytest.mark.parametrize("fork", FORKS)
@pytest.mark.process
def test_fork(fork: str) -> None:
    """A forked process has the same buckets, and a free lock."""
    done = subprocess.run(
        [sys.executable, "-c", fork + FORK], capture_output=True, check=False, text=True, timeout=30
    )
    assert ("True True\n", 0) == (done.stdout, done.returncode)
