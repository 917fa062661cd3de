"""Threads: a bound on those that wait for the rate limits of one token.

A `def` endpoint holds one of the server's worker threads (40 by default) while its requests wait
for the limits. Without a bound, a tenant who is over the limits takes them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from digitalocean_projects._facade.loop_thread import CALL
from digitalocean_projects._limiter.lease import Bound

if TYPE_CHECKING:
    from digitalocean_projects import Client
    from digitalocean_projects._session.manager import SessionManager

DEFAULT_WAITING_THREADS = 8


def bound_waiting_threads(client: Client, most: int) -> None:
    """Bound the threads that wait for the limits of one token, for a client and all its views.

    A request that would have to wait for more than a second while `most` threads of this process
    wait for the limits of the same token raises `RateLimitWaitError` at once. All requests of one
    blocking call count as one thread.

    Args:
        client: A blocking client.
        most: The maximum number of waiting threads for each token.
    """
    bound = Bound(most, CALL.get)

    def adapt(manager: SessionManager) -> None:
        manager.bound = bound

    client._async._adapt_managers(adapt)  # noqa: SLF001 - of this package
