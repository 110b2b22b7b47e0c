#!/bin/bash
# A plain file, compared by a program that runs nothing of the agent's.
if [ -f /app/counts.txt ] && [ ! -L /app/counts.txt ] && cmp -s /app/counts.txt /tests/expected.txt; then
  echo 1 >/logs/verifier/reward.txt
else
  echo 0 >/logs/verifier/reward.txt
fi
