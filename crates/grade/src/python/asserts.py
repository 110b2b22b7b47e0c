def _read(text):
    import ast
    body = ast.parse(text).body
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        return None
    test = body[0].test
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], (ast.Eq, ast.Is)):
        return None
    call, value = test.left, test.comparators[0]
    if isinstance(test.ops[0], ast.Is) and not (isinstance(value, ast.Constant) and value.value in (True, False, None)):
        return None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
        return None
    args = [ast.literal_eval(argument) for argument in call.args]
    return call.func.id, args, ast.literal_eval(value)
for _text in _ASSERTS:
    try:
        _found = _read(_text)
        if _found is not None:
            _entry, _args, _value = _found
            print('{"entry":' + _quote(_entry) + ',"args":' + _canon(_args, True) + ',"expected":' + _canon(_value, True) + '}')
            continue
    except Exception:
        pass
    print("null")
