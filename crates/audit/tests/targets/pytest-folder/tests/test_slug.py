import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

from solution import count, slug


def test_plain():
    assert slug("Hello World") == "hello-world"
    assert slug("a  b,c!") == "a-b-c"


def test_separator():
    assert slug("X y", "_") == "x_y"


def test_count():
    assert count("one two three") == 3
    assert count("") == 0
