"""The officer's UKey agent: a program of its own on the officer's machine, between the browser and the key.

It shows, on a page of its own, what a statement is about, asks for the PIN and signs that statement and nothing else.
No Django and no database: of this repository it uses the suites, certificates and statements only (docs/ukey.md).
"""

VERSION = "1"
