"""The token buckets of this process: one for each token, which its clients share."""

from __future__ import annotations

import hmac
import os
import threading
import weakref
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
    """The bucket of all who have the same base URL, token, limits and clock.

    It outlives its users until the last token is back, since the API remembers requests as long.
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
    """Let go of what nobody uses and the API has forgotten; costs little on average."""
    global _most_left  # noqa: PLW0603 - it belongs to the set beside it
    if len(_left) >= _most_left:
        _left.difference_update([bucket for bucket in list(_left) if bucket.is_idle()])
        _most_left = 2 * len(_left) + _FEW


def _leave(user: weakref.ref[object]) -> None:
    _left.add(_users.pop(user))


_FEW = 64
_shared: weakref.WeakValueDictionary[tuple[str, Limits, int], TokenBucket] = (
    weakref.WeakValueDictionary()
)
_users: dict[weakref.ref[object], TokenBucket] = {}
_left: set[TokenBucket] = set()
_most_left = _FEW
# Reentrant, since a signal handler may make a client.
_lock = threading.RLock()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - the parent's may be held for ever
    _lock = threading.RLock()


with suppress(AttributeError):  # where there is no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
