"""A sample of `make torture` with fixed seeds, in a process of its own, which must not have begun threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = ((["readers"], "", 2), (["killed", "terminated", "together"], "ld build", 1))
# One process, as what it imports serves all campaigns.
SCRIPT = """
import json, sys
from torture.__main__ import main
sys.exit(max([main(words) for words in json.loads(sys.argv[1])]))
"""


@pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc/self/statm").exists(), reason="children are forked")
def test_a_sample_of_every_campaign_finds_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    places = ["--minutes", "60", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "torture.json")]
    words = [[*campaigns, "--only", only, "--tries", str(tries), *places] for campaigns, only, tries in SAMPLE]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(words)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    counts = json.loads((tmp_path / "torture.json").read_text())
    assert counts["sums"].keys() == {name for campaigns, _, _ in SAMPLE for name in campaigns}
    assert all(each["findings"] == 0 for each in counts["sums"].values())
    assert all(part["tries"] > 0 for parts in counts["campaigns"].values() for part in parts.values())
    assert counts["sums"]["readers"]["tries"] > 2 * 25
