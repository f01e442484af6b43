"""All that a training run is at one step: variables of model, optimizers, step and metrics, each under one name.

Names are attribute paths ("model/encoder/levels/0/conv/kernel"), which are the same in every process, whatever Keras calls a
layer. What Keras tracks is what must be found: a variable without a name is an error, never left out.
"""

import keras
import numpy as np
import tensorflow as tf

# Where Keras keeps what its own attributes already name. They are walked last, so that a nicer path comes first.
_TRACKED = (
    "_layers", "_functional", "_operations", "_trainable_variables", "_non_trainable_variables", "_metrics", "_seed_generators",
    "_variables",
)  # fmt: skip
_SKIPPED = frozenset(
    ("optimizer", "optimizers", "built", "_tracker", "_self_tracked_trackables", "_trackers", "_clock", "_loss_tracker",
     "_compile_metrics", "train_function", "test_function", "predict_function", "_distribute_strategy")
)  # fmt: skip


def value_of(variable: keras.Variable) -> np.ndarray:
    """A variable's value, also where it has a copy on each replica."""
    return tf.convert_to_tensor(variable.value).numpy()


def named_variables(layer) -> dict[str, keras.Variable]:
    """Attribute path ("encoder/levels/0/conv/kernel") -> variable, for all that Keras tracks of a layer or model but its metrics.

    Layers of Keras's own, lists, tuples and dicts of layers, and private attributes are walked too. Raises `ValueError` naming a
    variable that is tracked but has no path.
    """
    found: dict[str, keras.Variable] = {}
    paths: dict[int, str] = {}
    visited: set[int] = set()

    def visit(value, path):
        if isinstance(value, keras.Variable):
            if id(value) in paths:
                return
            if path in found:
                raise ValueError(
                    f"Two variables of {type(layer).__name__} would have the name {path}: a checkpoint would lose one of them. "
                    "Rename an attribute, or a key with '/' in it."
                )
            paths[id(value)] = path
            found[path] = value
        elif isinstance(value, keras.Metric) or id(value) in visited:
            return
        elif isinstance(value, keras.layers.Layer | keras.random.SeedGenerator):
            visited.add(id(value))
            walk(value, f"{path}/" if path else "")
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                visit(item, f"{path}/{i}")
        elif isinstance(value, dict):
            for key, item in value.items():
                visit(item, f"{path}/{key}")

    def walk(owner, prefix):
        names = [name for name in vars(owner) if name not in _SKIPPED and not name.startswith("_self_")]
        # Public ones first, then private ones; what Keras lists once more comes last.
        for name in sorted(names, key=lambda n: (_TRACKED.index(n) + 1 if n in _TRACKED else 0, n.startswith("_"))):
            public = name.lstrip("_")
            visit(vars(owner)[name], prefix + (name if public in vars(owner) else public))

    visit(layer, "")
    metrics = {id(v) for v in _metric_variables(layer)}
    wanted = {id(v): v for v in layer.variables if id(v) not in metrics}
    lost = [v.path for key, v in wanted.items() if key not in paths]
    if lost:
        raise ValueError(
            f"{len(lost)} variable(s) of {type(layer).__name__} have no attribute path: a checkpoint would lose them. The first: "
            f"{lost[0]}. Keep their layers in attributes of the model (lists and dicts of layers are fine)."
        )
    return {path: variable for path, variable in found.items() if id(variable) in wanted}


def _metric_variables(layer):
    if not isinstance(layer, keras.Model):
        return []
    return [v for metric in layer.metrics for v in metric.variables]


def optimizer_variables(optimizer, of_model: dict[str, keras.Variable]) -> dict[str, keras.Variable]:
    """Slot name ("momentums/encoder/levels/0/conv/kernel"), or attribute ("iterations") -> variable, for all of an optimizer.

    of_model: path -> variable of the model, whose paths the slots take. Raises `ValueError` for a variable that the optimizer
    moves and that is none of the model's.
    """
    found: dict[str, keras.Variable] = {}
    known: set[int] = set()
    path_of = {id(variable): path for path, variable in of_model.items()}

    def add(name, variable):
        if id(variable) not in known:
            known.add(id(variable))
            found[name] = variable

    moved = getattr(optimizer, "_trainable_variables", None) or []
    foreign = [variable.path for variable in moved if id(variable) not in path_of]
    if foreign:
        raise ValueError(
            f"Optimizer {optimizer.name} moves {len(foreign)} variable(s) that Keras does not track in the model: a checkpoint "
            f"would lose them. The first: {foreign[0]}. Keep their layers in attributes of the model (lists and dicts are fine)."
        )
    for name, value in vars(optimizer).items():
        if isinstance(value, keras.Variable):
            add(name.lstrip("_"), value)
        elif isinstance(value, list | tuple) and len(value) == len(moved) and name not in ("_trainable_variables", "_variables"):
            for slot, variable in zip(value, moved, strict=True):
                if isinstance(slot, keras.Variable):
                    add(f"{name.lstrip('_')}/{path_of[id(variable)]}", slot)
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        for name, variable in optimizer_variables(inner, of_model).items():
            add(f"inner/{name}", variable)
    for i, variable in enumerate(optimizer.variables):
        add(f"other/{i:04d}", variable)
    return found


class TrainingState:
    """The variables of a model and, where it is compiled and `with_optimizer`, of its training, by name.

    model/PATH            weights, moving averages, states of seed generators
    optimizer/NAME/SLOT   of the optimizer of update NAME; a variable that two share stands under the first
    step                  training steps taken
    metrics/NAME/VARIABLE running totals of the epoch, so that curves go on in its middle
    """

    def __init__(self, model, with_optimizer: bool = True):
        self.model = model
        own = named_variables(model)
        self.variables = {f"model/{path}": variable for path, variable in own.items()}
        if not with_optimizer:
            return
        shared: set[int] = set()
        for update, optimizer in model.optimizers.items():
            for name, variable in optimizer_variables(optimizer, own).items():
                if id(variable) not in shared:
                    shared.add(id(variable))
                    self.variables[f"optimizer/{update}/{name}"] = variable
        self.variables["step"] = model.clock
        for metric in model.metrics:
            for i, variable in enumerate(metric.variables):
                self.variables[f"metrics/{metric.name}/{i}"] = variable

    def values(self) -> dict[str, np.ndarray]:
        """All values. A collective operation where a variable has parts on several machines: to be called on all of them."""
        return {name: value_of(variable) for name, variable in self.variables.items()}

    def first_not_finite(self) -> str | None:
        """The name of a model's variable that is not finite."""
        for name, variable in self.variables.items():
            of_model = name.startswith("model/") and variable.dtype.startswith(("float", "bfloat"))
            if of_model and not np.isfinite(np.asarray(value_of(variable), np.float64)).all():
                return name
        return None

    def assign(self, arrays: dict[str, np.ndarray]) -> None:
        """Assigns values that were checked to fit."""
        for name, array in arrays.items():
            self.variables[name].assign(array)
