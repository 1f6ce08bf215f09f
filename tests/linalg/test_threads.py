"""The number of threads of NumPy's products inside and after `one_thread`."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from varfx.linalg.threads import one_thread


def threads() -> set[int]:
    """Of all OpenBLAS libraries of this process."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return {each["num_threads"] for each in ThreadpoolController().info() if each["internal_api"] == "openblas"}


def test_one_thread_inside_and_as_many_as_before_afterwards() -> None:
    if not (before := threads()):
        pytest.skip("NumPy and SciPy are not built with OpenBLAS")
    with one_thread():
        with one_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == before
    with pytest.raises(ValueError, match="inside"), one_thread():
        raise ValueError("inside")
    assert threads() == before


def test_threads_are_back_after_blocks_that_overlap() -> None:
    before = threads()
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with one_thread():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(10)
    with one_thread():
        assert threads() <= {1}
        leave.set()
        thread.join(10)
    assert threads() == before
