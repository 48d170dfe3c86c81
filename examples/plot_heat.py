"""Draws what heat_sequence.c wrote: temperatures, iterations of each step, total times.

Usage: plot_heat.py FOLDER PICTURE.png
"""

import csv
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

SIDE = 60.0         # mm
TIME_STEP = 20.0    # s

# Okabe and Ito's palette, told apart with any kind of colour vision.
COLOURS = {"memory": "#0072B2", "forget": "#D55E00", "cg+ic0": "#009E73", "direct": "#8C8C8C", "lagged": "#8C8C8C"}
LABELS = {
    "memory": "GCRO-DR(40,20) + ILU(0)\nwith memory",
    "forget": "GCRO-DR(40,20) + ILU(0)\nwithout memory",
    "cg+ic0": "CG + IC(0)",
    "direct": "Cholesky\nat every step",
    "lagged": "CG + Cholesky\nof every 8th step",
}

plt.rcParams.update({
    "font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.8, "xtick.major.width": 0.8, "ytick.major.width": 0.8,
})


def read_steps(path):
    """Iterations and seconds of each step, by way."""
    table = {way: {"iterations": [], "seconds": []} for way in COLOURS}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            table[row["way"]]["iterations"].append(int(row["iterations"]))
            table[row["way"]]["seconds"].append(float(row["seconds"]))
    return {way: {key: np.array(column) for key, column in columns.items()} for way, columns in table.items()}


def draw_temperatures(axes, fields, steps):
    """fields: n x n temperatures by step, all in one scale of colours."""
    hottest = max(field.max() for field in fields.values())
    for axis, (step, field) in zip(axes, fields.items()):
        image = axis.imshow(field, origin="lower", extent=(0, SIDE, 0, SIDE), cmap="inferno", vmin=0, vmax=hottest)
        for corner in ((SIDE / 4 * (i + 0.2), SIDE / 4 * (j + 0.2)) for i in range(4) for j in range(4)):
            axis.add_patch(plt.Rectangle(corner, 0.15 * SIDE, 0.15 * SIDE, fill=False, lw=0.6, ec="white", alpha=0.55))
        if step > steps // 2:
            axis.plot([0, 0.75 * SIDE], [SIDE / 2, SIDE / 2], color="white", lw=1.8, solid_capstyle="butt")
            axis.text(0.765 * SIDE, SIDE / 2, "crack", color="white", va="center", fontsize=8)
        axis.set_title(f"step {step}, {step * TIME_STEP / 60:.1f} min")
        axis.spines[:].set_visible(False)
        axis.set_xticks([0, 20, 40, 60])
        axis.set_yticks([0, 20, 40, 60])
        axis.set_xlabel("x (mm)")
        axis.set_ylabel("y (mm)")
        axis.label_outer()
    bar = axis.figure.colorbar(image, cax=axis.inset_axes([1.06, 0, 0.055, 1]))
    bar.set_label("temperature above the coolant (K)")
    bar.outline.set_visible(False)


def draw_iterations(axis, table):
    shown = {"forget": "without memory", "memory": "with memory", "cg+ic0": "CG + IC(0)"}
    steps = len(table["memory"]["iterations"])
    top = 1.3 * max(table[way]["iterations"].max() for way in shown)
    for way, label in shown.items():
        axis.plot(np.arange(1, steps + 1), table[way]["iterations"], color=COLOURS[way], lw=1.8,
                  ls="--" if way == "cg+ic0" else "-", label=label)
    crack = steps // 2 + 1
    axis.axvline(crack, ymax=0.85, color="black", lw=0.9, ls=":")
    axis.text(crack + 0.012 * steps, 0.5 * top, "the plate cracks", va="center")
    axis.legend(loc="upper left", ncols=3, frameon=False, borderaxespad=0.2, handlelength=2.4)
    axis.set_xlim(0.5, steps + 0.5)
    axis.set_ylim(0, top)
    axis.set_xlabel("time step")
    axis.set_ylabel("iterations")
    axis.set_title("Iterations to a true relative residual of 1e-8")


def draw_seconds(axis, table):
    order = sorted(table, key=lambda way: -table[way]["seconds"].sum())
    seconds = np.array([table[way]["seconds"].sum() for way in order])
    axis.barh(np.arange(len(order)), seconds, color=[COLOURS[way] for way in order], height=0.62)
    for y, way in enumerate(order):
        text = f"{seconds[y]:.1f} s"
        if way != "direct":
            text += f", {table[way]['iterations'].sum():,} iterations"
        axis.text(seconds[y] + 0.015 * seconds.max(), y, text, va="center")
    axis.set_yticks(np.arange(len(order)), [LABELS[way] for way in order])
    axis.tick_params(axis="y", length=0)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.5 * seconds.max())
    axis.set_xlabel("total time (s)")
    axis.set_title("Time of all steps, preconditioners included")


def main(folder, picture):
    folder = pathlib.Path(folder)
    table = read_steps(folder / "steps.csv")
    steps = len(table["memory"]["iterations"])
    fields = {step: np.loadtxt(folder / f"temperature_{step:03d}.txt") for step in np.arange(1, 5) * (steps // 4)}
    unknowns = next(iter(fields.values())).size

    figure = plt.figure(figsize=(12, 7.6), layout="constrained")
    figure.suptitle(f"Heat in a steel plate with copper inlays: {steps} time steps, {steps} linear systems of "
                    f"{unknowns:,} unknowns", x=0.01, ha="left", fontsize=12, weight="bold")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.08))
    draw_temperatures(top.subplots(1, len(fields), sharey=True), fields, steps)
    left, right = bottom.subplots(1, 2, width_ratios=(1.1, 1))
    draw_iterations(left, table)
    draw_seconds(right, table)
    figure.savefig(picture, dpi=160)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip().splitlines()[-1])
    main(*sys.argv[1:])
