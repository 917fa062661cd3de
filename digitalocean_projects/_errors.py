"""The exceptions of the package.

    APIError
    ├── APIConnectionError              no answer: the connection failed
    │   └── APITimeoutError             no answer in time
    ├── APIStatusError                  an answer other than 2xx
    │   ├── BadRequestError             400
    │   ├── AuthenticationError         401
    │   ├── PermissionDeniedError       403
    │   ├── NotFoundError               404
    │   ├── ConflictError               409
    │   ├── PreconditionFailedError     412
    │   ├── UnprocessableEntityError    422
    │   ├── RateLimitError              429
    │   └── ServerError                 5xx
    ├── APIResponseError                an answer that is not what the API documents
    │   └── PaginationError             pages that make no listing
    ├── AssignmentError                 not all resources were assigned
    ├── AssignmentTimeoutError          not all were seen in a project in time
    ├── InventoryError                  some projects could not be read
    ├── ProjectLookupError              no project has a name, or several have
    └── RateLimitWaitError              the wait for the rate limit is too long

    RuntimeError
    └── ClientUsageError                the client is closed, has no token, is in another loop

An invalid argument raises a `ValueError` or `TypeError` before any request.
"""

from __future__ import annotations

import copyreg
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ._codec.models import ResourceStatus
from ._messages import one_line, quoted, redacted, status_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._codec.headers import RateLimit
    from ._codec.models import Project, Refusal, Resource
    from ._codec.urn import URN
    from ._messages import Request


class _SafeError(Exception):
    """An exception that shows no token, and that can be pickled."""

    in_doubt: bool = True

    def __init__(self, *arguments: object) -> None:
        # Here for all classes, since a user may pass a token in place of any argument.
        super().__init__(*(redacted(one) if isinstance(one, str) else one for one in arguments))

    def __str__(self) -> str:
        attempts = getattr(self, "attempts", 1)
        return f"{super().__str__()}{f', after {attempts} attempts' if attempts > 1 else ''}"

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # typeshed lacks it


class APIError(_SafeError):
    """An error of the API, or of the way to it. All are subclasses of this one. Can be pickled.

    Attributes:
        in_doubt: True if the API may have done the request although it failed.
    """


class ClientUsageError(_SafeError, RuntimeError):
    """The client is used in a way that can't work: it is closed, has no token, is in another loop.

    That is a fault of the program, so it is not an `APIError`, which a program may catch to retry.

    Attributes:
        in_doubt: True if the API may have done the request, since the client was closed while it
            was in flight, or a hook failed.
    """

    in_doubt = False


class RateLimitWaitError(APIError):
    """A request was not sent, since it would have to wait too long for the rate limit.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit

    Attributes:
        seconds: The estimated wait in seconds.
        reason: The reason for the wait, such as the limit that is used up.
        maximum: The maximum number of seconds that the request may wait, because of the `deadline`,
            the `timeout` of an operation or `max_retry_after`; None if it may not wait at all.
    """

    seconds: float
    reason: str
    maximum: float | None
    in_doubt: bool = False

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
        super().__init__(
            f"rate limit ({reason}): the wait would be about {seconds:.0f} s{most}{where}"
        )
        self.seconds = seconds
        self.reason = reason
        self.maximum = maximum


class APIConnectionError(APIError):
    """The request got no whole answer: no connection, or one that broke.

    Attributes:
        method: The request's method.
        path: The request's path and query.
        attempts: How often the request was tried.
        transient: Whether another attempt might succeed: not if the server's certificate is wrong.
        sent: Whether the request may have reached the server.
        reused: Whether the connection broke before any response, while connections of the client
            were idle. If the request's was one of them, the server may have closed it before.
    """

    method: str
    path: str
    attempts: int
    transient: bool
    sent: bool
    reused: bool
    in_doubt: bool

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
    """The request got no whole answer in time."""


_LACKS_SCOPE = ("forbidden", "you are not authorized to perform this operation")
SERVER_ERRORS = range(500, 600)


class APIStatusError(APIError):
    """The API refused the request, or failed at it.

    https://docs.digitalocean.com/reference/api/reference/#http-statuses

    Attributes:
        status: The HTTP status.
        id: The error's short name, such as `not_found`; "" if the answer has none.
        message: What the API says; "" if it says nothing.
        request_id: What to quote to the provider's support, or None.
        rate_limit: What the answer said of the token's allowance, or None.
        retry_after: The seconds after which the API wants to be asked again; None if unsaid.
        method: The request's method.
        path: The request's path and query.
        attempts: How often the request was tried.
        in_doubt: Whether an earlier attempt may have done what was asked.
        of_tenant: True if the request was sent with the token of a tenant, see `contrib.fastapi`.
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
    """400: the API takes the request for malformed."""


class AuthenticationError(APIStatusError):
    """401: the token is wrong, expired or revoked."""


class PermissionDeniedError(APIStatusError):
    """403: the token lacks a scope, or the API or a proxy forbids the request for another reason.

    Attributes:
        scopes: The scopes that the operation requires, such as `project:read`; empty unless the
            API says that the token lacks one.
    """

    scopes: tuple[str, ...]

    def __init__(self, *, id: str, message: str, request: Request, **members: Any) -> None:  # noqa: A002 - the API's word
        # A resource that is busy is also a `forbidden`, and a proxy's 403 has neither text.
        lacks_scope = (id.lower(), message.strip(" .").lower()) == _LACKS_SCOPE
        scopes = request.scopes if lacks_scope else ()
        hint = f", needs the scopes {', '.join(scopes)}" if scopes else ""
        super().__init__(id=id, message=message, request=request, hint=hint, **members)
        self.scopes = scopes


class NotFoundError(APIStatusError):
    """404: there is no such project."""


class ConflictError(APIStatusError):
    """409: the request doesn't go with the state of what it is about."""


class PreconditionFailedError(APIStatusError):
    """412: something else has to be done first."""


class UnprocessableEntityError(APIStatusError):
    """422: the API understands the request and can't do it."""


class RateLimitError(APIStatusError):
    """429: the token's allowance is used up.

    https://docs.digitalocean.com/reference/api/reference/#rate-limit
    """


class ServerError(APIStatusError):
    """5xx: the API failed."""


class APIResponseError(APIError):
    """The answer is not what the API documents.

    Attributes:
        reason: What is wrong with it.
        status: The HTTP status; None if there was no valid HTTP.
        request_id: What to quote to the provider's support, or None.
        method: The request's method.
        path: The request's path and query.
    """

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
        self.method: str = request.method
        self.path: str = request.target


class PaginationError(APIResponseError):
    """The pages make no listing: they don't advance, or don't end."""


class AssignmentError(APIError):
    """Not all resources were assigned. Each of them is in one of the four tuples.

    To assign a resource once more is harmless.

    Attributes:
        done: The resources that are in the project now.
        failed: The resources that the API didn't assign; their `status` says why.
        unknown: The resources that were sent, but no answer says what has become of them.
        untouched: The resources that were not sent, or only in requests that the API refused as a
            whole.
        refused: The API's errors for the failed resources whose status is `refused`.
        error: The reason why a request was not answered; None if all were answered.
    """

    def __init__(
        self,
        *,
        done: tuple[Resource, ...],
        failed: tuple[Resource, ...],
        unknown: tuple[URN, ...],
        untouched: tuple[URN, ...] = (),
        refused: tuple[Refusal, ...] = (),
        error: APIError | ClientUsageError | None = None,
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


class AssignmentTimeoutError(APIError):
    """Not all resources were seen in the project in time.

    Attributes:
        missing: Those that were not.
    """

    def __init__(self, missing: tuple[URN, ...]) -> None:
        names = ", ".join(map(str, missing[:_NAMED]))
        more = ", …" if len(missing) > _NAMED else ""
        number = len(missing)
        subject = "1 resource is" if number == 1 else f"{number} resources are"
        super().__init__(one_line(f"{subject} missing: {names}{more}"))
        self.missing = missing


class InventoryError(APIError):
    """The resources of some projects could not be read. Those of all others were returned.

    Attributes:
        failures: The projects, each with the reason.
    """

    in_doubt = False

    def __init__(self, failures: tuple[tuple[Project, APIError], ...], *, secret: str = "") -> None:
        names = "; ".join(
            f"{quoted(project.name, secret)}: {error}" for project, error in failures[:_NAMED]
        )
        more = "; …" if len(failures) > _NAMED else ""
        number = len(failures)
        subject = "1 project" if number == 1 else f"{number} projects"
        super().__init__(f"{subject} could not be read: {one_line(names)}{more}")
        self.failures = failures


class ProjectLookupError(APIError):
    """There is no project of a name, or there are several.

    Attributes:
        name: The name, with `***` for a token.
        found: The projects that have it.
    """

    def __init__(
        self,
        name: str,
        found: tuple[Project, ...] = (),
        *,
        near: Sequence[str] = (),
        secret: str = "",
    ) -> None:
        count = f"{len(found)} projects are named" if found else "no project is named"
        text = f"{count} {quoted(name, secret)}"
        if found:
            text += f": {', '.join(redacted(project.id, secret) for project in found[:_NAMED])}"
        elif near:
            text += f"; did you mean {' or '.join(quoted(other, secret) for other in near)}?"
        super().__init__(one_line(text))
        self.name: str = redacted(name, secret)
        self.found = found


_NAMED = 3
_KNOWN = frozenset(ResourceStatus)


def _status_text(resource: Resource) -> str:
    # What else a server may send is not for a message.
    return str(resource.status) if resource.status in _KNOWN else "a new status"
