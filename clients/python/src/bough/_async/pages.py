"""Lists page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from .._async_transport import AsyncTransport

_MAX_PAGE = 1000


async def each_of(transport: AsyncTransport, route: str, given: Mapping[str, object]) -> AsyncGenerator[Any, None]:
    """All items of a list, from a cursor on if there is one."""
    asked = {**given, "limit": given.get("limit") or _MAX_PAGE}
    while True:
        page = await transport.reply(route, {}, asked)
        for item in page.value:
            yield item
        if "x-next-after" not in page.headers:
            return
        asked["after"] = page.headers["x-next-after"]
