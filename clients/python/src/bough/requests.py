"""What calls take by keyword: the fields of each request, and what any call takes besides.

None is as if a field were not given. A name that is not listed here is a `TypeError`, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Optional, TypedDict, Union

from .cancel import Cancel
from .records import BranchMode, Keep, NetworkPolicyInput, NetworkPreset, NetworkRule, OnEnd, TerminalSize


class CallOptions(TypedDict, total=False):
    """What any call takes.

    To stop waiting ends a snapshot's creation, a spawn, an exec or an eval in the daemon too; a branch, a fork and what has an
    idempotency key go on.
    """

    give_up_secs: Optional[float]
    """Raise `BoughTimeout` if there is no answer after so many seconds; by default the client's, which is never."""
    cancel: Optional[Cancel]
    """Raise `BoughCancelled` as soon as this is set. In asyncio, cancelling the task does the same."""


class KeyedOptions(CallOptions, total=False):
    """What calls that make something take."""

    idempotency_key: Optional[str]
    """1 to 255 visible ASCII characters, a new one for each thing that is wanted. The same call with the same key makes nothing
    twice, so this client repeats it by itself when the daemon is restarted under it."""


class PageRequest(CallOptions, total=False):
    """Which part of a list is wanted."""

    limit: Optional[int]
    """At most so many, oldest first, 1 to 1000; for `each`: so many at a time."""
    after: Optional[str]
    """What comes after a page: what the header `x-next-after` of it said."""


class ListRequest(PageRequest, total=False):
    """Which sandboxes are wanted."""

    selector: Optional[str]
    """Requirements over their metadata, all of which hold: `a=b,c!=d,e,!f`."""


class StreamOptions(CallOptions, total=False):
    """What a call takes whose answer is a stream that is taken up again when the connection is lost. `give_up_secs` is how
    long nothing at all may come; the daemon says something every 15 seconds."""

    reconnect_secs: Optional[float]
    """How long a lost connection is tried again; 30 if it is not given, 0 for not at all."""


class GcRequest(CallOptions, total=False):
    """`dry_run`: only say what would be removed."""

    dry_run: Optional[bool]


class CreateSnapshotRequest(KeyedOptions, total=False):
    """What to boot: an `image` that was built, or `kernel` and `rootfs` as absolute paths on the daemon's host."""

    image: Optional[str]
    like: Optional[str]
    """Instead of all that says how to boot: the snapshot that is to be made again as it was made."""
    kernel: Optional[str]
    rootfs: Optional[str]
    initrd: Optional[str]
    kernel_cmdline: Optional[str]
    memory_mib: Optional[int]
    vcpus: Optional[int]
    boot_wait_secs: Optional[float]
    start: Optional[Union[Literal[True], Sequence[str]]]
    """What is started before the capture and runs on in each child: program and arguments, or True for the image's own."""
    ready: Optional[str]
    """When that is ready: `exec:COMMAND`, `tcp:PORT`, `http:PORT/PATH`, `file:/PATH` or `log:TEXT`; by default what the image says."""
    ready_timeout_secs: Optional[float]
    network: Optional[NetworkPolicyInput]
    expires_in_secs: Optional[float]
    expires_at_unix: Optional[int]


class DeleteSnapshotRequest(CallOptions, total=False):
    """At most one of `cascade` (its dependents too) and `force` (although it has some)."""

    cascade: Optional[bool]
    force: Optional[bool]


class _Lifetime(TypedDict, total=False):
    timeout_secs: Optional[float]
    """Seconds from now until it ends."""
    end_at_unix: Optional[int]
    """The same as a moment."""
    idle_timeout_secs: Optional[float]
    """Seconds without exec, eval, ping, branch or fork after which it ends."""
    on_end: Optional[OnEnd]
    on_end_tag: Optional[str]


class SpawnRequest(KeyedOptions, _Lifetime, total=False):
    """How sandboxes start. The last four are accepted by the daemon for older programs, and without effect."""

    memory_limit_mib: Optional[int]
    name: Optional[str]
    metadata: Optional[Mapping[str, str]]
    env: Optional[Mapping[str, str]]
    per_child_netns: Optional[bool]
    live_fork: Optional[bool]
    prewarm: Optional[bool]
    hugepages: Optional[bool]
    network: Optional[NetworkPolicyInput]


class TimeoutRequest(CallOptions, _Lifetime, total=False):
    """A change of a sandbox's end; what is not given stays as it is. `idle_timeout_secs` of 0: no idle end."""

    never: Optional[Literal[True]]
    """It has no end any more, apart from an idle one."""
    extend_only: Optional[bool]
    """Keep the present end if that is later."""


class ExecRequest(CallOptions, total=False):
    """How a program runs."""

    env: Optional[Mapping[str, str]]
    cwd: Optional[str]
    user: Optional[str]
    """Of the guest: `name`, `uid`, `name:group` or `uid:gid`. The image's own if it is not given."""
    stdin: Optional[str]


class _Branching(TypedDict, total=False):
    mode: Optional[BranchMode]
    """`live` if it is not given."""
    diff: Optional[bool]
    """Older form of `mode="diff"`."""
    live: Optional[bool]
    """Older form of `mode="live"`."""
    freeze: Optional[bool]
    """Whether the guest's programs stand still from before the pause until each child is its own."""
    expires_in_secs: Optional[float]
    """Seconds from now until the collector may remove the snapshot."""
    expires_at_unix: Optional[int]
    keep_last: Optional[int]
    """Of this sandbox's snapshots made with `keep_last`, the newest so many stay."""


class BranchRequest(KeyedOptions, _Branching, total=False):
    """How a sandbox is captured."""

    wait: Optional[Union[bool, Literal["durable"]]]
    """True (default): until it is ready. False (live only): until the source runs again; the snapshot is `writing` then.
    `"durable"`: until it would survive power loss."""
    parent_tag: Optional[str]
    """Only with diff: must equal the source's `snapshot_tag`."""
    checkpoint: Optional[bool]
    """Whether it is a point on the sandbox's timeline, that an undo goes back to."""
    measure_diff: Optional[bool]
    """Accepted by the daemon for older programs, and without effect."""


class CheckpointsRequest(CallOptions, total=False):
    """Which checkpoints stay, and what all of them may take."""

    keep: Optional[Sequence[Keep]]
    max_bytes: Optional[int]


class RollbackRequest(KeyedOptions, total=False):
    """What becomes of the state of before: a checkpoint, called `keep_tag`, unless `keep` is False."""

    keep: Optional[bool]
    keep_tag: Optional[str]


class ForkRequest(KeyedOptions, _Branching, _Lifetime, total=False):
    """How a sandbox is captured and its children live."""

    tag: Optional[str]
    """The snapshot's between them; made up if it is not given."""
    network: Optional[NetworkPolicyInput]


class OffsetsRequest(CallOptions, total=False):
    """Offsets of the first bytes that are wanted; 0 for all that is kept. The output of a terminal is `stdout`."""

    stdout_from: Optional[int]
    stderr_from: Optional[int]


class FollowRequest(StreamOptions, OffsetsRequest, total=False):
    """Which of its output is wanted."""

    follow: Optional[bool]
    """Whether to wait for what it prints until it has ended; True if it is not given."""


class StartProcessRequest(CallOptions, total=False):
    """How a process starts."""

    env: Optional[Mapping[str, str]]
    cwd: Optional[str]
    user: Optional[str]
    """As of `exec`."""
    pty: Optional[TerminalSize]
    """With a terminal of that size."""
    stdin: Optional[bool]
    """Whether it can be written to; it reads nothing otherwise."""
    timeout_secs: Optional[float]
    """After this all it started is killed."""
    tag: Optional[str]
    """Shown in lists."""


class FileRequest(CallOptions, total=False):
    """Whom a call about files is made as."""

    user: Optional[str]
    """Of the image: `name`, `uid`, `name:group` or `uid:gid`; root if it is not given."""


class NetworkRequest(CallOptions, total=False):
    """A policy, apart from its mode."""

    rules: Optional[Sequence[NetworkRule]]
    presets: Optional[Sequence[NetworkPreset]]
    max_connections: Optional[int]
    secrets: Optional[Sequence[str]]


class SecretRequest(CallOptions, total=False):
    """How a secret is sent: the header that is set, and what it says, with `{}` for the value."""

    header: Optional[str]
    format: Optional[str]
