# Made from ../_async by scripts/make_sync.py; do not edit.
"""The client for plain programs."""
