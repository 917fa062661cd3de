"""The subcommand `reconcile`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects._cli import main
from digitalocean_projects.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from digitalocean_projects.testing import Emulator

    Capture = pytest.CaptureFixture[str]

HALF_WAY = (
    '{"added":["do:droplet:3"],"removed":[],"kept":["do:droplet:2"],'
    '"failed":[{"urn":"do:droplet:404","status":"not_found","reason":"not_found"}],'
    '"unknown":[],"untouched":["do:droplet:1"],"refused":[],"request_ids":["ID"],"error":ERROR}\n'
)


@pytest.fixture
def account(account: Emulator) -> Emulator:
    """The emulator with two droplets in `web` and one in the default project."""
    account.seed(["do:droplet:1", "do:droplet:2"], name="web")
    account.seed(["do:droplet:3"], default=True)
    return account


@pytest.fixture
def web(account: Emulator) -> str:
    """The UUID of `web`."""
    return next(project.id for project in account.projects() if project.name == "web")


@pytest.mark.parametrize("source", ["file", "dash", "nothing"])
def test_reconcile(  # noqa: PLR0917 - fixtures
    account: Emulator,
    web: str,
    source: str,
    capsys: Capture,
    say: Callable[[str], None],
    tmp_path: Path,
) -> None:
    """`reconcile` assigns missing resources of a list from a file or standard input."""
    # Only line feeds and carriage returns end a comment.
    wanted = "# of web\x0bdo:app:1\x0cdo:app:2\x1cdo:app:3\x85do:app:4\u2028do:app:5\r"
    wanted += "do:droplet:1\r\n\n  do:droplet:3\n"
    file = tmp_path / "wanted"
    file.write_bytes(wanted.encode())
    say(wanted)
    arguments = {"file": [str(file)], "dash": ["-"], "nothing": []}[source]
    assert 0 == main(["reconcile", "web", *arguments])
    assert ("+ do:droplet:3\n", "# 1 added, 0 removed, 1 kept\n") == capsys.readouterr()
    assert ["do:droplet:3", "do:droplet:1", "do:droplet:2"] == account.resources(web)
    say(wanted)
    assert 0 == main(["reconcile", "web", *arguments])
    assert ("", "# 0 added, 0 removed, 2 kept\n") == capsys.readouterr()


def test_reconcile_prunes(
    account: Emulator, web: str, capsys: Capture, say: Callable[[str], None]
) -> None:
    """`--prune` moves unlisted resources to the default project; `--dry-run` moves nothing."""
    for options, to_be in (["--dry-run"], " to be"), ([], ""):
        say("do:droplet:3\ndo:droplet:2\n")
        assert 0 == main(["reconcile", "web", "--prune", *options])
        assert (
            "+ do:droplet:3\n- do:droplet:1\n",
            f"# 1{to_be} added, 1{to_be} removed, 1 kept\n",
        ) == capsys.readouterr()
        held = ["do:droplet:1", "do:droplet:2"] if options else ["do:droplet:3", "do:droplet:2"]
        assert held == account.resources(web)


def test_reconcile_as_json(account: Emulator, capsys: Capture, say: Callable[[str], None]) -> None:
    """JSON output has all changes, and the resources that failed with their statuses."""
    say("do:droplet:3\ndo:droplet:2\ndo:droplet:404\ndo:droplet:405\n")
    account.fail(faults.Omit(["do:droplet:405"]), when=lambda request: request.method == "POST")
    assert 1 == main(["reconcile", "web", "--prune", "-o", "json"])
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert 2 == len(document.pop("request_ids"))
    assert {
        "added": ["do:droplet:3"],
        "removed": ["do:droplet:1"],
        "kept": ["do:droplet:2"],
        "failed": [{"urn": "do:droplet:404", "status": "not_found", "reason": "not_found"}],
        "unknown": ["do:droplet:405"],
        "untouched": [],
        "refused": [],
        "error": None,
    } == document
    assert [
        "# outcome unknown: do:droplet:405",
        "# 1 added, 1 removed, 1 kept, 2 not moved",
    ] == output.err.splitlines()


def test_reconcile_with_what_is_not_there(
    account: Emulator, web: str, capsys: Capture, say: Callable[[str], None]
) -> None:
    """A resource that does not exist is printed with its status; the exit status is 1."""
    say("do:droplet:404\n")
    assert 1 == main(["reconcile", "web"])
    output = capsys.readouterr()
    assert "! do:droplet:404  not_found\n" == output.out
    assert "# 0 added, 0 removed, 0 kept, 1 not moved\n" == output.err
    assert ["do:droplet:1", "do:droplet:2"] == account.resources(web)


@pytest.mark.parametrize("output", ["text", "json"])
def test_reconcile_with_what_is_refused(
    account: Emulator, web: str, output: str, capsys: Capture, say: Callable[[str], None]
) -> None:
    """A refused resource does not stop the others, and the API's reason is printed."""
    account.respond(
        412,
        {"id": "precondition_failed", "message": "Move the Droplet instead"},
        when=lambda request: b'"do:droplet:1"' in request.body,
        times=None,
    )
    say("do:droplet:3\n")
    assert 1 == main(["reconcile", "web", "--prune", "-o", output])
    printed = capsys.readouterr()
    if output == "text":
        assert "+ do:droplet:3\n- do:droplet:2\n! do:droplet:1  refused\n" == printed.out
    else:
        document = json.loads(printed.out)
        reason = "412 precondition_failed: Move the Droplet instead"
        failed = [{"urn": "do:droplet:1", "status": "refused", "reason": reason}]
        assert (failed, []) == (document["failed"], document["untouched"])
        assert [412] == [refusal["status"] for refusal in document["refused"]]
    explanation = "do:droplet:1: 412 precondition_failed: Move the Droplet instead"
    assert [
        f"digitalocean-projects: {explanation}",
        "# 1 added, 1 removed, 0 kept, 1 not moved",
    ] == printed.err.splitlines()
    assert ["do:droplet:3", "do:droplet:1"] == account.resources(web)


def test_reconcile_fails_half_way(
    account: Emulator, capsys: Capture, say: Callable[[str], None]
) -> None:
    """If pruning fails, the changes made before are printed."""
    for output, expected in (
        ("text", "+ do:droplet:3\n! do:droplet:404  not_found\n"),
        ("json", HALF_WAY),
        ("jsonl", HALF_WAY),
    ):
        account.seed(["do:droplet:3"], default=True)
        say("do:droplet:2\ndo:droplet:3\ndo:droplet:404\n")
        account.respond(
            403, when=lambda request: request.method == "POST" and "default" in request.path
        )
        assert 1 == main(["reconcile", "web", "--prune", "-o", output])
        printed = capsys.readouterr()
        *notes, failure = printed.err.splitlines()
        error = json.dumps(failure.removeprefix("digitalocean-projects: "))
        # A part of a UUID that a test doesn't know.
        shown = re.sub('(?<="request_ids":\\[")[0-9a-f-]{36}', "ID", printed.out)
        assert expected.replace("ERROR", error) == shown
        assert ["# not moved: do:droplet:1", "# 1 added, 0 removed, 1 kept, 2 not moved"] == notes
        assert failure.startswith("digitalocean-projects: 403 (POST")


@pytest.mark.usefixtures("web")
def test_reconcile_when_all_is_refused(
    account: Emulator, capsys: Capture, say: Callable[[str], None]
) -> None:
    """Each run prints the same document, which names the refused resources."""
    account.respond(
        412,
        {"id": "precondition_failed", "message": "Move the Droplet instead"},
        when=lambda request: b'"do:droplet:1"' in request.body,
        times=None,
    )
    documents = []
    for _ in range(2):
        say("do:droplet:2\n")
        assert 1 == main(["reconcile", "web", "--prune", "-o", "json", "-q"])
        printed = capsys.readouterr()
        documents.append(json.loads(printed.out))
        assert "do:droplet:1: 412 precondition_failed: Move the Droplet instead" in printed.err
    assert documents[0] == documents[1]
    assert ["do:droplet:1"] == [failed["urn"] for failed in documents[0]["failed"]]
    assert ["do:droplet:2"] == documents[0]["kept"]


@pytest.mark.parametrize("options", [[], ["-q"]])
def test_reconcile_with_nothing(  # noqa: PLR0917 - fixtures
    account: Emulator,
    web: str,
    options: list[str],
    capsys: Capture,
    say: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Notes say that a terminal is read, and that the list is empty."""
    say("# nothing\n")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert 0 == main(["reconcile", "web", *options])
    notes = capsys.readouterr().err.splitlines()
    expected = [
        "# reading URNs, one per line, from standard input until Ctrl-D",
        "# the list of URNs is empty; nothing is assigned",
        "# 0 added, 0 removed, 0 kept",
    ]
    assert ([] if options else expected) == notes
    assert 2 == len(account.resources(web))


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["unassign", "do:droplet:1,do:droplet:2"], "; pass each URN as its own argument\n"),
        (["reconcile", "web"], "standard input:1: a URN must have the form do:TYPE:ID"),
        (["reconcile", "web"], "; pass each URN on its own line\n"),
    ],
)
def test_several_urns_in_one(
    arguments: list[str], text: str, capsys: Capture, say: Callable[[str], None]
) -> None:
    """Several URNs in one argument or line are refused with the way to separate them."""
    say("do:droplet:1,do:droplet:2\n")
    assert 2 == main(arguments)
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["assign", "do:droplet:1", "web"],
            "argument PROJECT: must be a UUID, a name or 'default'",
        ),
        (["assign", "do:droplet:1", "web"], "; write PROJECT first, and then the URNs\n"),
        (["project", "list"], "; did you mean 'projects'?\n"),
        (["move", "do:droplet:1"], "; did you mean 'assign'?\n"),
        (["projects", "lits"], "; did you mean 'list'?\n"),
        (["xyz"], "invalid choice: 'xyz'"),
    ],
)
def test_likely_mistakes(arguments: list[str], text: str, capsys: Capture) -> None:
    """The usage error names the likely mistake."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert 2 == caught.value.code
    error = capsys.readouterr().err
    assert text in error
    assert (";" in text) or "did you mean" not in error
