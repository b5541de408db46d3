"""What can go wrong with an export."""

from __future__ import annotations


class ExportError(ValueError):
    """A run that cannot be exported in the form that is asked for."""
