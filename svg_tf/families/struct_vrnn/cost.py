"""What Struct-VRNN costs: see `svg_tf.families.cost`."""

from svg_tf.families import cost


class Cost(cost.Cost):
    """Of a `StructVRNN`. Best of S latents: the decoder S times a training step, all else once."""

    def training_multiply_adds(self, steps):
        m, c = self.model, self.model.config
        observed = min(c.n_past, steps)
        moves = self._moves(c.drawn_latents) * steps + cost.products(m.posterior) * observed + cost.products(m.prior) * steps
        return self._detection() * steps + self._appearance() + self._drawing() * steps + moves

    def sampling_multiply_adds(self, n_past, n_future, n_samples):
        """Detection and the first frame's appearance once, dynamics and drawing for each sample; no frame is encoded again."""
        m = self.model
        seen = (self._moves(1) + cost.products(m.posterior)) * n_past
        each = seen + (self._moves(1) + cost.products(m.prior) + self._drawing()) * n_future
        return self._detection() * n_past + self._appearance() + each * n_samples

    def _moves(self, samples: int) -> int:
        """The GRU, and the decoder of one state and so many latents."""
        decoder = self.model.code_decoder
        of_state = decoder.split * decoder.hidden.kernel.shape[1]
        return cost.products(self.model.recurrence) + of_state + samples * (cost.products(decoder) - of_state)

    def _detection(self) -> int:
        detector = self.model.detector
        side, read = self._side(0), cost.products(detector.dense) if hasattr(detector, "dense") else 0
        return self._encoding(detector.encoder) + detector.head.multiply_adds(side, side) + read

    def _encoding(self, encoder) -> int:
        sizes = [self._side(self.model.config.halvings - i) for i in range(len(encoder.scales))]
        return sum(conv.multiply_adds(n, n) for scale, n in zip(encoder.scales, sizes, strict=True) for conv in scale)

    def _appearance(self) -> int:
        r = self.model.renderer
        inputs, outputs = r.first.kernel.shape[2:]
        return self._encoding(r.encoder) + self._side(0) ** 2 * (inputs - r.maps.maps) * outputs

    def _drawing(self) -> int:
        r = self.model.renderer
        total = self._side(0) ** 2 * r.maps.maps * r.first.kernel.shape[3] + cost.products(r.maps)
        for i, level in enumerate(r.levels):
            total += sum(conv.multiply_adds(self._side(i + 1), self._side(i + 1)) for conv in level)
        return total + r.last.multiply_adds(*self.model.config.frame_shape[:2])

    def _side(self, level: int) -> int:
        """Pixels of a side, `level` enlargements above the heat maps."""
        return 16 * 2**level
