# Made from ../_async by scripts/make_sync.py; do not edit.
"""Lists page by page."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from .._transport import Transport

_MAX_PAGE = 1000


def each_of(transport: Transport, route: str, given: Mapping[str, object]) -> Generator[Any, None, None]:
    """All items of a list, from a cursor on if there is one."""
    asked = {**given, "limit": given.get("limit") or _MAX_PAGE}
    while True:
        page = transport.reply(route, {}, asked)
        for item in page.value:
            yield item
        if "x-next-after" not in page.headers:
            return
        asked["after"] = page.headers["x-next-after"]
