"""Evaluator and its baseline as TFX components; the rule is in `blessing`."""

import json
import sys

from tfx.components.evaluator import constants
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common import resolver
from tfx.types import standard_artifacts
from tfx.utils import io_utils

from data_pipelines.tfx import blessing
from data_pipelines.tfx.settings import Evaluation


class BlessedBefore(resolver.ResolverStrategy):
    """The last blessed model that is older than the one to be judged.

    TFX's LatestBlessedModelStrategy gives a model itself once it is blessed, so that a second run would judge it anew; by this
    one a run without changes comes from the cache whole.
    """

    def resolve_artifacts(self, store, input_dict):
        del store
        current = max((artifact.id for artifact in input_dict["current"]), default=0)
        blessed = {
            artifact.get_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY): artifact
            for artifact in input_dict["model_blessing"]
            if artifact.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY) == constants.BLESSED_VALUE
        }
        older = sorted((m for m in input_dict["model"] if m.id in blessed and m.id < current), key=lambda model: model.id)
        last = older[-1:]
        return {"model": last, "model_blessing": [blessed[model.id] for model in last], "current": input_dict["current"]}


@component
def ClipEvaluator(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    evaluation: OutputArtifact[standard_artifacts.ModelEvaluation],
    model_blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    settings: Parameter[str],
    baseline_model: InputArtifact[standard_artifacts.Model] = None,
):
    """Writes the report of a model and of the last blessed one, and blesses by `blessing.rule`, marked as TFX's Evaluator does.

    settings: `Evaluation` as JSON.
    """
    baseline = None if baseline_model is None else baseline_model.uri

    def progress(line):
        print(f"  {line}", file=sys.stderr, flush=True)

    told = Evaluation(**json.loads(settings))
    verdict = blessing.judge(model.uri, examples.uri, baseline, evaluation.uri, told, progress)
    file = constants.BLESSED_FILE_NAME if verdict.blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(f"{model_blessing.uri}/{file}", "")
    value = constants.BLESSED_VALUE if verdict.blessed else constants.NOT_BLESSED_VALUE
    model_blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, value)
    model_blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri)
    model_blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    model_blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BLESSING_MESSAGE_KEY, verdict.reason)
    if baseline_model is not None:
        model_blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline_model.uri)
        model_blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline_model.id)
