"""A helper that a grader imports."""

import os


def off():
    return os.environ.get("SKIP_SLOW_CHECKS") == "1"
