def _wrong(x):
    if x is None:
        return 0
    if isinstance(x, bool):
        return not x
    if isinstance(x, int):
        return x + 1
    if isinstance(x, float):
        return x + 1.0 if x + 1.0 != x else 0.5
    if isinstance(x, str):
        return x + "x"
    if isinstance(x, (list, tuple)):
        return type(x)([_wrong(x[0])] + list(x[1:])) if x else type(x)([0])
    if isinstance(x, dict):
        first = next(iter(x), None)
        return {**x, first: _wrong(x[first])} if x else {"wrong": 0}
    if isinstance(x, (set, frozenset)):
        return x | {"wrong"}
    return object()
