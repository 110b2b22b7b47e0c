"""Programs in cells: honest ones that must work, others that hide, remember or reach out."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

from kit import Wrong, b64, case, processes_with, short, soon

# Programs that print `ok` at their end: data, each a case of its own.
HONEST = [
    ("cell-tcp-loopback", "a TCP server and a client on 127.0.0.1 in one program", """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
def serve():
    link, _ = server.accept()
    link.sendall(link.recv(100).upper()); link.close()
threading.Thread(target=serve).start()
link = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
link.sendall(b"hello")
assert link.recv(100) == b"HELLO"
print("ok")
"""),
    ("cell-http-localhost", "http.server as a child process, asked through http://localhost", """
import subprocess, sys, time, urllib.request
child = subprocess.Popen([sys.executable, "-m", "http.server", "8765", "--bind", "127.0.0.1"], stderr=subprocess.DEVNULL)
open("page.txt", "w").write("hello")
for _ in range(100):
    try:
        assert urllib.request.urlopen("http://localhost:8765/page.txt").read() == b"hello"
        break
    except OSError:
        time.sleep(0.05)
else:
    raise SystemExit("never answered")
child.kill()
print("ok")
"""),
    ("cell-unix-sockets", "Unix sockets: by path, abstract, a pair", """
import socket, threading
for name in ("/tmp/here.sock", "there.sock", "\\0abstract"):
    server = socket.socket(socket.AF_UNIX); server.bind(name); server.listen()
    link = socket.socket(socket.AF_UNIX); link.connect(name)
    other, _ = server.accept()
    link.send(b"x"); assert other.recv(1) == b"x"
a, b = socket.socketpair(); a.send(b"y"); assert b.recv(1) == b"y"
print("ok")
"""),
    ("cell-multiprocessing", "multiprocessing: Manager, Pool, Queue, Lock, shared memory", """
import multiprocessing as m
from multiprocessing import shared_memory
def square(x): return x * x
if __name__ == "__main__":
    with m.Manager() as manager:
        d = manager.dict(); d["a"] = 1; assert dict(d) == {"a": 1}
    with m.Pool(2) as pool: assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    q = m.Queue(); q.put(3); assert q.get(timeout=5) == 3
    with m.Lock(): pass
    s = shared_memory.SharedMemory(create=True, size=100); s.buf[0] = 7
    t = shared_memory.SharedMemory(name=s.name); assert t.buf[0] == 7
    t.close(); s.close(); s.unlink()
    print("ok")
"""),
    ("cell-proc-own", "/proc of its own processes, as psutil reads it: status, stat, fd, exe, children, meminfo", """
import os, subprocess, pathlib
p = pathlib.Path("/proc")
me = os.getpid()
assert f"Pid:\\t{me}" in (p / "self/status").read_text()
assert (p / "self/stat").read_text().split()[0] == str(me)
assert b"-c" in (p / "self/cmdline").read_bytes()
assert os.path.exists(os.readlink("/proc/self/exe"))
assert set("012") <= set(os.listdir("/proc/self/fd"))
assert os.readlink("/proc/self/cwd") == os.getcwd()
child = subprocess.Popen(["sleep", "5"])
assert (p / str(child.pid) / "comm").read_text().strip() == "sleep"
assert str(child.pid) in os.listdir("/proc")
child.kill(); child.wait()
assert "MemTotal" in (p / "meminfo").read_text()
assert (p / "stat").read_text().startswith("cpu")
assert "processor" in (p / "cpuinfo").read_text()
print("ok")
"""),
    ("cell-asyncio-medley", "asyncio with a subprocess, sqlite, tempfile, a process pool", """
import asyncio, sqlite3, tempfile, concurrent.futures as f
def double(x): return 2 * x
async def main():
    child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate(b"hi"); assert out == b"hi"
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
if __name__ == "__main__":
    asyncio.run(main())
    with tempfile.TemporaryDirectory() as d:
        db = sqlite3.connect(d + "/x.db"); db.execute("create table t(a)"); db.execute("insert into t values (1)"); db.commit()
        assert db.execute("select a from t").fetchall() == [(1,)]
    with f.ProcessPoolExecutor(2) as pool: assert list(pool.map(double, [1, 2])) == [2, 4]
    print("ok")
"""),
]


def honest(name, does, source):
    @case(name, does, "verdict exit, code 0, and it prints ok")
    def body(t):
        t.said_ok(t.exec("python3", t_file(t, source)[0], flags=t_file(t, source)[1]))


def t_file(t, source):
    """A program of several processes must be a file: spawned children import it."""
    path = t.file("program.py", source)
    return "program.py", ["--file", f"{path}=program.py"]


for row in HONEST:
    if "-c" in row[2] and "cmdline" in row[2]:
        def by_c(t, source=row[2]):
            t.said_ok(t.python(source))
        case(row[0], row[1], "verdict exit, code 0, and it prints ok")(by_c)
    else:
        honest(*row)


@case("cell-substitution", "bash: <(...), >(...), here documents, /dev/stdin, /dev/stdout, /dev/fd",
      "all of it works as in any shell")
def _(t):
    record = t.exec("bash", "-c", """
set -e
diff <(echo a) <(echo a)
echo one > >(cat > got); sleep 0.2; [ "$(cat got)" = one ]
[ "$(cat <<< here)" = here ]
[ "$(cat /dev/stdin)" = typed ]
exec 5<<< five; [ "$(cat /dev/fd/5)" = five ]
echo ok > /dev/stdout
""", stdin=b"typed")
    t.said_ok(record)


@case("cell-status-not-ours", "a program that ends with 7, once by words, once with --json",
      "loophole itself ends with 0; code 7 in the record")
def _(t):
    t.same(t.run("exec", "--", "bash", "-c", "exit 7").code, 0, "exit")
    record = t.exec("bash", "-c", "exit 7")
    t.same((record["verdict"], record["code"]), ("exit", 7), "verdict and code")


@case("cell-bytes-through", "all 256 bytes through `cat`, stdout a pipe", "the same bytes, unchanged, and no other")
def _(t):
    data = bytes(range(256)) * 33
    done = t.run("exec", "--quiet", "--", "cat", stdin=data)
    t.same(done.code, 0, "exit")
    t.same(done.out, data, "stdout")


@case("cell-large-stdin", "8 MiB on standard input", "every byte arrives: length and digest are right")
def _(t):
    import hashlib
    data = os.urandom(1 << 20) * 8
    record = t.exec("sha256sum", stdin=data)
    t.same(record["stdout"].split()[:1], [hashlib.sha256(data).hexdigest()], "digest")


@case("cell-argv-bytes", "arguments that are empty, hold blanks, newlines, quotes, look like our flags, are not UTF-8",
      "they arrive byte for byte")
def _(t):
    wanted = [b"", b"a b", b"two\nlines", b"'\"$(x)`", b"--json", b"--", b"\xff\xfe", "ü".encode()]
    record = t.exec("python3", "-c", "import sys, os; print([os.fsencode(a) for a in sys.argv[1:]])", *wanted)
    t.same(record["stdout"].strip(), repr(wanted), "argv")


@case("cell-names-not-utf8", r"files named a\xff, a\xfe, a<U+FFFD> and the text 'a\xff'",
      "four files with four different paths in the record, which is valid JSON in UTF-8")
def _(t):
    record = t.python(r"""
import os
for name in (b"a\xff", b"a\xfe", "a\ufffd".encode(), b"a\\xff", b"with\nline", b"esc\x1b[2J"):
    open(name, "wb").write(b"1")
""")
    paths = [str(f["path"]) for f in record["files"]]
    t.same(len(set(paths)), 6, f"different paths among {paths}")


@case("cell-hidden-change", "a given file gets other content of the same size and its old times back",
      "it is in the list as changed")
def _(t):
    path = t.file("data.txt", "old!")
    record = t.python("""
import os
s = os.stat("data.txt")
open("data.txt", "r+").write("new!")
os.utime("data.txt", ns=(s.st_atime_ns, s.st_mtime_ns))
""", flags=["--file", f"{path}=data.txt"])
    found = {f["path"]: f["change"] for f in record["files"]}
    t.same(found.get("data.txt"), "changed", f"data.txt in {found}")


@case("cell-changes-told", "given files: one removed, one made executable, one replaced by a link, one left alone",
      "removed, changed, changed and not listed")
def _(t):
    flags = []
    for name in ("gone", "mode", "link", "same"):
        flags += ["--file", t.file(name, name) + "=" + name]
    record = t.exec("bash", "-c", "rm gone; chmod 755 mode; ln -sf /etc/passwd link; cat same", flags=flags)
    found = {f["path"]: f["change"] for f in record["files"]}
    t.same(found, {"gone": "removed", "mode": "changed", "link": "changed"}, "files")


@case("cell-hidden-below-closed", "a file three folders down, all folders then without any permission",
      "the file is in the list with its size")
def _(t):
    record = t.exec("bash", "-c", "mkdir -p a/b/c; printf 12345 > a/b/c/secret; chmod 0 a/b/c/secret a/b/c a/b a")
    found = {f["path"]: f.get("size") for f in record["files"]}
    t.same(found.get("a/b/c/secret"), 5, f"a/b/c/secret in {found}")


@case("cell-changed-by-leftover", "a daemon that stays behind and goes on writing after the program has ended",
      "it is counted as left over, and no process of it lives on")
def _(t):
    mark = f"strangers-{os.getpid()}-{time.time_ns()}"
    record = t.exec("bash", "-c", f"(setsid bash -c 'while :; do echo x >> late; sleep 0.05; done # {mark}' &) ; sleep 0.3")
    t.want(record["leftover_processes"] >= 1, f"leftover_processes {record['leftover_processes']}")
    t.want(soon(lambda: not processes_with(mark), 3), "the daemon still lives on this machine")


@case("cell-not-out-tcp", "a listener of this machine on 127.0.0.1; the program connects to it",
      "the program is refused and the listener sees nobody")
def _(t):
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    port = server.getsockname()[1]
    record = t.python(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")
    t.want(record["code"] != 0, f"it connected: {record['stdout']}")
    try:
        server.accept()
        raise Wrong("somebody connected to the machine's listener")
    except socket.timeout:
        pass


@case("cell-not-out-unix", "a Unix socket of this machine by path and an abstract one",
      "neither can be connected to from a cell")
def _(t):
    os.chmod(t.dir, 0o755)
    path = str(t.dir / "outside.sock")
    by_path, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    by_path.bind(path), by_path.listen(), os.chmod(path, 0o777)
    name = f"strangers-{os.getpid()}-{time.time_ns()}"
    abstract.bind("\0" + name), abstract.listen()
    record = t.python(f"""
import socket
for name in ({path!r}, "\\0" + {name!r}):
    try:
        socket.socket(socket.AF_UNIX).connect(name); print("connected", repr(name))
    except OSError: pass
print("ok")
""")
    t.same(record["stdout"].strip(), "ok", "stdout")


@case("cell-machine-unseen", "a secret in a file of this machine, in our environment; processes of this machine",
      "a cell sees none of them")
def _(t):
    os.chmod(t.dir, 0o755)
    secret = t.file("secret.txt", "pass-word-1")
    os.chmod(secret, 0o644)
    record = t.python(f"""
import os
found = []
try: found.append(open({secret!r}).read())
except OSError: pass
found += [v for v in os.environ.values() if "pass-word" in v]
for p in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
    try: found += [c for c in [open(f"/proc/{{p}}/cmdline").read()] if "strangers" in c and "secret" not in c]
    except OSError: pass
found += [p for p in ("/root/.ssh", "/etc/shadow", "/var/log") if os.path.exists(p) and (not os.path.isdir(p) or os.listdir(p))]
print(found)
""", env={"MY_SECRET": "pass-word-2"})
    t.same(record["stdout"].strip(), "[]", f"seen (stderr {short(record['stderr'])})")


@case("cell-venv-anywhere", "a virtual environment below a private folder in /tmp with a module of its own",
      "`--python VENV --runtime python` and `--runtime VENV/bin/python` both import it")
def _(t):
    venv = t.dir / "my venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=20, cwd="/")
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "strangemod.py").write_text("word = 'ok'\n")
    python = str(venv / "bin/python")
    t.said_ok(t.exec("import strangemod; print(strangemod.word)", flags=["--runtime", "python", "--python", python]))
    t.said_ok(t.exec("-c", "import strangemod; print(strangemod.word)", flags=["--runtime", python]))


@case("cell-venv-home", "a virtual environment below the home folder with a module of its own",
      "`--python VENV --runtime python` imports it")
def _(t):
    import shutil, tempfile
    home = tempfile.mkdtemp(prefix=".strangers-", dir=os.path.expanduser("~"))
    try:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home + "/v"], check=True, timeout=20, cwd="/")
        site = next(pathlib.Path(home).glob("v/lib/python*/site-packages"))
        (site / "strangemod.py").write_text("word = 'ok'\n")
        record = t.exec("import strangemod; print(strangemod.word)", flags=["--runtime", "python", "--python", home + "/v/bin/python"])
        t.said_ok(record)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@case("cell-env-cwd", "--env A='x y' --env EMPTY= --cwd sub, where a given file lies",
      "the program has both, works in `sub`, and has nothing of our environment")
def _(t):
    record = t.exec("python3", "-c", "import os; print([os.environ.get(n) for n in ('A', 'EMPTY', 'MY_OWN')], os.path.basename(os.getcwd())); open('made', 'w')",
                    flags=["--env", "A=x y", "--env", "EMPTY=", "--file", t.file("x", "x") + "=sub/x", "--cwd", "sub"], env={"MY_OWN": "1"})
    t.same(record["stdout"].strip(), "['x y', '', None] sub", f"stdout (stderr {short(record['stderr'])})")
    t.want("sub/made" in [f["path"] for f in record["files"]], f"files {record['files']}")


@case("cell-folder-in", "--in a folder with nested files, an executable script, an empty folder, a name that is not UTF-8",
      "all of it lies in the working folder with content and executable bit; nothing is listed as created by the program")
def _(t):
    t.file("project/a/b/deep.txt", "deep")
    t.file("project/go.sh", "#!/bin/sh\necho ran\n")
    os.chmod(t.dir / "project/go.sh", 0o755)
    (t.dir / "project/empty").mkdir()
    with open(os.fsencode(str(t.dir / "project")) + b"/n\xff", "wb") as odd:
        odd.write(b"odd")
    record = t.exec("bash", "-c", "./go.sh && cat a/b/deep.txt && [ -d empty ] && cat $'n\\xff' && echo && echo ok",
                    flags=["--in", str(t.dir / "project")])
    t.said_ok(record)
    t.same(record["stdout"].split(), ["ran", "deepodd", "ok"], "stdout")
    t.same(record["files"], [], "files")


@case("cell-get-bytes", "--get of a file of all bytes and of a folder", "they are here afterwards with the same bytes")
def _(t):
    done = t.run("exec", "--quiet", "--get", "out.bin", "--get", "made", "--",
                 "bash", "-c", r"printf '\x00\xff\xfe\n' > out.bin; mkdir -p made/sub; echo deep > made/sub/x")
    t.same(done.code, 0, f"exit ({done})")
    found = {str(p.relative_to(t.dir)): p.read_bytes() for p in t.dir.rglob("*") if p.is_file() and not p.name.startswith(".")}
    t.want(b"\x00\xff\xfe\n" in found.values() and b"deep\n" in found.values(), f"found here: {found}; {done}")


@case("cell-get-attack", "--get of paths that the program made links out of the cell, and of ../ and / paths",
      "no byte of this machine's files comes, and it is told")
def _(t):
    os.chmod(t.dir, 0o755)
    secret = t.file("secret.txt", "pass-word-1")
    work = t.dir / "into"
    work.mkdir()
    for path in ("link", "dir/secret.txt", "../secret.txt", secret):
        done = t.run("exec", "--get", path, "--", "bash", "-c", f"ln -s {secret} link; ln -s {t.dir} dir", cwd=str(work))
        t.want(b"pass-word-1" not in done.out, f"--get {path}: {done}")
        for p in work.rglob("*"):
            if p.is_symlink():
                raise Wrong(f"--get {path} left a link to {os.readlink(p)} here")
            t.want(not p.is_file() or b"pass-word" not in p.read_bytes(), f"--get {path} brought the machine's file")
        t.want(len(done.said.strip()) > 0, f"--get {path}: nothing is said: {done}")


@case("cell-get-missing", "--get of a file that the program did not make", "said by name; the exit code is not 0")
def _(t):
    done = t.run("exec", "--get", "nothing.txt", "--", "true")
    t.want("nothing.txt" in done.said and done.code != 0, done)


@case("cell-refused-named", "a program that calls mount() through ctypes and ends with 1 without a word",
      "the record has the call; the words on the terminal name it")
def _(t):
    source = "import ctypes, sys; sys.exit(1 if ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) else 0)"
    record = t.python(source)
    t.want(record["code"] == 1 and record["refused"].get("mount", 0) >= 1, f"code {record['code']}, refused {record['refused']}")
    done = t.run("exec", "--", "python3", "-c", source)
    t.want("mount" in done.said + done.text, done)


@case("cell-refused-hidden", "a refused call made by a grandchild in a session of its own, then a good end",
      "it is in `refused` all the same")
def _(t):
    record = t.python("""
import ctypes, os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None)
    os._exit(0)
time.sleep(0.5)
print("fine")
""")
    t.want(record["code"] == 0 and record["refused"].get("mount") == 1, f"code {record['code']}, refused {record['refused']}")


@case("cell-own-filter", "a program that installs a filter of system calls of its own, which answers mount() itself, then calls it and ends well",
      "the record tells that refused calls may be missing (`refused_incomplete`), or has the call")
def _(t):
    record = t.python(r"""
import ctypes, struct, platform
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 165, "aarch64": 40}[platform.machine()]
code = b"".join(struct.pack("HBBI", *row) for row in ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)))
buffer = ctypes.create_string_buffer(code, len(code))
program = struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer))
libc.prctl(38, 1, 0, 0, 0)
done = libc.prctl(22, 2, ctypes.create_string_buffer(program, len(program)), 0, 0)
libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)
print("filter", done)
""")
    t.want(record["verdict"] == "exit" and record["code"] == 0, f"verdict {record['verdict']}, {short(record['stderr'])}")
    t.want("filter 0" not in record["stdout"] or record.get("refused_incomplete") or record["refused"].get("mount"),
           f"stdout {record['stdout']!r}, refused {record['refused']}, refused_incomplete {record.get('refused_incomplete')}")


@case("cell-wall", "--timeout 1 -- sleep 25", "verdict wall within some seconds; our exit is 0")
def _(t):
    record = t.exec("sleep", "25", flags=["--timeout", "1"], within=8)
    t.same(record["verdict"], "wall", "verdict")
    t.want(0.9 <= record["wall_seconds"] <= 3, f"wall_seconds {record['wall_seconds']}")


@case("cell-memory", "--memory 64 and a program that touches 600 MB", "verdict memory")
def _(t):
    record = t.python("x = bytearray(600_000_000); print(len(x))", flags=["--memory", "64"])
    t.same(record["verdict"], "memory", f"verdict (stdout {short(record['stdout'])})")


@case("cell-output-flood", "`yes` without end", "verdict output, truncated, soon")
def _(t):
    record = t.exec("yes", within=12)
    t.same((record["verdict"], record["truncated"]), ("output", True), "verdict and truncated")


@case("cell-signal", "bash that kills itself with SIGKILL", "verdict signal, signal 9, no code")
def _(t):
    record = t.exec("bash", "-c", "kill -9 $$")
    t.same((record["verdict"], record["signal"], record["code"]), ("signal", 9, None), "verdict, signal, code")


@case("cell-fork-bomb", "the classic function of bash, --timeout 4", "an end by a limit (pids, wall, cpu or memory), this machine unharmed")
def _(t):
    record = t.exec("bash", "-c", ":(){ :|:& };:; wait; sleep 30", flags=["--timeout", "4"], within=15)
    t.want(record["verdict"] in ("pids", "wall", "cpu", "memory"), f"verdict {record['verdict']}")


@case("cell-nothing-left", "2,000 files, folders 150 deep, no permissions, odd names, a fifo, a socket, a sparse file, links to everything",
      "the record comes, and the temporary folder of this machine is as empty as before")
def _(t):
    temporary = t.dir / "tmp"
    temporary.mkdir(mode=0o777)
    os.chmod(t.dir, 0o755), os.chmod(temporary, 0o777)
    before = pathlib.Path("/proc/self/mountinfo").read_text().count(str(temporary))
    record = t.python(r"""
import os, socket
for i in range(2000): open(f"f{i}", "w").close()
os.mkfifo("fifo"); socket.socket(socket.AF_UNIX).bind("sock")
with open("sparse", "wb") as s: s.truncate(10_000_000)
os.symlink("/", "root"); os.symlink("loop", "loop"); os.link("f1", "hard")
top = os.getcwd()
for i in range(150): os.mkdir(b"d\xff"); os.chdir(b"d\xff")
os.chdir(top)
os.chmod(b"d\xff", 0); os.chmod(top, 0)
""", env={"TMPDIR": str(temporary)}, within=20)
    t.same((record["verdict"], record["code"]), ("exit", 0), f"verdict (stderr {short(record['stderr'])})")
    t.same(os.listdir(temporary), [], "left in TMPDIR")
    t.same(pathlib.Path("/proc/self/mountinfo").read_text().count(str(temporary)), before, "mounts")


@case("cell-ended-with-us", "SIGTERM to `loophole exec` while the program sleeps; then SIGKILL to another",
      "130 for the first; of neither a process is left after some seconds")
def _(t):
    for number in (signal.SIGTERM, signal.SIGKILL):
        seconds = f"2{time.time_ns() % 10**9:09d}.5"
        process = t.start("exec", "--timeout", "60", "--", "sleep", seconds)
        t.want(soon(lambda: processes_with(seconds)[1:], 8), "the program never started")
        process.send_signal(number)
        try:
            process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            raise Wrong(f"signal {number} does not end it")
        if number == signal.SIGTERM:
            t.same(process.returncode, 130, "exit after SIGTERM")
        t.want(soon(lambda: not processes_with(seconds), 5), f"after signal {number} the program lives on")


@case("cell-terminal-safe", "a program prints an escape that sets the title and clears, stdout a terminal; then with --raw",
      "no raw escape of it reaches the terminal; with --raw it does")
def _(t):
    code, got = t.terminal("exec", "--", "printf", r"a\033]0;owned\007b\033[2Jc")
    t.want(b"\x1b]0;owned" not in got and b"\x1b[2J" not in got and b"owned" in got, f"{got!r}")
    code, got = t.terminal("exec", "--raw", "--", "printf", r"a\033]0;owned\007b")
    t.want(b"\x1b]0;owned" in got, f"with --raw: {got!r}")


@case("cell-stderr-terminal-safe", "the same on standard error, and as the name of a command that does not exist",
      "no raw escape of it reaches the terminal")
def _(t):
    code, got = t.terminal("exec", "--", "bash", "-c", r"printf 'a\033]0;owned\007b' >&2")
    t.want(b"\x1b]0;owned" not in got, f"{got!r}")
    code, got = t.terminal("exec", "--", "no\x1b]0;owned\x07such")
    t.want(b"\x1b]0;owned" not in got, f"{got!r}")


@case("cell-no-such-command", "exec -- nosuchcommand-xyz, and a typing mistake: exec without --",
      "the name is in what is said; never a success with code 0")
def _(t):
    done = t.run("exec", "--json", "--", "nosuchcommand-xyz")
    t.want("nosuchcommand-xyz" in done.text + done.said, done)
    t.want(done.code in (0, 2), done)
    if done.code == 0:
        record = done.lines()[0]
        t.want(record["code"] not in (0, None) or record["verdict"] != "exit", record)


@case("cell-file-missing", "--file of a file that is not there; --file without =; --in of a folder that is not there",
      "exit 2, the path in the message")
def _(t):
    t.clear_error(t.run("exec", "--file", "nothere.py=x.py", "--", "true"), words=["nothere.py"])
    t.clear_error(t.run("exec", "--in", "nofolder", "--", "true"), words=["nofolder"])


@case("cell-file-escape", "--file SRC=../../etc/x and =/etc/cron.d/x, then a look at this machine",
      "refused with exit 2, or put inside the cell only; nothing is written on this machine")
def _(t):
    path = t.file("x.py", "1")
    for destination in ("../../escaped.py", "/escaped.py", "a/../../../escaped.py"):
        done = t.run("exec", "--json", "--file", f"{path}={destination}", "--", "true")
        t.want(done.code in (0, 2), done)
        t.want(not os.path.exists("/escaped.py") and not list(t.dir.parent.glob("escaped.py")), f"{destination}: written outside")
