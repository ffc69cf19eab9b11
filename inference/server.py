"""The worker put together: socket, HTTP, engine thread, signals, and how it ends.

HTTP answers before the model is there: torch is imported on the engine thread. The process is
crash-only. Ending on purpose is: write exit.json, drop everything, so that streams are cut and
never ended as if they were complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import uvicorn

from inference.api.app import build_app
from inference.api.control import canary_request
from inference.api.schema import parse_chat
from inference.api.worker import Ready, Status, Worker
from inference.batching.loop import EngineThread, News, Settings
from inference.batching.prepare import Preparer
from inference.batching.progress import Phase, ProgressFile
from inference.batching.service import Service
from inference.config import InferenceConfig
from inference.engine.tokenizer import ChatTokenizer
from inference.engine.values import Engine, ModelError
from inference.models import CheckpointError, ensure_model
from inference.render import PangoUnavailableError

EXIT_OK, EXIT_TEMPORARY, EXIT_CONFIG = 0, 75, 78
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
_log = logging.getLogger(__name__)


class Ending:
    """Ends the process, once, with a record of why."""

    def __init__(self, epoch: str, socket_path: Path | None) -> None:
        self._epoch = epoch
        self._socket_path = socket_path
        self._lock = threading.Lock()

    def end(self, code: int, reason: str) -> None:
        """Write exit.json and leave at once; callable from any thread, never returns.

        `os._exit`, because the engine may be anywhere in native code: nothing else ends surely.
        """
        with self._lock:  # never released: whoever comes second waits for the end
            _log.log(
                logging.INFO if code == EXIT_OK else logging.ERROR, "exit %d: %s", code, reason
            )
            if self._socket_path is not None:
                self._record(self._socket_path, code, reason)
            for handler in logging.getLogger().handlers:
                handler.flush()
            os._exit(code)

    def _record(self, socket_path: Path, code: int, reason: str) -> None:
        record = {
            "epoch": self._epoch,
            "code": code,
            "reason": reason,
            "at": datetime.now(UTC).isoformat(),
        }
        path = Path(f"{socket_path}.exit.json")
        draft = Path(f"{path}.new")
        with contextlib.suppress(OSError):  # a full disk must not keep the process alive
            with draft.open("w", encoding="utf-8") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        with contextlib.suppress(OSError):
            socket_path.unlink()


class Server:
    """Composition root; implements `batching.loop.Office`."""

    def __init__(self, config: InferenceConfig, epoch: str, ending: Ending, files: str | None):
        self._config = config
        self._ending = ending
        self._loop = asyncio.get_running_loop()
        self._preparer: Preparer | None = None
        self._service: Service | None = None
        self._warming: asyncio.Task[None] | None = None
        progress = ProgressFile(Path(f"{files}.progress") if files else None, epoch)
        # Waiting in the engine are at most as many as are drawn ahead, and those just cancelled.
        settings = Settings(4 * config.active_slots, config.prefill_tokens_per_step)
        self._engine = EngineThread(self._load, self, progress, settings)
        self._worker = Worker(config, epoch, progress, self._engine)
        self._tokenizer: ChatTokenizer | None = None

    async def run(self, listener: socket.socket, supervised: bool) -> None:
        """Serve until the process ends."""
        end = self._ending.end
        self._loop.add_signal_handler(signal.SIGTERM, partial(self._stop, "SIGTERM"))
        if supervised:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        else:
            self._loop.add_signal_handler(signal.SIGINT, partial(self._stop, "SIGINT"))
        self._engine.start()
        orphan_watch = asyncio.create_task(self._watch_for_supervisor(supervised))
        await _serve_http(self._worker, listener)
        orphan_watch.cancel()
        end(EXIT_TEMPORARY, "the HTTP server ended")

    def _stop(self, reason: str) -> None:
        self._worker.stage = Status.STOPPING
        self._ending.end(EXIT_OK, f"{reason} with {self._worker.in_flight} requests in flight")

    def _load(self) -> Engine:
        """On the engine thread: import torch, load the model."""
        from inference.engine.runner import load_engine
        from inference.engine.tokenizer import load_tokenizer

        began = time.monotonic()
        directory = ensure_model(self._config)
        engine = load_engine(directory, self._config)
        self._tokenizer = load_tokenizer(directory)
        _log.info("loaded %s in %.1f s", directory, time.monotonic() - began)
        return engine

    def loaded(self, engine: Engine) -> None:
        """See Office.loaded."""
        self._loop.call_soon_threadsafe(self._warm_up, engine)

    def post(self, news: Sequence[News]) -> None:
        """See Office.post."""
        self._loop.call_soon_threadsafe(self._deliver, news)

    def failed(self, error: Exception) -> None:
        """See Office.failed."""
        permanent = isinstance(error, ModelError | CheckpointError)
        code = EXIT_CONFIG if permanent else EXIT_TEMPORARY
        _log.error("the engine failed", exc_info=None if permanent else error)
        self._ending.end(code, f"{type(error).__name__}: {error}")

    def rendering_since_ns(self) -> int | None:
        """See Office.rendering_since_ns."""
        return self._preparer.since_ns if self._preparer else None

    def _deliver(self, news: Sequence[News]) -> None:
        if self._service is not None:
            self._service.deliver(news)

    def _warm_up(self, engine: Engine) -> None:
        assert self._tokenizer is not None
        facts = engine.facts
        self._preparer = Preparer(self._config, facts, self._tokenizer)
        self._service = Service(self._engine, self._preparer, facts.slots, self._config.queue)
        self._worker.ready = Ready(facts, self._service)
        self._worker.stage = Status.WARMING
        self._warming = asyncio.create_task(self._answer_canary(self._worker.ready))

    async def _answer_canary(self, ready: Ready) -> None:
        """The first answer pays for what libraries put off, and proves that pages can be read."""
        limit = self._config.max_new_tokens_limit
        request = json.dumps(canary_request(ready.facts.length, limit)).encode()
        chat = parse_chat(request, limit, journal=False)
        try:
            ticket = await ready.service.submit("warm-up", chat)
            async for _ in ticket.progress():
                pass
            ready.service.release(ticket)
        except PangoUnavailableError as error:
            self._ending.end(EXIT_CONFIG, str(error))
        except Exception as error:  # noqa: BLE001  # without a warm-up there is no worker
            self._ending.end(EXIT_TEMPORARY, f"warm-up: {type(error).__name__}: {error}")
        self._engine.idle_phase = Phase.IDLE
        if self._worker.stage is Status.WARMING:
            self._worker.stage = Status.READY
            _log.info("ready: model %s, fingerprint %s", ready.facts.model, ready.facts.fingerprint)

    async def _watch_for_supervisor(self, supervised: bool) -> None:
        """Exit when no supervisor has spoken for long and nobody is being served."""
        limit = self._config.orphan_seconds
        while True:
            await asyncio.sleep(min(5.0, limit / 4))
            fence = self._worker.fence
            if not supervised and fence.highest is None:
                continue  # started by hand: there never was a supervisor
            if time.monotonic() - fence.heard_at > limit and not self._worker.in_flight:
                self._ending.end(EXIT_OK, f"no word from a supervisor for {limit:g} s")


class _QuietServer(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _serve_http(worker: Worker, listener: socket.socket) -> None:
    # uvicorn reports every stream we cut on purpose as an error; our own log has the reasons.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        build_app(worker),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    await _QuietServer(config).serve(sockets=[listener])


def _listen(path: Path | None, port: int | None) -> socket.socket:
    """A listening socket. Raises OSError."""
    if path is None:
        listener = socket.create_server(("127.0.0.1", port or 0), backlog=BACKLOG)
    else:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def serve(config: InferenceConfig, epoch: str, path: Path | None, port: int | None) -> int:
    """Serve until stopped; the exit code, if the process does not end in a harder way."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(config.threads)  # read by native libraries when torch is imported
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    ending = Ending(epoch, path)
    try:
        listener = _listen(path, port)
    except OSError as error:
        where = path or f"port {port}"
        _log.error("cannot listen on %s: %s", where, error.strerror)
        return EXIT_TEMPORARY
    _log.info("worker %s, epoch %s, listening on %s", os.getpid(), epoch, path or f"port {port}")

    async def run() -> None:
        files = str(path) if path else None
        await Server(config, epoch, ending, files).run(listener, supervised=path is not None)

    asyncio.run(run())
    return EXIT_OK
