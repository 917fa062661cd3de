"""Config: settings that are refused, sources of their defaults, and secrets that never show."""

from __future__ import annotations

import math
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import digitalocean_projects
from digitalocean_projects import (
    DEFAULT_PROJECT,
    AsyncClient,
    Client,
    ClientUsageError,
    Limits,
    RetryPolicy,
)
from digitalocean_projects._arguments import checked_count, checked_seconds, checked_wait
from digitalocean_projects._clock import SystemClock
from digitalocean_projects._config import (
    Settings,
    checked_base_url,
    checked_proxy,
    checked_token,
    checked_user_agent,
)
from digitalocean_projects._defaults import BASE_URL
from digitalocean_projects._messages import Secret
from tests.exposure import exposed

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, SECOND = "DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"
URL_VARIABLE = "DIGITALOCEAN_API_URL"
HIDDEN = "dop_v1_0123456789abcdef"
NOT_A_BASE_URL = "base_url must be https://host[:port][/path], without user, query and fragment"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (FIRST, SECOND, URL_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_settings() -> None:
    """The settings' `repr` shows neither the token nor the proxy's password."""
    settings = Settings(
        token=Secret(HIDDEN),
        token_source="passed to the client",
        base_url=BASE_URL,
        timeout=30.0,
        connect_timeout=10.0,
        max_body=1,
        proxy=Secret(f"http://user:{HIDDEN}@proxy"),
        allow_insecure=False,
        ssl=None,
        session=None,
        user_agent="x",
        session_factory=None,
        retry=RetryPolicy(),
        deadline=None,
        limits=None,
        bulk=False,
        clock=SystemClock(),
        trace_configs=(),
    )
    assert HIDDEN not in repr(settings)


@pytest.mark.parametrize(
    ("argument", "variables", "expected"),
    [
        ("a", {FIRST: "b", SECOND: "c"}, "a"),
        (None, {FIRST: "b", SECOND: "c"}, "b"),
        (None, {SECOND: "c"}, "c"),
        (None, {FIRST: "", SECOND: "c"}, "c"),
        ("!~'\"\\", {}, "!~'\"\\"),
    ],
)
def test_token(
    monkeypatch: pytest.MonkeyPatch, argument: str | None, variables: dict[str, str], expected: str
) -> None:
    """The token is the argument, else the first variable that isn't empty; it stays hidden."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    token = checked_token(Secret.hide(argument))
    assert (expected, "'***'") == (token, repr(token))


@pytest.mark.parametrize("variables", [{}, {FIRST: ""}, {FIRST: "", SECOND: ""}])
def test_no_token(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Without a token the message says how to pass one."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ClientUsageError, match=rf"^no token: pass token=…, or set {FIRST}$"):
        checked_token(None)


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ([f"Bearer {HIDDEN}", f"bearer {HIDDEN}"], "a token without 'Bearer ' before it$"),
        (
            [f" {HIDDEN}", f"{HIDDEN}\n", f"{HIDDEN}\r\n"],
            r"printable ASCII, without spaces and line breaks; strip\(\) removes those around it$",
        ),
        (
            [f"{HIDDEN} x", " "],
            "printable ASCII, without spaces and line breaks$",
        ),
        ([f"{HIDDEN}{end}" for end in "\0\x7f\u2028é\ud800"], "printable ASCII, without"),
        ([f"dor_v1_{HIDDEN}", "dor_v1_"], r"an access token, got a refresh token \(dor_v1_…\)$"),
    ],
)
def test_malformed_token(texts: list[str], problem: str) -> None:
    """A malformed token is refused; the message names the problem without the token."""
    for text in texts:
        with pytest.raises(ValueError, match=rf"^token must be {problem}") as caught:
            checked_token(Secret(text))
        assert HIDDEN not in repr(caught.value)


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_malformed_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A malformed token from the environment is refused by the variable's name."""
    monkeypatch.setenv(name, f"{HIDDEN}\n")
    expected = f"{name} must be printable ASCII, without spaces and line breaks; strip"
    with pytest.raises(ValueError, match=rf"^{expected}"):
        checked_token(None)


def test_token_of_another_type() -> None:
    """A token that is not a string is a TypeError with its type, and an empty one says so."""
    for token in (123, HIDDEN.encode(), [HIDDEN]):
        expected = f"^token must be a string, got {type(token).__name__}$"
        with pytest.raises(TypeError, match=expected) as caught:
            AsyncClient(token)  # type: ignore[arg-type]  # the case
        assert not any(HIDDEN in text for text in exposed(caught.value))
        for client in (AsyncClient, Client):
            with pytest.raises(TypeError, match=expected):
                client("x").with_options(token=token)  # type: ignore[arg-type]  # the case
    for options in ({"token": ""}, {"token": Secret()}):
        with pytest.raises(ValueError, match=r"^token must not be empty$"):
            AsyncClient(**options)
    nothing: Any = None
    with pytest.raises(TypeError, match=r"^token must be a string, got NoneType$"):
        AsyncClient("x").with_options(token=nothing)


@pytest.mark.parametrize(
    ("argument", "variable", "expected"),
    [
        (None, None, "https://api.digitalocean.com"),
        (None, "", "https://api.digitalocean.com"),
        (None, "http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://a.example", "https://b.example", "https://a.example"),
    ],
)
def test_base_url(
    monkeypatch: pytest.MonkeyPatch, argument: str | None, variable: str | None, expected: str
) -> None:
    """The base URL is the argument, else the variable unless it is empty, else the API's."""
    if variable is not None:
        monkeypatch.setenv(URL_VARIABLE, variable)
    assert expected == checked_base_url(argument, allow_insecure=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LocalHost"])
@pytest.mark.parametrize("end", ["", ":8080", "/", ":8080/a/b//"])
def test_loopback(host: str, end: str) -> None:
    """On the loopback http is enough; slashes at the end are dropped, and names lower-cased."""
    expected = f"http://{host.lower()}{end.rstrip('/')}"
    assert expected == checked_base_url(f"http://{host}{end}", allow_insecure=False)


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/V2", "/gateway/v2//", "/v2/projects"])
def test_path_of_the_api(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A base URL that ends in the API's own path is refused, wherever it comes from."""
    url = f"https://a.example{path}"
    text = f"must not end in {path.rstrip('/').removeprefix('/gateway')!r}, since the client adds"
    with pytest.raises(ValueError, match=f"^base_url {text} "):
        checked_base_url(url, allow_insecure=False)
    monkeypatch.setenv(URL_VARIABLE, url)
    with pytest.raises(ValueError, match=f"^{URL_VARIABLE} {text} "):
        checked_base_url(None, allow_insecure=False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://A.example:443/V2x", "https://a.example/V2x"),
        ("http://localhost:80", "http://localhost"),
        ("https://a.example:80", "https://a.example:80"),
    ],
)
def test_one_spelling(url: str, expected: str) -> None:
    """Two spellings of a base URL are one, so that their clients share the limits."""
    assert expected == checked_base_url(url, allow_insecure=False)


@pytest.mark.parametrize(
    "host",
    ["a.example", "10.0.0.1", "[::]", "[fe80::1]", "localhost.example", "127.0.0.1.nip.io"],
)
@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_insecure(scheme: str, host: str) -> None:
    """Anywhere else http has to be allowed explicitly."""
    url = f"{scheme}://{host}"
    assert url.lower() == checked_base_url(url, allow_insecure=True)
    assert f"https://{host}" == checked_base_url(f"https://{host}", allow_insecure=False)
    with pytest.raises(
        ValueError, match=r"^base_url must be https, since http would send the token unencrypted; "
    ):
        checked_base_url(url, allow_insecure=False)


@pytest.mark.parametrize(
    "url",
    [
        *("", " ", "a", "//a", "https:a", "https://", "https:///a", "ftp://a", "https://é"),
        *(f"https://user:{HIDDEN}@a", f"https://{HIDDEN}@a", "https://a@", "https://a/@b"),
        *("https://a?", "https://a?b=c", "https://a/b?c", "https://a#", "https://a/#b"),
        *(" https://a", "https://a b", "https://a\n", "https://a/\r\nb", "https://a\0"),
        *("https://a\\@b", "https://a/\\b", "https://a:", "https://a:b", "https://a:-1"),
    ],
)
@pytest.mark.parametrize("allow_insecure", [True, False])
def test_malformed_base_url(*, allow_insecure: bool, url: str) -> None:
    """A URL with user, query or fragment, or a malformed one, is refused and not repeated."""
    with pytest.raises(ValueError, match="base_url") as caught:
        checked_base_url(url, allow_insecure=allow_insecure)
    hint = "" if "://" in url else "; it has no https:// at its beginning"
    assert f"{NOT_A_BASE_URL}{hint}" == str(caught.value)


def test_base_url_without_scheme() -> None:
    """A bare host is refused with the reason."""
    with pytest.raises(ValueError, match=r"; it has no https:// at its beginning$"):
        checked_base_url("api.digitalocean.com", allow_insecure=False)


def test_base_url_of_another_type() -> None:
    url: Any = b"https://a"
    with pytest.raises(TypeError, match=r"^base_url must be a string, got bytes$"):
        checked_base_url(url, allow_insecure=False)


def test_base_url_with_impossible_port() -> None:
    with pytest.raises(ValueError, match=r"^base_url must be https:"):
        checked_base_url("https://a:65536", allow_insecure=False)


@pytest.mark.parametrize(
    "proxy",
    [
        *(None, "http://p:3128", "https://p", "HTTP://p.example/", f"http://u:{HIDDEN}@p:1"),
        *("http://u@p", "http://u:%2F@127.0.0.1:8", "http://[::1]:3128", "http://p:59999"),
        *("http://p:60000", "http://p:65535"),
    ],
)
def test_proxy(proxy: str | None) -> None:
    """A proxy may have a user and a password, and stays hidden."""
    assert proxy == checked_proxy(Secret.hide(proxy))


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
def test_proxy_that_would_read_the_token(client_class: Callable[..., Any]) -> None:
    """An http address is reached through a proxy on this machine only, unless that is allowed."""
    options = {"base_url": "http://127.0.0.1:1", "proxy": "http://proxy.example:3128"}
    with pytest.raises(ValueError, match=r"^proxy must be on this machine"):
        client_class("x", **options)
    client_class("x", **options, allow_insecure=True)
    client_class("x", **options | {"proxy": "http://127.0.0.1:3128"})
    client_class("x", **options | {"base_url": "https://127.0.0.1:1"})


def test_token_in_the_base_url() -> None:
    """An address that contains a token is refused, and the message doesn't repeat it."""
    with pytest.raises(ValueError, match="must not contain an API token") as caught:
        AsyncClient("x", base_url=f"https://api.example/dop_v1_{'a' * 64}")
    assert "dop_v1_" not in str(caught.value)


@pytest.mark.parametrize("client_class", [AsyncClient, Client])
def test_repr_of_a_refused_client(client_class: type[AsyncClient | Client]) -> None:
    """A client whose arguments were refused has a `repr`, which tracebacks may show."""
    with pytest.raises(ValueError, match="token") as caught:
        client_class("a b")
    traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    unfinished = client_class.__new__(client_class)
    assert f"<{client_class.__name__} without settings>" == repr(unfinished)


@pytest.mark.parametrize(
    "proxy",
    [
        *("", "p:3128", "socks5://p", "http:p", "http://", "http://a b", "http://é", 5),
        *(f"http://u:{HIDDEN}@p\n", f"http://u:{HIDDEN}@", f"http://u:{HIDDEN}@:1"),
        *(f"http://u:{HIDDEN}", f"http://u:{HIDDEN}@p:", f"http://u:{HIDDEN}@p:x"),
        *(f"http://u:{HIDDEN}@p:-1", f"http://u:{HIDDEN}@p:65536", f"http://u:{HIDDEN}@p/a"),
        *(f"http://u:{HIDDEN}@p?", f"http://u:{HIDDEN}@p#", f"http://[{HIDDEN}]", "http://p\0"),
        *(f"http://u:1{mark}{HIDDEN}@p" for mark in "/?#[]\\"),
    ],
)
def test_malformed_proxy(proxy: object) -> None:
    """A malformed URL of a proxy is refused, and the message doesn't repeat it."""
    with pytest.raises(ValueError, match="proxy") as caught:
        checked_proxy(Secret.hide(proxy))
    assert "proxy must be http://[user:password@]host[:port], 'env' or None" == str(caught.value)


def test_user_agent() -> None:
    """The User-Agent header names the package and the versions, unless the user sets another."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    expected = f"digitalocean-projects/{digitalocean_projects.__version__} (Python {python})"
    assert expected == checked_user_agent(None)
    assert "app/1 (x)" == checked_user_agent("app/1 (x)")


@pytest.mark.parametrize("text", ["", " ", "a\r\nX-Evil: 1", "a\n", "a\0", "ä", "a\tb"])
def test_malformed_user_agent(text: str) -> None:
    with pytest.raises(ValueError, match=r"^user_agent must be printable ASCII and not empty$"):
        checked_user_agent(text)


def test_token_in_user_agent() -> None:
    with pytest.raises(ValueError, match=r"^user_agent must not contain an API token$"):
        checked_user_agent(f"app/1 ({HIDDEN})")


@pytest.mark.parametrize("value", [sys.float_info.min, 1, 30.0, 1e9, 10**9])
def test_seconds(value: float) -> None:
    assert value == checked_seconds("timeout", value)


@pytest.mark.parametrize(
    "value", [0, -1, -0.0, math.nan, math.inf, -math.inf, math.nextafter(1e9, math.inf)]
)
def test_impossible_seconds(value: float) -> None:
    """A time-out is more than none, and no longer than an event loop can count."""
    with pytest.raises(ValueError, match="timeout") as caught:
        checked_seconds("timeout", value)
    assert f"timeout must be positive and at most 1e+09, got {value}" == str(caught.value)


@pytest.mark.parametrize(("value", "most"), [(1, None), (10**9, None), (1, 200), (200, 200)])
def test_count(value: int, most: int | None) -> None:
    assert value == checked_count("per_page", value, most)


@pytest.mark.parametrize(
    ("value", "most", "limits"),
    [(0, None, "at least 1"), (-1, 200, "between 1 and 200"), (201, 200, "between 1 and 200")],
)
def test_impossible_count(value: int, most: int | None, limits: str) -> None:
    with pytest.raises(ValueError, match=rf"^per_page must be {limits}, got {value}$"):
        checked_count("per_page", value, most)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda value: checked_count("x", value, 200),
        lambda value: checked_count("x", -value),
        lambda value: checked_seconds("x", value),
        lambda value: checked_wait("x", value),
        lambda value: Limits(reserve=value),
        lambda value: RetryPolicy(attempts=-value),
        lambda value: RetryPolicy(base_delay=-value),
        lambda value: RetryPolicy(max_delay=value),
        lambda value: Limits(windows=((value, 60.0),)),
    ],
)
def test_long_numbers(refuse: Callable[[int], object]) -> None:
    """A message has no digits of a long int, which Python may refuse to convert."""
    with pytest.raises(ValueError, match=r" must be .+, got an int of 1329 bits$"):
        refuse(10**400)
    with pytest.raises(ValueError, match=r" must be .+, got an int of 16610 bits$"):
        refuse(10**5000)


@pytest.mark.parametrize(("retry", "attempts"), [(3, 3), (0, 1), (10**400, 1)])
def test_number_as_retry(retry: Any, attempts: int) -> None:
    """The hint has the number of attempts that was passed, if it is a likely one."""
    with pytest.raises(TypeError, match=rf"got int; .* RetryPolicy\(attempts={attempts}\)$"):
        AsyncClient("x", retry=retry)


@pytest.mark.parametrize("value", [None, "1", True, 1j])
@pytest.mark.parametrize("check", [checked_seconds, checked_count])
def test_numbers_of_another_type(check: Callable[[str, Any], object], value: object) -> None:
    """A bool is no number, and text is not made one."""
    with pytest.raises(TypeError, match=rf"^x must be .+, got {type(value).__name__}(; .+)?$"):
        check("x", value)


def test_default_project() -> None:
    """The default project's name is what the API calls it."""
    assert "default" == DEFAULT_PROJECT


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"windows": ()}, ValueError),
        ({"windows": ((0, 60.0),)}, ValueError),
        ({"windows": ((5.0, 60.0),)}, TypeError),
        ({"windows": ((5, 0.0),)}, ValueError),
        ({"windows": ((5, math.nan),)}, ValueError),
        ({"windows": ((5, math.inf),)}, ValueError),
        ({"windows": ((5, "60"),)}, TypeError),
        ({"windows": 5}, TypeError),
        ({"margin": -1.0}, ValueError),
        ({"margin": math.nan}, ValueError),
        ({"grace": -1.0}, ValueError),
        ({"reserve": -1}, ValueError),
        ({"reserve": "5"}, TypeError),
        ({"reserve": 0.5}, TypeError),
        ({"margin": "1"}, TypeError),
        ({"windows": (250, 60.0)}, TypeError),
    ],
)
def test_impossible_limits(arguments: dict[str, Any], error: type[Exception]) -> None:
    """Limits that can't be kept are refused."""
    with pytest.raises(error):
        Limits(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"attempts": 0}, ValueError, "attempts must be at least 1, got 0"),
        ({"attempts": "3"}, TypeError, "attempts must be an int, got str"),
        ({"base_delay": -1}, ValueError, "base_delay must be finite and at least 0, got -1"),
        ({"max_delay": math.inf}, ValueError, "max_delay must be finite and at least 0, got inf"),
        ({"max_retry_after": True}, TypeError, "max_retry_after must be a number, got bool"),
        (
            {"statuses": 503},
            TypeError,
            "statuses must be ints, got int; pass for example {429, 503}",
        ),
        (
            {"statuses": "503"},
            TypeError,
            "statuses must be ints, got str; pass for example {429, 503}",
        ),
    ],
)
def test_impossible_policy(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    """A policy that can't be followed is refused, and the message says what to pass."""
    with pytest.raises(error) as caught:
        RetryPolicy(**arguments)
    assert text == str(caught.value)


def test_limits() -> None:
    """Limits are a value; the order of their windows doesn't matter."""
    limits = Limits(windows=((5000, 3600.0), (250, 60)))
    assert (Limits(), hash(Limits())) == (limits, hash(limits))
