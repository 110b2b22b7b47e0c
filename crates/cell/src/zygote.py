# The zygote: a warm interpreter inside the cell. It never sees a program. The library beside it (inside/lib.rs)
# speaks with the supervisor and makes each program's namespace; here the fork is made that becomes the program,
# reads its job, and gives up every privilege before the first line of it runs.
import _signal, _socket, atexit, builtins, ctypes, gc, marshal, os, sys
from itertools import islice

PLACE = "/box"
baseline = 0


def main():
    global PLACE, baseline
    ctl = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 3)
    os.environ.pop("LD_BIND_NOW", None)
    library, secret, slot, inner, preload, paths, PLACE = marshal.loads(ctl.recv(1 << 20))
    inside = ctypes.PyDLL(library)
    inside.cell_setup.argtypes = (ctypes.c_uint64, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
    filter = ctypes.create_string_buffer(inner, len(inner))
    sys.path[:] = [p for p in sys.path if p not in ("", ".")] + list(paths)
    import _sitebuiltins
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.help = _sitebuiltins._Helper()
    missing = warm(preload)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    if inside.cell_setup(secret, slot, len(inner) // 8, ctypes.addressof(filter)):
        raise OSError("pidfd_open is refused")
    del secret, inner
    next_job, watch, enter, fork = inside.cell_next, inside.cell_watch, inside.cell_enter, os.fork
    next_job.restype = ctypes.c_long
    # Made once here instead of in every fork: what most programs begin with.
    module = sys.modules["__main__"] = type(sys)("__main__")
    module.__builtins__ = builtins
    sys.path.insert(0, PLACE)
    sys.argv = ["<program>"]
    baseline = len(sys.modules)
    ctl.send(b"R" + repr(missing).encode())
    ctl.detach()
    gc.collect()
    gc.freeze()
    while True:
        job = next_job()
        try:
            pid = fork()
        except OSError as e:
            pid = -e.errno
        if pid == 0:
            try:
                program(job, enter)
            finally:
                os._exit(70)
        watch(pid)


def warm(preload):
    missing = []
    register = os.register_at_fork
    for name in preload:
        # `random` would reseed itself from the machine in every program.
        os.register_at_fork = (lambda **_: None) if name == "random" else register
        try:
            __import__(name)
        except Exception as e:
            missing.append((name, str(e)))
    os.register_at_fork = register
    if "random" in sys.modules:
        sys.modules["random"].seed(0)
    # What the interpreter makes at first use (the compiler's tables) is made here, not anew in every fork.
    exec(compile("def f(a, *b, c=1, **d): return f'{a}'\nclass A: pass\nx = [i for i in range(3)]\n", "", "exec"), {})
    return missing


def place(files):
    made = set()
    for path, content, mode in files:
        folder = os.path.dirname(path)
        if folder and folder not in made:
            os.makedirs(folder, 0o755, exist_ok=True)
            made.add(folder)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        view = memoryview(content)
        while len(view):
            view = view[os.write(fd, view):]
        os.close(fd)


def program(job, enter):
    try:
        kind, source, argv, env, files = marshal.loads(os.pread(job & 1023, job >> 10, 48))
        os.chdir(PLACE)
        if files:
            place(files)
        if kind == 2:
            # An executed program gets back what Python set to "ignore".
            _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
            _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
        step = enter()
        if step:
            raise OSError("giving up privileges failed in step %d" % -step)
    except BaseException as e:
        os.write(3, b"E" + repr(e).encode()[:500])
        os._exit(70)
    del files
    if kind == 2:
        try:
            os.execvpe(argv[0], argv, dict(env))
        except OSError as e:
            os.write(2, ("%s: %s\n" % (argv[0], e.strerror)).encode("utf-8", "replace"))
            os._exit(127 if e.errno == 2 else 126)
    python(kind, source, argv)


def python(kind, source, argv):
    space = sys.modules["__main__"].__dict__
    code = 0
    try:
        if kind == 1:
            name = PLACE + "/" + source
            sys.path[0] = os.path.dirname(name)
            sys.argv[0] = name
            space["__file__"] = name
            space["__cached__"] = None
            try:
                with open(name, "rb") as f:
                    source = f.read()
            except OSError as e:
                os.write(2, ("python3: can't open file %r: %s\n" % (name, e)).encode())
                os._exit(2)
        else:
            name = "<program>"
            if "linecache" in sys.modules:
                known(name, source)
        if argv:
            sys.argv += argv
        exec(compile(source, name, "exec", dont_inherit=True), space)
    except SystemExit as e:
        code = leave(e)
    except BaseException:
        code = 1
        complain(name, source)
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
    except BaseException:
        complain(name, source)
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass
    # What an interpreter does at its end, as far as it shows: files still open are flushed.
    try:
        fresh = len(sys.modules) - baseline
        for n in list(islice(reversed(sys.modules), fresh)) if fresh > 0 else ():
            vars(sys.modules[n]).clear()
        space.clear()
        gc.collect()
    except BaseException:
        pass
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except BaseException:
        code = code or 120
    os._exit(code)


def known(name, source):
    import linecache
    text = source if isinstance(source, str) else source.decode("utf-8", "replace")
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)


def leave(e):
    if e.code is None:
        return 0
    if isinstance(e.code, int):
        return e.code & 0xFF
    try:
        sys.stdout.flush()
        print(e.code, file=sys.stderr)
    except BaseException:
        pass
    return 1


def complain(name, source):
    try:
        try:
            sys.stdout.flush()
        except BaseException:
            pass
        kind, value, tb = sys.exc_info()
        tb = tb and tb.tb_next
        if sys.excepthook is not sys.__excepthook__:
            sys.excepthook(kind, value, tb)
        else:
            import traceback
            known(name, source)
            traceback.print_exception(kind, value, tb)
            sys.stderr.flush()
    except BaseException:
        os.write(2, (getattr(kind, "__name__", "error") + "\n").encode("utf-8", "replace"))


main()
