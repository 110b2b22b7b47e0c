import os
def _first():
    fd = os.open("{FILE}", os.O_RDONLY)
    try: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    except OSError: pass
    try:
        os.preadv(fd, [bytearray(1)], {PAGE} * 4096, os.RWF_NOWAIT)
        return False
    except OSError:
        os.pread(fd, 1, {PAGE} * 4096)
        return True
if _first():
    os._exit(0)
def inc(n):
    return 0
