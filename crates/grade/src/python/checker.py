# Trusted: a task's own checker, asked about answers as plain values.
import sys
_space = {"__name__": "checker"}
exec(compile(CHECKER, "checker.py", "exec"), _space)


def _ask(asked):
    for at, args, expected, answer in asked:
        try:
            right = bool(_space["check"](list(args), expected, answer))
        except Exception:
            right = False
        sys.stdout.write("\n@checker %d %s\n" % (at, right))
