"""Engine: msgspec, which loads when the first JSON is read or written: it takes 6 ms."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import attrs
import msgspec

from .enums import Environment
from .models import Project

if TYPE_CHECKING:
    from collections.abc import Callable

decode = msgspec.json.decode
asdict = msgspec.structs.asdict
# The errors of msgspec, which include those for numbers that are too large, and for depth.
NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Subclasses of str, such as URN and markupsafe.Markup, are encoded as plain text.
encoder = msgspec.json.Encoder(enc_hook=str.__str__)

_HINTS = get_type_hints(Project)
_TIME = Annotated[datetime, msgspec.Meta(tz=True)] | None
# The members that a project must have in JSON to be usual, if it is not the type of the field.
_USUAL = {"environment": Environment, "owner_id": Any, "created_at": _TIME, "updated_at": _TIME}
# A project, and the document that holds it, with no other members than the documented ones. Without
# `Resource`'s tricks, since a response has one project.
decode_usual_project: Callable[[bytes], Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "_UsualProject",
        [
            (
                "project",
                msgspec.defstruct(
                    "_Project",
                    [
                        (field.name, _USUAL.get(field.name, _HINTS[field.name]))
                        for field in attrs.fields(Project)
                    ],
                    forbid_unknown_fields=True,
                ),
            )
        ],
        forbid_unknown_fields=True,
    )
).decode
