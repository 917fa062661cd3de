"""Dependencies: clients for the endpoints of a FastAPI application."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, TypeAlias, TypeVar
from weakref import WeakSet

from digitalocean_projects import AsyncClient, Client, ClientUsageError
from digitalocean_projects._arguments import PROJECT_ID_PATTERN, checked_count, checked_type
from digitalocean_projects._facade.loop_thread import CALL
from digitalocean_projects._limiter.lease import Bound
from digitalocean_projects._messages import Secret

try:
    from fastapi import APIRouter, Depends, FastAPI
    from fastapi.requests import HTTPConnection
    from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
    from pydantic import StringConstraints
    from starlette.types import Scope
except ModuleNotFoundError as _missing:
    raise ImportError(
        "digitalocean_projects.contrib.fastapi requires FastAPI; "
        "install the extra digitalocean-projects[fastapi]"
    ) from _missing

from .problems import MalformedTokenError, exception_handlers, problem_responses

AnyClient = TypeVar("AnyClient", AsyncClient, Client)

DEFAULT_WAITING_THREADS = 8
_STATE = "digitalocean_projects"

ProjectID: TypeAlias = Annotated[str, StringConstraints(pattern=PROJECT_ID_PATTERN)]
"""The type of a project's UUID or `default`; FastAPI answers any other text with a 422."""


def bound_waiting_threads(client: Client, most: int) -> None:
    """Bound the threads that wait for the limits of one token, for a client and its later views.

    If `most` threads of this process wait for the limits of a token, a request of another thread
    that would have to wait for more than a second raises `RateLimitWaitError` at once. All requests
    of one blocking call count as one thread. A `def` endpoint occupies one of the server's worker
    threads (40 by default) while its requests wait. Without a bound, one tenant over its limits
    could occupy all of them.

    Args:
        client: A blocking client.
        most: The maximum number of waiting threads for each token.
    """
    client._async._manager.bound = Bound(most, CALL.get)  # noqa: SLF001 - of this package


class _Clients:
    """The clients of an application; the blocking one is created at its first use."""

    def __init__(
        self,
        make_async_client: Callable[[], AsyncClient],
        make_client: Callable[[], Client],
        waiting_threads: int,
    ) -> None:
        self.async_client = make_async_client()
        self._make_client = make_client
        self._waiting_threads = waiting_threads
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = self._make_client()
            bound_waiting_threads(self._client, self._waiting_threads)
        return self._client

    async def aclose(self) -> None:
        try:
            await self.async_client.aclose()
        finally:
            if self._client is not None:
                await asyncio.to_thread(self._client.close)


def client_lifespan(
    make_async_client: Callable[[], AsyncClient] = AsyncClient,
    make_client: Callable[[], Client] = Client,
    *,
    waiting_threads: int = DEFAULT_WAITING_THREADS,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """Return a lifespan for an application that has an `AsyncClient` and a `Client`.

    Each worker process creates its own clients, and closes them when the application stops. To use
    it in your own lifespan, enter `async with client_lifespan()(app) as state:`, and yield the
    members of `state` together with your own.

    A `def` endpoint occupies a worker thread of the server while its requests wait for the rate
    limits. If `waiting_threads` threads of the process wait for the limits of a token, and a
    request of the `Client` or its views in another thread would have to wait for more than a
    second, it raises `RateLimitWaitError` at once. Requests of the `AsyncClient` occupy no thread,
    so this maximum doesn't apply to them.

    Args:
        make_async_client: A function that creates the client of `AsyncClientDep`. It is called when
            the application starts. The default takes the token from the environment.
        make_client: A function that creates the client of `ClientDep`. It is called at the first
            use of the client. The default takes the token from the environment.
        waiting_threads: The maximum number of threads that wait for the limits of one token, 8 by
            default.

    Raises:
        TypeError: An argument has another type than annotated.
        ValueError: `waiting_threads` is less than 1.
    """
    for name, value in ("make_async_client", make_async_client), ("make_client", make_client):
        if not callable(value):
            hint = f"pass a function, such as `lambda: {type(value).__name__}(...)`"
            raise TypeError(f"{name} must be callable, got {type(value).__name__}; {hint}")
    checked_count("waiting_threads", waiting_threads)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        clients = _Clients(make_async_client, make_client, waiting_threads)
        _running.add(app)
        try:
            yield {_STATE: clients}
        finally:
            _running.discard(app)
            await clients.aclose()

    return lifespan


def add_clients(
    app: FastAPI,
    make_async_client: Callable[[], AsyncClient] = AsyncClient,
    make_client: Callable[[], Client] = Client,
    *,
    waiting_threads: int = DEFAULT_WAITING_THREADS,
) -> None:
    """Add the clients, `exception_handlers` and `problem_responses` to an existing application.

    Call it right after the application was made: only later endpoints get the responses. The
    application's own lifespan stays, and runs around that of the clients, so it can't use them. Own
    handlers and responses stay, too.

    Args:
        app: The application.
        make_async_client: As in `client_lifespan`.
        make_client: As in `client_lifespan`.
        waiting_threads: As in `client_lifespan`.

    Raises:
        TypeError: An argument has another type than annotated.
        ValueError: `waiting_threads` is less than 1.
        ClientUsageError: The application has already started, or already has the clients of another
            call.
    """
    checked_type("app", app, FastAPI)
    lifespan = client_lifespan(make_async_client, make_client, waiting_threads=waiting_threads)
    if app.middleware_stack is not None:
        raise ClientUsageError(
            "add_clients must be called before the application starts; "
            "call it right after FastAPI()"
        )
    if app in _equipped:
        raise ClientUsageError(
            "add_clients must be called once for an application; remove the second call"
        )
    _equipped.add(app)
    app.include_router(APIRouter(lifespan=lifespan))
    for error, handler in exception_handlers.items():
        app.exception_handlers.setdefault(error, handler)
    app.router.responses = {**problem_responses, **app.router.responses}


# The applications that `add_clients` was called for.
_equipped: WeakSet[object] = WeakSet()
# The running applications whose lifespan has made clients.
_running: WeakSet[object] = WeakSet()


async def _clients(connection: HTTPConnection) -> _Clients:
    clients: _Clients | None = getattr(connection.state, _STATE, None)
    if clients is None:
        raise ClientUsageError(_why_no_client(connection.scope))
    return clients


def _why_no_client(scope: Scope) -> str:
    """Return why the state of an application has no client, and what to do."""
    app, root = scope["app"], scope.get("root_path", "")
    if app in _running:
        return (
            "the application's lifespan has entered client_lifespan(), but its state has no client;"
            " yield the state: `async with client_lifespan()(app) as state: yield {**state}`"
        )
    if scope.get("app_root_path", root) != root:
        return (
            "the application is mounted, so its own lifespan doesn't run, and the state has no "
            "client; use client_lifespan() or add_clients() for the application that mounts it"
        )
    if type(app.router.lifespan_context).__name__ == "_DefaultLifespan":
        return (
            "the application has no lifespan, so its state has no client; use "
            "FastAPI(lifespan=client_lifespan()) or add_clients(app)"
        )
    return (
        "the application's lifespan has not run or has not entered client_lifespan(), so its state "
        "has no client; in tests, use TestClient as a context manager"
    )


async def _async_client(clients: Annotated[_Clients, Depends(_clients)]) -> AsyncClient:
    return clients.async_client


async def _client(clients: Annotated[_Clients, Depends(_clients)]) -> Client:
    return clients.client


AsyncClientDep: TypeAlias = Annotated[AsyncClient, Depends(_async_client)]
"""The type of a parameter that receives the application's client, for `async def` endpoints."""

ClientDep: TypeAlias = Annotated[Client, Depends(_client)]
"""The type of a parameter that receives the application's blocking client, for `def` endpoints."""


class _TenantToken(Secret):
    """A token from the caller of an endpoint."""

    __slots__ = ()

    of_tenant = True


def async_client_for(
    token: Callable[..., Any], *, from_caller: bool = False
) -> Callable[..., Awaitable[AsyncClient]]:
    """Return a dependency that provides a view of the application's client with another token.

    Use it as `Annotated[AsyncClient, Depends(async_client_for(token_of_session))]`. The view shares
    the connections, and has the rate limits of its own token.

    By default, the token is the service's: with `exception_handlers`, a malformed token is a 500,
    and the API's 401 and 403 are a 502. With `from_caller=True`, the token is the caller's: a
    malformed token is a 401, and the API's 401 and 403 are passed on.

    Args:
        token: A dependency that returns the token, a str, for example from a session or a database.
        from_caller: True if the caller has sent the token. The default is False.

    Raises:
        TypeError: `token` is not callable.
    """
    if not callable(token):
        # The traceback shows this frame, and with it the variable, which may be a token.
        token = type(token)
        raise TypeError(
            f"token must be a dependency, which returns the token, got {token.__name__}"
        )

    async def client_with_token(
        client: AsyncClientDep, token: Annotated[str, Depends(token)]
    ) -> AsyncClient:
        token = _hidden(token, from_caller=from_caller)
        return _with_token(client, token)

    return client_with_token


def client_for(
    token: Callable[..., Any], *, from_caller: bool = False
) -> Callable[..., Awaitable[Client]]:
    """Return a dependency that provides a view of the blocking client with another token.

    Args:
        token: As in `async_client_for`.
        from_caller: As in `async_client_for`.

    Raises:
        TypeError: `token` is not callable.
    """
    if not callable(token):
        # The traceback shows this frame, and with it the variable, which may be a token.
        token = type(token)
        raise TypeError(
            f"token must be a dependency, which returns the token, got {token.__name__}"
        )

    async def client_with_token(client: ClientDep, token: Annotated[str, Depends(token)]) -> Client:
        token = _hidden(token, from_caller=from_caller)
        return _with_token(client, token)

    return client_with_token


def _hidden(token: object, *, from_caller: bool) -> Secret:
    kind = _TenantToken if from_caller else Secret
    return kind(token if isinstance(token, str) else "")


def _with_token(client: AnyClient, token: Secret) -> AnyClient:
    try:
        return client.with_options(token=token)
    except ValueError as error:
        reason = str(error)
    if not token.of_tenant:
        raise ClientUsageError(f"a dependency has returned an invalid token: {reason}")
    raise MalformedTokenError(reason)


_bearer = HTTPBearer(description="A token of DigitalOcean's API, which is passed on to it.")


async def _bearer_token(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(_bearer)],
) -> Secret:
    return Secret(credentials.credentials)


TenantAsyncClientDep: TypeAlias = Annotated[
    AsyncClient, Depends(async_client_for(_bearer_token, from_caller=True))
]
"""The type of a parameter that receives a view of the application's client, for `async def`.

The view has the bearer token of the request. FastAPI answers a request without one with a 401.
"""

TenantClientDep: TypeAlias = Annotated[Client, Depends(client_for(_bearer_token, from_caller=True))]
"""The type of a parameter that receives a view of the blocking client, for `def` endpoints.

The view has the bearer token of the request. FastAPI answers a request without one with a 401.
"""
