"""A small command with a `RunFolder`, ended before each of its file operations: by a kill, or by a full disk.

python faults.py FOLDER kill|full new|overwrite
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from varfx.errors import StoreError
from varfx.io import sealed, sealed_folder
from varfx.io.run_folder import RunFolder

EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"}
state = {"left": 0, "kind": ""}


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """Before the last operation that is left: ends the process, or says that the disk is full."""
    if not state["left"]:
        return
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if not writes and event not in EVENTS:
        return
    state["left"] -= 1  # type: ignore[operator]
    if not state["left"]:
        if state["kind"] == "kill":
            os._exit(9)
        if writes or event == "os.mkdir":
            raise OSError(errno.ENOSPC, "No space left on device")


def run_of(folder: Path) -> RunFolder:
    return RunFolder(out=folder / "RUN", holds="run", record="run.json", made_by="varfx command")


def command(folder: Path, *, resume: bool = False, overwrite: bool = False, size: int = 3) -> None:
    run = run_of(folder)
    run.begin({"config": {"size": size}, "inputs": {}}, resume=resume, overwrite=overwrite)
    with run.starting():
        parts = run.below("parts")
        for number in range(size):
            if not (parts / f"{number}.json").is_file():
                sealed.write_json(parts / f"{number}.json", number)
        sealed.write_json(run.result / "run.json", [sealed.read_json(parts / f"{n}.json") for n in range(size)])
        with sealed.atomic_path(run.result / "plain.csv") as partial:
            partial.write_text("a,b\n")
    run.finish()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ended_at(place: int, kind: str, folder: Path, **options: object) -> int:
    """Exit status of a child that ends before its operation of this number: 9 killed, 2 told, 0 whole, 1 anything else."""
    child = os.fork()
    if child == 0:
        state.update(left=place, kind=kind)
        try:
            command(folder, **options)  # type: ignore[arg-type]
        except StoreError as error:
            os._exit(2 if "the disk is full" in str(error) else 1)
        except BaseException:  # noqa: BLE001  (a child must not return)
            os._exit(1)
        os._exit(0 if state["left"] else 3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    sys.addaudithook(watch)
    root, kind, start = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    place = 0
    while True:
        place += 1
        folder = root / str(place)
        folder.mkdir()
        if start == "overwrite":
            command(folder, size=2)
        before = content(folder)
        status = ended_at(place, kind, folder, overwrite=start == "overwrite")
        assert status in ((9, 0) if kind == "kill" else (2, 3, 0)), f"{kind} before operation {place}: status {status}"
        run, out = run_of(folder), folder / "RUN"
        if out.exists():  # whole: the earlier one, or the new one
            run.open()
            sealed_folder.check_directory(out)
            assert sealed.read_json(out / "run.json") == [0, 1] or content(folder) != before
        if not out.exists() or sealed.read_json(out / "run.json") != [0, 1, 2]:
            command(folder, resume=True, overwrite=start == "overwrite")
        elif run.building.exists():
            command(folder, resume=True, overwrite=True)
        sealed_folder.check_directory(out)
        assert sealed.read_json(out / "run.json") == [0, 1, 2], place
        visible = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        assert visible == ["RUN"], (place, visible)
        assert not list(out.rglob("*.partial")), place
        if status == 0:
            print(place - 1)
            return


if __name__ == "__main__":
    main()
