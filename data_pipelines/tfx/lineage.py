"""Which clips made a model: one query to ML Metadata's SQLite file. Needs no TFX.

python -m data_pipelines.tfx.lineage WORK_DIR/metadata.sqlite saved_models/NAME/1
"""

import contextlib
import os
import pathlib
import sqlite3
import sys
from typing import NamedTuple

from data_pipelines import command_line

CLIPS_OF_A_MODEL = """
WITH RECURSIVE made(id) AS (
  SELECT model.id
  FROM ArtifactProperty AS pushed
  JOIN Event AS push ON push.artifact_id = pushed.artifact_id AND push.type = 4
  JOIN Event AS given ON given.execution_id = push.execution_id AND given.type = 3
  JOIN Artifact AS model ON model.id = given.artifact_id
  JOIN Type ON Type.id = model.type_id AND Type.name = 'Model'
  WHERE pushed.name = 'pushed_destination' AND pushed.string_value = :model
  UNION
  SELECT given.artifact_id
  FROM made
  JOIN Event AS output ON output.artifact_id = made.id AND output.type = 4
  JOIN Event AS given ON given.execution_id = output.execution_id AND given.type = 3
)
SELECT DISTINCT json_extract(clip.value, '$.split') AS split, json_extract(clip.value, '$.clip') AS clip,
  json_extract(clip.value, '$.sha256') AS sha256
FROM made
JOIN ArtifactProperty AS property ON property.artifact_id = made.id AND property.name = 'clips',
  json_each(property.string_value) AS clip
ORDER BY split, clip
"""
"""An event's type 3 is an input of an execution, 4 an output. What a model was compared with did not make it."""

_LAST_RUN = """
SELECT Type.name, Artifact.uri, property.name, COALESCE(property.string_value, property.int_value)
FROM Event
JOIN Artifact ON Artifact.id = Event.artifact_id
JOIN Type ON Type.id = Artifact.type_id
LEFT JOIN ArtifactProperty AS property ON property.artifact_id = Artifact.id AND property.is_custom_property
WHERE Event.type = 4 AND Event.execution_id IN (
  SELECT Association.execution_id FROM Association WHERE Association.context_id = (
    SELECT MAX(Context.id) FROM Context JOIN Type ON Type.id = Context.type_id WHERE Type.name = 'pipeline_run'))
"""


_CACHED = 5  # ml_metadata's Execution.State


class Clip(NamedTuple):
    """A clip of the source, and the checksum of what it held."""

    split: str
    clip: str
    sha256: str


@contextlib.contextmanager
def _opened(metadata: str | os.PathLike):
    path = pathlib.Path(metadata)
    if not path.is_file():
        raise ValueError(f"There is no file of ML Metadata {metadata}.")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        yield connection
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{metadata} is not ML Metadata's SQLite file: {error}.") from error
    finally:
        connection.close()


def clips(metadata: str | os.PathLike, model: str | os.PathLike) -> list[Clip]:
    """The clips of which a pushed model was made. Raises `ValueError` where it is not of these metadata."""
    with _opened(metadata) as connection:
        found = connection.execute(CLIPS_OF_A_MODEL, {"model": os.path.abspath(model)}).fetchall()
    if not found:
        raise ValueError(f"{metadata} knows no pushed model {os.path.abspath(model)}.")
    return [Clip(*row) for row in found]


def last_was_cached(metadata: str | os.PathLike) -> bool:
    """Whether the newest execution took its outputs from the cache."""
    with _opened(metadata) as connection:
        row = connection.execute("SELECT last_known_state FROM Execution ORDER BY id DESC LIMIT 1").fetchone()
    return bool(row) and row[0] == _CACHED


def last_run(metadata: str | os.PathLike) -> dict[str, tuple[str, dict]]:
    """Type of artifact -> (URI, custom properties) of the last one that the newest run of the pipeline gave."""
    found: dict[str, tuple[str, dict]] = {}
    with _opened(metadata) as connection:
        for kind, uri, name, value in connection.execute(_LAST_RUN):
            if found.get(kind, ("", {}))[0] != uri:
                found[kind] = (uri, {})
            if name is not None:
                found[kind][1][name] = value
    return found


def main(arguments: list[str] | None = None) -> int:
    """Prints split, clip and checksum, separated by tabs."""
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> int:
        if len(arguments) != 2:
            raise ValueError("expected two arguments: METADATA.sqlite and the folder of a pushed version.")
        for clip in clips(*arguments):
            print(*clip, sep="\t")
        return 0

    return command_line.run("data_pipelines.tfx.lineage", run)


if __name__ == "__main__":
    sys.exit(main())
