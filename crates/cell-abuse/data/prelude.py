# Given to every attempt in Python: raw system calls by name, answered with the name of the error.
import ctypes, errno, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
# Its own folders: /box and /tmp, or others where there is no mount namespace.
BOX, TMP = os.getcwd(), os.environ.get('TMPDIR', '/tmp')
PLACES = (BOX, TMP)
def z(path):
    "A path as a system call wants it."
    return path.encode() + b'\0'
NR = {{NUMBERS}}
def raw(name, *args):
    "The return value and the errno of a system call."
    ctypes.set_errno(0)
    r = libc.syscall(ctypes.c_long(NR.get(name, name)), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return r, ctypes.get_errno()
def call(name, *args):
    "A system call: 'done', or the name of its error."
    r, e = raw(name, *args)
    return 'done' if r >= 0 else errno.errorcode.get(e, str(e))
def attempt(f, *a, **k):
    "The same for a function of Python's."
    try:
        f(*a, **k)
        return 'done'
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
def code(hexadecimal, where=0):
    "Machine code as a function of two numbers."
    text = bytes.fromhex(hexadecimal)
    libc.mmap.restype = ctypes.c_void_p
    at = libc.mmap(ctypes.c_void_p(None), 4096, 7, 0x22 | where, -1, 0)
    ctypes.memmove(at, text, len(text))
    return ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long, ctypes.c_long)(at), at
