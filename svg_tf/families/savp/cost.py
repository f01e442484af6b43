"""What SAVP costs: see `svg_tf.families.cost`."""

from svg_tf.families import cost
from svg_tf.families.savp.layers import Conv


class Cost(cost.Cost):
    """Of an `SAVP`. The vector's part of a convolution takes a product for each kind of border."""

    def training_multiply_adds(self, steps):
        """A third of all that a step does, forward and backward; of the game, whose parts are not all differentiated in the same
        things, what each needs."""
        return self._rollouts(steps) + self._inference(steps) + self._game() // 3

    def sampling_multiply_adds(self, n_past, n_future, n_samples):
        """The first layer's part of the context's frames once, without latents all of it."""
        c, samples = self.model.config, n_samples if self.model.config.stochastic else 1
        known = self._of_frame() * (n_past + 1)
        each = self._advance() * (n_past + n_future - 1) + self._paint() * n_future + self._of_frame() * (n_future - 1)
        seen = self._pairs(self.model.posterior_net, n_past - 1) if c.infers_context else 0
        seen += self._pairs(self.model.prior_net, n_past - 1) if c.learned_prior else 0
        return known + seen + samples * each

    def _rollouts(self, steps) -> int:
        c = self.model.config
        context = min(c.n_past, steps - 1)
        futures = 2 if c.variant == "vae_gan" else 1
        shared = context - 1 if futures == 2 and c.infers_context else 0
        rolled = futures * (steps - 1) - shared
        frames = context + futures * (steps - 1 - context) + 1  # the context's, and x_0, are the same for both
        return rolled * (self._advance() + self._paint()) + frames * self._of_frame()

    def _inference(self, steps) -> int:
        c = self.model.config
        total = self._pairs(self.model.posterior_net, steps - 1) if c.infers else 0
        return total + (self._pairs(self.model.prior_net, c.n_past - 1) if c.learned_prior else 0)

    def _pairs(self, net, pairs) -> int:
        return net.multiply_adds(*self.model.config.frame_shape[:2], pairs) + max(pairs, 0) * cost.products(net)

    def _game(self) -> int:
        """Discriminators: two clips, forward and back to the weights, the first layer's input left out; generator: one clip, to
        the logits and back to the frames; features: one more forward."""
        c, total = self.model.config, 0
        for name, net in self.model.discriminators.items():
            layers = net.multiply_adds(*c.frame_shape[:2], c.clip_length)
            total += 2 * (3 * sum(layers) - layers[0]) + 2 * sum(layers)
            total += sum(layers[:-1]) if self.model._feature_weight(name) else 0
        return total

    def _of_frame(self) -> int:
        return self.model.generator.down[0].conv.multiply_adds(self.model.config.channels)

    def _advance(self) -> int:
        g = self.model.generator
        first = g.down[0].conv
        vector = first.multiply_adds() - first.multiply_adds(first.inputs)
        blocks = self._of([block.conv for block in (*g.down[1:], *g.up[:-1])])
        return vector + blocks + sum(cell.multiply_adds() for cell in g.cells)

    def _paint(self) -> int:
        g, c = self.model.generator, self.model.config
        convs = [g.up[-1].conv, g.masks_hidden.conv, g.masks]
        convs += [g.scratch_hidden.conv, g.scratch] if c.scratch_image else []
        height, width, channels = c.frame_shape
        blend = height * width * channels * c.images
        return self._of(convs) + g.transformation.multiply_adds(c.frame_shape) + blend

    def _of(self, convs: list[Conv]) -> int:
        return sum(conv.multiply_adds() for conv in convs)
