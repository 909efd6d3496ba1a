"""Bundles: evidence that leaves the house. `exporting` writes one, `verifier/guoku_verify.py` reads it."""
