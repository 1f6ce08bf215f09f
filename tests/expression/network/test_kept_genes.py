"""Sequences of a gene that stay on the device between micro-batches."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from varfx.expression.network import batches
from varfx.expression.network.batches import KEPT_GENES, CohortBatches


class Window:
    """Sequences on the first GPU, which carry its number as all of its tensors do."""

    device = torch.device("cuda", 0)

    def __getattr__(self, name: str) -> object:
        return lambda *arguments, **options: torch.zeros(1)


def test_a_gene_is_read_once_whether_or_not_the_device_has_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def gene_sequences(cohort: object, gene: str, device: torch.device, **options: object) -> Window:
        read.append(gene)
        return Window()

    monkeypatch.setattr(batches, "gene_sequences", gene_sequences)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    data = object.__new__(CohortBatches)
    data.genes = tuple(f"gene{i}" for i in range(KEPT_GENES + 1))
    data._cohort, data._window, data._phased, data._kept = None, 8, False, OrderedDict()  # type: ignore[assignment]
    data._indels = None
    data._fold = SimpleNamespace(train=np.arange(2))  # type: ignore[assignment]
    for device in ("cuda", "cuda:0", "cuda"):
        data.encode(0, np.array([0]), torch.device(device))
    assert read == ["gene0"]
    data.encode(0, np.array([0]), torch.device("cuda:1"))
    assert read == ["gene0", "gene0"]  # another GPU has its own
    for gene in range(1, KEPT_GENES + 1):
        data.encode(gene, np.array([0]), torch.device("cuda"))
    assert 0 not in data._kept
    assert len(data._kept) == KEPT_GENES
