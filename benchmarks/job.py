"""A job: what a contestant is to do while it is measured."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Job:
    """What to do.

    Args:
        call: The function, as `module:name`; the module is one of `contestants`.
        origin: Where the server is, or the Redis.
        total: How many resources there are to be listed.
        latency: The milliseconds for which each answer waits.
        per_page: How many resources to ask for on a page.
        count: How often to do what is done many times.
    """

    call: str
    origin: str = ""
    total: int = 0
    latency: float = 0.0
    per_page: int = 200
    count: int = 1

    @property
    def url(self) -> str:
        """The base URL of the API; its path says what there is."""
        return f"{self.origin}/{self.total}/{self.latency:g}"

    @property
    def first(self) -> Job:
        """A small one, after which all is loaded and made that is made once in a process."""
        return attrs.evolve(
            self, total=min(self.total, self.per_page), count=min(self.count, 1), latency=0.0
        )
