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
from digitalocean_projects.testing._account import Account, NameTakenError
from digitalocean_projects.testing._token import Token

if TYPE_CHECKING:
    from digitalocean_projects.testing._assignment import Assignment


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
    """Tokens look like the provider's, differ from each other, and are the same in every run."""
    first, second = Emulator(), Emulator()
    tokens = [first.token, first.add_token([]), first.add_token(["droplet:read"])]
    assert tokens == [second.token, second.add_token([]), second.add_token(["app:read"])]
    assert 3 == len(set(tokens))
    assert all(re.fullmatch("dop_v1_[0-9a-f]{64}", token) for token in tokens)


def test_ids_are_never_used_again(account: Account) -> None:
    """A name that is used again gets a different id, which is the same in every run."""
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
    """A refused change uses up neither an id nor a time."""
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
    """A project without a name gets a unique one."""
    account.add_project("project-2")
    names = [account.add_project(None).name for _ in range(3)]
    assert ["project-3", "project-4", "project-5"] == names
    account.add_project("project-6")
    assert "project-7" == account.add_project(None).name


def test_taken_name(account: Account) -> None:
    """A second project with the same name is refused."""
    with pytest.raises(
        NameTakenError,
        match="name must be unique, but another project has the name 'first-project'",
    ):
        account.add_project("first-project")


def test_times(account: Account) -> None:
    """Times increase strictly, and have fractions of no, four or six digits."""
    texts = [account.place(URN("droplet", n), account.default).assigned_at for n in range(1000)]
    assert {20, 25, 27} == {len(text or "") for text in texts}
    times = [datetime.fromisoformat(text or "") for text in texts]
    assert times == sorted(set(times))
    pattern = r"2024-01-01T00:\d\d:\d\d(\.\d{4}|\.\d{6})?Z"
    assert all(re.fullmatch(pattern, text or "") for text in texts)


def test_times_of_projects(account: Account) -> None:
    """Each change of a project has its own time, independent of assignments."""
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
    """A resource is in one project at a time, under either of its names."""
    web = account.add_project("web")
    account.place(URN("reservedip", "203.0.113.1"), account.default)
    placed = account.place(URN("floatingip", "203.0.113.1"), web)
    assert [] == account.listing(account.default)
    assert [placed] == account.listing(web)
    assert placed is account.assignment(URN("reservedip", "203.0.113.1"))
    assert account.assignment(URN("droplet", 1)) is None


def test_place_later(clock: MockClock, account: Account) -> None:
    """A move is visible after its whole delay, even that of a new resource."""
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
    """A project isn't empty from the move of a resource to it until its move away is visible."""
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
    """The order of a listing is computed once for each change of the project."""
    account.place(URN("droplet", 1), account.default)
    listing = account.listing(account.default)
    assert listing is account.listing(account.default)
    account.place(URN("droplet", 2), account.default)
    assert ["do:droplet:2", "do:droplet:1"] == texts(account.listing(account.default))


def test_token_allows() -> None:
    """A token needs one of the scopes; a token without scopes allows everything."""
    token = Token(frozenset({"project:read"}))
    assert (True, False, True) == (
        token.allows("project:update", "project:read"),
        token.allows("project:update"),
        Token(None).allows("project:update"),
    )


def test_broad_scopes() -> None:
    """`api:read` stands for every scope that reads, and `api:write` for every scope."""
    tokens = [Token(frozenset({scope})) for scope in ("api:read", "api:write")]
    assert [True, True] == [token.allows("project:read") for token in tokens]
    assert [False, True] == [token.allows("project:update") for token in tokens]


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
    """A custom purpose gets one prefix, and an environment gets its documented spelling."""
    assert expected == getattr(project(**{name: value}), name)


ENVIRONMENTS = "environment must be Development, Staging or Production"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", "", "name must have 1 to 175 characters, got 0"),
        ("name", "x" * 176, "name must have 1 to 175 characters, got 176"),
        ("name", "\ud800", "name must be valid Unicode text, got a lone surrogate"),
        ("description", "x" * 256, "description must have 0 to 255 characters, got 256"),
        ("purpose", "x" * 256, "purpose must have 0 to 255 characters, got 256"),
        ("purpose", "Other: " + "x" * 256, "purpose must have 0 to 255 characters, got 256"),
        ("environment", "Test", f"{ENVIRONMENTS}, got 'Test'"),
        ("environment", " Staging", f"{ENVIRONMENTS}, got ' Staging'"),
    ],
)
def test_wrong_value(name: str, value: str, message: str) -> None:
    """An invalid value is refused."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
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
    """A value of another type is refused."""
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        project(**{name: value})


def test_frozen() -> None:
    """A project compares by value and is immutable."""
    assert project(environment="staging") == project(environment="Staging")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        project().name = "shop"  # type: ignore[misc] # what is tested
