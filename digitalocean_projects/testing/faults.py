"""What can go wrong with an answer, for `Emulator.fail`.

`Status`, `ResourceStatus` and `Omit` change what is answered and nothing else; after any other the
connection ends. Seconds are real ones: they don't go by the emulator's clock.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import attrs

from digitalocean_projects._codec.urn import URN

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Bomb",
    "Delay",
    "Disconnect",
    "Drip",
    "Endless",
    "Fault",
    "Garbage",
    "Html",
    "HugeHeaders",
    "LostAnswer",
    "Omit",
    "Reset",
    "ResourceStatus",
    "Silence",
    "Status",
    "Truncate",
    "WrongLength",
]

_not_negative = attrs.validators.ge(0)
_optional = attrs.validators.optional(_not_negative)


def _finite(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name} is a finite number, at least 0, not {value}")


def _canonical(urns: Iterable[URN | str]) -> frozenset[URN]:
    return frozenset(URN.of(urn).canonical for urn in urns)


@attrs.frozen
class Status:
    """Nothing is done, and the answer is an error document of this status.

    A 429 says that no request remains: of the shorter limit with `retry_after`, of the longest
    one without.

    Attributes:
        status: The status.
        retry_after: The header of this name, in seconds; None leaves it out.
        reset_after: `ratelimit-reset`, as seconds from the answer's `Date`; None leaves it as the
            emulator's limits have it.
    """

    status: int
    retry_after: int | None = attrs.field(default=None, kw_only=True, validator=_optional)
    reset_after: int | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Html:
    """Nothing is done, and the answer is a web page, as of a proxy.

    Attributes:
        status: The answer's status.
    """

    status: int = 502


@attrs.frozen
class Garbage:
    """Nothing is done, and the answer's body is neither JSON nor text, whatever its header says.

    Attributes:
        status: The answer's status.
    """

    status: int = 200


@attrs.frozen
class Reset:
    """Nothing is done, and the connection is reset (RST)."""


@attrs.frozen
class Disconnect:
    """Nothing is done, and the connection is closed (FIN)."""


@attrs.frozen
class Silence:
    """Nothing is done, and no answer comes until the client leaves or the emulator stops."""


@attrs.frozen
class Endless:
    """Nothing is done, and the answer's body has no end; it comes as fast as it is read.

    Attributes:
        status: The answer's status.
    """

    status: int = 200


@attrs.frozen
class Bomb:
    """Nothing is done, and the answer's body is small, but large when it is unpacked (gzip).

    Attributes:
        size: Bytes of the body when it is unpacked.
        status: The answer's status.
    """

    size: int = attrs.field(validator=_not_negative)
    status: int = attrs.field(default=200, kw_only=True)


@attrs.frozen
class HugeHeaders:
    """Nothing is done, and the answer's headers are huge.

    Attributes:
        size: Bytes of one header's value.
    """

    size: int = attrs.field(default=1 << 20, validator=_not_negative)


@attrs.frozen
class Delay:
    """The right answer comes late; what was asked is done at once.

    Attributes:
        seconds: How late.
    """

    seconds: float = attrs.field(validator=_finite)


@attrs.frozen
class Drip:
    """The right answer comes byte by byte.

    Attributes:
        seconds: The time between two bytes.
        headers: Whether the headers come so, too; else they come at once.
    """

    seconds: float = attrs.field(validator=_finite)
    headers: bool = attrs.field(default=False, kw_only=True)


@attrs.frozen
class Truncate:
    """The right answer ends in the middle of its body, under the whole one's `Content-Length`.

    Attributes:
        at: How many bytes of the body come, though never all; None for half of it.
    """

    at: int | None = attrs.field(default=None, validator=_optional)


@attrs.frozen
class WrongLength:
    """The right answer comes whole, but under a wrong `Content-Length`.

    Attributes:
        by: How many bytes more than there are; it may be negative.
    """

    by: int = -1


@attrs.frozen
class LostAnswer:
    """What was asked is done, and the connection is reset instead of an answer."""


@attrs.frozen
class ResourceStatus:
    """An assignment answers 200 with this status for some resources, and leaves them alone.

    Other requests are answered as ever.

    Attributes:
        status: The status, such as `service_down`.
        urns: The resources; None for all.
    """

    status: str
    urns: frozenset[URN] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_canonical)
    )


@attrs.frozen
class Omit:
    """An assignment is done, but its answer leaves out some resources.

    Other requests are answered as ever.

    Attributes:
        urns: The resources.
    """

    urns: frozenset[URN] = attrs.field(converter=_canonical)


Fault: TypeAlias = (
    Status
    | Html
    | Garbage
    | Reset
    | Disconnect
    | Silence
    | Endless
    | Bomb
    | HugeHeaders
    | Delay
    | Drip
    | Truncate
    | WrongLength
    | LostAnswer
    | ResourceStatus
    | Omit
)
