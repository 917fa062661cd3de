"""The account's ids, tokens, times and moves, as they are seen from outside."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

import pytest

from digitalocean_projects._urn import URN
from digitalocean_projects.testing import Emulator
from digitalocean_projects.testing._account import Account, Token


def test_ids_are_the_same_in_every_run() -> None:
    """A project's id is a version 4 UUID that its name alone determines."""
    first, second = Emulator(), Emulator()
    second.seed(name="other")
    ids = [first.default_project_id, first.seed(name="web")]
    assert ids == [second.default_project_id, second.seed(name="web")]
    assert [4, 4] == [UUID(project_id).version for project_id in ids]
    assert 2 == len(set(ids))


def test_tokens_are_the_same_in_every_run() -> None:
    """Tokens look like the provider's, differ from each other, and not between runs."""
    first, second = Emulator(), Emulator()
    tokens = [first.token, first.add_token([]), first.add_token(["droplet:read"])]
    assert tokens == [second.token, second.add_token([]), second.add_token(["app:read"])]
    assert 3 == len(set(tokens))
    assert all(re.fullmatch("dop_v1_[0-9a-f]{64}", token) for token in tokens)


def test_generated_names_are_free() -> None:
    """A project without a name gets one that no other has."""
    account = Account()
    account.add_project("project-2")
    names = [account.add_project(None).name for _ in range(3)]
    assert ["project-3", "project-4", "project-5"] == names
    account.add_project("project-6")
    assert "project-7" == account.add_project(None).name


def test_taken_name() -> None:
    """A second project of one name is refused."""
    account = Account()
    with pytest.raises(ValueError, match="a project of this name exists: 'first-project'"):
        account.add_project("first-project")


def test_times() -> None:
    """Times rise strictly, and have no fraction, four digits or six."""
    account = Account()
    texts = [account.place(URN("droplet", n), account.default).assigned_at for n in range(1000)]
    times = [datetime.fromisoformat(text) for text in texts]
    assert times == sorted(set(times))
    assert {20, 25, 27} == {len(text) for text in texts}
    assert all(re.fullmatch(r"2024-01-01T00:\d\d:\d\d(\.\d{4}|\.\d{6})?Z", text) for text in texts)


def test_place_moves() -> None:
    """A resource is in one project at a time, whichever of its names is used."""
    account = Account()
    web = account.add_project("web")
    account.place(URN("reservedip", "203.0.113.1"), account.default)
    account.place(URN("floatingip", "203.0.113.1"), web)
    assert [] == account.default.listing()
    assert [URN("floatingip", "203.0.113.1")] == [held.urn for held in web.listing()]
    assert web is account.holder(URN("reservedip", "203.0.113.1"))
    assert account.holder(URN("droplet", 1)) is None


def test_listing_is_made_once_per_change() -> None:
    """The order of a listing is kept until the project changes."""
    account = Account()
    account.place(URN("droplet", 1), account.default)
    listing = account.default.listing()
    assert listing is account.default.listing()
    account.place(URN("droplet", 2), account.default)
    assert ["2", "1"] == [held.urn.id for held in account.default.listing()]


def test_token_allows() -> None:
    """One of the scopes asked for is enough, and a token without a limit has all."""
    token = Token(frozenset({"project:read"}))
    assert (True, False, True) == (
        token.allows("project:update", "project:read"),
        token.allows("project:update"),
        Token(None).allows("project:update"),
    )
