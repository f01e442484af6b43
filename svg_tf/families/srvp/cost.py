"""What SRVP costs: see `svg_tf.families.cost`."""

import math

from svg_tf.families import backbone_cost, cost
from svg_tf.families.cost import Stage, products


class Cost(cost.Cost):
    """Of an `SRVP`. Nothing is fed back: no predicted frame is encoded."""

    def training_multiply_adds(self, steps):
        main, skip = backbone_cost.decoder_multiply_adds(self.model.decoder)
        return self._inference(steps) + main * steps + skip + (self._moves() + self._prior()) * (steps - 1)

    def sampling_multiply_adds(self, n_past, n_future, n_samples):
        main, skip = backbone_cost.decoder_multiply_adds(self.model.decoder)
        each = self._moves() * (n_past - 1) + (main + self._moves() + self._prior()) * n_future
        return self._inference(n_past) + skip + n_samples * each

    def _moves(self) -> int:
        return products(self.model.transition) * self.model.config.n_euler

    def _prior(self) -> int:
        return products(self.model.prior) if self.model.stochastic else 0

    def _inference(self, steps) -> int:
        """Encodings, posteriors and content of one sequence."""
        m = self.model
        content = products(m.content_hidden) * m.config.k + products(m.content_head)
        latents = products(m.posterior) * steps + products(m.posterior_head) * (steps - 1) if m.stochastic else 0
        return backbone_cost.encoder_multiply_adds(m.encoder) * steps + products(m.first_state) + content + latents

    def stages(self, batch, steps, recompute, synchronized) -> list[Stage]:
        """The input frames in the compute dtype; the encoder; the LSTM of q(z); the results of the dense layers of states and
        prior, float32; the decoder; of each frame its errors, float32, of the squares of two terms."""
        m = self.model
        width, frames = cost.width_of(m), batch * steps
        widths = backbone_cost.Widths(width, 4 if synchronized else width)
        frame = math.prod(m.config.frame_shape)
        encoder, decoder = backbone_cost.encoder_blocks(m.encoder), backbone_cost.decoder_blocks(m.decoder)
        found = [Stage({"frames": frames * frame * width})]
        found += backbone_cost.stages("encoder", encoder, frames, 0, widths, recompute)
        if recompute and m.config.skips:
            found.append(backbone_cost.copied_skips(m.encoder, batch, width))
        if m.stochastic:
            found.append(Stage({"LSTM": (m.config.h_dim + 8 * m.config.inference_size) * frames * width}))
        found.append(Stage({"states": self._state_elements() * batch * (steps - 1) * 4}))
        found += backbone_cost.stages("decoder", decoder, frames, batch, widths, recompute)
        errors = frames * frame * 4
        return [*found, Stage({"errors": 2 * errors}, 0, errors)]

    def _state_elements(self) -> int:
        """Results of the dense layers of the transition (each Euler step) and of the prior, of one frame step."""
        parts = [(layer, self.model.config.n_euler) for layer in getattr(getattr(self.model.transition, "f", None), "dense", [])]
        parts += [(layer, 1) for layer in self.model.prior.dense] if self.model.stochastic else []
        return sum(layer.kernel.shape[1] * times for layer, times in parts)
