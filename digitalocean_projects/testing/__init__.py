"""A local emulator of the API, for tests of code that calls it.

An `Emulator` is an HTTP server on a port of this machine. It responds as DigitalOcean's Projects
API does, with an account in memory: projects, resources, pages, statuses, scopes, errors and rate
limits. It needs no DigitalOcean account, token or network. It runs in a thread of its own, so it
serves blocking code, asyncio code and other programs.

In tests with pytest, use the fixtures of `digitalocean_projects.contrib.pytest`. They start an
emulator for each test and point the clients at it.

# Start it

```python
from digitalocean_projects import Client
from digitalocean_projects.testing import Emulator

with Emulator() as emulator:
    web = emulator.seed(["do:droplet:1", "do:droplet:2"], name="web")
    with Client(emulator.token, base_url=emulator.url) as client:
        result = client.projects.assign_resources("default", ["do:droplet:2"])
        print(result.resources[0].status)
    print(*emulator.resources(web))
    print(emulator.requests[-1].method, emulator.requests[-1].path)
```
```text
assigned
do:droplet:1
POST /v2/projects/default/resources
```

Start and stop the emulator with `with`, `async with`, or `start` and `stop`. Pass its `url` and its
`token` to the client. `seed` creates a project, or fills the default one. `projects` and
`resources` return the account as the API shows it now, and `requests` has the requests of all
clients. `seed_demo` fills the account with the 1,234 resources that
`digitalocean-projects emulator --demo` serves.

# Scopes

`token` has every scope. `add_token` creates tokens with fewer scopes. Scopes have the names in the
API's documentation: the one for volumes is `block_storage:read`, for example. As with the API, a
listing leaves out the resources that a token may not read, but its `total` counts them.

```python
from digitalocean_projects import Client, PermissionDeniedError
from digitalocean_projects.testing import Emulator

with Emulator() as emulator:
    emulator.seed(["do:droplet:1", "do:volume:2"], default=True)
    token = emulator.add_token(["project:read", "droplet:read"])
    with Client(token, base_url=emulator.url) as client:
        page = client.projects.list_resources().first_page()
        print(*(resource.urn for resource in page.items), page.total)
        try:
            client.projects.assign_resources("default", ["do:droplet:1"])
        except PermissionDeniedError as error:
            print(error.status)
```
```text
do:droplet:1 2
403
```

# Errors and faults

`respond` answers the next request with a status and a body of your choice, and `respond_raw` with
your bytes. `fail` applies one of the `faults` to it: no response, half a response, a web page, and
others. All three take `times`, the number of requests (1 by default, None for any number), and
`when`, a function that selects the requests.

```python
from digitalocean_projects import APIConnectionError, Client, PreconditionFailedError, RetryPolicy
from digitalocean_projects.testing import Emulator, faults

with Emulator() as emulator:
    emulator.seed(["do:volume:2"], name="web")
    once = RetryPolicy(attempts=1)
    with Client(emulator.token, base_url=emulator.url, retry=once) as client:
        emulator.respond(412, {"id": "precondition_failed", "message": "Not now"})
        try:
            client.projects.find("web")
        except PreconditionFailedError as error:
            print(error.message)

        emulator.fail(faults.LostAnswer(), when=lambda request: request.method == "POST")
        try:
            client.projects.assign_resources("default", ["do:volume:2"])
        except APIConnectionError as error:
            print(error.in_doubt, *emulator.resources())
```
```text
Not now
True do:volume:2
```

# Time

The rate limits, the moves and the dates follow `Emulator.clock`, which is a `MockClock`. Pass the
same clock to the client, so that its limits and waits follow it, too. `jump` moves the clock
forward. With `rate=0`, only jumps move it. With `autojump_threshold`, the clock jumps to the end of
the next sleep by itself when it was not used for this number of real seconds. So no test waits for
a rate limit or a retry.

```python
from digitalocean_projects import Client
from digitalocean_projects.testing import Emulator, MockClock

clock = MockClock(rate=0, autojump_threshold=0.1)
with Emulator(clock=clock, move_delay=90.0) as emulator:
    emulator.seed(["do:droplet:1"], default=True)
    web = emulator.seed(name="web")
    with Client(emulator.token, base_url=emulator.url, clock=clock) as client:
        for _ in range(251):  # one more than the API allows in a minute
            client.projects.get_default()
        print("a minute has passed:", 60 <= clock.time() < 70)

        client.projects.assign_resources(web, ["do:droplet:1"])
        print(len(emulator.resources(web)))
        clock.jump(90.0)
        print(len(emulator.resources(web)))
```
```text
a minute has passed: True
0
1
```

By default, each token may send 250 requests in 60 seconds and 5,000 in 3,600, as with the API.
`Emulator(limits=())` sets no limits.

# Differences from the API

The emulator follows the API's documentation of
[projects](https://docs.digitalocean.com/reference/api/reference/projects/) and [project
resources](https://docs.digitalocean.com/reference/api/reference/project-resources/). It shares no
code with the clients except `URN`, so it doesn't repeat a mistake of the client. The API's
documentation doesn't describe these behaviors:

- A project name that is taken is refused with a 409, and `is_default: false` for the default
  project with a 400. Both were observed. A deletion of the default project is refused with the same
  400, which is an assumption.
- A VPC can't be assigned (400). All other types can.
- Only resources that were seeded exist. An assignment of any other one has the status `not_found`.
- Ids, tokens and the times of projects and assignments are the same in every run. The port, the
  request ids and the dates of responses differ.
"""

from __future__ import annotations

from digitalocean_projects._public import publish

from . import faults
from ._account import StoredProject
from ._clock import MockClock
from ._demo import seed_demo
from ._emulator import Emulator
from ._recording import RecordedRequest

__all__ = [
    "Emulator",
    "MockClock",
    "RecordedRequest",
    "StoredProject",
    "faults",
    "seed_demo",
]

publish(globals(), __name__)
