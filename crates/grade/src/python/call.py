def _call(entry, canon, after):
    def answer(module, args):
        value = canon(getattr(module, entry)(*args))
        return '{"$tuple":[' + value + "," + canon(list(args), True) + "]}" if after else value
    return answer
