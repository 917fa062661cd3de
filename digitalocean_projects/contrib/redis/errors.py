"""Errors of shared limits; this module does not need redis-py."""

from __future__ import annotations

from digitalocean_projects._errors import APIError


class RedisLimitsError(APIError):
    """A failure of the shared limits; the request was not sent.

    Redis has refused the command, for example because a permission is missing or because it is a
    node of a cluster, or redis-py has failed. This is raised for any value of `on_unavailable`. If
    Redis is away, it is a `RedisUnavailableError`, and `on_unavailable` decides.

    Attributes:
        reason: The error of Redis or redis-py, as text without secrets.
    """

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(f"the rate limits are not available from Redis: {reason}")
        self.reason = reason


class RedisUnavailableError(RedisLimitsError):
    """An outage of Redis, with `on_unavailable="fail"`; the request was not sent."""
