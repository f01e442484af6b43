"""Checks of values where a configuration is built."""


def require(condition: bool, message: str) -> None:
    """Raises `ValueError` with `message` unless `condition`."""
    if not condition:
        raise ValueError(message)


def require_counts(low: int, config, *names: str) -> None:
    """Raises `ValueError` for the first field of `names` that is no integer of at least `low`."""
    for name in names:
        value = getattr(config, name)
        integer = isinstance(value, int) and not isinstance(value, bool)
        require(integer and value >= low, f"{name} must be an integer of at least {low}, got {value!r}.")


def require_at_least(low, config, *names: str) -> None:
    """Raises `ValueError` for the first field of `names` below `low`."""
    for name in names:
        require(getattr(config, name) >= low, f"{name} must be at least {low}, got {getattr(config, name)}.")
