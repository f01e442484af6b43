"""Checks of values where a configuration is built."""


def require(condition: bool, message: str) -> None:
    """Raises `ValueError` with `message` unless `condition`."""
    if not condition:
        raise ValueError(message)


def require_at_least(low, config, *names: str) -> None:
    """Raises `ValueError` for the first field of `names` below `low`."""
    for name in names:
        require(getattr(config, name) >= low, f"{name} must be at least {low}, got {getattr(config, name)}.")
