"""Secrets, which appear in no traceback, and messages without tokens."""

from __future__ import annotations

import copy
import io
import pickle
import reprlib
from contextlib import suppress
from traceback import TracebackException
from typing import Any

import pytest
from rich.console import Console
from rich.traceback import Traceback

from digitalocean_projects._messages import NotText, Secret, holds_token, quoted, redacted

HEX = "0123456789abcdef" * 4
HIDDEN = f"dop_v1_{HEX}"
# Methods whose result is not a text, or the text itself.
OPEN = {
    "__class__",
    "__dir__",
    "__format__",
    "__getattribute__",
    "__getnewargs__",
    "__iter__",
    "__new__",
    "__repr__",
    "__str__",
    "encode",
}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "__add__": ("x",),
    "__getitem__": (slice(50),),
    "__mod__": ((),),
    "__mul__": (2,),
    "__rmod__": ("a %s",),
    "__rmul__": (2,),
    "center": (99,),
    "format_map": ({},),
    "join": (["a", "b"],),
    "ljust": (99,),
    "partition": ("_",),
    "removeprefix": ("dop",),
    "removesuffix": ("f",),
    "replace": ("_", "-"),
    "rjust": (99,),
    "rpartition": ("_",),
    "rsplit": ("_",),
    "split": ("_",),
    "translate": ({95: "-"},),
    "zfill": (99,),
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_secret() -> None:
    """A secret equals its text and appears in no `repr`, nor in that of its container."""
    secret = Secret(HIDDEN)
    assert HIDDEN == secret
    assert hash(HIDDEN) == hash(secret)
    assert ["'***'"] * 4 == [repr(secret), f"{secret!r}", ascii(secret), reprlib.repr(secret)]
    assert "['***']" == str([secret])


@pytest.mark.parametrize(("value", "text"), [(HIDDEN, HIDDEN), ("", ""), (5, ""), (b"x", "")])
def test_hide(value: object, text: str) -> None:
    """None stays None, and a value of another type becomes an empty secret."""
    hidden = Secret.hide(value)
    kind = Secret if isinstance(value, str) else NotText
    assert (text, kind) == (hidden, type(hidden))
    assert Secret.hide(None) is None


def texts(value: object) -> list[str]:
    """The texts in the result of a method of `str`."""
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, list | tuple) else []


def test_derived_texts() -> None:
    """Each method of `str` that returns texts returns them as secrets."""
    tried = set()
    for name in set(dir(str)) - OPEN:
        with suppress(TypeError):  # a comparison or a search, which has an argument
            expected = texts(getattr(HIDDEN, name)(*ARGUMENTS.get(name, ())))
            if expected:
                derived = texts(getattr(Secret(HIDDEN), name)(*ARGUMENTS.get(name, ())))
                assert (expected, {Secret}) == (derived, set(map(type, derived))), name
                tried.add(name)
    assert ARGUMENTS.keys() < tried


def test_operators() -> None:
    """Slices, single characters, sums and formatted texts are secrets, too."""
    secret = Secret(HIDDEN)
    derived = [secret[:50], secret[0], secret[::-1], secret + "x", "x" + secret, secret * 2]
    derived += [2 * secret, "a %s" % secret, *secret, *secret.split("_"), *sorted(secret)]  # noqa: UP031 - the subject of this test
    assert {"'***'"} == set(map(repr, derived))
    assert f"Bearer {HIDDEN}" == "Bearer " + secret
    assert HIDDEN == "".join(secret)


def test_plain_text() -> None:
    """The text itself comes from `str`, a format without a specification, and `encode`."""
    secret = Secret(HIDDEN)
    assert [HIDDEN] * 3 == [str(secret), f"{secret}", secret.encode().decode()]
    assert {str} == {type(str(secret)), type(f"{secret}")}
    assert ["***", "***   ", "**"] == [f"{secret:s}", f"{secret:6}", f"{secret:.2}"]


def test_copies() -> None:
    """A copy of a secret, also by pickle, is a secret."""
    secret = Secret(HIDDEN)
    pickles = [pickle.dumps(secret, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    copies = [copy.copy(secret), copy.deepcopy([secret])[0], *map(pickle.loads, pickles)]
    assert {(HIDDEN, Secret)} == {(one, type(one)) for one in copies}


def failing(secret: Secret, headers: dict[str, str]) -> None:
    raise ValueError(len(headers) + bool(secret))


@pytest.mark.parametrize("length", [1, 20, 50, 71, 500])
def test_tracebacks(length: int) -> None:
    """A traceback that shows local variables shows no part of a secret, wherever it is cut."""
    with pytest.raises(ValueError, match="2") as caught:
        failing(Secret(HIDDEN), {"Authorization": Secret(f"Bearer {HIDDEN}")})
    standard = TracebackException.from_exception(caught.value, capture_locals=True)
    traceback = Traceback.from_exception(
        ValueError,
        caught.value,
        caught.value.__traceback__,
        show_locals=True,
        locals_max_string=length,
    )
    file = io.StringIO()
    Console(file=file, width=500).print(traceback)
    frame = standard.stack[-1]
    assert frame.locals == {"secret": "'***'", "headers": "{'Authorization': '***'}"}
    shown = file.getvalue()
    assert "headers" in shown
    assert "'***'" in shown
    assert "dop_v1" not in shown.replace('HIDDEN = f"dop_v1_{HEX}"', "")
    assert HEX[:6] not in shown.replace('"0123456789abcdef"', "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"-t {HIDDEN}", "-t ***"),
        (f"-T{HIDDEN},x", "-T***,x"),
        (f"'{HIDDEN}'", "'***'"),
        (f"https://{HIDDEN}@host/", "https://***@host/"),
        (f"https://host/{HIDDEN}?x", "https://host/***?x"),
        (HIDDEN.upper(), "***"),
        ("doo_v1_1 dor_v1_a dop_v1_wrong_one.", "*** *** ***."),
        (f"{HIDDEN[:20]}… {HIDDEN[:8]}", "***… ***"),
        (HEX, "***"),
        (f"x={HEX}{HEX};", "x=***;"),
        ("Bearer swordfish", "***"),
        ("Authorization: bearer  a.b-c/d==, x", "Authorization: ***, x"),
        ("Bearer tokenABC.def", "***"),
        ("bearer auth0|abcdef123", "***"),
        ("bearer Token-1, bearer auth=1, bearer TOKEN.1", "***, ***, ***"),
        ("Bearer authentications1 bearer author", "*** ***"),
        (HEX[:63], HEX[:63]),
        ("dor_v1_… dop_v1_ dop_v2_a dopv1_a", "dor_v1_… dop_v1_ dop_v2_a dopv1_a"),
        ("no bearer token; Bearer authentication", "no bearer token; Bearer authentication"),
        ("bearer", "bearer"),
        ("bearer token", "bearer token"),
        ("Bearer  Tokens, 'bearer auth'", "Bearer  Tokens, 'bearer auth'"),
        ("no bearer token. bearer authorization: no", "no bearer token. bearer authorization: no"),
        ("do:droplet:1", "do:droplet:1"),
        ("--x=http://user:pw@host:1/a, x", "--x=http://***@host:1/a, x"),
        ("'SOCKS5://u:p@ss@h' https://u@h a@b.c", "'SOCKS5://***@h' https://***@h a@b.c"),
        ("http://u:p/w#d?e@h", "http://***@h"),
        ("http://h/a@b http://h:1/a@b http://h?a@b", "http://h/a@b http://h:1/a@b http://h?a@b"),
    ],
)
def test_redacted(text: str, expected: str) -> None:
    """A token, or the user of a URL, is masked at any position; other texts are unchanged."""
    assert expected == redacted(text)


def test_environment_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's tokens are masked, in any format."""
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "sword")
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", "swordfish-1\n")
    assert "a *** b, swords, ***x" == redacted("a sword b, swords, swordfish-1x")


@pytest.mark.parametrize("secret", ["!", "a!", "!a", r"a\b", r"long\secret\text", "it's", "a.c"])
def test_known_secrets(secret: str) -> None:
    """A secret is masked with any characters."""
    assert "x *** y" == redacted(f"x {secret} y", secret)
    assert secret not in redacted(repr(f"{secret}x{secret}"), secret) or len(secret) < 8
    assert secret not in redacted(repr(f"x {secret} y"), secret)


def test_long_texts() -> None:
    """A long text is searched in linear time."""
    for part in (
        "bearer ",
        "bearer \t",
        "dop_v1",
        "do",
        "a",
        "0",
        f"{HEX[:63]}x",
        "dop_v1_a ",
        "://",
        "://a:",
    ):
        text = f"@{part * (2_000_000 // len(part))}"
        assert len(redacted(text)) <= len(text)


def test_quoted() -> None:
    """A text from the user is quoted in at most 200 characters, without tokens."""
    assert ["'a'", "'***'", "'x ***'"] == [quoted("a"), quoted(HIDDEN), quoted(f"x {HIDDEN}")]
    assert repr("x" * 200) == quoted("x" * 200)
    assert repr("x" * 199 + "…") == quoted("x" * 201)
    assert HEX[:3] not in quoted(f"{'x' * 190}{HIDDEN}")
    assert r"'\x1b\n'" == quoted("\x1b\n")


def test_holds_token() -> None:
    """A text holds a token if it has one of DigitalOcean's anywhere."""
    assert [True, True] == [holds_token(f"a {HIDDEN}"), holds_token(HEX)]
    assert [False, False] == [holds_token("Bearer of news"), holds_token("dop_v1_")]
