import builtins


def _wrong(*args, **kwargs):
    _print(*("x%s" % a for a in args), **kwargs)


_print, builtins.print = print, _wrong
