"""Headers with the statistics of several traits side by side: `BETA.Y1 SE.Y1 BETA.Y2 SE.Y2`, `beta_EUR se_EUR ...`, `height_beta ...`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from varfx.errors import ConfigError, FormatError

_EFFECTS = "beta|or|odds_ratio|log_or|logor|effect|est|z|zscore"
_TESTS = "se|sebeta|stderr|p|pval|p_value|pvalue|log10p|neglog10_pval|mlogp|chisq"
_OTHERS = (  # longer names first; the second line as TwoSampleMR has them (beta.exposure)
    "af_cases|af_controls|af|eaf|a1freq|low_confidence|n_cases|n_controls|neff|n|info|"
    "effect_allele|other_allele|samplesize|ncase|ncontrol|chr|pos"
)
_STEMS = "|".join(sorted(f"{_OTHERS}|{_EFFECTS}|{_TESTS}".split("|"), key=len, reverse=True))
_NAME = re.compile(rf"(?P<stem>{_STEMS})[._:](?P<trait>.+)", flags=re.IGNORECASE)
_PREFIXED = re.compile(rf"(?P<trait>.+)[._:-](?P<stem>{_STEMS})", flags=re.IGNORECASE)
_SHOWN = 20


@dataclass(frozen=True)
class TraitColumns:
    """A header as that of one trait.

    Attributes:
        names: for each column its name without the trait, or None where it belongs to another trait.
        trait: the trait, None where the header has only one set of statistics.
        remark: which trait was taken, for the ledger.
    """

    names: tuple[str | None, ...]
    trait: str | None = None
    remark: str = ""


def traits_of(names: Sequence[str], *, prefixed: bool = False) -> tuple[str, ...]:
    """The traits of a header that has an effect and its error or test per trait, and none without a trait.

    Args:
        names: the header.
        prefixed: the trait stands before the statistic (`height_beta`), not behind it.
    """
    stems: dict[str, set[str]] = {}
    pattern = _PREFIXED if prefixed else _NAME
    for name in names:
        if named := pattern.fullmatch(name):
            stems.setdefault(named["trait"], set()).add(named["stem"].lower())
    if set(_EFFECTS.split("|")) & {name.lower() for name in names}:
        return ()
    effects, tests = set(_EFFECTS.split("|")), set(_TESTS.split("|"))
    return tuple(trait for trait, found in stems.items() if found & effects and found & tests)


def choose_trait(
    names: Sequence[str], trait: str | None, named: Collection[str], *, source: str, prefixed: bool = False
) -> TraitColumns:
    """The columns of one trait of a header.

    Args:
        names: the header.
        trait: the trait asked for.
        named: columns of statistics that the user names; they say the trait where they are all of one.
        source: the file, for messages.
        prefixed: as in `traits_of`.

    Raises:
        FormatError: several traits, and none is asked for.
        ConfigError: the trait asked for is none of several.
    """
    traits, pattern = traits_of(names, prefixed=prefixed), _PREFIXED if prefixed else _NAME
    if not traits:
        return TraitColumns(tuple(names))
    by_columns = {found["trait"] for name in named if (found := pattern.fullmatch(name))} & set(traits)
    shown = ", ".join(traits[:_SHOWN]) + (f" and {len(traits) - _SHOWN} more" if len(traits) > _SHOWN else "")
    if len(by_columns) == 1:
        (chosen,) = by_columns
    elif trait in traits:
        chosen = trait
    elif len(traits) == 1:
        chosen = traits[0]
    elif named:
        return TraitColumns(tuple(names))
    elif trait is not None:
        raise ConfigError(f"`--trait {trait}`: `{source}` holds the traits {shown}. Name one of them.")
    else:
        raise FormatError(f"`{source}` holds {len(traits)} traits: {shown}. Name one, e.g. --trait {traits[0]}.")
    kept = tuple(_of_trait(pattern.fullmatch(name), name, chosen, traits) for name in names)
    return TraitColumns(kept, chosen, f"trait {chosen} of {shown}")


def _of_trait(found: re.Match[str] | None, name: str, chosen: str, traits: Sequence[str]) -> str | None:
    if not found or found["trait"] not in traits:
        return name
    return found["stem"] if found["trait"] == chosen else None
