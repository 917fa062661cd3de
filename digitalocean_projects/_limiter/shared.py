"""Shared: the token buckets of this process, which clients with the same token share."""

from __future__ import annotations

import hmac
import threading
import weakref
from collections import OrderedDict
from functools import singledispatch
from typing import TYPE_CHECKING

from digitalocean_projects._process import call_in_child, check_process

from .bucket import TokenBucket

if TYPE_CHECKING:
    from digitalocean_projects._clock import Clock
    from digitalocean_projects._config import Limits


@singledispatch
def make_bucket(limits: Limits, name: str, clock: Clock) -> TokenBucket:
    """Return a new bucket.

    Args:
        limits: The limits; their class decides the source of the tokens.
        name: A digest of a token and a base URL.
        clock: The clock of the bucket.
    """
    del name
    return TokenBucket(limits, clock=clock)


def shared_bucket(
    limits: Limits, clock: Clock, *, base_url: str, token: str, user: object
) -> TokenBucket:
    """Return the bucket that all clients with this base URL, token, limits and clock share.

    A bucket outlives its users until the last token is back, since the API counts their requests
    until then. This doesn't hold for a token for which every response was a 401, so that invalid
    tokens leave nothing behind.
    """
    name = hmac.digest(base_url.encode(), token.encode(), "sha256").hex()
    # The bucket keeps the clock alive, so no other clock can get the same id.
    key = (name, limits, id(clock))
    check_process()
    with _registry.lock:
        bucket = _registry.shared.get(key)
        if bucket is None:
            _registry.forget_idle()
            bucket = _registry.shared[key] = make_bucket(limits, name, clock)
    _registry.users[weakref.ref(user, _registry.leave)] = bucket
    return bucket


def shared_buckets() -> list[tuple[Limits, TokenBucket]]:
    """Return the buckets of this process that `shared_bucket` has made, with their limits."""
    check_process()
    with _registry.lock:
        return [(limits, bucket) for (_, limits, _), bucket in _registry.shared.items()]


# Number of buckets that are examined for each new one. It is small, so that no new client waits for
# a sweep, and large enough to remove 20,000 buckets while 1,000 new ones are made.
_LOOKED_AT = 32


class _Registry:
    """The buckets of this process.

    A bucket must live while it has a user, and then until the API no longer counts its requests. A
    service sees any number of tokens, so no bucket may live longer, and no new client may wait for
    a search through all of them.

    `shared` finds a bucket, and refers to it weakly. Two other containers keep it alive. `users`
    has weak references to the users as keys; each has a callback, `leave`, for the end of its user.
    `left` has the buckets without users, in order. When a new bucket is created, the first few of
    `left` are examined, and those that are still needed are moved to the end. The callbacks run
    wherever garbage is collected, in any thread. So they take no lock, and change both containers
    by single operations only.

    Attributes:
        lock: The lock of `shared`. It is reentrant, since a signal handler may make a client.
        shared: The buckets by token and base URL, limits and clock.
        users: The buckets by their users.
        left: The buckets that their last user has left, oldest first.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.shared: weakref.WeakValueDictionary[tuple[str, Limits, int], TokenBucket] = (
            weakref.WeakValueDictionary()
        )
        self.users: dict[weakref.ref[object], TokenBucket] = {}
        self.left: OrderedDict[TokenBucket, None] = OrderedDict()

    def forget_idle(self) -> None:
        """Examine the buckets that were left first, and drop the idle ones."""
        looked_at: list[TokenBucket] = []
        # A signal handler may make a client meanwhile, which also examines some.
        while self.left and len(looked_at) < _LOOKED_AT:
            bucket, _ = self.left.popitem(last=False)
            looked_at.append(bucket)
        for bucket in looked_at:
            if not bucket.is_idle():
                self.left[bucket] = None

    def leave(self, user: weakref.ref[object]) -> None:
        """Keep a bucket that a user has left while the API counts its requests."""
        bucket = self.users.pop(user)
        if bucket.outlives_users():
            self.left[bucket] = None
            self.left.move_to_end(bucket)

    def leave_to_parent(self) -> None:
        """Replace the lock in a forked process: a thread of the parent may hold it forever."""
        self.lock = threading.RLock()


_registry = _Registry()
call_in_child(_Registry.leave_to_parent, _registry)
