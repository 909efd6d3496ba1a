"""The audit: what must hold between the tables whatever the code did, asked again from the facts. Reads only.

Source: docs/audit.md.
"""

from reconciliation.audit.findings import Finding, Result
from reconciliation.audit.runner import AuditUnknownInvariant, run_audit

__all__ = ["AuditUnknownInvariant", "Finding", "Result", "run_audit"]
