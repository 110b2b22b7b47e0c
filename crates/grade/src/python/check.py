# The modules behind `hashlib`, without those of OpenSSL.
try:
    from _sha256 import sha256 as _sha256
except ImportError:
    try:
        from _sha2 import sha256 as _sha256
    except ImportError:
        from hashlib import sha256 as _sha256
def _make_check(mark, canon, salt, spy, accept=None, sha256=_sha256):
    plain = (int, float, str, bool, bytes, list, tuple, dict, set, frozenset, type(None))
    fresh = (object(), -987654321, 0.4321, "\x00fresh", [object()], (object(),), {"\x00": 0}, {"\x00"})
    def is_loose(got):
        # Equal to what it cannot be equal to, or of a class of its own.
        return type(got) not in plain or any([got == x for x in fresh])
    def is_skip(e):
        return any([t.__name__ in ("SkipTest", "Skipped") for t in type(e).__mro__])
    class Sealed:
        __slots__ = ("digest",)
        def __init__(self, digest):
            self.digest = digest
        def __eq__(self, other):
            try:
                return sha256((salt + canon(other)).encode()).hexdigest() == self.digest
            except Exception:
                return False
        __hash__ = None
    def check(i, f, args, expected, then=None):
        mark("s", i)
        try:
            got = f(*args)
            if spy and is_loose(got):
                mark("q", i)
            if _EXACT:
                if type(expected) is Sealed:
                    ok = Sealed.__eq__(expected, got)
                else:
                    ok = canon(got) == canon(expected)
                got, expected = ok, True
            elif accept:
                ok = accept(got, expected, args)
            else:
                ok = got == expected
        except BaseException as e:
            mark("k" if is_skip(e) else "x", i)
            raise
        mark("p" if ok else "x", i)
        if then is None:
            assert ok, told(args, got, expected)
        elif accept:
            then(bool(ok), True, told(args, got, expected))
        else:
            then(got, expected)
    def told(args, got, expected):
        # A sealed value and an answer that was compared by its text are told as nothing but "not right".
        if _EXACT or type(expected) is Sealed:
            return "not the answer, in one of the tests"
        return _shown(args, got, expected)
    return check, Sealed, is_loose
