"""The model card of an exported model (Mitchell et al. 2019): what it is, how it was made and measured, what it cannot do."""

import datetime

from data_pipelines import frame_size
from svg_tf import versions
from svg_tf.evaluation import report
from svg_tf.families.interface import ShowsKeypoints


def text(name: str, model, facts, served: dict) -> str:
    """Markdown. facts: `export.Facts`; served: n_past, n_future, n_samples, limits, signatures."""
    c = model.config
    height, width, channels = c.frame_shape
    size, least = ", ".join(map(str, c.frame_shape)), model.least_frames
    parameters = sum(int(v.value.shape.num_elements()) for v in model.trainable_variables)
    packages = versions.installed()
    own = packages["svg_tf"] if packages["svg_tf"][:1].isdigit() else "(a checkout)"
    lines = [
        f"# {name}",
        "",
        f"{c.citation}, as implemented by svg_tf: given a few frames, it samples futures.",
        "",
        f"- Model: {c.summary}; {parameters:,} trainable parameters."
        + (" All samples of a sequence are equal." if model.deterministic else ""),
        f"- Frames: {height} x {width} pixels, {channels} channel(s); trained with {c.n_past} context frames.",
        f"- Exported {datetime.date.today().isoformat()} with svg_tf {own}, TensorFlow {packages['tensorflow']}. "
        "Weights float32; the optimizer is not included.",
        "",
        "## Signatures",
        "",
        f"B sequences; T context frames, at least {c.n_past}, all of which are used; a seed pair for each sequence.",
        "",
        "| signature | request | answer |",
        "|---|---|---|",
        f"| serving_default | frames uint8 [B, T, {size}], seed int32 [B, 2] | frames uint8 [B, {served['n_samples']}, "
        f"{served['n_future']}, {size}] |",
        f"| generate | and n_future, n_samples int32 scalars | frames uint8 [B, n_samples, n_future, {size}] |",
        "| generate_float | the same, frames float32 in [0, 1] | frames float32 |",
    ]
    if "reconstruct" in served["signatures"]:
        answer = f"frames uint8 [B, T-1, {size}]: {model.reconstruction}"
        lines.append(f"| reconstruct | frames uint8 [B, T >= {least}, {size}], seed | {answer} |")
    if "uncertainty" in served["signatures"]:
        lines.append(
            f"| uncertainty | frames uint8 [B, T >= {least}, {size}] | sigma float32 [B, T-1, Z]: standard deviations of "
            "the prior of each next frame's latents |"
        )
    if model.can(ShowsKeypoints):
        points = f"K = {model.n_keypoints}: x from -1 (left) to 1 (right), y from -1 (bottom) to 1 (top), strength"
        lines.append(f"| keypoints | frames uint8 [B, T, {size}] | keypoints float32 [B, T, K, 3], {points} |")
        answer = "keypoints float32 [B, n_samples, n_future, K, 3], those that generate draws its frames from"
        lines.append(f"| predict_keypoints | as generate | {answer} |")
    limits = {key: value for key, value in served["limits"].items() if key != "max_bytes"}
    lines += ["", "Limits of one request: " + ", ".join(f"{key} {value}" for key, value in limits.items()) + "."]
    if "max_bytes" in served["limits"]:
        lines.append(
            f"They keep the maps of the frames given, those of the samples, and the answer within "
            f"{served['limits']['max_bytes'] / 2**30:.3g} GiB each."
        )
    lines.append("")
    return "\n".join([*lines, *_training(facts), *_measured(facts), *_use(model, facts, served.get("least_rows", 1))]) + "\n"


def _training(facts) -> list[str]:
    if facts.experiment is None:
        return ["## Training", "", "Not recorded.", ""]
    d, t = facts.experiment.data, facts.experiment.train
    moving = d.moving_mnist
    data = d.name
    if d.name == "moving_mnist":
        digits = "MNIST" if moving.digits == "mnist" else "scikit-learn (UCI)"
        kind = "deterministic" if moving.deterministic else f"stochastic, variant {moving.variant}"
        data = f"Moving MNIST ({kind}), {moving.num_digits} digit(s) of {digits}"
    steps = facts.step if facts.step is not None else t.steps
    shown = [] if facts.trained_size is None else [
        f"- Trained on frames of {frame_size.text(facts.trained_size)} pixels; this export takes others."
    ]  # fmt: skip
    return [
        "## Training",
        "",
        f"- Data: {data}; windows of {facts.experiment.model.n_past} + {d.n_future} frames.",
        f"- {steps:,} optimizer steps of {d.batch_size} sequences, Adam {t.optimizer.learning_rate:g}, seed {t.seed}.",
        *shown,
        "- All settings: `config.json` beside this card.",
        "",
    ]


def _measured(facts) -> list[str]:
    heading = ["## Measured", ""]
    if not facts.evaluation:
        return [*heading, "This export was not evaluated.", ""]
    described = [f"{key}: {value}" for key, value in facts.evaluation["description"].items()]
    page = report.markdown(facts.evaluation).strip().splitlines()[2:]  # without its title
    page = [line for line in page if "![" not in line and line not in described]  # nor pictures
    used = "batch statistics, which an export does not have" if facts.evaluation["options"]["batch_statistics"] else (
        "running statistics, the mode of this export"
    )  # fmt: skip
    lines = [*heading, f"Normalization in these measurements: {used}.", "", *page, "", *(f"- {line}" for line in described), ""]
    return [line for i, line in enumerate(lines) if line or lines[i - 1]]  # no two empty lines in a row


def _use(model, facts, least_rows: int) -> list[str]:
    lines = [
        "## Limits of use",
        "",
        "- It continues videos of the kind that it was trained on, at the same frame rate and framing; anything else is answered "
        "too, and looks like the training data.",
        "- Predicted frames are means of the model's distribution (no pixel noise is added) and blur with uncertainty. They are "
        "guesses: not evidence of what happened or will happen.",
        "- Normalization is by running statistics only. An answer depends on its frames and seed. " + _sameness(least_rows),
    ]
    if not model.deterministic:
        lines.append(
            "- Samples are not calibrated probabilities: the share of samples that show an event is not its probability."
        )
    if facts.notes:
        lines += ["", facts.notes.strip()]
    return lines


def _sameness(least_rows: int) -> str:
    """What rounding leaves of "alone or in a batch"."""
    differing = (
        "sums are rounded otherwise, and a model that is fed its own frames amplifies that: a few levels after 25 frames, other "
        "futures after 50"
    )
    if least_rows > 1:
        return (
            f"Where fewer than {least_rows} samples are computed, {least_rows} are. With oneDNN (TF_ENABLE_ONEDNN_OPTS=1 on the "
            "server) rows in multiples of four were then equal to the last bit in the requests tried; with other numbers the "
            "last samples, and with other architectures any, can differ in the last bit. Then, without oneDNN, or on another "
            f"machine, {differing}."
        )
    return f"In another batch, with another number of samples or on another machine, {differing}."
