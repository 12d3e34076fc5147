"""What the daemon answers with: the JSON objects of the API, as they are.

They are plain dicts; these types say which keys they have. Numbers carry their unit in the name; `…_unix` is seconds since
1970. A newer daemon may send more keys, never other ones. Keys of a `total=False` part are there only when they are known.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union

BranchMode = Literal["full", "diff", "live"]
"""How memory is captured: `live` while the guest runs, `diff` and `full` while it stands still."""

OnEnd = Literal["kill", "snapshot"]
"""What happens to a sandbox at its end: removed, or first branched into a durable snapshot."""


class _SnapshotAlways(TypedDict):
    tag: str
    dir: str
    created_at_unix: int
    status: Literal["writing", "ready", "failed"]
    bootable: bool


class _SnapshotWhereKnown(TypedDict, total=False):
    branched_from: str
    mode: BranchMode
    pause_ms: float
    stopped_ms: float
    warning: str
    rebuilt: str
    durable: bool
    parent_tag: str
    captured_bytes: int
    expires_at_unix: int
    keep_last: int
    checkpoint: bool


class Snapshot(_SnapshotAlways, _SnapshotWhereKnown, total=False):
    """One captured instant. `dir` is its folder on the daemon's host; `pause_ms` how long its source stood still."""

    memory_physical_bytes: int


class SnapshotInfo(_SnapshotAlways, _SnapshotWhereKnown):
    """A snapshot with its sizes in bytes and its lineage; `ancestors` has the root first."""

    memory_logical_bytes: int
    memory_physical_bytes: int
    vmstate_bytes: int
    chain_depth: int
    ancestors: list[str]
    dependents: list[str]


class Isolation(TypedDict):
    """What stands between a guest and the host. `tcg` is not a security boundary."""

    accel: Literal["kvm", "tcg"]
    level: Literal["none", "namespaced", "user", "confined"]
    uid: int
    seccomp: bool
    cgroup: bool


class _SandboxAlways(TypedDict):
    id: str
    snapshot_tag: str
    guest_addr: str
    created_at_unix: int
    has_branched: bool
    branch_count: int
    netns: Union[str, None]
    pid: Union[int, None]
    memory_limit_mib: Union[int, None]
    last_branch_memory_path: Union[str, None]


class Network(TypedDict):
    """Which network a sandbox has."""

    mode: NetworkMode


class SandboxInfo(_SandboxAlways, total=False):
    """A sandbox as the daemon lists it. `memory_mib` is the guest's RAM, `private_bytes` what it shares with nobody."""

    state: Literal["running", "paused", "unresponsive", "failed"]
    state_reason: str
    console_tail: str
    name: str
    metadata: dict[str, str]
    parent: str
    end_at_unix: int
    idle_timeout_secs: float
    on_end: OnEnd
    on_end_tag: str
    last_used_at_unix: int
    warning: str
    memory_mib: int
    vcpus: int
    private_bytes: int
    isolation: Isolation
    network: Network


class RemoveFailure(TypedDict):
    """A sandbox that could not be ended, and why."""

    id: str
    error: str
    code: str


class RemovedSandboxes(TypedDict):
    """What became of the sandboxes that a selector chose; `removed` has the ids of those that are gone."""

    removed: list[str]
    failed: list[RemoveFailure]


class GuestStats(TypedDict, total=False):
    """What a guest's kernel says that it uses, since it booted; a guest may say anything, or not all of it."""

    cpu_time_ms: int
    memory_total_bytes: int
    memory_available_bytes: int
    disk_total_bytes: int
    disk_free_bytes: int
    network_received_bytes: int
    network_sent_bytes: int


class _StatsWhereKnown(TypedDict, total=False):
    guest: GuestStats


class SandboxStats(_StatsWhereKnown):
    """What a sandbox uses of its host. `memory_pss_bytes` is its proportional share of all memory that it uses. `guest` is there
    when the guest answered in time."""

    cpu_time_ms: int
    memory_unique_bytes: int
    memory_shared_bytes: int
    memory_pss_bytes: int
    disk_unique_bytes: int
    disk_shared_bytes: int


class ExecResult(TypedDict):
    """What a program printed, as text (bytes that are not UTF-8 are U+FFFD), and how it ended.

    `exit_code` is 128 + the signal's number when a signal ended it. Of each stream the first 16 MiB are kept.
    """

    stdout: str
    stderr: str
    exit_code: int
    truncated: bool


class EvalResult(TypedDict):
    """`result` is the value of an expression as text, None for statements; `error` a traceback, None if there was none."""

    result: Union[str, None]
    error: Union[str, None]
    exit_code: int
    stdout: str
    stderr: str
    truncated: bool


class Pong(TypedDict):
    """The agent's answer; it may say more than `pong`."""

    pong: bool


class ForkedSandbox(TypedDict):
    """A child that runs."""

    sandbox: SandboxInfo


class ForkFailure(TypedDict):
    """A child that did not start, and why."""

    error: str
    code: str


class ForkResult(TypedDict):
    """The snapshot between source and children, and one entry for each child that was asked for."""

    snapshot: Snapshot
    pause_ms: float
    children: list[Union[ForkedSandbox, ForkFailure]]


class Collected(TypedDict):
    """One thing that the collector removed, or keeps."""

    what: str
    name: str
    why: str
    bytes: int


class GcResult(TypedDict):
    """What the collector did; with `dry_run`, what it would do."""

    dry_run: bool
    removed: list[Collected]
    kept: list[Collected]
    freed_bytes: int


class Health(TypedDict):
    """The daemon answers."""

    ok: bool


class Version(TypedDict):
    """The daemon's version, and its API's."""

    version: str
    api: str


class TerminalSize(TypedDict):
    """How many characters a terminal has."""

    cols: int
    rows: int


class _ProcessAlways(TypedDict):
    pid: int
    args: list[str]
    pty: bool
    started_at_unix: int
    running: bool
    stdin_bytes: int
    stdout_from: int
    stdout_to: int
    stderr_from: int
    stderr_to: int


class ProcessInfo(_ProcessAlways, total=False):
    """A process of a guest, running or ended not long ago. The bytes from `…_from` up to `…_to` of its output are kept.

    `exit_code` is 128 + the signal's number when a signal ended it.
    """

    tag: str
    exit_code: int
    signal: str
    ended_at_unix: int
    timed_out: bool


class OutputBytes(TypedDict):
    """What a program printed, as it came; as text, a character that is cut in two comes with the next piece."""

    type: Literal["stdout", "stderr", "pty"]
    data: bytes
    text: str


class OutputGap(TypedDict):
    """Bytes that were asked for are gone: more was printed since than is kept."""

    type: Literal["gap"]
    stream: Literal["stdout", "stderr"]
    bytes: int


class ProcessMark(TypedDict):
    """Where a process began, in a stream that it was started with, or how it ended: the last piece."""

    type: Literal["started", "end"]
    process: ProcessInfo


class ExecEnd(TypedDict):
    """How a program ended: the last piece of a streamed exec."""

    type: Literal["end"]
    exit_code: int


ProcessOutput = Union[OutputBytes, OutputGap, ProcessMark]
"""A piece of the output of a kept process."""

ExecOutput = Union[OutputBytes, ExecEnd]
"""A piece of the output of an exec."""


class _EventAlways(TypedDict):
    event: Literal["created", "running", "paused", "branched", "rolled_back", "warned", "failed", "ended", "gap"]
    id: str


class Event(_EventAlways, total=False):
    """Something that happened to a sandbox. `gap`: events are missing here, `missed` of them, or None when nobody knows."""

    at_unix_ms: int
    sandbox: str
    snapshot_tag: str
    kept_tag: str
    parent: str
    name: str
    mode: BranchMode
    pause_ms: float
    warning: str
    reason: str
    missed: Union[int, None]


class _KeepAlways(TypedDict):
    within_secs: float


class Keep(_KeepAlways, total=False):
    """Of checkpoints that are at most `within_secs` old, one in `every_secs` stays, or all of them."""

    every_secs: float


class CheckpointSchedule(TypedDict):
    """How often a checkpoint is taken by itself, and which of them stay."""

    every_secs: float
    keep: list[Keep]
    max_bytes: int


class _CheckpointsAlways(TypedDict):
    schedule: Union[CheckpointSchedule, None]


class Checkpoints(_CheckpointsAlways, total=False):
    """The schedule, or None; `warning`: why the last checkpoint was not taken."""

    warning: str


class _TimelinePointAlways(TypedDict):
    tag: str
    at_unix_ms: int
    status: Literal["writing", "ready", "failed"]
    bytes: int
    durable: bool
    thinned: bool
    origin: bool


class TimelinePoint(_TimelinePointAlways, total=False):
    """A point to go back to. `bytes` is what its removal would free; one that is not `thinned` stays until it is removed."""

    pause_ms: float


class _RolledBackAlways(TypedDict):
    sandbox: SandboxInfo


class RolledBack(_RolledBackAlways, total=False):
    """A sandbox that stands at a snapshot again; `kept` is the checkpoint that has its state of before."""

    kept: Snapshot


NetworkMode = Literal["none", "off", "list", "internet"]
"""`none`: no network, and none can be given later; `off`: nothing now; `list`: what a rule allows; `internet`: also every public address."""

NetworkPreset = Literal["python", "node", "debian", "github"]
"""A list of rules that the host keeps."""


class NetworkRule(TypedDict, total=False):
    """One of `allow` and `deny`: a name, `*.` and a name, an address, a CIDR, or `host`; and TCP ports."""

    allow: str
    deny: str
    ports: list[int]


class NetworkPolicyInput(TypedDict, total=False):
    """What a sandbox may reach. The first rule that matches decides, then the mode."""

    mode: NetworkMode
    rules: list[NetworkRule]
    presets: list[NetworkPreset]
    max_connections: int
    secrets: list[str]


class _NetworkPolicyAlways(TypedDict):
    mode: NetworkMode
    rules: list[NetworkRule]
    presets: list[NetworkPreset]
    max_connections: int


class NetworkPolicy(_NetworkPolicyAlways, total=False):
    """A policy with its defaults filled in; `secrets` names those that are put into its requests."""

    secrets: list[str]


class Secret(TypedDict):
    """A secret of the host, without its value."""

    name: str
    hosts: list[str]
    header: str
    format: str
    updated_at_unix: int


class NetworkInfo(TypedDict):
    """A sandbox's network: its policy, and what came of it since it started. `queries` are names asked for."""

    policy: NetworkPolicy
    open: int
    connections: int
    refused: int
    queries: int
    bytes_up: int
    bytes_down: int


class NetworkVerdict(TypedDict):
    """What a policy says of a name or an address; `rule` is the one that decided, None when none did."""

    verdict: Literal["allowed", "refused"]
    rule: Union[str, None]
    why: str


class _NetworkLogAlways(TypedDict):
    at: str
    kind: Literal["tcp", "dns", "closed", "policy", "http"]


class NetworkLogLine(_NetworkLogAlways, total=False):
    """A connection (`tcp`), its end (`closed`), a name that was refused (`dns`), a connection cut by a new policy (`policy`), or a request for a secret (`http`)."""

    name: str
    address: str
    port: int
    verdict: Literal["allowed", "refused"]
    rule: str
    why: str
    method: str
    secrets: list[str]
    bytes_up: int
    bytes_down: int


class _FileAlways(TypedDict):
    type: Literal["file", "folder", "link", "fifo", "socket", "device", "other"]
    size_bytes: int
    mode: str
    uid: int
    gid: int
    modified_at_unix: int
    etag: str


class FileEntry(_FileAlways, total=False):
    """What is at a path. `mode` is four octal digits; `…_base64` stand instead of what is no text; `target` is where a link leads."""

    path: str
    path_base64: str
    target: str
    target_base64: str
    unreadable: bool


class WatchNews(TypedDict, total=False):
    """What is told of files that are watched: `watching` with the number of folders, a change with its path, what was not told."""

    type: Literal["watching", "created", "written", "removed", "metadata", "missed", "unwatched"]
    folders: int
    path: str
    path_base64: str
    folder: bool


OpenApiDocument = dict[str, Any]
"""An OpenAPI 3.1 document."""
