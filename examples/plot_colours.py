"""Draws what colours.c was given and wrote: three pictures side by side, and the colours of each below it.

Usage: plot_colours.py SOURCE.ppm TARGET.ppm RESULT.ppm PICTURE.png
"""

import io
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

SIDE = 24           # cells along each axis of the colour cube, as in colours.c
TITLES = ("source", "target", "source in the colours of the target")

plt.rcParams.update({
    "font.size": 9, "axes.titlesize": 10, "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.8, "xtick.major.width": 0.8, "ytick.major.width": 0.8,
})


def palette(pixels):
    """Mean colours of the cells that occur, from 0 to 1, and their shares of the pixels."""
    cells = (pixels * SIDE // 256) @ [SIDE * SIDE, SIDE, 1]
    _, entries, counts = np.unique(cells, return_inverse=True, return_counts=True)
    means = [np.bincount(entries.ravel(), channel) / counts / 255 for channel in pixels.T]
    return np.stack(means, axis=1), counts / len(pixels)


def draw(axes, picture, title):
    """axes: for the picture, and for its colours seen along the green axis of the cube."""
    axes[0].imshow(picture, interpolation="nearest")
    axes[0].set_title(title)
    axes[0].set_axis_off()
    colours, masses = palette(picture.reshape(-1, 3).astype(int))
    axes[1].scatter(colours[:, 0], colours[:, 2], s=3 + 6000 * masses, c=colours, linewidths=0)
    axes[1].set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), xlabel="red", ylabel="blue")
    axes[1].label_outer()


def main(*names):
    pictures = [np.asarray(Image.open(name).convert("RGB")) for name in names[:3]]
    figure, axes = plt.subplots(2, 3, figsize=(9, 4.6), layout="constrained", height_ratios=(1.35, 1))
    for column, picture, title in zip(axes.T, pictures, TITLES):
        draw(column, picture, title)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    # 256 colours, dithered, look the same here and take a third of the room.
    image = Image.open(drawn).convert("RGB")
    few = image.quantize(256, method=Image.Quantize.FASTOCTREE)
    image.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG).save(names[3], optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__.strip().splitlines()[-1])
    main(*sys.argv[1:])
