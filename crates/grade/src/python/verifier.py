import os, time
def clean():
    import shutil
    if os.path.islink("logs") or os.path.isfile("logs"):
        os.remove("logs")
    shutil.rmtree("logs", ignore_errors=True)
def others():
    for pid in range(3, 256):
        try:
            os.kill(pid, 0)
            return True
        except OSError:
            pass
clean()
os.makedirs("logs/verifier")
child = os.fork()
if child == 0:
    TESTS
else:
    status = os.waitpid(child, 0)[1]
    if APART:
        try:
            os.kill(-1, 9)
        except OSError:
            pass
        clean()
        os.makedirs("logs/verifier")
    with open("logs/verifier/reward.txt", "w") as file:
        file.write("1\n" if status == 0 else "0\n")
    # The file is read a while after the verifier has ended.
    end = time.monotonic() + 2
    while others() and time.monotonic() < end:
        time.sleep(0.02)
