"""One run of Lightning's trainer: where it computes, who starts its processes, and how it ends.

Ctrl-C stays a KeyboardInterrupt. SIGTERM ends the fit after the step, with a checkpoint, and is then given to whoever handled it
before. An error of one process is the caller's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import lightning
from lightning.fabric.plugins.environments import ClusterEnvironment, LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from varfx import errors
from varfx.device import check_several, find_device
from varfx.errors import VarfxError
from varfx.progress import Progress, silent
from varfx.training import processes
from varfx.training.checkpoint import SafetensorsCheckpointIO, read_checkpoint
from varfx.training.history import LAST
from varfx.training.launch import TIMEOUT, launched

if TYPE_CHECKING:
    from varfx.training.loop import FitModule
    from varfx.training.watch import Watch

SECONDS = 20.0  # that processes have to end by themselves after Ctrl-C
_LOGGERS = ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric")


def run(
    module: FitModule, watch: Watch, *, device: str = "auto", devices: int = 1, num_nodes: int = 1, **options: Any
) -> None:
    """Trains a module to the end, or goes on from the watch's checkpoint; the watch then holds the best weights.

    Under torchrun or srun, call it after `varfx.training.launch.join`, in all processes.

    Args:
        module: what is trained; its weights are those of the last step afterwards.
        watch: checks, checkpoints, progress.
        device: where each process computes, by name.
        devices: processes per machine.
        num_nodes: machines.
        options: more of Lightning's trainer.

    Raises:
        ConfigError: fewer devices than asked for; processes of several machines that nobody started.
        VarfxError: what a process said was wrong.
    """
    check_several(device, devices)
    environment = launched(devices, num_nodes)
    watch.resume = watch.resume and (watch.folder / LAST).is_dir()
    if watch.resume:
        watch.load(read_checkpoint(watch.folder / LAST))
    if watch.done:
        return
    if processes.rank():
        watch.progress = silent
    spawned = environment is None and devices > 1
    with quiet_lightning(), honest_interrupt():
        trainer = _trainer(watch, _place(device, devices), environment, spawned, num_nodes, options)
        if spawned:
            _fit_spawned(trainer, module, watch)
        else:
            trainer.fit(module)
    if watch.terminated:
        signal.raise_signal(signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM)  # where the caller's handler does not raise


def _place(device: str, devices: int) -> dict[str, Any]:
    """Lightning's names for the devices of this machine."""
    found = find_device(device)
    if found.type == "cuda":
        return {"accelerator": "cuda", "devices": devices if devices > 1 else [found.index]}
    return {"accelerator": found.type, "devices": devices}


def _trainer(
    watch: Watch,
    place: dict[str, Any],
    environment: ClusterEnvironment | None,
    spawned: bool,
    num_nodes: int,
    options: dict[str, Any],
) -> lightning.Trainer:
    several = spawned or environment is not None
    start = "spawn" if spawned else "popen"
    return lightning.Trainer(
        **place,
        num_nodes=num_nodes,
        strategy=DDPStrategy(broadcast_buffers=False, timeout=TIMEOUT, start_method=start) if several else "auto",
        # one process, or those asked for, whatever a cluster's variables say
        plugins=[SafetensorsCheckpointIO(), environment or LightningEnvironment()],
        max_epochs=1,
        callbacks=[watch],
        default_root_dir=watch.folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **options,
    )


class _Relay:
    """Progress of the first process, told to the caller's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, done: int, total: int, what: str) -> None:
        if processes.rank() == 0:
            with contextlib.suppress(OSError):  # the caller has gone, and this process will
                self._connection.send((done, total, what))


def _fit_spawned(trainer: lightning.Trainer, module: FitModule, watch: Watch) -> None:
    """Trains in processes that Lightning starts; this one waits, passes on their progress, and reads what they left."""
    launcher = trainer.strategy.launcher
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    progress, watch.progress = watch.progress, _Relay(sender)
    failed: list[BaseException] = []
    relay = threading.Thread(target=_pass_on, args=(receiver, progress, failed, launcher), daemon=True)

    def terminate(number: int, frame: Any) -> None:
        watch.terminated = True
        launcher.kill(number)

    with _one_machine(), _handling_sigterm(terminate):
        relay.start()
        try:
            trainer.fit(module)
        except (ProcessRaisedException, ProcessExitedException) as error:
            if not (watch.terminated or failed):
                raise _own_error(str(error)) or error from error
        finally:
            _end(launcher)
            sender.close()
            relay.join()
            receiver.close()
            watch.progress = progress
    if failed:
        raise failed[0]
    if (watch.folder / LAST).is_dir():  # not if SIGTERM came before the first step
        watch.load(read_checkpoint(watch.folder / LAST))


def _pass_on(receiver: Connection, progress: Progress, failed: list[BaseException], launcher: Any) -> None:
    """Forwards each step to the caller until the last sender has gone. An exception of the caller ends the processes after the step."""
    try:
        while True:
            progress(*receiver.recv())
    except EOFError:
        return
    except BaseException as error:  # noqa: BLE001 - raised again by `_fit_spawned`
        failed.append(error)
        launcher.kill(signal.SIGTERM)
    with contextlib.suppress(EOFError):
        while True:
            receiver.recv()


def _own_error(text: str) -> VarfxError | None:
    """The error of ours that ended a process, from its traceback."""
    found = re.findall(r"^varfx\.errors\.(\w+): (.*)$", text, re.MULTILINE)
    if not found:
        return None
    name, message = found[-1]
    error: VarfxError = getattr(errors, name)(message)
    return error


def _end(launcher: Any) -> None:
    """Ends the processes that are left: by Ctrl-C, so that they clean up, then by force."""
    launcher.kill(signal.SIGINT)
    for process in launcher.procs:
        process.join(SECONDS)
    launcher.kill(signal.SIGKILL)


@contextlib.contextmanager
def _one_machine() -> Iterator[None]:
    """Processes of one machine meet at its loopback address, as a host's name need not resolve; the environment is put back."""
    before = {name: os.environ.get(name) for name in ("MASTER_ADDR", "MASTER_PORT", "GLOO_SOCKET_IFNAME")}
    try:
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            os.environ.pop(name, None)
        if sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _handling_sigterm(handler: Any) -> Iterator[None]:
    """Inside it, SIGTERM is handled so, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def honest_interrupt() -> Iterator[None]:
    """Ctrl-C stays a KeyboardInterrupt: Lightning makes it an exit with code 1, and ignores any further one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def quiet() -> None:
    """Keeps Lightning's own notices about devices and loaders from the user's screen, for the rest of the process."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    # the position functions are kept for speed alone, so that a compiled network may go past the cache
    warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's notices from the user's screen, inside it."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [each.level for each in loggers]
    try:
        with warnings.catch_warnings():
            quiet()
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
