"""The daemon's error codes: which class each is raised as, and whether the same call may succeed later.

A test compares the table with the reference of the API.
"""

from __future__ import annotations

from typing import NamedTuple

from . import errors
from .errors import BoughApiError


class Code(NamedTuple):
    """What this client knows of one code."""

    raised_as: type[BoughApiError] = BoughApiError
    retryable: bool = False


UNKNOWN = Code()

CODES: dict[str, Code] = {
    "invalid_request": Code(errors.InvalidRequest),
    "malformed_json": Code(),
    "malformed_http": Code(),
    "unauthorized": Code(errors.Unauthorized),
    "token_revoked": Code(errors.Unauthorized),
    "scope_missing": Code(),
    "host_not_allowed": Code(),
    "origin_not_allowed": Code(),
    "route_not_found": Code(),
    "method_not_allowed": Code(),
    "request_timeout": Code(retryable=True),
    "payload_too_large": Code(),
    "unsupported_media_type": Code(),
    "headers_too_large": Code(),
    "snapshot_not_found": Code(errors.SnapshotNotFound),
    "sandbox_not_found": Code(errors.SandboxNotFound),
    "process_not_found": Code(errors.ProcessNotFound),
    "image_not_found": Code(errors.ImageNotFound),
    "secret_not_found": Code(errors.NotFound),
    "image_unusable": Code(errors.Conflict),
    "tag_exists": Code(errors.TagExists),
    "name_exists": Code(errors.Conflict),
    "branch_in_progress": Code(errors.BranchInProgress, retryable=True),
    "rollback_in_progress": Code(errors.Conflict, retryable=True),
    "sandbox_rolled_back": Code(errors.Conflict, retryable=True),
    "no_checkpoint": Code(errors.Conflict),
    "snapshot_in_use": Code(errors.SnapshotInUse),
    "snapshot_not_usable": Code(errors.SnapshotNotUsable),
    "snapshot_incompatible": Code(errors.SnapshotIncompatible),
    "sandbox_not_running": Code(errors.SandboxNotRunning),
    "sandbox_outdated": Code(errors.Conflict),
    "process_not_started": Code(errors.InvalidRequest),
    "process_ended": Code(errors.Conflict),
    "stdin_closed": Code(errors.Conflict),
    "no_terminal": Code(errors.Conflict),
    "file_not_found": Code(errors.NotFound),
    "file_exists": Code(errors.Conflict),
    "not_a_file": Code(errors.Conflict),
    "not_a_folder": Code(errors.Conflict),
    "file_denied": Code(),
    "file_failed": Code(errors.Conflict),
    "bad_archive": Code(errors.InvalidRequest),
    "bad_snapshot_archive": Code(errors.InvalidRequest),
    "snapshot_untrusted": Code(),
    "host_not_ready": Code(),
    "guest_disk_full": Code(errors.NoRoom),
    "range_not_satisfiable": Code(),
    "not_durable": Code(retryable=True),
    "idempotency_key_reused": Code(),
    "mode_unsupported": Code(errors.ModeUnsupported),
    "network_fixed": Code(errors.Conflict),
    "egress_unavailable": Code(retryable=True),
    "limit_unusable": Code(),
    "too_many_branches": Code(retryable=True),
    "too_many_open_files": Code(retryable=True),
    "no_space": Code(errors.NoRoom),
    "too_many_mappings": Code(errors.NoRoom),
    "no_memory": Code(errors.NoRoom),
    "port_unreachable": Code(errors.AgentError, retryable=True),
    "port_failed": Code(errors.AgentError),
    "agent_unreachable": Code(errors.AgentError, retryable=True),
    "agent_protocol": Code(errors.AgentError),
    "agent_refused": Code(errors.AgentError),
    "agent_deadline": Code(errors.AgentDeadline),
    "branch_not_in_time": Code(retryable=True),
    "source_died": Code(),
    "integrity_error": Code(),
    "boot_failed": Code(),
    "service_ended": Code(),
    "service_not_ready": Code(),
    "vmm_failed": Code(),
    "shutting_down": Code(errors.ShuttingDown, retryable=True),
    "internal": Code(),
}
