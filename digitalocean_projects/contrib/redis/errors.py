"""Errors of shared limits; this module does not need redis-py."""

from __future__ import annotations

from digitalocean_projects._errors import APIError


class RedisLimitsError(APIError):
    """A failure of the shared limits. The request was not sent.

    Redis has refused the command (for example because a permission is missing, or because the
    server is a node of a cluster), or redis-py has failed. Such an error is raised for any value of
    `on_unavailable`. The subclass `RedisUnavailableError` is raised only with `"fail"`.

    Attributes:
        reason: The error of Redis or redis-py, as text without secrets.
    """

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__(f"the rate limits are not available from Redis: {reason}")
        self.reason = reason


class RedisUnavailableError(RedisLimitsError):
    """An outage of Redis while `on_unavailable` is `"fail"`. The request was not sent."""
