from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True)
class Actor:
    """Whoever takes a step: an officer at a log-in, a bank or PBoC by voucher, or the system itself.

    `person_id` is the natural person (two log-ins of one person are one person); None for machines.
    `units` limits a unit officer to own documents; empty means the whole region. `sections` limits a
    finance section officer to the units that section looks after.
    """

    name: str
    roles: frozenset[str]
    adm_div_code: str = ""
    person_id: UUID | None = None
    user_id: int | None = None
    units: frozenset[str] = field(default_factory=frozenset)
    sections: frozenset[str] = field(default_factory=frozenset)


def system_actor(name: str, *roles: str) -> Actor:
    """Return the actor of a machine: `system`, or a partner (`agent_bank`, `pboc`) speaking by voucher."""
    return Actor(name=name, roles=frozenset(roles or ("system",)))
