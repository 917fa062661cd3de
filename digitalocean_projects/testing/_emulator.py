"""Emulator: a server of the emulated API, and its control by tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from threading import Lock, RLock
from typing import Self

from ._accounts import Accounts
from ._admin import Admin
from ._answer import message
from ._api import API
from ._call import RESOURCE_TYPES, Rules, checked_types
from ._clock import MockClock, not_negative
from ._emulated_account import EmulatedAccount
from ._guard import checked_hosts
from ._limits import Limits
from ._recording import Record, RecordedRequest, checked_bound
from ._script import Script
from ._server import Server
from ._site import Site
from ._token import checked_scopes
from .faults import Fault

_LIMITS = ((250, 60.0), (5000, 3600.0))
_MEBIBYTE = 1 << 20


class Emulator(EmulatedAccount):
    """A server that answers as the Projects API does, with accounts of its own.

    It runs in a thread of its own, so it serves blocking and asyncio code. Start it with
    `with Emulator() as emulator:`, with `async with`, or with `start`. Its account is kept in
    memory and starts with an empty default project. It can be filled before or after the start.
    `add_account` creates further accounts; the methods of `EmulatedAccount` are for the first one.
    Ids, tokens and the times of projects and assignments are the same in every run. The port, the
    request ids and the dates differ.

    The rate limits apply to each token. A request counts towards a limit from its arrival until the
    limit's period has passed. Refused requests and requests with an unknown token don't count.
    Failed and scripted ones do. The headers `ratelimit-limit`,
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
        host: The address to listen on. `0.0.0.0` stands for all IPv4 addresses of the machine, and
            `::` for all addresses.
        port: The port to listen on; 0 takes a free one.
        token: The token; None creates one.
        scopes: The scopes of this token, as for `add_token`; None allows everything.
        contents: The state at the start, and after `reset`, as for `load`.
        limits: The limits of each token, as pairs of (requests, seconds); () sets none. The default
            has those of the API: 250 in 60 seconds and 5,000 in 3,600.
        clock: The clock of the limits, the moves and the `Date` of the responses; None creates a
            `MockClock` that follows real time.
        move_delay: Seconds on the clock until listings show an assignment.
        busy_time: Seconds on the clock during which a project refuses assignments after a move.
        resource_types: The types that assignments accept; a request with any other type is a 400.
            The default is `RESOURCE_TYPES`. Add a type that the API has since learned as
            `{*RESOURCE_TYPES, "genai_agent"}`.
        sparse: Leave out of listings what the API leaves out at times. A listing of one page has
            no `links`, or null, or empty ones. Some resources have no `status`, no `links`, no
            `assigned_at`, an empty one, or one without a time zone.
        latency: Real seconds by which each request to the API is delayed.
        jitter: The maximum random difference to `latency`, in real seconds; it is the same in every
            run.
        allow_hosts: Names by which other machines or containers call the emulator. The pages under
            `/_emulator/` are refused to requests for any other name, except for `host`, for
            addresses, and for the names of this machine, so that no web page can use them. The same
            holds for requests to the API that come from a browser.
        max_body: The maximum length of a request's body in bytes, after decompression; 16 MiB by
            default.
        keep_requests: The maximum number of requests that `requests` keeps; 10,000 by default.
        keep_bytes: The approximate maximum of the memory of these requests, in bytes; 64 MiB by
            default. Besides its texts and its body, each request counts as 400 bytes, and each
            header and each name in the query as 64 bytes.

    Raises:
        TypeError: A number of requests or bytes is not an integer, or `resource_types`,
            `allow_hosts` or `scopes` is a string.
        ValueError: A limit allows no request, or its time is not positive and finite;
            `move_delay`, `busy_time`, `latency` or `jitter` is negative, infinite or not a number;
            `jitter` is more than `latency`; a number of requests or bytes is negative; `host` is
            empty; an allowed host has a scheme, brackets or a port; `scopes` or `contents` is
            invalid, see `add_token` and `load`; or the token contains a character that a header
            can't have.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        scopes: Iterable[str] | None = None,
        contents: str = "",
        limits: Iterable[tuple[int, float]] = _LIMITS,
        clock: MockClock | None = None,
        move_delay: float = 0.0,
        busy_time: float = 0.0,
        resource_types: Iterable[str] = RESOURCE_TYPES,
        sparse: bool = False,
        latency: float = 0.0,
        jitter: float = 0.0,
        allow_hosts: Iterable[str] = (),
        max_body: int = 16 * _MEBIBYTE,
        keep_requests: int = 10_000,
        keep_bytes: int = 64 * _MEBIBYTE,
    ) -> None:
        if not host:
            raise ValueError(
                "host must be an address or a name, got ''; '0.0.0.0' is all addresses"
            )
        self._host = host
        self._port = port
        self._clock = MockClock() if clock is None else clock
        checked = None if scopes is None else checked_scopes(scopes)
        accounts = Accounts(self._clock, token, checked)
        self._first_move_delay = not_negative("move_delay", move_delay)
        accounts.all[0].move_delay = self._first_move_delay
        super().__init__(accounts.all[0], accounts, RLock())
        rules = Rules(
            resource_types=checked_types(resource_types),
            sparse=sparse,
            busy_time=not_negative("busy_time", busy_time),
        )
        record = Record(
            checked_bound("keep_requests", keep_requests), checked_bound("keep_bytes", keep_bytes)
        )
        script, api = Script(), API(accounts, Limits(limits), self._clock, rules)
        self._site = Site(
            lock=self._lock,
            record=record,
            script=script,
            api=api,
            admin=Admin(
                api=api,
                script=script,
                record=record,
                clock=self._clock,
                reset=self.reset,
                allowed_hosts=checked_hosts(allow_hosts) | {host.lower()},
            ),
            max_body=checked_bound("max_body", max_body),
            latency=not_negative("latency", latency),
            jitter=not_negative("jitter", jitter),
        )
        if jitter > latency:
            raise ValueError(f"jitter must be at most latency ({latency}), got {jitter}")
        self._contents = contents
        self.load(contents)
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
        not_negative("move_delay", seconds)
        with self._lock:
            for account in self._accounts.all:
                account.move_delay = seconds

    def add_account(self, token: str | None = None) -> EmulatedAccount:
        """Create another account, with an empty default project and a token of its own.

        Its projects and resources are separate from those of other accounts, and so are its ids.
        The emulator's own methods, such as `seed` and `resources`, are for its first account.

        Args:
            token: The account's token with every scope; None creates one.

        Raises:
            ValueError: The token is already in use, or it is empty, or it contains a character that
                a header can't have.
        """
        with self._lock:
            return EmulatedAccount(self._accounts.add(token), self._accounts, self._lock)

    def dump(self) -> str:
        """Return the state of all accounts as text, in the format of `load`.

        To the lines of `EmulatedAccount.dump`, it adds the tokens that were added, and the further
        accounts.
        """
        with self._lock:
            return self._accounts.text()

    def load(self, text: str, *, replace: bool = False) -> None:
        """Add the state in a text, as `EmulatedAccount.load` does, for all accounts.

        The text may contain further accounts. They are created if there is no account with such a
        token.

        Args:
            text: The text.
            replace: True to remove everything else; only the emulator's own token remains.

        Raises:
            ValueError: As for `EmulatedAccount.load`.
        """
        with self._lock:
            self._accounts.load(text, replace=replace)

    def reset(self) -> None:
        """Restore the state of the start: one account with the `contents` of the constructor.

        All requests, faults, scripted responses, attachments, added tokens and further accounts are
        removed, all limits are unused, and `move_delay` is that of the constructor. The clock goes
        on. Later tokens differ from all that existed before.
        """
        with self._lock:
            self._accounts.load(self._contents, replace=True)
            self.move_delay = self._first_move_delay
            self._site.script.entries.clear()
            self._site.record.clear()
            self._site.api.forget()

    @property
    def changes(self) -> int:
        """The number of requests that may have changed the state."""
        return self._site.changes

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
                the emulator's thread. If it raises an exception, the response is a 500 in plain
                text. None, the default, accepts every request.
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
