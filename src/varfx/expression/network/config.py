"""Configuration of expression networks, their genes and individuals; free of torch, for help pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from varfx.device import check_device
from varfx.errors import ConfigError
from varfx.expression.model_names import sized_name
from varfx.expression.network.target import TargetConfig
from varfx.models.config import EnformerConfig, GammaScale, NormPolicy, Precision
from varfx.models.expression_config import Architecture, ExpressionNetworkConfig, Pooling
from varfx.training.people.config import ExpressionTrainConfig

HEAD = "human"
TRACK = 4950  # 'CAGE:blood, adult, pool1'
FROZEN_EPOCHS = 5  # of coverage networks from published weights
PUBLISHED_DEPTH = {"enformer": 11, "borzoi": 8, "flashzoi": 8}
PUBLISHED_DROPOUT = {"enformer": 0.4, "borzoi": 0.2, "flashzoi": 0.2}


def published() -> EnformerConfig:
    """The sizes of the published model, with all bins put out and the human head only."""
    return EnformerConfig(output_heads={HEAD: 5313}, target_length=None, gamma_scale="function")


@dataclass(frozen=True, kw_only=True)
class ZeroShotConfig:
    """The pretrained network: tracks, bins, device."""

    checkpoint: Path
    """Local file with the published weights: `.safetensors` or a state dict of torch."""
    track: int = TRACK
    """Output track of the human head, counted from 0."""
    people_per_batch: int = 4
    """Sequences in memory at a time."""
    device: str = "auto"
    """Where to compute: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:N or mps."""
    network: EnformerConfig | None = None
    """Other sizes than the published ones."""

    def __post_init__(self) -> None:
        check_device(self.device)
        tracks = (self.network or published()).output_heads[HEAD]
        if not 0 <= self.track < tracks:
            raise ConfigError(f"`track` must be from 0 to {tracks - 1}, got {self.track}.")
        if self.people_per_batch < 1:
            raise ConfigError(f"`people_per_batch` must be at least 1, got {self.people_per_batch}.")


@dataclass(frozen=True, kw_only=True)
class NetworkChoice:
    """Sizes of a network, and which part of it learns. What is left out follows the checkpoint: the published sizes with one,
    a small network without."""

    model: Architecture = "enformer"
    """enformer, borzoi, or flashzoi (Borzoi with a faster attention)."""
    window: int | None = None
    """Bases around the TSS; by default all of the cohort's."""
    width: int | None = None
    """Channels of the transformer; by default 1536 (published) with a checkpoint, 96 without."""
    depth: int | None = None
    """Transformer layers; by default those of the published model (Enformer 11, Borzoi 8) with a checkpoint, 2 without."""
    readout: Pooling = "bin"
    """The head reads the bin of the TSS, or the bins around it, weighted by attention that learns (Rastogi et al.)."""
    readout_bins: int = 10
    """Bins that attention weighs: of 128 bases (Enformer) or 32 (Borzoi)."""
    dropout: float | None = None
    """Of the transformer; by default that of the published model (Enformer 0.4, Borzoi 0.2) with a checkpoint, 0 without."""
    norm: NormPolicy | None = None
    """Batch norms: frozen (default with a checkpoint), running (default without), batch or layer."""
    gamma_scale: GammaScale = "function"
    """Scale of Enformer's gamma position functions: function (as the published weights were trained), or distance (as enformer-pytorch computes them at
    other lengths than 196,608 bases, and so Variformer: for weights from its code)."""
    precision: Precision | None = None
    """Of the trunk in training; by default bfloat16 on a GPU, float32 elsewhere. Predictions are float32."""
    freeze_trunk: bool = False
    """Train the head only."""
    lora_rank: int = 0
    """Train adapters of this rank on the attention, and the head; 0 trains all weights."""
    locon_rank: int = 0
    """Train adapters of this rank on the convolutions too (locon), and the head; 0 for none."""
    checkpointing: bool = False
    """Save memory: compute each stage again in the backward pass."""

    def sizes(self, *, random: bool, window: int, gpu: bool) -> ExpressionNetworkConfig:
        """The network of this choice.

        Args:
            random: whether its weights start at random, without a checkpoint.
            window: of the cohort.
            gpu: whether it is trained on a CUDA device.
        """
        dropout = self.dropout if self.dropout is not None else 0.0 if random else PUBLISHED_DROPOUT[self.model]
        published = self.dropout is None and not random
        return ExpressionNetworkConfig(
            model=self.model,
            pooling=self.readout,
            pooled_bins=self.readout_bins,
            window=window if self.window is None else self.window,
            width=self.width if self.width is not None else 96 if random else 1536,
            depth=self.depth if self.depth is not None else 2 if random else PUBLISHED_DEPTH[self.model],
            dropout=dropout,
            attention_dropout=0.05 if published else dropout / 8,
            position_dropout=0.01 if published else dropout / 40,
            gamma_scale=self.gamma_scale,
            norm=self.norm or ("running" if random else "frozen"),
            freeze_trunk=self.freeze_trunk,
            lora_rank=self.lora_rank,
            locon_rank=self.locon_rank,
            precision=self.precision or ("bfloat16" if gpu else "float32"),
            checkpointing=self.checkpointing,
        )


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Configuration of the trained networks: genes, folds, individuals."""

    name: str | None = None
    """The model's name in tables; by default the network's (enformer, borzoi, flashzoi)."""
    folds: tuple[int, ...] = (0,)
    """Numbers of the folds; all if empty."""
    genes: tuple[str, ...] = ()
    """Ensembl ids to train on and to predict, or files with one per line; all genes of the cohort if empty, or for `all`. Held-out ones among them (all, if there are none
    among them) are predicted, not trained on."""
    single_gene: bool = False
    """A network for each gene, in place of one for all; any gene of `genes` is then trained on."""
    tune_genes: tuple[str, ...] = ()
    """Ensembl ids, or files with one per line: genes that are neither trained on nor predicted. Training stops by the mean correlation over their tuning individuals, in place of the training genes' R2."""
    train_size: int | None = None
    """Number of training individuals, for a learning curve; smaller sets lie within larger ones. The model is called MODEL@N."""
    reference_only: bool = False
    """Train on the reference alone, a sequence per gene, to predict its mean log2(TPM + 2): the control that has seen no individual's variants. Individuals are predicted all the same."""
    indels: tuple[Path, ...] = ()
    """Genotype files of the cohort's individuals (VCF, BCF, PLINK): sequences then hold their insertions and deletions too, which the cohort lacks, cut around the TSS."""
    reference: Path | None = None
    """With --indels: the FASTA that the cohort was prepared with."""
    phased: bool = False
    """Predict from both haplotypes and average, in place of one averaged sequence."""
    checkpoint: Path | None = None
    """Published weights to start from; random ones if not given."""
    network: ExpressionNetworkConfig | NetworkChoice = field(default_factory=NetworkChoice)
    """Its sizes, and which part of it learns; in full, or what differs from the default."""
    training: ExpressionTrainConfig = field(default_factory=ExpressionTrainConfig)
    """Configuration of the training."""
    target: TargetConfig = field(default_factory=TargetConfig)
    """Adjusted expression, or coverage."""

    def __post_init__(self) -> None:
        if self.train_size is not None and self.train_size < 2:
            raise ConfigError(f"`train_size` must be at least 2, got {self.train_size}.")
        if self.train_size is not None and self.reference_only:
            raise ConfigError("`train_size` thins individuals, of which `reference_only` has none. Give one.")
        self._check_indels()
        if self.name == "":
            raise ConfigError("`name` must not be empty.")
        if self.single_gene and (self.reference_only or self.tune_genes):
            option = "reference-only" if self.reference_only else "tune-genes"
            raise ConfigError(f"`{option}` is for a network of many genes. Leave out `single-gene`.")
        if self.reference_only and self.training.loss == "pairwise":
            raise ConfigError("`reference-only` has no pairs of individuals: its loss is mse.")
        if self.target.target == "coverage":
            self._check_coverage()

    def _check_indels(self) -> None:
        if self.indels and self.reference is None:
            raise ConfigError("`indels` needs `reference`, the FASTA that the cohort was prepared with.")
        if self.reference is not None and not self.indels:
            raise ConfigError("`reference` is for `indels`. Leave it out, or name genotypes with --indels.")
        if self.indels and (self.training.reverse_complement or self.training.max_shift or self.reference_only):
            option = "reference-only" if self.reference_only else "reverse-complement` or `max-shift"
            raise ConfigError(f"`{option}` is not for sequences with indels. Leave one of the two out.")

    def _check_coverage(self) -> None:
        training = self.training
        for name, given in (
            ("reference-only", self.reference_only),
            ("loss", training.loss != "both"),
            ("reverse-complement", training.reverse_complement > 0),
            ("max-shift", training.max_shift > 0),
        ):
            if given:
                raise ConfigError(f"`{name}` is not for `--target coverage`. Leave one of the two out.")

    @property
    def sizes(self) -> ExpressionNetworkConfig:
        """The network, once it is settled."""
        assert isinstance(self.network, ExpressionNetworkConfig), "settle the configuration first"
        return self.network

    @property
    def label(self) -> str:
        """The model's name in tables, once it is settled."""
        return self.name or sized_name(self.sizes.model, self.train_size)

    def settled(self, *, window: int, gpu: bool) -> FitConfig:
        """This configuration with the network, the learning rate and the micro-batch chosen where they were left open.

        Args:
            window: of the cohort.
            gpu: whether the network is trained on a CUDA device.
        """
        random, network, training = self.checkpoint is None, self.network, self.training
        if isinstance(network, NetworkChoice):
            network = network.sizes(random=random, window=window, gpu=gpu)
        target = self.target
        if target.target == "coverage" and target.frozen_epochs is None:
            target = replace(target, frozen_epochs=0 if random else FROZEN_EPOCHS)
        if training.learning_rate is None:
            part = random or network.freeze_trunk or network.adapted
            whole = 1e-5 if target.target == "coverage" else 5e-6
            training = replace(training, learning_rate=1e-3 if part else whole)
        if training.micro_batch is None:
            training = replace(training, micro_batch=32 if gpu else 4)
        if self.reference_only:
            training = replace(training, loss="mse")
        return replace(self, network=network, training=training, target=target)


def fold_numbers(words: Sequence[str]) -> tuple[int, ...]:
    """Numbers of folds from words; `all` is the empty tuple.

    Raises:
        ConfigError: a word is no number.
    """
    if tuple(words) == ("all",):
        return ()
    other = [word for word in words if not word.isdecimal()]
    if other:
        raise ConfigError(f"`fold` must be numbers from 0, or all, got {other[0]!r}.")
    return tuple(dict.fromkeys(int(word) for word in words))
