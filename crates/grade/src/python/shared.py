# The cases of a submission that has no way out of its own functions: it leaves nothing behind but its module, so
# they share one process, each with a fresh module. What is said is said at the end, or not at all: should a case
# end in any other way than with a value or an error, all are asked again, a process each.
def _shared(cases, source, answer):
    import sys
    from posix import _exit, write
    fresh = type(sys)

    def failure(e):
        kinds = [t.__name__ for t in type(e).__mro__ if t.__module__ == "builtins"]
        return "!%s %s" % (type(e).__name__, kinds[0])

    try:
        code = compile(source.encode(), "/box/solution.py", "exec", dont_inherit=True)
        sys.setrecursionlimit(sys.getrecursionlimit() + 60)
        said = []
        for i, args in cases:
            module = sys.modules["solution"] = fresh("solution")
            exec(code, module.__dict__)
            try:
                said.append("%d %s\n" % (i, answer(module, args)))
            except (MemoryError, RecursionError):
                _exit(1)
            except Exception as e:
                said.append("%d %s\n" % (i, failure(e)))
        data = "".join(said).encode("utf-8", "surrogatepass")
        while data:
            data = data[write(1, data):]
    except BaseException:
        _exit(1)
    _exit(0)
