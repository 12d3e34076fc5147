"""The client of bough's HTTP API: sandboxes that can be branched while they run.

Start with `Bough`, or with `AsyncBough` in asyncio; `Controller` has the same calls under flat names.

    from bough import Bough

    bough = Bough()
    with bough.spawn("base") as sandbox:
        sandbox.eval("x = 42")
        snapshot = sandbox.branch()
        with bough.spawn(snapshot["tag"]) as child:
            assert child.eval("x")["result"] == "42"
"""

from ._async.attachment import AsyncAttachment
from ._async.client import AsyncBough
from ._async.controller import AsyncController
from ._async.files import AsyncSandboxFiles
from ._async.network import AsyncSandboxNetwork
from ._async.ports import AsyncPortConnection, AsyncSandboxPorts
from ._async.process import AsyncProcess
from ._async.processes import AsyncProcesses
from ._async.sandbox import AsyncFork, AsyncSandbox
from ._async.timeline import AsyncSandboxTimeline
from ._sync.attachment import Attachment
from ._sync.client import Bough
from ._sync.controller import Controller
from ._sync.files import SandboxFiles
from ._sync.network import SandboxNetwork
from ._sync.ports import PortConnection, SandboxPorts
from ._sync.process import Process
from ._sync.processes import Processes
from ._sync.sandbox import Fork, Sandbox
from ._sync.timeline import SandboxTimeline
from .cancel import Cancel
from .errors import (
    AgentDeadline,
    AgentError,
    BoughApiError,
    BoughCancelled,
    BoughError,
    BoughTimeout,
    BoughUnreachable,
    BranchInProgress,
    Conflict,
    ImageNotFound,
    InvalidRequest,
    ModeUnsupported,
    NoRoom,
    NotFound,
    ProcessNotFound,
    SandboxNotFound,
    SandboxNotRunning,
    ShuttingDown,
    SnapshotIncompatible,
    SnapshotInUse,
    SnapshotNotFound,
    SnapshotNotUsable,
    TagExists,
    Unauthorized,
)

__all__ = [
    "AgentDeadline",
    "AgentError",
    "AsyncAttachment",
    "AsyncBough",
    "AsyncController",
    "AsyncFork",
    "AsyncPortConnection",
    "AsyncProcess",
    "AsyncProcesses",
    "AsyncSandbox",
    "AsyncSandboxFiles",
    "AsyncSandboxNetwork",
    "AsyncSandboxPorts",
    "AsyncSandboxTimeline",
    "Attachment",
    "Bough",
    "BoughApiError",
    "BoughCancelled",
    "BoughError",
    "BoughTimeout",
    "BoughUnreachable",
    "BranchInProgress",
    "Cancel",
    "Conflict",
    "Controller",
    "Fork",
    "ImageNotFound",
    "InvalidRequest",
    "ModeUnsupported",
    "NoRoom",
    "NotFound",
    "PortConnection",
    "Process",
    "ProcessNotFound",
    "Processes",
    "Sandbox",
    "SandboxFiles",
    "SandboxNetwork",
    "SandboxNotFound",
    "SandboxNotRunning",
    "SandboxPorts",
    "SandboxTimeline",
    "ShuttingDown",
    "SnapshotInUse",
    "SnapshotIncompatible",
    "SnapshotNotFound",
    "SnapshotNotUsable",
    "TagExists",
    "Unauthorized",
]
