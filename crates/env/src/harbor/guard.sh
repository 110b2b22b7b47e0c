#!/bin/bash
# Stands before the task's own verifier. What the agent left is data: a link would have the verifier read its own files.
for output in OUTPUTS; do
  place=$output
  # What lies in the root itself is the container's.
  while parent=$(dirname "$place"); [ "$parent" != / ] && [ "$parent" != . ]; do
    if [ -L "$place" ]; then rm -f "$output" "$place"; fi
    place=$parent
  done
done
exec bash "$(dirname "${BASH_SOURCE[0]}")/verifier.sh"
