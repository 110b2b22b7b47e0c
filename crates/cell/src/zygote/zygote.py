# The zygote: a warm interpreter inside the cell. It never sees a program. The library beside it (inside/lib.rs)
# speaks with the supervisor, makes each program's namespace and forks; the fork comes back here, reads its job, and
# gives up every privilege before the first line of it runs.
import _signal, _socket, atexit, builtins, ctypes, gc, marshal, os, sys
from itertools import islice

PLACE = "/box"
baseline = 0
prepared = []
# Groups came with Python 3.11.
UNPLAIN = (SyntaxError, RecursionError, getattr(builtins, "BaseExceptionGroup", SyntaxError))


def main():
    global PLACE
    ctl = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 3)
    os.environ.pop("LD_BIND_NOW", None)
    library, secret, inner, preload, texts, begun, own_tier, paths, PLACE, again = marshal.loads(ctl.recv(1 << 20))
    inside = ctypes.PyDLL(library)
    inside.cell_setup.argtypes = (ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p)
    filter = ctypes.create_string_buffer(inner, len(inner))
    sys.path[:] = [p for p in sys.path if p not in ("", ".")] + list(paths)
    import _sitebuiltins
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.help = _sitebuiltins._Helper()
    missing = warm(preload)
    for text in texts:
        prepared.append(compile(text, "<prepared>", "exec", dont_inherit=True))
        exec(prepared[-1], {"__name__": "<prepared>"})
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    if inside.cell_setup(secret, len(inner) // 8, ctypes.addressof(filter)):
        raise OSError("pidfd_open is refused")
    if own_tier:
        # What lies below the machine's own /tmp is shown again in each new one.
        kept = ctypes.create_string_buffer(again, len(again))
        inside.cell_again.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
        inside.cell_again(ctypes.addressof(kept), len(again))
        inside.cell_folders()
    inside.cell_code(ctypes.CDLL(None).dl_iterate_phdr)
    del secret, inner
    enter, hooks = inside.cell_enter, around_fork()
    inside.cell_serve.restype = ctypes.c_long
    # Made once here instead of in every fork: what most programs begin with.
    module = sys.modules["__main__"] = type(sys)("__main__")
    module.__builtins__ = builtins
    find_files()
    sys.path.insert(0, PLACE)
    sys.argv = ["<program>"]

    def serve():
        # Comes back in forks alone, with their job.
        global baseline
        baseline = len(sys.modules)
        ctl.send(b"R" + repr(missing).encode())
        ctl.detach()
        gc.collect()
        gc.freeze()
        return inside.cell_serve(hooks)

    try:
        if begun:
            begin(begun, serve, enter)
        else:
            program(serve(), enter)
    finally:
        os._exit(70)


def around_fork():
    # What `os.fork` calls. The library does that by itself: a number of a process in the interpreter's memory would tell
    # each program how many there were before it.
    api, libc = ctypes.pythonapi, ctypes.CDLL(None)
    functions = (api.PyOS_BeforeFork, api.PyOS_AfterFork_Child, api.PyOS_AfterFork_Parent, libc.fork,
                 libc.__errno_location)
    return (ctypes.c_void_p * 5)(*[ctypes.cast(f, ctypes.c_void_p).value for f in functions])


def begin(text, serve, enter):
    # Runs a text to its `checkpoint()`, serves there, and in each fork goes on from there.
    space = sys.modules["__main__"].__dict__

    def is_open(fd):
        try:
            os.get_inheritable(fd)
        except OSError:
            return False
        return True

    before = [is_open(fd) for fd in range(256)]

    def checkpoint():
        os.chdir("/")
        left_open = [fd for fd in range(256) if is_open(fd) and not before[fd]]
        job = serve()
        try:
            _, source, _, _, begins = become(job, enter)
            # What the text has seen of the programs' folder was another one's, and its times do not tell.
            for path, finder in sys.path_importer_cache.items():
                if finder and str(path).startswith(PLACE):
                    finder.invalidate_caches()
            # What the text had open is gone; `/dev/null` stands in its place.
            null = os.open(os.devnull, os.O_RDWR)
            for fd in left_open:
                os.dup2(null, fd, False)
            if null not in left_open:
                os.close(null)
            space.pop("checkpoint", None)
            gc.unfreeze()
        except BaseException:
            os._exit(70)
        run(source, begins, space)

    os.chdir(PLACE)
    space["checkpoint"] = checkpoint
    # A full collection would copy the whole interpreter.
    finish(1, "<begun>", text, exec, compile(text, "<begun>", "exec", dont_inherit=True), space)


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


def find_files():
    # The first import of a file takes longer than most programs run: it is made here, and the finder for the
    # programs' folder as well, which looks into that folder when it is first asked.
    try:
        import keyword
        loader = keyword.__loader__
        loader.source_to_code(loader.get_data(keyword.__file__), keyword.__file__)
        finder = sys.path_hooks[-1](os.path.dirname(keyword.__file__))
        finder.path = PLACE
        finder.invalidate_caches()
        sys.path_importer_cache[PLACE] = finder
    except (ImportError, OSError, AttributeError):
        pass


def become(job, enter):
    # Reads the job and gives up every privilege.
    try:
        kind, source, argv, env, begins, cwd = marshal.loads(os.pread(job & 1023, job >> 10, 48))
        if begins:
            source = "\n" * begins[0] + source
        os.chdir(PLACE)
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
    try:
        if cwd:
            os.chdir(cwd)
    except OSError as e:
        os.write(2, ("%s: %s\n" % (cwd, e.strerror)).encode("utf-8", "replace"))
        os._exit(126)
    if env and kind != 2:
        os.environ.update(env)
    return kind, source, argv, env, begins


def program(job, enter):
    kind, source, argv, env, begins = become(job, enter)
    if kind == 2:
        try:
            os.execvpe(argv[0], argv, dict(env))
        except OSError as e:
            os.write(2, ("%s: %s\n" % (argv[0], e.strerror)).encode("utf-8", "replace"))
            os._exit(127 if e.errno == 2 else 126)
    space = sys.modules["__main__"].__dict__
    name = "<program>"
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
    sys.argv += argv
    finish(2, name, source, run, source, begins, space, name)


def run(source, begins, space, name="<program>"):
    if name == "<program>" and "linecache" in sys.modules:
        known(name, source)
    code = compile(source, name, "exec", dont_inherit=True)
    for i in begins[1:]:
        exec(prepared[i], space)
    exec(code, space)


def finish(generation, name, source, body, *arguments):
    # Runs a program and ends as an interpreter does.
    space = sys.modules["__main__"].__dict__
    code = 0
    try:
        body(*arguments)
    except SystemExit as e:
        code = leave(e)
    except BaseException:
        code = 1
        complain(name, source)
    if not baseline:
        # No fork at all: the text before a checkpoint has ended.
        os._exit(70)
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
    except BaseException:
        complain(name, source)
    try:
        atexit._run_exitfuncs()
    except BaseException:
        pass
    # What an interpreter does at its end, as far as it shows: files still open are flushed. The program's own names go
    # first, while what its objects call at their end is still there.
    try:
        space.clear()
        fresh = len(sys.modules) - baseline
        for n in list(islice(reversed(sys.modules), fresh)) if fresh > 0 else ():
            vars(sys.modules[n]).clear()
        gc.collect(generation)
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
        while tb and tb.tb_frame.f_code.co_filename == complain.__code__.co_filename:
            tb = tb.tb_next
        if sys.excepthook is not sys.__excepthook__:
            sys.excepthook(kind, value, tb)
        elif "traceback" not in sys.modules and is_plain(value):
            os.write(2, brief(kind, value, tb, name, source).encode("utf-8", "backslashreplace"))
        else:
            import traceback
            known(name, source)
            traceback.print_exception(kind, value, tb)
            sys.stderr.flush()
    except BaseException:
        os.write(2, (getattr(kind, "__name__", "error") + "\n").encode("utf-8", "replace"))


def is_plain(e):
    chained = e.__cause__ or e.__context__ or getattr(e, "__notes__", None)
    return not chained and not isinstance(e, UNPLAIN)


def brief(kind, value, tb, name, source):
    # What `traceback` would print, but for the marks below a line. To import it takes longer than most programs run.
    out = ["Traceback (most recent call last):"]
    while tb:
        code, n = tb.tb_frame.f_code, tb.tb_lineno
        out.append('  File "%s", line %d, in %s' % (code.co_filename, n, code.co_name))
        try:
            if code.co_filename != name or os.path.exists(name):
                with open(code.co_filename, encoding="utf-8", errors="replace") as f:
                    line = next(islice(f, n - 1, None), "")
            else:
                line = source.split("\n", n)[n - 1]
        except (OSError, IndexError, TypeError):
            line = ""
        if line.strip():
            out.append("    " + line.strip())
        tb = tb.tb_next
    word, text = kind.__qualname__, str(value)
    if kind.__module__ not in ("builtins", "__main__"):
        word = "%s.%s" % (kind.__module__, word)
    out.append(word + ": " + text if text else word)
    return "\n".join(out) + "\n"


main()
