"""API: the answer to a request, by authentication, limits and handlers."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from ._answer import Answer, RefusedError
from ._call import Call
from ._handlers import allowed_methods, perform

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalocean_projects._codec.urn import URN

    from ._account import Account
    from ._accounts import Accounts
    from ._call import Rules
    from ._clock import MockClock
    from ._limits import Limits
    from ._recording import RecordedRequest


_EXPOSED = "ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, x-request-id"


def bearer(request: RecordedRequest) -> str:
    """Return the token of a request; empty if there is none."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return text if scheme.lower() == "bearer" else ""


class API:
    """The emulated API. It needs a lock if several threads use it.

    Its date starts at the machine's date and follows the clock.

    Attributes:
        origin: The base URL, for requests that don't name one.
        accounts: The accounts by their tokens.
    """

    def __init__(self, accounts: Accounts, limits: Limits, clock: MockClock, rules: Rules) -> None:
        self.origin = ""
        self.accounts = accounts
        self._limits = limits
        self._clock = clock
        self._rules = rules
        self._epoch = time.time() - clock.time()

    def answer(
        self,
        request: RecordedRequest,
        status_of: Callable[[URN], str | None] = lambda _: None,
    ) -> Answer:
        """Carry out a request, and return the answer.

        An assignment doesn't move the resources for which `status_of` returns a status.
        """
        if request.method == "OPTIONS":
            return self._options(request)
        now, text = self._clock.time(), bearer(request)
        try:
            account = self._account(text)
            self._limits.check(text, now)
            self._limits.count(text, now)
            self._limits.keep(self.accounts.by_token)
            call = Call(
                account=account,
                rules=self._rules,
                origin=self.origin_of(request),
                request=request,
                token=account.tokens[text],
                status_of=status_of,
            )
            status, document = perform(call)
        except RefusedError as refusal:
            return self._refusal(refusal, request, now)
        body = b"" if document is None else json.dumps(document).encode()
        return Answer(status, self._headers(status, request, now), body)

    def origin_of(self, request: RecordedRequest) -> str:
        """Return the base URL by which a request reached the emulator, for links."""
        host = request.headers.get("Host")
        return f"http://{host}" if host else self.origin

    def now(self) -> float:
        """Return the time of answers, in Unix seconds."""
        return self._epoch + self._clock.time()

    def forget(self) -> None:
        """Forget the requests that count for the limits."""
        self._limits.clear()

    def _options(self, request: RecordedRequest) -> Answer:
        """Answer an OPTIONS request, which needs no token and doesn't count for the limits."""
        now = self._clock.time()
        try:
            allowed = allowed_methods(request.path)
        except RefusedError as refusal:
            return self._refusal(refusal, request, now)
        headers = self._headers(HTTPStatus.NO_CONTENT, request, now) | {"Allow": allowed}
        if "Origin" in request.headers:
            headers["Access-Control-Allow-Methods"] = allowed
            headers["Access-Control-Max-Age"] = "86400"
            # The documentation doesn't name this one, but without it a browser sends no token.
            if names := request.headers.get("Access-Control-Request-Headers"):
                headers["Access-Control-Allow-Headers"] = names
        return Answer(HTTPStatus.NO_CONTENT, headers, b"")

    def refuse(
        self,
        request: RecordedRequest,
        status: int,
        retry_after: int | None = None,
        reset_after: int | None = None,
        message: str | None = None,
    ) -> Answer:
        """Return an error document, by default with the usual message of the status.

        The request counts for the limits if its token is valid.
        """
        now = self._clock.time()
        self._count(request, now)
        headers = {}
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            headers["ratelimit-remaining"] = "0"
        if retry_after is not None:
            headers["retry-after"] = str(retry_after)
        if reset_after is not None:
            headers["ratelimit-reset"] = self.time_text(reset_after)
        refusal = RefusedError(status, headers=headers)
        if message is not None:
            refusal.message = message
        return self._refusal(refusal, request, now)

    def time_text(self, after: int) -> str:
        """Return the time that is some seconds after an answer's `Date`, in Unix seconds."""
        return str(int(self.now()) + after)

    def count(self, request: RecordedRequest) -> None:
        """Count a request that is answered by a script, if its token is valid."""
        self._count(request, self._clock.time())

    def _count(self, request: RecordedRequest, now: float) -> None:
        if self.knows(request):
            self._limits.count(bearer(request), now)

    def knows(self, request: RecordedRequest) -> bool:
        """Return True if the request's token is valid."""
        return bearer(request) in self.accounts.by_token

    def _account(self, text: str) -> Account:
        account = self.accounts.by_token.get(text)
        if account is None:
            raise RefusedError(401)
        return account

    def _refusal(self, refusal: RefusedError, request: RecordedRequest, now: float) -> Answer:
        headers = self._headers(refusal.status, request, now) | refusal.headers
        document = {"id": refusal.id, "message": refusal.message}
        # The API omits it from some errors, so the emulator omits it from one.
        if refusal.status != HTTPStatus.UNAUTHORIZED:
            document["request_id"] = headers["x-request-id"]
        return Answer(refusal.status, headers, json.dumps(document).encode())

    def _headers(self, status: int, request: RecordedRequest, now: float) -> dict[str, str]:
        text = bearer(request)
        headers = {
            "Date": formatdate(self._epoch + now, usegmt=True),
            "x-request-id": str(uuid4()),
        }
        if status != HTTPStatus.NO_CONTENT:
            headers["Content-Type"] = "application/json; charset=utf-8"
        if origin := request.headers.get("Origin"):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
            headers["Access-Control-Expose-Headers"] = _EXPOSED
            headers["Vary"] = "Origin"
        counts = request.method != "OPTIONS" and status != HTTPStatus.UNAUTHORIZED
        if counts and text in self.accounts.by_token:
            headers |= self._limits.headers(text, now, self._epoch)
        return headers
