"""Texts of megabytes from a server don't block the event loop."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import URN, APIError
from digitalocean_projects._codec.json import decode_error, decode_resources
from digitalocean_projects._codec.urn import listed_urn
from digitalocean_projects._described import Request
from digitalocean_projects._messages import Secret, holds_token, one_line, quoted, redacted
from digitalocean_projects._session.transport import Answer, status_error

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 1_500_000
# All texts together take a second; a search whose time grows with the square of the length takes
# many minutes for one of them.
SECONDS = 60
HEX = "0123456789abcdef" * 4
TOKEN = f"dop_v1_{HEX}"
PARTS = ["f" * 63 + " ", "f" * 63 + "x", "f", "bearer ", "bearer \t", "dop_v1_", "s ", "s", " "]
DEEP = b'{"message":[%s[]]}' % (b"[[[[[[]]]]]]," * (SIZE // 13))
WIDE = b'{"message":[%s""]}' % (b'"",' * (SIZE // 3))
REQUEST = Request(method="GET", path="/v2/projects")


def refuses(function: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match="a URN must have the form") as caught:
        function(text)
    assert len(str(caught.value)) < 1000


def search(text: str) -> None:
    """Search a text with each function that does so."""
    for secret in ("s", "!", "swordfish", TOKEN):
        assert len(redacted(text, secret)) <= 3 * 65_536
        assert len(one_line(text, secret)) <= 500
    assert len(quoted(text)) <= 500
    assert len(str(APIError(text))) <= 65_536
    refuses(listed_urn, text)
    refuses(URN.parse, text)
    error = status_error(500, {}, json.dumps({"message": text}).encode(), REQUEST, secret="s")
    assert len(error.message) <= 500
    body = json.dumps({"resources": [{"urn": text}]}).encode()
    answer = Answer(request=REQUEST, status=200, headers={}, body=body, secret=Secret("swordfish"))
    with pytest.raises(APIError) as caught:
        answer.decode(decode_resources)
    assert len(str(caught.value)) < 1000


def main() -> None:
    for part in PARTS:
        search(part * (SIZE // len(part)))
    assert not holds_token(PARTS[0] * (SIZE // len(PARTS[0])))
    for document in (DEEP, WIDE):
        assert {"message": ""} == decode_error(document)


@pytest.mark.process
@pytest.mark.slow
def test_no_freeze() -> None:
    """A long text is searched in a short time; a freeze needs another process to end it."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__],
        capture_output=True,
        text=True,
        timeout=SECONDS + 30,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)


def test_error_documents() -> None:
    """The message of an error is searched in the first 1,000 values of its document."""
    for count, message in ((900, "x"), (1100, "")):
        values: list[object] = [[], {}, "", 5]
        for value in values:
            body = json.dumps({"message": [value] * count + ["x"]}).encode()
            assert {"message": message} == decode_error(body)


@pytest.mark.parametrize("end", range(1, len(TOKEN), 7))
@pytest.mark.parametrize("secret", ["swordfish" * 8, TOKEN, HEX, "!", "\\" * 600, "s" * 70_000])
def test_secrets_at_the_cut(secret: str, end: int) -> None:
    """A secret that is cut off after its beginning doesn't show."""
    before = "x" + " " * (65_535 - end)
    shown = redacted(f"{before}{secret} {'x' * 99}", secret)
    assert before.startswith(shown.removesuffix("…"))
    assert shown.endswith("…")


@pytest.mark.parametrize("beginning", [TOKEN, "swordfish", "Bearer swordfish"])
def test_secrets_before_the_cut(beginning: str) -> None:
    """A secret in the part that is kept is masked, and the rest of that part is shown."""
    shown = redacted(f"{beginning} {'x' * 70_000}", "swordfish")
    assert shown.startswith("*** xxx")
    assert 60_000 < len(shown) < 65_536


def test_uncut() -> None:
    """A text of 65,536 characters is not cut."""
    text = "x" * 65_536
    assert text == redacted(text)
    assert "…" == redacted(f"{text}x")[-1]


if __name__ == "__main__":
    import faulthandler

    faulthandler.dump_traceback_later(SECONDS, exit=True)
    main()
