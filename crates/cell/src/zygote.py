# The zygote: a warm interpreter inside the outer cell. It never sees a program: for each one it
# forks an init into a fresh PID namespace; the init makes a fresh /box and /tmp, reads the job
# and forks the program. Status goes to the supervisor from the init, which the program can
# neither signal (it is process 1), nor trace (seccomp, capabilities), nor write for.
import _signal, _socket, builtins, gc, marshal, os, resource, select, sys, time
import atexit, ctypes, linecache, traceback
from itertools import islice
from struct import pack

NEWNS, NEWPID = 0x00020000, 0x20000000
NOSUID_NODEV = 6
REMOUNT = 32
libc = ctypes.CDLL(None, use_errno=True)
unshare, setns, mount, prctl, capset = libc.unshare, libc.setns, libc.mount, libc.prctl, libc.capset
mount.argtypes = (ctypes.c_char_p,) * 3 + (ctypes.c_ulong, ctypes.c_char_p)
prctl.argtypes = (ctypes.c_int,) + (ctypes.c_ulong,) * 4
RIGHTS = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
SEQPACKET = (_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0)
CORES = os.cpu_count() or 1


class FilterProgram(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


cap_header = (ctypes.c_uint32 * 2)(0x20080522, 0)
cap_none = (ctypes.c_uint32 * 6)()


def checked(what, ret):
    if ret != 0:
        e = ctypes.get_errno()
        raise OSError(e, what + ": " + os.strerror(e))


def take_fds(ancillary):
    fds = []
    for level, kind, data in ancillary:
        if (level, kind) == RIGHTS:
            fds += [int.from_bytes(data[i:i + 4], sys.byteorder) for i in range(0, len(data), 4)]
    return fds


def main():
    ctl = _socket.socket(*SEQPACKET, 3)
    os.set_inheritable(3, False)
    os.environ.pop("LD_BIND_NOW", None)
    message = ctl.recv(1 << 20)
    global box_size, inner, inner_program
    filter_bytes, preload, paths, box_size = marshal.loads(message)
    inner = ctypes.create_string_buffer(filter_bytes, len(filter_bytes))
    inner_program = FilterProgram(len(filter_bytes) // 8, ctypes.addressof(inner))
    sys.path[:] = [p for p in sys.path if p not in ("", ".")] + list(paths)
    import _sitebuiltins
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.help = _sitebuiltins._Helper()
    missing = warm(preload)
    # A handler would make process 1 receive the signal from the program.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    prctl(4, 0, 0, 0, 0)  # not dumpable
    me = os.pidfd_open(os.getpid())
    sys.argv = [""]
    global baseline
    baseline = len(sys.modules) + ("__main__" not in sys.modules)
    gc.collect()
    gc.freeze()
    ctl.send(b"R" + repr(missing).encode())
    while True:
        data, ancillary, _, _ = ctl.recvmsg(16, 64)
        if not data:
            os._exit(0)
        (fd,) = take_fds(ancillary)
        try:
            checked("unshare(NEWPID)", unshare(NEWPID))
            try:
                pid = os.fork()
                if pid == 0:
                    try:
                        ctl.close()
                        os.close(me)
                        init(fd)
                    finally:
                        os._exit(70)
            finally:
                checked("setns(NEWPID)", setns(me, NEWPID))
        except OSError as e:
            tell(fd, e)
        os.close(fd)


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
    return missing


def tell(fd, error):
    try:
        os.write(fd, b"E" + str(error).encode()[:500])
    except OSError:
        pass


def init(fd):
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    run = _socket.socket(*SEQPACKET, fd)
    try:
        checked("unshare(NEWNS)", unshare(NEWNS))
        options = b"size=%d,nr_inodes=8192,mode=755" % box_size
        checked("mount /box", mount(b"box", b"/box", b"tmpfs", NOSUID_NODEV, options))
        checked("mount /tmp", mount(b"tmp", b"/tmp", b"tmpfs", NOSUID_NODEV, options))
        box = os.open("/box", os.O_RDONLY | os.O_DIRECTORY)
        run.sendmsg([b"P"], [RIGHTS + (pack("i", box),)])
        data, ancillary, _, _ = run.recvmsg(16, 64)
        if not data:
            os._exit(0)
        source, stdin, stdout, stderr, *control = take_fds(ancillary)
        job = marshal.loads(os.pread(source, os.fstat(source).st_size, 0))
        os.close(source)
        os.chdir("/box")
        place(job[4])
        if job[5][5] != box_size:
            options = b"size=%d" % job[5][5]
            for path in (b"/box", b"/tmp"):
                checked("remount", mount(None, path, None, REMOUNT | NOSUID_NODEV, options))
        pid = os.fork()
        if pid == 0:
            try:
                program(fd, job, [stdin, stdout, stderr] + control)
            finally:
                os._exit(70)
        for f in (stdin, stdout, stderr, box, *control):
            os.close(f)
        watch(run, pid, job[5])
    except BaseException as e:
        tell(fd, e)
    os._exit(0)


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


def watch(run, pid, limits):
    cpu, processes = limits[0], limits[2]
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(run, select.POLLIN)
    killed = 0  # 1: told to, 2: CPU time
    wait = cpu * 1000 / CORES
    while True:
        events = poll.poll(wait)
        if any(fd == pidfd for fd, _ in events):
            break
        if events:
            message = run.recv(16)
            if message == b"I":
                interrupt(pid)
                continue
            killed = 1
            break
        used = cpu_of_all()
        if used >= cpu:
            killed = 2
            break
        wait = max(5, (cpu - used) * 1000 / CORES)
    crowded = killed and full_of_processes(processes)
    if killed:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
    _, status, usage = os.wait4(pid, 0)
    if status and not killed:
        crowded = full_of_processes(processes)
    seconds, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    left, alive = 0, False
    while True:
        try:
            p, _, usage = os.wait4(-1, 0 if alive else os.WNOHANG)
        except ChildProcessError:
            break
        if p:
            seconds += usage.ru_utime + usage.ru_stime
            peak = max(peak, usage.ru_maxrss)
            left += alive
        else:
            alive = True
        if alive:
            try:
                os.kill(-1, 9)
            except ProcessLookupError:
                pass
    full = 0
    if status:
        for path in ("/box", "/tmp"):
            s = os.statvfs(path)
            full |= s.f_bfree == 0 or s.f_ffree == 0
    run.send(b"D" + pack("<qqdqqqq", status, killed, seconds, peak, left, bool(crowded), full))


def cpu_of_all():
    # CPU seconds of all processes alive; there is no /proc, so their numbers are tried in turn.
    used, pid, missing = 0.0, 2, 0
    while missing < 300:
        try:
            used += time.clock_gettime((~pid << 3) | 2)
            missing = 0
        except OSError:
            missing += 1
        pid += 1
    return used


def full_of_processes(limit):
    # Whether one more process would be refused right now.
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    try:
        pid = os.fork()
    except OSError:
        return True
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return False


def interrupt(keep):
    # Ends everything but the program itself (the session's bash).
    last = os.fork()
    if last == 0:
        os._exit(0)
    os.waitpid(last, 0)
    for pid in range(2, last):
        if pid != keep:
            try:
                os.kill(pid, 9)
            except OSError:
                pass


def program(fd, job, fds):
    kind, source, argv, env, _, limits = job
    try:
        os.setsid()
        for i in range(3):
            os.dup2(fds[i], i)
        cpu, memory, processes, size, seconds, _ = limits
        setrlimit = resource.setrlimit
        setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        setrlimit(resource.RLIMIT_FSIZE, (size, size))
        setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        # 1, not 0: with a piped core pattern only 1 stops the dump.
        setrlimit(resource.RLIMIT_CORE, (1, 1))
        setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
        setrlimit(resource.RLIMIT_SIGPENDING, (256, 256))
        setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        checked("capset", capset(cap_header, cap_none))
        checked("prctl", prctl(47, 4, 0, 0, 0))  # no ambient capabilities
        checked("seccomp", prctl(22, 2, ctypes.addressof(inner_program), 0, 0))
        if kind == 2:
            # An exec'd program gets back what Python set to "ignore".
            _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
            _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
        setrlimit(resource.RLIMIT_AS, (memory, memory))
    except BaseException as e:
        tell(fd, e)
        os._exit(70)
    if len(fds) > 3:
        # The command channel of a session's bash.
        os.dup2(fds[3], 250)
        os.closerange(3, 250)
        os.closerange(251, 1024)
    else:
        os.closerange(3, 1024)
    if kind == 2:
        try:
            os.execvpe(argv[0], argv, dict(env))
        except OSError as e:
            os.write(2, ("%s: %s\n" % (argv[0], e.strerror)).encode("utf-8", "replace"))
            os._exit(127 if e.errno == 2 else 126)
    python(kind, source, argv)


def python(kind, source, argv):
    module = type(sys)("__main__")
    space = module.__dict__
    space["__builtins__"] = builtins
    sys.modules["__main__"] = module
    code = 0
    try:
        if kind == 1:
            name = "/box/" + source
            sys.path.insert(0, os.path.dirname(name))
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
            sys.path.insert(0, "/box")
            linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        sys.argv = [name] + list(argv)
        exec(compile(source, name, "exec", dont_inherit=True), space)
    except SystemExit as e:
        code = leave(e)
    except BaseException:
        code = 1
        complain()
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
    except BaseException:
        complain()
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


def complain():
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
            traceback.print_exception(kind, value, tb)
            sys.stderr.flush()
    except BaseException:
        os.write(2, (getattr(kind, "__name__", "error") + "\n").encode("utf-8", "replace"))


main()
