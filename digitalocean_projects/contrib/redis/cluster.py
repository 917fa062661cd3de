"""SlotMap: the nodes of a cluster and their slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.crc import key_slot

if TYPE_CHECKING:
    from .location import Address

_SLOTS = 16384


class SlotMap:
    """The known nodes of a cluster.

    redis-py's own `RedisCluster` isn't used. It may send ASKING and the command after it on two
    connections: of 15 concurrent commands for a slot that was moving, 5 failed (redis-py 8.1). It
    also closes all connections when one node reports that the cluster is down, and can't start
    while the first node in the list is unavailable.

    Args:
        seeds: The addresses of some nodes.
    """

    def __init__(self, seeds: tuple[Address, ...]) -> None:
        self._seeds = seeds
        self._nodes: list[Address] = []
        self._owners: dict[int, Address] = {}

    def owner(self, key: str) -> Address | None:
        """Return the address of the master that serves the slot of a key, or None if unknown."""
        return self._owners.get(_slot(key))

    def move(self, key: str, address: Address) -> None:
        """Record that another node serves the slot of a key."""
        self._owners[_slot(key)] = address

    def forget(self, key: str) -> None:
        """Forget the node that serves the slot of a key."""
        self._owners.pop(_slot(key), None)

    def addresses(self) -> list[Address]:
        """Return the addresses of all nodes, replicas included, and the seeds."""
        return list(dict.fromkeys([*self._nodes, *self._seeds]))

    def read(self, answer: Any, asked: Address) -> None:
        """Replace the known nodes and slots by those of a node's answer to CLUSTER SLOTS.

        Args:
            answer: The answer.
            asked: The address of the node.

        Raises:
            LookupError, TypeError, ValueError: The answer is malformed.
        """
        nodes: list[Address] = []
        owners: dict[int, Address] = {}
        for first, last, *servers in answer:
            if not 0 <= first <= last < _SLOTS:
                raise ValueError(f"slots must be 0 to {_SLOTS - 1}, got {first} to {last}")
            # A node that doesn't know its own host omits it.
            addresses = [(_text(host) or asked[0], int(port)) for host, port, *_ in servers]
            nodes += addresses
            owners.update(dict.fromkeys(range(first, last + 1), addresses[0]))
        self._nodes, self._owners = nodes, owners


def _slot(key: str) -> int:
    return int(key_slot(key.encode()))


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
