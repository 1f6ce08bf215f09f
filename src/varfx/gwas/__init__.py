"""Files of GWAS summary statistics, of every common format: recognised by header, read, checked, cleaned."""

from varfx.gwas.clean import CleanOptions, clean
from varfx.gwas.formats import FORMATS, ROLES, GwasFormat
from varfx.gwas.read import RawGwas, read_gwas
from varfx.io.ledger import Ledger

__all__ = ["FORMATS", "ROLES", "CleanOptions", "GwasFormat", "Ledger", "RawGwas", "clean", "read_gwas"]
