"""reknit's transport solver for a harness that compares solvers: solve(problem, eps, tol, limit) -> dict.

problem has C (n x m, C order, float64), a and b; eps is absolute, tol the L1 error of both marginals, limit seconds. The
library is found by REKNIT_LIBRARY. REKNIT_OT_METHOD chooses the method (auto), REKNIT_OT_OPTIONS adds options, REKNIT_OT_THREADS sets the threads (1).
"""
import ctypes
import os
import time

import numpy as np

_lib = ctypes.CDLL(os.environ.get("REKNIT_LIBRARY", "libreknit.so"))
_lib.rkn_last_error.restype = ctypes.c_char_p
_real, _int, _handle = ctypes.c_double, ctypes.c_int64, ctypes.c_void_p


def _check(status):
    if status < 0:
        raise RuntimeError(_lib.rkn_last_error().decode())
    return status


def _array(v):
    return v.ctypes.data_as(ctypes.c_void_p)


def _get(s, key, kind=_real):
    value = kind()
    name = "rkn_sinkhorn_get_real" if kind is _real else "rkn_sinkhorn_get_int"
    _check(getattr(_lib, name)(s, key, ctypes.byref(value)))
    return value.value


def solve(problem, eps, tol, limit):
    C, a, b = (np.ascontiguousarray(problem[k], dtype=np.float64) for k in "Cab")
    n, m = C.shape
    ctx, G, s = _handle(), _handle(), _handle()
    _check(_lib.rkn_context_create(ctypes.byref(ctx)))
    _check(_lib.rkn_context_set_int(ctx, b"threads", _int(int(os.environ.get("REKNIT_OT_THREADS", "1")))))
    begun = time.process_time(), time.perf_counter()
    _check(_lib.rkn_geometry_create_matrix(ctx, 1, _int(n), _int(m), 1, _array(C), _int(m), 1, ctypes.byref(G)))
    _check(_lib.rkn_sinkhorn_create(ctx, os.environ.get("REKNIT_OT_METHOD", "auto").encode(), ctypes.byref(s)))
    for key, value in ((b"epsilon", eps), (b"tolerance", tol), (b"time_limit", limit)):
        _check(_lib.rkn_sinkhorn_set_real(s, key, _real(value)))
    if os.environ.get("REKNIT_OT_OPTIONS"):
        _check(_lib.rkn_sinkhorn_set_options(s, os.environ["REKNIT_OT_OPTIONS"].encode()))
    status = _check(_lib.rkn_sinkhorn_solve(s, G, _array(a), _array(b)))
    one_core = len(os.sched_getaffinity(0)) == 1
    seconds = time.process_time() - begun[0] if one_core else time.perf_counter() - begun[1]
    f, g = np.empty(n), np.empty(m)
    _check(_lib.rkn_sinkhorn_potentials(s, _array(f), _array(g)))
    P = np.exp((f[:, None] + g[None, :] - C) / eps)
    found = dict(P=P, iters=_get(s, b"iterations", _int), time=seconds, capped=status != 0, passes=_get(s, b"passes"),
                 newton=_get(s, b"newton_steps", _int), cg=_get(s, b"cg_steps", _int), own_error=_get(s, b"marginal_error"))
    _lib.rkn_sinkhorn_destroy(s)
    _lib.rkn_geometry_destroy(G)
    _lib.rkn_context_destroy(ctx)
    return found
