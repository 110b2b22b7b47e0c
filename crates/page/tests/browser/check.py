"""Drives Chromium over its debugging pipe (standard library only): pictures, console errors, overflow, the filter."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
]
VIEWS = [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]


class Browser:
    """One Chromium with one tab."""

    def __init__(self, program, profile):
        to_read, self.to = os.pipe()
        self.back, back_write = os.pipe()
        keep = [os.dup2(to_read, 100), os.dup2(back_write, 101)]
        for fd in keep:
            os.set_inheritable(fd, True)
        shell = 'exec 3<&100 4>&101 100<&- 101>&-; exec "$0" "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=keep, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in (to_read, back_write, *keep):
            os.close(fd)
        self.buffer, self.count, self.events, self.session = b"", 0, [], None
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]

    def read(self):
        while b"\0" not in self.buffer:
            more = os.read(self.back, 1 << 20)
            if not more:
                raise SystemExit("chromium went away")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def js(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, event):
        while not any(e.get("method") == event for e in self.events):
            self.events.append(self.read())


def main(program, page, shots):
    problems = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        tab = Browser(program, profile)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        for width, scheme in VIEWS:
            tab.events.clear()
            tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
            tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            tab.call("Page.navigate", url=pathlib.Path(page).resolve().as_uri())
            tab.wait("Page.loadEventFired")
            name = f"{width}-{scheme}"
            wide = tab.js("document.documentElement.scrollWidth") - width
            if wide > 0:
                who = tab.js("[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1"
                             " && !e.closest('.scroll')).slice(0, 5).map(e => e.outerHTML.slice(0, 90))")
                problems.append(f"{name}: {wide} px of horizontal overflow: {who}")
            size = tab.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": width, "height": min(size["height"], 16000), "scale": 1}
            shot = tab.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
            pathlib.Path(shots, f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
            problems += [f"{name}: {p}" for p in complaints(tab.events)]
        problems += filter_works(tab, shots)
        pdf = tab.call("Page.printToPDF", printBackground=True)
        pathlib.Path(shots, "print.pdf").write_bytes(base64.b64decode(pdf["data"]))
        tab.call("Browser.close")
        tab.process.wait(20)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"pictures in {shots}; {len(problems)} problems")
    return 1 if problems else 0


def complaints(events):
    for event in events:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            yield f"script error: {params['exceptionDetails'].get('exception', {}).get('description')}"
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            yield f"console: {params['entry']['text']}"
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            yield f"console: {params['args']}"
        elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "data:")):
            yield f"fetched {params['request']['url']}"
        elif method == "Page.javascriptDialogOpening":
            yield f"a dialog opened: {params['message']}"


def filter_works(tab, shots):
    """A click on a mark shows the transcripts of its arm and step, and only those; the axis switch switches."""
    if not tab.js("!!document.querySelector('a.to-samples')"):
        return
    tab.events.clear()
    tab.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    href = tab.js("(() => { const all = [...document.querySelectorAll('#curves [data-axis=step] a.to-samples')]; const a = all.at(-1);"
                  " a.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true, view: window}));"
                  " return a.getAttribute('href'); })()")
    tab.js("new Promise(r => setTimeout(r, 900))")
    shown = tab.js("[...document.querySelectorAll('details.sample:not([hidden])')].map(s => `#t-${s.dataset.arm}-${s.dataset.step}`)")
    if not shown or set(shown) != {href}:
        yield f"a click on {href} shows {shown}"
    if not tab.js("!!document.querySelector('details.sample[open]:not([hidden])')"):
        yield "no transcript was opened"
    shot = tab.call("Page.captureScreenshot", format="png")
    pathlib.Path(shots, "clicked.png").write_bytes(base64.b64decode(shot["data"]))
    if tab.js("!!document.querySelector('[data-show=kl]')"):
        tab.js("document.querySelector('[data-show=kl]').click()")
        if not tab.js("document.querySelector('[data-axis=step]').hidden && !document.querySelector('[data-axis=kl]').hidden"):
            yield "the axis did not switch"
        tab.js("document.documentElement.style.scrollBehavior = 'auto'; document.getElementById('curves').scrollIntoView()")
        shot = tab.call("Page.captureScreenshot", format="png")
        pathlib.Path(shots, "kl.png").write_bytes(base64.b64decode(shot["data"]))
    yield from complaints(tab.events)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
