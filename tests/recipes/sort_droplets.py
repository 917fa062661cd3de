"""Sort Droplets into projects, by tag and by name."""

from __future__ import annotations

from fnmatch import fnmatchcase

from digitalocean_projects import Client

BY_TAG = {"shop": "web-shop", "shared": "first-project"}
BY_NAME = {"shop-*": "web-shop", "*-db": "first-project"}


def sorted_droplets(client: Client) -> dict[str, list[str]]:
    """Return the URNs for each project. The first rule that fits a Droplet decides."""
    places: dict[str, str] = {}
    for tag, project in BY_TAG.items():
        for droplet in client.paginate("/v2/droplets", "droplets", params={"tag_name": tag}):
            places.setdefault(f"do:droplet:{droplet['id']}", project)
    for droplet in client.paginate("/v2/droplets", "droplets"):
        for pattern, project in BY_NAME.items():
            if fnmatchcase(droplet["name"], pattern):
                places.setdefault(f"do:droplet:{droplet['id']}", project)
    wanted: dict[str, list[str]] = {}
    for urn, project in places.items():
        wanted.setdefault(project, []).append(urn)
    return wanted


def main() -> None:
    """Assign the Droplets; those that no rule names stay where they are."""
    with Client(bulk=True) as client:
        for name, urns in sorted_droplets(client).items():
            result = client.projects.assign_resources(client.projects.find(name), urns)
            result.raise_for_failed()
            moved = [resource.id for resource in result.done if resource.status == "assigned"]
            print(name, "moved:", *moved)  # noqa: T201 - a script


if __name__ == "__main__":
    main()
