"""Configurations of earlier versions, as today's."""

from typing import Any


def upgraded(values: Any) -> Any:
    """An experiment of 0.1.0, as its config.json holds it -> one of today; what is none is left as it is, to be refused."""
    train = values.get("train") if isinstance(values, dict) else None
    if not isinstance(train, dict) or "learning_rate" not in train:
        return values
    train = dict(train)
    optimizer: dict[str, Any] = {"epsilon_placement": "keras"}  # what those runs were trained with
    for new, old in (("beta_1", "adam_beta_1"), ("beta_2", "adam_beta_2"), ("epsilon", "adam_epsilon")):
        if old in train:
            optimizer[new] = train.pop(old)
    optimizer["learning_rate"] = train.pop("learning_rate")
    optimizer["clip_norm"] = train.pop("clip_norm", 0.0) or None
    final, linear = train.pop("final_learning_rate", 0.0), train.pop("linear_decay_steps", 0)
    if final:
        optimizer["schedule"] = {"kind": "cosine", "final": final}
    elif linear:
        optimizer["schedule"] = {"kind": "linear", "steps": linear}
    data = dict(values.get("data", {}))
    data["data_dir"] = data.get("data_dir") or None
    digits = dict(data.get("moving_mnist", {}))
    data["moving_mnist"] = digits | {name: digits.get(name) or None for name in ("digits_dir", "max_speed")}
    return {**values, "data": data, "train": {**train, "optimizer": optimizer}}
