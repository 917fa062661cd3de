"""URNs: the resources that a user passes, checked and without repeats, and what a request needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .urn import ADDRESSES, URN, URNLike, sendable, type_hint

# Scopes are named after the API's resources, which differ from the types of these URNs.
# https://docs.digitalocean.com/reference/api/scopes/
_SCOPES = {
    "dbaas": "database",
    "floatingip": "reserved_ip",
    "floatingipv6": "reserved_ip",
    "loadbalancer": "load_balancer",
    "reservedip": "reserved_ip",
    "reservedipv6": "reserved_ip",
    "space": "spaces",
    "volume": "block_storage",
    "volumesnapshot": "block_storage_snapshot",
}
_is_reserved_ipv4 = re.compile(r"do:reservedip:[0-9.]+").fullmatch


def is_address(urn: URN) -> bool:
    """Return True for a floating IP or reserved IP, which follows its Droplet."""
    return urn.startswith(ADDRESSES)


def assignable(urn: URN) -> URN:
    """Return the URN to send in an assignment.

    Sources differ on whether the API accepts `reservedip` for an IPv4 address. It always accepts
    `floatingip`.
    """
    return urn.canonical if _is_reserved_ipv4(urn) else urn


def checked_urns(resources: Iterable[URNLike], name: str = "resources") -> list[URN]:
    """Return the URNs of the resources, after checking them.

    Args:
        resources: The resources.
        name: The name of the argument, for messages.

    Raises:
        TypeError: A resource is of another type, or `resources` is not an iterable of several.
        ValueError: A URN is malformed; the message says which one, and its position.
    """
    is_one = isinstance(resources, str) or (isinstance(resources, Mapping) and "urn" in resources)
    if is_one or not isinstance(resources, Iterable):
        raise TypeError(
            f"{name} must be a list of URNs, got one {type(resources).__name__}; "
            "put a single resource into a list"
        )
    urns: list[URN] = []
    for position, resource in enumerate(resources):
        try:
            urns.append(sendable(URN.of(resource)))
        except TypeError as error:
            raise TypeError(f"{name}[{position}]: {error}") from None
        except ValueError as error:
            raise ValueError(f"{name}[{position}]: {error}") from None
    return urns


class DistinctURNs(list[URN]):
    """URNs that are checked, each of another resource."""

    __slots__ = ("_canonical",)

    def __init__(self, urns: Iterable[URN]) -> None:
        first: dict[URN, URN] = {}
        for urn in urns:
            first.setdefault(urn.canonical, urn)
        super().__init__(first.values())
        canonical = list(first)
        self._canonical: list[URN] | None = None if canonical == self else canonical

    @property
    def canonical(self) -> list[URN]:
        """The canonical form of each; the list itself if these are the same."""
        return self if self._canonical is None else self._canonical


def distinct_urns(resources: Iterable[URNLike]) -> DistinctURNs:
    """Return the URNs of the resources. If several name one resource, only the first is returned.

    Raises:
        TypeError: As in `checked_urns`.
        ValueError: As in `checked_urns`.
    """
    if isinstance(resources, DistinctURNs):
        return resources
    return DistinctURNs(checked_urns(resources))


def type_hints(urns: Iterable[str]) -> str:
    """Return the end of a message about a request with these resources: the hints for types."""
    return "".join(f"; {hint}" for hint in filter(None, map(type_hint, _types(urns))))


def read_scopes(urns: Iterable[str]) -> list[str]:
    """Return the scopes that a token needs to see these resources."""
    return list(dict.fromkeys(f"{_SCOPES.get(name, name)}:read" for name in _types(urns)))


def _types(urns: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(urn.split(":", 2)[1] for urn in urns)
