"""Faults as values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from digitalocean_projects._codec.urn import URN
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects.testing import Emulator


def test_public_names() -> None:
    """`__all__` is sorted, and names all faults and nothing else."""
    names = faults.__all__
    assert sorted(names) == names
    classes = {name for name, value in vars(faults).items() if _is_fault(value)}
    assert {*names} == {name for name in classes if not name.startswith("_")}


def _is_fault(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, faults.Fault)


def test_frozen() -> None:
    """A fault compares by value and is immutable."""
    assert faults.Delay(1) == faults.Delay(1.0)
    assert 1 == len({faults.Omit(["do:droplet:1"]), faults.Omit([URN("droplet", 1)])})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        faults.Delay(1).seconds = 2  # type: ignore[misc] # what is tested


def test_urns() -> None:
    """URNs may be text, and both names of an address are equal."""
    urns: list[URN | str] = [
        "do:reservedip:192.0.2.1",
        URN("floatingip", "192.0.2.1"),
        "do:droplet:1",
    ]
    expected = frozenset([URN("floatingip", "192.0.2.1"), URN("droplet", 1)])
    assert expected == faults.Omit(urns).urns
    assert expected == faults.NotAssigned("service_down", urns).urns


@pytest.mark.parametrize(
    "make",
    [
        *(lambda value=value: faults.Delay(value) for value in (-1, math.inf, math.nan)),
        *(lambda value=value: faults.Drip(value) for value in (-1, math.inf, math.nan)),
        lambda: faults.Truncate(-1),
        lambda: faults.Bomb(-1),
        lambda: faults.HugeHeaders(-1),
        lambda: faults.Status(429, retry_after=-1),
        lambda: faults.Omit(["droplet:1"]),
        lambda: faults.NotAssigned("service_down", "do:droplet:1"),
    ],
)
def test_wrong_values(make: Callable[[], object]) -> None:
    """An invalid argument is refused when the fault is created."""
    with pytest.raises(ValueError, match=r"at least 0|must be >= 0|URN"):
        make()


@pytest.mark.parametrize("fault", [faults.Reset, None, 500, b""])
def test_no_fault(emulator: Emulator, fault: Any) -> None:
    """A class or an answer is refused as a fault."""
    with pytest.raises(TypeError, match="fault must be a fault of testing"):
        emulator.fail(fault)
