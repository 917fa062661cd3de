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

# Several accounts

`add_account` creates an account of its own, with its own token, for tests of services that work for
several users. It has `seed`, `resources`, `projects` and `add_token`, as the emulator has for its
first account.

```python
from digitalocean_projects import Client, NotFoundError
from digitalocean_projects.testing import Emulator

with Emulator() as emulator:
    first, second = emulator.add_account(), emulator.add_account()
    project = first.seed(["do:droplet:1"], name="web")
    with Client(second.token, base_url=emulator.url) as client:
        try:
            client.projects.get(project)
        except NotFoundError as error:
            print(error.status, first.resources(project))
```
```text
404 ['do:droplet:1']
```

# Errors and faults

`respond` answers the next requests with a status and a body of your choice, and `respond_raw` with
your bytes. `fail` lets them go wrong in one of the ways of `faults`: no answer, half an answer, a
web page, and so on. All three take `times` (1 by default, None for any number) and `when`, a
function that chooses the requests.

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

# Files

`dump` returns the state as text, and `load` adds the projects and resources of a text, or replaces
the state. Each line is a JSON object, so the resource lines alone are a table.

| line | members |
|---|---|
| a project | `kind: "project"` and the attributes of the API's project |
| a resource | `project`, `project_id`, `urn`, `type`, `id`, `assigned_at`, `status`, `self_link` |
| a token | `kind: "token"`, `token`, `scopes` (null for every scope) |
| another account | `kind: "account"`, `token`; the lines after it are about this account |

`dump` orders projects by name, puts each before its resources, and these in the order of their
listing. The line of a Droplet may have a `name` and `tags`, see `Emulator.add_droplet`. All members
of a resource but `urn` are optional. A project that has no line is made from its resource lines. A
resource without `project` or `project_id` belongs to the last project before it, if that project
stands alone (a line, or an array of one). Otherwise it belongs to the default project. A null
`assigned_at`, `status` or `self_link` is left out of answers. Times after a load are later than
those in the text. The empty project `first-project` of a new account gives way to a default project
of the text, unless it was changed. Files don't hold attachments, so the load balancers that they
hide are left out. A text that contradicts itself is refused.

`load` also reads what doctl prints with `-o json`, so an account can be replayed offline:

```python
from digitalocean_projects.testing import Emulator

RESOURCES = '''
[
  {
    "urn": "do:droplet:13457723",
    "assigned_at": "2018-09-28T19:26:37Z",
    "links": {"self": "https://api.digitalocean.com/v2/droplets/13457723"},
    "status": "ok"
  }
]
'''
emulator = Emulator()
emulator.load('{"kind": "project", "name": "web"}' + RESOURCES)
print(emulator.dump().splitlines()[-1][:21], emulator.projects()[0].name)
```
```text
{"project":"web","pro web
```

# From other programs

`digitalocean-projects emulator` runs it as a process; `--help` describes its options, such as
`--seed FILE` and `--state FILE`. The page at its URL shows how to use it from a shell. These paths
control it. They need no token. Faults and rate limits do not apply to them, and `requests` does not
record them.

| request | body or answer |
|---|---|
| `GET /_emulator/health` | `{"status": "ok"}` |
| `GET`, `PUT /_emulator/state` | the state, as text of `dump` |
| `POST /_emulator/seed` | a text for `load` |
| `POST /_emulator/attach` | `{"resource": "do:floatingip:192.0.2.1", "to": "do:droplet:1"}` |
| `POST /_emulator/reset` | see `Emulator.reset` |
| `GET`, `POST /_emulator/accounts` | optional: `{"token": "..."}` |
| `GET`, `POST /_emulator/tokens` | `{"scopes": ["project:read"]}`; without scopes, every scope |
| `GET`, `POST`, `DELETE /_emulator/faults` | `{"fault": "Status", "status": 503, "times": 2}` |
| `GET`, `POST /_emulator/clock` | `{"jump": 60}`, in seconds |
| `GET`, `DELETE /_emulator/requests` | the newest requests, without tokens |

With an `Authorization` header, `state`, `seed` and `tokens` apply to that token's account. Without
it, reading returns all accounts, and a new token belongs to the first account. A text without
account lines changes the first account. A fault has the arguments of a class of `faults`, and
optionally `times` (1 by default, null for any number), `method` and `path` (a pattern such as
`/v2/projects/*`). `{"response": {"status": 418, "body": {}, "headers": {}}}` instead of `fault`
sends this response.

Requests that a web page of another site may have sent are refused with a 403, except for `health`.
These are the requests whose `Host` is a name that is neither of this machine nor in `allow_hosts`,
and those whose `Origin` is not the emulator's own. Requests to the API are refused for such a
`Host` only if they come from a browser, which adds `Origin` or `Sec-Fetch-Site`. The API allows
every `Origin`, and the emulator's default token is the same in every run. So choose a token of your
own when you serve a real account.

# Differences from the API

The emulator follows the API's documentation of
[projects](https://docs.digitalocean.com/reference/api/reference/projects/) and [project
resources](https://docs.digitalocean.com/reference/api/reference/project-resources/). Of
[Droplets](https://docs.digitalocean.com/reference/api/reference/droplets/) it has only the listing,
with the filters `name` and `tag_name`, and the members `id`, `name`, `status` and `tags`. It
shares no code with the clients except `URN`, so a misunderstanding in the client doesn't repeat
itself here. The documentation doesn't describe the following behaviors. Most of them were observed.

Projects:

- A name that is taken is a 409. `is_default: false` for the default project is a 400, and so is a
  DELETE of the default project by its UUID. A DELETE of `/v2/projects/default` is a 405, because
  the documentation has no such operation.
- A PATCH without any attribute is a 400, because the documentation requires one. Null counts as
  missing.
- A purpose that starts with `Other:`, in any case and also repeatedly, keeps one prefix, and a
  capital follows it. Any other free text only gets the prefix. `seed` does the same, `load` keeps
  the text.
- A project's UUID may be in capitals, and a path may end with a slash.

Resources:

- An assignment of a resource whose type the API doesn't know is a 400, and nothing moves. The
  known types are `RESOURCE_TYPES`, or those of `Emulator(resource_types=...)`. `seed` accepts every
  type.
- A resource exists once it was seeded. Any other one is `not_found` in an assignment, but a Space
  is left out of the answer. A request without a list of resources assigns nothing.
- A reserved IP that is attached to a Droplet, see `Emulator.attach`, moves with its Droplet. A
  request that would move the address without the Droplet is a 412, and nothing moves.
- With `Emulator(busy_time=2.0)`, a project refuses assignments in the 2 seconds after one that
  moved a resource to it: a 403 "The project can't be updated while it processes previous actions".
- A load balancer that is attached to a Kubernetes cluster is `assigned` each time, and never
  listed.
- An assignment needs the scope `project:update`, or both `project:assign_resource` and
  `project:read`, and one scope for each type of resource.
- With `Emulator(sparse=True)`, a listing of one page has no `links`, or null, `{}` or empty pages.
  Some resources have no `status`, no `links`, no `assigned_at`, an empty one, or one without a time
  zone. Which ones depends on their URNs.

Requests:

- `ratelimit-remaining` is 0 while a limit is reached, also if the limit is the minute's. The fault
  `faults.StaleReset` moves `ratelimit-reset` into the past.
- The answer to a HEAD is that to a GET without its body. OPTIONS needs no token, doesn't count for
  the limits, and lists the methods in `Allow`, as a 405 does. Requests with an `Origin` are
  answered with the documented headers for other origins. `Access-Control-Allow-Headers`, which the
  documentation doesn't name, repeats the names that a browser asks for.
- Documents are `application/json; charset=utf-8`.
- Ids, tokens and the times of projects and assignments are the same in every run. The port, the
  request ids and the dates of responses differ.
"""

from __future__ import annotations

from digitalocean_projects._public import publish

from . import faults
from ._call import RESOURCE_TYPES
from ._clock import MockClock
from ._demo import seed_demo
from ._emulated_account import EmulatedAccount
from ._emulator import Emulator
from ._project import StoredProject
from ._recording import RecordedRequest

__all__ = [
    "RESOURCE_TYPES",
    "EmulatedAccount",
    "Emulator",
    "MockClock",
    "RecordedRequest",
    "StoredProject",
    "faults",
    "seed_demo",
]

publish(globals(), __name__)
