def _call(entry, after):
    kinds = []
    canon = _make_canon(kinds)
    def answer(module, args):
        del kinds[:]
        value = canon(getattr(module, entry)(*args))
        # The class, where it is none of the plain ones.
        kind = "~" + kinds[0] + " " if kinds else ""
        return kind + ('{"$tuple":[' + value + "," + canon(list(args), True) + "]}" if after else value)
    return answer

def _call_named(entry, after):
    # The same of any expression, with arguments that may have names.
    kinds = []
    canon = _make_canon(kinds)
    def answer(module, given):
        args, named = given
        del kinds[:]
        value = canon(eval(entry, module.__dict__)(*args, **named), True)
        kind = "~" + kinds[0] + " " if kinds else ""
        return kind + '{"$tuple":[' + value + "," + canon(list(args), True) + "]}"
    return answer
