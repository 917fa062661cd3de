"""Errors of limits that are shared through Redis; importable without redis-py."""

from __future__ import annotations

from digitalocean_projects._errors import APIError


class RedisLimitsError(APIError):
    """A request was not sent, since Redis could not be asked for the shared limits.

    Raised whatever `on_unavailable` says, if the reason isn't that Redis is away: Redis has
    refused the command, for example for a missing permission or because it belongs to a cluster,
    or redis-py has failed.

    Attributes:
        reason: The error of Redis or redis-py.
    """

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(f"no limits from Redis: {reason}")
        self.reason = reason


class RedisUnavailableError(RedisLimitsError):
    """A request was not sent, since Redis is away and `on_unavailable` is `"fail"`."""
