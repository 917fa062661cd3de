"""Emulator: a server of the emulated API, and its control by tests."""

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
    """A server that responds as the Projects API does, with an account of its own.

    It runs in a thread of its own, so it serves blocking and asyncio code. Start it with
    `with Emulator() as emulator:`, with `async with`, or with `start`. Its account is kept in
    memory, has an empty default project at first, and can be filled before or after the start.
    Ids, tokens and the times of projects and assignments are the same in every run. The port, the
    request ids and the dates differ.

    The rate limits apply to each token. Each request counts for one period, from its arrival on.
    Requests that these limits refuse and requests with an unknown token don't count. All others do,
    even those with an error, a scripted response or a fault. The headers `ratelimit-limit`,
    `ratelimit-remaining` and `ratelimit-reset` (rounded up) describe the longest limit. If there
    are several limits, a 429 for the longest one has no `retry-after`. Any other 429 has it, in
    whole seconds rounded up.

    The response to an assignment is sent at once, but listings show the move only after
    `move_delay`. During this time neither the old project nor the new one can be deleted, another
    assignment to the new project has the status `already_assigned`, and an assignment to a third
    project replaces the move.

    Memory is bounded. A body of more than `max_body` bytes is refused with a 413. `requests` keeps
    the newest requests, within `keep_requests` and `keep_bytes`. A request with an unknown token is
    kept without its body, unless a scripted response or a fault applies to it.

    All methods may be called from any thread.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        token: The token with every scope; None creates one.
        limits: The limits of each token, as pairs of (requests, seconds); () sets none. The default
            has those of the API: 250 in 60 seconds and 5,000 in 3,600.
        clock: The clock of the limits, the moves and the `Date` of the responses; None creates a
            `MockClock` that follows real time.
        move_delay: Seconds on the clock until listings show an assignment; 0 by default.
        max_body: The maximum length of a request's body in bytes, after decompression; 16 MiB by
            default.
        keep_requests: The maximum number of requests that `requests` keeps; 10,000 by default.
        keep_bytes: The approximate maximum of the memory of these requests, in bytes; 64 MiB by
            default. Besides its texts and its body, each request counts as 400 bytes, and each
            header and each name in the query as 64 bytes.

    Raises:
        TypeError: A number of requests or bytes is not an integer.
        ValueError: A limit allows no request, or its time is not positive and finite;
            `move_delay` is negative or not finite; or a number of requests or bytes is negative.
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
        """Start the server; do nothing if it is running.

        If it was stopped, it serves the same account on the same port again.

        Raises:
            OSError: The port is in use, or the host is not an address of this machine.
        """
        with self._lifecycle:
            if self._server is None:
                self._server = Server(self._site, self._host, self._port)
                self._port, self._url = self._server.port, self._server.url
                self._site.api.origin = self._url
                self._server.start()

    def stop(self) -> None:
        """Stop the server, end all connections and the thread; do nothing if it is not running."""
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
            raise RuntimeError(
                "the emulator must be started before it has a URL; use it as a context manager, "
                "or call start()"
            )
        return self._url

    @property
    def clock(self) -> MockClock:
        """The clock of the limits, the moves and the `Date` of the responses.

        Pass it to the client as `clock`, so that its limits and waits follow it, too.
        """
        return self._clock

    @property
    def move_delay(self) -> float:
        """Seconds on `clock` until listings show an assignment.

        A new value applies to later assignments.

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
        """Create a token that has only these scopes, such as `project:read` and `droplet:read`.

        The scopes have the names in the API's documentation: `block_storage:read` for volumes, for
        example. `api:read` includes every scope that reads, and `api:write` includes every scope.

        A listing is divided into pages first, and then leaves out the resources that the token may
        not read. So pages may be short or empty, and `meta.total` counts everything.

        Raises:
            ValueError: A scope is not of the form `resource:action`.
        """
        scopes = frozenset(scopes)
        for scope in scopes:
            if ":" not in scope:
                raise ValueError(f"a scope must have the form 'droplet:read', got {scope!r}")
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
        """Create a project that holds these resources, and return its UUID.

        Resources that do not exist are created, and existing ones are moved to the project, without
        `move_delay`. The project lists them in the given order, before those that it held.

        Args:
            resources: The URNs; repeats are dropped.
            name: The project's name; None chooses one. The UUID depends only on the name, unless
                an earlier project had that UUID.
            default: True to put the resources into the default project, without creating a project.
                The other arguments are ignored.
            description: As in `StoredProject`.
            purpose: As in `StoredProject`. An unknown text gets the prefix `Other: `.
            environment: As in `StoredProject`.

        Raises:
            TypeError: A resource is not a URN, or an attribute is not a string.
            ValueError: A URN is malformed, the name is taken, or the API would refuse the project.
                The account is unchanged.
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
        """Return the current projects, newest first, as in a listing."""
        with self._lock:
            return self._account.projects()

    def resources(self, project_id: str = "default") -> list[URN]:
        """Return the URNs that the listing of a project shows now, in its order.

        Args:
            project_id: The project's UUID, or `default`.

        Raises:
            ValueError: There is no such project.
        """
        with self._lock:
            project = self._account.project(project_id)
            if project is None:
                raise ValueError(
                    "project_id must be 'default' or the UUID of a project of this emulator, "
                    f"got {project_id!r}"
                )
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
        """Answer the next requests with this response, for any path and token.

        The request is not carried out, and the connection is closed after the response. Scripted
        responses and faults form one queue. Each request takes the first entry whose `when` accepts
        it. An entry is removed after `times` requests. If no entry accepts a request, it is
        answered as usual.

        Args:
            status: The HTTP status.
            body: Bytes are sent unchanged; any other value is sent as JSON.
            headers: The headers, sent unchanged and unchecked. If they are missing,
                `Content-Type: application/json`, the correct `Content-Length` (unless there is a
                `Transfer-Encoding`) and `Connection: close` are added; to a 204, only the last.
            when: A function that returns True if this response is for the request. It is called in
                the emulator's thread. None, the default, accepts every request.
            times: The number of requests to answer, 1 by default; None sets no limit.

        Raises:
            TypeError: The body can't be converted to JSON.
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
        """Answer the next requests with these bytes; otherwise like `respond`.

        Args:
            data: All bytes of the response, with its status line and headers; `b""` only closes the
                connection.
            when: As in `respond`.
            times: As in `respond`.

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
        """Apply a fault to the next requests. It is put into the queue of `respond`.

        Args:
            fault: A fault of `digitalocean_projects.testing.faults`, such as `faults.Reset()`.
            when: As in `respond`.
            times: As in `respond`.

        Raises:
            TypeError: `fault` is not a fault.
            ValueError: `times` is less than 1.
        """
        if not isinstance(fault, Fault):
            raise TypeError(
                f"fault must be a fault of testing.faults, such as faults.Reset(), got {fault!r}"
            )
        with self._lock:
            self._site.script.add(fault, when=when, times=times)

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the requests since the last `forget_requests`, oldest first.

        Only the newest requests are kept, within `keep_requests` and `keep_bytes`.
        """
        with self._lock:
            return self._site.record.copy()

    def forget_requests(self) -> None:
        """Remove all requests from `requests`."""
        with self._lock:
            self._site.record.clear()
