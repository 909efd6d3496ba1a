"""Signatures, certificates and the register of who may sign: the only app that sees a private key.

`suites`, `der`, `certificates`, `pki` and `httpsig` are plain Python, so that programs without our database
(the simulators, a bank's own test bench) can use them. Electronic seal structures (GB/T 38540) and the signer process
take their place beside them.
"""
