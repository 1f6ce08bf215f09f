"""Files of GWAS summary statistics, of every common format: recognised by header, read, checked, cleaned."""

from varfx.data.gwas.clean import CleanOptions, clean
from varfx.data.gwas.formats import FORMATS, ROLES, GwasFormat
from varfx.data.gwas.ledger import Ledger
from varfx.data.gwas.read import RawGwas, read_gwas

__all__ = ["FORMATS", "ROLES", "CleanOptions", "GwasFormat", "Ledger", "RawGwas", "clean", "read_gwas"]
