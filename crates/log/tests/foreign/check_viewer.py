"""Opens the Inspect log of `loophole probe --out` in Inspect's own viewer, in a browser: the scores of the scenarios are on
the page, a sample opens, and its commands and its outcome can be read there.

    python check_viewer.py FOLDER CHROMIUM [PICTURE.png]

Inspect makes the viewer's pages (`inspect view bundle`); they are served on this machine's loopback.
"""

import base64
import functools
import http.server
import json
import pathlib
import shutil
import sys
import tempfile
import threading
import time

from inspect_ai.log import bundle_log_dir, read_eval_log

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "page/tests/browser"))
from check import Browser  # noqa: E402

SECONDS = 60


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def until(tab, what, expression):
    """Waits until the page says so; then what it says."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = tab.js(expression)
        if found:
            return found
        time.sleep(0.2)
    text = tab.js("document.body.innerText")
    raise SystemExit(f"{what} is not on the page after {SECONDS} s; there is:\n{text[:2000]}")


def main(folder, chromium, picture=None):
    log = read_eval_log(str(pathlib.Path(folder) / "probes.eval"))
    sample = next(s for s in log.samples if any(m.tool_calls for m in s.messages if m.role == "assistant"))
    command = next(c.arguments["command"] for m in sample.messages if m.role == "assistant" for c in m.tool_calls or [] if c.function == "bash")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "logs").mkdir()
        shutil.copy(pathlib.Path(folder) / "probes.eval", scratch / "logs/probes.eval")
        bundle_log_dir(str(scratch / "logs"), output_dir=str(scratch / "site"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=scratch / "site"))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{server.server_address[1]}/index.html"
        tab = Browser(chromium, scratch / "profile")
        for domain in ("Page", "Runtime", "Log"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", width=1500, height=1100, deviceScaleFactor=1, mobile=False)
        tab.call("Page.navigate", url=f"{page}#/logs/probes.eval")
        has = "document.body && document.body.innerText.includes(%s)"
        until(tab, "the name of the task", has % json.dumps(log.eval.task))
        # Of many scores the page shows the first; the others are behind a link.
        names = [score.name for score in log.results.scores]
        until(tab, "a score", f"document.body && {json.dumps(names)}.some(name => document.body.innerText.includes(name))")
        scenario = next(name for name in names if "/" in name)
        tab.js("[...document.querySelectorAll('a, button, div, span')].filter(e => e.children.length === 0 && e.innerText === 'All scoring...').forEach(e => e.click())")
        until(tab, f"the score of {scenario}", has % json.dumps(scenario))
        tab.call("Page.navigate", url=f"{page}#/logs/probes.eval/samples/sample/{sample.id}/{sample.epoch}/")
        tab.call("Page.reload")
        until(tab, f"the command {command!r}", has % json.dumps(command.splitlines()[0]))
        outcome = sample.scores["outcome"].value
        until(tab, f"the outcome {outcome}", has % json.dumps(outcome))
        if picture:
            shot = tab.call("Page.captureScreenshot", format="png")
            pathlib.Path(picture).write_bytes(base64.b64decode(shot["data"]))
        thrown = [e["params"]["exceptionDetails"] for e in tab.events if e.get("method") == "Runtime.exceptionThrown"]
        tab.call("Browser.close")
        tab.process.wait(20)
        server.shutdown()
    if thrown:
        raise SystemExit(f"the viewer failed: {thrown[0]}")
    print(f"{len(log.samples)} samples and {len(log.results.scores)} scores in the viewer; a sample opens with its commands")


if __name__ == "__main__":
    main(*sys.argv[1:])
