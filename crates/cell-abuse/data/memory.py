# Given to pairs that store and recall, and to programs that count, after prelude.py.
BITS, COUNT, SLOT, BEFORE = [{{BITS}}], {{COUNT}}, {{SLOT}}, '{{BEFORE}}'.strip()
BIG, MANY = '{{BIG}}', '{{MANY}}'
def stop(kind, error, trace):
    "A refused call is not an attempt that is broken: nothing was read."
    if not issubclass(kind, OSError): return sys.__excepthook__(kind, error, trace)
    sys.stdout.flush(); os.write(2, ascii(error).encode()); os._exit(0)
sys.excepthook = stop
def offset(i):
    "Where in the large file bit i is kept; too far apart for the kernel to read one with the other."
    return (SLOT * 2048 + i * 64) * 4096
def big():
    fd = os.open(BIG, os.O_RDONLY); attempt(os.posix_fadvise, fd, 0, 0, os.POSIX_FADV_RANDOM)
    return fd
def mapped(flags=1, length=2048 * 4096, fd=None):
    "The region of the large file in memory, private or shared, readable."
    libc.mmap.restype = ctypes.c_void_p
    at = libc.mmap(None, ctypes.c_size_t(length), 1, flags, big() if fd is None else fd, ctypes.c_long(offset(0)))
    if at in (None, ctypes.c_void_p(-1).value): raise OSError('no mapping')
    call('madvise', at, length, 1)  # Nothing is read along.
    return at
def cached(fd, i):
    try: os.preadv(fd, [bytearray(1)], offset(i), os.RWF_NOWAIT); return 1
    except BlockingIOError: return 0
def names():
    "As many names in the folder with the most files; the same for both."
    all = sorted(os.listdir(MANY)); at = SLOT * 37 % max(1, len(all) - COUNT)
    return [MANY + '/' + n for n in all[at:at + COUNT]]
def give(bits): print(''.join('?' if b is None else str(int(b)) for b in bits))
def number(): return sum(b << i for i, b in enumerate(BITS))
def give_number(n): give([n >> i & 1 for i in range(COUNT)] if n is not None and 0 <= n < 1 << COUNT else [])
def slow(times):
    "Which of these took long: 1 for quick, by the largest gap between those next to each other, outliers aside."
    s = sorted(times); few = len(s) // 6
    gap = max(range(1 + few, len(s) - few), key=lambda i: s[i] / max(1, s[i - 1]))
    give([t < s[gap] for t in times])
def timed(f, *a):
    t = time.perf_counter_ns()
    try: f(*a)
    except OSError: pass
    return time.perf_counter_ns() - t
def faults():
    import resource
    u = resource.getrusage(resource.RUSAGE_SELF); return u.ru_majflt, u.ru_minflt, u.ru_inblock
def tell(**numbers):
    for name, value in numbers.items():
        for i, v in enumerate(value if isinstance(value, (list, tuple)) else [value]):
            print(f'{name}.{i}', int(v))
