import os
def _make_mark(nonce, out):
    write = os.write
    def mark(kind, n=0):
        try:
            write(out, ("\n@%s %s %d\n" % (nonce, kind, n)).encode())
        except OSError:
            # Who closed everything that was open is not to fail for our mark.
            pass
    return mark
def _make_shown():
    # Only what is plain is written out: an object's own `repr` could do anything.
    leaves, boxes, written = {int, float, str, bool, bytes, type(None)}, {list, tuple, set, frozenset}, repr
    def plain(x, depth=0):
        t = type(x)
        if t in leaves:
            return True
        if depth > 8 or t not in boxes and t is not dict or len(x) > 200:
            return False
        return all([plain(i, depth + 1) for i in x]) and (t is not dict or all([plain(i, depth + 1) for i in x.values()]))
    def text(x):
        if not plain(x):
            return "something of the class " + type.__dict__["__name__"].__get__(type(x))
        text = "".join([c if c.isprintable() else "?" for c in written(x)[:81]])
        return text[:80] + "..." if len(text) > 80 else text
    def shown(args, got, expected):
        return "for %s: %s where %s was expected" % (text(args), text(got), text(expected))
    return shown
_shown = _make_shown()
