import ast as _ast, functools as _functools, json as _json

exec(compile(REFERENCE, "solution.py", "exec"), globals())


def _recorded(name, function):
    @_functools.wraps(function)
    def wrapper(*args, **kwargs):
        try:
            given = repr(args)
            plain = not kwargs and repr(_ast.literal_eval(given)) == given
        except Exception:
            plain = False
        result = function(*args, **kwargs)
        try:
            text = repr(result)
            if plain and repr(_ast.literal_eval(text)) == text:
                with open("/box/.recorded", "a") as file:
                    file.write(_json.dumps([name, given, text]) + "\n")
        except Exception:
            pass
        return result

    return wrapper


for _name in NAMES:
    if _name in globals() and not isinstance(globals()[_name], type):
        globals()[_name] = _recorded(_name, globals()[_name])
