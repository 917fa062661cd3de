"""Several accounts in one emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from digitalocean_projects.testing import Emulator

if TYPE_CHECKING:
    from .conftest import Call

PROJECTS = "/v2/projects"


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_accounts_are_separate(emulator: Emulator, call: Call) -> None:
    """An account neither lists nor reaches the projects and resources of another one."""
    tenant = emulator.add_account()
    first, second = emulator.seed(["do:droplet:1"], name="web"), tenant.seed(name="web")
    assert 4 == len({first, second, emulator.default_project_id, tenant.default_project_id})
    path = f"{PROJECTS}/{first}/resources"
    assert [200, 404] == [
        call("GET", path, authorization=bearer(token)).status
        for token in (emulator.token, tenant.token)
    ]
    body = {"resources": ["do:droplet:1"]}
    reply = call("POST", f"{PROJECTS}/{second}/resources", body, authorization=bearer(tenant.token))
    assert ["not_found"] == [resource["status"] for resource in reply.document["resources"]]
    assert (["do:droplet:1"], []) == (emulator.resources(first), tenant.resources(second))


def test_scopes_within_an_account(emulator: Emulator, call: Call) -> None:
    """A token that an account adds reads that account, within its scopes."""
    tenant = emulator.add_account()
    web = tenant.seed(["do:droplet:1", "do:volume:2"], name="web")
    token = bearer(tenant.add_token(["project:read", "droplet:read"]))
    reply = call("GET", f"{PROJECTS}/{web}/resources", authorization=token)
    assert ["do:droplet:1"] == [resource["urn"] for resource in reply.document["resources"]]
    assert 403 == call("DELETE", f"{PROJECTS}/{web}", authorization=token).status


def test_accounts_are_the_same_in_every_run() -> None:
    """The ids and tokens of further accounts are determined, and tokens can be chosen."""
    emulators = [Emulator(), Emulator()]
    for emulator in emulators:
        emulator.add_account("chosen")
    first, second = (emulator.add_account() for emulator in emulators)
    assert first.token == second.token != emulators[0].token
    assert first.seed(name="web") == second.seed(name="web")


@pytest.mark.parametrize("token", ["", "two words", "line\n", "ä", "chosen"])
def test_refused_tokens(emulator: Emulator, token: str) -> None:
    """A token that no header can hold, or that is in use, is refused without quoting it."""
    emulator.add_account("chosen")
    with pytest.raises(ValueError, match=r"^token must be ") as caught:
        emulator.add_account(token)
    assert not token or token not in str(caught.value)


def test_moves_of_all_accounts(call: Call, emulator: Emulator) -> None:
    """`move_delay` applies to all accounts, also to those that are added later."""
    before, emulator.move_delay = emulator.add_account(), 90.0
    for tenant in (before, emulator.add_account()):
        tenant.seed(["do:droplet:1"], default=True)
        path = f"{PROJECTS}/{tenant.seed(name='web')}/resources"
        body = {"resources": ["do:droplet:1"]}
        assert 200 == call("POST", path, body, authorization=bearer(tenant.token)).status
        assert ["do:droplet:1"] == tenant.resources()
