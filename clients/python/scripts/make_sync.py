"""Makes `bough/_sync` from `bough/_async`: the same client without the words of asyncio.

    python3 clients/python/scripts/make_sync.py [--check]

With --check it writes nothing and ends with 1 if a file is not as it would be made.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE_DIR = Path(__file__).parent.parent / "src" / "bough"
HEADER = "# Made from ../_async by scripts/make_sync.py; do not edit.\n"

CHANGES = (
    (r"The client for asyncio\. `_sync` is made from these files.*", 'The client for plain programs."""'),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bAsyncGenerator\[(.*), None\]", r"Generator[\1, None, None]"),
    (r"\bawait ", ""),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"AsyncTransport\(Transport\((.*)\)\)", r"Transport(\1)"),
    (r"from \.\._async_transport import AsyncTransport\n(?=from \.\._transport)", ""),
    (r"\bAsyncBytes\b", "Bytes"),
    (r"\.\._async_transport\b", ".._transport"),
    (r"\.\._async_stream import AsyncWebSocket\b", ".._websocket import WebSocket"),
    (r"\bAsync([A-Z])", r"\1"),
)


def to_sync(source: str) -> str:
    """The text of the plain client's file, from that of asyncio's."""
    for pattern, replacement in CHANGES:
        source = re.sub(pattern, replacement, source)
    return HEADER + source


def main() -> int:
    is_check = sys.argv[1:] == ["--check"]
    stale: list[str] = []
    for path in sorted((PACKAGE_DIR / "_async").glob("*.py")):
        target = PACKAGE_DIR / "_sync" / path.name
        wanted = to_sync(path.read_text())
        if not target.exists() or target.read_text() != wanted:
            stale.append(target.name)
            if not is_check:
                target.write_text(wanted)
    if is_check and stale:
        print(f"Not as made from _async: {', '.join(stale)}; run scripts/make_sync.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
