# Trusted: tests that are source text, run against answers from elsewhere, never with a submission. What is called
# and has no answer yet is told; it is asked for, and all is run again.
import ast, builtins, json, random, sys, traceback, types, unittest


FAILED = "the submission failed here"


class _Unknown(BaseException):
    pass


def _counted(tree):
    class Count(ast.NodeTransformer):
        def visit_Assert(self, node):
            note = ast.Expr(ast.Call(ast.Name("_good", ast.Load()), [], []))
            return [node, ast.copy_location(note, node)]
    return ast.fix_missing_locations(Count().visit(tree))


def _ask_tests(prelude, tests, entry, answers, canon):
    random.seed(0)
    table, wanted, seen = {}, [], set()
    def key_of(args, named):
        return canon(list(args), True) + canon(dict(sorted(named.items())), True)
    for args, named, ok, value, after in answers:
        table.setdefault(key_of(args, named), (ok, value, after))
    counts = {"good": 0, "bad": 0, "broke": "", "failed": [], "beside": ""}

    def candidate(*args, **named):
        try:
            key = key_of(args, named)
        except (TypeError, ValueError):
            counts["beside"] = "they pass objects that have no plain copy"
            raise _Unknown()
        if key not in table:
            if key not in seen:
                seen.add(key)
                wanted.append('{"$tuple":[' + canon(tuple(args), True) + "," + canon(named, True) + "]}")
            raise _Unknown()
        ok, value, after = table[key]
        for target, left in zip(args, after):
            _put(target, left)
        if not ok:
            raise getattr(builtins, value, RuntimeError)(FAILED)
        return value

    class Solution:
        pass
    space = {"__name__": "tests", "_good": lambda: counts.__setitem__("good", counts["good"] + 1)}
    exec(compile(prelude, "prelude.py", "exec"), space)
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    name = entry.rpartition(".")[2]
    if "." in entry:
        setattr(Solution, name, staticmethod(candidate))
        space["Solution"] = module.Solution = Solution
    else:
        space[name] = candidate
    setattr(module, name, candidate)
    before = set(space)

    def attempt(run):
        try:
            run()
        except _Unknown:
            pass
        except AssertionError as e:
            counts["bad"] += 1
            numbers = [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename == "tests.py"]
            if numbers and len(counts["failed"]) < 3:
                counts["failed"].append(tests.splitlines()[numbers[-1] - 1].strip()[:200])
        except (NameError, ImportError) as e:
            if FAILED in str(e):
                counts["broke"] = counts["broke"] or type(e).__name__
            else:
                counts["beside"] = "they need what only the solution has: " + str(e)[:200]
        except Exception as e:
            counts["broke"] = counts["broke"] or type(e).__name__ + ": " + str(e)[:200]
        else:
            return True

    # Each statement apart, so that one that fails does not hide the others.
    for statement in ast.parse(tests).body:
        one = _counted(ast.Module([statement], []))
        attempt(lambda: exec(compile(one, "tests.py", "exec"), space))

    def unit(run):
        counts["good"] += bool(attempt(run))

    def filled_in(test, own):
        # pytest calls it with what fixtures and marks say.
        code = getattr(test, "__code__", None)
        if code and code.co_argcount - len(test.__defaults__ or ()) > own:
            counts["beside"] = "they have parameters, which pytest fills in"
            return True
    if callable(space.get("check")):
        unit(lambda: space["check"](candidate))
    for own, test in list(space.items()):
        if own in before:
            continue
        if own.startswith("test") and callable(test) and not isinstance(test, type):
            filled_in(test, 0) or unit(test)
        elif isinstance(test, type) and issubclass(test, unittest.TestCase):
            for case in unittest.defaultTestLoader.loadTestsFromTestCase(test):
                def one(case=case):
                    try:
                        test.setUpClass()
                        case.setUp()
                        getattr(case, case._testMethodName)()
                    finally:
                        case.tearDown()
                unit(one)
        elif isinstance(test, type) and own.startswith("Test"):
            for method in [n for n in dir(test) if n.startswith("test")]:
                filled_in(getattr(test, method), 1) or unit(lambda: getattr(test(), method)())
    return counts, wanted


def _put(target, value):
    if type(target) is type(value) and isinstance(target, (list, bytearray)):
        target[:] = value
    elif type(target) is type(value) and isinstance(target, (dict, set)):
        target.clear()
        target.update(value)


def _wrong_tests(tests, names):
    # Every expected value replaced by a wrong one; how many were.
    tree = ast.parse(tests)
    turned = {"assertTrue": "assertFalse", "assertFalse": "assertTrue", "assertIn": "assertNotIn",
              "assertNotIn": "assertIn", "assertIsNone": "assertIsNotNone", "assertIsNotNone": "assertIsNone"}
    done = [0]

    def calls(node):
        return any(isinstance(n, ast.Call) and (getattr(n.func, "id", "") in names or getattr(n.func, "attr", "") in names)
                   for n in ast.walk(node))

    def wrong(node):
        try:
            return ast.parse(repr(_wrong(ast.literal_eval(node))), mode="eval").body
        except (ValueError, SyntaxError, TypeError):
            return ast.Call(ast.Name("_wrong", ast.Load()), [node], [])

    class Mutate(ast.NodeTransformer):
        def visit_Assert(self, node):
            done[0] += 1
            t, node.msg = node.test, None
            if isinstance(t, ast.Compare) and len(t.ops) == 1 and isinstance(t.ops[0], (ast.Eq, ast.Is)):
                left, right = t.left, t.comparators[0]
                if calls(right) and not calls(left):
                    left = wrong(left)
                else:
                    right = wrong(right)
                node.test = ast.Compare(left, [ast.Eq()], [right])
            else:
                node.test = ast.UnaryOp(ast.Not(), t)
            return node

        def visit_Call(self, node):
            self.generic_visit(node)
            name = getattr(node.func, "attr", "")
            if name in turned:
                done[0] += 1
                node.func.attr = turned[name]
            elif name.startswith("assert") and name not in ("assertRaises", "assertRaisesRegex", "assertIsInstance",
                                                            "assertNotEqual", "assertGreater", "assertLess") \
                    and len(node.args) >= 2 and not name.startswith("assert_called") and name != "assertWarns":
                done[0] += 1
                at = 0 if calls(node.args[1]) and not calls(node.args[0]) else 1
                node.args[at] = wrong(node.args[at])
            return node
    text = ast.unparse(ast.fix_missing_locations(Mutate().visit(tree)))
    return (_WRONG + text if "_wrong(" in text else text).strip() + "\n", done[0]
