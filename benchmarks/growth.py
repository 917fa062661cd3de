"""Growth: what each resource and each request adds to the CPU time of a listing."""

from __future__ import annotations

from statistics import linear_regression
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen(kw_only=True)
class Growth:
    """A line through what was measured, in seconds of CPU.

    Args:
        title: Whose.
        per_resource: For each resource, without its part of a request.
        per_request: For each request.
        fixed: For a client, whatever it lists.
    """

    title: str
    per_resource: float
    per_request: float
    fixed: float

    @classmethod
    def of(cls, title: str, points: Sequence[tuple[int, int, float]]) -> Growth:
        """The line through points of (resources, requests, seconds).

        The last two points are of as many resources, in few and in many requests.
        """
        (_, few, less), (_, many, more) = points[-2:]
        per_request = (more - less) / (many - few)
        per_resource, fixed = linear_regression(
            [resources for resources, _, _ in points[:-1]],
            [seconds - requests * per_request for _, requests, seconds in points[:-1]],
        )
        return cls(title=title, per_resource=per_resource, per_request=per_request, fixed=fixed)
