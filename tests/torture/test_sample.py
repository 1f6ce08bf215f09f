"""A small deterministic sample of `make torture`: some mutations of each reader, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
READERS = 60  # at least so many


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    out = tmp_path / "counts.json"
    command = [sys.executable, "-m", "torture", "--minutes", "5", "--mutations", "12", "--out", str(out)]
    path = os.pathsep.join(str(ROOT / name) for name in ("src", "tests"))
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(out.read_text())["readers"]
    assert len(counts) > READERS
    assert all(each["tries"] and not each["findings"] for each in counts.values())
    assert sum(each["refused"] for each in counts.values()) > 200
