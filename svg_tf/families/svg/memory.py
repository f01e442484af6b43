"""Memory of a training step, derived from the layers: what the backward pass must keep, and the peak.

Which activations count (`TrainingMemory.kept`), each once, in bytes, as the kernels of `svg_tf.kernels` keep them:
  - the input frames, in the compute dtype: the first convolution's filter gradient needs its input;
  - of each normalised convolution its result, which the normalisation's gradient needs (where the normalisation is by groups
    or synchronised: the centred maps, float32), and the activation's result, from which the gradient of a leaky ReLU or tanh
    follows and which is the next convolution's input. Nothing is kept between normalisation and activation;
  - VGG: the pooled maps, the next convolutions' inputs (no up-sampled map exists);
  - the LSTM stacks: their inputs, and of each step the state, the gates and the squashed cell;
  - the predicted frames (of the sigmoid) and their errors in float32 (of the square).
Skips share the memory of the encoder's maps. With recomputation: of each block its input, and the skip terms that it is
given; VGG's skips are then copies. Not counted: statistics, noise, distributions over z, all smaller than a frame.

The peak is the largest over the backward pass of: what is still kept, the maps of the block being recomputed, and the
gradient maps on their way through a block: three of its largest map (that of its result, that of the normalised
convolution, that of its input or the convolution's workspace).
"""

import dataclasses

import keras

from svg_tf.families.svg.config import SVGConfig

ADAM_COPIES = 4  # of each weight, float32: itself, two moments, its gradient


@dataclasses.dataclass(frozen=True)
class TrainingMemory:
    """Bytes on one device. kept: name -> bytes of an activation kept from the forward pass; weights: with optimizer slots and
    gradients; peak_activations: the largest sum of kept, recomputed and gradient maps at any time of the backward pass."""

    kept: dict[str, int]
    weights: int
    peak_activations: int

    @property
    def kept_bytes(self) -> int:
        return sum(self.kept.values())

    @property
    def peak(self) -> int:
        return self.weights + self.peak_activations


def training_memory(model, batch: int, steps: int, recompute: bool = False, synchronised: bool = False) -> TrainingMemory:
    """Memory of a training step of an `SVG` model on `batch` sequences (on this device) of `steps` frames.

    synchronised: several replicas normalise together. Raises `ValueError` for a model of another family and numbers out of range.
    """
    if not isinstance(model.config, SVGConfig):
        raise ValueError(f"training_memory knows what SVG keeps; this model is {model.config.summary}.")
    if batch < 1 or steps < 2:
        raise ValueError(f"training_memory expects batch >= 1 and steps >= 2, got {batch} and {steps}.")
    config = model.config
    width = keras.backend.standardize_dtype(model.compute_dtype)
    width = {"float32": 4, "bfloat16": 2, "float16": 2}[width]
    normalised = 4 if synchronised or config.batch_statistics == "per_step" else width
    encoded, predicted = batch * (steps if model.stochastic else steps - 1), batch * (steps - 1)
    distinct = batch * model._skip_frames(steps)
    frame = config.image_size**2 * config.channels

    def bytes_of(blocks, frames):
        sized = []
        for maps in blocks:
            sized.append([(name, n * frames * (normalised if name.endswith(" convolution") else width)) for name, n in maps])
        return sized

    encoder, decoder = bytes_of(model.encoder.maps(), encoded), bytes_of(model.decoder.maps(), predicted)
    timeline = [_Stage({"frames": encoded * frame * width}, 0, 0)]
    timeline += _stages("encoder", encoder, [0] * len(encoder), recompute)
    if recompute and config.backbone == "vgg":
        skips = sum(maps[-2][1] for maps in model.encoder.maps()[:-1])
        timeline.append(_Stage({"copied skips": skips * distinct * width}, 0, 0))
    timeline.append(_Stage({"LSTM stacks": _recurrent(model) * predicted * width}, 0, 0))
    timeline += _stages("decoder", decoder, [n * distinct * width for n in model.decoder.term_sizes()], recompute)
    timeline.append(_Stage({"errors": predicted * frame * 4}, 0, predicted * frame * 4))

    kept, peak = {}, 0
    for stage in timeline:  # the backward pass runs through these from the end: what comes before is still kept
        kept |= stage.kept
        peak = max(peak, sum(kept.values()) + stage.recomputed + stage.gradients)
    weights = 4 * ADAM_COPIES * sum(v.value.shape.num_elements() for v in model.trainable_variables)
    return TrainingMemory({name: size for name, size in kept.items() if size}, weights, peak)


@dataclasses.dataclass(frozen=True)
class _Stage:
    kept: dict[str, int]
    recomputed: int
    gradients: int


def _stages(part, blocks, terms, recompute):
    """Stages of the backbone `part`: blocks of (name, bytes), terms: bytes of each block's skip term."""
    stages = []
    for maps, term in zip(blocks, terms, strict=True):
        *inside, (last, result) = maps
        kept, again = {f"{part} {last}": result}, 0
        if recompute and not _whole(maps):
            again = sum(size for _, size in inside)
            kept[f"{part} term of {last}"] = term
        else:
            kept = {f"{part} {name}": size for name, size in inside} | kept
        stages.append(_Stage(kept, again, 3 * max(size for _, size in maps)))
    return stages


def _whole(maps) -> bool:
    """The heads, which are small, are not recomputed."""
    return maps[0][0].startswith("head")


def _recurrent(model) -> int:
    """Elements that the LSTM stacks keep for one time step of one sequence."""
    stacks = [model.frame_predictor]
    if model.stochastic:
        stacks += [stack for name in ("posterior", "prior") if (stack := getattr(model.latent, name, None)) is not None]
    # Of a cell: h and c before, four gates, the squashed cell; and the stack of its results.
    return sum(stack.embed.kernel.shape[0] + stack.units * (1 + 8 * len(stack.cells)) for stack in stacks)
