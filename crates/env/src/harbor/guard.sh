#!/bin/bash
# Stands before the task's own verifier. What the agent left is data: a link would have the verifier read its own files.
for output in OUTPUTS; do
  if [ -L "$output" ] || [ -L "$(dirname "$output")" ]; then rm -f "$output"; fi
done
exec bash "$(dirname "${BASH_SOURCE[0]}")/verifier.sh"
