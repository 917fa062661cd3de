"""Source: what a token bucket asks for the tokens that it leases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Mapping

    from .budget import End, Flight
    from .lease import Lease


class Source(Protocol):
    """A source of a bucket's tokens, such as its budget. It is called with the bucket's lock held.

    See `Budget` for the methods.
    """

    def ready_at(self, now: float, *, bulk: bool) -> float: ...

    def estimate(self, now: float, *, bulk: bool, before: int) -> tuple[float, str]: ...

    def take(self, flight: Flight, now: float) -> None: ...

    def end(self, flight: Flight, end: End, headers: Mapping[str, str], now: float) -> object: ...


class Remote(Source, Protocol):
    """A source that asks elsewhere for tokens, from the event loops in which leases wait."""

    def refusal(self, now: float) -> Exception | None:
        """Return an error if no lease may wait now."""

    def is_fresh(self, lease: Lease, now: float) -> bool:
        """Return True if a lease that has its tokens may still be used."""

    def asks(self, loop: AbstractEventLoop, now: float) -> bool:
        """Return True if `serve` is to be called in a loop."""

    def serve(self, loop: AbstractEventLoop) -> None:
        """Ask for tokens from the running loop, if need be. The lock is not held."""

    def leave_to_parent(self) -> None:
        """Forget, in a forked process, all that belongs to its parent."""
