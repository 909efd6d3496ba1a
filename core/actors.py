from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True)
class Actor:
    """Whoever takes a step: an officer at a log-in, a bank or PBoC by voucher, or the system itself.

    `person_id` is the natural person (two log-ins of one person are one person); None for machines.
    `units` limits a unit officer to own documents; empty means the whole region. `sections` limits a
    finance section officer to the units that section looks after. Who acts for another (委托) acts as himself, with the
    one post of `delegation_id`, and with the conflicts of both persons.
    """

    name: str
    roles: frozenset[str]
    adm_div_code: str = ""
    person_id: UUID | None = None
    user_id: int | None = None
    units: frozenset[str] = field(default_factory=frozenset)
    sections: frozenset[str] = field(default_factory=frozenset)
    delegation_id: UUID | None = None
    for_person_id: UUID | None = None
    for_name: str = ""

    @property
    def written(self) -> str:
        """The name as it is written beside what was done: one who acts for another says for whom."""
        return f"{self.name}（代{self.for_name}）" if self.for_name else self.name

    @property
    def persons(self) -> frozenset[UUID]:
        """The natural persons whose earlier steps stand in the way: the own, and that of whom is acted for."""
        return frozenset(pk for pk in (self.person_id, self.for_person_id) if pk is not None)


def system_actor(name: str, *roles: str) -> Actor:
    """Return the actor of a machine: `system`, or a partner (`agent_bank`, `pboc`) speaking by voucher."""
    return Actor(name=name, roles=frozenset(roles or ("system",)))
