"""The account's ids, tokens, times and moves, and its projects as values."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import pytest

from digitalocean_projects._codec.urn import URN
from digitalocean_projects.testing import Emulator, MockClock, StoredProject
from digitalocean_projects.testing._account import Account, NameTakenError, Token

if TYPE_CHECKING:
    from digitalocean_projects.testing._account import Assignment


@pytest.fixture
def clock() -> MockClock:
    return MockClock(rate=0)


@pytest.fixture
def account(clock: MockClock) -> Account:
    return Account(clock)


def texts(listing: list[Assignment]) -> list[str]:
    return [str(assignment.urn) for assignment in listing]


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


def test_ids_are_never_used_again(account: Account) -> None:
    """A name that is free again makes another id, the same one in every run."""
    ids: list[str] = []
    for _ in range(3):
        project = account.add_project("web")
        ids.append(project.id)
        account.remove_project(project)
    other = Account(MockClock())
    again = [other.add_project("web")]
    other.change_project(again[0], name="shop")
    assert ids[:2] == [again[0].id, other.add_project("web").id]
    assert 3 == len({*ids})


def test_refused_projects_leave_no_trace(account: Account) -> None:
    """What was refused has used up neither an id nor a time."""
    with pytest.raises(ValueError, match="purpose"):
        account.add_project("web", purpose="x" * 256)
    with pytest.raises(NameTakenError):
        account.add_project("first-project")
    with pytest.raises(NameTakenError):
        account.change_project(account.add_project("shop"), name="first-project")
    assert account.add_project("web") == account.projects()[0]
    other = Account(MockClock())
    other.add_project("shop")
    assert other.add_project("web") == account.projects()[0]


def test_generated_names_are_free(account: Account) -> None:
    """A project without a name gets one that no other has."""
    account.add_project("project-2")
    names = [account.add_project(None).name for _ in range(3)]
    assert ["project-3", "project-4", "project-5"] == names
    account.add_project("project-6")
    assert "project-7" == account.add_project(None).name


def test_taken_name(account: Account) -> None:
    """A second project of one name is refused."""
    with pytest.raises(NameTakenError, match="a project of this name exists: 'first-project'"):
        account.add_project("first-project")


def test_times(account: Account) -> None:
    """Times rise strictly, and have no fraction, four digits or six."""
    texts = [account.place(URN("droplet", n), account.default).assigned_at for n in range(1000)]
    times = [datetime.fromisoformat(text) for text in texts]
    assert times == sorted(set(times))
    assert {20, 25, 27} == {len(text) for text in texts}
    assert all(re.fullmatch(r"2024-01-01T00:\d\d:\d\d(\.\d{4}|\.\d{6})?Z", text) for text in texts)


def test_times_of_projects(account: Account) -> None:
    """Each change of a project has a time of its own, which no assignment takes away."""
    web = account.add_project("web")
    account.place(URN("droplet", 1), web)
    shop = account.add_project("shop")
    web = account.change_project(web, description="x")
    web = account.change_project(web, description="x")
    assert ["00:00:01", "00:00:04", "00:00:02"] == [
        time.removeprefix("2024-01-01T").removesuffix("Z")
        for time in (web.created_at, web.updated_at, shop.updated_at)
    ]


def test_place_moves(account: Account) -> None:
    """A resource is in one project at a time, whichever of its names is used."""
    web = account.add_project("web")
    account.place(URN("reservedip", "203.0.113.1"), account.default)
    placed = account.place(URN("floatingip", "203.0.113.1"), web)
    assert [] == account.listing(account.default)
    assert [placed] == account.listing(web)
    assert placed is account.assignment(URN("reservedip", "203.0.113.1"))
    assert account.assignment(URN("droplet", 1)) is None


def test_place_later(clock: MockClock, account: Account) -> None:
    """A move shows when all of its time has passed, even of a resource that wasn't there."""
    web = account.add_project("web")
    account.place(URN("droplet", 1), account.default)
    moved = account.place(URN("droplet", 1), web, 60)
    account.place(URN("droplet", 2), web, 30)
    assert moved is account.assignment(URN("droplet", 1))
    clock.jump(59.99)
    assert (["do:droplet:1"], ["do:droplet:2"]) == (
        texts(account.listing(account.default)),
        texts(account.listing(web)),
    )
    clock.jump(0.01)
    assert ([], ["do:droplet:2", "do:droplet:1"]) == (
        texts(account.listing(account.default)),
        texts(account.listing(web)),
    )


def test_is_empty(clock: MockClock, account: Account) -> None:
    """A project isn't empty from when a resource was sent there until it is seen elsewhere."""
    web = account.add_project("web")
    assert account.is_empty(web)
    account.place(URN("droplet", 1), web, 10)
    assert not account.is_empty(web)
    clock.jump(10)
    account.place(URN("droplet", 1), account.default, 10)
    assert not account.is_empty(web)
    clock.jump(10)
    assert account.is_empty(web)


def test_listing_is_made_once_per_change(account: Account) -> None:
    """The order of a listing is kept until the project changes."""
    account.place(URN("droplet", 1), account.default)
    listing = account.listing(account.default)
    assert listing is account.listing(account.default)
    account.place(URN("droplet", 2), account.default)
    assert ["do:droplet:2", "do:droplet:1"] == texts(account.listing(account.default))


def test_token_allows() -> None:
    """One of the scopes asked for is enough, and a token without a limit has all."""
    token = Token(frozenset({"project:read"}))
    assert (True, False, True) == (
        token.allows("project:update", "project:read"),
        token.allows("project:update"),
        Token(None).allows("project:update"),
    )


DOCUMENTED_PURPOSES = [
    *("Just trying out DigitalOcean", "Class project / Educational purposes"),
    *("Website or blog", "Web Application", "Service or API", "Mobile Application"),
    *("Machine learning / AI / Data processing", "IoT", "Operational / Developer tooling"),
]


def project(**attributes: Any) -> StoredProject:
    attributes = {"name": "web", **attributes}
    return StoredProject(id="", created_at="", updated_at="", **attributes)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(("purpose", purpose, purpose) for purpose in [*DOCUMENTED_PURPOSES, ""]),
        ("purpose", "service or api", "Other: service or api"),
        ("purpose", "Other: x", "Other: x"),
        ("purpose", "Other: ", "Other: "),
        ("purpose", "x" * 255, "Other: " + "x" * 255),
        ("purpose", "Other: " + "x" * 255, "Other: " + "x" * 255),
        ("environment", "STAGING", "Staging"),
        ("environment", "production", "Production"),
        ("environment", "Development", "Development"),
        ("environment", "", ""),
        *(("name", text, text) for text in ("x", " ", "x" * 175, "\U0001f600" * 175)),
        *(("description", text, text) for text in ("", "x" * 255)),
    ],
)
def test_attribute(name: str, value: str, expected: str) -> None:
    """A purpose of one's own is marked as such once, and an environment is spelt in one way."""
    assert expected == getattr(project(**{name: value}), name)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", "", "name must have 1 to 175 characters, got 0"),
        ("name", "x" * 176, "name must have 1 to 175 characters, got 176"),
        ("name", "\ud800", "name must be valid Unicode text, got a lone surrogate"),
        ("description", "x" * 256, "description must have 0 to 255 characters, got 256"),
        ("purpose", "x" * 256, "purpose must have 0 to 255 characters, got 256"),
        ("purpose", "Other: " + "x" * 256, "purpose must have 0 to 255 characters, got 256"),
        ("environment", "Test", "environment must be Development, Staging or Production"),
        ("environment", " Staging", "environment must be Development, Staging or Production"),
    ],
)
def test_wrong_value(name: str, value: str, message: str) -> None:
    """What the API doesn't allow is refused."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        project(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(
            (name, value, f"{name} must be a string, got {type(value).__name__}")
            for name in ("name", "description", "purpose", "environment")
            for value in (5, True, None, ["x"], {"x": 1})
        ),
        *(
            ("is_default", value, f"is_default must be a bool, got {type(value).__name__}")
            for value in (0, "true", None)
        ),
    ],
)
def test_wrong_type(name: str, value: object, message: str) -> None:
    """What is of another type is refused."""
    with pytest.raises(TypeError, match=f"^{message}$"):
        project(**{name: value})


def test_frozen() -> None:
    """A project is a value."""
    assert project(environment="staging") == project(environment="Staging")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        project().name = "shop"  # type: ignore[misc] # what is tested
