"""The one tree of errors. Each message says what is wrong, how many, the first offender, and what to do.

`VarfxError` is what a caller catches; the command line prints its text as one line and exits with 2.
An iteration that does not converge is no error here: solvers return an outcome.
"""


class VarfxError(Exception):
    """Base of every error that varfx raises for a caller's input."""

    said = False  # whether another process of the same fit prints it


class DataError(VarfxError, ValueError):
    """Values that cannot be right: a NaN z, a negative N, an allele outside ACGT."""


class FormatError(DataError):
    """A file that is not in the format it claims, or is truncated or empty."""


class HarmonisationError(DataError):
    """Two tables of variants that do not describe the same genome: wrong build, or too little overlap."""


class ConfigError(VarfxError, ValueError):
    """An option, argument or YAML key that is unknown or out of its range."""


class StoreError(VarfxError, OSError):
    """A file of ours that is damaged, unfinished, of another version, or cannot be written (disk full)."""


class DownloadError(VarfxError, OSError):
    """A public file that could not be fetched, or whose checksum differs."""


class WorkerError(VarfxError, RuntimeError):
    """Worker processes, or the scheduler of a cluster, that were lost; finished pieces are kept where they are files."""
