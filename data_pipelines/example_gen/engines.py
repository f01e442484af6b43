"""Beam's engines: their options, what they need, and what they say when they fail. Beam itself is loaded when asked for."""

import os
import shutil


def pipeline_options(options: list[str] | None):
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ValueError("A Beam runner needs the extra [beam]: pip install 'svg_tf[beam]'.") from error
    return PipelineOptions(options or [])


def reason(error: BaseException) -> str:
    """The line that tells most of what an engine reports: its last one, behind the places in its program."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:400]


def check(runner: str, options: list[str]) -> None:
    """Raises `ValueError` in one line for what Flink and Spark need and would tell in hundreds."""
    kind = runner.removesuffix("Runner").removeprefix("Portable").lower()
    if kind not in ("flink", "spark"):
        return
    given = dict(option.lstrip("-").partition("=")[::2] for option in options)
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
