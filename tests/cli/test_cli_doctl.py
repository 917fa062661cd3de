"""The command and the configuration of doctl."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import Client, ClientUsageError
from digitalocean_projects._cli import main
from digitalocean_projects.contrib import doctl
from digitalocean_projects.contrib.doctl import config_file
from tests.exposure import exposed

if TYPE_CHECKING:
    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]

SECRET = "dop_v1_5ec2e7"  # noqa: S105 - not a real token


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The path of doctl's configuration file, which does not exist."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("DIGITALOCEAN_CONFIG", raising=False)
    (tmp_path / "doctl").mkdir()
    return tmp_path / "doctl" / "config.yaml"


@pytest.mark.parametrize(
    ("context", "written"),
    [
        ("default", "access-token: {}\nauth-contexts:\n  work: x\n"),
        ("Default", "access-token: '{}'\n"),
        ("work", "access-token: x\nauth-contexts:\n  work: {}\n  home: y\n"),
        ("Work", "access-token: x\nauth-contexts:\n  work: {}\n"),
        ("work", "auth-contexts: {{Work: x, work: {}}}\n"),
        ("7", "auth-contexts: {{7: {}}}\n"),
        ("work", "\ufeff# doctl's\nauth-contexts: {{work: !!str {}}}\ncontext: home\n"),
    ],
)
def test_context(  # noqa: PLR0917 - fixtures
    account: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    config: Path,
    context: str,
    written: str,
    capsys: Capture,
) -> None:
    """`--context` uses the token of a doctl context instead of the environment's token."""
    config.write_text(written.format(account.token), "utf-8")
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "dop_v1_wrong")
    assert 0 == main(["projects", "list", "--context", context, "--format", "Name", "--no-header"])
    assert ("first-project\n", "") == capsys.readouterr()


CONTEXTS = "access-token: {0}\nauth-contexts: {{work: {1}}}\n"


@pytest.mark.parametrize(
    ("variables", "options", "expected"),
    [
        ({"DIGITALOCEAN_CONTEXT": ""}, "", "no API token; set DIGITALOCEAN_TOKEN"),
        ({"DIGITALOCEAN_CONTEXT": "default"}, "", "first"),
        ({"DIGITALOCEAN_CONTEXT": "default", "DIGITALOCEAN_TOKEN": "2"}, "", "second"),
        ({"DIGITALOCEAN_CONTEXT": "Default", "DIGITALOCEAN_ACCESS_TOKEN": "2"}, "", "second"),
        ({"DIGITALOCEAN_CONTEXT": "Work"}, "", "second"),
        ({"DIGITALOCEAN_CONTEXT": "work", "DIGITALOCEAN_TOKEN": "1"}, "", "second"),
        ({"DIGITALOCEAN_CONTEXT": "home"}, "", "doctl has no token for the context 'home'"),
        ({"DIGITALOCEAN_CONTEXT": "home"}, "--context work", "second"),
        ({"DIGITALOCEAN_CONTEXT": "work"}, "--context default", "first"),
        ({"DIGITALOCEAN_TOKEN": "2"}, "--context default", "first"),
        ({"DIGITALOCEAN_TOKEN": "2"}, "--current-context", "first"),
        ({"DIGITALOCEAN_CONTEXT": "work"}, "--current-context", "second"),
    ],
)
def test_precedence(  # noqa: PLR0917 - fixtures
    account: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    config: Path,
    capsys: Capture,
    variables: dict[str, str],
    options: str,
    expected: str,
) -> None:
    """The options come before DIGITALOCEAN_CONTEXT, and that before a token, as with doctl."""
    other = account.add_account()
    account.seed(name="first")
    other.seed(name="second")
    tokens = {"1": account.token, "2": other.token}
    config.write_text(CONTEXTS.format(*tokens.values()), "utf-8")
    for name in ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, tokens.get(value, value))
    status = main(["projects", "list", "--format=Name", "--no-header", *options.split()])
    output = capsys.readouterr()
    assert expected in (output.err if status else output.out.split())


def test_ignored_token(account: Emulator, config: Path, capsys: Capture) -> None:
    """A note says that DIGITALOCEAN_CONTEXT comes before the token in the environment."""
    config.write_text(CONTEXTS.format("x", account.token), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITALOCEAN_CONTEXT", "work")
        assert 0 == main(["projects", "list"])
        expected = "# DIGITALOCEAN_CONTEXT selects the context work; DIGITALOCEAN_TOKEN is not used"
        assert [expected] == capsys.readouterr().err.splitlines()
        assert 0 == main(["projects", "list", "-q"])
    assert "" == capsys.readouterr().err


def test_current_context(account: Emulator, monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """Without a variable, the current context is the one that `doctl auth switch` has stored."""
    text = CONTEXTS.format("x", account.token)
    for stored, expected in (("", "x"), ("context: WORK\n", account.token)):
        config.write_text(text + stored, "utf-8")
        assert expected == doctl.token()
    other = config.with_name("other")
    other.write_text("access-token: y\n", "utf-8")
    monkeypatch.setenv("DIGITALOCEAN_CONFIG", str(other))
    assert ("y", ("default",)) == (doctl.token(), doctl.contexts())


@pytest.mark.parametrize("token", ["null", "Null", "NULL", "~", "", "''", "[x]", "{x: y}"])
def test_no_token(monkeypatch: pytest.MonkeyPatch, config: Path, token: str) -> None:
    """A token that is null, empty or no text is none, as with doctl."""
    monkeypatch.delenv("DIGITALOCEAN_CONTEXT", raising=False)
    config.write_text(f"access-token: {token}\nauth-contexts: {{work: {token}, ~: x}}\n", "utf-8")
    for context in (None, "default", "work", "null", "None"):
        with pytest.raises(ClientUsageError, match="doctl has no token for the context"):
            doctl.token(context)
    assert ("work",) == doctl.contexts()


@pytest.mark.parametrize(
    ("stored", "expected"),
    [("~", "x"), ("", "x"), ("null", "x"), ("'null'", "y"), ("''", ""), ("[work]", "")],
)
def test_stored_context(
    monkeypatch: pytest.MonkeyPatch, config: Path, stored: str, expected: str
) -> None:
    """The stored context null is `default`, and an empty one has no token, as with doctl."""
    monkeypatch.delenv("DIGITALOCEAN_CONTEXT", raising=False)
    text = f"access-token: x\nauth-contexts: {{'null': y, work: z}}\ncontext: {stored}\n"
    config.write_text(text, "utf-8")
    if expected:
        assert expected == doctl.token()
    else:
        with pytest.raises(ClientUsageError, match="no token for the context ''"):
            doctl.token()


def test_plain_scalars(config: Path) -> None:
    """Only null is no text: a token of digits, or one in quotes, is kept as it is written."""
    tokens = {"0123": "0123", "1e3": "1e3", "true": "true", "nullable": "nullable", "'~'": "~"}
    for written, expected in tokens.items():
        config.write_text(f"access-token: {written}\n", "utf-8")
        assert expected == doctl.token("default")


def test_report_of_all_contexts(account: Emulator, config: Path, capsys: Capture) -> None:
    """`report --all-contexts` names the account of each project, and goes on after an error."""
    account.seed(["do:droplet:1"], name="shop")
    text = (
        "access-token: {0}\nauth-contexts: {{beta: dop_v1_wrong, gone: , home: 'a b', work: {0}}}"
    )
    config.write_text(text.format(account.token), "utf-8")
    assert 1 == main(["report", "--all-contexts", "-q"])
    output = capsys.readouterr()
    assert ["context default", "context work"] == [
        line for line in output.out.splitlines() if line.startswith("context ")
    ]
    assert 2 == output.out.count("shop           droplet          1")
    errors = [
        "beta: 401 ",
        "gone: doctl has no token for the context 'gone'",
        "home: token must be printable ASCII",
    ]
    lines = output.err.splitlines()
    assert 3 == len(lines)
    for line, error in zip(lines, errors, strict=True):
        assert line.startswith(f"digitalocean-projects: {error}")
    for form in ("json", "jsonl"):
        assert 1 == main(["report", "--all-contexts", "-o", form])
        printed = capsys.readouterr().out
        objects = json.loads(printed) if form == "json" else map(json.loads, printed.splitlines())
        assert [("default", "shop"), ("default", "first-project"), ("work", "shop")] == [
            (one["context"], one["name"]) for one in objects
        ][:3]


def test_report_of_a_failing_context(account: Emulator, config: Path, capsys: Capture) -> None:
    """The error of a project is printed with the context of its account."""
    shop = account.seed(["do:droplet:1"], name="shop")
    config.write_text(f"auth-contexts: {{work: {account.token}}}", "utf-8")
    account.respond(404, when=lambda request: shop in request.path)
    assert 1 == main(["report", "--all-contexts", "-o", "json"])
    output = capsys.readouterr()
    assert ["first-project"] == [one["name"] for one in json.loads(output.out)]
    assert output.err.startswith("digitalocean-projects: work: shop: 404 ")
    config.write_text("context: default\n", "utf-8")
    assert 2 == main(["report", "--all-contexts"])
    assert f"doctl has no contexts in {config}" in capsys.readouterr().err
    config.write_text("- 1", "utf-8")
    assert 2 == main(["report", "--all-contexts"])
    assert "must be a doctl configuration" in capsys.readouterr().err


def test_context_without_a_name(account: Emulator, config: Path, capsys: Capture) -> None:
    """An empty context name, as from an unset variable, is refused."""
    config.write_text(f"access-token: {account.token}\n", "utf-8")
    assert 2 == main(["list", "--context", ""])
    assert "doctl has no token for the context ''" in capsys.readouterr().err
    assert [] == account.requests


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (f"access-token: x\nauth-contexts:\n  home: {SECRET}\n", "no token for the context 'work'"),
        (f"access-token: {SECRET}\nauth-contexts:\n  work:\n", "no token for the context 'work'"),
        (f"access-token: {SECRET}\nauth-contexts: [work]\n", "no token for the context 'work'"),
        (f"auth-contexts:\n  work: [{SECRET}]\n", "no token for the context 'work'"),
        (f"access-token: {SECRET}\n", "no token for the context 'work'"),
        (f"auth-contexts: {{work: {SECRET}", "must be a doctl configuration"),
        (f"work: {SECRET}\n{SECRET}", "must be a doctl configuration"),
        (f"- {SECRET}\n", "must be a doctl configuration"),
        (f"{SECRET}: !!python/object:os.system x\n? [a]\n: b", "must be a doctl configuration"),
        ("[" * 1_000, "must be a doctl configuration"),
        (f"\x00{SECRET}", "must be a doctl configuration"),
        ("", "must be a doctl configuration"),
        (f"auth-contexts: {{work: 'two {SECRET}'}}", "token must be printable ASCII"),
        ("auth-contexts: {work: dor_v1_x}", "token must be an access token"),
    ],
)
def test_wrong_configuration(config: Path, written: str, text: str, capsys: Capture) -> None:
    """An unusable configuration is refused, and no message shows content of the file."""
    config.write_text(written, "utf-8")
    assert 2 == main(["list", "--context", "work"])
    error = capsys.readouterr().err
    assert error.startswith("digitalocean-projects: ")
    assert (True, False, 1) == (text in error, SECRET in error, error.count("\n"))
    with pytest.raises((ClientUsageError, ValueError)) as caught:
        Client(doctl.token("work"))
    assert not any(SECRET in shown for shown in exposed(caught.value))


def test_no_configuration(config: Path, capsys: Capture) -> None:
    """Without a configuration file, the message names its path."""
    assert 2 == main(["list", "--context", "work"])
    assert (
        f"doctl has no configuration file {config}; create one with 'doctl auth init'"
        in capsys.readouterr().err
    )
    config.mkdir()
    assert 1 == main(["list", "--context", "work"])
    assert "Is a directory" in capsys.readouterr().err


def test_bytes_that_are_no_text(config: Path, capsys: Capture) -> None:
    """A file that is not in UTF-8 is refused."""
    config.write_bytes(b"access-token: \xff\xfe" + SECRET.encode())
    assert 2 == main(["list", "--context", "default"])
    assert "must be a doctl configuration" in capsys.readouterr().err


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, config: Path, capsys: Capture) -> None:
    """Without PyYAML, the message says how to install it."""
    config.write_text("access-token: x", "utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert 2 == main(["list", "--context", "default"])
    assert 'pip install "digitalocean-projects[cli]"' in capsys.readouterr().err


def test_token_is_hidden(config: Path) -> None:
    """The token is a `Secret`, whose `repr` does not show it."""
    config.write_text(f"access-token: {SECRET}\n", "utf-8")
    found = doctl.token("default")
    assert (SECRET, "'***'") == (found, repr(found))


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is the one that doctl uses on each system."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.setenv("APPDATA", "/roaming")
    assert Path("/home/me/.config/doctl/config.yaml") == config_file("linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/xdg")
    assert Path("/xdg/doctl/config.yaml") == config_file("freebsd14")
    mac = Path("/home/me/Library/Application Support/doctl/config.yaml")
    assert mac == config_file("darwin")
    assert Path("/roaming/doctl/config.yaml") == config_file("win32")
    monkeypatch.delenv("APPDATA")
    assert Path("/home/me/AppData/Roaming/doctl/config.yaml") == config_file("win32")
