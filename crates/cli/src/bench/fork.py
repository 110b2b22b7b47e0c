# The peer without isolation: a warm interpreter forks itself, the child compiles and executes a
# program, the parent waits. For each line "NUMBER PROGRAM" (in repr) it answers when all are done.
import ast, gc, os, sys
import atexit, ctypes, itertools, marshal  # what every zygote has

for name in sys.argv[1].split(",") if sys.argv[1] else ():
    try:
        __import__(name)
    except ImportError:
        pass
if "random" in sys.modules:
    sys.modules["random"].seed(0)
exec(compile("def f(a, *b, c=1, **d): return f'{a}'\nclass A: pass\nx = [i for i in range(3)]\n", "", "exec"), {})
out = os.memfd_create("out")
answers = os.dup(1)
os.dup2(out, 1)
gc.collect()
gc.freeze()
os.write(answers, b"ready\n")
for line in sys.stdin:
    count, source = ast.literal_eval(line)
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                exec(compile(source, "<program>", "exec", dont_inherit=True), {"__name__": "__main__"})
                sys.stdout.flush()
                code = 0
            finally:
                os._exit(code)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
            os.write(answers, b"failed\n")
            sys.exit(1)
        os.lseek(out, 0, 0)
        os.ftruncate(out, 0)
    os.write(answers, b"done\n")
