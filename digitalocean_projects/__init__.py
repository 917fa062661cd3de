"""List and assign the resources of DigitalOcean projects."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

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
    "AsyncClient",
    "AsyncPaginator",
    "AsyncProjects",
    "AuthenticationError",
    "BadRequestError",
    "BucketStatistics",
    "Client",
    "ClientUsageError",
    "Clock",
    "ConflictError",
    "HasURN",
    "Limits",
    "NotFoundError",
    "Page",
    "PaginationError",
    "Paginator",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "Projects",
    "RateLimit",
    "RateLimitError",
    "RateLimitWaitError",
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
    from ._client import AsyncClient, AsyncProjects
    from ._clock import Clock
    from ._config import DEFAULT_PROJECT, Limits
    from ._errors import (
        APIConnectionError,
        APIError,
        APIResponseError,
        APIStatusError,
        APITimeoutError,
        AssignmentError,
        AuthenticationError,
        BadRequestError,
        ClientUsageError,
        ConflictError,
        NotFoundError,
        PaginationError,
        PermissionDeniedError,
        PreconditionFailedError,
        RateLimitError,
        RateLimitWaitError,
        ServerError,
        UnprocessableEntityError,
    )
    from ._headers import RateLimit
    from ._limiter import BucketStatistics, TokenBucket
    from ._models import Page, Resource, ResourceStatus
    from ._paginator import AsyncPaginator
    from ._results import AssignmentResult
    from ._retry import RetryPolicy
    from ._session import Statistics
    from ._sync import Client, Paginator, Projects
    from ._urn import URN, HasURN, ResourceType, URNLike
else:
    # In the order of what they cost to import: whoever uses no client doesn't load aiohttp.
    _MODULES = (
        "_urn",
        "_headers",
        "_models",
        "_errors",
        "_config",
        "_results",
        "_clock",
        "_limiter",
        "_retry",
        "_session",
        "_paginator",
        "_client",
        "_sync",
    )

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        modules = (import_module(f"{__name__}.{module}") for module in _MODULES)
        values = (getattr(module, name, None) for module in modules)
        return globals().setdefault(name, next(filter(None, values)))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
