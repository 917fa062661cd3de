"""Growth: what each resource and each request adds to the CPU time of a listing."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen(kw_only=True)
class Point:
    """What a listing took.

    Args:
        resources: How many there were.
        requests: In how many requests they came.
        cpu: Seconds of CPU.
    """

    resources: int
    requests: int
    cpu: float


@attrs.frozen(kw_only=True)
class Slope:
    """What a resource more costs, in seconds of CPU, from one size to another.

    It isn't the same everywhere: the more is kept, the more there is for the garbage collector.
    """

    start: int
    end: int
    per_resource: float


@attrs.frozen(kw_only=True)
class Growth:
    """How the cost of a listing grows.

    Args:
        title: Whose.
        per_request: What a request more costs, in seconds of CPU.
        slopes: What a resource more costs, without its part of a request.
    """

    title: str
    per_request: float
    slopes: list[Slope]

    @classmethod
    def of(cls, title: str, points: Sequence[Point], many: Point) -> Growth:
        """The growth between points.

        Args:
            title: Whose.
            points: Listings of several sizes, the smallest first.
            many: One more, that has the size of one of them, and more requests.
        """
        few = next(point for point in points if point.resources == many.resources)
        per_request = (many.cpu - few.cpu) / (many.requests - few.requests)
        slopes = [
            Slope(
                start=a.resources,
                end=b.resources,
                per_resource=(b.cpu - a.cpu - per_request * (b.requests - a.requests))
                / (b.resources - a.resources),
            )
            for a, b in pairwise(points)
        ]
        return cls(title=title, per_request=per_request, slopes=slopes)
