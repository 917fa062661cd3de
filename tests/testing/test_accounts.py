"""Several accounts in one emulator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from digitalocean_projects import URN
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


def test_removed_account(emulator: Emulator, call: Call) -> None:
    """An account that a reset removed can't be used, and its token is never another account's."""
    tenant, added = emulator.add_account(), emulator.add_token(["project:read"])
    emulator.reset()
    for use in (lambda: tenant.add_token([]), tenant.seed, tenant.projects, tenant.dump):
        with pytest.raises(RuntimeError, match="this account was removed by a reset or a load"):
            use()
    other = emulator.add_account()
    tokens = {emulator.token, tenant.token, added, other.token, emulator.add_token([])}
    assert 5 == len(tokens)
    assert 401 == call("GET", PROJECTS, authorization=bearer(tenant.token)).status


def test_reset_of_attachments(emulator: Emulator) -> None:
    """A reset drops attachments and restores `move_delay`; a load for an account drops its own."""
    for end in (emulator.reset, lambda: emulator.load("", replace=True)):
        emulator.seed(["do:loadbalancer:1", "do:kubernetes:2", "do:floatingip:192.0.2.1"])
        emulator.seed(["do:droplet:1"])
        emulator.attach("do:loadbalancer:1", "do:kubernetes:2")
        emulator.attach("do:floatingip:192.0.2.1", "do:droplet:1")
        emulator.move_delay = 90.0
        end()
        project = emulator.seed(["do:kubernetes:2", "do:droplet:1", "do:floatingip:192.0.2.1"])
        assert "do:loadbalancer:1" not in emulator.dump()
        account = emulator._account
        assert not account.attachments.hides(URN("loadbalancer", "1"))
        assert [] == account.attachments.addresses(URN("droplet", "1"))
        assert 3 == len(emulator.resources(project))
    emulator.reset()
    assert 0.0 == emulator.move_delay


@pytest.mark.parametrize("text", ["", '{"urn":"do:droplet:3"}', '{"kind":"project","name":"new"}'])
def test_load_during_a_move(text: str, call: Call, emulator: Emulator) -> None:
    """A load, also into another account, leaves a move under way, unless it names the resource."""
    emulator.move_delay = 90.0
    emulator.seed(["do:droplet:1", "do:droplet:2"], default=True)
    web = emulator.seed(["do:droplet:9"], name="web")
    tenant = emulator.add_account()
    body = {"resources": ["do:droplet:1"]}
    assert 200 == call("POST", f"{PROJECTS}/{web}/resources", body).status
    emulator.load(text)
    tenant.load('{"urn":"do:droplet:1"}')
    assert "do:droplet:1" in emulator.resources()
    assert ["do:droplet:9"] == emulator.resources(web)
    emulator.clock.jump(90.0)
    assert "do:droplet:1" not in emulator.resources()
    assert ["do:droplet:1", "do:droplet:9"] == emulator.resources(web)


def test_load_of_a_moving_resource(call: Call, emulator: Emulator) -> None:
    """A load that names a resource ends its move."""
    emulator.move_delay = 90.0
    emulator.seed(["do:droplet:1"], default=True)
    web = emulator.seed(name="web")
    body = {"resources": ["do:droplet:1"]}
    assert 200 == call("POST", f"{PROJECTS}/{web}/resources", body).status
    emulator.load('{"urn":"do:droplet:1","project":"default"}')
    emulator.clock.jump(90.0)
    assert (["do:droplet:1"], []) == (emulator.resources(), emulator.resources(web))


SCOPES = ["", "droplet", ":read", "droplet:", "\ud800:read", "a b:read", "a:b:c", "ä:read"]


@pytest.mark.parametrize("scope", SCOPES)
def test_refused_scopes(scope: str, call: Call, emulator: Emulator) -> None:
    """A scope that isn't of the form is refused by each way in, and the state can be written."""
    with pytest.raises(ValueError, match="a scope must have the form 'droplet:read', got "):
        emulator.add_token([scope])
    assert 400 == call("POST", "/_emulator/tokens", {"scopes": [scope]}).status
    line = json.dumps({"kind": "token", "token": "t", "scopes": [scope]})
    with pytest.raises(ValueError, match="line 2: a scope must have the form"):
        emulator.load(f"\n{line}")
    emulator.dump().encode()


def test_scopes_in_one_string(emulator: Emulator) -> None:
    """A single string is not a collection of scopes."""
    with pytest.raises(TypeError, match="scopes must be a collection of strings"):
        emulator.add_token("project:read")


@pytest.mark.parametrize(
    "text",
    [
        '{"kind":"token","token":"own"}',
        '{"kind":"token","token":"t"}{"kind":"token","token":"t","scopes":[]}',
        '{"kind":"account","token":"a"}{"kind":"token","token":"a"}',
    ],
)
def test_repeated_tokens_in_a_file(text: str) -> None:
    """A token line can't name the account's own token, or a token twice."""
    emulator = Emulator(token="own")
    before = emulator.dump()
    with pytest.raises(ValueError, match="line 1: token must differ from the account's other"):
        emulator.load(text)
    assert before == emulator.dump()
