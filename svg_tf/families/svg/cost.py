"""What SVG costs: see `svg_tf.families.cost`."""

import math

from svg_tf.families import backbone_cost, cost
from svg_tf.families.cost import Stage, products


class Cost(cost.Cost):
    """Of an `SVG`. The skip half counts once for each distinct skip frame."""

    def training_multiply_adds(self, steps):
        m = self.model
        encoder, (main, skip) = self._backbones()
        recurrent = self._recurrences(m.frame_predictor)
        if m.stochastic:
            recurrent += self._recurrences(m.latent)  # posterior and, where learned, prior
        encoded = steps if m.stochastic else steps - 1
        return encoder * encoded + (main + recurrent) * (steps - 1) + skip * m.skip_frames(steps)

    def sampling_multiply_adds(self, n_past, n_future, n_samples):
        """The last predicted frame need not be encoded."""
        m = self.model
        encoder, (main, skip) = self._backbones()
        predictor = self._recurrences(m.frame_predictor)
        prior = posterior = 0
        if m.stochastic:
            posterior = self._recurrences(m.latent.posterior)
            prior = self._recurrences(m.latent) - posterior
        once = encoder * n_past + skip + (posterior + prior) * (n_past - 1)
        each = predictor * (n_past - 1) + (main + predictor + prior) * n_future + encoder * (n_future - 1)
        return once + n_samples * each

    def _backbones(self) -> tuple[int, backbone_cost.Arithmetic]:
        """Multiply-adds of one frame: encoder, decoder."""
        m = self.model
        if not m.code.place:
            return backbone_cost.encoder_multiply_adds(m.encoder), backbone_cost.decoder_multiply_adds(m.decoder)
        pixels = math.prod(m.config.frame_shape[:2])

        def of(conv, level):  # whose result has 1 / 4^level of the frame's pixels
            return pixels // 4**level * math.prod(conv.kernel.shape)

        encoder = of(m.encoder.head, 3) + sum(of(b.conv, i) for i, block in enumerate(m.encoder.blocks) for b in block)
        main, skip = of(m.decoder.head, 3) + of(m.decoder.out, 0), 0
        for level, first, rest in zip((2, 1, 0), m.decoder.first, m.decoder.rest, strict=True):
            main += sum(of(block.conv, level) for block in (first.block, *rest))
            skip += of(first.skip_conv, level)
        return encoder, backbone_cost.Arithmetic(main, skip)

    def _recurrences(self, layer) -> int:
        """Of one step of one sequence: matrices once, or kernels once at each place of a map."""
        if not self.model.code.place:
            return products(layer)
        weights = sum(int(v.value.shape.num_elements()) for v in layer.trainable_variables if len(v.shape) == 4)
        return math.prod(self.model.code.place) * weights

    def stages(self, batch, steps, recompute, synchronized) -> list[Stage] | None:
        """The input frames in the compute dtype (the first convolution's filter gradient needs them); the encoder; the LSTM
        stacks' inputs, and of each step the state, the gates and the squashed cell; the decoder with the predicted frames (of the
        sigmoid); their errors in float32 (of the square). Of maps it is not known."""
        m = self.model
        if m.code.place:
            return None
        width = cost.width_of(m)
        in_float32 = synchronized or m.config.batch_statistics == "per_step"
        widths = backbone_cost.Widths(width, 4 if in_float32 else width)
        encoded, predicted = batch * (steps if m.stochastic else steps - 1), batch * (steps - 1)
        distinct = batch * m.skip_frames(steps)
        frame = math.prod(m.config.frame_shape)
        encoder, decoder = backbone_cost.encoder_blocks(m.encoder), backbone_cost.decoder_blocks(m.decoder)
        found = [Stage({"frames": encoded * frame * width})]
        found += backbone_cost.stages("encoder", encoder, encoded, 0, widths, recompute)
        if recompute:
            found.append(backbone_cost.copied_skips(m.encoder, distinct, width))
        found.append(Stage({"LSTM stacks": self._recurrent() * predicted * width}))
        found += backbone_cost.stages("decoder", decoder, predicted, distinct, widths, recompute)
        errors = predicted * frame * 4
        return [*found, Stage({"errors": errors}, 0, errors)]

    def _recurrent(self) -> int:
        """Elements that the LSTM stacks keep for one time step of one sequence."""
        stacks = [self.model.frame_predictor]
        if self.model.stochastic:
            stacks += [stack for name in ("posterior", "prior") if (stack := getattr(self.model.latent, name, None)) is not None]
        # Of a cell: h and c before, four gates, the squashed cell; and the stack of its results.
        return sum(stack.embed.kernel.shape[0] + stack.units * (1 + 8 * len(stack.cells)) for stack in stacks)
