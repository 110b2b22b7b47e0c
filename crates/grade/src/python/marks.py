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
