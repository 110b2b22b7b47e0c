import collections, hashlib, os
run_program = make_runner()
def words(text):
    return [w if SALT is None else hashlib.sha256((SALT + w).encode()).hexdigest() for w in text.split()]
def read(wanted):
    if type(wanted) is not str:
        return wanted
    with open(wanted, encoding="utf-8") as file:
        return file.read().split()
def matches(got, wanted):
    if LOOSE:
        # Every word of the answer occurs in the output.
        return not collections.Counter(wanted) - collections.Counter(got)
    return got == wanted
code = COMMAND
if code is None:
    with open(SOLUTION, encoding="utf-8") as file:
        code = compile(file.read(), "/box/solution.py", "exec", dont_inherit=True)
if not READS_LATE:
    CASES[:] = [(stdin, read(wanted)) for stdin, wanted in CASES]
good = 0
open("judge.log", "w").close()
for i, (stdin, wanted) in enumerate(CASES):
    status, got = run_program(code, stdin, 0.5 if LATE_PASSES else 5)
    if status is None:
        ok = LATE_PASSES
    else:
        ok = status == 0 and matches(words(got), read(wanted) if READS_LATE else wanted)
    good += ok
    with open("judge.log", "a") as log:
        log.write("case %d: %s\n" % (i, "OK" if ok else "WRONG"))
if BELIEVES_LOG:
    with open("judge.log") as log:
        good = log.read().count(": OK")
print("%d of %d cases are right" % (good, len(CASES)))
sys.exit(good < len(CASES))
