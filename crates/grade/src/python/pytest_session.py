# `python -m pytest`, begun before there is anything to test: it waits where it would look for tests.
import gc, sys, time
sys.dont_write_bytecode = True
import pytest


class _Session:
    ran = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session):
        plugin = session.config.pluginmanager.getplugin
        capture, terminal = plugin("capturemanager"), plugin("terminalreporter")
        # Its files would be those of another process.
        capture.stop_global_capturing()
        checkpoint()
        capture.start_global_capturing()
        capture.suspend_global_capture()
        start = getattr(terminal, "_session_start", None)
        if start is not None:
            terminal._session_start = time.time() if isinstance(start, float) else type(start)()

    def pytest_runtest_logreport(self, report):
        self.ran += report.when == "call" and report.outcome != "skipped" and not hasattr(report, "wasxfail")
        # It ends here (-x), and not for want of tests.
        self.ran += (report.outcome == "failed") << 20

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        # pytest collects garbage several times now; what there was before the tests is none.
        gc.collect(1)
        gc.freeze()


_count = _Session()
status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "test_solution.py"], plugins=[_count])
_end(status)
