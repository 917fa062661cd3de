"""Source: the interface of the sources of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from .budget import End, Flight, Report
    from .lease import Lease


class Source(Protocol):
    """A source of tokens, such as the bucket's budget. The caller holds the bucket's lock.

    See `Budget` for the methods.
    """

    def is_ready(self, now: float, *, bulk: bool) -> bool:
        return self.ready_at(now, bulk=bulk) <= now

    def ready_at(self, now: float, *, bulk: bool) -> float: ...

    def estimate(self, now: float, *, bulk: bool, before: int) -> tuple[float, str]: ...

    def take(self, flight: Flight, now: float) -> None: ...

    def end(self, flight: Flight, end: End, report: Report, now: float) -> object: ...


class Remote(Source, Protocol):
    """A source that gets tokens from another process, in the event loops of the waiting leases."""

    def refusal(self, now: float) -> Exception | None:
        """Return an error if no lease may wait now, or else None."""

    def is_fresh(self, lease: Lease, now: float) -> bool:
        """Return True if a lease may still be used after it got its tokens."""

    def asks(self, loop: AbstractEventLoop, now: float) -> bool:
        """Return True if the loop must call `serve`."""

    def serve(self, loop: AbstractEventLoop) -> None:
        """Request tokens in the running loop if necessary. The caller doesn't hold the lock."""

    def leave_to_parent(self) -> None:
        """Forget all state that belongs to the parent, in a forked process."""
