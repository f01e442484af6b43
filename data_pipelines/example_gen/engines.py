"""What runs the tasks of a build: this process, workers of a Beam runner, or Dask's. Beam and Dask are loaded when asked for.

All that is asked of an engine is to call a function with each of some tasks, at least once. What tasks leave lies in files, so
that no engine's way of collecting, counting or writing matters.
"""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

Run = Callable[[Callable[[Any], None], Sequence[Any]], None]
DASK = "DaskRunner"
"""By this name Dask itself is meant, without Beam, whose own runner for it leaves its cluster open."""
_DASK_OPTIONS = ("dask_client_address", "dask_workers")
_DASK_WORKER = {"DASK_LOGGING__DISTRIBUTED": "error", "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
_CONNECT = 20  # seconds
_LOG_LEVEL = "default_sdk_harness_log_level"


def engine(runner: str, options: list[str]) -> Run:
    """The function that runs tasks. Raises `ValueError`, one line, for what is not there."""
    if runner == DASK:
        return _dask(_given(options))
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ValueError("A Beam runner needs the extra [beam]: pip install 'svg_tf[beam]'.") from error
    check(runner, options)
    quiet = [] if _LOG_LEVEL in _given(options) else [f"--{_LOG_LEVEL}=ERROR"]  # else 20 lines a worker

    def run(function, tasks):
        import apache_beam as beam

        with beam.Pipeline(runner=runner, options=PipelineOptions([*options, *quiet])) as pipeline:
            _ = pipeline | "Tasks" >> beam.Create(tasks) | "Spread" >> beam.Reshuffle() | "Work" >> beam.Map(function)

    return run


def _given(options: list[str]) -> dict[str, str]:
    return dict(option.lstrip("-").partition("=")[::2] for option in options)


def _dask(given: dict[str, str]) -> Run:
    try:
        from dask import distributed
    except ImportError as error:
        raise ValueError(f"{DASK} needs the extra [dask]: pip install 'svg_tf[dask]'.") from error
    unknown = sorted(given.keys() - set(_DASK_OPTIONS))
    workers = given.get("dask_workers", "") or str(os.cpu_count())
    if unknown or not workers.isdigit() or not int(workers):
        raise ValueError(
            f"{DASK} takes dask_client_address=HOST:PORT, of a scheduler, or dask_workers=N, processes of this machine; "
            f"got {given}."
        )

    def run(function, tasks):
        logging.getLogger("distributed").setLevel(logging.WARNING)  # of a killed worker; not 40 lines of all that went well
        with _client(distributed, given.get("dask_client_address"), int(workers)) as client:
            # What a killed worker had is done by others, unless it is the fault of a task that killed several.
            futures = client.map(function, tasks, pure=False)
            for future in distributed.as_completed(futures):
                future.result()
                future.release()

    return run


def _client(distributed, address: str | None, workers: int):
    if not address:  # on this machine, not to be reached from others; one thread for each worker is one core for each
        local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "env": _DASK_WORKER}
        return distributed.Client(n_workers=workers, threads_per_worker=1, **local)
    try:
        return distributed.Client(address, timeout=_CONNECT)
    except (OSError, ValueError) as error:
        raise ValueError(f"There is no Dask scheduler at {address} ({reason(error)}).") from error


def reason(error: BaseException) -> str:
    """The line that tells most of what an engine reports: its last one, behind the places in its program."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:400]


def check(runner: str, options: list[str]) -> None:
    """Raises `ValueError` in one line for what Flink and Spark need and would tell in hundreds."""
    kind = runner.removesuffix("Runner").removeprefix("Portable").lower()
    if kind not in ("flink", "spark"):
        return
    given = _given(options)
    jar = given.get(f"{kind}_job_server_jar", "")
    if "job_endpoint" in given:
        return
    if not shutil.which("java"):
        raise ValueError(
            f"{runner} starts a job server in Java, which is not on PATH: install it, or give job_endpoint=HOST:PORT."
        )
    if not jar or not ("://" in jar or os.path.isfile(jar)):
        raise ValueError(
            f"{runner} needs the jar of Beam's job server: {kind}_job_server_jar=PATH (beam-runners-{kind}-...-job-server of "
            f"your Beam's version, from Maven Central), or job_endpoint=HOST:PORT; got {jar!r}."
        )
