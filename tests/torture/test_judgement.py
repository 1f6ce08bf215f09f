"""The judges of `make torture`: what they count as a fault, what not, and that no mishap of one part ends the others."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from torture import __main__ as campaigns
from torture.children import Ended
from torture.commands import result_of
from torture.fuzz import fuzz
from torture.merge import table
from torture.readers import Reader
from torture.tally import Record, Tally
from varfx.errors import FormatError

forked = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # no child here uses a thread's work


@pytest.mark.parametrize(
    ("screen", "fine"),
    [
        ("terminated; nothing was written\n", True),
        ("warning: few individuals\ncells: 1 of 4\nwarning: sigma2 is 0.57\nterminated; nothing was written\n", True),
        ("terminated; nothing was written\nwarning: a coroutine\n", False),
        ("Traceback (most recent call last):\nterminated; nothing was written\n", False),
        ("warning: few individuals\n", False),
        ("", False),
    ],
)
def test_one_line_ends_the_screen_below_warnings_of_before(screen: str, fine: bool) -> None:
    assert Ended(143, screen).is_one_line is fine


def _output(folder: Path, *, created: str, seen: str | None = None) -> dict[str, str]:
    """The result of a command that writes data with their time, and a file that holds the checksum of the data."""
    folder.mkdir()
    data = json.dumps({"created": created, "value": 1})
    (folder / "data.json").write_text(data)
    checksum = hashlib.sha256((seen or data).encode()).hexdigest()
    (folder / "identity.json").write_text(json.dumps({"inputs": {"data": checksum, "panel": "of another folder"}}))
    return result_of(folder)


def test_a_checksum_that_changes_with_a_time_is_no_other_result_but_that_of_another_file_is(tmp_path: Path) -> None:
    first = _output(tmp_path / "first", created="noon")
    assert _output(tmp_path / "second", created="evening") == first
    stale = _output(tmp_path / "third", created="night", seen="data of before")
    assert {name for name in first if stale[name] != first[name]} == {"identity.json"}


def _reader(act: Callable[[int], None], sample: Path) -> Reader:
    """A reader whose tries after that of the undamaged sample act by their number."""
    sample.mkdir()
    (sample / "a.txt").write_text("x")
    tries = iter(range(-1, 10**6))
    return Reader("toy", "toy", ("a.txt",), lambda _: act(next(tries)))


@forked
def test_ends_of_a_child_are_findings_of_the_damage_that_it_read(tmp_path: Path) -> None:
    def act(number: int) -> None:
        if number == 1:
            raise FormatError("damaged")
        if number == 2:
            raise KeyError("foreign")
        if number == 3:  # seed 3, and 7 in the child that follows
            os.kill(os.getpid(), signal.SIGKILL)

    tally = Tally()
    fuzz(_reader(act, tmp_path / "sample"), tmp_path / "sample", tmp_path / "scratch", range(10), tally)
    assert tally.tries == 10
    assert tally.good == {"read": 3, "refused": 3}
    assert tally.findings == {"KeyError at ?": 2, "SIGKILL": 2}
    assert tally.first["SIGKILL"].startswith("seed 3:")


@forked
def test_an_exit_of_the_process_in_the_first_try_is_a_finding_and_not_the_end(tmp_path: Path) -> None:
    def act(number: int) -> None:
        if number == 0:
            os._exit(1)

    tally = Tally()
    fuzz(_reader(act, tmp_path / "sample"), tmp_path / "sample", tmp_path / "scratch", range(4), tally)
    assert (tally.tries, dict(tally.findings), tally.mishaps) == (4, {"exit 1": 4}, 0)


@forked
def test_a_child_that_tries_nothing_is_a_mishap_of_its_own_reader_alone(tmp_path: Path) -> None:
    def refuse(number: int) -> None:
        raise FormatError("the sample was not made")

    bad = _reader(refuse, tmp_path / "bad")
    good = _reader(lambda _: None, tmp_path / "good")
    parts = {
        name: lambda s, t, u, r=reader, n=name: fuzz(r, tmp_path / n, tmp_path / "scratch", s, t, u)
        for name, reader in {"bad": bad, "good": good}.items()
    }
    record = Record(tmp_path / "counts.json")
    campaigns._run("readers", parts, 6, record, time.monotonic() + 60)
    assert record.tally("readers", "good").tries == 6
    assert (record.tally("readers", "bad").tries, record.tally("readers", "bad").mishaps) == (0, campaigns.MISHAPS)
    assert "the sample was not made" in record.tally("readers", "bad").first["mishap"]
    assert not Record(tmp_path / "counts.json").is_good


def test_turns_go_to_the_part_with_the_fewest_tries(tmp_path: Path) -> None:
    record, order = Record(tmp_path / "counts.json"), list[str]()

    def part(name: str) -> campaigns.Part:
        def run(seeds: range, tally: Tally, until: float) -> None:
            order.append(name)
            for seed in seeds:
                tally.note(seed, "equal", good=True)

        return run

    for seed in range(2):
        record.tally("killed", "ahead").note(seed, "equal", good=True)
    campaigns._run("killed", {name: part(name) for name in ("ahead", "behind")}, 3, record, time.monotonic() + 60)
    assert order == ["behind", "behind", "ahead", "behind"]
    assert record.sums["killed"] == {"parts": 2, "tries": 6, "fewest": 3, "findings": 0, "mishaps": 0}


def _record(path: Path, **tries: tuple[int, str]) -> Record:
    record = Record(path)
    for name, (count, finding) in tries.items():
        for seed in range(count):
            record.tally("readers", name).note(seed, "read", good=True)
        if finding:
            record.tally("readers", name).note(count, finding, good=False)
    record.write()
    return Record(path)


def test_records_merge_to_the_longer_and_keep_findings_until_these_are_tried_again(tmp_path: Path) -> None:
    first = _record(tmp_path / "a.json", vcf=(5, ""), bcf=(2, "SIGABRT"))
    first.merge(_record(tmp_path / "b.json", vcf=(3, ""), bcf=(9, ""), bed=(1, "")))
    assert [first.tally("readers", name).tries for name in ("vcf", "bcf", "bed")] == [5, 3, 1]
    assert "| `readers` | 3 | 9 | 1 | 1 |" in table(first)
    first.forget_findings()
    assert first.is_good
    assert first.sums["readers"] == {"parts": 2, "tries": 6, "fewest": 1, "findings": 0, "mishaps": 0}


def test_two_campaigns_never_share_a_folder(tmp_path: Path) -> None:
    with campaigns._sole_user_of(tmp_path), pytest.raises(SystemExit, match="in use by another campaign"):
        campaigns._sole_user_of(tmp_path)
    campaigns._sole_user_of(tmp_path).close()
