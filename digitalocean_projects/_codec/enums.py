"""Enums: the words that the API documents for members of its documents.

The command shows them in its help, so this module loads nothing that takes time.
"""

from __future__ import annotations

from enum import StrEnum

from digitalocean_projects._public import publish


class ResourceStatus(StrEnum):
    """The status that the API gives a resource in a listing or an assignment.

    https://docs.digitalocean.com/reference/api/reference/project-resources/
    """

    OK = "ok"
    NOT_FOUND = "not_found"
    ASSIGNED = "assigned"
    ALREADY_ASSIGNED = "already_assigned"
    SERVICE_DOWN = "service_down"


class Environment(StrEnum):
    """The environment of a project's resources.

    https://docs.digitalocean.com/reference/api/reference/projects/
    """

    DEVELOPMENT = "Development"
    STAGING = "Staging"
    PRODUCTION = "Production"


class Purpose(StrEnum):
    """The purposes of a project that the API documents; it stores any other text as `Other: …`.

    https://docs.digitalocean.com/reference/api/reference/projects/
    """

    TRYING_OUT = "Just trying out DigitalOcean"
    EDUCATION = "Class project / Educational purposes"
    WEBSITE = "Website or blog"
    WEB_APPLICATION = "Web Application"
    SERVICE = "Service or API"
    MOBILE_APPLICATION = "Mobile Application"
    DATA_PROCESSING = "Machine learning / AI / Data processing"
    IOT = "IoT"
    TOOLING = "Operational / Developer tooling"


STATUSES: dict[str | None, ResourceStatus] = {status.value: status for status in ResourceStatus}


publish(globals())
