"""Keeps one service: starts it, tells where it is, and ends it when its last user has gone.

Run as a program of its own, `python -I _keeper.py FOLDER`, by `_service.py`. Each user holds a shared lock on
`FOLDER/users`, which the kernel lets go of however that user ends, SIGKILL included. Whoever gets the exclusive lock
knows that nobody uses the service any more. What users leave each other for a moment (one process of a pool ends, the
next begins) is bridged by lingering.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time

#: Asks the kernel to signal us when the thread that started us ends (prctl's PR_SET_PDEATHSIG).
PARENT_DEATH = 1


def main() -> int:
    folder = sys.argv[1]
    # Nobody's child: some clusters end what a worker started together with the worker, and others use the service.
    if os.fork():
        return 0
    with open(os.path.join(folder, "options.json"), encoding="utf-8") as file:
        options = json.load(file)
    token = os.urandom(32).hex()
    os.umask(0o077)
    write(os.path.join(folder, "token"), token + "\n")
    command = [*options["command"], "--port", "0", "--token", os.path.join(folder, "token")]
    log = open(os.path.join(folder, "serve.log"), "wb")
    libc = ctypes.CDLL(None, use_errno=True)
    service = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd="/",
        # If this keeper is killed the service must not stay for ever.
        preexec_fn=lambda: libc.prctl(PARENT_DEATH, signal.SIGTERM),
    )
    assert service.stdout is not None
    slow = threading.Timer(options["start"], service.kill)
    slow.daemon = True
    slow.start()
    line = service.stdout.readline()
    slow.cancel()
    if not line:
        return service.wait() or 1
    url = json.loads(line)["url"].removesuffix("/v1")
    state = {"pid": service.pid, "keeper": os.getpid(), "url": url, "token": token}
    write(os.path.join(folder, "state.json"), json.dumps(state))
    print("ready", flush=True)
    # Nobody reads on: an answer would end us.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.signal(signal.SIGTERM, lambda *_: end(folder, service, 0))
    threading.Thread(target=watch, args=(folder, service), daemon=True).start()
    users = os.open(os.path.join(folder, "users"), os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(options["linger"])
        try:
            # Held until we end, so that who comes now waits and then finds no service, and starts one.
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        end(folder, service, 0)


def watch(folder: str, service: "subprocess.Popen[bytes]") -> None:
    """Ends with the service, if that ends first."""
    end(folder, service, service.wait())


def end(folder: str, service: "subprocess.Popen[bytes]", status: int) -> None:
    forget(folder, service.pid)
    service.terminate()
    try:
        service.wait(10)
    except subprocess.TimeoutExpired:
        service.kill()
    os._exit(min(abs(status), 255))


def forget(folder: str, pid: int) -> None:
    """Removes the state, unless it is another service's already."""
    path = os.path.join(folder, "state.json")
    try:
        with open(path, encoding="utf-8") as file:
            if json.load(file)["pid"] == pid:
                os.unlink(path)
    except (OSError, ValueError):
        pass


def write(path: str, text: str) -> None:
    """Writes a file whole, for this user only."""
    made = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(made, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".tmp", path)


if __name__ == "__main__":
    sys.exit(main())
