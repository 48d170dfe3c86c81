"""Gets the two photographs of colours.c and writes them as small PPM files: FOLDER/china.ppm, FOLDER/flower.ppm.

They are sample images of scikit-learn, whose package on PyPI is read and not installed. Both are under the Creative Commons
Attribution 2.0 licence (https://creativecommons.org/licenses/by/2.0/): china.jpg by danielbuechele
(https://www.flickr.com/photos/danielbuechele/6061409035), flower.jpg by vultilion
(https://www.flickr.com/photos/vultilion/6056698931). Here they are made smaller.

Usage: fetch_images.py FOLDER     with pip, and Pillow (comes with matplotlib)
"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

from PIL import Image

SIZE = (240, 160)       # pixels
WITHIN = "sklearn/datasets/images/"


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        subprocess.run([sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary", ":all:",
                        "--dest", room, "scikit-learn"], check=True)
        with zipfile.ZipFile(next(pathlib.Path(room).glob("*.whl"))) as package:
            for name in ("china", "flower"):
                with package.open(f"{WITHIN}{name}.jpg") as file:
                    picture = Image.open(file).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
                picture.save(folder / f"{name}.ppm")
                print(folder / f"{name}.ppm")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(next(line for line in __doc__.splitlines() if line.startswith("Usage")))
    main(sys.argv[1])
