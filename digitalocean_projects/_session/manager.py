"""SessionManager: takes a request to its answer, when the limits allow it, with retries."""

from __future__ import annotations

import asyncio
import copy
import logging
import math
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import attrs

from digitalocean_projects._codec.headers import RateLimit, remaining
from digitalocean_projects._errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    ClientUsageError,
    RateLimitError,
    RateLimitWaitError,
)
from digitalocean_projects._limiter.shared import shared_bucket

from .pool import Pool
from .retry import Retries
from .transport import Transport, open_session, request_id, status_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp import ClientSession

    from digitalocean_projects._config import Settings
    from digitalocean_projects._limiter.bucket import BucketStatistics, TokenBucket
    from digitalocean_projects._limiter.lease import Bound, Lease
    from digitalocean_projects._messages import Request

    from .transport import Answer

T = TypeVar("T")

_logger = logging.getLogger("digitalocean_projects")
_SUCCESS = range(200, 300)
_UNAUTHORIZED = 401
_TOO_MANY_REQUESTS = 429
# The seconds that a request may wait for the limits in any case.
_LEAST_WAIT = 1.0


@attrs.frozen(kw_only=True)
class Statistics:
    """What a client and its views have done.

    Args:
        requests: How many requests it has sent, or tried to.
        retries: How many of them were sent again.
        waited: The seconds on its clock that they have waited, in all: for the limits, before they
            were sent again, and before another look for what was on its way.
        bucket: What the token bucket does, which others may use, too; None without limits.
    """

    requests: int
    retries: int
    waited: float
    bucket: BucketStatistics | None


@attrs.define
class _Counts:
    """The counts of a manager, which are also added to those of the client that it is a view of."""

    root: _Counts | None = None
    requests: int = 0
    retries: int = 0
    waited: float = 0.0
    # The headers that last said what is left of the hour's allowance.
    latest: Mapping[str, str] = attrs.field(factory=dict)

    def add(self, *, requests: int = 0, retries: int = 0, waited: float = 0.0) -> None:
        self.requests += requests
        self.retries += retries
        self.waited += waited
        if self.root is not None:
            self.root.add(requests=requests, retries=retries, waited=waited)


class SessionManager:
    """Sends requests, when the limits allow it, and again where that may help.

    Args:
        settings: The settings.
        pool: The pool that it sends them on and leaves open; None makes one of its own.
        root: The counts of the client that it is a view of.

    Attributes:
        settings: The settings.
        bound: The bound on the threads that wait for the limits, if there is one; later views have
            it, too.
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
        self._prefix = urlsplit(settings.base_url).path
        self._start_by = math.inf
        self._original: SessionManager | None = None

    def view(self, **changes: Any) -> SessionManager:
        """Return a manager with other settings, on the same pool and with the same bound.

        It counts for the first manager, not for a view that it was made from: a client may be
        replaced by a view of itself any number of times.
        """
        root = self._counts.root or self._counts
        view = SessionManager(attrs.evolve(self.settings, **changes), self._pool, root)
        view.bound = self.bound
        return view

    def starting_within(self, seconds: float) -> SessionManager:
        """Return this manager with no attempt starting later than `seconds` from now.

        The limits are waited for until then, or for one second, for which even the slow start of a
        bucket may hold a request. An attempt that has started has its own time-out.
        """
        manager = copy.copy(self)
        # Only this manager is known to the bucket as its user, so the copy keeps it.
        manager._original = self  # noqa: SLF001 - of this class
        manager._start_by = self.settings.clock.time() + seconds  # noqa: SLF001 - of this class
        return manager

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the API last said of the token's allowance."""
        return RateLimit.from_headers(self._counts.latest)

    def statistics(self) -> Statistics:
        """What the manager has done."""
        return Statistics(
            requests=self._counts.requests,
            retries=self._counts.retries,
            waited=self._counts.waited,
            bucket=None if self._bucket is None else self._bucket.statistics(),
        )

    def check_open(self) -> None:
        """Do nothing, unless the manager is closed.

        Raises:
            ClientUsageError: It is.
        """
        self._pool.check_open()

    async def aclose(self) -> None:
        """Close a pool of its own, for good; a request that is under way fails.

        Raises:
            ClientUsageError: It belongs to another loop, which isn't closed.
        """
        if self._owns_pool:
            await self._pool.aclose()

    def located(self, request: Request) -> Request:
        """Return the request with the path of the base URL, if it has one."""
        return attrs.evolve(request, prefix=self._prefix) if self._prefix else request

    def retries(self) -> Retries:
        """Return the attempts that the settings allow, from now on."""
        settings = self.settings
        return Retries(settings.retry, settings.clock, settings.deadline, start_by=self._start_by)

    async def request(
        self, request: Request, body: bytes | None = None, retries: Retries | None = None
    ) -> Answer:
        """The API's answer, from one of the attempts that are allowed.

        Args:
            request: What to ask.
            body: The body, if there is one.
            retries: The attempts that are left, if this request isn't the first of them.

        Raises:
            APIConnectionError: There was none.
            APIStatusError: It is no success.
            APIResponseError: It is no HTTP, or too large.
            RateLimitWaitError: The time would be up before it may be sent, for the first time.
            ClientUsageError: The manager is closed, or belongs to another loop.
        """
        retries = retries or self.retries()
        request = self.located(request)
        return await self._until_closed(partial(self._send, request, body, retries), request)

    async def sleep(self, seconds: float, request: Request) -> None:
        """Wait so long before a request.

        Raises:
            ClientUsageError: The manager is closed, or belongs to another loop.
        """
        await self._until_closed(partial(self._wait, seconds), self.located(request))

    async def _until_closed(self, function: Callable[[], Awaitable[T]], request: Request) -> T:
        """Return the result of the function, which the end of the pool cancels.

        A cancellation that comes out of the function has one of three causes:

        - The caller is cancelled. It is raised as it is.
        - `Pool.aclose` has cancelled the task, once, and has taken it out of `tasks` before. That
          cancellation was counted by the task, so it is taken back by `uncancel`: otherwise a time
          limit or task group around the call would take it for one of its own. If the task counts
          more of them after that than before the call, the caller was cancelled, too.
        - Nobody has cancelled the task: its count has not changed. aiohttp ends with a bare
          `CancelledError` the wait for a connection of a session that is closed.
        """
        self._pool.check_usable()
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        tasks, cancellations = self._pool.tasks, task.cancelling()
        if task in tasks:
            # Without limits, too: otherwise the error would first come up where there are some.
            raise ClientUsageError(
                "a hook of a request must not wait for another request of the same client or a view"
                f" of it, which may wait for the first one; start a task for {request}"
            )
        self._pool.begin(task)
        try:
            return await function()
        except asyncio.CancelledError as error:
            if task.cancelling() > cancellations:
                if task in tasks or task.uncancel() > cancellations:
                    raise error.with_traceback(None) from None
                failure: APIError | ClientUsageError = ClientUsageError(
                    f"the client was closed meanwhile ({request})"
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

    async def _send(self, request: Request, body: bytes | None, retries: Retries) -> Answer:
        failure: APIError | None = None
        while True:
            try:
                if self._bucket is None:
                    return await self._once(request, body, retries, None)
                return await self._in_turn(self._bucket, request, body, retries)
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
                status = error.status if isinstance(error, APIStatusError) else None
                name = type(error).__name__
                retries.log(request, delay, text, status=status, error=name)
                # The traceback would keep this frame, which would keep the exception.
                failure = error.with_traceback(None)
            # A refusal pauses the bucket, where the request then waits in front.
            if self._bucket is None or not isinstance(failure, RateLimitError):
                await self._wait(delay)
        try:
            raise failure
        finally:
            del failure

    async def _wait(self, seconds: float) -> None:
        await self.settings.clock.sleep(seconds)
        self._counts.add(waited=seconds)

    async def _in_turn(
        self, bucket: TokenBucket, request: Request, body: bytes | None, retries: Retries
    ) -> Answer:
        """One attempt, when the limits allow it."""
        since = self.settings.clock.time()
        lease = bucket.lease(
            bulk=self.settings.bulk,
            max_wait=min(retries.deadline - since, max(self._start_by - since, _LEAST_WAIT)),
            max_pause=self.settings.retry.max_retry_after,
            timeout=self.settings.timeout,
            ahead=retries.attempts > 0,
        )
        lease.bound = self.bound
        async with lease:
            self._counts.add(waited=lease.sent - since)
            return await self._once(request, body, retries, lease)

    async def _once(
        self, request: Request, body: bytes | None, retries: Retries, lease: Lease | None
    ) -> Answer:
        """One attempt, up to the error that an answer's status makes."""
        start = monotonic()
        self._counts.add(requests=1, retries=retries.attempts > 0)
        try:
            answer = await self._transport.send(
                self._session(lease),
                request,
                body,
                seconds=retries.deadline - self.settings.clock.time(),
                on_headers=partial(self._learn, lease),
            )
        except (APIError, ClientUsageError) as error:
            if lease is not None and isinstance(error, APIConnectionError) and not error.sent:
                lease.unsent()
            self._log(request, start, retries.attempts, error=type(error).__name__)
            raise
        self._log(request, start, retries.attempts, status=answer.status, headers=answer.headers)
        if answer.status not in _SUCCESS:
            raise status_error(
                answer.status, answer.headers, answer.body, request, secret=self.settings.token
            )
        return answer

    def _session(self, lease: Lease | None) -> ClientSession:
        try:
            return self._pool.session()
        except BaseException:
            if lease is not None:
                lease.unsent()
            raise

    def _learn(self, lease: Lease | None, status: int, headers: Mapping[str, str]) -> None:
        """Keep what the headers say of the limits."""
        if remaining(headers) is not None:
            self._counts.latest = headers
        if lease is not None:
            (lease.refused if status == _TOO_MANY_REQUESTS else lease.settle)(headers)
        if self._bucket is not None and status != _UNAUTHORIZED:
            self._bucket.keep = True

    def _log(
        self,
        request: Request,
        start: float,
        attempts: int,
        *,
        status: int | None = None,
        error: str | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        if not _logger.isEnabledFor(logging.DEBUG):
            return
        seconds = monotonic() - start
        answered = request_id(headers, self.settings.token)
        _logger.debug(
            "%s: %s in %.0f ms, attempt %d, request id %s",
            request,
            status or error,
            seconds * 1000,
            attempts + 1,
            answered,
            extra={
                "do_method": request.method,
                "do_path": request.target,
                "do_attempt": attempts + 1,
                "do_status": status,
                "do_error": error,
                "do_seconds": seconds,
                "do_request_id": answered,
            },
        )
