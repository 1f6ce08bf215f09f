"""Files of a fine-mapping, one format per module.

Start with `write_files`: `OUT.pip.tsv.gz` (PolyFun's columns), `OUT.cs.tsv`, `OUT.cs99.tsv`, `OUT.loci.tsv` and `OUT.json`, and the
formats of FinnGen, FINEMAP, SuSiE-inf and Open Targets where asked for.
"""

from varfx.finemap.files.write import FORMATS, Format, write_files

__all__ = ["FORMATS", "Format", "write_files"]
