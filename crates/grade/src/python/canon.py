import binascii
try:
    from _json import encode_basestring as _quote
except ImportError:
    from json.encoder import encode_basestring as _quote
def _make_canon():
    # Bound before any submission is loaded. Subclasses are read through their base's own methods, so that
    # what an object holds is written, not what it claims.
    sub, quote, base64 = issubclass, _quote, binascii.b2a_base64
    def canon(x, keep=False, depth=0):
        if depth > 64:
            raise ValueError("nested deeper than 64")
        if x is None:
            return "null"
        if x is True:
            return "true"
        if x is False:
            return "false"
        t = type(x)
        if sub(t, int):
            n = int.__pos__(x)
            s = int.__repr__(n)
            return s if -(2 ** 63) <= n < 2 ** 63 else '{"$int":"' + s + '"}'
        if sub(t, float):
            f = float.__pos__(x)
            if f != f:
                return '{"$float":"nan"}'
            if f in (float("inf"), float("-inf")):
                return '{"$float":"inf"}' if f > 0 else '{"$float":"-inf"}'
            return "0.0" if f == 0 and not keep else float.__repr__(f)
        if sub(t, str):
            return quote(str.__str__(x))
        if sub(t, (bytes, bytearray)):
            return '{"$bytes":"' + base64(memoryview(x), newline=False).decode() + '"}'
        if sub(t, list):
            return "[" + ",".join([canon(i, keep, depth + 1) for i in list.__iter__(x)]) + "]"
        if sub(t, tuple):
            return '{"$tuple":[' + ",".join([canon(i, keep, depth + 1) for i in tuple.__iter__(x)]) + "]}"
        for kind in (set, frozenset):
            if sub(t, kind):
                return '{"$set":[' + ",".join(sorted([canon(i, False, depth + 1) for i in kind.__iter__(x)])) + "]}"
        if sub(t, dict):
            pairs = list(dict.items(x))
            tagged = not all([sub(type(k), str) and not str.startswith(k, "$") for k, _ in pairs])
            pairs = [(canon(k, keep, depth + 1), canon(v, keep, depth + 1)) for k, v in pairs]
            if not keep:
                pairs.sort()
            if tagged:
                return '{"$dict":[' + ",".join(["[" + k + "," + v + "]" for k, v in pairs]) + "]}"
            return "{" + ",".join([k + ":" + v for k, v in pairs]) + "}"
        raise TypeError("a " + t.__name__ + " is no plain value")
    return canon
_canon = _make_canon()
