def _make_mark(nonce):
    import os
    out, write = os.dup(1), os.write
    def mark(kind, n=0):
        write(out, ("\n@%s %s %d\n" % (nonce, kind, n)).encode())
    return mark
_mark = _make_mark(_NONCE)
