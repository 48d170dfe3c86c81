#!/usr/bin/env python3
"""The four data sets of Wang et al., "Accelerating data generation for neural operators via Krylov subspace
recycling" (ICLR 2024, arXiv 2401.09516; SKR), as .rks files (layout in benches/sequence.c).

    python3 skr.py KIND --n 6400 --count 100 --seed 1 --out FILE

KIND       what                                          unknowns    parameters for a sorter
darcy      "-div(a grad u) = 1", a = exp(periodic         square      a, (side + 2)^2 points
           Gaussian field, alpha 2.5, tau 7)
helmholtz  the same matrix less h^2 k^2 on the diagonal,  square      a, k
           k uniform in (0, 1)
thermal    heat conduction in a plate with a slot, one    about n     temperature, flux
           side held at U(0, 100), a flux U(-100, 0)
           through the opposite one, the rest insulated
poisson    -lap u = f on the unit square; f and the four  about n     5 x 6 coefficients
           boundary traces Chebyshev sums of degree 5

The aim is their systems, not better ones; where text and published scripts differ, the scripts count, for they
made the tables:
- Darcy's matrix is not that of the divergence form. Row i has 4 a_i and -a_j for its neighbours j: a Laplacian
  times diag(a), so with y = a u all systems are one Poisson problem, but for the entries of the neighbour in the
  row before, whose coefficient is read two places too early. They are kept as they are there.
- Helmholtz' k is one number a system, and k^2 h^2 at most 1e-4: it is Darcy with a shift that hardly counts.
- Thermal and Poisson have one symmetric positive definite matrix for all systems. Their right-hand sides span
  2 and 20 dimensions only (boundary traces are functions of x, so on two sides of the square constants).
They left open the seeds and, as their mesher is not free, the meshes: here quadratic triangles over a jittered
hexagonal grid, corners numbered row by row, midpoints after them. h is chosen for about n unknowns.
"""
import argparse
import struct

import numpy as np
import scipy.sparse as sp
from scipy.spatial import Delaunay


def coefficient(rng, points):
    """exp of a draw of the periodic field with covariance tau^(2 alpha - 2) (-lap + tau^2)^-alpha, mean 0."""
    alpha, tau = 2.5, 7.0
    k = np.fft.fftfreq(points, 1.0 / points)
    spectrum = points**2 * tau ** (alpha - 1) * (4 * np.pi**2 * (k[:, None] ** 2 + k**2) + tau**2) ** (-alpha / 2)
    spectrum[0, 0] = 0.0
    noise = rng.standard_normal((2, points, points))      # the real part of a complex draw of variance 2
    return np.exp(np.fft.ifft2(spectrum * (noise[0] + 1j * noise[1])).real)


def darcy(rng, n, count, shifted):
    side = round(n**0.5)
    h = 1.0 / (side - 1)
    for _ in range(count):
        a = coefficient(rng, side + 2)
        inner = a[1:-1, 1:-1].ravel()
        k = rng.uniform() if shifted else 0.0
        from_left, from_right = a[1:-1, 1:-1].copy(), a[1:-1, 1:-1].copy()
        from_left[:, -1] = 0.0                            # a row's last point is nobody's left neighbour
        from_right[:, 0] = 0.0
        early = a[:-2, 1:-1].ravel()[side - 2:][:side * side - side]     # [side:] would be the neighbour's own
        matrix = sp.diags([-early, -from_left.ravel()[:-1], 4 * inner - (h * k) ** 2, -from_right.ravel()[1:],
                           -inner[side:]], [-side, -1, 0, 1, side]).tocsr()
        matrix.eliminate_zeros()
        yield matrix, np.full(side * side, h * h), np.append(a, k) if shifted else a.ravel()


def spacing(area, n):
    return (4 * area * 2 / 3**0.5 / n) ** 0.5              # a corner and three midpoints for h^2 sqrt(3) / 2


def grid(rng, half, h, slot):
    """Corners and triangles of the rectangle |x| <= half[0], |y| <= half[1], without the slot's if there is one.

    The rims are covered evenly and nothing else lies near them: so they are unions of triangles' sides."""
    points = []
    for wide, high in [half] if slot is None else [half, slot]:
        x = np.linspace(-wide, wide, max(2, round(2 * wide / h)) + 1)
        y = np.linspace(-high, high, max(2, round(2 * high / h)) + 1)
        points += [(u, v) for u in x for v in (-high, high)] + [(u, v) for v in y[1:-1] for u in (-wide, wide)]
    step = h * 3**0.5 / 2
    for row, v in enumerate(np.arange(-half[1] + step, half[1], step)):
        u = np.arange(-half[0] + (0.5 + 0.5 * (row % 2)) * h, half[0], h)
        p = np.stack([u, np.full(len(u), v)], 1) + rng.uniform(-0.15, 0.15, (len(u), 2)) * h
        keep = np.all(half - np.abs(p) > 0.5 * h, 1)
        if slot is not None:
            keep &= np.any(np.abs(p) - slot > 0.5 * h, 1)
        points += [tuple(q) for q in p[keep]]
    points = np.array(points)
    points = points[np.lexsort((points[:, 0], np.round(points[:, 1] / step)))]
    triangles = Delaunay(points).simplices
    centre = points[triangles].mean(1)
    e, f = points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]]
    area = e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0]
    keep = np.abs(area) > 1e-6 * h * h                    # flat ones along the rim
    if slot is not None:
        keep &= np.any(np.abs(centre) > slot, 1)
    return points, triangles[keep]


def quadratic(corners, triangles):
    """Stiffness and mass matrix of quadratic triangles, and their nodes: corners, then midpoints of sides."""
    sides = np.sort(triangles[:, [[1, 2], [2, 0], [0, 1]]], 2).reshape(-1, 2)
    sides, which = np.unique(sides, axis=0, return_inverse=True)
    nodes = np.concatenate([corners, corners[sides].mean(1)])
    local = np.concatenate([triangles, len(corners) + which.reshape(-1, 3)], 1)
    a, b, c = (corners[triangles[:, i]] for i in range(3))
    area2 = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    turned = np.stack([c - b, a - c, b - a], 1) / area2[:, None, None]
    slopes = np.stack([-turned[:, :, 1], turned[:, :, 0]], 2)          # of the barycentric coordinates
    area = np.abs(area2) / 2
    stiff = 0.0
    for bary in 0.5 - 0.5 * np.eye(3):                    # the midpoints: exact for products of linear gradients
        by = np.zeros((6, 3))
        by[range(3), range(3)] = 4 * bary - 1
        for m, (i, j) in enumerate([(1, 2), (2, 0), (0, 1)]):
            by[3 + m, i], by[3 + m, j] = 4 * bary[j], 4 * bary[i]
        g = by @ slopes
        stiff = stiff + g @ g.transpose(0, 2, 1) * (area / 3)[:, None, None]
    mass = np.array([[6, -1, -1, -4, 0, 0], [-1, 6, -1, 0, -4, 0], [-1, -1, 6, 0, 0, -4],
                     [-4, 0, 0, 32, 16, 16], [0, -4, 0, 16, 32, 16], [0, 0, -4, 16, 16, 32]]) / 180.0
    at = np.repeat(local, 6, 1).ravel(), np.tile(local, 6).ravel()
    size = (len(nodes), len(nodes))
    return sp.csr_matrix((stiff.ravel(), at), size), sp.csr_matrix((np.outer(area, mass).ravel(), at), size), nodes


def inner_matrix(stiff, inner):
    matrix = stiff[inner][:, inner].tocsr()
    matrix.eliminate_zeros()
    return matrix


def thermal(rng, n, count):
    half, slot = np.array([0.5, 0.8]), np.array([0.05, 0.4])
    corners, triangles = grid(rng, half, spacing(4 * (half.prod() - slot.prod()), n), slot)
    stiff, _, nodes = quadratic(corners, triangles)
    held = nodes[:, 0] < -half[0] + 1e-9
    right = np.flatnonzero(nodes[:, 0] > half[0] - 1e-9)
    right = right[np.argsort(nodes[right, 1])]
    flux = np.zeros(len(nodes))
    for i in range(0, len(right) - 2, 2):                 # corner, midpoint, corner: Simpson's weights
        flux[right[i:i + 3]] += np.array([1, 4, 1]) / 6 * (nodes[right[i + 2], 1] - nodes[right[i], 1])
    matrix, lift = inner_matrix(stiff, ~held), -(stiff @ held.astype(float))[~held]
    for _ in range(count):
        temperature, through = rng.uniform(0, 100), rng.uniform(-100, 0)
        yield matrix, temperature * lift + through * flux[~held], np.array([temperature, through])


def poisson(rng, n, count):
    half = np.array([0.5, 0.5])
    corners, triangles = grid(rng, half, spacing(1.0, n), None)
    stiff, mass, nodes = quadratic(corners, triangles)
    nodes = nodes + 0.5
    rims = [nodes[:, 1] < 1e-9, nodes[:, 0] > 1 - 1e-9, nodes[:, 1] > 1 - 1e-9, nodes[:, 0] < 1e-9]
    inner = ~np.any(rims, 0)
    matrix = inner_matrix(stiff, inner)
    for _ in range(count):
        c = rng.uniform(-1, 1, (5, 6))
        f, *traces = (np.polynomial.chebyshev.chebval(nodes[:, 0], row) for row in c)
        given = np.zeros(len(nodes))
        for rim, trace in zip(rims, traces):
            given[rim] = trace[rim]
        yield matrix, (mass @ f - stiff @ given)[inner], c.ravel()


KINDS = {"darcy": lambda rng, n, count: darcy(rng, n, count, False), "thermal": thermal, "poisson": poisson,
         "helmholtz": lambda rng, n, count: darcy(rng, n, count, True)}


def write(path, count, systems):
    with open(path, "wb") as f:
        for k, (matrix, rhs, parameters) in enumerate(systems):
            if k == 0:
                f.write(b"RKNSEQ01" + struct.pack("<4q", len(rhs), count, 1, len(parameters)))
            matrix.sort_indices()
            f.write(struct.pack("<q", matrix.nnz))
            for array, kind in ((matrix.indptr, "<i8"), (matrix.indices, "<i4"), (matrix.data, "<f8"), (rhs, "<f8"),
                                (parameters, "<f8")):
                f.write(np.ascontiguousarray(array, kind).tobytes())


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=KINDS)
    p.add_argument("--n", type=int, default=6400)
    p.add_argument("--count", type=int, default=100)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--out", required=True)
    o = p.parse_args()
    write(o.out, o.count, KINDS[o.kind](np.random.default_rng(o.seed), o.n, o.count))
