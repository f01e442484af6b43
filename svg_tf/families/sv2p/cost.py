"""What SV2P costs: see `svg_tf.families.cost`."""

from svg_tf.families import cost


class Cost(cost.Cost):
    """Of an `SV2P`. The blend of moved images is that of a kernel of each pixel's own, which takes the least arithmetic."""

    def training_multiply_adds(self, steps):
        return self._tower() + (steps - 1) * (self._below() + self._above() + self._painting())

    def sampling_multiply_adds(self, n_past, n_future, n_samples):
        """What z does not reach once over the context, whose own frames are not painted."""
        each = self._above() * (n_past + n_future - 1) + self._painting() * n_future + self._below() * (n_future - 1)
        return self._below() * n_past + each * (n_samples if self.model.stochastic else 1)

    def _of(self, convs) -> int:
        """Of pairs (convolution, level of its result, or of its input where it enlarges)."""
        sizes = self.model.generator.level_sizes
        return sum(conv.multiply_adds(*sizes[level]) for conv, level in convs)

    def _cells(self, first, last) -> int:
        g = self.model.generator
        return self._of(list(zip(g.cells, g.cell_levels, strict=True))[first:last])

    def _below(self) -> int:
        g = self.model.generator
        return self._of([(g.enc0, 1), (g.enc1, 2), (g.enc2, 3)]) + self._cells(0, 4)

    def _above(self) -> int:
        g = self.model.generator
        return self._of([(g.enc3, 3), (g.enc4, 3), (g.enc5, 2)]) + self._cells(4, 7)

    def _painting(self) -> int:
        g, c = self.model.generator, self.model.config
        height, width, channels = c.frame_shape
        blend = height * width * c.kernel_size**2 * (c.masks - 2 + channels)
        return self._of([(g.enc6, 1), (g.scratch, 0), (g.masks, 0)]) + cost.products(g.kernels) + blend

    def _tower(self) -> int:
        if not self.model.stochastic:
            return 0
        tower = self.model.tower
        return self._of([*zip(tower.convs, (1, 2, 2), strict=True), *((head, 3) for head in tower.heads.values())])
