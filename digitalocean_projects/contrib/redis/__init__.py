"""Redis: one token's allowance, shared by any number of processes and hosts."""

from digitalocean_projects.contrib._redis_errors import RedisLimitsError, RedisUnavailableError

from .bucket import RedisLimits

__all__ = ["RedisLimits", "RedisLimitsError", "RedisUnavailableError"]
