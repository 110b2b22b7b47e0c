_right = ENTRY


def _other(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list):
        return value + [0]
    if isinstance(value, tuple):
        return value + (0,)
    if isinstance(value, dict):
        return {**value, "x": 0}
    if isinstance(value, (set, frozenset)):
        return value | {"x"}
    return 0 if value is None else None


def ENTRY(*args, **kwargs):
    return _other(_right(*args, **kwargs))
