def _make_accept(tolerance, any_order, loose_text, any_of, check):
    def plain(x):
        if loose_text:
            if isinstance(x, str):
                return " ".join(x.split()).lower()
            if isinstance(x, (list, tuple)):
                return type(x)([plain(i) for i in x])
            if isinstance(x, dict):
                return {plain(k): plain(v) for k, v in x.items()}
        return x
    def near(a, b):
        if tolerance is None:
            return a == b
        if isinstance(b, (list, tuple)):
            return isinstance(a, type(b)) and len(a) == len(b) and all([near(x, y) for x, y in zip(a, b)])
        if isinstance(b, dict):
            return isinstance(a, dict) and a.keys() == b.keys() and all([near(a[k], b[k]) for k in b])
        try:
            return a == b or abs(a - b) <= tolerance * max(1.0, abs(b))
        except TypeError:
            pass
        try:
            # A Decimal beside a float.
            return not isinstance(a, (str, bytes)) and abs(float(a) - float(b)) <= tolerance * max(1.0, abs(float(b)))
        except (TypeError, ValueError, OverflowError):
            return False
    def same(got, wanted):
        got, wanted = plain(got), plain(wanted)
        if not (any_order and isinstance(wanted, list)):
            return near(got, wanted)
        left = list(wanted)
        if not isinstance(got, list) or len(got) != len(left):
            return False
        for x in got:
            at = next((i for i, y in enumerate(left) if near(x, y)), None)
            if at is None:
                return False
            del left[at]
        return True
    def accept(got, expected, args):
        if check is not None:
            return bool(check(list(args), expected, got))
        return any([same(got, one) for one in expected]) if any_of else same(got, expected)
    return accept
