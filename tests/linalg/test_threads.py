"""The number of threads of torch's products inside and after `one_thread`."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from varfx.linalg.threads import one_thread


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_inside_and_as_many_as_before_afterwards() -> None:
    with one_thread():
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(ValueError, match="inside"), one_thread():
        raise ValueError("inside")
    assert torch.get_num_threads() == 2


def test_other_threads_keep_theirs() -> None:
    """A network is trained in one thread while another one whitens the next window."""
    entered, leave = threading.Event(), threading.Event()

    def whitening() -> None:
        with one_thread():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=whitening)
    thread.start()
    assert entered.wait(10)
    assert torch.get_num_threads() == 2
    leave.set()
    thread.join(10)
    assert torch.get_num_threads() == 2
