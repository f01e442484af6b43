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
    weights = [v for layer in layers for v in layer.trainable_variables]
    state = [v for layer in layers for v in layer.non_trainable_variables]
    variables = weights + state
    single = []

    def pure(*tensors):
        values, arguments = tensors[: len(variables)], tensors[len(variables) :]
        with keras.StatelessScope(list(zip(variables, values, strict=True)), initialize_variables=False) as scope:
            outputs = function(*arguments)
        single[:] = [not isinstance(outputs, tuple)]
        outputs = (outputs,) if single[0] else outputs
        return (*outputs, *(scope.get_current_value(v) for v in state))

    results = keras.remat(pure)(*(keras.ops.convert_to_tensor(v.value) for v in variables), *inputs)
    outputs, moved = results[: len(results) - len(state)], results[len(results) - len(state) :]
    for variable, value in zip(state, moved, strict=True):
        variable.assign(value)
    return outputs[0] if single[0] else outputs


def choose(recompute: bool):
    """`recomputed`, or a function of the same arguments that calls its function and keeps everything."""
    return recomputed if recompute else lambda layers, function, *inputs: function(*inputs)
