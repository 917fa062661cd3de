"""Admin: the operations by which other programs control the emulator over HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import attrs

from digitalocean_projects._codec.urn import URN

from ._answer import Answer, RefusedError
from ._api import bearer
from ._clock import MOST_SECONDS
from ._guard import is_of_browser, problem_of_caller, problem_of_host
from ._page import page
from ._scripted import FAULTS, Requests, optional_string, part_of, requests_of
from ._token import checked_scopes

if TYPE_CHECKING:
    from ._account import Account
    from ._api import API
    from ._clock import MockClock
    from ._recording import Record, RecordedRequest
    from ._script import Script

_PREFIX = "/_emulator/"
# The token is not shown where others may read it.
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
# A browser asks for these by itself.
_FOR_BROWSERS = frozenset({"/", "/favicon.ico"})
_HEALTH = "/_emulator/health"


@attrs.frozen
class _Operation:
    """An operation of the emulator itself.

    Attributes:
        text: What it does, for people.
        handler: A function of the request and the account of its token, if it has one.
    """

    text: str
    handler: Callable[[RecordedRequest, Account | None], Answer]


class Admin:
    """The operations under `/_emulator/`, and the page at `/`. They need the lock of the site.

    Args:
        api: The API and its accounts.
        script: The scripted answers and faults.
        record: The newest requests.
        clock: The clock that can be moved.
        reset: A function that restores the first state.
        allowed_hosts: Names, in lower case, by which the emulator may be called, besides those of
            this machine.
    """

    def __init__(
        self,
        *,
        api: API,
        script: Script,
        record: Record,
        clock: MockClock,
        reset: Callable[[], None],
        allowed_hosts: frozenset[str],
    ) -> None:
        self._api = api
        self._script = script
        self._record = record
        self._clock = clock
        self._reset = reset
        self._allowed_hosts = allowed_hosts
        self._operations = {
            ("GET", "health"): _Operation("Check that it runs, without a token", self._health),
            ("GET", "state"): _Operation("Return the state as JSON lines", self._state),
            ("PUT", "state"): _Operation("Replace the state", self._replace),
            ("POST", "seed"): _Operation("Add projects and resources", self._seed),
            ("POST", "attach"): _Operation("Attach a reserved IP to a Droplet", self._attach),
            ("POST", "reset"): _Operation("Return to the state of the start", self._reset_all),
            ("GET", "accounts"): _Operation("List the accounts", self._accounts),
            ("POST", "accounts"): _Operation("Add an account", self._add_account),
            ("GET", "tokens"): _Operation("List the tokens", self._tokens),
            ("POST", "tokens"): _Operation("Add a token", self._add_token),
            ("GET", "faults"): _Operation("List the faults to come", self._faults),
            ("POST", "faults"): _Operation("Add a fault or an answer", self._add_fault),
            ("DELETE", "faults"): _Operation("Remove all faults", self._clear_faults),
            ("GET", "clock"): _Operation("Return the time", self._time),
            ("POST", "clock"): _Operation("Move the clock forward", self._jump),
            ("GET", "requests"): _Operation("List the newest requests", self._requests),
            ("DELETE", "requests"): _Operation("Forget the requests", self._forget),
        }

    def handles(self, request: RecordedRequest) -> bool:
        """Return True if a request is not one to the API, but to the emulator itself.

        A request for the API from a web page whose name is not allowed is one of them, since it
        must be refused.
        """
        if request.path.startswith(_PREFIX):
            return True
        if request.path in _FOR_BROWSERS and "Authorization" not in request.headers:
            return True
        return self._problem_of_page(request) is not None

    def answer(self, request: RecordedRequest) -> Answer:
        """Answer a request that `handles` accepts."""
        try:
            if request.path != _HEALTH:
                self._check_caller(request)
            if request.path.startswith(_PREFIX):
                return self._perform(request)
            return self._page(request)
        except RefusedError as refusal:
            return _document({"id": refusal.id, "message": refusal.message}, refusal)
        except (TypeError, ValueError) as error:
            return _document({"id": "bad_request", "message": str(error)}, RefusedError(400))

    def _perform(self, request: RecordedRequest) -> Answer:
        name = request.path.removeprefix(_PREFIX)
        operation = self._operations.get((_method(request), name))
        if operation is None:
            raise self._unknown(name)
        return operation.handler(request, self._account(request))

    def _problem_of_page(self, request: RecordedRequest) -> str | None:
        """Return the reason to refuse a request for the API, if a web page has sent it, or None."""
        if not is_of_browser(request):
            return None
        return problem_of_host(request, self._allowed_hosts)

    def _unknown(self, name: str) -> RefusedError:
        methods = [method for method, known in self._operations if known == name]
        if methods:
            allowed = ", ".join(methods)
            return RefusedError(405, f"the method must be one of {allowed}", {"Allow": allowed})
        names = ", ".join(dict.fromkeys(known for _, known in self._operations))
        return RefusedError(404, f"the path must be {_PREFIX} and one of {names}")

    def _check_caller(self, request: RecordedRequest) -> None:
        if (problem := problem_of_caller(request, self._allowed_hosts)) is not None:
            raise RefusedError(403, f"{problem}; start with --allow-host to allow it")

    def _account(self, request: RecordedRequest) -> Account | None:
        """Return the account of the request's token, or None if there is no token."""
        if "Authorization" not in request.headers:
            return None
        account = self._api.accounts.by_token.get(bearer(request))
        if account is None:
            raise RefusedError(401)
        return account

    def _health(self, _: RecordedRequest, __: Account | None) -> Answer:
        return _document({"status": "ok"})

    def _state(self, _: RecordedRequest, account: Account | None) -> Answer:
        text = self._api.accounts.text(account)
        return Answer(200, {"Content-Type": "application/x-ndjson"}, text.encode())

    def _replace(self, request: RecordedRequest, account: Account | None) -> Answer:
        self._api.accounts.load(_text(request), account, replace=True)
        return _NOTHING

    def _seed(self, request: RecordedRequest, account: Account | None) -> Answer:
        self._api.accounts.load(_text(request), account, replace=False)
        return _NOTHING

    def _attach(self, request: RecordedRequest, account: Account | None) -> Answer:
        members = _members(request, "resource", "to")
        resource, to = (_urn(members.get(name), name) for name in ("resource", "to"))
        (account or self._api.accounts.all[0]).attach(resource, to)
        return _NOTHING

    def _reset_all(self, _: RecordedRequest, __: Account | None) -> Answer:
        self._reset()
        return _NOTHING

    def _accounts(self, _: RecordedRequest, __: Account | None) -> Answer:
        found = [
            {
                "token": next(iter(account.tokens)),
                "projects": len(account.contents.projects),
                "resources": sum(map(len, account.contents.listings.values())),
            }
            for account in self._api.accounts.all
        ]
        return _document(found)

    def _add_account(self, request: RecordedRequest, _: Account | None) -> Answer:
        token = _members(request, "token").get("token")
        account = self._api.accounts.add(optional_string("token", token))
        return _document({"token": next(iter(account.tokens))}, HTTPStatus.CREATED)

    def _tokens(self, _: RecordedRequest, account: Account | None) -> Answer:
        return _document(
            [
                {"token": text, "scopes": None if token.scopes is None else sorted(token.scopes)}
                for each in self._api.accounts.all
                if account in {None, each}
                for text, token in each.tokens.items()
            ]
        )

    def _add_token(self, request: RecordedRequest, account: Account | None) -> Answer:
        members = _members(request, "scopes", "token")
        match members.get("scopes"):
            case None:
                scopes = None
            case [*names] if all(isinstance(name, str) for name in names):
                scopes = checked_scopes(names)
            case _:
                raise TypeError("scopes must be a list of strings, or null for every scope")
        accounts = self._api.accounts
        token = optional_string("token", members.get("token"))
        token = accounts.add_token(account or accounts.all[0], scopes, token)
        return _document({"token": token}, HTTPStatus.CREATED)

    def _faults(self, _: RecordedRequest, __: Account | None) -> Answer:
        return _document(
            [
                {
                    "fault": "response" if isinstance(entry.part, bytes) else repr(entry.part),
                    "times": None if math.isinf(entry.left) else entry.left,
                    **(attrs.asdict(entry.when) if isinstance(entry.when, Requests) else {}),
                }
                for entry in self._script.entries
            ]
        )

    def _add_fault(self, request: RecordedRequest, _: Account | None) -> Answer:
        members = _members(request)
        times = members.pop("times", 1)
        if times is not None and type(times) is not int:
            raise TypeError("times must be an integer, or null for no limit")
        when = requests_of(members.pop("method", None), members.pop("path", None))
        self._script.add(part_of(members), when=when, times=times)
        return _NOTHING

    def _clear_faults(self, _: RecordedRequest, __: Account | None) -> Answer:
        self._script.entries.clear()
        return _NOTHING

    def _time(self, _: RecordedRequest, __: Account | None) -> Answer:
        date = datetime.fromtimestamp(self._api.now(), UTC)
        return _document(
            {"seconds": self._clock.time(), "date": date.isoformat(timespec="seconds")}
        )

    def _jump(self, request: RecordedRequest, account: Account | None) -> Answer:
        match _members(request, "jump").get("jump"):
            case int() | float() as seconds if _is_number(seconds) and 0 <= seconds <= MOST_SECONDS:
                self._clock.jump(seconds)
            case _:
                raise ValueError(f"jump must be a number from 0 to {MOST_SECONDS:.0f} seconds")
        return self._time(request, account)

    def _requests(self, _: RecordedRequest, __: Account | None) -> Answer:
        return _document(
            [
                {
                    "method": request.method,
                    "path": request.path,
                    "query": request.query,
                    "headers": {
                        name: value
                        for name, value in request.headers.items()
                        if name.lower() not in _SECRET_HEADERS
                    },
                    "body": request.body.decode(errors="replace"),
                }
                for request in self._record.copy()
            ]
        )

    def _forget(self, _: RecordedRequest, __: Account | None) -> Answer:
        self._record.clear()
        return _NOTHING

    def _page(self, request: RecordedRequest) -> Answer:
        """Return the page at `/`, which says what runs here and how to use it."""
        if _method(request) != "GET":
            raise RefusedError(405, "the method must be GET", {"Allow": "GET, HEAD"})
        if request.path != "/":
            return _NOTHING
        accounts = self._api.accounts.all
        text = page(
            self._api.origin_of(request),
            next(iter(accounts[0].tokens)),
            [account.contents for account in accounts],
            [
                (f"{method} {_PREFIX}{name}", operation.text)
                for (method, name), operation in self._operations.items()
            ],
            FAULTS,
        )
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "Cache-Control": "no-store",
        }
        return Answer(200, headers, text.encode())


def _method(request: RecordedRequest) -> str:
    """Return the method of a request; the server leaves out the body of the answer to a HEAD."""
    return "GET" if request.method == "HEAD" else request.method


_NOTHING = Answer(HTTPStatus.NO_CONTENT, {}, b"")


def _document(document: object, status: int | RefusedError = 200) -> Answer:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if isinstance(status, RefusedError):
        headers |= status.headers
        status = status.status
    return Answer(status, headers, json.dumps(document).encode())


def _urn(value: object, name: str) -> URN:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a URN, such as 'do:droplet:1'")
    return URN.parse(value)


def _text(request: RecordedRequest) -> str:
    try:
        return request.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the body must be UTF-8 text") from None


def _members(request: RecordedRequest, *names: str) -> dict[str, Any]:
    """Return the members of the body, an object; empty if there is no body.

    Args:
        request: The request.
        names: The names that it may have; none allows all.
    """
    try:
        members = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise ValueError("the body must be JSON") from None
    if not isinstance(members, dict):
        raise TypeError("the body must be a JSON object")
    if names and (unknown := members.keys() - set(names)):
        raise ValueError(f"the body must have only {', '.join(names)}, got {sorted(unknown)}")
    return members


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
