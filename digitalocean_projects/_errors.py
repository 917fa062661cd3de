"""The exceptions of the package.

    APIError
    ├── APIConnectionError              no response: the connection failed
    │   └── APITimeoutError             no response in time
    ├── APIStatusError                  a response other than 2xx
    │   ├── BadRequestError             400
    │   ├── AuthenticationError         401
    │   ├── PermissionDeniedError       403
    │   ├── NotFoundError               404
    │   ├── ConflictError               409
    │   ├── PreconditionFailedError     412
    │   ├── UnprocessableEntityError    422
    │   ├── RateLimitError              429
    │   └── ServerError                 5xx
    ├── APIResponseError                a response that differs from the API's documentation
    │   └── PaginationError             inconsistent pages
    ├── AssignmentError                 some resources were not assigned
    ├── AssignmentTimeoutError          some resources were not seen in a project in time
    ├── InventoryError                  some projects could not be read
    ├── ProjectLookupError              no project has the name, or several have it
    └── RateLimitWaitError              the wait for the rate limit is too long

    RuntimeError
    └── ClientUsageError                the client is closed, has no token, or is in another loop

An invalid argument raises a `ValueError` or `TypeError` before any request.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from math import isinf
from typing import Any

import attrs

from ._codec.enums import ResourceStatus
from ._codec.errors import SafeError, rebuildable
from ._codec.headers import RateLimit
from ._codec.models import Project, Refusal, Resource
from ._codec.urn import URN, type_hint
from ._codec.urns import read_scopes, type_hints
from ._described import Request, status_text
from ._messages import one_line, quoted, redacted
from ._public import publish


class APIError(SafeError):
    """The base class of all errors of this package, except for invalid arguments and wrong use.

    Errors can be pickled. Their `args` are JSON types, and `type(error)(*error.args)` rebuilds the
    error with its attributes, so Celery's result backends can store errors as JSON.

    Attributes:
        in_doubt: True if the API may have carried out the request although it failed.
    """


class ClientUsageError(SafeError, RuntimeError):
    """A wrong use of the client: it is closed, has no token, or is used in another event loop.

    It shows a mistake in the program, so it is not an `APIError`, which a program may catch.

    Attributes:
        in_doubt: True if the API may have carried out the request: the client was closed while the
            request was in flight, or a hook of the session failed.
    """

    in_doubt = False


CLOSED = (
    "the client is closed; use it, its views and its paginators before the end of its `with` block"
)


class RateLimitWaitError(APIError):
    """A request that was not sent, because it would have to wait too long for the rate limit.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Attributes:
        seconds: The estimated wait in seconds.
        reason: The reason for the wait, such as the limit that is used up.
        maximum: The maximum number of seconds that the request may wait, because of the `deadline`,
            the `wait` or `timeout` of an operation, or `max_retry_after`; None if it may not wait
            because too many threads wait already, see `contrib.fastapi`.
    """

    seconds: float
    reason: str
    maximum: float | None
    in_doubt: bool = False

    @rebuildable
    def __init__(
        self,
        seconds: float,
        reason: str,
        request: Request | None = None,
        *,
        maximum: float | None = None,
    ) -> None:
        most = "" if maximum is None else f", but the maximum is {round(maximum, 1):g} s"
        where = f" ({request})" if request else ""
        wait = "have no end" if isinf(seconds) else f"be about {seconds:.0f} s"
        super().__init__(f"rate limit ({reason}): the wait would {wait}{most}{where}")
        self.seconds = seconds
        self.reason = reason
        self.maximum = maximum


class APIConnectionError(APIError):
    """No complete response: connecting failed, or the connection was lost.

    Attributes:
        method: The request's method.
        path: The request's path and query.
        attempts: The number of attempts.
        transient: True if another attempt might succeed; False for an invalid certificate, or if
            a proxy refused the request.
        sent: True if the request may have reached the server.
        reused: True if the request may have used an idle connection that the server had already
            closed.
    """

    method: str
    path: str
    attempts: int
    transient: bool
    sent: bool
    reused: bool
    in_doubt: bool

    @rebuildable
    def __init__(
        self, reason: str, request: Request, *, transient: bool = True, sent: bool = True
    ) -> None:
        super().__init__(f"{reason} ({request})")
        self.method = request.method
        self.path = request.target
        self.attempts = 1
        self.transient = transient
        self.sent = self.in_doubt = sent
        self.reused = False


class APITimeoutError(APIConnectionError):
    """No complete response within the timeout."""


_LACKS_SCOPE = ("forbidden", "you are not authorized to perform this operation")
_NAMED = 3
SERVER_ERRORS = range(500, 600)


class APIStatusError(APIError):
    """A response with another status than 2xx: the API refused the request, or failed.

    https://docs.digitalocean.com/reference/api/reference/#http-statuses

    Attributes:
        status: The HTTP status.
        id: The error's short name, such as `not_found`; "" if the response has none.
        message: The API's explanation; "" if the response has none.
        request_id: The id that DigitalOcean's support asks for, or None.
        rate_limit: The rate limit in the response, or None.
        retry_after: The seconds after which the API accepts another attempt; None if the response
            doesn't say.
        method: The request's method.
        path: The request's path and query.
        attempts: The number of attempts.
        in_doubt: True if the API may have carried out one of the attempts.
        of_tenant: Internal. True if `contrib.fastapi` took the token from the caller's request.
    """

    status: int
    id: str
    message: str
    request_id: str | None
    rate_limit: RateLimit | None
    retry_after: float | None
    method: str
    path: str
    attempts: int
    in_doubt: bool
    of_tenant: bool = False

    @rebuildable
    def __init__(
        self,
        *,
        status: int,
        id: str,  # noqa: A002 - the API's word
        message: str,
        request_id: str | None,
        rate_limit: RateLimit | None,
        retry_after: float | None,
        request: Request,
        hint: str = "",
    ) -> None:
        text = status_text(status, id, message)
        where = f"{request}, request id {request_id}" if request_id else str(request)
        super().__init__(f"{text} ({where}{hint})")
        self.status = status
        self.id = id
        self.message = message
        self.request_id = request_id
        self.rate_limit = rate_limit
        self.retry_after = retry_after
        self.method = request.method
        self.path = request.target
        self.attempts = 1
        self.in_doubt = status == HTTPStatus.REQUEST_TIMEOUT or status in SERVER_ERRORS


class BadRequestError(APIStatusError):
    """400: malformed or not allowed. The text names the right spelling of a wrong resource type."""

    @rebuildable
    def __init__(self, *, request: Request, **members: Any) -> None:
        super().__init__(request=request, hint=type_hints(request.urns), **members)


class AuthenticationError(APIStatusError):
    """401: the token is wrong, expired or revoked."""


class PermissionDeniedError(APIStatusError):
    """403: the token lacks a scope, or the API or a proxy forbids the request.

    Attributes:
        scopes: The scopes that the operation requires, such as `project:read`; empty unless the
            API says that the token lacks one.
    """

    scopes: tuple[str, ...]

    @rebuildable
    def __init__(self, *, id: str, message: str, request: Request, **members: Any) -> None:  # noqa: A002 - the API's word
        # The API also answers `forbidden` for a resource that is busy; a proxy sends neither text.
        lacks_scope = (id.lower(), message.strip(" .").lower()) == _LACKS_SCOPE
        scopes = (*request.scopes, *read_scopes(request.urns)) if lacks_scope else ()
        hint = f", needs the scopes {', '.join(scopes)}" if scopes else ""
        super().__init__(id=id, message=message, request=request, hint=hint, **members)
        # A scope may be followed by its alternative, which is only for the message.
        self.scopes = tuple(scope.partition(" ")[0] for scope in scopes)


class NotFoundError(APIStatusError):
    """404: the project doesn't exist."""


class ConflictError(APIStatusError):
    """409: the request conflicts with the current state; for example, the name is taken."""


class PreconditionFailedError(APIStatusError):
    """412: a precondition is not met; for example, the project to delete is not empty."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well-formed, but the API can't carry it out."""


class RateLimitError(APIStatusError):
    """429: the token's rate limit is used up.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit
    """


class ServerError(APIStatusError):
    """5xx: the API failed."""


class APIResponseError(APIError):
    """A response that differs from the API's documentation.

    Attributes:
        reason: The difference, in words.
        status: The HTTP status; None if the response was not valid HTTP.
        request_id: The id that DigitalOcean's support asks for, or None.
        method: The request's method.
        path: The request's path and query.
    """

    reason: str
    status: int | None
    request_id: str | None
    method: str
    path: str

    @rebuildable
    def __init__(
        self,
        reason: str,
        request: Request,
        *,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        where = f"{request}, request id {request_id}" if request_id else str(request)
        super().__init__(f"{reason} ({where})")
        self.reason = reason
        self.status = status
        self.request_id = request_id
        self.method = request.method
        self.path = request.target


class PaginationError(APIResponseError):
    """Inconsistent pages: they repeat, exceed `max_pages`, or changed during each reading."""


class AssignmentError(APIError):
    """An assignment that failed for some resources.

    Each resource is in one of `done`, `failed`, `unknown` and `untouched`. Assigning is idempotent,
    so you can pass all resources again.

    Attributes:
        done: The resources that were assigned.
        failed: The resources that the API didn't assign; their `status` says why.
        unknown: The resources that were sent, but are in no response.
        untouched: The resources that were not sent, or only in requests that the API refused as a
            whole.
        refused: The API's error for each resource in `failed` whose status is `refused`.
        error: The error of a request that got no usable response; None if there was none.
        request_ids: The ids of the requests whose responses had outcomes, in order.
        created: The projects that `apply` has created.
    """

    done: tuple[Resource, ...]
    failed: tuple[Resource, ...]
    unknown: tuple[URN, ...]
    untouched: tuple[URN, ...]
    refused: tuple[Refusal, ...]
    error: APIError | ClientUsageError | None
    request_ids: tuple[str, ...]
    created: tuple[Project, ...] = ()

    @rebuildable
    def __init__(
        self,
        *,
        done: tuple[Resource, ...],
        failed: tuple[Resource, ...],
        unknown: tuple[URN, ...],
        untouched: tuple[URN, ...] = (),
        refused: tuple[Refusal, ...] = (),
        error: APIError | ClientUsageError | None = None,
        request_ids: tuple[str, ...] = (),
    ) -> None:
        counts = {"failed": failed, "unknown": unknown, "untouched": untouched}
        text = ", ".join(f"{len(some)} {name}" for name, some in counts.items() if some)
        reasons = {refusal.urn: str(refusal) for refusal in refused}
        names = [f"{r.urn} ({reasons.get(r.urn) or _status_text(r)})" for r in failed]
        names += map(str, unknown)
        text = f"{len(done)} assigned, {text}"
        if names:
            text += f": {', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}"
        super().__init__(one_line(text) if error is None else f"{one_line(text)}: {error}")
        self.done = done
        self.failed = failed
        self.unknown = unknown
        self.untouched = untouched
        self.refused = refused
        self.error = error
        self.request_ids = request_ids


class AssignmentTimeoutError(APIError):
    """A timeout of `wait_until_assigned`: the project doesn't list all resources.

    Attributes:
        missing: The resources that the project didn't list.
    """

    missing: tuple[URN, ...]

    @rebuildable
    def __init__(
        self, missing: tuple[URN, ...], *, project: str = "", timeout: float | None = None
    ) -> None:
        names = ", ".join(map(str, missing[:_NAMED]))
        more = ", …" if len(missing) > _NAMED else ""
        number = len(missing)
        subject = "1 resource is" if number == 1 else f"{number} resources are"
        where = f" in project {project}" if project else ""
        when = "" if timeout is None else f" after {timeout:g} s"
        text = f"{subject} missing{where}{when}: {names}{more}"
        super().__init__(f"{one_line(text)}; the API may still complete the move")
        self.missing = missing


class InventoryError(APIError):
    """An inventory in which the resources of some projects could not be read.

    Attributes:
        failures: Pairs of (project, error) for these projects.
    """

    in_doubt = False
    failures: tuple[tuple[Project, APIError], ...]

    @rebuildable
    def __init__(self, failures: tuple[tuple[Project, APIError], ...], *, secret: str = "") -> None:
        names = "; ".join(
            f"{quoted(project.name, secret)}: {error}" for project, error in failures[:_NAMED]
        )
        more = "; …" if len(failures) > _NAMED else ""
        number = len(failures)
        subject = "1 project" if number == 1 else f"{number} projects"
        super().__init__(f"{subject} could not be read: {one_line(names)}{more}")
        self.failures = tuple((_masked(project, secret), error) for project, error in failures)


class ProjectLookupError(APIError):
    """A name or an id that no project has, or a name that several projects have.

    Attributes:
        name: The name or the id. If it contains a token, `***` replaces the token.
        found: The projects that have the name; empty if none has it.
        is_id: True if `name` is an id.
    """

    name: str
    found: tuple[Project, ...]
    is_id: bool = False

    @rebuildable
    def __init__(
        self,
        name: str,
        found: tuple[Project, ...] = (),
        *,
        near: Sequence[str] = (),
        hint: str = "",
        is_id: bool = False,
        secret: str = "",
    ) -> None:
        missing = "no project has the id" if is_id else "no project is named"
        count = f"{len(found)} projects are named" if found else missing
        text = f"{count} {quoted(name, secret)}"
        if found:
            text += f": {', '.join(redacted(project.id, secret) for project in found[:_NAMED])}"
        elif near:
            text += f"; did you mean {' or '.join(quoted(other, secret) for other in near)}?"
        elif hint:
            text += f"; {hint}"
        super().__init__(one_line(text))
        self.name = redacted(name, secret)
        self.found = tuple(_masked(project, secret) for project in found)
        self.is_id = is_id


def _masked(project: Project, secret: str) -> Project:
    """Return the project with `***` for a token that the server may have put into a text."""
    members = attrs.asdict(project).items()
    texts: Any = {name: redacted(text, secret) for name, text in members if type(text) is str}
    return attrs.evolve(project, **texts)


def _status_text(resource: Resource) -> str:
    # A message must not show unknown text from the server.
    status = str(resource.status) if resource.status in [*ResourceStatus] else "a new status"
    hint = type_hint(resource.type)
    return f"{status}{hint and f'; {hint}'}"


publish(globals())
