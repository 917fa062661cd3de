"""The demonstration account."""

from __future__ import annotations

from collections import Counter

import pytest

from digitalocean_projects.testing import Emulator, seed_demo

TYPES = {
    "app": 40,
    "dbaas": 40,
    "domain": 100,
    "droplet": 600,
    "floatingip": 60,
    "kubernetes": 24,
    "loadbalancer": 40,
    "space": 30,
    "volume": 300,
}


def test_demo() -> None:
    """Two projects hold 1,234 different resources, and each holds all documented types."""
    emulator = Emulator()
    web_shop = seed_demo(emulator)
    mine, default = emulator.resources(web_shop), emulator.resources()
    assert (200, 1034, 1234) == (len(mine), len(default), len({*mine, *default}))
    assert TYPES == Counter(urn.split(":")[1] for urn in mine + default)
    assert set(TYPES) == {urn.split(":")[1] for urn in mine}


def test_demo_is_the_same_each_time() -> None:
    """Every emulator gets the same resources in the same order and the same project id."""
    first, second = Emulator(), Emulator()
    assert seed_demo(first) == seed_demo(second) == "7372f58d-31f8-476c-b2e6-32be4df0ec2d"
    assert first.resources() == second.resources()


def test_demo_only_once() -> None:
    """A second call is refused, and changes nothing."""
    emulator = Emulator()
    seed_demo(emulator)
    before = emulator.resources()
    with pytest.raises(ValueError, match="web-shop"):
        seed_demo(emulator)
    assert before == emulator.resources()
