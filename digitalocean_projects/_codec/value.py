"""Value: any JSON value of a caller, checked and encoded within bounds."""

from __future__ import annotations

import json
from math import isfinite
from typing import cast

_DEEPEST = 100
_MOST_VALUES = 1_000_000
# Characters, so that a value whose parts are shared can't become a text without an end.
_LARGEST = 16 * 2**20


def encode_value(name: str, value: object) -> bytes:
    """Return any JSON value as JSON.

    Raises:
        TypeError: The value holds a type that JSON doesn't have, or a key that is not a string.
        ValueError: The value holds a number that is not finite or has too many digits, text that is
            not valid Unicode, or is nested too deeply or too large.
    """
    _check_value(name, value)
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        problem = f"{name} must be valid Unicode text, got a lone surrogate"
    except ValueError:
        problem = f"{name} must have numbers of fewer digits"
    raise ValueError(problem)


def _check_value(name: str, value: object) -> None:
    """Check a value level by level. Parts that it shares count as often as they are sent."""
    values, size, level = 0, 0, [value]
    for _ in range(_DEEPEST):
        values += len(level)
        parts: list[object] = []
        for each in level:
            if isinstance(each, dict):
                size += _size_of_keys(name, each)
                parts += each.values()
            elif isinstance(each, list | tuple):
                parts += each
            else:
                size += _size(name, each)
            if values + len(parts) > _MOST_VALUES or size > _LARGEST:
                most = f"{_MOST_VALUES:,} values and {_LARGEST // 2**20} MiB of text"
                raise ValueError(f"{name} must have at most {most}, got more")
        level = parts
    if level:
        most = f"at most {_DEEPEST} levels of lists and dicts"
        raise ValueError(f"{name} must have {most}, got more")


def _size_of_keys(name: str, value: dict[object, object]) -> int:
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"the keys in {name} must be strings, got {type(key).__name__}")
    return sum(map(len, cast("dict[str, object]", value)))


def _size(name: str, value: object) -> int:
    """Return the approximate number of characters of a value without parts."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, int):
        return value.bit_length() // 3
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"the numbers in {name} must be finite, got {value}")
    if not isinstance(value, float | None):
        kinds = "dicts, lists, strings, numbers, bools and None"
        raise TypeError(f"{name} must consist of {kinds}, got {type(value).__name__}")
    return 0
