"""Stand-ins for the other side of the wire: two agent banks and the PBoC treasury.

Each one is a program of its own with its own process, storage, keys and parser. They share with the finance system
only what real partners share: the message standard, the certificates and HTTP. Nothing here imports Django or any
app of this repository except ``seals`` (algorithms and certificates).
"""
