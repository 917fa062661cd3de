"""The command and the configuration of doctl."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import Client, ClientUsageError
from digitalocean_projects._cli import main
from digitalocean_projects._cli.doctl import config_file, context_token
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


def test_only_on_request(
    account: Emulator, monkeypatch: pytest.MonkeyPatch, config: Path, capsys: Capture
) -> None:
    """Without `--context`, doctl's configuration and its variables are ignored."""
    config.write_text(f"access-token: {account.token}\n", "utf-8")
    monkeypatch.setenv("DIGITALOCEAN_CONTEXT", "default")
    monkeypatch.delenv("DIGITALOCEAN_TOKEN")
    monkeypatch.delenv("DIGITALOCEAN_ACCESS_TOKEN", raising=False)
    assert 2 == main(["list"])
    assert "set DIGITALOCEAN_TOKEN" in capsys.readouterr().err


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
        Client(context_token("work"))
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
    token = context_token("default")
    assert (SECRET, "'***'") == (token, repr(token))


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
