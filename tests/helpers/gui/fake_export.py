"""A program in place of ``clipseg-live export --json``: it prints the events of a script.

The script is a JSON file beside the results, whose lines are events. ``{"event": "hold"}`` waits for the signal to
stop, and ``{"event": "fail", "text": ...}`` ends with an error.
"""

import json
import signal
import sys
from pathlib import Path


def main() -> int:
    arguments = sys.argv[1:]
    folder = Path(arguments[arguments.index("--into") + 1])
    with (folder / "calls.jsonl").open("a") as file:
        file.write(json.dumps(arguments) + "\n")
    is_whole = True
    for line in (folder / "script.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "hold":
            signal.sigwait([signal.SIGTERM])
            return 1
        if event["event"] == "fail":
            sys.stderr.write(f"clipseg-live: {event['text']}\n")
            return 2
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
        is_whole = is_whole and event.get("ending") not in ("failed", "partly")
    return int(not is_whole)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    sys.exit(main())
