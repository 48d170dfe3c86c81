"""Draws the lines of benches/scaling.sh: python3 plot_scaling.py LINES PICTURE."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

with open(sys.argv[1]) as lines:
    runs = [json.loads(line) for line in lines]
names = list(dict.fromkeys((run["method"], run["pc"]) for run in runs))
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2))
for axis, key, title in ((axes[0], "seconds", "seconds for ten systems"), (axes[1], "megabytes", "peak memory, MB")):
    for name in names:
        own = [run for run in runs if (run["method"], run["pc"]) == name]
        label = name[0] if name[1] == "none" else f"{name[0]} + {name[1].split()[0]}"
        axis.loglog([run["n"] for run in own], [run[key] for run in own], marker="o", markersize=3,
                    linewidth=2.5 if name[0] == "auto" else 1.2, label=label)
    axis.set_xlabel("unknowns")
    axis.set_title(title)
    axis.grid(True, which="both", alpha=0.25)
axes[0].legend(frameon=False)
figure.tight_layout()
figure.savefig(sys.argv[2], dpi=130)
