"""A grader as a command that prints a score, for an answer that must stand alone."""

import json
import sys

text = open(sys.argv[1]).read()
task = json.load(open(sys.argv[2]))
print(json.dumps({"score": 1.0 if text.strip() == str(task["answer"]) else 0.0}))
