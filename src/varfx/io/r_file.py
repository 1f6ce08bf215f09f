"""R's own files (`saveRDS`, `save`), read with the package `rdata`, without R."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

from varfx.errors import ConfigError, FormatError
from varfx.io.stream import read_bytes

_DAMAGE = (ValueError, OSError, EOFError, KeyError, TypeError, OverflowError, MemoryError, NotImplementedError, RecursionError,
           struct.error, zlib.error, SystemError, AssertionError, IndexError, AttributeError)  # fmt: skip


def read_r(path: Path) -> Any:
    """The R object of a file; of `save`, a mapping of names to objects.

    Raises:
        ConfigError: rdata is not installed.
        FormatError: the file is missing, damaged, or none of R.
    """
    try:
        import rdata
    except ModuleNotFoundError as error:
        raise ConfigError(f"`{path}` is a file of R, which needs rdata: pip install 'varfx[rds]'.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes without a constructor, whose slots are all that is needed
            return rdata.conversion.convert(rdata.parser.parse_data(read_bytes(path)))
    except FormatError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()).rstrip(".")[:120]
        raise FormatError(f"`{path}` is not a whole {path.suffix} file ({reason}). Fetch it again.") from error
