"""The table of Sinkhorn-Newton-Sparse (arXiv 2401.12253) again: benches/sns.py [IMAGES] [--seeds K]

Three cases at eta = 1200 (epsilon = 1 / 1200, costs of maximum 1): random assignment with n = 500, and pairs of digits with the
squared distance and the taxicab between pixels. IMAGES is an idx file of 28 x 28 digits (MNIST's t10k-images, gzipped or not);
without it the digits of scikit-learn are enlarged. For each case: the method "sns" with the paper's settings (20 warm-up steps and
2 / n of the entries; for the taxicab 700 and 15 / n), Sinkhorn's iteration as a numpy program would have it (two products with
the kernel), the library's own "sinkhorn", and "auto". All to an L1 error of both marginals of 1e-9, recomputed from
the plan; one thread. Needs `make build`, numpy, and REKNIT_LIBRARY.
"""
import argparse
import gzip
import importlib
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
ETA, TOLERANCE, LIMIT = 1200.0, 1e-9, 60.0
PUBLISHED = {"assignment": (686, "29 = 20 + 9", 56199), "digits, L2^2": (8.1, "53 = 20 + 33", 2041), "digits, L1": (3.7, "777 = 700 + 77", 5748)}


def digits(path):
    if path:
        raw = (gzip.open if path.endswith(".gz") else open)(path, "rb").read()
        return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28).astype(float)
    from sklearn.datasets import load_digits
    return np.stack([np.kron(image, np.ones((4, 4)))[2:30, 2:30] for image in load_digits().images[:200]])


def problems(images, seed):
    rng = np.random.default_rng(seed)
    uniform = np.full(500, 1 / 500)
    yield "assignment", dict(C=rng.random((500, 500)), a=uniform, b=uniform), "warmup=20"
    at = np.stack(np.meshgrid(np.arange(28), np.arange(28), indexing="ij"), -1).reshape(-1, 2) / 27
    masses = [image.ravel() + 0.01 * image.max() for image in images[rng.choice(len(images), 2, replace=False)]]
    a, b = (m / m.sum() for m in masses)
    for norm, p, options in (("L2^2", 2, "warmup=20"), ("L1", 1, f"warmup=700 sparsity={15 / 784}")):
        C = (np.abs(at[:, None] - at[None]) ** p).sum(-1)
        yield f"digits, {norm}", dict(C=C / C.max(), a=a, b=b), options


def textbook(problem):
    """u = a / (K v), v = b / (K^T u): iterations and seconds to the tolerance."""
    C, a, b = problem["C"], problem["a"], problem["b"]
    begun = time.perf_counter()
    K = np.exp(-ETA * C)
    v, steps = np.ones(len(b)), 0
    with np.errstate(all="ignore"):
        while time.perf_counter() - begun < LIMIT:
            u = a / (K @ v)
            columns = v * (K.T @ u)
            steps += 1
            if steps % 10 == 0:
                error = np.abs(columns - b).sum()
                if not error > TOLERANCE:
                    return (steps, time.perf_counter() - begun) if error <= TOLERANCE else (steps, None)
            v = b / (K.T @ u)
    return steps, None


def reknit(problem, method, options=""):
    os.environ.update(REKNIT_OT_METHOD=method, REKNIT_OT_OPTIONS=options)
    adapter = importlib.import_module("ot_adapter")
    best = min((adapter.solve(problem, 1 / ETA, TOLERANCE, LIMIT) for _ in range(3)), key=lambda found: found["time"])
    P = best["P"]
    error = np.abs(P.sum(1) - problem["a"]).sum() + np.abs(P.sum(0) - problem["b"]).sum()
    return best, error


def main():
    args = argparse.ArgumentParser()
    args.add_argument("images", nargs="?")
    args.add_argument("--seeds", type=int, default=3)
    args = args.parse_args()
    images = digits(args.images)
    print("| case, seed | Sinkhorn, numpy | s | `sinkhorn` | s | `sns` | s | `auto`, s | numpy / `sns` | published | `sinkhorn` / `sns` |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for seed in range(args.seeds):
        for name, problem, options in problems(images, seed):
            steps, seconds = textbook(problem)
            plain, e1 = reknit(problem, "sinkhorn")
            sns, e2 = reknit(problem, "sns", options)
            auto, e3 = reknit(problem, "auto")
            shown = lambda s: f"{s:.4f}" if s is not None else "-"
            ratio = f"{seconds / sns['time']:.1f}" if seconds is not None else "-"
            warm = sns["iters"] - sns["newton"]
            bad = "" if max(e1, e2, e3) < 2 * TOLERANCE else f" (errors {e1:.0e}, {e2:.0e}, {e3:.0e})"
            print(f"| {name}, {seed} | {steps} | {shown(seconds)} | {plain['iters']} | {shown(plain['time'])} | "
                  f"{sns['iters']} = {warm} + {sns['newton']}{bad} | {shown(sns['time'])} | {shown(auto['time'])} | {ratio} | "
                  f"{PUBLISHED[name][0]} ({PUBLISHED[name][1]}; {PUBLISHED[name][2]}) | {plain['time'] / sns['time']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
