# One fresh process a case, none of which holds an expected value. Whatever a case leaves behind (processes,
# files) is gone before the next.
import math, os, resource, select, sys, time
from _frozen_importlib import module_from_spec
from importlib.machinery import ModuleSpec, SourceFileLoader


def _oracle(cases, answer, patience, command=None, together=False):
    sys.dont_write_bytecode = True
    case_cpu, case_wall, all_wall = patience
    path = "/box/solution.py"
    out = os.dup(1)
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    seconds = math.ceil(case_cpu)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))

    def say(text):
        data = (text + "\n").encode("utf-8", "surrogatepass")
        while data:
            data = data[os.write(out, data):]

    def here(folder):
        # What lies there, without what is mounted there: an interpreter's packages are no case's, and stay.
        device = os.stat(folder).st_dev
        return [e for e in os.scandir(folder) if e.stat(follow_symlinks=False).st_dev == device]

    def look(folder, seen):
        try:
            entries = here(folder)
        except OSError:
            # A folder that a case has closed is not as it was.
            seen[folder] = None
            return seen
        for entry in entries:
            s = entry.stat(follow_symlinks=False)
            seen[entry.path] = (s.st_mode, s.st_size, s.st_mtime_ns, s.st_ino)
            if entry.is_dir(follow_symlinks=False):
                look(entry.path, seen)
        return seen

    def look_all():
        try:
            return look("/tmp", look("/box", {}))
        except (OSError, RecursionError):
            return None

    def empty(folder):
        os.chmod(folder, 0o755)
        for entry in here(folder):
            try:
                if entry.is_dir(follow_symlinks=False):
                    empty(entry.path)
                    os.rmdir(entry.path)
                else:
                    os.unlink(entry.path)
            except (OSError, RecursionError):
                pass

    def restore():
        for folder in ("/box", "/tmp"):
            empty(folder)
            left = [entry.path for entry in here(folder)]
            if left:
                # Too deep for the way above.
                os.waitpid(os.posix_spawn("/bin/rm", ["rm", "-rf", "--one-file-system", "--"] + left, {}), 0)
        for name, (data, mode) in given.items():
            os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "wb") as file:
                file.write(data)
            os.chmod(name, mode)

    given, first = {}, look_all()
    for name, (mode, _, _, _) in first.items():
        if mode & 0o170000 == 0o100000:
            with open(name, "rb") as file:
                given[name] = (file.read(), mode & 0o777)
    # Settings it brought along; the graders that read them run what they say.
    for line in given.get("/box/.env", (b"", 0))[0].decode("utf-8", "replace").splitlines():
        name, found, value = line.strip().removeprefix("export ").partition("=")
        if found and name.isidentifier():
            os.environ[name] = value.strip("\"'")
    try:
        code = command or compile(given.get(path, (b"", 0))[0], path, "exec", dont_inherit=True)
    except BaseException as e:
        say("! " + type(e).__name__)
        os._exit(0)
    run_program = None if answer else make_runner()
    spec = ModuleSpec("solution", SourceFileLoader("solution", path), origin=path)
    spec.has_location = True

    def load():
        module = module_from_spec(spec)
        sys.modules["solution"] = module
        exec(code, module.__dict__)
        # As an import would: a module may put something else in its place.
        return sys.modules.get("solution", module)

    def failure(i, e):
        kinds = [t.__name__ for t in type(e).__mro__ if t.__module__ == "builtins"]
        return "%d !%s %s" % (i, type(e).__name__, kinds[0])

    def some(group):
        # In the fresh process.
        try:
            sys.setrecursionlimit(sys.getrecursionlimit() + 60)
            module = load()
        except BaseException as e:
            for i, _ in group:
                say("%d !%s while loading" % (i, type(e).__name__))
            os._exit(0)
        for i, args in group:
            try:
                say("%d %s" % (i, answer(module, args)))
            except BaseException as e:
                say(failure(i, e))
        os._exit(0)

    def ended(pid, seconds):
        # Its status (9 where it was late), and the seconds that took.
        poll = select.poll()
        end = os.pidfd_open(pid)
        poll.register(end, select.POLLIN)
        done, used = wait(poll, seconds)
        if not done:
            os.kill(pid, 9)
        status = os.waitpid(pid, 0)[1]
        os.close(end)
        return status, used

    def wait(poll, seconds):
        # Whether it ended, and the seconds that took; those in which the machine let nothing run do not count.
        used = 0
        while used < seconds:
            began = time.monotonic()
            done = poll.poll(min(seconds - used, 0.05) * 1000)
            used += min(time.monotonic() - began, 0.1)
            if done:
                return True, used
        return False, used

    left_for_all, late = all_wall, False
    # Of very many cases a few share a process; which ones is drawn, as is their order.
    processes = 1 if together else len(cases) if run_program else min(len(cases), 40)
    for group in [cases[k::processes] for k in range(processes)]:
        i, args = group[0]
        # Whoever is late once is wrong; how many more cases are right is no longer worth so much waiting.
        left = min(1.0 if late else case_wall, left_for_all)
        if left <= 0:
            say("%d !no time left" % i)
            continue
        if run_program:
            began = time.monotonic()
            status, got = run_program(code, args, left)
            left_for_all -= time.monotonic() - began
            late |= status is None
            say("%d !late" % i if status is None else "%d !status %d" % (i, status) if status else
                "%d %s" % (i, _canon(got)))
        else:
            pid = os.fork()
            if pid == 0:
                some(group)
            status, used = ended(pid, left)
            left_for_all -= used
            if status:
                out_of_time = status & 127 in (9, 24)
                late |= out_of_time
                say("%d !%s" % (i, "late" if out_of_time else "status %d" % status))
        try:
            os.kill(-1, 9)
        except OSError:
            pass
        if look_all() != first:
            restore()
            first = look_all()
    os._exit(0)
