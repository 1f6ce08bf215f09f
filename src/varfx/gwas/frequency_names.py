"""Column names of allele frequencies: of which allele is each?"""

from __future__ import annotations

import re

from varfx.gwas.roles import plain

EFFECT = "effect"  # the effect allele, whichever column it stands in

_FREQUENCY = re.compile(
    r"fre?q.*|effectallelefreq.*|eaf.*|raf|af([12]|alt|ref|ea|effect|allele.*)?|a[12]fre?q.*|.*(fre?qs?|frequency|af)"
)
_ANOTHER_THING = re.compile(
    r"(min(?!or)|max|diff|delta|isdiff|hwe|het|call|missing).*|.*(se|sd|cases?|controls?|ctrls?)"
)
_FIRST = re.compile(r"(fre?q|frq)1(?!\d).*")  # Freq1.Hapmap
_ENDINGS = ("afea", "freqea", "afeffect", "freqeffect")  # AF_EA, Freq_Effect
_OF_THE_EFFECT = ("effectallele", "testedallele", "codedallele", "assessedallele", "effallele")
_SHORT = {
    "freq1": "a1",
    "af1": "a1",
    "frq1": "a1",
    "freq2": "a2",
    "af2": "a2",
    "frq2": "a2",
    "aaf": "alt",
    "raf": "riskallele",
}
# Words in a frequency's name, and the allele columns they mean.
_COLUMNS: tuple[tuple[tuple[str, ...], frozenset[str]], ...] = (
    (("allele1", "a1"), frozenset({"a1", "allele1"})),
    (("allele2", "a2"), frozenset({"a2", "allele2"})),
    (("alternateallele", "alt"), frozenset({"alt", "altallele", "alternateallele"})),
    (("refallele", "ref"), frozenset({"ref", "refallele", "referenceallele"})),
    (("riskallele",), frozenset({"riskallele"})),
)


def allele_of_frequency(name: str) -> frozenset[str] | None:
    """The allele columns, in plain spelling, whose frequency a column may hold; `EFFECT` for the effect allele.

    Empty where it is a frequency that does not say of which allele; None where the name is not that of a frequency.
    """
    word = plain(name)
    if not _FREQUENCY.fullmatch(word) or _ANOTHER_THING.fullmatch(word):
        return None
    if word.startswith("eaf") or word.endswith(_ENDINGS) or any(effect in word for effect in _OF_THE_EFFECT):
        return frozenset({EFFECT})
    word = "a1" if _FIRST.fullmatch(word) else _SHORT.get(word, word)
    return next((columns for words, columns in _COLUMNS if any(part in word for part in words)), frozenset())
