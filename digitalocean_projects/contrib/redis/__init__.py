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

Without it, every process keeps to the whole allowance by itself, so two processes with one token
may exceed it together. With `RedisLimits`, a request waits for the tokens of all workers, and a
refusal that one worker sees pauses all of them. This costs less than a round trip to Redis for each
request: a worker asks for up to eight requests at once, and reports their ends with its next
question. The clock of Redis counts, so the hosts' clocks may differ. All API tokens of an event
loop share at most eight connections to a server.

Give the same `windows`, `margin`, `grace`, `reserve`, `hold` and `prefix` to all workers. `hold`
must be more than twice the `timeout` of the clients, or the client raises `ValueError`.

# Where Redis is

- A server: `redis://user:password@host:6379/0`, `rediss://…` with TLS, or `unix:///path`.
- A cluster: `redis+cluster://host:port,host:port`, by one or more of its nodes. All limits of an
  API token are one key, so each master serves a part of the tokens. A slot may move to another
  master while it is in use.
- Sentinels: `redis+sentinel://host:port,host:port/service/0`. Their own login is
  `?sentinel_username=…&sentinel_password=…`.
- With TLS (for the sentinels, too): `rediss+cluster://…` and `rediss+sentinel://…`.

Options of redis-py follow the `?`, as in the URLs of its `from_url`. The URL and its passwords are
shown in no `repr`, log record or exception.

# While Redis is away

Redis is away if it can't be reached, refuses the login, is loading, takes no writes, or doesn't
answer within a second. `on_unavailable` says what happens then:

- `"share"`, the default: each worker keeps to `share` of the limits (0.25 by default). With one
  over the number of workers, they stay within the limits together.
- `"fail"`: requests raise `RedisUnavailableError`.
- `"open"`: each worker keeps to the whole limits by itself.

The log has one warning, for any number of tokens and event loops. Redis is tried again every five
seconds. When it is back, each active worker reports those of its requests that the API still
counts, in case Redis has lost them. After a failover, the tokens are shared again within five
seconds. In a cluster, only the API tokens of the master that is away are affected.

Any other error raises `RedisLimitsError`, for any value of `on_unavailable`: for example a missing
permission, or a node of a cluster without `+cluster` in the URL. If Redis refuses the key of one
API token, only the requests of that token fail, and the log has one error an hour for each key.

`hold` is for workers that die: their leases count as used after that many seconds (120 by default).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
