"""Demo: the resources of the demonstration account, which `--demo` uses."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from uuid import UUID

from ._emulator import Emulator


def _urns(random: Random) -> Iterator[str]:
    for number in range(600):
        yield f"do:droplet:{310_000_000 + number * 4_127 + random.randrange(4_127)}"
    for resource_type, size in {
        "volume": 300,
        "loadbalancer": 40,
        "dbaas": 40,
        "app": 40,
        "kubernetes": 24,
    }.items():
        for _ in range(size):
            yield f"do:{resource_type}:{UUID(int=random.getrandbits(128), version=4)}"
    for number in range(100):
        yield f"do:domain:shop-{number:02}.example.com"
    for number in range(60):
        yield f"do:floatingip:203.0.113.{number + 1}"
    for number in range(30):
        yield f"do:space:shop-assets-{number:02}"


def seed_demo(emulator: Emulator) -> str:
    """Fill the account with 1,234 resources of all documented types, the same in every run.

    The default project gets 1,034 of them. A new project, `web-shop`, gets the other 200.

    Args:
        emulator: The emulator, started or not.

    Returns:
        The UUID of `web-shop`.

    Raises:
        ValueError: There is already a project called `web-shop`. The account is unchanged.
    """
    random = Random(1234)  # noqa: S311 - plausible, not secret
    urns = list(_urns(random))
    random.shuffle(urns)
    project_id = emulator.seed(urns[:200], name="web-shop")
    emulator.seed(urns[200:], default=True)
    return project_id
