/* Block solves: chosen solutions, gaps between columns, columns that end apart, and the same bits by requests. */
#include "check.h"

#define GARBAGE ((void *)(uintptr_t)0x51)
#define BLOCK "rkn_krylov_solve_block"
#define START "rkn_krylov_start_block"
#define COLUMNS "rkn_krylov_columns"
enum { N = 60, MOST = 6 };

static const char *const methods[] = {"auto", "cg", "minres", "gmres", "bicgstab", "gcrodr", "rcg", "rminres", "idr", "cocg", "cocr"};
enum { METHODS = sizeof methods / sizeof *methods };

static rkn_krylov *solver(const rkn_context *ctx, const char *method, const char *options) {
    rkn_krylov *s = NULL;
    CHECK_OK(rkn_krylov_create(ctx, method, &s));
    if (options) CHECK_OK(rkn_krylov_set_options(s, options));
    return s;
}
static int64_t count(const rkn_krylov *s, const char *key) {
    int64_t v = -1;
    CHECK_OK(rkn_krylov_get_int(s, key, &v));
    return v;
}
static double real_of(const rkn_krylov *s, const char *key) {
    double v = NAN;
    CHECK_OK(rkn_krylov_get_real(s, key, &v));
    return v;
}

/* ---- the matrix: tridiag(low, 2.1 to 2.5, up), positive definite; up is low conjugated, or low itself for methods that
   want A = A^T ---- */
typedef struct band {
    rkn_scalar scalar;
    int transposes;
    int calls, columns, widest;    /* of the callback */
    int fail_at, answer;           /* the call that fails, from 1, and what it returns */
    cplx poison;                   /* added to what the last column gets */
} band;

static cplx lower(const band *p) { return is_complex(p->scalar) ? -0.6 - 0.8 * IMAG : -1; }
static cplx upper(const band *p) { return p->transposes ? lower(p) : conj(lower(p)); }
static double diagonal(int64_t i) { return 2.1 + 0.1 * (double)(i % 5); }

static void band_apply(const band *p, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < N; ++i) {
            cplx v = diagonal(i) * get(p->scalar, x, i + j * ldx);
            if (i > 0) v += lower(p) * get(p->scalar, x, i - 1 + j * ldx);
            if (i < N - 1) v += upper(p) * get(p->scalar, x, i + 1 + j * ldx);
            put(p->scalar, y, i + j * ldy, v);
        }
}
static int32_t counted(void *user, rkn_trans t, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    band *p = user;
    (void)t;
    ++p->calls;
    p->columns += (int)ncols;
    if (ncols > p->widest) p->widest = (int)ncols;
    if (p->calls == p->fail_at) return p->answer;
    band_apply(p, ncols, x, ldx, y, ldy);
    if (p->poison != 0) put(p->scalar, y, (ncols - 1) * ldy, p->poison);
    return 0;
}
static rkn_operator *by_callback(band *p) {
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_callback(NULL, p->scalar, N, N, counted, p, NULL, &A));
    return A;
}
static rkn_operator *by_rows(const band *p) {
    int32_t ptr[N + 1] = {0}, ind[3 * N], k = 0;
    void *val = vector_of(p->scalar, 3 * N);
    for (int32_t i = 0; i < N; ++i) {
        for (int32_t j = i - 1; j <= i + 1; ++j)
            if (j >= 0 && j < N) ind[k] = j, put(p->scalar, val, k++, j < i ? lower(p) : j > i ? upper(p) : diagonal(i));
        ptr[i + 1] = k;
    }
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_csr(NULL, p->scalar, N, N, RKN_I32, 0, ptr, ind, val, RKN_COPY, &A));
    free(val);
    return A;
}

/* ---- columns with gaps in between, which hold something that a NaN check or a write would betray ---- */
typedef struct sides {
    rkn_scalar scalar;
    int64_t ncols, ldb, ldx;
    cplx want[MOST][N];
    void *b, *x, *before;    /* X as it was */
} sides;

static void fill(rkn_scalar sc, void *a, int64_t count, double v) {
    for (int64_t i = 0; i < count; ++i) put(sc, a, i, v);
}
/* Right-hand sides for chosen solutions. */
static sides *sides_make(const band *p, int64_t ncols, int64_t ldb, int64_t ldx) {
    sides *q = need(sizeof *q);
    *q = (sides){.scalar = p->scalar, .ncols = ncols, .ldb = ldb, .ldx = ldx};
    q->b = vector_of(p->scalar, ncols * ldb), q->x = vector_of(p->scalar, ncols * ldx), q->before = vector_of(p->scalar, ncols * ldx);
    fill(p->scalar, q->b, ncols * ldb, NAN);
    fill(p->scalar, q->before, ncols * ldx, -77);
    void *truth = vector_of(p->scalar, ncols * N);
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < N; ++i) q->want[j][i] = any(p->scalar), put(p->scalar, truth, i + j * N, q->want[j][i]);
    band_apply(p, ncols, truth, N, q->b, ldb);
    free(truth);
    memcpy(q->x, q->before, (size_t)(ncols * ldx) * size_of(p->scalar));
    return q;
}
static void sides_free(sides *q) { free(q->b), free(q->x), free(q->before), free(q); }
static const void *column(const sides *q, const void *a, int64_t j, int64_t ld) {
    return (const char *)a + (size_t)(j * ld) * size_of(q->scalar);
}
static double worst(const sides *q) {
    double most = 0;
    for (int64_t j = 0; j < q->ncols; ++j) most = fmax(most, off(q->scalar, N, column(q, q->x, j, q->ldx), q->want[j]));
    return most;
}
static int is_untouched(const sides *q) { return memcmp(q->x, q->before, (size_t)(q->ncols * q->ldx) * size_of(q->scalar)) == 0; }
static int gaps_are_whole(const sides *q) {
    for (int64_t j = 0; j < q->ncols; ++j)
        for (int64_t i = N; i < q->ldx; ++i)
            if (get(q->scalar, q->x, i + j * q->ldx) != -77) return 0;
    for (int64_t j = 0; j < q->ncols; ++j)
        for (int64_t i = N; i < q->ldb; ++i)
            if (!isnan(creal(get(q->scalar, q->b, i + j * q->ldb)))) return 0;
    return 1;
}
static rkn_status solve(rkn_krylov *s, const rkn_operator *A, const rkn_operator *M, const sides *q) {
    return rkn_krylov_solve_block(s, A, M, q->ncols, q->b, q->ldb, q->x, q->ldx);
}

/* ---- illegal input ---- */

/* What both functions refuse, each under its own name. */
static void refused_by(const char *f, rkn_status (*call)(rkn_krylov *, const rkn_operator *, const rkn_operator *, int64_t, const void *,
                                                         int64_t, void *, int64_t)) {
    band p = {.scalar = RKN_F64}, single = {.scalar = RKN_F32};
    sides *q = sides_make(&p, 3, N + 2, N + 1);
    rkn_operator *A = by_rows(&p), *F = by_rows(&single), *wide = NULL;
    CHECK_OK(rkn_operator_create_dense(NULL, RKN_F64, 1, 2, RKN_COLUMN_MAJOR, (double[]){1, 2}, 1, RKN_COPY, &wide));
    rkn_krylov *s = solver(NULL, "cg", "rtol=1e-12");
    double *b = q->b, *x = q->x;
    CHECK_REFUSED(call(NULL, A, NULL, 3, b, N + 2, x, N + 1), RKN_ERR_NULL, f, "s");
    CHECK_REFUSED(call(GARBAGE, A, NULL, 3, b, N + 2, x, N + 1), RKN_ERR_HANDLE, f, "s");
    CHECK_REFUSED(call(s, NULL, NULL, 3, b, N + 2, x, N + 1), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(call(s, GARBAGE, NULL, 3, b, N + 2, x, N + 1), RKN_ERR_HANDLE, f, "A");
    CHECK_REFUSED(call(s, A, GARBAGE, 3, b, N + 2, x, N + 1), RKN_ERR_HANDLE, f, "M");
    CHECK_REFUSED(call(s, A, F, 3, b, N + 2, x, N + 1), RKN_ERR_SCALAR, f, "M");
    CHECK_REFUSED(call(s, A, NULL, -1, b, N + 2, x, N + 1), RKN_ERR_SIZE, f, "ncols");
    CHECK_REFUSED(call(s, A, NULL, 3, b, N - 1, x, N + 1), RKN_ERR_SIZE, f, "ldb");
    CHECK_REFUSED(call(s, A, NULL, 1, b, N - 1, x, N + 1), RKN_ERR_SIZE, f, "ldb");
    CHECK_REFUSED(call(s, A, NULL, 3, b, -1, x, N + 1), RKN_ERR_SIZE, f, "ldb");
    CHECK_REFUSED(call(s, A, NULL, 3, b, INT64_MAX, x, N + 1), RKN_ERR_SIZE, f, "ldb");
    CHECK_REFUSED(call(s, A, NULL, 3, b, N + 2, x, N - 1), RKN_ERR_SIZE, f, "ldx");
    CHECK_REFUSED(call(s, A, NULL, 3, b, N + 2, x, INT64_MIN), RKN_ERR_SIZE, f, "ldx");
    CHECK_REFUSED(call(s, A, NULL, INT64_MAX, b, N + 2, x, N + 1), RKN_ERR_SIZE, f, "ldb");
    CHECK_REFUSED(call(s, A, NULL, INT64_MAX / N, b, N, x, N), RKN_ERR_SIZE, f, "B");
    CHECK_REFUSED(call(s, A, NULL, 3, NULL, N + 2, x, N + 1), RKN_ERR_NULL, f, "B");
    CHECK_REFUSED(call(s, A, NULL, 3, b, N + 2, NULL, N + 1), RKN_ERR_NULL, f, "X");
    CHECK_REFUSED(call(s, A, NULL, 3, (char *)q->b + 1, N + 2, x, N + 1), RKN_ERR_ARGUMENT, f, "B");
    CHECK_REFUSED(call(s, A, NULL, 3, b, N + 2, b, N + 2), RKN_ERR_ARGUMENT, f, "X");
    CHECK_REFUSED(call(s, A, NULL, 2, b, N + 2, b + 2 * N + 1, N), RKN_ERR_ARGUMENT, f, "X");    /* one entry is shared */
    CHECK_SAYS("overlapping B");
    CHECK(is_untouched(q));
    if (call == rkn_krylov_solve_block) {
        /* a solve by requests finds these on its way */
        CHECK_REFUSED(call(s, wide, NULL, 1, b, N, x, N), RKN_ERR_SIZE, f, "A");
        const double was = b[4 + 2 * (N + 2)];
        b[4 + 2 * (N + 2)] = INFINITY;
        CHECK_REFUSED(call(s, A, NULL, 3, b, N + 2, x, N + 1), RKN_ERR_NONFINITE, f, "B");
        CHECK_SAYS("row 4 of column 2");
        CHECK(is_untouched(q));
        b[4 + 2 * (N + 2)] = was;
        CHECK_OK(rkn_krylov_set_string(s, "initial_guess", "x"));
        x[1 + 1 * (N + 1)] = NAN;
        CHECK_REFUSED(call(s, A, NULL, 3, b, N + 2, x, N + 1), RKN_ERR_NONFINITE, f, "X");
        CHECK_SAYS("row 1 of column 1");
        CHECK_OK(rkn_krylov_set_string(s, "initial_guess", "zero"));
    }
    /* the next right call works */
    CHECK_OK(solve(s, A, NULL, q));
    CHECK(worst(q) < 1e-9 && gaps_are_whole(q));
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_operator_destroy(F), rkn_operator_destroy(wide), sides_free(q);
}

static void no_columns(void) {
    band p = {.scalar = RKN_F64};
    rkn_operator *A = by_callback(&p), *nothing = NULL;
    rkn_krylov *s = solver(NULL, "gmres", NULL);
    int64_t columns = -1;
    CHECK_OK(rkn_krylov_solve_block(s, A, NULL, 0, NULL, N, NULL, N));
    CHECK_OK(rkn_krylov_solve_block(s, A, NULL, 0, NULL, 0, NULL, 0));    /* no columns need no distance */
    CHECK(p.calls == 0 && count(s, "iterations") == 0);
    CHECK_OK(rkn_krylov_columns(s, NULL, NULL, NULL, 0, &columns));
    CHECK(columns == 0);
    const rkn_request *r = NULL;
    CHECK_OK(rkn_krylov_start_block(s, A, NULL, 0, NULL, N, NULL, N));
    CHECK_OK(rkn_krylov_next(s, 0, &r));
    CHECK(r->kind == RKN_REQUEST_DONE);
    /* columns without rows, as on a rank that has none */
    CHECK_OK(rkn_operator_create_identity(NULL, RKN_F64, 0, &nothing));
    CHECK_OK(rkn_krylov_solve_block(s, nothing, NULL, 3, NULL, 0, NULL, 0));
    CHECK_OK(rkn_krylov_columns(s, NULL, NULL, NULL, 0, &columns));
    CHECK(columns == 3);
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_operator_destroy(nothing);
}

/* ---- chosen solutions ---- */

static void chosen(void) {
    static const int64_t counts[] = {3, 1, 5};    /* what was learned stays with the column */
    for (int m = 0; m < METHODS; ++m)
        for (int k = 0; k < 4; ++k) {
            const int before = failed, single = is_single(scalars[k]);
            band p = {.scalar = scalars[k], .transposes = !strncmp(methods[m], "coc", 3)};
            rkn_operator *A = by_rows(&p), *M = NULL;
            if (m > 0) CHECK_OK(rkn_operator_create_preconditioner(NULL, A, "jacobi", &M));
            rkn_krylov *s = solver(NULL, methods[m], single ? "rtol=1e-4" : "rtol=1e-11");
            for (int round = 0; round < 3; ++round) {
                sides *q = sides_make(&p, counts[round], N + round, N + 2 * round);
                int64_t iterations[MOST], longest = 0, columns = -1;
                double norms[MOST];
                rkn_status statuses[MOST];
                CHECK_OK(solve(s, A, M, q));
                CHECK(worst(q) < (single ? 5e-3 : 1e-8));
                CHECK(gaps_are_whole(q));
                CHECK_OK(rkn_krylov_columns(s, iterations, norms, statuses, MOST, &columns));
                CHECK(columns == counts[round]);
                for (int64_t j = 0; j < columns; ++j) {
                    /* ||b - A x|| from the definition */
                    cplx sum = 0, whole = 0;
                    void *r = vector_of(p.scalar, N);
                    band_apply(&p, 1, column(q, q->x, j, q->ldx), N, r, N);
                    for (int64_t i = 0; i < N; ++i) {
                        const cplx b = get(p.scalar, q->b, i + j * q->ldb), d = b - get(p.scalar, r, i);
                        sum += d * conj(d), whole += b * conj(b);
                    }
                    free(r);
                    CHECK(statuses[j] == RKN_OK && fabs(norms[j] - sqrt(creal(sum))) < 100 * epsilon_of(p.scalar) * sqrt(creal(whole)));
                    if (iterations[j] > longest) longest = iterations[j];
                }
                CHECK(count(s, "iterations") == longest);
                sides_free(q);
            }
            rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_operator_destroy(M);
            if (failed > before) printf("    with %s, scalar %d\n", methods[m], scalars[k]);
        }
}

/* ---- how columns end ---- */

static void ends(void) {
    band p = {.scalar = RKN_F64};
    rkn_operator *A = by_rows(&p);
    rkn_krylov *s = solver(NULL, "cg", "initial_guess=x");
    sides *q = sides_make(&p, 4, N, N);
    int64_t iterations[4] = {77, 77, 77, 77}, columns = 77;
    double norms[4] = {77, 77, 77, 77};
    rkn_status statuses[4] = {77, 77, 77, 77};
    CHECK_REFUSED(rkn_krylov_columns(NULL, iterations, norms, statuses, 4, &columns), RKN_ERR_NULL, COLUMNS, "s");
    CHECK_REFUSED(rkn_krylov_columns(GARBAGE, iterations, norms, statuses, 4, &columns), RKN_ERR_HANDLE, COLUMNS, "s");
    CHECK_REFUSED(rkn_krylov_columns(s, iterations, norms, statuses, -1, &columns), RKN_ERR_SIZE, COLUMNS, "cap");
    CHECK(columns == 77);
    CHECK_OK(rkn_krylov_columns(s, NULL, NULL, NULL, 0, &columns));
    CHECK(columns == 0);    /* nothing solved yet */

    /* A diagonal matrix: CG takes as many steps as a right-hand side has different entries of it. The first solution is given,
       the second is zero, the third takes three steps, the last needs more than it may have. */
    double *b = q->b, *x = q->x, d[N];
    for (int i = 0; i < N; ++i) d[i] = i + 1;
    for (int i = 0; i < N; ++i)
        x[i] = creal(q->want[0][i]), b[i] = d[i] * x[i], b[i + N] = 0, b[i + 2 * N] = i < 3, x[i + N] = 1, x[i + 2 * N] = x[i + 3 * N] = 0;
    rkn_operator *D = NULL;
    CHECK_OK(rkn_operator_create_diagonal(NULL, RKN_F64, N, d, RKN_COPY, &D));
    CHECK_OK(rkn_krylov_set_int(s, "max_iterations", 5));
    CHECK_STATUS(solve(s, D, NULL, q), RKN_STOP_ITERATIONS);
    CHECK_OK(rkn_krylov_columns(s, iterations, norms, statuses, 4, &columns));
    CHECK(columns == 4 && statuses[0] == RKN_OK && statuses[1] == RKN_OK && statuses[2] == RKN_OK && statuses[3] == RKN_STOP_ITERATIONS);
    CHECK(iterations[0] == 0 && iterations[1] == 0 && iterations[2] == 3 && iterations[3] == 5 && count(s, "iterations") == 5);
    CHECK(norms[1] == 0 && norms[2] < 1e-8 * sqrt(3) && norms[3] > 1e-3 && norms[3] == real_of(s, "residual_norm"));
    for (int i = 0; i < N; ++i) CHECK(x[i] == creal(q->want[0][i]) && x[i + N] == 0 && fabs(x[i + 2 * N] - (i < 3) / d[i]) < 1e-8);

    /* any of the arrays, or none */
    int64_t again[5] = {0, 0, 0, 0, 77};
    CHECK_OK(rkn_krylov_columns(s, again, NULL, NULL, 5, NULL));
    CHECK(memcmp(again, iterations, sizeof iterations) == 0 && again[4] == 77);
    double norms_again[4];
    CHECK_OK(rkn_krylov_columns(s, NULL, norms_again, NULL, 4, NULL));
    CHECK(memcmp(norms_again, norms, sizeof norms) == 0);
    rkn_status statuses_again[4];
    CHECK_OK(rkn_krylov_columns(s, NULL, NULL, statuses_again, 4, NULL));
    CHECK(memcmp(statuses_again, statuses, sizeof statuses) == 0);
    CHECK_OK(rkn_krylov_columns(s, NULL, NULL, NULL, 4, NULL));
    columns = 0, again[0] = 77;
    CHECK_REFUSED(rkn_krylov_columns(s, again, norms_again, statuses_again, 3, &columns), RKN_ERR_SIZE, COLUMNS, "cap");
    CHECK(columns == 4 && again[0] == 77 && memcmp(norms_again, norms, sizeof norms) == 0);
    CHECK_REFUSED(rkn_krylov_columns(s, NULL, NULL, NULL, 0, NULL), RKN_ERR_SIZE, COLUMNS, "cap");

    /* after a solve of one vector */
    CHECK_OK(rkn_krylov_set_int(s, "max_iterations", 1000));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK_OK(rkn_krylov_columns(s, iterations, norms, statuses, 4, &columns));
    CHECK(columns == 1 && iterations[0] == count(s, "iterations") && norms[0] == real_of(s, "residual_norm") && statuses[0] == RKN_OK);
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_operator_destroy(D), sides_free(q);
}

/* An indefinite direction is the error of the column that meets it. */
static void one_column_fails(void) {
    double d[N], b[2 * N], x[2 * N];
    for (int i = 0; i < N; ++i) d[i] = i ? i : -1, b[i] = 1, b[i + N] = i ? 1 : 0;
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_diagonal(NULL, RKN_F64, N, d, RKN_COPY, &A));
    rkn_krylov *s = solver(NULL, "cg", "rtol=1e-12");
    rkn_status statuses[2];
    CHECK_REFUSED(rkn_krylov_solve_block(s, A, NULL, 2, b, N, x, N), RKN_ERR_INDEFINITE, BLOCK, "");
    CHECK_OK(rkn_krylov_columns(s, NULL, NULL, statuses, 2, NULL));
    CHECK(statuses[0] == RKN_ERR_INDEFINITE && statuses[1] == RKN_OK);
    for (int i = 0; i < N; ++i) CHECK(isfinite(x[i]) && fabs(x[i + N] - (i ? 1 / d[i] : 0)) < 1e-9);
    rkn_krylov_destroy(s), rkn_operator_destroy(A);
}

/* Each column goes on with what the column of the same number has learned. */
static void memory_of_columns(void) {
    band p = {.scalar = RKN_F64};
    rkn_operator *A = by_rows(&p);
    for (int m = 0; m < 2; ++m) {
        rkn_krylov *s = solver(NULL, m ? "gcrodr" : "rcg", "rtol=1e-10 restart=20 recycle=8");
        int64_t first[MOST], later[MOST], columns = 0;
        for (int step = 0; step < 3; ++step) {
            sides *q = sides_make(&p, step < 2 ? 3 : 4, N, N);
            CHECK_OK(solve(s, A, NULL, q));
            CHECK(worst(q) < 1e-8);
            CHECK_OK(rkn_krylov_columns(s, step ? later : first, NULL, NULL, MOST, &columns));
            if (step > 0)
                for (int j = 0; j < columns; ++j) CHECK(later[j] < first[j < 3 ? j : 0]);    /* a new one begins with the first's */
            sides_free(q);
        }
        rkn_krylov_destroy(s);
    }
    rkn_operator_destroy(A);
}

/* ---- callbacks ---- */

static void callbacks(void) {
    for (int m = 0; m < METHODS; ++m) {
        const int before = failed;
        band p = {.scalar = RKN_F64, .transposes = !strncmp(methods[m], "coc", 3)};
        sides *q = sides_make(&p, MOST, N, N), *one = sides_make(&p, MOST, N, N);
        rkn_operator *A = by_callback(&p);
        rkn_krylov *s = solver(NULL, methods[m], NULL);
        memcpy(one->b, q->b, MOST * N * sizeof(double));
        int most_calls = 0;
        for (int j = 0; j < MOST; ++j) {
            p.calls = 0;
            CHECK_OK(rkn_krylov_forget(s));
            CHECK_OK(rkn_krylov_solve(s, A, NULL, column(one, one->b, j, N), (void *)column(one, one->x, j, N)));
            if (p.calls > most_calls) most_calls = p.calls;
            CHECK(p.widest <= 1 || m == 0);
        }
        CHECK_OK(rkn_krylov_forget(s));
        p.calls = p.columns = p.widest = 0;
        CHECK_OK(solve(s, A, NULL, q));
        CHECK(worst(q) < 1e-6 && p.widest == MOST);
        /* columns leave one by one and check their residuals then: a few calls more than for the longest */
        CHECK(p.columns == count(s, "applies") && p.calls <= most_calls + 2 * MOST);
        /* "auto" may take another method for several columns than for one */
        if (m > 0) CHECK(memcmp(q->x, one->x, MOST * N * sizeof(double)) == 0);

        /* an error ends all columns, at their last sound points */
        rkn_status statuses[MOST];
        CHECK_OK(rkn_krylov_forget(s));
        p.calls = 0, p.fail_at = 7, p.answer = -41;
        CHECK_REFUSED(solve(s, A, NULL, q), RKN_ERR_CALLBACK, BLOCK, "");
        CHECK(p.calls == 7 && count(s, "callback_status") == -41);
        CHECK_OK(rkn_krylov_columns(s, NULL, NULL, statuses, MOST, NULL));
        for (int j = 0; j < MOST; ++j) CHECK(statuses[j] == RKN_ERR_CALLBACK);
        for (int i = 0; i < MOST * N; ++i) CHECK(isfinite(((double *)q->x)[i]));
        /* NaN */
        CHECK_OK(rkn_krylov_forget(s));
        p.fail_at = 0, p.poison = NAN;
        CHECK_REFUSED(solve(s, A, NULL, q), RKN_ERR_NONFINITE, BLOCK, "");
        for (int i = 0; i < MOST * N; ++i) CHECK(isfinite(((double *)q->x)[i]));
        p.poison = 0;
        CHECK_OK(solve(s, A, NULL, q));
        CHECK(worst(q) < 1e-6 && count(s, "callback_status") == 0);
        rkn_krylov_destroy(s), rkn_operator_destroy(A), sides_free(q), sides_free(one);
        if (failed > before) printf("    with %s\n", methods[m]);
    }
}

/* Stops all columns at the third step; asks, and tries to solve, in between. */
typedef struct witness {
    rkn_krylov *s;
    const rkn_operator *A;
    sides *q;
    int64_t last;
} witness;
static int32_t watch(void *user, const rkn_progress *progress) {
    witness *w = user;
    int64_t columns = -1;
    CHECK(w->last < 0 ? progress->iteration <= 1 : progress->iteration == w->last + 1);
    CHECK(progress->measure > progress->target && progress->target > 0);
    w->last = progress->iteration;
    CHECK_OK(rkn_krylov_columns(w->s, NULL, NULL, NULL, 0, &columns));
    CHECK(columns == 0);    /* none has ended */
    CHECK_REFUSED(solve(w->s, w->A, NULL, w->q), RKN_ERR_BUSY, BLOCK, "s");
    return progress->iteration >= 3;
}
static void monitored(void) {
    band p = {.scalar = RKN_C64};
    rkn_operator *A = by_rows(&p);
    witness w = {solver(NULL, "gmres", "rtol=1e-12"), A, sides_make(&p, 3, N, N), -1};
    CHECK_OK(rkn_krylov_set_monitor(w.s, watch, &w, NULL));
    CHECK_STATUS(solve(w.s, A, NULL, w.q), RKN_STOP_MONITOR);
    CHECK(w.last >= 3 && w.last <= 4);    /* the wish is granted with the next sum that columns share */
    int64_t iterations[3];
    rkn_status statuses[3];
    CHECK_OK(rkn_krylov_columns(w.s, iterations, NULL, statuses, 3, NULL));
    for (int j = 0; j < 3; ++j) CHECK(statuses[j] == RKN_STOP_MONITOR && iterations[j] >= 3 && iterations[j] <= 4);
    rkn_krylov_destroy(w.s), rkn_operator_destroy(A), sides_free(w.q);
}

/* ---- by requests ---- */

/* Serves a solve to its end; sums over ranks are those of one rank. */
static rkn_status drive(rkn_krylov *s, band *p, int *sums) {
    const rkn_request *r = NULL;
    for (;;) {
        const rkn_status rc = rkn_krylov_next(s, 0, &r);
        if (!CHECK(r != NULL) || r->kind == RKN_REQUEST_DONE) return rc;
        CHECK(rc == RKN_OK);
        if (r->kind == RKN_REQUEST_REDUCE) {
            CHECK(r->n > 0);
            ++*sums;
            continue;
        }
        CHECK(r->scalar == p->scalar && r->nx == N && r->ny == N && r->ldx >= N && r->ldy >= N && r->ncols > 0);
        (void)counted(p, r->trans, r->ncols, r->x, r->ldx, r->y, r->ldy);
    }
}

static int32_t one_rank(void *user, rkn_reduction op, int64_t n, double *inout) { return (void)user, (void)op, (void)n, (void)inout, 0; }

static void by_requests(void) {
    for (int with_sums = 0; with_sums < 2; ++with_sums) {
        rkn_context *ctx = NULL, *called = NULL;
        CHECK_OK(rkn_context_create(&ctx));
        CHECK_OK(rkn_context_create(&called));
        if (with_sums) {
            CHECK_OK(rkn_context_set_reduce_request(ctx));
            CHECK_OK(rkn_context_set_reduce(called, one_rank, NULL, NULL));
        }
        for (int m = 0; m < METHODS; ++m)
            for (int k = 0; k < 4; ++k) {
                const int before = failed;
                band p = {.scalar = scalars[k], .transposes = !strncmp(methods[m], "coc", 3)}, host = p;
                rkn_operator *F = by_callback(&p), *A = NULL;
                CHECK_OK(rkn_operator_create_request(ctx, p.scalar, N, N, RKN_REQUEST_APPLY, &A));
                rkn_krylov *s = solver(called, methods[m], "rtol=1e-4"), *t = solver(ctx, methods[m], "rtol=1e-4");
                int sums = 0;
                for (int step = 0; step < 2; ++step) {
                    sides *q = sides_make(&p, 4, N + 1, N + 3);
                    CHECK_OK(solve(s, F, NULL, q));
                    void *x = q->x;
                    q->x = vector_of(p.scalar, q->ncols * q->ldx);
                    memcpy(q->x, q->before, (size_t)(q->ncols * q->ldx) * size_of(p.scalar));
                    CHECK_OK(rkn_krylov_start_block(t, A, NULL, q->ncols, q->b, q->ldb, q->x, q->ldx));
                    CHECK(is_untouched(q));
                    CHECK_REFUSED(rkn_krylov_start_block(t, A, NULL, q->ncols, q->b, q->ldb, x, q->ldx), RKN_ERR_BUSY, START, "s");
                    CHECK_OK(drive(t, &host, &sums));
                    CHECK(memcmp(q->x, x, (size_t)(q->ncols * q->ldx) * size_of(p.scalar)) == 0);
                    CHECK(host.widest == 4 && host.calls == p.calls && host.columns == p.columns);
                    int64_t i1[4], i2[4];
                    double n1[4], n2[4];
                    CHECK_OK(rkn_krylov_columns(s, i1, n1, NULL, 4, NULL));
                    CHECK_OK(rkn_krylov_columns(t, i2, n2, NULL, 4, NULL));
                    CHECK(memcmp(i1, i2, sizeof i1) == 0 && memcmp(n1, n2, sizeof n1) == 0);
                    free(x), sides_free(q);
                }
                CHECK((sums > 0) == with_sums);
                rkn_krylov_destroy(s), rkn_krylov_destroy(t), rkn_operator_destroy(A), rkn_operator_destroy(F);
                if (failed > before) printf("    with %s, scalar %d, %s\n", methods[m], scalars[k], with_sums ? "sums" : "no sums");
            }
        rkn_context_destroy(ctx), rkn_context_destroy(called);
    }

    /* given up in the middle */
    band p = {.scalar = RKN_F64};
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_request(NULL, RKN_F64, N, N, RKN_REQUEST_APPLY, &A));
    rkn_krylov *s = solver(NULL, "cg", "rtol=1e-12");
    sides *q = sides_make(&p, 3, N, N);
    const rkn_request *r = NULL;
    int sums = 0;
    for (int round = 0; round < 2; ++round) {
        CHECK_OK(rkn_krylov_start_block(s, A, NULL, 3, q->b, N, q->x, N));
        for (int k = 0; k < 5; ++k) {
            CHECK_OK(rkn_krylov_next(s, 0, &r));
            (void)counted(&p, r->trans, r->ncols, r->x, r->ldx, r->y, r->ldy);
        }
        if (round)
            CHECK_OK(rkn_krylov_cancel(s));
        else {
            CHECK_REFUSED(rkn_krylov_next(s, 9, &r), RKN_ERR_CALLBACK, "rkn_krylov_next", "");
            CHECK(r->kind == RKN_REQUEST_DONE && count(s, "callback_status") == 9);
        }
        for (int i = 0; i < 3 * N; ++i) CHECK(isfinite(((double *)q->x)[i]));
    }
    CHECK_OK(rkn_krylov_start_block(s, A, NULL, 3, q->b, N, q->x, N));
    CHECK_OK(drive(s, &p, &sums));
    CHECK(worst(q) < 1e-9);
    CHECK_OK(rkn_krylov_start_block(s, A, NULL, 3, q->b, N, q->x, N));
    CHECK_OK(rkn_krylov_next(s, 0, &r));
    rkn_krylov_destroy(s), rkn_operator_destroy(A), sides_free(q);
}

int main(void) {
    refused_by(BLOCK, rkn_krylov_solve_block);
    refused_by(START, rkn_krylov_start_block);
    no_columns();
    chosen();
    ends();
    one_column_fails();
    memory_of_columns();
    callbacks();
    monitored();
    by_requests();
    return done();
}
