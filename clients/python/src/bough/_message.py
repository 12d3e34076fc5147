"""A call as the bytes of an HTTP request, and an answer's bytes as a value or an error. Pure.

The daemon is trusted to answer as the API says; answers are not validated beyond being JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn, Optional, cast

from ._codes import CODES, UNKNOWN
from ._config import Address
from ._routes import ROUTES
from .cancel import Cancel
from .errors import BoughApiError

Json = Any
"""What `json` makes of a text."""

OPTIONS = ("give_up_secs", "cancel", "idempotency_key")


class Call(NamedTuple):
    """A call that is ready to be sent."""

    method: str
    data: bytes
    """The whole request, in one piece so that it leaves in one packet."""
    may_repeat: bool
    """Whether it makes nothing twice when it is sent again."""
    give_up_secs: Optional[float]
    cancel: Optional[Cancel]


class Answer(NamedTuple):
    """What came back."""

    status: int
    content_type: str
    request_id: Optional[str]
    body: bytes


def prepare(
    address: Address, token: Optional[str], route: str, params: Mapping[str, str], given: Mapping[str, object]
) -> Call:
    """The call of a route. Raises TypeError and ValueError for what no daemon could take."""
    row = ROUTES[route]
    allowed = {*(row.fields.__annotations__ if row.fields else ()), *row.positional, *OPTIONS[:2]}
    for name in given:
        if name not in allowed:
            raise TypeError(f"{route} takes no {name!r}; it takes {', '.join(sorted(allowed))}")
    fields = {name: value for name, value in given.items() if value is not None}
    cancel = cast("Optional[Cancel]", fields.pop("cancel", None))
    give_up_secs = cast("Optional[float]", fields.pop("give_up_secs", None))
    key = fields.pop("idempotency_key", None)
    target = address.base_path + _fill(row.path, params) + (_query(fields) if row.in_query else "")
    body = _encode(fields) if row.method == "POST" and row.fields and not row.in_query else None
    data = _head(row.method, target, _headers(address, token, key, body)) + (body or b"")
    return Call(row.method, data, row.harmless or key is not None, give_up_secs, cancel)


def _fill(path: str, params: Mapping[str, str]) -> str:
    for name, value in params.items():
        # Anything else is no name, and ".." would call another route.
        if not isinstance(cast(object, value), str) or re.fullmatch(r"[A-Za-z0-9_-]+", value) is None:
            raise ValueError(f"Not a valid {name}: {value!r}")
        path = path.replace("{" + name + "}", value)
    return path


def _query(fields: Mapping[str, object]) -> str:
    flags = [f"{name}=true" for name, value in fields.items() if value]
    return "?" + "&".join(flags) if flags else ""


def _encode(fields: Mapping[str, object]) -> bytes:
    # A str with bytes that were not UTF-8 (lone surrogates) fails here as the ValueError it is, instead of arriving as "?".
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()


def _headers(address: Address, token: Optional[str], key: object, body: Optional[bytes]) -> dict[str, str]:
    headers = {"Host": address.host_header, "Accept": "application/json", "Accept-Encoding": "identity"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if key is not None:
        if not isinstance(key, str) or re.fullmatch(r"[\x21-\x7e]{1,255}", key) is None:
            raise ValueError("An idempotency key is 1 to 255 visible ASCII characters")
        headers["Idempotency-Key"] = key
    if body is not None:
        headers["Content-Type"] = "application/json"
        headers["Content-Length"] = str(len(body))
    return headers


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def read_answer(answer: Answer) -> Json:
    """The value of an answer: JSON, text, or None for one without a body. Raises BoughApiError."""
    is_json = answer.content_type.startswith("application/json")
    if not 200 <= answer.status < 300:
        _fail(answer, _parse(answer) if is_json else None)
    if is_json:
        return _parse(answer)
    try:
        return answer.body.decode() or None
    except UnicodeDecodeError:
        raise _unexpected(answer) from None


def _fail(answer: Answer, failure: Json) -> NoReturn:
    if not isinstance(failure, dict):
        raise _unexpected(answer)
    fields = cast("dict[str, Any]", failure)
    message, code, details = fields.get("error"), fields.get("code"), fields.get("details")
    if not isinstance(message, str) or not isinstance(code, str):
        raise _unexpected(answer)
    known = CODES.get(code, UNKNOWN)
    raise known.raised_as(
        message,
        status=answer.status,
        code=code,
        details=cast("dict[str, Any]", details) if isinstance(details, dict) else None,
        request_id=answer.request_id,
        retryable=known.retryable,
    )


def _parse(answer: Answer) -> Json:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):  # Not JSON, not UTF-8, or nested without end.
        raise _unexpected(answer) from None


def _unexpected(answer: Answer) -> BoughApiError:
    return BoughApiError(
        f"Unexpected answer with status {answer.status}: what listens there does not speak this API",
        status=answer.status,
        code="unexpected_answer",
        request_id=answer.request_id,
    )
