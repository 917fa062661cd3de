"""Errors: their classes, their texts, and the secrets that they never hold."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import digitalocean_projects
from digitalocean_projects import (
    URN,
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AssignmentError,
    AssignmentTimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientUsageError,
    ConflictError,
    InventoryError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    PreconditionFailedError,
    Project,
    ProjectLookupError,
    RateLimit,
    RateLimitError,
    RateLimitWaitError,
    Refusal,
    Resource,
    ServerError,
    UnprocessableEntityError,
    _errors,
)
from digitalocean_projects._described import Request
from digitalocean_projects._messages import one_line
from digitalocean_projects._session.transport import status_error

if TYPE_CHECKING:
    from types import SimpleNamespace

HIDDEN = "dop_v1_0123456789abcdef"
ESCAPED = "".join(f"\\u{ord(character):04x}" for character in HIDDEN)
PATH = "/v2/projects/default/resources?page=1&per_page=200"
SCOPES = ("project:read", "<resource>:read")
DATE = "Fri, 28 Sep 2018 19:26:37 GMT"
LIMITS = {"ratelimit-limit": "5000", "ratelimit-remaining": "0", "ratelimit-reset": "1538162857"}
CLASSES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    **dict.fromkeys((500, 501, 502, 503, 504, 520, 599), ServerError),
    **dict.fromkeys((301, 302, 307, 402, 408, 415, 418, 600), APIStatusError),
}
REQUEST = Request(method="GET", path=PATH, scopes=SCOPES)
DROPLETS = tuple(URN("droplet", number) for number in range(1, 6))
DONE = Resource(DROPLETS[0], status="assigned")
PROJECT = Project(id="4de7ac8b-495b-4884-9a69-1050c6793cd6", name="web\nshop")
FAILED = Resource(DROPLETS[1], status="not_found")


def refused(status: int, body: bytes = b"", **headers: str) -> APIStatusError:
    """Return the error for a response; an underscore in a header's name stands for a hyphen."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return status_error(status, headers, body, REQUEST, secret=HIDDEN)


def examples() -> list[APIError | ClientUsageError]:
    """Return an error of each class."""
    document = json.dumps({"id": "x", "message": "y", "request_id": "z"}).encode()
    timed_out = APITimeoutError("no answer in time", REQUEST)
    timed_out.attempts = 4
    return [
        APIError("x"),
        ClientUsageError("the client is closed"),
        APIConnectionError("connection reset", REQUEST, transient=False),
        timed_out,
        *(refused(status, document, date=DATE, **LIMITS) for status in CLASSES),
        APIResponseError("no JSON", REQUEST, status=200, request_id="z"),
        PaginationError("page 2 links to page 2", REQUEST),
        AssignmentError(
            done=(DONE,),
            failed=(FAILED,),
            unknown=DROPLETS[2:],
            refused=(Refusal(urn=DROPLETS[1], status=412, id="x", message="y", request_id="z"),),
            error=timed_out,
        ),
        AssignmentTimeoutError(tuple(DROPLETS)),
        InventoryError(((PROJECT, refused(500, document)),)),
        ProjectLookupError("web"),
        RateLimitWaitError(61.0, "250 requests per 60 s"),
    ]


def subclasses(cls: type[Exception]) -> dict[str, str]:
    """Return each class of the package below `cls`, with its base class."""
    found: dict[str, str] = {}
    for subclass in cls.__subclasses__():
        if subclass.__module__ == digitalocean_projects.__name__:
            found |= {subclass.__name__: cls.__name__, **subclasses(subclass)}
    return found


def test_drawn_tree() -> None:
    """The tree in the module's docstring is the tree of the classes, all public."""
    drawn, branch = {}, [""]
    for margin, name in re.findall(r"(?m)^    ([ │├└─]*)(\w+Error)\b", _errors.__doc__ or ""):
        depth = len(margin) // 4
        branch[depth:] = [name]
        if name != "RuntimeError":
            drawn[name] = branch[depth - 1]
    own = {"APIError": "APIError", **subclasses(APIError), **subclasses(RuntimeError)}
    assert own == drawn
    assert drawn.keys() == {type(error).__name__ for error in examples()}
    for name in drawn:
        assert getattr(_errors, name) is getattr(digitalocean_projects, name)


def test_drawn_statuses() -> None:
    """The statuses in the tree are those of the classes."""
    drawn = re.findall(r"(?m)─ (\w+) +([45].{2})$", _errors.__doc__ or "")
    expected = [(CLASSES[status].__name__, str(status)) for status in list(CLASSES)[:8]]
    assert [*expected, ("ServerError", "5xx")] == drawn


@pytest.mark.parametrize(("status", "expected"), CLASSES.items())
@pytest.mark.parametrize("body", [b"", b'{"id": "not_found", "message": "x"}'])
def test_classes(status: int, expected: type[APIStatusError], body: bytes) -> None:
    """The status alone decides an error's class."""
    error = refused(status, body)
    assert expected is type(error)
    assert status == error.status


def test_documented_error() -> None:
    """An error has the API's message, the request, and the id for the provider's support."""
    body = b'{"id": "not_found", "message": "No such project.", "request_id": "4d9d"}'
    error = refused(404, body, x_request_id="other", date=DATE, **LIMITS)
    assert f"404 not_found: No such project. (GET {PATH}, request id 4d9d)" == str(error)
    moment = datetime(2018, 9, 28, 19, 27, 37, tzinfo=UTC)
    assert {
        "status": 404,
        "id": "not_found",
        "message": "No such project.",
        "request_id": "4d9d",
        "rate_limit": RateLimit(limit=5000, remaining=0, reset=moment),
        "retry_after": None,
        "in_doubt": False,
        "method": "GET",
        "path": PATH,
        "attempts": 1,
    } == vars(error)


@pytest.mark.parametrize("status", CLASSES)
def test_doubt(status: int) -> None:
    """A refusal is never in doubt, except for a 408 and the 5xx."""
    assert (status == 408 or 500 <= status < 600) == refused(status).in_doubt


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'"x"', b"5", b"{}", b"<html>502 Bad Gateway</html>", b"\xff\xfe"),
        *(b'{"id": {"id": "x"}, "message": [5, ""], "request_id": 5}', b'[{"id": "x"}]'),
        *(b'{"error": {"id": null, "message": 5}}', b'{"id": null, "request_id": ""}'),
        *(b'{"message": {}, "messages": null, "root_causes": []}', b'{"message": " \\n"}'),
        *(b'{"message": ' + b'{"a": ' * 9 + b'"x"' + b"}" * 10, b'{"message": [[[[[["x"]]]]]]}'),
        *(b"[" * 100_000, b'{"id": ' + b"1" * 100_000 + b"}"),
    ],
)
def test_odd_bodies(body: bytes) -> None:
    """A body that isn't an error document gives no texts; the header has the request's id."""
    error = refused(502, body, x_request_id="4d9d")
    assert f"502 (GET {PATH}, request id 4d9d)" == str(error)
    assert ("", "", "4d9d") == (error.id, error.message, error.request_id)
    bare = refused(502, body)
    assert f"502 (GET {PATH})" == str(bare)
    assert (None, None) == (bare.request_id, bare.rate_limit)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message": ["name is taken", "and too long"]}', "name is taken; and too long"),
        (b'{"message": {"name": ["is taken", "x", "x"], "y": 5}}', "name: is taken; name: x"),
        (b'{"message": [{"field": "urn", "why": {"text": "odd"}}]}', "field: urn; why: text: odd"),
        (b'{"error": "not found", "messages": null, "root_causes": []}', "not found"),
        (
            b'{"root_causes": ["c"], "messages": ["a", "a", "b"], "error": "Bad"}',
            "Bad; a; b; c",
        ),
        (b'{"error": {"code": "x", "message": "y"}}', "code: x; message: y"),
        (b'{"errors": [{"detail": "no"}], "message": ""}', "detail: no"),
        (b'{"title": "Forbidden", "detail": "no", "status": 400}', "no; Forbidden"),
        (b'{"message": "yes", "error": "no"}', "yes"),
    ],
)
def test_other_documents(body: bytes, message: str) -> None:
    """The message of an error document in another shape consists of the texts in it."""
    assert message == refused(400, body).message


def test_large_documents() -> None:
    """The message of any other document is one line, bounded, and free of the token."""
    names = {f"x\n{HIDDEN}{number}": [f"{HIDDEN}\n"] * 100 for number in range(100)}
    for message in (names, [names], [["y" * 10_000, HIDDEN]] * 200, {"y" * 100_000: ["a"] * 99}):
        for document in ({"message": message}, {"error": message}):
            error = refused(400, json.dumps(document).encode())
            assert 0 < len(error.message) <= 500
            assert [str(error)] == str(error).splitlines()
            assert HIDDEN not in f"{error}{vars(error)}"


FORBIDDEN = b'{"id": "forbidden", "message": "You are not authorized to perform this operation"}'


@pytest.mark.parametrize("body", [FORBIDDEN, FORBIDDEN.replace(b'n"}', b'n."}').title()])
def test_scopes(body: bytes) -> None:
    """A 403 names the required scopes if the API says that one is missing."""
    error = refused(403, body.replace(b'"Id"', b'"id"').replace(b'"Message"', b'"message"'))
    assert isinstance(error, PermissionDeniedError)
    assert SCOPES == error.scopes
    assert str(error).endswith(f"(GET {PATH}, needs the scopes project:read, <resource>:read)")
    unscoped = status_error(403, {}, body, Request(method="GET", path="/x"), secret=HIDDEN)
    assert "scopes" not in str(unscoped)


@pytest.mark.parametrize(
    "body",
    [
        b"<html><h1>403 Forbidden</h1></html>",
        b"",
        FORBIDDEN.replace(b"forbidden", b"blocked"),
        b'{"id": "forbidden", "message": "can\'t be updated while it processes previous actions"}',
        b'{"message": "You are not authorized to perform this operation"}',
    ],
)
def test_forbidden_for_another_reason(body: bytes) -> None:
    """A 403 of a proxy, or for a busy resource, names no scopes."""
    error = refused(403, body)
    assert isinstance(error, PermissionDeniedError)
    assert () == error.scopes
    assert "scopes" not in str(error)


@pytest.mark.parametrize("secret", ["tit", "t", "entity", "unprocessable", "unprocessable_entity"])
def test_short_tokens(secret: str) -> None:
    """A token of a few characters is masked as a whole word only."""
    document = {"id": "unprocessable_entity", "message": f"no {secret}, ({secret}) {secret}"}
    body = json.dumps(document).encode()
    error = status_error(422, {"x-request-id": secret}, body, REQUEST, secret=secret)
    assert ("no ***, (***) ***", "***") == (error.message, error.request_id)
    masked = {"unprocessable": "***_entity", "unprocessable_entity": "***"}
    assert masked.get(secret, "unprocessable_entity") == error.id


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry_after": "7", "date": DATE, **LIMITS}, 7.0),
        ({"retry_after": "Fri, 28 Sep 2018 19:26:47 GMT", "date": DATE, **LIMITS}, 10.0),
        ({"retry_after": "0", "date": DATE, **LIMITS}, 0.0),
        ({"date": DATE, **LIMITS}, 60.0),
        ({"retry_after": "soon", "date": DATE, **LIMITS}, 60.0),
        ({"date": "Fri, 28 Sep 2018 20:00:00 GMT", **LIMITS}, 0.0),
        (LIMITS, 0.0),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], expected: float | None) -> None:
    """A 429 says when to try again: after `Retry-After`, or for the hourly limit at the reset."""
    error = refused(429, b'{"id": "too_many_requests"}', **headers)
    assert isinstance(error, RateLimitError)
    assert expected == error.retry_after


def test_usage_error() -> None:
    """Wrong use of a client is a `RuntimeError`, too; no other error has a base of Python's."""
    foreign = (RuntimeError, ValueError, TypeError, LookupError, OSError)
    found = [type(error).__name__ for error in examples() if isinstance(error, foreign)]
    assert ["ClientUsageError"] == found


def test_reasons() -> None:
    """An error without a usable response gives the reason and the request."""
    for cls in (APIResponseError, PaginationError):
        error = cls("no JSON", REQUEST, status=200, request_id="4d9d")
        assert f"no JSON (GET {PATH}, request id 4d9d)" == str(error)
        assert ("no JSON", 200, "4d9d") == (error.reason, error.status, error.request_id)
        assert (None, None) == (cls("x", REQUEST).status, cls("x", REQUEST).request_id)
    for kind in (APIConnectionError, APITimeoutError):
        failure = kind("reset", REQUEST)
        assert f"reset (GET {PATH})" == str(failure)
        assert ("GET", PATH, 1) == (failure.method, failure.path, failure.attempts)
        assert failure.transient


def test_assignment_error() -> None:
    """The error counts the resources of each kind, and names three that failed."""
    some = AssignmentError(done=(DONE,), failed=(FAILED,), unknown=DROPLETS[2:4])
    names = "do:droplet:2 (not_found), do:droplet:3, do:droplet:4"
    assert f"1 assigned, 1 failed, 2 unknown: {names}" == str(some)
    cause = APIConnectionError("reset", REQUEST)
    more = AssignmentError(
        done=(), failed=(FAILED,), unknown=DROPLETS[2:], untouched=DROPLETS[:1], error=cause
    )
    counts = "0 assigned, 1 failed, 3 unknown, 1 untouched"
    assert f"{counts}: {names}, …: {cause}" == str(more)
    kinds = (more.done, more.failed, more.unknown, more.untouched, more.error)
    assert ((), (FAILED,), DROPLETS[2:], DROPLETS[:1], cause) == kinds


@pytest.mark.parametrize("status", ["not_found", "refused"])
def test_wrong_type_in_assignment_error(status: str) -> None:
    """The error says if the API has another name for the type of a resource that failed."""
    failed = Resource("do:database:1", status=status), Resource("do:dbaas:2", status="not_found")
    error = AssignmentError(done=(), failed=failed, unknown=())
    reason = {"not_found": "not_found", "refused": "a new status"}[status]
    names = (
        f"do:database:1 ({reason}; use the type 'dbaas' instead of 'database'), do:dbaas:2 (not_fo"
    )
    assert names in str(error)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(61.4, "be about 61 s"), (math.inf, "have no end")]
)
def test_long_wait(seconds: float, expected: str) -> None:
    assert f"rate limit (x): the wait would {expected}" == str(RateLimitWaitError(seconds, "x"))


@pytest.mark.parametrize("number", [1, 3, 4])
def test_inventory_error(number: int) -> None:
    """The error counts the projects that could not be read, and quotes the errors of three."""
    failure = PROJECT, APIConnectionError("reset", REQUEST)
    error = InventoryError((failure,) * number)
    one = f"'web\\nshop': reset (GET {PATH})"
    some = "; ".join([one] * min(number, 3)) + "; …" * (number > 3)
    subject = "1 project" if number == 1 else f"{number} projects"
    assert f"{subject} could not be read: {some}" == str(error)
    assert ((failure,) * number, False) == (error.failures, error.in_doubt)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, "1 resource is missing: do:droplet:1"),
        (2, "2 resources are missing: do:droplet:1, do:droplet:2"),
        (4, "4 resources are missing: do:droplet:1, do:droplet:2, do:droplet:3, …"),
    ],
)
def test_assignment_timeout_error(number: int, expected: str) -> None:
    """The error counts the missing resources, and names three."""
    missing = tuple(URN("droplet", each + 1) for each in range(number))
    text = str(AssignmentTimeoutError(missing))
    assert f"{expected}; the API may still complete the move" == text


class AnnotatedError(APIError):
    """A subclass of a user, with an annotation that only a type checker can resolve."""

    owner: SimpleNamespace


def told(value: object) -> object:
    """Return all members of an error, in a form that can be compared."""
    if isinstance(value, tuple):
        return tuple(map(told, value))
    if not isinstance(value, APIError | ClientUsageError):
        return value
    error = value
    members = {k: told(v) for k, v in vars(error).items()}
    return type(error), error.args, str(error), members


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_copies(error: APIError) -> None:
    """Copies and pickles of an error are of its class, and have its text and attributes."""
    error.add_note("seen in production")
    pickles = [pickle.dumps(error, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    copies = [copy.copy(error), copy.deepcopy(error), *map(pickle.loads, pickles)]
    assert [told(error)] * len(copies) == [told(duplicate) for duplicate in copies]


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_arguments(error: APIError) -> None:
    """The class and the arguments, as JSON, are enough for an equal error, as Celery makes it."""
    error.add_note("seen in production")
    arguments = json.loads(json.dumps(error.args))
    assert told(error) == told(type(error)(*arguments))
    assert f"{type(error).__name__}({BaseException.__str__(error)!r})" == repr(error)


def test_changed_arguments() -> None:
    """A program may replace the text in the arguments, and the attributes stay."""
    error = refused(404)
    error.args = (f"web: {error}", *error.args[1:])
    assert (f"web: 404 (GET {PATH})", 404) == (str(error), error.status)
    cls: Any = type(error)
    assert told(error) == told(cls(*error.args))


def test_arguments_of_a_subclass() -> None:
    """An attribute that no annotation describes is not among the arguments."""
    error = APIError("x")
    error.socket = object()  # type: ignore[attr-defined]  # what is tested
    assert ("x",) == error.args


def test_arguments_of_a_subclass_for_type_checkers() -> None:
    """Annotations that only type checkers can resolve hide no other attribute."""
    error = AnnotatedError("x")
    error.in_doubt = False
    error.add_note("seen in production")
    text, state = error.args
    assert ("x", False, ["seen in production"]) == (text, state["in_doubt"], state["__notes__"])
    assert told(error) == told(AnnotatedError(text, state))


@pytest.mark.parametrize(
    "name",
    [
        "builtins:OSError",
        "digitalocean_projects:URN",
        "digitalocean_projects:Client",
        "digitalocean_projects._errors:APITimeoutError",
        "digitalocean_projects.contrib.pytest:APIError",
        "digitalocean_projects_of_another:APIError",
        "tests.test_errors:AnnotatedError",
        "APIError",
        "",
    ],
)
def test_arguments_with_another_class(name: str) -> None:
    """Only a public error is made of the arguments that hold one, or else an `APIError`."""
    text, state = AssignmentTimeoutError(DROPLETS).args
    cls: Any = AssignmentError
    before = set(sys.modules)
    members = {"in_doubt": False, "__notes__": ["seen in production"], "__class__": "x", "path": 1}
    error = cls(text, state | {"error": [name, "x", members]}).error
    assert (APIError, "x", False) == (type(error), str(error), error.in_doubt)
    assert ["seen in production"] == error.__notes__
    assert not hasattr(error, "path")
    assert before == set(sys.modules)


def test_cause_of_a_users_class() -> None:
    """An error of a user's class comes back as an `APIError` with its text and notes."""
    cause = AnnotatedError("x")
    cause.add_note("seen in production")
    cls: Any = AssignmentError
    error = AssignmentError(done=(), failed=(), unknown=(), error=cause)
    again = cls(*json.loads(json.dumps(error.args))).error
    assert (APIError, "x", cause.__notes__) == (type(again), str(again), again.__notes__)


def test_no_token_in_arguments() -> None:
    """A token that the server sends in place of a status or link is not in the arguments."""
    resource = Resource(DROPLETS[0], self_link=f"https://x/{HIDDEN}", status=HIDDEN)
    error = AssignmentError(done=(), failed=(resource,), unknown=())
    cls: Any = AssignmentError
    assert HIDDEN not in json.dumps(error.args)
    assert ("***", None) == (cls(*error.args).failed[0].status, cls(*error.args).error)


@pytest.mark.parametrize("status", CLASSES)
@pytest.mark.parametrize("text", [HIDDEN, ESCAPED, f"x{HIDDEN * 3}", f"{'x' * 490}{HIDDEN}"])
def test_token_is_hidden(status: int, text: str) -> None:
    """A token that the server sends back is in no part of an error, in any spelling."""
    body = f'{{"id": "{text}", "message": "{text}", "request_id": "{text}"}}'
    plain = text.replace(ESCAPED, HIDDEN)
    for error in (refused(status, body.encode()), refused(status, b"", x_request_id=plain)):
        shown = [str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error))]
        assert [] == [part for part in shown if HIDDEN[:12] in part]
        assert "***" in (error.request_id or "")


@given(st.text(), st.text(), st.sampled_from(["id", "message", "request_id", "header"]))
def test_one_line(before: str, after: str, member: str) -> None:
    """An error is one line without control characters and the token, for any response."""
    text = f"{before}{HIDDEN}{after}"
    error = refused(400, json.dumps({member: text}).encode(), x_request_id=text)
    assert [str(error)] == str(error).splitlines()
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", str(error))
    assert HIDDEN not in f"{error}{error!r}{vars(error)}"


@pytest.mark.parametrize("character", "\x00\t\n\r\x1b\x7f\x85\xa0\u2028\u2029\udcff")
def test_control_characters(character: str) -> None:
    """A run of white space and control characters becomes a space, and is removed at the ends."""
    assert "a b" == one_line(f"{character} a{character * 3}b{character}")


def test_long_texts() -> None:
    """At most 500 characters of each text are kept."""
    assert "x" * 500 == one_line("x" * 500)
    assert f"{'x' * 499}…" == one_line("x" * 501)
    text = "y" * 2_000_000
    document = json.dumps({"id": text, "message": text}).encode()
    error = refused(500, document, x_request_id=text)
    assert [500] * 3 == [len(kept or "") for kept in (error.id, error.message, error.request_id)]
    assert len(pickle.dumps(error)) < 5_000


def test_assignment_error_without_names() -> None:
    """The message names no resource if none that was sent has failed."""
    error = AssignmentError(
        done=(), failed=(), unknown=(), untouched=(URN("droplet", 1),), error=APIError("reset")
    )
    assert "0 assigned, 1 untouched: reset" == str(error)
