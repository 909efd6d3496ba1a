"""The evidence log: every fact of the books is noted by the database itself, chained, rooted, signed and time-stamped.

A fact table carries the trigger `evidence.triggers.witnessed`; `chain` gives each noted fact its place, `rooting` makes
signed Merkle roots of the whole, `anchors` keeps them outside the database, `verifying` finds what was changed since.
Formats: docs/signatures.md §6. How and why: docs/evidence.md.
"""
