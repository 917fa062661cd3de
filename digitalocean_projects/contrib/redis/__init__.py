"""Redis: one token's allowance, shared by any number of processes and hosts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from digitalocean_projects._public import publish

from .errors import RedisLimitsError, RedisUnavailableError

if TYPE_CHECKING:
    from .limits import RedisLimits

__all__ = ["RedisLimits", "RedisLimitsError", "RedisUnavailableError"]


def __getattr__(name: str) -> Any:
    # The FastAPI module needs the errors, and `RedisLimits` alone needs redis-py.
    if name != "RedisLimits":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        # This registers the kind of bucket that belongs to the limits.
        import_module(f"{__name__}.bucket")
    except ModuleNotFoundError as error:
        raise ImportError(
            "to share limits through Redis, install digitalocean_projects[redis]"
        ) from error
    return import_module(f"{__name__}.limits").RedisLimits


publish(globals(), __name__)
