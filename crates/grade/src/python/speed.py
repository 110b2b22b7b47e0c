# Times calls of the submission's function and of the baseline's, each in a fresh process. The clock is in this one: it
# runs from the word to begin, which brings the arguments, until a plain copy of the answer has come. Which arguments
# there will be is not known to any process in which the submission was loaded before: their seeds come over stdin.
import gc, marshal, os, random, select, sys, time
from importlib.machinery import ModuleSpec, SourceFileLoader
from _frozen_importlib import module_from_spec


def _speed(entry, inputs, baseline, sizes, repeats, longest):
    sys.dont_write_bytecode = True
    path = "/box/solution.py"
    out, seeds = os.dup(1), os.dup(0)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    clock = time.monotonic

    def say(text):
        data = (text + "\n").encode("utf-8", "surrogatepass")
        while data:
            data = data[os.write(out, data):]

    with open(path, "rb") as file:
        submission = file.read()
    space = {"__name__": "inputs"}
    exec(compile(inputs, "inputs.py", "exec"), space)
    make = space["make"]

    def load(own):
        if not own:
            module = type(sys)("baseline")
            exec(compile(baseline, "baseline.py", "exec", dont_inherit=True), module.__dict__)
            return module
        spec = ModuleSpec("solution", SourceFileLoader("solution", path), origin=path)
        spec.has_location = True
        module = sys.modules["solution"] = module_from_spec(spec)
        exec(compile(submission, path, "exec", dont_inherit=True), module.__dict__)
        return sys.modules.get("solution", module)

    def sent(end, data):
        while data:
            data = data[os.write(end, data):]

    def framed(data):
        return b"%d\n" % len(data) + data

    def is_whole(data):
        length, found, rest = data.partition(b"\n")
        return found and length.isdigit() and len(rest) >= int(length)

    def received(end, seconds, enough):
        # What came until it is enough, and when that was; no time where it was not in time.
        data, until = b"", clock() + seconds
        while not enough(data):
            if not select.select([end], [], [], max(0, until - clock()))[0]:
                return data, None
            more = os.read(end, 1 << 20)
            if not more:
                return data, None
            data += more
        return data, clock()

    def work(own, asked, says):
        try:
            f = getattr(load(own), entry)
            os.write(says, b"+")
            args = marshal.loads(received(asked, longest, is_whole)[0].partition(b"\n")[2])
            text = _canon(f(*args)).encode("utf-8", "surrogatepass")
        except BaseException as e:
            text = b"!" + type(e).__name__.encode("utf-8", "replace")
        try:
            sent(says, framed(text))
        finally:
            os._exit(0)

    def call(own, arguments, seconds):
        # The arguments, the answer, and the seconds it took; no seconds where it did not come.
        asked, asks = os.pipe()
        heard, says = os.pipe()
        pid = os.fork()
        if pid == 0:
            for end in (out, seeds, asks, heard):
                os.close(end)
            work(own, asked, says)
        os.close(asked)
        os.close(says)
        args = arguments()
        question = framed(marshal.dumps(args))
        data, ready = received(heard, longest, lambda data: len(data) > 0)
        took = None
        if data == b"+" and ready:
            try:
                began = clock()
                sent(asks, question)
                data, ended = received(heard, seconds, is_whole)
                took = ended and ended - began
            except OSError:
                pass
        elif ready:
            # It was not loaded, and says why.
            data += received(heard, 1.0, lambda more: is_whole(data + more))[0]
        os.close(asks)
        os.close(heard)
        try:
            os.kill(-1, 9)
        except OSError:
            pass
        os.waitpid(pid, 0)
        text = data.partition(b"\n")[2].decode("utf-8", "surrogatepass")
        # Who was loaded and gave no answer was late; who was not has ended.
        return args, text or ("!late" if data == b"+" else "!ended before it was loaded"), took

    known = {}
    for repeat in range(repeats):
        for i, size in enumerate(sizes):
            gc.collect()
            gc.freeze()
            # Who takes four times as long as the baseline is slow, and is not waited for.
            patience = 4 * known[size] + 0.5 if size in known else longest
            args, text, took = call(True, lambda: make(size, random.Random(int(os.read(seeds, 20)))), patience)
            say("s %d %d %r %s" % (i, repeat, took or patience, text))
            _, text, took = call(False, lambda: args, longest)
            known[size] = took or longest
            say("b %d %d %r %s" % (i, repeat, known[size], text if took is None or text[:1] == "!" else ""))
    say("end")
    os._exit(0)
