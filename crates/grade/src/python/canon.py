import binascii
try:
    from _json import encode_basestring as _quote
except ImportError:
    from json.encoder import encode_basestring as _quote
from _collections_abc import Mapping as _Mapping, Set as _Set
def _make_canon(kinds=None, alike=False):
    # Bound before any submission is loaded. Subclasses are read through their base's own methods, so that
    # what an object holds is written, not what it claims. With `kinds`, a list, whatever has a faithful plain
    # copy is written as that, anything else as an object of its class, and `kinds` is told the classes. With
    # `alike` numbers that `==` holds for equal are written alike.
    sub, quote, base64 = issubclass, _quote, binascii.b2a_base64
    mapping_eq, set_eq = _Mapping.__eq__, _Set.__eq__
    exact = {type(None), bool, int, float, str, bytes, list, tuple, set, dict}
    def ratio(over, under):
        if under == 1:
            return canon(over)
        try:
            x = over / under
            if (over, under) == x.as_integer_ratio():
                return canon(x)
        except (OverflowError, ValueError):
            pass
        return '{"$ratio":"%d/%d"}' % (over, under)
    def decimal(x):
        return ratio(*x.as_integer_ratio()) if x.is_finite() else canon(float(x))
    def frame(x):
        return {"columns": list(x.columns), "rows": x.values.tolist()}
    # What has a plain copy, by the module its class comes from and the class's name; how to come by it.
    copies = {
        ("fractions", "Fraction"): lambda x, keep, depth: ratio(x.numerator, x.denominator),
        ("decimal", "Decimal"): lambda x, keep, depth: decimal(x),
        ("builtins", "dict_keys"): lambda x, keep, depth: canon(set(x), keep, depth),
        ("builtins", "dict_items"): lambda x, keep, depth: canon(set(x), keep, depth),
        ("builtins", "mappingproxy"): lambda x, keep, depth: canon(dict(x), keep, depth),
        ("collections", "UserList"): lambda x, keep, depth: canon(list(x.data), keep, depth),
        ("collections", "UserDict"): lambda x, keep, depth: canon(dict(x.data), keep, depth),
        ("collections", "UserString"): lambda x, keep, depth: canon(str(x.data), keep, depth),
        ("builtins", "memoryview"): lambda x, keep, depth: canon(bytes(x), keep, depth),
        ("builtins", "complex"): lambda x, keep, depth: canon(x.real) if x.imag == 0 else None,
        ("numpy", "generic"): lambda x, keep, depth: canon(x.item(), keep, depth + 1),
        ("numpy", "ndarray"): lambda x, keep, depth: canon(x.tolist(), keep, depth),
        ("pandas", "Series"): lambda x, keep, depth: canon(x.tolist(), keep, depth),
        ("pandas", "Index"): lambda x, keep, depth: canon(x.tolist(), keep, depth),
        ("pandas", "DataFrame"): lambda x, keep, depth: canon(frame(x), keep, depth),
        ("sympy", "Rational"): lambda x, keep, depth: ratio(int(x.p), int(x.q)),
        ("sympy", "Float"): lambda x, keep, depth: canon(float(x)),
        ("sympy", "BooleanTrue"): lambda x, keep, depth: "true",
        ("sympy", "BooleanFalse"): lambda x, keep, depth: "false",
    }
    def given(x, keep, depth):
        # One that never ends is as good as its beginning.
        items = [canon(i, keep, depth + 1) for i, _ in zip(x, range(10000))]
        return '{"$iterator":[' + ",".join(items) + "]}"
    for kind in ("generator map filter zip enumerate reversed range range_iterator longrange_iterator list_iterator "
                 "list_reverseiterator tuple_iterator str_iterator str_ascii_iterator set_iterator dict_values "
                 "dict_keyiterator dict_valueiterator dict_itemiterator dict_reversekeyiterator callable_iterator").split():
        copies["builtins", kind] = given
    for kind in ("accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse "
                 "islice pairwise permutations product repeat starmap takewhile zip_longest batched").split():
        copies["itertools", kind] = given
    def other(x, t, keep, depth):
        for base in t.__mro__:
            copy = copies.get((base.__module__.partition(".")[0], base.__name__))
            if copy:
                try:
                    text = copy(x, keep, depth)
                except Exception:
                    break
                if text is not None:
                    return text
        try:
            # A mapping or a set of another kind is what the library compares of it.
            if t.__eq__ is mapping_eq:
                return canon(dict(x.items()), keep, depth + 1)
            if t.__eq__ is set_eq:
                return canon(set(x), keep, depth + 1)
        except Exception:
            pass
        return '{"$object":' + quote(name(t)) + "}"
    def name(t):
        home, own = str(t.__module__), str(t.__qualname__)
        return "".join((own if home == "builtins" else home + "." + own).split())[:80]
    def canon(x, keep=False, depth=0):
        if depth > 64:
            raise ValueError("nested deeper than 64")
        if x is None:
            return "null"
        if x is True:
            return "1" if alike else "true"
        if x is False:
            return "0" if alike else "false"
        t = type(x)
        if alike and sub(t, float) and float.is_integer(x):
            return canon(int(x))
        if kinds is not None and t not in exact and not kinds:
            kinds.append(name(t))
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
        if kinds is not None:
            return other(x, t, keep, depth)
        raise TypeError("a " + t.__name__ + " is no plain value")
    return canon
_canon = _make_canon()
