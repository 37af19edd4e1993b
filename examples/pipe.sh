#!/usr/bin/env bash
# Sensor lines through a pipe: some-logger | pipe.sh [options of drivecoach infer]; a spoken sentence a line comes out.
set -euo pipefail

drivecoach infer - -o - --guard strict "$@" |
  python3 -c '
import json, sys

for line in sys.stdin:
    outcome = json.loads(line)
    print(outcome["answer"]["话术"] if outcome["status"] == "valid" else outcome["reason"], flush=True)'
