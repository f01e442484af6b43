"""A TFX pipeline from raw videos to a pushed SavedModel (extra `[tfx]`): `python -m data_pipelines.tfx.run --help`.

    requirement      whether TFX is here, in one line
    settings         what a run of the pipeline is told, as JSON
    fingerprint      content of a source; clips and their checksums
    examples         the layout of our Examples artifact
    example_gen, clip_validator, gate, evaluator, infra_validator, pusher       TFX components
    training         TFX's Trainer calls `run_fn` there
    blessing         when a model is better than the last blessed one
    pipeline         the components together; runs locally, or is compiled for Kubeflow and Vertex
    lineage          which clips made a model, from ML Metadata
    run              the command

`training`, `blessing`, `infra_validator`, `pusher` and `run` use `svg_tf`, within functions; nothing else here knows it.
Only the modules of components, `pipeline` and parts of `run` import TFX.
"""

import os

# TensorFlow Transform, which TFX imports, would make `tf.keras` Keras 2, with which TensorFlow Probability does not import.
os.environ["TF_USE_LEGACY_KERAS"] = "0"
