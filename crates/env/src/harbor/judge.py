# The verifier's judge. It keeps what is expected to itself: the submission runs in a process of its own, is given
# arguments and returns plain values. Where the verifier is root, that process is nobody's.
import ctypes, os, signal, stat, sys

CASES = []
ENTRY = ""
SUBMISSION = "/app/solution.py"
OUT = "/logs/verifier/reward.txt"
NOBODY = 65534


def _apart():
    if os.getuid() == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        except OSError:
            pass  # There is one user here.


STAND_IN = None


def submission():
    file = os.open(SUBMISSION, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(file, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > 1 << 20:
            raise ValueError("the submission is no file of a program")
        return file.read().decode()


def same(answer, expected):
    # Plain copies, made here: none of their methods is the submission's.
    return type(answer) in PLAIN and (answer == expected or (answer != answer and expected != expected))


PLAIN = (bool, int, float, str, bytes, list, tuple, dict, set, frozenset, type(None))


def verdict():
    try:
        source = submission()
    except (OSError, ValueError) as error:
        return 0, "no submission: %s" % error
    try:
        ask = _make_ask(source)
    except Exception as error:
        return 0, "it cannot be loaded: %s" % error
    for number, (args, expected) in enumerate(CASES):
        try:
            answer = ask(ENTRY, args, {})
        except Exception as error:
            return 0, "test %d: %s: %s" % (number, type(error).__name__, error)
        if not same(answer, expected):
            return 0, "test %d: another answer" % number
    return 1, "%d tests passed" % len(CASES)


def own():
    # This process and those it descends from.
    found, pid = set(), os.getpid()
    while pid and pid not in found:
        found.add(pid)
        try:
            with open("/proc/%d/stat" % pid, "rb") as file:
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            break
    return found


def end_all():
    # Whatever the submission left running would have the last word.
    if not os.path.isdir("/proc/self"):
        return True
    keep = own() | {1}
    for _ in range(100):
        others = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in keep:
                try:
                    with open("/proc/%s/stat" % name, "rb") as file:
                        state = file.read().rpartition(b")")[2].split()[0]
                    if state not in (b"Z", b"X"):
                        others.append(int(name))
                except OSError:
                    pass
        if not others:
            return True
        for pid in others:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    return False


def main():
    # Neither this file nor the memory of this process is for the submission to read.
    os.remove(os.path.abspath(sys.argv[0]))
    try:
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    except (OSError, AttributeError):
        pass
    os.chdir("/")
    reward, why = verdict()
    if not end_all():
        reward, why = 0, "processes that the submission left cannot be ended"
    for path in (OUT, os.path.join(os.path.dirname(OUT), "reward.json")):
        try:
            os.remove(path)
        except OSError:
            pass
    with open(OUT, "x") as file:
        file.write("%d\n" % reward)
    print(why)


main()
