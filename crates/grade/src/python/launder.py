def _make_launder():
    sub = issubclass
    def plain(x, depth=0):
        if depth > 64:
            raise ValueError("nested deeper than 64")
        if x is None or x is True or x is False:
            return x
        t = type(x)
        if sub(t, int):
            return int.__pos__(x)
        if sub(t, float):
            return float.__pos__(x)
        if sub(t, str):
            return str.__str__(x)
        if sub(t, (bytes, bytearray)):
            return bytes(memoryview(x))
        for kind in (list, tuple, set, frozenset):
            if sub(t, kind):
                return kind([plain(i, depth + 1) for i in kind.__iter__(x)])
        if sub(t, dict):
            return {plain(k, depth + 1): plain(v, depth + 1) for k, v in dict.items(x)}
        raise TypeError("a " + t.__name__ + " is no plain value")
    return plain
_plain = _make_launder()
