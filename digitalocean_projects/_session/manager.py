"""SessionManager: sends requests within the rate limits, with retries."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, cast
from urllib.parse import urlsplit

import attrs

from digitalocean_projects._codec.headers import RateLimit, remaining
from digitalocean_projects._described import Request
from digitalocean_projects._errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    ClientUsageError,
    RateLimitError,
    RateLimitWaitError,
)
from digitalocean_projects._limiter.bucket import TokenBucket
from digitalocean_projects._limiter.budget import BucketStatistics
from digitalocean_projects._limiter.lease import Bound, Lease
from digitalocean_projects._limiter.shared import shared_bucket
from digitalocean_projects._public import publish

from .connections import open_session
from .pool import Held, Pool
from .retry import Retries
from .tracing import attempt_of, note_wait
from .transport import Transport

if TYPE_CHECKING:
    from digitalocean_projects._config import Settings

    from .transport import Answer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SUCCESS = range(200, 300)
_UNAUTHORIZED = 401
_TOO_MANY_REQUESTS = 429
# A request may wait for the limits for this number of seconds in any case.
_LEAST_WAIT = 1.0


@attrs.frozen(kw_only=True)
class Statistics:
    """Counters of a client and its views.

    Args:
        requests: Number of attempts of all requests.
        retries: Number of attempts after the first one of their request.
        waited: Total seconds spent waiting for rate limits, retries and polling, on the client's
            clock.
        bucket: State of the token bucket, which all clients with the same token, base URL and
            limits share; None without limits.
    """

    requests: int
    retries: int
    waited: float
    bucket: BucketStatistics | None


@attrs.define(eq=False, repr=False)
class _Counts:
    """The counts of a manager. A view also adds its counts to those of the original client."""

    root: _Counts | None = None
    requests: int = 0
    retries: int = 0
    waited: float = 0.0
    # The latest headers with the rate limit of the token.
    latest: Mapping[str, str] = attrs.field(factory=dict)

    def add(self, requests: int = 0, retries: int = 0, waited: float = 0.0) -> None:
        self.requests += requests
        self.retries += retries
        self.waited += waited
        if self.root is not None:
            self.root.add(requests, retries, waited)


class SessionManager:
    """A sender of requests that keeps the rate limits and retries transient failures.

    Args:
        settings: The settings.
        pool: The pool of another manager, which closes it; None to create a pool.
        root: The counts of the original client, if this manager belongs to a view.

    Attributes:
        settings: The settings.
        bound: The bound on the threads that wait for the limits, or None. Later views have the same
            bound.
        prefix: The path of the base URL. Requests that have it already take 1.7 µs less.
    """

    def __init__(
        self, settings: Settings, pool: Pool | None = None, root: _Counts | None = None
    ) -> None:
        self.settings = settings
        self.bound: Bound | None = None
        self._transport = Transport(settings)
        self._owns_pool = pool is None
        self._pool = Pool(partial(open_session, settings)) if pool is None else pool
        self._counts = _Counts(root)
        self._bucket = (
            None
            if settings.limits is None
            else shared_bucket(
                settings.limits,
                settings.clock,
                base_url=settings.base_url,
                token=settings.token,
                user=self,
            )
        )
        self.prefix: str = urlsplit(settings.base_url).path
        self._start_by = math.inf
        self._original: SessionManager | None = None

    def view(self, **changes: Any) -> SessionManager:
        """Return a manager with other settings, on the same pool and with the same bound.

        It adds its counts to the original manager only, even if it is a view of a view. So a client
        may be replaced by a view of itself any number of times.
        """
        root = self._counts.root or self._counts
        view = SessionManager(attrs.evolve(self.settings, **changes), self._pool, root)
        view.bound = self.bound
        return view

    def starting_within(self, seconds: float) -> SessionManager:
        """Return a copy of this manager that starts no attempt later than `seconds` from now.

        A request may wait for the limits until then, and in any case for one second, since even the
        slow start of a bucket may delay a request for that time. An attempt that has started is
        limited only by its own timeout.
        """
        manager = copy.copy(self)
        # The bucket lives while its user does, which is this manager, so the copy keeps it alive.
        manager._original = self  # noqa: SLF001 - this class
        manager._start_by = self.settings.clock.time() + seconds  # noqa: SLF001 - this class
        return manager

    @property
    def rate_limit(self) -> RateLimit | None:
        """The rate limit in the headers of the latest response that has one, or None."""
        return RateLimit.from_headers(self._counts.latest)

    def statistics(self) -> Statistics:
        """Return the counters."""
        return Statistics(
            requests=self._counts.requests,
            retries=self._counts.retries,
            waited=self._counts.waited,
            bucket=None if self._bucket is None else self._bucket.statistics(),
        )

    @property
    def is_open(self) -> bool:
        """False once the client was closed."""
        return self._pool.is_open

    def check_open(self) -> None:
        """Check that the manager is open.

        Raises:
            ClientUsageError: It is closed.
        """
        self._pool.check_open()

    async def aclose(self) -> None:
        """Close the pool for good, unless it is another manager's. Requests in flight fail.

        Raises:
            ClientUsageError: The pool belongs to another loop, which isn't closed.
        """
        if self._owns_pool:
            await self._pool.aclose()

    def located(self, request: Request) -> Request:
        """Return the request with the path of the base URL, if it has one."""
        if not self.prefix or request.prefix:
            return request
        return attrs.evolve(request, prefix=self.prefix)

    def retries(self) -> Retries:
        """Return the attempts that a request may have from now on."""
        settings = self.settings
        return Retries(settings.retry, settings.clock, settings.deadline, start_by=self._start_by)

    async def request(
        self, request: Request, body: bytes | None = None, retries: Retries | None = None
    ) -> Answer:
        """Send a request, retry it if necessary, and return the API's response.

        Args:
            request: The request.
            body: The request body, or None.
            retries: The remaining attempts, if this request continues an earlier one.

        Raises:
            APIConnectionError: There was no complete response.
            APIStatusError: The status of the response is not 2xx.
            APIResponseError: The response is not valid HTTP, or is too large.
            RateLimitWaitError: The first attempt would have to wait too long for the limits.
            ClientUsageError: The manager is closed, or belongs to another loop.
        """
        held = self._pool.usable()
        request = self.located(request)
        return await self._until_closed(
            request, held, self._send, request, body, retries or self.retries(), held
        )

    async def sleep(self, seconds: float, request: Request) -> None:
        """Wait for some seconds before a request.

        Raises:
            ClientUsageError: The manager is closed, or belongs to another loop.
        """
        held = self._pool.usable()
        await self._until_closed(self.located(request), held, self._wait, seconds)

    async def _until_closed(
        self,
        request: Request,
        held: Held | None,
        function: Callable[[*Ts], Awaitable[T]],
        *arguments: *Ts,
    ) -> T:
        """Return the result of the function, which closing the pool cancels.

        A cancellation that comes out of the function has one of three causes:

        - The caller is cancelled. It is raised as it is.
        - `Pool.aclose` has removed the task from `tasks`, and then cancelled it once. The task has
          counted that cancellation, so `uncancel` takes it back: otherwise a time limit or task
          group around the call would mistake it for its own. If the task then still counts more
          cancellations than before the call, the caller was cancelled, too.
        - Nobody has cancelled the task: its count has not changed. aiohttp cancels waiters for a
          connection when the session is closed.
        """
        # To look for the running loop again would take 0.2 µs.
        loop = None if held is None else held.loop
        task = cast("asyncio.Task[Any]", asyncio.current_task(loop))
        tasks, cancellations = self._pool.tasks, task.cancelling()
        if task in tasks:
            # Without limits this would work. It is always an error, since otherwise the program
            # would fail only once it has limits.
            raise ClientUsageError(
                "a hook of a request must not wait for another request of the same client or its"
                f" views, since each could wait for the other; start a task for it ({request})"
            )
        self._pool.begin(task)
        try:
            return await function(*arguments)
        except asyncio.CancelledError as error:
            if task.cancelling() > cancellations:
                if task in tasks or task.uncancel() > cancellations:
                    raise error.with_traceback(None) from None
                failure: APIError | ClientUsageError = ClientUsageError(
                    f"the client was closed during the request ({request})"
                )
                failure.in_doubt = True
            else:
                failure = APIConnectionError(
                    "the wait for a connection was cancelled", request, sent=False
                )
        finally:
            self._pool.end(task)
        try:
            raise failure
        finally:
            del failure

    async def _send(
        self, request: Request, body: bytes | None, retries: Retries, held: Held | None
    ) -> Answer:
        failure: APIError | None = None
        while True:
            try:
                if self._bucket is None:
                    return await self._once(request, body, retries, held, None)
                since = self.settings.clock.time()
                async with self._lease(self._bucket, retries, since) as lease:
                    if lease.queued:
                        self._counts.add(waited=lease.sent - since)
                        note_wait(lease, lease.sent - since)
                        held = None
                    return await self._once(request, body, retries, held, lease)
            except RateLimitWaitError as error:
                failure = failure or RateLimitWaitError(
                    error.seconds, error.reason, request, maximum=error.maximum
                )
                break
            except (APIConnectionError, APIStatusError) as error:
                text = str(error)
                retries.record(error)
                delay = retries.delay_after(error)
                if delay is None or (error.in_doubt and not request.idempotent):
                    raise
                # A response 429 pauses the bucket, where the request waits before all others.
                paused = self._bucket if isinstance(error, RateLimitError) else None
                delay = paused.statistics().paused if paused else delay
                status = getattr(error, "status", None)
                retries.log(request, delay, text, status=status, error=type(error).__name__)
                # The traceback would keep this frame, which would keep the exception.
                failure = error.with_traceback(None)
            if not paused:
                await self._wait(delay)
            held = None
        try:
            raise failure
        finally:
            del failure

    async def _wait(self, seconds: float) -> None:
        await self.settings.clock.sleep(seconds)
        self._counts.add(waited=seconds)

    def _lease(self, bucket: TokenBucket, retries: Retries, since: float) -> Lease:
        """Return the lease for an attempt that waits for the limits from `since` on."""
        settings = self.settings
        lease = Lease(
            bucket,
            settings.bulk,
            retries.attempts > 0,
            min(retries.deadline - since, max(self._start_by - since, _LEAST_WAIT)),
            settings.retry.max_retry_after,
            settings.timeout,
        )
        lease.bound = self.bound
        return lease

    async def _once(
        self,
        request: Request,
        body: bytes | None,
        retries: Retries,
        held: Held | None,
        lease: Lease | None,
    ) -> Answer:
        """Make one attempt, and raise the error for a status other than 2xx."""
        self._counts.add(1, retries.attempts > 0)
        retries.in_flight = True
        try:
            with attempt_of(request, self.settings, retries.attempts) as attempt:
                answer = await self._transport.send(
                    held or self._held(lease),
                    request,
                    body,
                    seconds=retries.deadline - self.settings.clock.time(),
                    on_headers=partial(self._learn, lease),
                )
                if attempt is not None:
                    attempt.answered(answer)
        except APIConnectionError as error:
            if lease is not None and not error.sent:
                lease.unsent()
            raise
        finally:
            retries.in_flight = False
        if answer.status not in _SUCCESS:
            raise self._transport.status_error(answer)
        return answer

    def _held(self, lease: Lease | None) -> Held:
        """Return the session at the first request, and after waits, in which it may be closed."""
        try:
            return self._pool.held()
        except BaseException:
            if lease is not None:
                lease.unsent()
            raise

    def _learn(self, lease: Lease | None, status: int, headers: Mapping[str, str]) -> None:
        """Record the rate limit in the headers of a response."""
        if remaining(headers) is not None:
            self._counts.latest = headers
        if lease is not None:
            (lease.refused if status == _TOO_MANY_REQUESTS else lease.settle)(headers)
        if self._bucket is not None and status != _UNAUTHORIZED:
            self._bucket.keep = True


publish(globals())
