# Writes every page of its memory that it can find into files, beginning with those of its own objects.
import ctypes, gc, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.write.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
PAGE = 4096
# The C library keeps the number of the processor at hand.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
seeds = set()
class Info(ctypes.Structure):
    _fields_ = [("addr", ctypes.c_uint64), ("name", ctypes.c_char_p), ("phdr", ctypes.c_void_p), ("n", ctypes.c_uint16)]
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)
def segment(info, size, data):
    i = info.contents
    for k in range(i.n):
        kind, flags, _, va, _, _, length, _ = struct.unpack("<IIQQQQQQ", ctypes.string_at(i.phdr + 56 * k, 56))
        if kind == 1 and flags & 2:
            seeds.update(range((i.addr + va) // PAGE, (i.addr + va + length) // PAGE + 1))
    return 0
libc.dl_iterate_phdr(segment, None)
seeds.update(id(o) // PAGE for o in gc.get_objects())
frame = sys._getframe()
while frame:
    seeds.update(id(v) // PAGE for v in [frame, *frame.f_locals.values()])
    frame = frame.f_back
libc.sbrk.restype = ctypes.c_void_p
seeds.add(libc.sbrk(0) // PAGE - 1)
seeds.add(ctypes.addressof(ctypes.c_char.in_dll(libc, "environ")) // PAGE)
seeds.add(ctypes.c_uint64.in_dll(libc, "environ").value // PAGE)
out = os.open("memory", os.O_WRONLY | os.O_CREAT)
index = os.open("index", os.O_WRONLY | os.O_CREAT)
numbers = []
# The kernel's own pages hold the time.
libc.getauxval.restype = ctypes.c_ulong
clock = libc.getauxval(33) // PAGE
done = set(range(clock - 16, clock))
for seed in sorted(seeds):
    for step in (1, -1):
        page = seed if step > 0 else seed - 1
        while page not in done and len(done) < 7000:
            if libc.write(out, page * PAGE, PAGE) != PAGE:
                break
            done.add(page)
            numbers.append(page)
            page += step
os.write(index, struct.pack("<%dQ" % len(numbers), *numbers))
print(os.getpid())
