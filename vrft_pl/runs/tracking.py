"""The loggers of a run: a CSV file, and W&B, which never decides whether a run trains.

Importing W&B takes half a second, which only a run that logs to it pays.
"""

from __future__ import annotations

import netrc
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from vrft_pl.runs.given import STEP, Rows, given, without
from vrft_pl.runs.metrics import MetricsLogger, Row

WandbMode = Literal["auto", "online", "offline", "off"]

SECONDS = 20
"""How long to wait for the server."""
CALL_SECONDS = 60.0
"""How long one call of W&B may hold up a run; its process may be frozen, or its disk."""
FINISH_SECONDS = 600.0
"""How long the end of a run may wait for what is yet to be uploaded."""
FLUSH_SECONDS = 1.0
"""How much its process may keep to itself before it writes it to its file, and lose when all are killed."""
ID = "vrft_pl_id"
"""File below ``wandb`` of the run's folder with the id that W&B knows the run by."""
DATA_DIR = "WANDB_DATA_DIR"
"""W&B's own variable for where files wait for their upload."""


class WandbOrOffline(WandbLogger):
    """Lightning's W&B logger; goes on offline, with one line, where the server does not answer or refuses the key.

    A run that goes on logs no number of a step that an earlier process of it has logged already. Two rows of one step
    may hold the same names, as those of evaluations before and after the first step do: each of them is logged.

    Where not even files can be written, W&B is left out; so it is, with one line, from where it fails later on: its
    process is gone or frozen, or the disk is full. What it has been given by then stays in the run's folder.

    Args:
        folder: Folder of the run.
        name: Name of the run.
        project: W&B project.
        offline: Do not try to reach the server.
        group: Group of runs that it belongs to, such as an ablation.
        job_type: What it is in its group, such as an arm.
        tags: Tags of the run, of 1 to 64 characters each.
        goes_on: Go on with the run of W&B that an earlier process has begun in the folder.

    Raises:
        ValueError: If a tag is empty or too long.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        project: str,
        offline: bool,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
        goes_on: bool = False,
    ) -> None:
        if wrong := [tag for tag in tags if not 1 <= len(tag) <= 64]:
            raise ValueError(f"Expected `tags` of 1 to 64 characters each, but got {wrong[0]!r}.")
        import wandb

        newer = {"finish_timeout": FINISH_SECONDS, "x_transaction_log_flush_interval": FLUSH_SECONDS}
        waits: dict[str, Any] = {k: v for k, v in newer.items() if k in wandb.Settings.model_fields}
        settings = wandb.Settings(silent=True, init_timeout=SECONDS, **waits)
        super().__init__(
            name=name,
            save_dir=folder.absolute(),  # not relative: its process may have begun in another working directory
            offline=offline,
            project=project,
            settings=settings,
            group=group,
            job_type=job_type,
            tags=list(tags),
        )
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, whatever it is
        self.offline, self.folder, self.goes_on = offline, folder, goes_on
        self.down = False
        """Whether it failed and is left out."""
        self._given: dict[int, Rows] = {}
        self._last: tuple[int, frozenset[str]] | None = None
        self._again = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers, unless W&B is down or has them.

        Args:
            metrics: Numbers by logged name.
            step: Optimizer steps done before this one.
        """
        self.unless_down(self._log_new, metrics, step)

    def _log_new(self, metrics: Mapping[str, Any], step: int | None) -> None:
        new = frozenset(metrics)
        if self._again and (step, new) == self._last:
            return
        if step in self._given:
            self._given[step], new = without(self._given[step], new)
        if new - {"epoch"}:
            super().log_metrics({name: value for name, value in metrics.items() if name in new}, step)

    @rank_zero_only
    def fill_in(self, rows: Sequence[Row]) -> None:
        """Log what earlier processes of the run have logged, and W&B has not: it was down, or killed with them.

        Args:
            rows: Of ``metrics.csv``.
        """
        for row in rows:
            step, numbers = int(row["step"]), {name: float(row[name]) for name in row if name != "step"}
            self.log_metrics(numbers, step)
            self._last = step, frozenset(numbers)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Leave out a row of the step and the names of the last that was filled in: it is that row, measured again."""
        self._again = True
        try:
            yield
        finally:
            self._again = False

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Log the config, unless W&B is down."""
        self.unless_down(super().log_hyperparams, *args, **kwargs)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End, unless W&B is down."""
        if self._experiment is not None:
            self.unless_down(super().finalize, status)

    def unless_down(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Make a call of W&B, whose failure is told once and does not end the run; nor does it hold it up for long."""
        if self.down:
            return
        try:
            self.experiment  # noqa: B018  # started here: its own time limit holds
            if not ended_within(CALL_SECONDS, call, *args, **kwargs):
                raise TimeoutError(f"no answer within {CALL_SECONDS:.0f} s")
        except Exception as error:  # W&B has a dozen kinds, some of them of no common class
            self.down = True
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            rank_zero_info(f"W&B failed, so the run leaves it out from here on: {reason[:200]}")

    @rank_zero_only
    def log_table(self, *args: Any, **kwargs: Any) -> None:
        """Log a table, whose pictures wait for their upload in the run's folder.

        W&B would put them below the home directory, apart from an offline run that is to be uploaded later, or moved.
        """
        with staged_below(self.folder / "wandb"):
            self.unless_down(super().log_table, *args, **kwargs)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, started when it is asked for first."""
        if self._experiment is None:
            self._experiment = self._start()
        return super().experiment

    def _start(self) -> Any:
        import wandb

        for mode in ("offline",) if self.offline else ("online", "offline"):
            try:
                return self._run(mode)
            except (wandb.Error, OSError, ValueError) as error:
                way = "goes on offline" if mode == "online" else "leaves it out"
                reason = " ".join(str(error).split())
                rank_zero_info(f"W&B could not start {mode}, so the run {way}: {reason[:200]}")
        return self._run("disabled")

    def _run(self, mode: Any) -> Any:
        import wandb

        run = wandb.init(**{**self._wandb_init, "mode": mode, "id": None if mode == "disabled" else self._run_id()})
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        if self.goes_on and mode != "disabled":
            self._given = given(self.folder / "wandb", run.id, run.step if mode == "online" else inf)
        return run

    def _run_id(self) -> str:
        path = self.folder / "wandb" / ID
        if self.goes_on and path.is_file():
            return path.read_text(encoding="utf-8").strip()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(own := secrets.token_hex(4), encoding="utf-8")
        return own


def finish(exit_code: int | None = None, seconds: float | None = None) -> None:
    """End W&B's run, if there is one; what it could not upload in time stays in its folder.

    Args:
        exit_code: Of the run.
        seconds: How long to wait; `FINISH_SECONDS` by default.
    """
    if (wandb := sys.modules.get("wandb")) is None:  # nobody has begun a run before it was imported
        return
    seconds = FINISH_SECONDS if seconds is None else seconds
    try:
        done = ended_within(seconds, wandb.finish, exit_code)
    except Exception as error:  # as above; whatever it is, the run is over and its own files are whole
        rank_zero_info(f"W&B failed at the end of the run: {' '.join(str(error).split())[:200]}")
        return
    if not done:
        end_service()
        rank_zero_info(
            f"W&B was not done within {seconds:.0f} s and is left behind; `wandb sync` uploads what lies in `wandb` of "
            "the run's folder."
        )


def end_service() -> None:
    """End W&B's own process, which Python would wait for at its exit; its file has what it was given."""
    for task in Path("/proc/self/task").glob("*/children"):
        for pid in task.read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().startswith("wandb"):
                os.kill(int(pid), signal.SIGKILL)


def ended_within(seconds: float, call: Callable[..., object], *args: Any, **kwargs: Any) -> bool:
    """Make a call in a thread; whether it ended in time. A thread that is left behind does not hold up an exit.

    Raises:
        Exception: What the call raises.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            call(*args, **kwargs)
            done.set_result(None)
        except Exception as error:  # raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    wait([done], seconds)
    if done.done():
        done.result()
    return done.done()


@contextmanager
def staged_below(folder: Path) -> Iterator[None]:
    """Let W&B put files that wait for their upload below a folder, unless the user has said where.

    It has no option for it but a variable of the environment.
    """
    if DATA_DIR in os.environ:
        yield
        return
    os.environ[DATA_DIR] = str(folder.absolute())
    try:
        yield
    finally:
        del os.environ[DATA_DIR]


def run_loggers(
    folder: Path,
    mode: WandbMode,
    project: str,
    group: str | None = None,
    job_type: str | None = None,
    tags: Sequence[str] = (),
    goes_on: bool = False,
) -> list[Logger]:
    """A CSV file in the run's folder, and W&B unless it is switched off.

    Args:
        folder: Folder of the run.
        mode: ``auto`` and ``online`` log online, or offline where there is no API key or no answer, which ``online``
            says; ``off`` leaves W&B out.
        project: W&B project.
        group: W&B group.
        job_type: W&B job type.
        tags: W&B tags.
        goes_on: Whether the run goes on with what an earlier process has begun.
    """
    loggers: list[Logger] = [MetricsLogger(folder)]
    if mode != "off":
        offline = mode == "offline" or not has_wandb_key()
        if offline and mode == "online":
            rank_zero_info("W&B has no API key here, so the run goes on offline. `wandb login` stores one.")
        name = "-".join(folder.parts[-2:])
        loggers.append(WandbOrOffline(folder, name, project, offline, group, job_type, tags, goes_on))
        # W&B writes elsewhere when there is no such folder; the processes beside the first may name it otherwise
        rank_zero_only(folder.mkdir)(parents=True, exist_ok=True)
    return loggers


def has_wandb_key() -> bool:
    """Whether W&B would find an API key, in its environment variable or where ``wandb login`` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "")).hostname or "api.wandb.ai"
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
        return False
