"""List and assign the resources of DigitalOcean projects."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__ as __version__

__all__ = [
    "DEFAULT_PROJECT",
    "URN",
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
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
    "NotFoundError",
    "Page",
    "PaginationError",
    "Paginator",
    "PermissionDeniedError",
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

if TYPE_CHECKING:
    from ._arguments import DEFAULT_PROJECT, ProjectLike
    from ._assignment.results import AssignmentResult, Reconciliation
    from ._client import AsyncClient
    from ._clock import Clock
    from ._codec.headers import RateLimit
    from ._codec.models import (
        Environment,
        Page,
        Project,
        ProjectResources,
        Purpose,
        Refusal,
        Resource,
        ResourceStatus,
    )
    from ._codec.urn import URN, HasURN, ResourceType, URNLike
    from ._config import Limits, RetryPolicy
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
    from ._limiter.bucket import BucketStatistics, TokenBucket
    from ._limiter.lease import Lease
    from ._paginator.inventory import AsyncInventory
    from ._paginator.paginator import AsyncPaginator
    from ._projects import AsyncProjects
    from ._session.manager import Statistics
else:
    # In the order of what they cost to import: whoever uses no client doesn't load aiohttp.
    _MODULES = (
        "_codec.urn",
        "_codec.headers",
        "_codec.models",
        "_errors",
        "_arguments",
        "_config",
        "_clock",
        "_limiter.bucket",
        "_session.manager",
        "_paginator.paginator",
        "_paginator.inventory",
        "_assignment.results",
        "_projects",
        "_client",
        "_facade.sync",
    )

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        modules = (import_module(f"{__name__}.{module}") for module in _MODULES)
        values = (getattr(module, name, None) for module in modules)
        return globals().setdefault(name, next(filter(None, values)))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
