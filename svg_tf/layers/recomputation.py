"""Activation recomputation (Chen et al. 2016, "Training deep nets with sublinear memory cost") of blocks of layers.

Of a recomputed block the backward pass keeps the inputs alone and runs the block again when it gets there: one more
forward pass of time for the memory of the maps within.
"""

import keras


def recomputed(layers, function, *inputs):
    """function(*inputs), a block of `layers`, of whose maps none is kept for the backward pass but its inputs.

    layers: those whose weights `function` uses. inputs: float tensors. function: -> a tensor or a tuple of tensors; it is
    called again in the backward pass, so that it must depend on its arguments alone (no loop variable of a closure).

    `keras.remat` is given a function without side effects, which gets the weights as tensors and returns what it would have
    assigned: the moving averages so move once, not again in the backward pass, and the variables of a distribution
    strategy are read and assigned in the replica's own context.
    """
    variables = [v for layer in layers for v in layer.variables]
    single, moved = [], []

    def pure(*tensors):
        values, arguments = tensors[: len(variables)], tensors[len(variables) :]
        with keras.StatelessScope(list(zip(variables, values, strict=True)), initialize_variables=False) as scope:
            before = [scope.get_current_value(v) for v in variables]
            outputs = function(*arguments)
        after = [scope.get_current_value(v) for v in variables]
        moved[:] = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a is not b]
        single[:] = [not isinstance(outputs, tuple)]
        outputs = (outputs,) if single[0] else outputs
        return (*outputs, *(after[i] for i in moved))

    results = keras.remat(pure)(*(keras.ops.convert_to_tensor(v.value) for v in variables), *inputs)
    count = len(results) - len(moved)
    for i, value in zip(moved, results[count:], strict=True):
        variables[i].assign(value)
    return results[0] if single[0] else results[:count]


def maybe_recompute(recompute: bool):
    """`recomputed`, or a function of the same arguments that calls its function and keeps everything."""
    return recomputed if recompute else lambda layers, function, *inputs: function(*inputs)
