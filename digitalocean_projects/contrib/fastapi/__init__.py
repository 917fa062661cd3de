"""FastAPI: clients for its endpoints, answers for their errors, and listings as streams."""

from digitalocean_projects._public import publish

from .dependencies import (
    AsyncClientDep,
    ClientDep,
    ProjectID,
    TenantAsyncClientDep,
    TenantClientDep,
    async_client_for,
    client_for,
    client_lifespan,
)
from .problems import exception_handlers
from .streams import JSONLinesResponse, until_disconnected

__all__ = [
    "AsyncClientDep",
    "ClientDep",
    "JSONLinesResponse",
    "ProjectID",
    "TenantAsyncClientDep",
    "TenantClientDep",
    "async_client_for",
    "client_for",
    "client_lifespan",
    "exception_handlers",
    "until_disconnected",
]

publish(globals(), __name__)
