

def _plainly(answer):
    import sys
    from _collections_abc import Mapping, Set
    from collections import UserList, UserString
    sub, boxes = issubclass, (list, tuple, set, frozenset)
    # Of classes that the library compares: what it compares of them.
    compared = {
        Mapping.__eq__: lambda x: dict(x.items()),
        Set.__eq__: set,
        UserList.__eq__: lambda x: x.data,
        UserString.__eq__: lambda x: x.data,
    }

    def own(t):
        # A class that the submission made, or that is not where it says it is. (Those made in C are nobody's.)
        if not t.__flags__ & 512:
            return False
        home = sys.modules.get(t.__module__)
        file = getattr(home, "__file__", None) or ""
        there = getattr(home, t.__qualname__.partition(".")[0], None)
        return home is None or there is None or t.__module__ in ("__main__", "solution", "program") or file.startswith("/box")

    def plain(x, depth=0):
        t = type(x)
        if x is None or x is True or x is False or depth > 64:
            return x
        for kind, bare in ((int, int.__pos__), (float, float.__pos__), (str, str.__str__)):
            if sub(t, kind):
                return bare(x) if own(t) or t is kind else x
        for kind in boxes:
            if sub(t, kind):
                return kind([plain(i, depth + 1) for i in kind.__iter__(x)])
        if sub(t, dict):
            return {plain(k, depth + 1): plain(v, depth + 1) for k, v in dict.items(x)}
        if t.__name__ in KEEP:
            return x
        if not own(t):
            # What an iterator gives is copied as it comes.
            return map(plain, x) if hasattr(t, "__next__") else x
        copy = compared.get(t.__eq__)
        return plain(copy(x), depth + 1) if copy else object()

    def ENTRY(*arguments, **named):
        return plain(answer(*arguments, **named))
    return ENTRY


if callable(globals().get("ENTRY")) and not isinstance(ENTRY, type):
    ENTRY = _plainly(ENTRY)
