"""Search: finds the resources that make the API refuse a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from digitalocean_projects._codec.urns import as_urn

if TYPE_CHECKING:
    from collections.abc import Sequence

# The maximum number of requests after the first one.
_EXTRA_REQUESTS = 16


class Search:
    """A search for the resources that make the API refuse a request, without I/O.

    The API refuses a request as a whole, and doesn't name the resource. The suspects are a set of
    resources of which at least one is refused. Halves of it are sent until a resource that was sent
    alone is refused. Nothing is known about the rest, which is sent as a whole when there are no
    suspects. So 1 refused resource of 100 is found with at most 9 further requests.

    If there are up to 16 resources, the outcome for each becomes known, even if all are refused: as
    soon as no more requests are left than resources, each resource is sent alone.

    Args:
        urns: The resources of the request, which `next` returns first.
    """

    def __init__(self, urns: Sequence[str]) -> None:
        self._suspects: Sequence[str] = ()
        self._rest = list(urns)
        self._unsent: Sequence[str] = ()
        self._types: set[str] = set()
        self._left = 1 + _EXTRA_REQUESTS
        self._is_small = len(urns) <= _EXTRA_REQUESTS

    def next(self) -> Sequence[str]:
        """Return the resources to send next; none if all outcomes are known or no request is left.

        One of the methods `accepted` and `refused` must be called before the next call.
        """
        if not self._left:
            return ()
        alone = self._is_small and len(self._suspects) + len(self._rest) == self._left
        self._left -= 1
        if alone:
            return self._next_alone()
        # The last request is for the rest, since it may assign more resources.
        if self._suspects and (self._left or not self._rest):
            middle = (len(self._suspects) + 1) // 2
            urns, self._unsent = self._suspects[:middle], self._suspects[middle:]
        else:
            urns, self._unsent, self._rest = self._rest, self._suspects, []
        return urns

    def _next_alone(self) -> Sequence[str]:
        if self._suspects:
            urns, self._unsent = self._suspects[:1], self._suspects[1:]
        else:
            urns, self._unsent, self._rest = self._rest[:1], (), self._rest[1:]
        return urns

    def accepted(self) -> None:
        """Record that the API has accepted the request. Suspects that were not sent remain."""
        self._suspects = self._unsent

    def refused(self, urns: Sequence[str]) -> None:
        """Record that the API has refused a request with these resources."""
        self._rest += self._unsent
        self._suspects = urns
        if len(urns) == 1:
            self._suspects = ()
            # Usually the API refuses all resources of a type. In simulations with 3 refused ones of
            # a type among 100, this order assigned the other 97, and without it only half of them.
            self._types.add(as_urn(urns[0]).type)
            self._rest.sort(key=lambda urn: as_urn(urn).type in self._types)
