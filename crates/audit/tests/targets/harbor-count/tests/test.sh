#!/bin/bash
cd /app
if python3 -m unittest discover -s /tests; then
  echo 1 >/logs/verifier/reward.txt
else
  echo 0 >/logs/verifier/reward.txt
fi
