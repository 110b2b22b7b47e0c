def _oracle(entry, cases, canon):
    import os, sys
    out, write = os.dup(1), os.write
    null = os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    sys.dont_write_bytecode = True
    try:
        import solution
        f = getattr(solution, entry)
    except BaseException as e:
        write(out, ("! %s\n" % type(e).__name__).encode())
        os._exit(0)
    for i, args in cases:
        try:
            line = ("%d %s\n" % (i, canon(f(*args)))).encode()
        except BaseException as e:
            line = ("%d !%s\n" % (i, type(e).__name__)).encode()
        while line:
            line = line[write(out, line):]
    os._exit(0)
