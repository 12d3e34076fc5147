"""Calls about secrets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, List

from .._async_transport import AsyncTransport
from ..records import Secret

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import CallOptions, SecretRequest


class AsyncSecrets:
    """`bough.secrets`: values that are put into requests of sandboxes on their way out, and that no sandbox has."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, **options: Unpack[CallOptions]) -> List[Secret]:
        """All of them, without their values."""
        return await self._transport.call("listSecrets", {}, options)

    async def set(self, name: str, value: str, hosts: Sequence[str], **request: Unpack[SecretRequest]) -> Secret:
        """Makes one, or replaces it as a whole: requests that begin after that get the new value.

        It is sent to these hosts and nowhere else; without `header` and `format` as `Authorization: Bearer ...`.
        """
        return await self._transport.call("setSecret", {"name": name}, {**request, "value": value, "hosts": hosts})

    async def remove(self, name: str, **options: Unpack[CallOptions]) -> None:
        """Removes one: what running sandboxes ask of its hosts is answered with 502 from then on. Raises `NotFound`."""
        await self._transport.call("removeSecret", {"name": name}, options)
