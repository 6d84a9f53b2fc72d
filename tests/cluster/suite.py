"""What the suites in Python share: commands, waiting, and how each check becomes a line of the results."""
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = pathlib.Path(os.environ.get("CLUSTER_DATA", ""))
PATIENCE = 60


def shell(script, *arguments):
    """A script that has the functions of bin/lib.sh."""
    command = f'set -euo pipefail; cd "{ROOT}"; . bin/lib.sh; {script}'
    return subprocess.run(["bash", "-c", command, "bash", *map(str, arguments)], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def kubectl(*arguments, text=None):
    return subprocess.run(["kubectl", *arguments], check=True, text=True, input=text, stdout=subprocess.PIPE).stdout


def need(holds, *what):
    if not holds:
        raise AssertionError("; ".join(map(str, what)))


def until(what, holds):
    """Waits for what comes by itself; what `holds` has returned then."""
    deadline = time.monotonic() + PATIENCE
    while not (held := holds()):
        need(time.monotonic() < deadline, f"{what}: waited {PATIENCE} s in vain")
        time.sleep(0.2)
    return held


def verdict(suite, check, *arguments):
    """Runs a check and keeps its result. A check is called what its name and its arguments say."""
    name = " ".join([check.__name__.replace("_", " "), *map(str, arguments)])
    result = "passed"
    try:
        check(*arguments)
    except Exception as error:  # pylint: disable=broad-except
        # What the check itself got wrong is a failure, too, and the checks after it still run.
        result = "failed"
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
    line = f"{result} {suite}: {name}"
    print(line, flush=True)
    with open(os.environ.get("RESULTS", os.devnull), "a", encoding="utf-8") as results:
        results.write(line + "\n")
    return result == "passed"


def help_or_no_cluster(text):
    """The exit code, when a suite was asked for its help or has no cluster to run against; else None."""
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(text.strip())
        return 0
    if "CLUSTER_DATA" not in os.environ:
        print("start it with bin/with-cluster", file=sys.stderr)
        return 1
    return None
