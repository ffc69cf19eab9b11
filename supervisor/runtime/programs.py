"""What a generation is started with: program, arguments, environment, configuration file."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.child.environment import child_environment
from supervisor.config.inference import inference_of
from supervisor.config.model import Configuration, Worker
from supervisor.runtime.layout import GATEWAY

# One thread each unless the operator says otherwise: several workers on one machine would fight for
# the cores.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs behind the slots, without their arguments."""

    worker: tuple[str, ...] = (sys.executable, "-m", "inference")
    gateway: tuple[str, ...] = (sys.executable, "-m", "supervisor.gateway")

    def argv(
        self, slot: str, epoch: str, socket: Path, listen_fd: int | None = None
    ) -> tuple[str, ...]:
        """Command line of one generation (docs/wire.md, section 2)."""
        common = ("--config", f"{socket}.config.json", "--epoch", epoch)
        if slot == GATEWAY:
            return (*self.gateway, *common, "--control", str(socket), "--listen-fd", str(listen_fd))
        return (*self.worker, *common, "--socket", str(socket))


def environment_of(
    configuration: Configuration, slot: str, epoch: str, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Environment of one generation."""
    if slot == GATEWAY:
        return child_environment(inherited, {}, epoch)
    worker = worker_named(configuration, slot)
    extra = {name: inherited.get(name, "1") for name in _THREADS}
    if worker.gpu is not None:
        extra["CUDA_VISIBLE_DEVICES"] = str(worker.gpu)
    return child_environment(inherited, extra | worker.environment, epoch)


def configuration_text(configuration: Configuration, slot: str) -> str:
    """Content of the generation's configuration file."""
    if slot == GATEWAY:
        return json.dumps(configuration.model_dump(mode="json"))
    worker = worker_named(configuration, slot)
    return json.dumps({"inference": inference_of(configuration, worker)})


def worker_named(configuration: Configuration, name: str) -> Worker:
    """Configuration of a worker slot; KeyError for an unknown one."""
    for worker in configuration.workers:
        if worker.name == name:
            return worker
    raise KeyError(name)
