"""Client of DigitalOcean's Projects API: list, assign and move the resources of projects.

    from digitalocean_projects import Client

    with Client() as client:  # reads the token from DIGITALOCEAN_TOKEN
        for project in client.projects.list():
            print(project.name, len(client.projects.list_resources(project).collect()))

`AsyncClient` has the same methods for asyncio. `digitalocean_projects.testing` has a local emulator
of the API, and `digitalocean_projects.contrib` has the integrations `doctl`, `fastapi`, `pytest`
and `redis`. README.rst is the guide.

# Coming from another client

| here and in pydo | python-digitalocean | `doctl projects …` | godo |
|---|---|---|---|
| `projects.list` | `Manager.get_all_projects` | `list` | `List` |
| `projects.get` | `Project.load` | `get` | `Get` |
| `projects.get_default` | `Manager.get_default_project` | `get default` | `GetDefault` |
| `projects.create` | `Project.create_project` | `create` | `Create` |
| `projects.patch` | `Project.update_project` | `update` | `Update` |
| `projects.delete` | `Project.delete_project` | `delete` | `Delete` |
| `projects.list_resources` | `Project.get_all_resources` | `resources list` | `ListResources` |
| `projects.assign_resources` | `Project.assign_resource` | `resources assign` | `AssignResources` |

pydo, python-digitalocean and godo don't keep the rate limits; a client here does. pydo and godo
return one page for each call; here, listings are paginators over all pages. pydo takes and
returns dictionaries, which `to_dict()` returns here. The command here has doctl's columns, JSON and
contexts. `client.request` reaches the endpoints that have no method.

# Logging

The logger `digitalocean_projects` reports these events. Its records have the values as attributes.
Times are floats in seconds, and an unknown value is None.

- `DEBUG`: an attempt has ended. `do_method`, `do_path`, `do_attempt` (from 1 on), `do_status`,
  `do_error` (the name of the exception), `do_seconds`, `do_request_id`.
- `INFO`: a request must wait for the rate limit. `do_wait` (an estimate), `do_reason`.
- `WARNING`: an attempt has failed, and another one follows. `do_method`, `do_path`, `do_attempt`,
  `do_attempts` (the maximum), `do_status`, `do_error` (also the status `service_down` of
  resources), `do_delay`.
- `WARNING`: `contrib.fastapi` responds with a 5xx. `do_method`, `do_path`, `do_status`, `do_error`,
  `do_request_id`.
- `WARNING`: the server of `RedisLimits` can't be reached. `do_server`, `do_policy`, `do_reason`.
- `ERROR`: the server of `RedisLimits` fails, or refuses a key. `do_server`, `do_key`, `do_reason`.
- `INFO`: the server of `RedisLimits` works again. `do_server`.

If the environment variable DIGITALOCEAN_PROJECTS_LOG is `debug`, `info`, `warning` or `error` at
the import of the package, the logger has this level and prints its records to stderr, in addition
to the handlers that the application sets up. Any other value causes a `UserWarning`.

# OpenTelemetry

If the application has imported `opentelemetry.trace` and set a tracer provider, each call of a
method that sends requests is a span, such as `projects.assign_resources`. So is an iteration over a
listing, from its first step to its end. Calls within a call have no span of their own. The children
of a span are the attempts of its requests, as HTTP client spans of the semantic conventions, with
`http.request.resend_count` for retries. A wait for the rate limits is an event
`digitalocean_projects.wait` of the span, with the attributes `digitalocean_projects.wait.seconds`
and `digitalocean_projects.wait.reason`. Spans don't contain the token. The requests don't have a
header `traceparent`; instrument aiohttp to send it.

These observable gauges are sums over the rate limits of all clients in the process. They exist
after the first request.

- `digitalocean_projects.limits.in_use`: requests that the API may still count. The attribute
  `digitalocean_projects.window` is the period in seconds.
- `digitalocean_projects.limits.in_flight`: requests in flight.
- `digitalocean_projects.limits.waiting`: requests that wait.
- `digitalocean_projects.limits.paused`: the longest remaining pause after a 429, in seconds.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

import os
import sys

from ._version import __version__ as __version__

__all__ = [
    "DEFAULT_PROJECT",
    "URN",
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AppliedPlan",
    "AssignmentError",
    "AssignmentResult",
    "AssignmentTimeoutError",
    "AsyncClient",
    "AsyncInventory",
    "AsyncPaginator",
    "AsyncProjects",
    "AuthenticationError",
    "BadRequestError",
    "BucketStatistics",
    "Client",
    "ClientUsageError",
    "Clock",
    "ConflictError",
    "Environment",
    "HasURN",
    "Inventory",
    "InventoryError",
    "Lease",
    "Limits",
    "Move",
    "NewProject",
    "NotFoundError",
    "Page",
    "PaginationError",
    "Paginator",
    "PermissionDeniedError",
    "Plan",
    "PreconditionFailedError",
    "Project",
    "ProjectLike",
    "ProjectLookupError",
    "ProjectResources",
    "Projects",
    "Purpose",
    "RateLimit",
    "RateLimitError",
    "RateLimitWaitError",
    "Reconciliation",
    "Refusal",
    "Resource",
    "ResourceStatus",
    "ResourceType",
    "RetryPolicy",
    "ServerError",
    "Statistics",
    "TokenBucket",
    "URNLike",
    "UnprocessableEntityError",
]

# Type checkers take it for true. That of `typing` would take most of the time in which this loads.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._arguments import ProjectLike
    from ._assignment.plan import Move, NewProject, Plan
    from ._assignment.results import AppliedPlan, AssignmentResult, Reconciliation
    from ._client import AsyncClient
    from ._clock import Clock
    from ._codec.enums import Environment, Purpose, ResourceStatus
    from ._codec.headers import RateLimit
    from ._codec.models import Page, Project, ProjectResources, Refusal, Resource
    from ._codec.urn import URN, HasURN, ResourceType, URNLike
    from ._config import Limits, RetryPolicy
    from ._defaults import DEFAULT_PROJECT
    from ._errors import (
        APIConnectionError,
        APIError,
        APIResponseError,
        APIStatusError,
        APITimeoutError,
        AssignmentError,
        AssignmentTimeoutError,
        AuthenticationError,
        BadRequestError,
        ClientUsageError,
        ConflictError,
        InventoryError,
        NotFoundError,
        PaginationError,
        PermissionDeniedError,
        PreconditionFailedError,
        ProjectLookupError,
        RateLimitError,
        RateLimitWaitError,
        ServerError,
        UnprocessableEntityError,
    )
    from ._facade.sync import Client, Inventory, Paginator, Projects
    from ._limiter.bucket import TokenBucket
    from ._limiter.budget import BucketStatistics
    from ._limiter.lease import Lease
    from ._paginator.inventory import AsyncInventory
    from ._paginator.paginator import AsyncPaginator
    from ._projects import AsyncProjects
    from ._request import APIResponse
    from ._session.manager import Statistics
else:
    # The module of each name, which the first use of the name loads.
    _HOMES = {
        "_defaults": "DEFAULT_PROJECT",
        "_codec.enums": "Environment Purpose ResourceStatus",
        "_codec.urn": "URN HasURN ResourceType URNLike",
        "_codec.headers": "RateLimit",
        "_codec.models": "Page Project ProjectResources Refusal Resource",
        "_errors": "APIConnectionError APIError APIResponseError APIStatusError APITimeoutError "
        "AssignmentError AssignmentTimeoutError AuthenticationError BadRequestError "
        "ClientUsageError ConflictError InventoryError NotFoundError PaginationError "
        "PermissionDeniedError PreconditionFailedError ProjectLookupError "
        "RateLimitError RateLimitWaitError ServerError UnprocessableEntityError",
        "_arguments": "ProjectLike",
        "_config": "Limits RetryPolicy",
        "_clock": "Clock",
        "_assignment.plan": "Move NewProject Plan",
        "_assignment.results": "AppliedPlan AssignmentResult Reconciliation",
        "_client": "AsyncClient",
        "_facade.sync": "Client Inventory Paginator Projects",
        "_limiter.bucket": "TokenBucket",
        "_limiter.budget": "BucketStatistics",
        "_limiter.lease": "Lease",
        "_paginator.inventory": "AsyncInventory",
        "_paginator.paginator": "AsyncPaginator",
        "_projects": "AsyncProjects",
        "_request": "APIResponse",
        "_session.manager": "Statistics",
    }
    _SUBPACKAGES = ("contrib", "testing")
    _ELSEWHERE = {
        "testing": "EmulatedAccount Emulator MockClock RESOURCE_TYPES RecordedRequest "
        "StoredProject faults seed_demo",
        "contrib.fastapi": "AsyncClientDep ClientDep JSONLinesResponse ProjectID "
        "TenantAsyncClientDep TenantClientDep add_clients async_client_for client_for "
        "client_lifespan exception_handlers problem_responses until_disconnected",
        "contrib.mcp": "make_server",
        "contrib.redis": "RedisLimits RedisLimitsError RedisUnavailableError",
    }

    def __getattr__(name: str) -> object:
        from importlib import import_module  # noqa: PLC0415 - not every program needs it

        if name in _SUBPACKAGES:
            return import_module(f"{__name__}.{name}")
        if name not in __all__:
            for package, names in _ELSEWHERE.items():
                if name in names.split():
                    text = (
                        f"{name} is in another module; "
                        f"write `from {__name__}.{package} import {name}`"
                    )
                    # `from … import` replaces an AttributeError by a message of its own, while
                    # `hasattr` and `mock.patch` expect one. No class can be both errors.
                    if sys._getframe(1).f_code.co_name == "_handle_fromlist":  # noqa: SLF001 - see above
                        raise ImportError(text, name=__name__)
                    raise AttributeError(text, name=name)
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = next(home for home, names in _HOMES.items() if name in names.split())
        return globals().setdefault(name, getattr(import_module(f"{__name__}.{home}"), name))

    def __dir__() -> list[str]:
        special = (name for name in globals() if name.startswith("__"))
        return sorted({*special, *__all__, *_SUBPACKAGES})


def _log_to_stderr(level: str) -> None:
    """Print the log records from `level` on to stderr."""
    if level.lower() not in {"debug", "info", "warning", "error"}:
        from importlib import import_module  # noqa: PLC0415 - few programs need it
        from warnings import warn  # noqa: PLC0415 - as above

        got = import_module("._messages", __name__).quoted(level)
        warn(
            f"{_LOG_VARIABLE} must be debug, info, warning or error, got {got}; nothing is printed",
            stacklevel=3,
        )
        return
    import logging  # noqa: PLC0415 - as above

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logger = logging.getLogger(__name__)
    logger.addHandler(handler)
    logger.setLevel(level.upper())


_LOG_VARIABLE = "DIGITALOCEAN_PROJECTS_LOG"
if _level := os.environ.get(_LOG_VARIABLE):
    _log_to_stderr(_level)
