"""Sequences made ahead: the same ones in the same order, no more of them than wanted, and no thread that stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cases.people import Simulated, small_network
from varfx.errors import DataError
from varfx.models.expression import ExpressionNetwork
from varfx.training.people import module
from varfx.training.people.ahead import Ahead
from varfx.training.people.config import ExpressionTrainConfig
from varfx.training.people.fit import train_expression
from varfx.training.people.predict import predict


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "varfx sequences"]


@pytest.mark.parametrize("depth", [1, 3])
def test_items_in_order_and_only_so_many(depth: int) -> None:
    made: list[int] = []
    waiting = threading.Event()

    def items() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            if number == depth - 1:
                waiting.set()
            yield number

    with Ahead(items(), depth) as ahead:
        assert waiting.wait(10)  # made before anybody asks
        for number in range(9):
            assert len(made) <= number + depth
            assert next(ahead) == number
        assert list(ahead) == []
    assert threads() == []


def test_errors_come_in_their_place_and_end_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise DataError("the window cannot be read")

    ahead = Ahead(items())
    assert next(ahead) == 1
    with pytest.raises(DataError, match=r"^the window cannot be read$"):
        next(ahead)
    assert list(ahead) == []
    ahead.close()
    assert threads() == []


def test_closing_ends_a_thread_that_waits() -> None:
    def items() -> Iterator[int]:
        while True:
            yield 0

    ahead = Ahead(items())
    assert threads() == ["varfx sequences"]
    ahead.close()
    assert threads() == []
    assert list(ahead) == []


class Recorded(Simulated):
    """Says which thread made each sequence, and may fail."""

    fails_after: int | None = None

    def encode(self, *arguments: Any, **options: Any) -> torch.Tensor:
        self.made = [*getattr(self, "made", []), threading.current_thread() is threading.main_thread()]
        if self.fails_after is not None and len(self.made) > self.fails_after:
            raise DataError("genotypes are damaged")
        return super().encode(*arguments, **options)


def trained(folder: Path, data: Simulated, **options: Any) -> ExpressionNetwork:
    folder.mkdir(exist_ok=True)
    network = small_network(dropout=0.2)
    config = ExpressionTrainConfig(
        learning_rate=3e-3, epochs=2, batch=8, micro_batch=3, reverse_complement=0.5, max_shift=2, **options
    )
    train_expression(network, data, config, folder)
    return network


@pytest.mark.parametrize("keep_graphs", [False, True])
def test_training_is_the_same_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_graphs: bool) -> None:
    data = Recorded()
    ahead = trained(tmp_path / "ahead", data, keep_graphs=keep_graphs)
    assert not any(data.made)  # all by the thread
    assert threads() == []

    class InPlace(Ahead[Any]):
        def __init__(self, items: Iterator[Any]) -> None:
            self._items = items

        def __next__(self) -> Any:
            return next(self._items)

        def close(self) -> None:
            pass

    monkeypatch.setattr(module, "Ahead", InPlace)
    data = Recorded()
    plain = trained(tmp_path / "plain", data, keep_graphs=keep_graphs)
    assert all(data.made)
    for (name, value), other in zip(ahead.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def test_an_error_of_the_thread_is_the_error_of_the_training(tmp_path: Path) -> None:
    data = Recorded()
    data.fails_after = 7
    with pytest.raises(DataError, match=r"^genotypes are damaged$"):
        trained(tmp_path, data)
    assert threads() == []


def test_an_interrupt_ends_the_thread(tmp_path: Path) -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    config = ExpressionTrainConfig(learning_rate=3e-3, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train_expression(small_network(), Simulated(), config, tmp_path, progress=interrupt)
    assert threads() == []


def test_predictions_are_those_of_one_individual_after_the_other() -> None:
    data, network, rows = Recorded(), small_network().eval(), np.arange(7)
    cpu = torch.device("cpu")
    found = predict(network, lambda some: data.encode(0, some, cpu), rows, micro_batch=2)
    with torch.no_grad():
        expected = torch.cat([network(data.encode(0, rows[k : k + 2], cpu)) for k in (0, 2, 4, 6)])
    np.testing.assert_array_equal(found, expected.numpy())
    data.fails_after = len(data.made) + 1
    with pytest.raises(DataError, match="genotypes are damaged"):
        predict(network, lambda some: data.encode(0, some, cpu), rows, micro_batch=2)
    assert threads() == []
