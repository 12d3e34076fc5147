"""Where the daemon is and which token it wants, given or from the environment as the `bough` command takes it."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

DEFAULT_URL = "http://127.0.0.1:8889"


class Address(NamedTuple):
    """A daemon's URL, taken apart."""

    url: str
    is_tls: bool
    host: str
    port: int
    host_header: str
    base_path: str
    """What stands before the API's own paths; no slash at its end."""


def find_address(url: Optional[str]) -> Address:
    """The address of `url`, else of BOUGH_URL, else of a daemon on this machine. Raises ValueError."""
    given = (url or os.environ.get("BOUGH_URL") or DEFAULT_URL).rstrip("/")
    if re.search(r"[^\x21-\x7e]", given):
        raise ValueError(f"Not an http URL: {given!r}")
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"Not an http URL: {given!r}")
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    return Address(given, is_tls, parts.hostname, port, parts.netloc, parts.path)


def find_tls(tls: Optional[ssl.SSLContext]) -> ssl.SSLContext:
    """The context given, else one that trusts this machine's authorities and the certificates of BOUGH_TLS_CA. Raises OSError."""
    if tls is not None:
        return tls
    context = ssl.create_default_context()
    if ca_file := os.environ.get("BOUGH_TLS_CA"):
        context.load_verify_locations(ca_file)
    return context


def find_token(token: Optional[str], token_file: Optional[str]) -> Optional[str]:
    """The token, else what `token_file`, BOUGH_TOKEN_FILE or BOUGH_TOKEN give. Raises OSError for a file, ValueError."""
    if token is None:
        path = token_file or os.environ.get("BOUGH_TOKEN_FILE")
        # Decoded without loss or failure, so that what is no token is refused below, in one place.
        token = Path(path).read_text("latin-1").strip() if path else os.environ.get("BOUGH_TOKEN")
    if not token:
        return None
    if re.fullmatch(r"[\x21-\x7e]+", token) is None:
        raise ValueError("A token is printable ASCII without spaces")
    return token
