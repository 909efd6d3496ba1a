from core.errors import TreasuryError, ValidationFailed


class CardFieldInvalid(TreasuryError):
    """One field of a reported purchase is missing or wrong; `field` names row and column."""

    code = "card_field_invalid"


class CardsRefused(ValidationFailed):
    """A file of purchases with at least one bad row: nothing of it is kept."""
