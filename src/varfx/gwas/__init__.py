"""Files of GWAS summary statistics, of every common format: recognised by header, read, checked, cleaned.

Imports `io` and `genome`. Start with `clean` (the whole way), then `formats` (where a format is added) and `read`. Names load
when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.gwas.clean import clean
    from varfx.gwas.format import GwasFormat
    from varfx.gwas.formats import FORMATS
    from varfx.gwas.options import CleanOptions
    from varfx.gwas.read import RawGwas, read_gwas
    from varfx.gwas.roles import ROLES
    from varfx.io.ledger import Ledger

__all__ = ["FORMATS", "ROLES", "CleanOptions", "GwasFormat", "Ledger", "RawGwas", "clean", "read_gwas"]

export(
    __name__,
    {
        "clean": "clean",
        "format": "GwasFormat",
        "formats": "FORMATS",
        "options": "CleanOptions",
        "read": "RawGwas read_gwas",
        "roles": "ROLES",
        "varfx.io.ledger": "Ledger",
    },
)
