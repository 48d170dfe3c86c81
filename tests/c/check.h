/* check.h: counting checks, a dense truth to compare with, and scalars of any tag. */
#ifndef CHECK_H
#define CHECK_H
#undef NDEBUG
#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "reknit.h"

typedef double complex cplx;
#undef I
#define IMAG _Complex_I

/* ---- checks: a failed one is printed and counted, the program goes on ---- */
static int passed, failed;

static inline int check_at(int ok, const char *what, const char *file, int line) {
    if (ok)
        ++passed;
    else {
        ++failed;
        printf("%s:%d: failed: %s\n", file, line, what);
        fflush(stdout);
    }
    return ok;
}
#define CHECK(condition) check_at(!!(condition), #condition, __FILE__, __LINE__)

static inline int status_at(rkn_status got, rkn_status want, const char *what, const char *file, int line) {
    if (got == want)
        ++passed;
    else {
        ++failed;
        printf("%s:%d: failed: %s is %s, not %s (%s)\n", file, line, what, rkn_status_name(got), rkn_status_name(want), rkn_last_error());
        fflush(stdout);
    }
    return got == want;
}
#define CHECK_STATUS(call, want) status_at((call), (want), #call, __FILE__, __LINE__)
#define CHECK_OK(call) CHECK_STATUS(call, RKN_OK)

static inline int says_at(const char *words, const char *file, int line) {
    const int ok = strstr(rkn_last_error(), words) != NULL;
    if (ok)
        ++passed;
    else {
        ++failed;
        printf("%s:%d: failed: the message '%s' does not say '%s'\n", file, line, rkn_last_error(), words);
        fflush(stdout);
    }
    return ok;
}
/* The last message contains these words. */
#define CHECK_SAYS(words) says_at(words, __FILE__, __LINE__)

/* A call that must be refused: with this status and a message that begins with the function and names the argument
   in quotes ("" if there is none to name). */
static inline int refused_at(rkn_status got, rkn_status want, const char *function, const char *argument, const char *what,
                             const char *file, int line) {
    char begin[100], name[100];
    snprintf(begin, sizeof begin, "%s: ", function);
    snprintf(name, sizeof name, "'%s'", argument);
    const char *message = rkn_last_error();
    const int ok = got == want && strncmp(message, begin, strlen(begin)) == 0 && (!*argument || strstr(message, name));
    if (ok)
        ++passed;
    else {
        ++failed;
        printf("%s:%d: failed: %s is %s, not %s, or the message '%s' does not name %s and %s\n", file, line, what, rkn_status_name(got),
               rkn_status_name(want), message, function, name);
        fflush(stdout);
    }
    return ok;
}
#define CHECK_REFUSED(call, want, function, argument) refused_at((call), (want), function, argument, #call, __FILE__, __LINE__)

static inline int done(void) {
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

static inline void *need(size_t bytes) {
    void *p = calloc(bytes ? bytes : 1, 1);
    if (!p) {
        fprintf(stderr, "the test itself is out of memory\n");
        exit(2);
    }
    return p;
}

/* ---- scalars of any tag, read and written as double complex ---- */
static const rkn_scalar scalars[4] = {RKN_F32, RKN_F64, RKN_C32, RKN_C64};
static inline int is_complex(rkn_scalar s) { return s == RKN_C32 || s == RKN_C64; }
static inline int is_single(rkn_scalar s) { return s == RKN_F32 || s == RKN_C32; }
static inline size_t size_of(rkn_scalar s) { return s == RKN_F32 ? 4 : s == RKN_C64 ? 16 : 8; }
static inline double epsilon_of(rkn_scalar s) { return is_single(s) ? 1.2e-7 : 2.3e-16; }

static inline cplx get(rkn_scalar s, const void *a, int64_t i) {
    switch (s) {
    case RKN_F32: return ((const float *)a)[i];
    case RKN_F64: return ((const double *)a)[i];
    case RKN_C32: return ((const float *)a)[2 * i] + IMAG * ((const float *)a)[2 * i + 1];
    default: return ((const double *)a)[2 * i] + IMAG * ((const double *)a)[2 * i + 1];
    }
}
static inline void put(rkn_scalar s, void *a, int64_t i, cplx v) {
    switch (s) {
    case RKN_F32: ((float *)a)[i] = (float)creal(v); break;
    case RKN_F64: ((double *)a)[i] = creal(v); break;
    case RKN_C32: ((float *)a)[2 * i] = (float)creal(v), ((float *)a)[2 * i + 1] = (float)cimag(v); break;
    default: ((double *)a)[2 * i] = creal(v), ((double *)a)[2 * i + 1] = cimag(v);
    }
}
static inline void *vector_of(rkn_scalar s, int64_t n) { return need((size_t)n * size_of(s)); }

static inline void put_index(rkn_index t, void *a, int64_t i, int64_t v) {
    if (t == RKN_I32)
        ((int32_t *)a)[i] = (int32_t)v;
    else
        ((int64_t *)a)[i] = v;
}
static inline void *indices_of(rkn_index t, int64_t n) { return need((size_t)n * (t == RKN_I32 ? 4 : 8)); }

/* ---- reproducible numbers in [-1, 1), multiples of 2^-10: exact in every tag ---- */
static uint64_t random_state = 1;
static inline double uniform(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 53) / 1024.0 - 1.0;
}
static inline cplx any(rkn_scalar s) {
    const double re = uniform(), im = uniform();
    return is_complex(s) ? re + IMAG * im : re;
}

/* ---- the truth: dense, row-major, double complex ---- */
static inline cplx *dense_of(int64_t m, int64_t n) { return need((size_t)(m * n) * sizeof(cplx)); }

/* y (rows of op(D)) = op(D) x */
static inline void dense_apply(rkn_trans trans, int64_t m, int64_t n, const cplx *D, const cplx *x, cplx *y) {
    const int64_t rows = trans == RKN_N ? m : n, cols = trans == RKN_N ? n : m;
    for (int64_t i = 0; i < rows; ++i) {
        y[i] = 0;
        for (int64_t j = 0; j < cols; ++j)
            y[i] += (trans == RKN_N ? D[i * n + j] : trans == RKN_T ? D[j * n + i] : conj(D[j * n + i])) * x[j];
    }
}

/* x with D x = b by Gaussian elimination with partial pivoting; D and b are kept. */
static inline void dense_solve(int64_t n, const cplx *D, const cplx *b, cplx *x) {
    cplx *W = dense_of(n, n);
    memcpy(W, D, (size_t)(n * n) * sizeof *W);
    memcpy(x, b, (size_t)n * sizeof *x);
    for (int64_t k = 0; k < n; ++k) {
        int64_t p = k;
        for (int64_t i = k + 1; i < n; ++i)
            if (cabs(W[i * n + k]) > cabs(W[p * n + k])) p = i;
        for (int64_t j = 0; j < n; ++j) {
            const cplx t = W[k * n + j];
            W[k * n + j] = W[p * n + j], W[p * n + j] = t;
        }
        const cplx t = x[k];
        x[k] = x[p], x[p] = t;
        for (int64_t i = k + 1; i < n; ++i) {
            const cplx f = W[i * n + k] / W[k * n + k];
            for (int64_t j = k; j < n; ++j) W[i * n + j] -= f * W[k * n + j];
            x[i] -= f * x[k];
        }
    }
    for (int64_t i = n - 1; i >= 0; --i) {
        for (int64_t j = i + 1; j < n; ++j) x[i] -= W[i * n + j] * x[j];
        x[i] /= W[i * n + i];
    }
    free(W);
}

/* max |got_i - want_i| over max |want_i| (or over 1 if that is smaller). */
static inline double off(rkn_scalar s, int64_t n, const void *got, const cplx *want) {
    double most = 1, worst = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double d = cabs(get(s, got, i) - want[i]);
        if (!(d <= worst)) worst = d;    /* a NaN stays */
        if (cabs(want[i]) > most) most = cabs(want[i]);
    }
    return worst / most;
}

/* ---- 1-D Poisson, tridiag(-1, 2, -1) in CSR with 32-bit indices from 0; with b = 1, x_i = (i + 1) (n - i) / 2 ---- */
typedef struct poisson {
    int32_t n, *ptr, *ind;
    double *val;
} poisson;

static inline poisson poisson_make(int32_t n) {
    poisson P = {n, need((size_t)(n + 1) * 4), need((size_t)(3 * n) * 4), need((size_t)(3 * n) * 8)};
    int32_t k = 0;
    for (int32_t i = 0; i < n; ++i) {
        for (int32_t j = i - 1; j <= i + 1; ++j)
            if (j >= 0 && j < n) P.ind[k] = j, P.val[k] = j == i ? 2 : -1, ++k;
        P.ptr[i + 1] = k;
    }
    return P;
}
static inline void poisson_free(poisson *P) { free(P->ptr), free(P->ind), free(P->val); }
static inline double poisson_solution(int64_t n, int64_t i) { return (double)(i + 1) * (double)(n - i) / 2; }
static inline double poisson_off(int64_t n, const double *x) {
    double worst = 0;
    for (int64_t i = 0; i < n; ++i) {
        const double d = fabs(x[i] - poisson_solution(n, i));
        if (!(d <= worst)) worst = d;
    }
    return worst / poisson_solution(n, n / 2);
}
static inline rkn_operator *poisson_operator(const poisson *P) {
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, P->n, P->n, RKN_I32, 0, P->ptr, P->ind, P->val, RKN_BORROW, &A));
    return A;
}
static inline double *ones(int64_t n) {
    double *b = need((size_t)n * 8);
    for (int64_t i = 0; i < n; ++i) b[i] = 1;
    return b;
}
#endif
