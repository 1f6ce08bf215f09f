"""Networks of a run: one per fold, or one per fold and gene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from varfx.errors import ConfigError, DataError
from varfx.expression.cohort.store import Cohort
from varfx.expression.network.batches import check_window
from varfx.expression.network.config import FitConfig
from varfx.io.file_names import as_file_name


@dataclass(frozen=True)
class NetworkTask:
    """One network.

    Attributes:
        fold: number of the fold.
        genes: trained on.
        heldout: only predicted.
        tuned: neither trained on nor predicted: training stops by them.
        single: whether it is the network of one gene.
    """

    fold: int
    genes: tuple[str, ...]
    heldout: tuple[str, ...]
    single: bool
    tuned: tuple[str, ...] = ()

    @property
    def gene(self) -> str | None:
        """The gene whose network it is, if it is one gene's."""
        return self.genes[0] if self.single else None

    @property
    def stem(self) -> str:
        """Of its files."""
        return network_stem(self.fold, self.gene)


def network_tasks(cohort: Cohort, config: FitConfig) -> list[NetworkTask]:
    """Networks to be trained.

    Raises:
        ConfigError: no such fold; the window is longer than the cohort's; haplotypes of a cohort without.
        DataError: genes that the cohort does not have; nothing to train on; too few individuals.
    """
    if check_window(cohort, config.sizes.window) and config.phased and not cohort.phased:
        raise ConfigError(f"`phased` needs haplotypes, and `{cohort.path}` has none. Prepare it from phased genotypes.")
    folds = config.folds or tuple(range(cohort.num_folds))
    for number in folds:
        fold = cohort.fold(number).thinned(config.train_size, config.training.seed)
        if fold.train.size < 2 or not fold.tune.size:
            raise DataError(
                f"fold {number} has {fold.train.size} training and {fold.tune.size} tuning individuals; at least 2 and 1 are needed. "
                "Prepare the cohort with other shares."
            )
    chosen, tuned = _known(cohort, config.genes), tuple(_known(cohort, config.tune_genes))
    if config.single_gene:
        genes = tuple(chosen) or cohort.genes_train
        tasks = [NetworkTask(fold, (gene,), (), True) for fold in folds for gene in genes]
    else:
        genes = tuple(gene for gene in cohort.genes_train if (not chosen or gene in chosen) and gene not in tuned)
        heldout = tuple(gene for gene in cohort.genes_heldout if gene in chosen) or cohort.genes_heldout
        heldout = tuple(gene for gene in heldout if gene not in tuned)
        tasks = [NetworkTask(fold, genes, heldout, False, tuned) for fold in folds]
    if not genes:
        raise DataError(
            f"no gene to train on: all {len(chosen) or cohort.genes.height} are held out. Name others with --genes, or train each "
            "by itself with --single-gene."
        )
    return tasks


def _known(cohort: Cohort, names: Sequence[str]) -> dict[str, None]:
    """Ensembl ids of these genes, each once.

    Raises:
        DataError: the cohort does not have them.
    """
    absent = [name for name in names if not _has(cohort, name)]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(names)} genes are not in `{cohort.path}`, first {absent[0]}. Give Ensembl ids of "
            f"its {cohort.genes.height} genes (genes.parquet), one a line."
        )
    return dict.fromkeys(cohort.gene(name).gene_id for name in names)


def _has(cohort: Cohort, gene_id: str) -> bool:
    try:
        cohort.gene_row(gene_id)
    except DataError:
        return False
    return True


def network_stem(fold: int, gene_id: str | None = None) -> str:
    """Name of a network's files, without ending."""
    return f"fold{fold}" if gene_id is None else f"{as_file_name(gene_id)}.fold{fold}"
