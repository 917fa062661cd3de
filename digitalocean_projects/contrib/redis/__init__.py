"""Redis: one token's allowance, shared by any number of processes and hosts.

Requires redis-py, which the extra `digitalocean-projects[redis]` installs, and a server of Redis
(version 5 or newer) or Valkey.

```python
from digitalocean_projects import Client
from digitalocean_projects.contrib.redis import RedisLimits

with Client(limits=RedisLimits("redis://localhost:6379/0", share=1 / 8)) as client:
    print(client.projects.get_default().name)
```
```text
first-project
```

Without it, every process uses the whole allowance, so two processes with one API token may exceed
it together. With `RedisLimits`, all workers share the allowance, and a response 429 to one worker
pauses all of them. This takes less than a round trip to Redis for each request: one call to Redis
asks for the leases of up to eight requests, and reports the ends of earlier ones. Only the clock of
Redis is used, so the hosts' clocks may differ. All API tokens of an event loop share at most eight
connections to a server.

Give the same `windows`, `margin`, `grace`, `reserve`, `hold` and `prefix` to all workers. `hold`
must be more than twice the `timeout` of the clients, or the client raises `ValueError`.

# Where Redis is

- A server: `redis://user:password@host:6379/0`, `rediss://…` with TLS, or `unix:///path`.
- A cluster: `redis+cluster://host:port,host:port` with one or more of its nodes. Each API token has
  one key, so each master serves a part of the API tokens. Slots may be moved to other masters at
  any time.
- Sentinels: `redis+sentinel://host:port,host:port/service/0`. Their own login is
  `?sentinel_username=…&sentinel_password=…`.
- With TLS (for the sentinels, too): `rediss+cluster://…` and `rediss+sentinel://…`.

Options of redis-py follow the `?`, as in the URLs of its `from_url`. The URL and its passwords
appear in no `repr`, log record or exception.

# While Redis is unavailable

Redis counts as unavailable if it can't be reached, refuses the login, is loading its data, accepts
no writes, or doesn't respond within a second. Then the effect depends on `on_unavailable`:

- `"share"`, the default: each worker uses at most `share` of the limits (0.25 by default). If
  `share` is 1 / the number of workers, they stay within the limits together.
- `"fail"`: requests raise `RedisUnavailableError`.
- `"open"`: each worker uses the whole limits, so together they may exceed them.

The process logs one warning, for any number of tokens and event loops. It tries Redis again every
five seconds. When Redis is back, each active worker reports those of its requests that the API
still counts, in case Redis has lost them. After a failover, the tokens are shared again within five
seconds. In a cluster, only the API tokens of the unavailable master are affected.

Any other error of Redis raises `RedisLimitsError`, for any value of `on_unavailable`: for example a
missing permission, or a URL that lacks `+cluster` for a node of a cluster. If Redis refuses the key
of one API token, only the requests of that token fail, and one error an hour is logged for the key.

If a worker dies, the ends of its requests are not reported. Redis then assumes that they reached
the API `hold` seconds after the lease (120 by default).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from digitalocean_projects._public import publish

from .errors import RedisLimitsError, RedisUnavailableError

if TYPE_CHECKING:
    from .limits import RedisLimits

__all__ = ["RedisLimits", "RedisLimitsError", "RedisUnavailableError"]


def __getattr__(name: str) -> Any:
    # Only `RedisLimits` needs redis-py. The FastAPI module needs only the errors.
    if name != "RedisLimits":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        # The import registers the bucket of these limits.
        import_module(f"{__name__}.bucket")
    except ModuleNotFoundError as error:
        raise ImportError(
            "RedisLimits requires redis-py; install the extra digitalocean-projects[redis]"
        ) from error
    return globals().setdefault(name, import_module(f"{__name__}.limits").RedisLimits)


publish(globals(), __name__)
