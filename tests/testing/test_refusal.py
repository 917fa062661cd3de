"""Error documents."""

from __future__ import annotations

import pytest

from digitalocean_projects.testing._refusal import RefusedError


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ("bad_request", "Bad Request")),
        (401, ("Unauthorized", "Unable to authenticate you")),
        (403, ("forbidden", "You are not authorized to perform this operation")),
        (404, ("not_found", "The resource you requested could not be found.")),
        (412, ("precondition_failed", "Precondition Failed")),
        (429, ("too_many_requests", "API Rate limit exceeded.")),
        (500, ("server_error", "Unexpected server-side error")),
        (503, ("service_unavailable", "Service Unavailable")),
        (599, ("error", "error")),
    ],
)
def test_ids_and_messages(status: int, expected: tuple[str, str]) -> None:
    """Each status has an id and a message."""
    refusal = RefusedError(status)
    assert expected == (refusal.id, refusal.message)


def test_id_of_422() -> None:
    """The id doesn't follow HTTP's change of phrase."""
    assert "unprocessable_entity" == RefusedError(422).id


def test_message_of_its_own() -> None:
    """A reason takes the place of the status's message."""
    assert "too long" == RefusedError(400, "too long").message
