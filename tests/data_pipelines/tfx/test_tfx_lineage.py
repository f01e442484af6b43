"""Which clips made a model, from a file with ML Metadata's tables."""

import json
import sqlite3

import pytest

from data_pipelines.tfx import lineage

TABLES = """
CREATE TABLE Type (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE Artifact (id INTEGER PRIMARY KEY, type_id INT, uri TEXT);
CREATE TABLE ArtifactProperty (artifact_id INT, name TEXT, is_custom_property INT, string_value TEXT, int_value INT);
CREATE TABLE Event (artifact_id INT, execution_id INT, type INT);
CREATE TABLE Execution (id INTEGER PRIMARY KEY, last_known_state INT);
CREATE TABLE Context (id INTEGER PRIMARY KEY, type_id INT);
CREATE TABLE Association (context_id INT, execution_id INT);
INSERT INTO Type VALUES (1, 'Examples'), (2, 'Model'), (3, 'ModelBlessing'), (4, 'PushedModel'), (5, 'pipeline_run');
"""
INPUT, OUTPUT = 3, 4


@pytest.fixture
def metadata(tmp_path):
    """Two models of two Examples; the second was compared with the first and pushed."""
    path = tmp_path / "metadata.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(TABLES)
        artifacts = [(1, 1, "e1"), (2, 2, "m1"), (3, 1, "e2"), (4, 2, "m2"), (5, 3, "b"), (6, 4, "p")]
        db.executemany("INSERT INTO Artifact VALUES (?, ?, ?)", artifacts)
        for artifact, clip in ((1, "old.avi"), (3, "new.avi")):
            clips = json.dumps([{"split": "train", "clip": clip, "sha256": "0" * 64}])
            db.execute("INSERT INTO ArtifactProperty VALUES (?, 'clips', 1, ?, NULL)", (artifact, clips))
        db.execute("INSERT INTO ArtifactProperty VALUES (6, 'pushed_destination', 1, ?, NULL)", (str(tmp_path / "models" / "2"),))
        events = [(1, 1, OUTPUT), (1, 2, INPUT), (2, 2, OUTPUT), (3, 3, OUTPUT), (3, 4, INPUT), (4, 4, OUTPUT)]
        events += [(2, 5, INPUT), (4, 5, INPUT), (3, 5, INPUT), (5, 5, OUTPUT), (4, 6, INPUT), (5, 6, INPUT), (6, 6, OUTPUT)]
        db.executemany("INSERT INTO Event VALUES (?, ?, ?)", events)
        db.executemany("INSERT INTO Execution VALUES (?, ?)", [(1, 3), (6, 5)])
        db.executemany("INSERT INTO Context VALUES (?, 5)", [(1,), (2,)])
        db.executemany("INSERT INTO Association VALUES (?, ?)", [(1, 1), (1, 2), (2, 3), (2, 4), (2, 5), (2, 6)])
    return path


def test_the_clips_of_a_model_and_not_those_of_the_one_it_was_compared_with(metadata, tmp_path, capsys):
    assert [clip.clip for clip in lineage.clips(metadata, tmp_path / "models" / "2")] == ["new.avi"]
    assert lineage.main([str(metadata), str(tmp_path / "models" / "2")]) == 0
    assert capsys.readouterr().out == f"train\tnew.avi\t{'0' * 64}\n"


def test_the_last_run(metadata):
    found = lineage.last_run(metadata)
    assert found["Examples"][0] == "e2" and found["PushedModel"][1]["pushed_destination"].endswith("2")
    assert lineage.last_was_cached(metadata)


def test_bad_questions(metadata, tmp_path, capsys):
    with pytest.raises(ValueError, match="knows no pushed model"):
        lineage.clips(metadata, tmp_path / "models" / "3")
    with pytest.raises(ValueError, match="There is no file"):
        lineage.clips(tmp_path / "none", "x")
    (tmp_path / "text").write_text("no database at all")
    with pytest.raises(ValueError, match="not ML Metadata's SQLite file"):
        lineage.clips(tmp_path / "text", "x")
    assert lineage.main(["one"]) == 2 and "two arguments" in capsys.readouterr().err
