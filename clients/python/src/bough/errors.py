"""What a call can fail with.

One class, `BoughApiError`, over the daemon's `code`; a subclass for each code that programs catch by name. A code that this
version does not know, from a newer daemon, is a plain `BoughApiError` with that code. No answer at all is `BoughUnreachable`,
and a call that was given up is `BoughTimeout` or `BoughCancelled`. Misuse is a `TypeError` or `ValueError`, as everywhere.

All of them can be pickled: a worker process may hand one to its parent.
"""

from __future__ import annotations

from typing import Any, Optional


class BoughError(Exception):
    """Everything this client raises on purpose, apart from `TypeError` and `ValueError` for misuse."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[BoughError], args: tuple[Any, ...], fields: dict[str, Any]) -> BoughError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class BoughApiError(BoughError):
    """The daemon answered, and the answer is a failure. Its text is the daemon's sentence."""

    status: int
    """HTTP status."""
    code: str
    """A code of docs/reference/api.md, or `unexpected_answer` when what answered does not speak this API."""
    details: dict[str, Any]
    """What the error is about, under the names of its code's sentence; empty if there is no more to say."""
    request_id: Optional[str]
    """Finds the request in the daemon's log."""
    retryable: bool
    """Whether the same call may succeed later without anyone changing it."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        details: Optional[dict[str, Any]] = None,
        request_id: Optional[str] = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details or {}
        self.request_id = request_id
        self.retryable = retryable


class InvalidRequest(BoughApiError):
    """400 `invalid_request`: `details["field"]` says where."""


class ModeUnsupported(BoughApiError):
    """400 `mode_unsupported`: this host cannot branch in that mode; `details["reason"]` says why."""


class Unauthorized(BoughApiError):
    """401 `unauthorized`: a token is missing or wrong."""


class NotFound(BoughApiError):
    """404: what was named is not there; see its subclasses."""


class SnapshotNotFound(NotFound):
    """404 `snapshot_not_found`: no snapshot has that tag."""


class SandboxNotFound(NotFound):
    """404 `sandbox_not_found`: no sandbox has that id; it may have ended."""


class ProcessNotFound(NotFound):
    """404 `process_not_found`: no process of the sandbox has that id, or it was forgotten."""


class ImageNotFound(NotFound):
    """404 `image_not_found`: no image of that name has been built on this host."""


class Conflict(BoughApiError):
    """409: what is there does not allow it now; see its subclasses."""


class TagExists(Conflict):
    """`tag_exists`: another snapshot has that tag. 409; 400 for `snapshots.create`."""


class BranchInProgress(Conflict):
    """409 `branch_in_progress`: another request branches this sandbox."""


class SnapshotInUse(Conflict):
    """409 `snapshot_in_use`: `details["snapshots"]` and `details["sandboxes"]` hold it."""


class SnapshotNotUsable(Conflict):
    """409 `snapshot_not_usable`: `details["missing"]` says what it lacks."""


class SnapshotIncompatible(Conflict):
    """409 `snapshot_incompatible`: it was captured on a host of another kind."""


class SandboxNotRunning(Conflict):
    """409 `sandbox_not_running`: `details["state"]` says what it is instead."""


class NoRoom(BoughApiError):
    """507: `no_space` (disk or hot store), `no_memory` or `too_many_mappings`."""


class AgentError(BoughApiError):
    """502: the sandbox's agent cannot be reached, broke its protocol, or refused. See `AgentDeadline` too."""


class AgentDeadline(AgentError):
    """504 `agent_deadline`: the program or expression did not finish within its `timeout_secs`."""


class ShuttingDown(BoughApiError):
    """503 `shutting_down`: the daemon is about to end."""


class BoughUnreachable(BoughError):
    """No answer: nothing listens there, the connection was lost, or what answers does not speak HTTP."""

    url: str
    """The daemon's, as the client was given it."""
    may_have_happened: bool
    """Whether the request was sent, so that the daemon may have done what it asks for. False: it has not."""

    def __init__(self, url: str, problem: str, *, may_have_happened: bool = False) -> None:
        super().__init__(f"No answer from {url}: {problem}")
        self.url = url
        self.may_have_happened = may_have_happened


class BoughTimeout(BoughError, TimeoutError):
    """There was no answer within the call's `give_up_secs`. What it asked for may have happened."""


class BoughCancelled(BoughError):
    """The call's `cancel` was set. What it asked for may have happened."""
