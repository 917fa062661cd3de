"""The recipe that sorts Droplets into projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.recipes.sort_droplets import main

if TYPE_CHECKING:
    import pytest

    from digitalocean_projects.testing import Emulator


def test_sort_droplets(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Each Droplet moves to the project of its tag, or else of its name, and the others stay."""
    shop = next(project.id for project in emulator.projects() if project.name == "web-shop")
    before = set(emulator.resources(shop))
    for number in range(1, 251):
        emulator.add_droplet(number, f"web-{number}", ["shop"])
    emulator.add_droplet(251, "shop-db", ["other"])
    emulator.add_droplet(252, "shared-db", ["shared"], project_id=shop)
    emulator.add_droplet(253, "shop-1", ["shared", "shop"])
    emulator.add_droplet(254, "mail", ["mail"])
    main()
    moved = [*map(str, range(1, 251)), "253", "251"]
    expected = f"web-shop moved: {' '.join(moved)}\nfirst-project moved: 252\n"
    assert expected == capsys.readouterr().out
    urns = {f"do:droplet:{number}" for number in moved}
    assert before | urns == set(emulator.resources(shop))
    assert {"do:droplet:252", "do:droplet:254"} <= set(emulator.resources())
    # Another run moves nothing, and reads the pages of both tags and of all Droplets.
    emulator.forget_requests()
    main()
    assert "web-shop moved:\nfirst-project moved:\n" == capsys.readouterr().out
    listings = [it for it in emulator.requests if it.path == "/v2/droplets"]
    assert [("shop", "1"), ("shop", "2"), ("shared", "1")] == [
        (it.query["tag_name"], it.query["page"]) for it in listings if "tag_name" in it.query
    ]
