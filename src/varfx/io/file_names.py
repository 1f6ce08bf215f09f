"""Names from files as names of files: a cohort from a stranger must not choose where something is written."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

_SAFE = "+:@,=()"  # beside letters, digits, `_`, `-`, `.` and `~`
_LONGEST = 120  # bytes; file systems allow 255


def as_file_name(name: str) -> str:
    """A single component of a path, the same for the same name and different for different names.

    Ordinary ids stay as they are. Letters such as `/` become `%2F`, a leading dot `%2E`, and a long name is cut and ends in
    its checksum.
    """
    text = quote(name, safe=_SAFE)
    if text.startswith("."):
        text = "%2E" + text[1:]
    if not text:
        text = "%"
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}%{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"
    return text
