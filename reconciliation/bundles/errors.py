from core.errors import NotFound, TreasuryError


class BundleRefused(TreasuryError):
    """No bundle can be made of what was asked for; the subclasses say why."""

    code = "bundle_refused"


class BundleEmpty(BundleRefused):
    """Nothing of what was asked for is sealed."""

    code = "bundle_empty"


class BundleTooLarge(BundleRefused):
    """More vouchers than one bundle may hold: the verifier refuses archives of more files."""

    code = "bundle_too_large"


class BundleNumbersClash(BundleRefused):
    """Two vouchers of different regions or years would stand in one folder."""

    code = "bundle_numbers_clash"


class VoucherNotFound(NotFound):
    """No such voucher, or one that is not sealed yet."""

    code = "voucher_not_found"
