_n = "a" * 250
os.mkdir(_n)
try:
    for _i in range(40):
        _d = _n + "/" + ("b%03d" % _i).ljust(250, "b"); os.mkdir(_d)
        _d += "/" + "c" * 250; os.mkdir(_d)
        for _k in range(190):
            open(_d + "/" + ("f%05d" % _k).ljust(250, "f"), "w").close()
except OSError:
    pass
