"""Runs a training program (`svg_tf.families.interface.Program`): the updates of one step, inside a replica."""

import tensorflow as tf

from svg_tf import kernels, noise
from svg_tf.families.interface import Due, Program


def run_step(model, program: Program, due: Due, batch, rows) -> dict:
    """One training step on this replica's part of the global batch: {metric: float32 [B]}.

    due: what `Program.due` gives for this step. rows: int32 [B], places in the global batch. Each update sees the variables that
    the one before it left. Noise follows from (run seed, step, number of the update, row).
    """
    step, total = model.clock.value, tf.shape(rows)[0] * kernels.replicas()
    seed = noise.fold(noise.seed_pair(model.run_seed), noise.TRAIN, step)
    phase, reported = program.phases[due.phase], {}
    with tf.GradientTape(persistent=True) as behind:
        made = forward(phase, batch, noise.BatchSeed(seed, rows, total), "train", step)
    for number in due.updates:
        update = phase.updates[number]
        own = noise.BatchSeed(noise.fold(seed, number) if number else seed, rows, total)
        optimizer, variables = model.optimizers[update.name], [v for v in update.variables() if v.trainable]
        with tf.GradientTape() as tape:
            tape.watch(made)
            values = checked_terms(update, update.loss(batch, own, "train", step, *made))
            # Keras optimizers add the replicas' gradients up: each is divided by the global batch.
            loss = optimizer.scale_loss(tf.nn.compute_average_loss(values["loss"], global_batch_size=total))
        gradients = gradients_of(loss, variables, tape, made, behind)
        optimizer.apply(clipped(gradients, optimizer), variables)
        reported |= {program.metric(update, term): value for term, value in values.items()}
    # After the batch is there: where the data ends in this step, nothing must move.
    with tf.control_dependencies([*reported.values(), rows]):
        model.clock.assign_add(1)
    return with_loss(reported)


def evaluate_step(model, program: Program, batch, seeds) -> dict:
    """The losses of the last phase on held-out sequences, each with the noise of its seed: {metric: float32 [B]}."""
    reported, phase = {}, program.phases[-1]
    step = tf.cast(model.clock.value, tf.int32)
    made = forward(phase, batch, seeds, "running", step)
    for number, update in enumerate(phase.updates):
        own = noise.stream(seeds, number) if number else seeds
        values = checked_terms(update, update.loss(batch, own, "running", step, *made))
        reported |= {program.metric(update, term): value for term, value in values.items()}
    return with_loss(reported)


def forward(phase, batch, seed, norm, step) -> tuple[dict, ...]:
    """What the losses of the phase take as a last argument: one dict, or none."""
    return (phase.forward(batch, seed, norm, step),) if phase.forward else ()


def gradients_of(loss, variables, tape, made, behind) -> list:
    """Of `loss`, recorded by `tape`, in the variables; also by way of the tensors `made`, which `behind` recorded."""
    direct, of_made = tape.gradient(loss, (variables, made))
    pairs = zip(tf.nest.flatten(made), tf.nest.flatten(of_made), strict=True)
    reached = [(value, gradient) for value, gradient in pairs if gradient is not None]
    if not reached:
        return direct
    values, gradients = zip(*reached, strict=True)
    through = behind.gradient(values, variables, output_gradients=gradients)
    return [a if b is None else b if a is None else a + b for a, b in zip(direct, through, strict=True)]


def checked_terms(update, values) -> dict:
    """Raises `ValueError` where a loss returns other terms than its update names."""
    if set(values) != set(update.terms):
        raise ValueError(f"The loss of update {update.name!r} must return {sorted(update.terms)}, got {sorted(values)}.")
    return values


def with_loss(reported: dict) -> dict:
    """Where several updates have names of their own, "loss" is that of the last one that took place."""
    if "loss" in reported or not reported:
        return reported
    return {"loss": reported[[name for name in reported if name.endswith("/loss")][-1]], **reported}


def clipped(gradients, optimizer):
    """Gradients scaled down to `optimizer.clip_norm`, where it has one: by the norm of the global batch's gradient, or, where
    `clip_by` says so, of each variable's."""
    scale, inner = getattr(optimizer, "dynamic_scale", None), getattr(optimizer, "inner_optimizer", optimizer)
    limit = getattr(inner, "clip_norm", None)
    if limit is None:
        return gradients
    whole = gradients
    if kernels.replicas() > 1:
        whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    known = [g for g in whole if g is not None]
    each = inner.clip_by == "variable"
    norms = [tf.norm(g) for g in known] if each else [tf.linalg.global_norm(known)] * len(known)
    norms = [norm / tf.convert_to_tensor(scale.value) for norm in norms] if scale is not None else norms
    factors = iter([limit / tf.maximum(norm, limit) for norm in norms])
    return [None if g is None else g * tf.cast(next(factors), g.dtype) for g in gradients]
