"""Reading the fields of a request: each function gives the value in the type it must have, or raises `BadRequest`."""

from __future__ import annotations

import binascii

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any


class BadRequest(Exception):
    """A field is missing or of the wrong type; the message names it."""


def text(request: dict[str, Any], name: str, default: str | None = None) -> str | None:
    value = request.get(name, default)
    if value is not None and (not isinstance(value, str) or '\0' in value):
        raise BadRequest(f'{name} must be a string')
    return value


def required_text(request: dict[str, Any], name: str) -> str:
    value = text(request, name)
    if value is None:
        raise BadRequest(f'{name} is missing')
    return value


def string_list(request: dict[str, Any], name: str) -> list[str]:
    value = request.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and '\0' not in item for item in value):
        raise BadRequest(f'{name} must be an array of strings with at least one entry')
    return value


def string_map(request: dict[str, Any], name: str) -> dict[str, str]:
    value = request.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f'{name} must be an object')
    for key, item in value.items():
        if not key or '=' in key or '\0' in key or not isinstance(item, str) or '\0' in item:
            raise BadRequest(f'{name} must have string values and names without "="')
    return value


def seconds(request: dict[str, Any], name: str, default: float | None = None) -> float | None:
    value = request.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 10 * 365 * 86400:
        raise BadRequest(f'{name} must be a positive number of seconds')
    return value


def base64_bytes(request: dict[str, Any], name: str, at_least: int) -> bytes:
    value = required_text(request, name)
    try:
        data = binascii.a2b_base64(value.encode('ascii'), strict_mode=True)
    except (ValueError, UnicodeEncodeError) as error:
        raise BadRequest(f'{name} must be base64') from error
    if len(data) < at_least:
        raise BadRequest(f'{name} must have at least {at_least} bytes')
    return data


def nanoseconds(request: dict[str, Any], name: str) -> int:
    """A decimal string: JSON numbers cannot hold nanoseconds since 1970 exactly."""
    value = required_text(request, name)
    if not value.isascii() or not value.isdigit() or len(value) > 19:
        raise BadRequest(f'{name} must be a string of decimal digits')
    return int(value)
