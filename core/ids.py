from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a UUIDv7: made in Python (PostgreSQL below 18 has none), ordered by time, so indexes stay compact."""
    return uuid7()
