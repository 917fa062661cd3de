"""SlotMap: which node of a cluster serves which slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.crc import key_slot

if TYPE_CHECKING:
    from .location import Address

_SLOTS = 16384


class SlotMap:
    """The nodes of a cluster, as far as they are known.

    redis-py's own `RedisCluster` isn't used. It sends ASKING and the command that it is for on two
    connections of its pool, so that of 15 concurrent commands for a slot that was moving 5 failed
    (with redis-py 8.1). It also closes all connections when one node says that the cluster is
    down, and can't start while the node is away that is the first in the list.

    Args:
        seeds: The addresses of some nodes.
    """

    def __init__(self, seeds: tuple[Address, ...]) -> None:
        self._seeds = seeds
        self._nodes: list[Address] = []
        self._owners: dict[int, Address] = {}

    def owner(self, key: str) -> Address | None:
        """Return the address of the master that serves the slot of a key, if it is known."""
        return self._owners.get(_slot(key))

    def move(self, key: str, address: Address) -> None:
        """Note that another node serves the slot of a key."""
        self._owners[_slot(key)] = address

    def forget(self, key: str) -> None:
        """Forget which node serves the slot of a key."""
        self._owners.pop(_slot(key), None)

    def addresses(self) -> list[Address]:
        """Return the addresses of all nodes, replicas included, and the seeds."""
        return list(dict.fromkeys([*self._nodes, *self._seeds]))

    def read(self, answer: Any, asked: Address) -> None:
        """Replace what is known by a node's answer to CLUSTER SLOTS.

        Raises:
            LookupError, TypeError, ValueError: The answer isn't one.
        """
        nodes: list[Address] = []
        owners: dict[int, Address] = {}
        for first, last, *servers in answer:
            if not 0 <= first <= last < _SLOTS:
                raise ValueError(f"slots must be 0 to {_SLOTS - 1}, got {first} to {last}")
            # A node that doesn't know its own host leaves it out.
            addresses = [(_text(host) or asked[0], int(port)) for host, port, *_ in servers]
            nodes += addresses
            owners.update(dict.fromkeys(range(first, last + 1), addresses[0]))
        self._nodes, self._owners = nodes, owners


def _slot(key: str) -> int:
    return int(key_slot(key.encode()))


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
