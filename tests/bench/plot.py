"""Draws calls and seconds over the number of pods: plot.py FILE, with the figures of bin/bench on stdin."""
import json
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402 (the backend must be set first)

from report import changes, kubernetes, reads  # noqa: E402

GROWING = ("appear", "replace", "go")
PANELS = (("seconds to the last pod", lambda one: one["seconds_last"]), ("changing EC2 calls", changes),
          ("EC2 reads", reads), ("Kubernetes calls", kubernetes))


def main():
    figures = [one for one in json.load(sys.stdin) if one["scenario"] in GROWING]
    operators = list(dict.fromkeys(one["operator"] for one in figures))
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), layout="constrained")
    for (title, value), panel in zip(PANELS, axes.flat):
        for line, operator in zip(("-", "--", ":", "-."), operators):
            for color, kind in zip(("tab:blue", "tab:orange", "tab:green"), GROWING):
                points = sorted((one["pods"], value(one)) for one in figures if (one["scenario"], one["operator"]) == (kind, operator))
                if points:
                    name = kind if len(operators) == 1 else f"{kind}, {operator}"
                    panel.plot(*zip(*points), marker="o", linestyle=line, color=color, label=name)
        panel.set(title=title, xlabel="pods", xlim=0, ylim=0)
        panel.grid(alpha=0.3)
        panel.legend()
    figure.savefig(sys.argv[1], format="png", dpi=110)


if __name__ == "__main__":
    main()
