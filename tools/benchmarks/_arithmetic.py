"""The least arithmetic of a training step and of sampling: multiply-adds of direct convolutions and of matrix products."""


def products(layer) -> int:
    """Multiply-adds of a layer of matrix products, for one step of one sequence: each kernel's entries once."""
    return sum(int(v.value.shape.num_elements()) for v in layer.trainable_variables if len(v.shape) == 2)


def training(model, steps: int) -> int:
    """Forward multiply-adds of one training sequence of `steps` frames; the skip half once per distinct skip frame."""
    return (_srvp_training if model.config.has_states else _svg_training)(model, steps)


def sampling(model, n_past: int, n_future: int, n_samples: int) -> int:
    """Multiply-adds of n_samples futures of one sequence: what does not differ between samples once."""
    return (_srvp_sampling if model.config.has_states else _svg_sampling)(model, n_past, n_future, n_samples)


def _svg_training(model, steps):
    main, skip = model.decoder.multiply_adds()
    recurrent = products(model.frame_predictor)
    if model.stochastic:
        recurrent += products(model.latent)  # posterior and, where learned, prior
    encoded = steps if model.stochastic else steps - 1
    predicted = steps - 1
    return model.encoder.multiply_adds() * encoded + (main + recurrent) * predicted + skip * model._skip_frames(steps)


def _svg_sampling(model, n_past, n_future, n_samples):
    """The last predicted frame need not be encoded."""
    main, skip = model.decoder.multiply_adds()
    predictor = products(model.frame_predictor)
    prior = posterior = 0
    if model.stochastic:
        posterior = products(model.latent.posterior)
        prior = products(model.latent) - posterior
    once = model.encoder.multiply_adds() * n_past + skip + (posterior + prior) * (n_past - 1)
    each = predictor * (n_past - 1) + (main + predictor + prior) * n_future + model.encoder.multiply_adds() * (n_future - 1)
    return once + n_samples * each


def _srvp_inference(model, steps):
    """Encodings, posteriors and content of one sequence."""
    content = products(model.content_hidden) * model.config.k + products(model.content_head)
    latents = products(model.posterior) * steps + products(model.posterior_head) * (steps - 1) if model.stochastic else 0
    return model.encoder.multiply_adds() * steps + products(model.first_state) + content + latents


def _srvp_training(model, steps):
    main, skip = model.decoder.multiply_adds()
    prior = products(model.prior) if model.stochastic else 0
    moves = products(model.transition) * model.config.n_euler + prior
    return _srvp_inference(model, steps) + main * steps + skip + moves * (steps - 1)


def _srvp_sampling(model, n_past, n_future, n_samples):
    """Nothing is fed back: no predicted frame is encoded."""
    main, skip = model.decoder.multiply_adds()
    prior = products(model.prior) if model.stochastic else 0
    moves = products(model.transition) * model.config.n_euler
    each = moves * (n_past - 1) + (main + moves + prior) * n_future
    return _srvp_inference(model, n_past) + skip + n_samples * each
