"""A call as the bytes of an HTTP request, and an answer's bytes as a value or an error. Pure.

The daemon is trusted to answer as the API says; answers are not validated beyond being JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn, Optional, Union, cast
from urllib.parse import urlencode

from ._codes import CODES, UNKNOWN
from ._config import Address
from ._routes import ROUTES
from .cancel import Cancel
from .errors import BoughApiError

Json = Any
"""What `json` makes of a text."""

OPTIONS = ("give_up_secs", "cancel", "idempotency_key")


AsyncBytes = Union[bytes, Iterable[bytes], AsyncIterable[bytes]]
"""What a route that takes bytes is given: as a whole, or piece by piece."""
Bytes = Union[bytes, Iterable[bytes]]


class Call(NamedTuple):
    """A call that is ready to be sent."""

    method: str
    data: bytes
    """The whole request, in one piece so that it leaves in one packet."""
    may_repeat: bool
    """Whether it makes nothing twice when it is sent again."""
    give_up_secs: Optional[float]
    cancel: Optional[Cancel]
    pieces: Optional[Iterable[bytes]] = None
    """What follows, for a body that comes in pieces."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    content_type: str
    request_id: Optional[str]
    body: bytes
    headers: Mapping[str, str] = {}
    """All of them, by their names in lower case."""


class Extras(NamedTuple):
    """What a call may have besides its fields."""

    accept: str = "application/json"
    data: Optional[Bytes] = None
    """Its body, for a route that takes bytes."""
    headers: Mapping[str, str] = {}
    """To be sent besides."""


def prepare(
    address: Address,
    token: Optional[str],
    route: str,
    params: Mapping[str, Union[str, int]],
    given: Mapping[str, object],
    extras: Extras = Extras(),
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
    headers = {**_headers(address, token, key), "Accept": extras.accept, **extras.headers}
    body = extras.data if isinstance(extras.data, bytes) else None
    pieces = None if isinstance(extras.data, bytes) else extras.data
    if extras.data is not None:
        headers["Content-Type"] = "application/octet-stream"
    if pieces is not None:
        headers["Transfer-Encoding"] = "chunked"
    elif body is None and row.method in ("POST", "PUT") and row.fields and not row.in_query:
        body = _encode(fields)
        headers["Content-Type"] = "application/json"
    if body is not None:
        headers["Content-Length"] = str(len(body))
    data = _head(row.method, target, headers) + (body or b"")
    return Call(row.method, data, row.harmless or key is not None, give_up_secs, cancel, pieces)


def _fill(path: str, params: Mapping[str, Union[str, int]]) -> str:
    for name, value in params.items():
        # Anything else is no name, and ".." would call another route.
        kind = int if name in ("pid", "port") else str
        if not isinstance(cast(object, value), kind) or not _NAME.fullmatch(str(value)):
            raise ValueError(f"Not a valid {name}: {value!r}")
        path = path.replace("{" + name + "}", str(value))
    return path


def port_place(sandbox_id: str, port: int) -> str:
    """The path below which a port of a sandbox is found. Raises ValueError for what is none."""
    return _fill("/s/{id}/p/{port}", {"id": sandbox_id, "port": port})


_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def _query(fields: Mapping[str, object]) -> str:
    """With its question mark. A flag that is not set is left out."""
    values = {name: "true" if value is True else str(value) for name, value in fields.items() if value is not False}
    return "?" + urlencode(values) if values else ""


def _encode(fields: Mapping[str, object]) -> bytes:
    # A str with bytes that were not UTF-8 (lone surrogates) fails here as the ValueError it is, instead of arriving as "?".
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()


def _headers(address: Address, token: Optional[str], key: object) -> dict[str, str]:
    headers = {"Host": address.host_header, "Accept-Encoding": "identity"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if key is not None:
        if not isinstance(key, str) or re.fullmatch(r"[\x21-\x7e]{1,255}", key) is None:
            raise ValueError("An idempotency key is 1 to 255 visible ASCII characters")
        headers["Idempotency-Key"] = key
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
    raise refusal(
        message,
        status=answer.status,
        code=code,
        details=cast("dict[str, Any]", details) if isinstance(details, dict) else None,
        request_id=answer.request_id,
    )


def refusal(
    message: str,
    *,
    status: int,
    code: str,
    details: Optional[dict[str, Any]] = None,
    request_id: Optional[str] = None,
) -> BoughApiError:
    """The error of a code."""
    known = CODES.get(code, UNKNOWN)
    return known.raised_as(
        message, status=status, code=code, details=details, request_id=request_id, retryable=known.retryable
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
