"""The token buckets of this process: one for each token, which its clients share."""

from __future__ import annotations

import hmac
import os
import threading
import weakref
from collections import OrderedDict
from contextlib import suppress
from functools import singledispatch
from typing import TYPE_CHECKING

from ._limiter import TokenBucket

if TYPE_CHECKING:
    from ._clock import Clock
    from ._config import Limits


@singledispatch
def make_bucket(limits: Limits, name: str, clock: Clock) -> TokenBucket:
    """A new bucket.

    Args:
        limits: Their class decides what kind of bucket it is.
        name: Stands for a token and a base URL, and gives neither away.
        clock: What time is measured and waited by.
    """
    del name
    return TokenBucket(limits, clock=clock)


def shared_bucket(
    limits: Limits, clock: Clock, *, base_url: str, token: str, user: object
) -> TokenBucket:
    """Return the bucket that all clients with this base URL, token, limits and clock share.

    It outlives its users until the last token is back, since the API counts their requests until
    then. A bucket of a token that the API has only ever answered with 401 doesn't.
    """
    name = hmac.digest(base_url.encode(), token.encode(), "sha256").hex()
    # The bucket keeps the clock, so its id isn't given to another one.
    key = (name, limits, id(clock))
    with _lock:
        bucket = _shared.get(key)
        if bucket is None:
            _forget_idle()
            bucket = _shared[key] = make_bucket(limits, name, clock)
    _users[weakref.ref(user, _leave)] = bucket
    return bucket


def _forget_idle() -> None:
    """Drop those of the buckets that were left first which the API has forgotten, too.

    The number that is looked at is bounded, so that no new client ever waits for a sweep, and large
    enough for the buckets of 20,000 tokens to be gone after 1,000 new ones.
    """
    for _ in range(min(_LOOKED_AT, len(_left))):
        bucket, _ = _left.popitem(last=False)
        if not bucket.is_idle():
            _left[bucket] = None


def _leave(user: weakref.ref[object]) -> None:
    """Keep a bucket that a user has left, for as long as the API counts its requests."""
    bucket = _users.pop(user)
    if bucket.keep:
        _left[bucket] = None
        _left.move_to_end(bucket)


_LOOKED_AT = 32
_shared: weakref.WeakValueDictionary[tuple[str, Limits, int], TokenBucket] = (
    weakref.WeakValueDictionary()
)
_users: dict[weakref.ref[object], TokenBucket] = {}
# In the order in which their last users have left them.
_left: OrderedDict[TokenBucket, None] = OrderedDict()
# Reentrant, since a signal handler may make a client.
_lock = threading.RLock()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - the parent's may be held for ever
    _lock = threading.RLock()


with suppress(AttributeError):  # where there is no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
