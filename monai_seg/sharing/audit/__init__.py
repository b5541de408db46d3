"""What a stranger's bundle would do, found out without running, importing or unpickling anything of it.

Only the standard library and a YAML parser are used: neither torch nor MONAI is imported. A bundle is `DATA-ONLY`
when all of it is known to be harmless, never because nothing bad was recognised.
"""

from __future__ import annotations

from monai_seg.sharing.audit.bundle_audit import audit
from monai_seg.sharing.audit.report import AuditReport, Finding, Verdict, printable

__all__ = ["AuditReport", "Finding", "Verdict", "audit", "printable"]
