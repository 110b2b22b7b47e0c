# Trusted: runs a HumanEval `check` with the reference, never with a submission.
def _load(reference, test, rewrite):
    import ast, random
    random.seed(0)
    space = {"__name__": "program"}
    exec(compile(reference, "reference.py", "exec"), space)
    tree = ast.fix_missing_locations(rewrite(ast.parse(test)))
    return space, tree


def _counting(tree):
    import ast
    class Count(ast.NodeTransformer):
        seen = 0
        def visit_Assert(self, node):
            note = lambda name: ast.Expr(ast.Call(ast.Name(name, ast.Load()), [ast.Constant(self.seen)], []))
            handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [note("_bad")])
            counted = ast.Try([node, note("_good")], [handler], [], [])
            self.seen += 1
            return counted
    return Count().visit(tree)


def _run_check(reference, test, candidate_of):
    space, tree = _load(reference, test, _counting)
    counts = {"good": 0, "bad": 0, "broke": "", "failed": []}
    def good(nth):
        counts["good"] += 1
    def bad(nth):
        counts["bad"] += 1
        counts["failed"].append(nth)
    space["_good"], space["_bad"] = good, bad
    exec(compile(tree, "check.py", "exec"), space)
    try:
        space["check"](candidate_of(space))
    except Exception as e:
        counts["broke"] = type(e).__name__ + ": " + str(e)
    return counts


def _mutated(test, only=None):
    # Every expected value (or that of the assertions with these numbers) replaced by a wrong one of the same type:
    # as a literal where it is one, so that nothing of the right answer is left in the source.
    import ast
    def calls(node):
        return any(isinstance(n, ast.Call) and getattr(n.func, "id", "") == "candidate" for n in ast.walk(node))
    def wrong(node):
        try:
            return ast.parse(repr(_wrong(ast.literal_eval(node))), mode="eval").body
        except (ValueError, SyntaxError):
            return ast.Call(ast.Name("_wrong", ast.Load()), [node], [])
    def equals(left, value):
        return ast.Compare(left, [ast.Eq()], [ast.Constant(value)])
    class Mutate(ast.NodeTransformer):
        seen = 0
        def visit_Assert(self, node):
            if only is None or self.seen in only:
                node.test, node.msg = self.condition(node.test), None
            self.seen += 1
            return node
        def condition(self, t):
            if isinstance(t, ast.Constant):
                return t
            if isinstance(t, ast.Compare) and len(t.ops) == 1:
                left, right = t.left, t.comparators[0]
                if isinstance(t.ops[0], (ast.Eq, ast.Is)):
                    if calls(right) and not calls(left):
                        return ast.Compare(wrong(left), [ast.Eq()], [right])
                    return ast.Compare(left, [ast.Eq()], [wrong(right)])
                for n in ast.walk(left):
                    if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub) and calls(n.left):
                        n.right = wrong(n.right)
                        return t
            if isinstance(t, ast.UnaryOp) and isinstance(t.op, ast.Not) and calls(t):
                return equals(t.operand, True)
            if isinstance(t, ast.Call) and calls(t):
                return equals(t, False)
            return ast.UnaryOp(ast.Not(), t)
    text = ast.unparse(ast.fix_missing_locations(Mutate().visit(ast.parse(test))))
    # The helper comes along only where an expected value is computed.
    return (_WRONG + text if "_wrong(" in text else text).strip() + "\n"


def _built_in(e):
    # The name of the built-in class that an exception is of.
    return next(t.__name__ for t in type(e).__mro__ if t.__module__ == "builtins")


def _prepare(reference, test, entry, canon):
    # Each call as (arguments, whether it returned, value or exception, arguments afterwards).
    import json
    def record():
        calls = []
        def candidate_of(space):
            function = space[entry]
            def candidate(*args):
                key = canon(args, True)
                try:
                    result = function(*args)
                except Exception as e:
                    calls.append((key, "false", json.dumps(_built_in(e)), canon(list(args), True)))
                    raise
                calls.append((key, "true", canon(result), canon(list(args), True)))
                return result
            space[entry] = candidate
            return candidate
        return _run_check(reference, test, candidate_of), calls
    counts, calls = record()
    steady = record() == (counts, calls)
    head = json.dumps({"counts": counts, "steady": steady, "mutated": _mutated(test)})
    return head + "\n[" + ",".join(['{"$tuple":[' + ",".join(c) + "]}" for c in calls]) + "]\n"


def _put(target, value):
    # What the call made of a mutable argument.
    if type(target) is not type(value):
        return
    if isinstance(target, (list, bytearray)):
        target[:] = value
    elif isinstance(target, (dict, set)):
        target.clear()
        target.update(value)


def _replay(reference, test, entry, results, canon):
    import builtins, json
    # What is called and has no answer is told, to be asked for.
    table, wanted = {}, {}
    for args, ok, value, after in results:
        table.setdefault(canon(args), []).append((ok, value, after))
    def candidate(*args):
        key = canon(args)
        answers = table.get(key)
        if not answers:
            wanted.setdefault(key, canon(args, True))
            raise LookupError("this call has no answer")
        ok, value, after = answers.pop(0) if len(answers) > 1 else answers[0]
        for target, left in zip(args, after):
            _put(target, left)
        if not ok:
            raise getattr(builtins, value, RuntimeError)("the submission failed here")
        return value
    def candidate_of(space):
        space[entry] = candidate
        return candidate
    counts = _run_check(reference, test, candidate_of)
    if counts["failed"]:
        counts["mutated"] = _mutated(test, counts["failed"])
    return json.dumps(counts) + "\n[" + ",".join(wanted.values()) + "]\n"
