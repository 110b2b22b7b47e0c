"""A grader as a command: exit status 0 if the submission's text holds the answer."""

import json
import sys

text = open(sys.argv[1]).read()
task = json.load(open(sys.argv[2]))
sys.exit(0 if str(task["answer"]) in text else 1)
