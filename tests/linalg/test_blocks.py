import pytest
import torch

from varfx.errors import ConfigError
from varfx.linalg.blocks import column_blocks


@pytest.mark.parametrize("storage", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("block_bytes", [1, 5 * 4 * 3, 5 * 4 * 7, 10**9, None])
def test_blocks_put_together_are_the_matrix(
    storage: torch.dtype, block_bytes: int | None, generator: torch.Generator
) -> None:
    matrix = torch.randn(5, 17, generator=generator, dtype=torch.float64).to(storage)
    parts = [(part, block.clone()) for part, block in column_blocks(matrix, torch.float32, block_bytes)]
    assert [part.start for part, _ in parts[1:]] == [part.stop for part, _ in parts[:-1]]
    assert (parts[0][0].start, parts[-1][0].stop) == (0, 17)
    assert all(block.dtype == torch.float32 for _, block in parts)
    assert torch.equal(torch.cat([block for _, block in parts], dim=1), matrix.to(torch.float32))


def test_a_block_keeps_to_its_bytes(generator: torch.Generator) -> None:
    matrix = torch.randn(6, 50, generator=generator).half()
    widths = [block.shape[1] for _, block in column_blocks(matrix, torch.float32, 6 * 4 * 8 + 5)]
    assert widths == [8, 8, 8, 8, 8, 8, 2]


def test_a_matrix_in_the_working_precision_is_not_copied() -> None:
    matrix = torch.ones(3, 4)
    ((_, whole),) = column_blocks(matrix, torch.float32)
    assert whole.data_ptr() == matrix.data_ptr()
    assert all(block._base is matrix for _, block in column_blocks(matrix, torch.float32, 12))


def test_no_columns_give_no_content() -> None:
    assert sum(block.numel() for _, block in column_blocks(torch.empty(3, 0).half(), torch.float32)) == 0


@pytest.mark.parametrize("storage", [torch.float16, torch.float32])
def test_a_budget_of_nothing_is_an_error(storage: torch.dtype) -> None:
    with pytest.raises(ConfigError, match="`block_bytes` must be positive, got 0"):
        next(column_blocks(torch.ones(2, 2, dtype=storage), torch.float32, 0))
