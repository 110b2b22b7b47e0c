import sys, os, ctypes, struct
def _counter():
    f = sys._getframe(); lib = None
    while f:
        lib = f.f_locals.get("inside") or lib; f = f.f_back
    L = ctypes.CDLL(None); seg = []
    class I(ctypes.Structure): _fields_=[("addr",ctypes.c_uint64),("name",ctypes.c_char_p),("phdr",ctypes.c_void_p),("n",ctypes.c_uint16)]
    CB = ctypes.CFUNCTYPE(ctypes.c_int,ctypes.POINTER(I),ctypes.c_size_t,ctypes.c_void_p)
    def cb(i,s,d):
        i=i.contents
        if i.name and b"inside" in i.name:
            for k in range(i.n):
                t,fl,off,va,pa,fs,ms,al=struct.unpack("<IIQQQQQQ",ctypes.string_at(i.phdr+56*k,56))
                if t==1 and fl&2: seg.append((i.addr+va,ms))
        return 0
    L.dl_iterate_phdr(CB(cb),None)
    if not seg: return []
    a,n=seg[-1]; w=[x for x in struct.unpack("<%dQ"%(n//8),ctypes.string_at(a,n//8*8)) if x]
    return w
print(_counter())
