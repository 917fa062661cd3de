"""Emulator: the API on a port of this machine, and what tests do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from threading import Lock, RLock
from typing import Self

from digitalocean_projects._codec.urn import URN

from ._account import Account, StoredProject
from ._answer import message
from ._api import API
from ._clock import MockClock, not_negative
from ._limits import Limits
from ._recording import Record, RecordedRequest, checked_bound
from ._server import Server
from ._site import Script, Site
from .faults import Fault

_LIMITS = ((250, 60.0), (5000, 3600.0))
_MEBIBYTE = 1 << 20


class Emulator:
    """A server that answers as the Projects API does, with an account of its own.

    It runs in a thread of its own, so it serves blocking and asyncio code alike, as
    `with Emulator() as emulator:` or `async with`. Its account is kept in memory, starts with an
    empty default project, and can be filled before or after the start. Ids, tokens and the times
    of projects and assignments are the same in every run; the port, the request ids and the dates
    differ.

    Each token has limits for its requests. Each request counts until it is one window old. All
    requests count, also those with a scripted answer or an error, except those refused by these
    limits or with a 401. The headers `ratelimit-limit`, `-remaining` and `-reset` (rounded up) are
    about the longest limit. A 429 for that limit has no `retry-after`. A 429 for a shorter limit,
    or for the only one, has it, in whole seconds rounded up.

    An assignment is answered at once, but listings show it only after `move_delay`. Until then
    neither the old project nor the new one can be deleted. If the resource is assigned again
    before that, it is `already_assigned` to its new project, and can be moved to a third one.

    Memory stays bounded. A body of more than `max_body` bytes is refused with a 413. `requests`
    keeps the newest requests, within `keep_requests` and `keep_bytes`. The body of a request whose
    token is unknown is neither read nor kept, unless answers or faults are scripted: then it is
    kept if one of them answers the request.

    All methods may be called from any thread.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        token: The token with every scope; None makes one.
        limits: Each token's limits, as (requests, seconds); () for none. The API's by default.
        clock: The clock of the limits, the moves and the `Date` of the answers; None makes a
            `MockClock`.
        move_delay: Seconds on the clock.
        max_body: The maximum length of a request's body in bytes, after decompression.
        keep_requests: The maximum number of requests that `requests` keeps.
        keep_bytes: The approximate maximum number of bytes of memory that these take. Besides its
            texts and its body, each request counts as 400 bytes, and each header and each name in
            the query as 64 bytes.

    Raises:
        TypeError: A number of requests or bytes is no integer.
        ValueError: A limit allows no request, or its time isn't positive and finite;
            `move_delay` is negative, infinite or not a number; or a number of requests or bytes
            is negative.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        limits: Iterable[tuple[int, float]] = _LIMITS,
        clock: MockClock | None = None,
        move_delay: float = 0.0,
        max_body: int = 16 * _MEBIBYTE,
        keep_requests: int = 10_000,
        keep_bytes: int = 64 * _MEBIBYTE,
    ) -> None:
        self._host = host
        self._port = port
        self._clock = MockClock() if clock is None else clock
        self._account = Account(self._clock)
        self._account.move_delay = not_negative("move_delay", move_delay)
        self._token = self._account.add_token(None, token)
        self._lock = RLock()
        self._site = Site(
            lock=self._lock,
            record=Record(
                checked_bound("keep_requests", keep_requests),
                checked_bound("keep_bytes", keep_bytes),
            ),
            script=Script(),
            api=API(self._account, Limits(limits), self._clock),
            max_body=checked_bound("max_body", max_body),
        )
        self._lifecycle = Lock()
        self._server: Server | None = None
        self._url: str | None = None

    def start(self) -> None:
        """Listen; do nothing if it listens already.

        After a `stop` it listens on the same port again, with the same account.

        Raises:
            OSError: The port is taken, or the host isn't this machine's.
        """
        with self._lifecycle:
            if self._server is None:
                self._server = Server(self._site, self._host, self._port)
                self._port, self._url = self._server.port, self._server.url
                self._site.api.origin = self._url
                self._server.start()

    def stop(self) -> None:
        """Cut all connections and end the thread, at once; do nothing if it isn't running."""
        with self._lifecycle:
            if self._server is not None:
                self._server.stop()
                self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    def __repr__(self) -> str:
        state = "stopped" if self._server is None else "listening"
        return f"<Emulator at {self._url} ({state}) projects={len(self.projects())}>"

    @property
    def url(self) -> str:
        """The base URL, such as `http://127.0.0.1:8080`; a stopped emulator keeps it.

        Raises:
            RuntimeError: The emulator was never started.
        """
        if self._url is None:
            raise RuntimeError("the emulator has no URL before it is started")
        return self._url

    @property
    def clock(self) -> MockClock:
        """The clock of the limits, the moves and the `Date` of the answers.

        Pass it to the client, too.
        """
        return self._clock

    @property
    def move_delay(self) -> float:
        """Seconds on `clock` until listings show an assignment; a new value is for later ones.

        Raises:
            ValueError: The new value is negative, infinite or not a number.
        """
        return self._account.move_delay

    @move_delay.setter
    def move_delay(self, seconds: float) -> None:
        with self._lock:
            self._account.move_delay = not_negative("move_delay", seconds)

    @property
    def token(self) -> str:
        """The token that has every scope."""
        return self._token

    def add_token(self, scopes: Iterable[str]) -> str:
        """Make a token that has only these scopes, such as `project:read` and `droplet:read`.

        A listing leaves out the resources that the token may not read, after it was divided into
        pages: pages may be short or empty, and `meta.total` counts everything.

        Raises:
            ValueError: A scope is not of the form `resource:action`.
        """
        scopes = frozenset(scopes)
        for scope in scopes:
            if ":" not in scope:
                raise ValueError(f"a scope must be like 'droplet:read', got {scope!r}")
        with self._lock:
            return self._account.add_token(scopes)

    @property
    def default_project_id(self) -> str:
        """The UUID of the default project."""
        with self._lock:
            return self._account.default.id

    def seed(
        self,
        resources: Iterable[URN | str] = (),
        name: str | None = None,
        *,
        default: bool = False,
        description: str = "",
        purpose: str = "Web Application",
        environment: str = "",
    ) -> str:
        """Make a project that holds these resources, and return its UUID.

        The resources are created; one that exists already moves, at once. They are listed in the
        given order, before those that the project held, as if the first one was assigned last.

        Args:
            resources: The URNs; repeats are dropped.
            name: The project's name, which also determines its UUID, unless a project had that
                UUID before; None makes up a name.
            default: Put them into the default project instead, and ignore the other arguments.
            description: As in `StoredProject`.
            purpose: As in `StoredProject`; any other text gets `Other: ` before it.
            environment: As in `StoredProject`.

        Raises:
            TypeError: A resource is no URN, or an attribute no string.
            ValueError: A URN is malformed, the name is taken, or the API would refuse the project.
                Nothing was done.
        """
        urns = [URN.of(resource) for resource in resources]
        with self._lock:
            account = self._account
            project = (
                account.default
                if default
                else account.add_project(
                    name, description=description, purpose=purpose, environment=environment
                )
            )
            for urn in reversed(urns):
                account.place(urn, project)
            return project.id

    def projects(self) -> list[StoredProject]:
        """Return all projects as they are now, newest first, as in a listing."""
        with self._lock:
            return self._account.projects()

    def resources(self, project_id: str = "default") -> list[URN]:
        """Return the URNs that the listing of a project shows now, in its order.

        Raises:
            ValueError: There is no such project.
        """
        with self._lock:
            project = self._account.project(project_id)
            if project is None:
                raise ValueError(f"project_id must be that of a project, got {project_id!r}")
            return [assignment.urn for assignment in self._account.listing(project)]

    def respond(
        self,
        status: int,
        body: object = b"",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        when: Callable[[RecordedRequest], bool] | None = None,
        times: int | None = 1,
    ) -> None:
        """Answer the next requests with this, for any path and token.

        Scripted answers are tried in the order in which they were added. The first that has times
        left and accepts the request is sent, and the connection is closed. The account doesn't
        change. All other requests are answered as usual.

        Args:
            status: The status.
            body: Bytes are sent as they are, anything else as its JSON.
            headers: Sent as they are, right or wrong. `Content-Type: application/json`, the right
                `Content-Length` (unless there is a `Transfer-Encoding`) and `Connection: close`
                are added if they are missing; to a 204, only the last.
            when: Returns whether to answer a request; called in the emulator's thread.
            times: The number of requests to answer; None sets no limit.

        Raises:
            TypeError: The body has no JSON.
            ValueError: `times` is less than 1, or a header has characters beyond Latin-1.
        """
        self.respond_raw(message(status, body, headers), when=when, times=times)

    def respond_raw(
        self,
        data: bytes,
        *,
        when: Callable[[RecordedRequest], bool] | None = None,
        times: int | None = 1,
    ) -> None:
        """Send these bytes instead of an answer, as `respond` does; b"" only closes the connection.

        Raises:
            ValueError: `times` is less than 1.
        """
        with self._lock:
            self._site.script.add(data, when=when, times=times)

    def fail(
        self,
        fault: Fault,
        *,
        when: Callable[[RecordedRequest], bool] | None = None,
        times: int | None = 1,
    ) -> None:
        """Make the next requests go wrong, in one order with the answers of `respond`.

        Args:
            fault: What goes wrong, such as `faults.Reset()`.
            when: As in `respond`.
            times: As in `respond`.

        Raises:
            TypeError: `fault` is none of `faults`.
            ValueError: `times` is less than 1.
        """
        if not isinstance(fault, Fault):
            raise TypeError(f"fault must be one of faults, such as faults.Reset(), got {fault!r}")
        with self._lock:
            self._site.script.add(fault, when=when, times=times)

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the requests since the last `forget_requests`, oldest first.

        Only the newest ones are kept, as many as `keep_requests` and `keep_bytes` allow.
        """
        with self._lock:
            return self._site.record.copy()

    def forget_requests(self) -> None:
        """Empty `requests`."""
        with self._lock:
            self._site.record.clear()
