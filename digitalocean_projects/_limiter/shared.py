"""The token buckets of this process: one for each token, which its clients share."""

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
        limits: The limits; their class decides where the tokens come from.
        name: A text that stands for a token and a base URL, and gives neither away.
        clock: Measures time and waits.
    """
    del name
    return TokenBucket(limits, clock=clock)


def shared_bucket(
    limits: Limits, clock: Clock, *, base_url: str, token: str, user: object
) -> TokenBucket:
    """Return the bucket that all clients with this base URL, token, limits and clock share.

    It outlives its users until the last token is back, since the API counts their requests until
    then. A bucket of a token that the API has only ever answered with 401 doesn't: so the limits
    hold for such a token while a client of it is kept, and not for a new client for each request.
    """
    name = hmac.digest(base_url.encode(), token.encode(), "sha256").hex()
    # The bucket keeps the clock, so its id isn't given to another one.
    key = (name, limits, id(clock))
    check_process()
    with _registry.lock:
        bucket = _registry.shared.get(key)
        if bucket is None:
            _registry.forget_idle()
            bucket = _registry.shared[key] = make_bucket(limits, name, clock)
    _registry.users[weakref.ref(user, _registry.leave)] = bucket
    return bucket


# How many buckets are looked at for each new one. The number is small, so that no new client waits
# for a sweep, and large enough for 20,000 buckets to be gone after 1,000 new ones.
_LOOKED_AT = 32


class _Registry:
    """The buckets of this process.

    A bucket must live while it has a user, and after that until the API has forgotten its requests;
    a service sees any number of tokens, so no bucket may live longer, and no new client may wait
    while many are looked through. `shared` finds a bucket, and refers to it weakly. Two others keep
    it: `users`, from weak references to what uses it, whose callback is the end of a use; and
    `left`, which is ordered, so that each new bucket looks at a few that were left first, and puts
    those that are needed still at the end. A callback of a weak reference comes wherever garbage is
    collected, in any thread: so it takes no lock, and changes the two only by single operations.

    Attributes:
        lock: Guards `shared`. Reentrant, since a signal handler may make a client.
        shared: The buckets, by token and base URL, limits and clock.
        users: The buckets by what uses them.
        left: The buckets that a user has left, in the order in which the last one did.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.shared: weakref.WeakValueDictionary[tuple[str, Limits, int], TokenBucket] = (
            weakref.WeakValueDictionary()
        )
        self.users: dict[weakref.ref[object], TokenBucket] = {}
        self.left: OrderedDict[TokenBucket, None] = OrderedDict()

    def forget_idle(self) -> None:
        """Look at the buckets that were left first, and drop those that are idle."""
        looked_at: list[TokenBucket] = []
        # A signal handler may make a client meanwhile, which looks at some, too.
        while self.left and len(looked_at) < _LOOKED_AT:
            bucket, _ = self.left.popitem(last=False)
            looked_at.append(bucket)
        for bucket in looked_at:
            if not bucket.is_idle():
                self.left[bucket] = None

    def leave(self, user: weakref.ref[object]) -> None:
        """Keep a bucket that a user has left, for as long as the API counts its requests."""
        bucket = self.users.pop(user)
        if bucket.outlives_users():
            self.left[bucket] = None
            self.left.move_to_end(bucket)

    def leave_to_parent(self) -> None:
        """Replace the lock in a forked process: a thread of the parent may hold it for ever."""
        self.lock = threading.RLock()


_registry = _Registry()
call_in_child(_Registry.leave_to_parent, _registry)
