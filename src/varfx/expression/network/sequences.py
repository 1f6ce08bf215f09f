"""Personal sequences of a gene's window, made on the device from the reference's bases and everybody's genotypes.

Without phase an individual's sequence is the mean of the two haplotypes: `dosage / 2` of a base's one moves from REF to ALT,
so that a heterozygote has 0.5 of each. With phase there are two sequences per individual. No sequence is ever stored.
Layout (individual, base, channel), channels A, C, G, T, as `varfx.models.enformer.Enformer` takes; unknown bases (N) are
four zeros.

Every sequence is oriented: a gene of the "-" strand is reverse-complemented, and the base of its transcription start
site stands at index L // 2 of the L bases on both strands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float32, Int8, Int64, UInt8
from torch import Tensor

from varfx.errors import ConfigError, DataError

Missing = Literal["reference", "mean"]
Rows = Int64[Tensor, " individual"] | Sequence[int] | slice
_COMPLEMENT = (3, 2, 1, 0, 4)  # code of the paired base, by code


@dataclass(frozen=True, eq=False)
class _View:
    """The window as the network sees it under one augmentation."""

    key: tuple[bool, int]
    template: Float[Tensor, "base 4"]  # the reference, one-hot
    columns: Int64[Tensor, " inside"] | None  # variants that are still in the window; None: all
    place: Int64[Tensor, " inside"] | None  # of each of these in `target_ref`; None: the same order, none shared
    target_ref: Int64[Tensor, " site"]  # base * 4 + channel of REF, once per position
    target_alt: Int64[Tensor, " inside"]  # base * 4 + channel of ALT


@dataclass(frozen=True, eq=False)
class WindowVariants:
    """A gene's window of the reference and its substitutions, in genome order.

    Raises:
        ConfigError: another strand than + and -.
        DataError: columns of different length, offsets outside the window, codes outside 0 to 3, a variant given twice, or REF that differs from the
            reference.
    """

    reference: UInt8[Tensor, " base"]
    """Codes of the bases (A, C, G, T are 0 to 3, others 4)."""
    offsets: Int64[Tensor, " variant"]
    """Of each variant from the window's first base. Several may share one (multi-allelic)."""
    ref_code: UInt8[Tensor, " variant"]
    """Codes of REF, as in `reference`."""
    alt_code: UInt8[Tensor, " variant"]
    """Codes of ALT."""
    strand: str
    """Of the gene, "+" or "-"."""

    def __post_init__(self) -> None:
        if self.strand not in ("+", "-"):
            raise ConfigError(f"`strand` must be + or -, but is {self.strand!r}.")
        offsets, ref_code, alt_code = self.offsets, self.ref_code, self.alt_code
        if not offsets.shape == ref_code.shape == alt_code.shape:
            raise DataError(
                f"`offsets`, `ref_code` and `alt_code` are of {offsets.shape[0]}, {ref_code.shape[0]} and {alt_code.shape[0]} "
                "variants. Give one each."
            )
        _refuse((offsets < 0) | (offsets >= self.reference.shape[0]), "outside the window")
        _refuse(
            (ref_code > 3) | (alt_code > 3) | (ref_code == alt_code), "with alleles that are not two different bases"
        )
        _refuse(self.reference[offsets] != ref_code, "with REF that is not the reference's base")
        key = offsets * 4 + alt_code.long()
        order = key.argsort(stable=True)
        again = torch.zeros_like(key, dtype=torch.bool)
        again[order[1:]] = key[order[1:]] == key[order[:-1]]
        _refuse(again, "given twice")


class WindowSequences:
    """One gene's window and everybody's genotypes on a device, from which batches of sequences are made.

    Attributes:
        num_people: rows of the genotypes.
        length: bases of the window.
        offsets: of each variant in the oriented window, from its first base.
        ref_code: codes of REF, read along the gene's strand.
        alt_code: codes of ALT, read along the gene's strand.
    """

    num_people: int
    length: int
    offsets: Int64[Tensor, " variant"]
    ref_code: Int64[Tensor, " variant"]
    alt_code: Int64[Tensor, " variant"]

    def __init__(
        self,
        window: WindowVariants,
        genotypes: Int8[Tensor, "individual variant"] | Int8[Tensor, "individual 2 variant"],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        missing: Missing = "reference",
        mean_of: Sequence[int] | None = None,
    ) -> None:
        """Moves the window to the device, oriented along the gene's strand.

        Args:
            window: the reference and its substitutions.
            genotypes: copies of ALT (0, 1, 2), or whether each of the two haplotypes carries it (0, 1); negative where
                missing. They decide which sequences are made.
            device: where batches are made; by default where the genotypes are.
            dtype: of the batches.
            missing: what missing genotypes count as: no copy of ALT, or the mean of those that are known.
            mean_of: rows of the individuals whose mean that is, e.g. those of training; by default all.

        Raises:
            ConfigError: another `missing`.
            DataError: genotypes of another number of variants.
        """
        if missing not in ("reference", "mean"):
            raise ConfigError(f"`missing` must be reference or mean, but is {missing!r}.")
        if window.offsets.shape[0] != genotypes.shape[-1]:
            raise DataError(
                f"`genotypes` have {genotypes.shape[-1]} variants, but {window.offsets.shape[0]} offsets are given. Give one "
                "each."
            )
        device = torch.device(device) if device is not None else genotypes.device
        self.num_people, self.length = genotypes.shape[0], window.reference.shape[0]
        paired = torch.tensor(_COMPLEMENT, device=device)
        codes, self.offsets = window.reference.to(device).long(), window.offsets.to(device)
        self.ref_code, self.alt_code = window.ref_code.to(device).long(), window.alt_code.to(device).long()
        if window.strand == "-":
            codes, self.offsets = paired[codes].flip(0), self.length - 1 - self.offsets
            self.ref_code, self.alt_code = paired[self.ref_code], paired[self.alt_code]
        self._codes, self._paired, self._dtype = codes, paired, dtype
        self._genotypes = genotypes.to(device)
        self._unit = 1.0 if genotypes.dim() == 3 else 0.5  # of a sequence, per copy
        self._fill = self._mean(mean_of) if missing == "mean" else None
        self._shared = torch.unique(window.offsets).shape[0] < window.offsets.shape[0]
        self._oriented: dict[bool, tuple[Tensor, Tensor, Tensor, Tensor]] = {}
        self._last: _View | None = None

    @property
    def device(self) -> torch.device:
        """Device of the batches."""
        return self._genotypes.device

    def encode(
        self,
        people: Rows | None = None,
        generator: torch.Generator | None = None,
        *,
        reverse_complement: bool = False,
        shift: int = 0,
    ) -> Float[Tensor, "individual base 4"] | Float[Tensor, "individual 2 base 4"]:
        """The sequences of some individuals, (individual, base, 4), or (individual, 2, base, 4) of haplotypes.

        Augmentation is the same for all individuals of a call, as they are compared with each other. It is as given; or,
        with a generator, drawn: the strand turned with probability 1/2 if `reverse_complement`, and a shift from
        -shift to shift.

        Args:
            people: their rows; by default everyone's.
            generator: of the CPU; draws the augmentation.
            reverse_complement: turns the sequence to the other strand about the base L // 2, which stays where it is.
                Of an even number of bases the first one is then unknown (zeros): it lies outside the window.
            shift: by how many bases the window moves along the sequence; bases from outside are unknown (zeros).
        """
        turned = reverse_complement
        if generator is not None:
            turned = turned and bool(torch.randint(2, (1,), generator=generator))
            shift = int(torch.randint(-abs(shift), abs(shift) + 1, (1,), generator=generator))
        view = self._view(turned, shift)
        genotypes = self._genotypes if people is None else self._genotypes[_index(people, self.device)]
        fill = self._fill
        if view.columns is not None:
            genotypes, fill = genotypes[..., view.columns], None if fill is None else fill[..., view.columns]
        alt = genotypes.clamp(min=0).float() * self._unit
        if fill is not None:
            alt = torch.where(genotypes < 0, fill, alt)
        shape = genotypes.shape[:-1]
        alt = alt.reshape(shape.numel(), alt.shape[-1])
        if view.place is None:
            ref = 1 - alt
        else:
            ref = alt.new_ones(alt.shape[0], view.target_ref.shape[0])
            ref.scatter_add_(1, view.place.expand(alt.shape), -alt)
        x = view.template.expand(alt.shape[0], -1, -1).clone(memory_format=torch.contiguous_format)
        flat = x.view(alt.shape[0], 4 * self.length)
        flat.index_copy_(1, view.target_ref, ref.to(self._dtype))
        flat.index_copy_(1, view.target_alt, alt.to(self._dtype))
        return x.view(*shape, self.length, 4)

    def reference(self, *, reverse_complement: bool = False, shift: int = 0) -> Float[Tensor, "base 4"]:
        """The reference sequence, one-hot, under the same orientation and augmentation."""
        return self._view(reverse_complement, shift).template.clone()

    def _view(self, turned: bool, shift: int) -> _View:
        view = self._last  # read once: another thread may set it meanwhile
        if view is None or view.key != (turned, shift):
            self._last = view = self._make_view(turned, shift)
        return view

    def _make_view(self, turned: bool, shift: int) -> _View:
        """Base i of the view is base i + shift of the sequence, which is turned about its middle base first."""
        if turned not in self._oriented:
            self._oriented[turned] = self._orient(turned)
        whole, offsets, ref, alt = self._oriented[turned]
        template, columns = whole[: self.length], None
        if shift:
            template = torch.zeros_like(template)
            first, last = max(0, -shift), min(self.length, whole.shape[0] - shift)
            if first < last:
                template[first:last] = whole[first + shift : last + shift]
            offsets = offsets - shift
        inside = (offsets >= 0) & (offsets < self.length)
        if not inside.all():
            columns = inside.nonzero()[:, 0]
            offsets, ref, alt = offsets[columns], ref[columns], alt[columns]
        target_ref, place = offsets * 4 + ref, None
        if self._shared:
            target_ref, place = torch.unique(target_ref, return_inverse=True)
        return _View((turned, shift), template, columns, place, target_ref, offsets * 4 + alt)

    def _orient(self, turned: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The reference one-hot, and offsets, REF and ALT of the variants; turned about the middle base or not.

        Turning an even number of bases puts the first one just behind the end, where a shift can bring it back.
        """
        one_hot = torch.eye(len(_COMPLEMENT), 4, dtype=self._dtype, device=self.device)  # N: no ones
        if not turned:
            return one_hot[self._codes], self.offsets, self.ref_code, self.alt_code
        centre = 2 * (self.length // 2)
        source = centre - torch.arange(centre + 1, device=self.device)
        outside = source >= self.length
        codes = self._paired[self._codes[source.clamp(max=self.length - 1)]].masked_fill(outside, len(_COMPLEMENT) - 1)
        return one_hot[codes], centre - self.offsets, self._paired[self.ref_code], self._paired[self.alt_code]

    def _mean(self, rows: Sequence[int] | None) -> Float32[Tensor, " variant"]:
        """The mean of the known genotypes of each variant, in units of a sequence; 0 where nothing is known."""
        chosen = self._genotypes if rows is None else self._genotypes[_index(rows, self.device)]
        chosen = chosen.flatten(0, -2)
        known = (chosen >= 0).sum(0)
        total = chosen.clamp(min=0).sum(0, dtype=torch.float64)
        return (self._unit * total / known.clamp(min=1)).float()


def _refuse(bad: Bool[Tensor, " variant"], what: str) -> None:
    if bad.any():
        first = int(bad.int().argmax())
        raise DataError(
            f"{int(bad.sum())} of {bad.shape[0]} variants are {what}, first number {first + 1}. Read the window's "
            "reference and variants from the same cohort."
        )


def _index(rows: Rows, device: torch.device) -> slice | Int64[Tensor, " individual"]:
    return rows if isinstance(rows, slice) else torch.as_tensor(rows, dtype=torch.int64, device=device)
