import os
def _make_mark(nonce, out):
    write = os.write
    def mark(kind, n=0):
        write(out, ("\n@%s %s %d\n" % (nonce, kind, n)).encode())
    return mark
