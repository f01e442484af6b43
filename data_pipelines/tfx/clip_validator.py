"""What TFX's StatisticsGen, SchemaGen and ExampleValidator do not know: what the videos look like, and leakage; and the gate."""

import sys

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, OutputDict, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from data_pipelines.tfx import anomalies


@component
def ClipValidator(
    examples: InputArtifact[standard_artifacts.Examples],
    statistics: OutputArtifact[standard_artifacts.ExampleStatistics],
    schema: OutputArtifact[standard_artifacts.Schema],
    anomalies_found: OutputArtifact[standard_artifacts.ExampleAnomalies],
    measurements_schema: Parameter[str] = "",
):
    """Measures the videos, and finds leakage, stills, duplicates, skew between splits.

    measurements_schema: path of a curated schema of the measurements; empty: inferred.
    """
    places = anomalies.Places(statistics.uri, schema.uri, anomalies_found.uri)
    anomalies.judge(examples.uri, places, measurements_schema)
    statistics.split_names = anomalies_found.split_names = examples.split_names


@component
def DataGate(
    examples: InputArtifact[standard_artifacts.Examples],
    example_anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    clip_anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    stop_on: Parameter[str] = "warning",
    split: Parameter[str] = "test",
) -> OutputDict(passed=str):
    """Fails where there are anomalies, so that nothing downstream runs; the anomalies stay as artifacts.

    stop_on: "warning" or "error", the least severe anomaly that stops. split: what evaluation reads.
    """
    splits = list(artifact_utils.decode_split_names(examples.split_names))
    anomalies.require_splits(splits, list(dict.fromkeys(["train", split])))
    left = anomalies.require_none([example_anomalies.uri, clip_anomalies.uri], stop_on)
    for line in left:
        print(line, file=sys.stderr)
    return {"passed": "\n".join(left)}
