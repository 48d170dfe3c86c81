/* What a solver has learned: as columns, as bytes, in copies, marked and rolled back to, on another mesh. */
#include "check.h"

#define GARBAGE ((void *)(uintptr_t)0x51)
enum { W = 24, N = W * W, STEPS = 8, SAVED = 4 };

static rkn_krylov *solver(const char *method, const char *options) {
    rkn_krylov *s = NULL;
    CHECK_OK(rkn_krylov_create(NULL, method, &s));
    if (options) CHECK_OK(rkn_krylov_set_options(s, options));
    return s;
}
static int64_t count(const rkn_krylov *s, const char *key) {
    int64_t v = -1;
    CHECK_OK(rkn_krylov_get_int(s, key, &v));
    return v;
}
static int64_t columns_of(const rkn_krylov *s, rkn_scalar sc, int64_t n) {
    int64_t k = -1;
    CHECK_OK(rkn_krylov_get_space(s, sc, n, 0, NULL, n, &k));
    return k;
}

/* ---- a drifting sequence on a W x W grid: -div(k grad u) + wind . grad u (+ a shift), a new right-hand side each step ---- */
typedef struct sequence {
    rkn_scalar scalar;
    int32_t ptr[N + 1], ind[5 * N];
    void *val, *b;
    double wind, shift;
} sequence;

static double field(double x, double y, double t) {
    return exp(1.5 * sin(6 * x + t) * cos(5 * y - 0.7 * t) + 0.5 * sin(11 * x * y + 2 * t));
}

static void sequence_fill(sequence *q, int step) {
    const double t = 0.15 * step, h = 1.0 / (W + 1);
    int32_t k = 0;
    for (int32_t i = 0; i < N; ++i) {
        const double x = (i % W + 1) * h, y = (i / W + 1) * h;
        const double w = field(x - h / 2, y, t), e = field(x + h / 2, y, t), s = field(x, y - h / 2, t), n = field(x, y + h / 2, t);
        const double a = q->wind * h;
        const cplx shift = is_complex(q->scalar) ? q->shift * (1 + 0.5 * IMAG) : q->shift;
        q->ptr[i] = k;
        if (i / W > 0) q->ind[k] = i - W, put(q->scalar, q->val, k++, -s);
        if (i % W > 0) q->ind[k] = i - 1, put(q->scalar, q->val, k++, -w - a);
        q->ind[k] = i, put(q->scalar, q->val, k++, w + e + s + n + shift * h * h);
        if (i % W < W - 1) q->ind[k] = i + 1, put(q->scalar, q->val, k++, -e + a);
        if (i / W < W - 1) q->ind[k] = i + W, put(q->scalar, q->val, k++, -n);
        put(q->scalar, q->b, i, sin(3 * x + t) + y + (is_complex(q->scalar) ? IMAG * x * y : 0));
    }
    q->ptr[N] = k;
}
static sequence *sequence_make(rkn_scalar sc, double wind, double shift) {
    sequence *q = need(sizeof *q);
    *q = (sequence){.scalar = sc, .wind = wind, .shift = shift};
    q->val = vector_of(sc, 5 * N), q->b = vector_of(sc, N);
    sequence_fill(q, 0);
    return q;
}
static void sequence_free(sequence *q) { free(q->val), free(q->b), free(q); }
static rkn_operator *sequence_operator(const sequence *q) {
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_csr(NULL, q->scalar, N, N, RKN_I32, 0, q->ptr, q->ind, q->val, RKN_BORROW, &A));
    return A;
}
/* ||b - A x|| / ||b|| from the arrays */
static double residual(const sequence *q, const void *x) {
    double r2 = 0, b2 = 0;
    for (int i = 0; i < N; ++i) {
        cplx r = get(q->scalar, q->b, i);
        b2 += creal(r * conj(r));
        for (int32_t k = q->ptr[i]; k < q->ptr[i + 1]; ++k) r -= get(q->scalar, q->val, k) * get(q->scalar, x, q->ind[k]);
        r2 += creal(r * conj(r));
    }
    return sqrt(r2 / b2);
}

typedef struct setting {
    const char *method, *options;
    double wind, shift;
    int lags;    /* matters stay as they are for two steps of three */
} setting;
static const setting settings[] = {
    {"gcrodr", "restart=20 recycle=6", 3, 0, 0},
    {"gcrodr", "restart=20 recycle=6 basis=single side=left preconditioner=ilu0", 3, 0, 0},
    {"gcrodr", "restart=20 recycle=6 test_basis=search preconditioner='ilut drop_tolerance=1e-2'", 3, 0, 1},
    {"gcrodr", "restart=20 recycle=6 initial_guess=project", 0, 0, 1},
    {"rcg", "restart=20 recycle=6 preconditioner=ic0", 0, 0, 1},
    {"rbicgstab", "restart=20 recycle=6", 3, 0, 0},
    {"rbicgstab", "restart=20 recycle=6 preconditioner=ilu0 probe=on", 3, 0, 1},
    {"eigcg", "restart=20 recycle=6", 0, 0, 1},
    {"eigcg", "restart=20 recycle=6 preconditioner=ic0 probe=on", 0, 0, 0},
    {"rminres", "restart=30 recycle=10", 0, -90, 0},
    {"rminres", "restart=30 recycle=10 preconditioner=jacobi", 0, -90, 1},
    {"cg", "preconditioner=amg initial_guess=previous", 0, 0, 0},
    {"gmres", "initial_guess=project window=3", 3, 0, 0},
    {"gmres", "initial_guess=pod window=3", 3, 0, 1},
    {"bicgstab", "initial_guess=pod window=6", 3, 0, 0},
    {"idr", "initial_guess=previous", 3, 0, 0},
    {"auto", NULL, 3, 0, 0},
    {"auto", NULL, 0, 0, 1},
    {"auto", NULL, 0, -60, 0},
    {"auto", "preconditioner=ilu0", 3, 0, 0},
};
enum { SETTINGS = sizeof settings / sizeof *settings };
static int needs_real(const setting *t) { return t->shift != 0 || !strcmp(t->method, "rcg") || !strcmp(t->method, "eigcg"); }

/* Step `step` with solver s: the matrix changes, or not. */
static void advance(const setting *t, sequence *q, rkn_krylov *s, rkn_operator *A, int step, void *x) {
    sequence_fill(q, t->lags ? step / 3 * 3 : step);
    for (int i = 0; i < N; ++i) put(q->scalar, q->b, i, get(q->scalar, q->b, i) * (1 + 0.1 * step * sin(i)));
    if (step > 0 && !(t->lags && step % 3)) CHECK_OK(rkn_operator_changed(A));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, q->b, x));
    if (!CHECK(residual(q, x) < (is_single(q->scalar) ? 3e-3 : 2e-8))) printf("    %s %s\n", t->method, t->options ? t->options : "");
}

static rkn_krylov *setting_solver(const setting *t, rkn_scalar sc) {
    rkn_krylov *s = solver(t->method, t->options);
    if (is_single(sc)) CHECK_OK(rkn_krylov_set_real(s, "rtol", 1e-3));
    return s;
}

static void same(const setting *t, rkn_scalar sc, const char *what, const void *x, const void *y, const rkn_krylov *s, const rkn_krylov *z) {
    const int ok = CHECK(memcmp(x, y, N * size_of(sc)) == 0) & CHECK(count(s, "iterations") == count(z, "iterations"));
    if (!ok)
        printf("    %s: %s %s, scalar %d, %d and %d iterations\n", what, t->method, t->options ? t->options : "", (int)sc,
               (int)count(s, "iterations"), (int)count(z, "iterations"));
}

/* ---- first what is refused ---- */

static int32_t never(void *user, int64_t n, const void *x, int64_t m, void *y) {
    (void)n, (void)x, (void)m, (void)y;
    ++*(int *)user;
    return 7;
}
static int32_t poison(void *user, int64_t n, const void *x, int64_t m, void *y) {
    (void)user, (void)n, (void)x;
    for (int64_t i = 0; i < m; ++i) ((double *)y)[i] = NAN;
    return 0;
}

static void illegal(void) {
    sequence *q = sequence_make(RKN_F64, 3, 0);
    rkn_operator *A = sequence_operator(q);
    rkn_krylov *s = solver("gcrodr", "restart=20 recycle=6"), *t = GARBAGE;
    double *x = vector_of(RKN_F64, N), *U = vector_of(RKN_F64, 10 * N);
    int64_t need_ = -7;
    const char *f = "rkn_krylov_get_space";
    CHECK_REFUSED(rkn_krylov_get_space(NULL, RKN_F64, N, 0, NULL, N, &need_), RKN_ERR_NULL, f, "s");
    CHECK_REFUSED(rkn_krylov_get_space((rkn_krylov *)A, RKN_F64, N, 0, NULL, N, &need_), RKN_ERR_HANDLE, f, "s");
    CHECK_REFUSED(rkn_krylov_get_space(s, 9, N, 0, NULL, N, &need_), RKN_ERR_ARGUMENT, f, "scalar");
    CHECK_REFUSED(rkn_krylov_get_space(s, RKN_F64, -1, 0, NULL, N, &need_), RKN_ERR_SIZE, f, "n");
    CHECK_REFUSED(rkn_krylov_get_space(s, RKN_F64, N, -1, NULL, N, &need_), RKN_ERR_SIZE, f, "cap");
    CHECK(need_ == -7);
    CHECK(columns_of(s, RKN_F64, N) == 0);

    f = "rkn_krylov_save";
    CHECK_REFUSED(rkn_krylov_save(NULL, NULL, 0, &need_), RKN_ERR_NULL, f, "s");
    CHECK_REFUSED(rkn_krylov_save(s, NULL, 0, &need_), RKN_ERR_STATE, f, "s");
    CHECK_REFUSED(rkn_krylov_rollback(s), RKN_ERR_STATE, "rkn_krylov_rollback", "s");
    CHECK_REFUSED(rkn_krylov_mark(NULL), RKN_ERR_NULL, "rkn_krylov_mark", "s");
    CHECK_REFUSED(rkn_krylov_rollback(NULL), RKN_ERR_NULL, "rkn_krylov_rollback", "s");
    CHECK_OK(rkn_krylov_truncate(s, 3));
    CHECK_REFUSED(rkn_krylov_truncate(s, -3), RKN_ERR_SIZE, "rkn_krylov_truncate", "ncols");
    CHECK_REFUSED(rkn_krylov_truncate(NULL, 3), RKN_ERR_NULL, "rkn_krylov_truncate", "s");
    CHECK_REFUSED(rkn_krylov_clone(NULL, &t), RKN_ERR_NULL, "rkn_krylov_clone", "s");
    CHECK(t == NULL);
    CHECK_REFUSED(rkn_krylov_clone(s, NULL), RKN_ERR_NULL, "rkn_krylov_clone", "out");

    CHECK_OK(rkn_krylov_solve(s, A, NULL, q->b, x));
    const int64_t k = columns_of(s, RKN_F64, N);
    CHECK(k >= 6 && k <= 7 && k == count(s, "recycled"));
    f = "rkn_krylov_get_space";
    CHECK_REFUSED(rkn_krylov_get_space(s, RKN_F32, N, 10, U, N, NULL), RKN_ERR_SCALAR, f, "scalar");
    CHECK_REFUSED(rkn_krylov_get_space(s, RKN_F64, N, k - 1, U, N, NULL), RKN_ERR_SIZE, f, "cap");
    CHECK_REFUSED(rkn_krylov_get_space(s, RKN_F64, N - 1, k, U, N, NULL), RKN_ERR_SIZE, f, "n");
    CHECK_REFUSED(rkn_krylov_get_space(s, RKN_F64, N, k, U, N - 1, NULL), RKN_ERR_SIZE, f, "ldu");
    CHECK_REFUSED(rkn_krylov_get_space(s, RKN_F64, N, k, NULL, N, NULL), RKN_ERR_NULL, f, "U");

    f = "rkn_krylov_set_space";
    CHECK_REFUSED(rkn_krylov_set_space(NULL, RKN_F64, N, 1, U, N), RKN_ERR_NULL, f, "s");
    CHECK_REFUSED(rkn_krylov_set_space(s, -1, N, 1, U, N), RKN_ERR_ARGUMENT, f, "scalar");
    CHECK_REFUSED(rkn_krylov_set_space(s, RKN_F64, N, -1, U, N), RKN_ERR_SIZE, f, "ncols");
    CHECK_REFUSED(rkn_krylov_set_space(s, RKN_F64, N, 1, NULL, N), RKN_ERR_NULL, f, "U");
    CHECK_REFUSED(rkn_krylov_set_space(s, RKN_F64, N, 2, U, 1), RKN_ERR_SIZE, f, "ldu");
    U[N + 3] = INFINITY;
    CHECK_REFUSED(rkn_krylov_set_space(s, RKN_F64, N, 2, U, N), RKN_ERR_NONFINITE, f, "U");
    CHECK_SAYS("row 3 of column 1");
    U[N + 3] = 0;
    CHECK(columns_of(s, RKN_F64, N) == k);
    rkn_krylov *c = solver("cg", NULL);
    CHECK_REFUSED(rkn_krylov_set_space(c, RKN_F64, N, 1, U, N), RKN_ERR_UNSUPPORTED, f, "");
    CHECK_SAYS("gcrodr");
    rkn_krylov_destroy(c);

    int calls = 0;
    f = "rkn_krylov_prolongate";
    CHECK_REFUSED(rkn_krylov_prolongate(NULL, 5, never, &calls), RKN_ERR_NULL, f, "s");
    CHECK_REFUSED(rkn_krylov_prolongate(s, -5, never, &calls), RKN_ERR_SIZE, f, "n");
    CHECK_REFUSED(rkn_krylov_prolongate(s, 5, NULL, &calls), RKN_ERR_NULL, f, "prolongate");
    CHECK_REFUSED(rkn_krylov_prolongate(s, 5, never, &calls), RKN_ERR_CALLBACK, f, "prolongate");
    CHECK(calls == 1);
    CHECK_REFUSED(rkn_krylov_prolongate(s, 5, poison, NULL), RKN_ERR_NONFINITE, f, "");
    CHECK(columns_of(s, RKN_F64, N) == k);

    /* saved bytes: cut, damaged, of something else, for something else */
    f = "rkn_krylov_save";
    int64_t len = 0;
    CHECK_OK(rkn_krylov_save(s, NULL, 0, &len));
    unsigned char *bytes = need((size_t)len);
    CHECK_REFUSED(rkn_krylov_save(s, bytes, -1, NULL), RKN_ERR_SIZE, f, "cap");
    CHECK_REFUSED(rkn_krylov_save(s, bytes, len - 1, NULL), RKN_ERR_SIZE, f, "cap");
    CHECK_REFUSED(rkn_krylov_save(s, NULL, len, NULL), RKN_ERR_NULL, f, "buf");
    CHECK_OK(rkn_krylov_save(s, bytes, len, NULL));
    f = "rkn_krylov_load";
    t = solver("gcrodr", "restart=20 recycle=6");
    CHECK_REFUSED(rkn_krylov_load(NULL, A, NULL, bytes, len), RKN_ERR_NULL, f, "s");
    CHECK_REFUSED(rkn_krylov_load(t, NULL, NULL, bytes, len), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_krylov_load(t, A, NULL, NULL, len), RKN_ERR_NULL, f, "buf");
    CHECK_REFUSED(rkn_krylov_load(t, A, NULL, bytes, -1), RKN_ERR_SIZE, f, "len");
    CHECK_REFUSED(rkn_krylov_load(t, A, NULL, bytes, 0), RKN_ERR_FORMAT, f, "buf");
    for (int64_t cut = 1; cut < len; cut += 1 + cut) CHECK_REFUSED(rkn_krylov_load(t, A, NULL, bytes, cut), RKN_ERR_FORMAT, f, "buf");
    CHECK_REFUSED(rkn_krylov_load(t, A, NULL, bytes, len - 1), RKN_ERR_FORMAT, f, "buf");
    int refused = 0, tried = 0;
    for (int64_t at = 0; at < len; at += at < 400 ? 1 : len / 50) {
        bytes[at] ^= 0x10;
        ++tried, refused += rkn_krylov_load(t, A, NULL, bytes, len) != RKN_OK;
        bytes[at] ^= 0x10;
    }
    CHECK(refused == tried);
    bytes[6] ^= 2;
    CHECK_REFUSED(rkn_krylov_load(t, A, NULL, bytes, len), RKN_ERR_FORMAT, f, "buf");
    CHECK_SAYS("format 3");
    bytes[6] ^= 2;
    CHECK(columns_of(t, RKN_F64, N) == 0);
    CHECK_OK(rkn_krylov_load(t, A, NULL, bytes, len));
    CHECK(columns_of(t, RKN_F64, N) == k && count(t, "recycled") == k);
    CHECK_OK(rkn_krylov_set_int(t, "restart", 22));
    CHECK_REFUSED(rkn_krylov_load(t, A, NULL, bytes, len), RKN_ERR_STATE, f, "buf");
    CHECK_SAYS("restart = 20");
    CHECK(columns_of(t, RKN_F64, N) == k);
    rkn_krylov_destroy(t);
    t = solver("gmres", "restart=20");
    CHECK_REFUSED(rkn_krylov_load(t, A, NULL, bytes, len), RKN_ERR_STATE, f, "buf");
    rkn_krylov_destroy(t);
    t = solver("gcrodr", "restart=20 recycle=6");
    rkn_operator *B = NULL;
    CHECK_OK(rkn_operator_create_identity(NULL, RKN_F64, N - 1, &B));
    CHECK_REFUSED(rkn_krylov_load(t, B, NULL, bytes, len), RKN_ERR_SIZE, f, "A");
    rkn_operator_destroy(B);
    CHECK_OK(rkn_operator_create_identity(NULL, RKN_C64, N, &B));
    CHECK_REFUSED(rkn_krylov_load(t, B, NULL, bytes, len), RKN_ERR_SCALAR, f, "buf");
    rkn_operator_destroy(B);
    rkn_krylov_destroy(s), rkn_krylov_destroy(t), rkn_operator_destroy(A);
    sequence_free(q);
    free(x), free(U), free(bytes);
}

/* ---- a run that is saved, ended and resumed goes on bit for bit ---- */
static void resumed(void) {
    for (int m = 0; m < SETTINGS; ++m)
        for (int z = 0; z < 4; ++z) {
            const setting *t = &settings[m];
            const rkn_scalar sc = scalars[z];
            if (is_complex(sc) && needs_real(t)) continue;
            if (is_single(sc) && (t->shift != 0 || !strcmp(t->method, "idr"))) continue;
            sequence *q = sequence_make(sc, t->wind, t->shift), *p = sequence_make(sc, t->wind, t->shift);
            rkn_operator *A = sequence_operator(q), *B = NULL;
            rkn_krylov *s = setting_solver(t, sc), *r = setting_solver(t, sc);
            void *x = vector_of(sc, N), *y = vector_of(sc, N), *bytes = NULL;
            int64_t len = 0;
            for (int step = 0; step < STEPS; ++step) {
                advance(t, q, s, A, step, x);
                if (step + 1 == SAVED) {
                    CHECK_OK(rkn_krylov_save(s, NULL, 0, &len));
                    bytes = need((size_t)len);
                    CHECK_OK(rkn_krylov_save(s, bytes, len, NULL));
                    /* another process: its own arrays and handles, in the condition of the last solve */
                    sequence_fill(p, t->lags ? step / 3 * 3 : step);
                    B = sequence_operator(p);
                    CHECK_OK(rkn_krylov_load(r, B, NULL, bytes, len));
                } else if (step >= SAVED) {
                    advance(t, p, r, B, step, y);
                    same(t, sc, "resumed", x, y, s, r);
                }
            }
            rkn_krylov_destroy(s), rkn_krylov_destroy(r), rkn_operator_destroy(A), rkn_operator_destroy(B);
            sequence_free(q), sequence_free(p);
            free(x), free(y), free(bytes);
        }
}

/* ---- a clone goes its own way; rejected steps leave no trace ---- */
static void rolled_back(void) {
    for (int m = 0; m < SETTINGS; ++m) {
        const setting *t = &settings[m];
        sequence *q = sequence_make(RKN_F64, t->wind, t->shift), *other = sequence_make(RKN_F64, t->wind, t->shift);
        sequence_fill(other, 30);
        rkn_operator *A = sequence_operator(q), *B = sequence_operator(other);
        rkn_krylov *s = setting_solver(t, RKN_F64), *plain = setting_solver(t, RKN_F64), *copy = NULL;
        double *x = vector_of(RKN_F64, N), *y = vector_of(RKN_F64, N);
        CHECK_OK(rkn_krylov_mark(s));    /* before anything is known */
        CHECK_OK(rkn_krylov_solve(s, B, NULL, other->b, y));
        CHECK_OK(rkn_krylov_rollback(s));
        CHECK(columns_of(s, RKN_F64, N) == 0 && count(s, "recycled") == 0);
        for (int step = 0; step < STEPS; ++step) {
            advance(t, q, plain, A, step, x);
            CHECK_OK(rkn_krylov_solve(s, A, NULL, q->b, y));
            same(t, RKN_F64, "rolled back", x, y, plain, s);
            if (step == 2) CHECK_OK(rkn_krylov_clone(plain, &copy));
            if (step >= 3) {
                CHECK_OK(rkn_krylov_solve(copy, A, NULL, q->b, y));
                same(t, RKN_F64, "cloned", x, y, plain, copy);
            }
            CHECK_OK(rkn_krylov_mark(s));
            for (int k = 0; k < 2; ++k) CHECK_OK(rkn_krylov_solve(s, B, NULL, other->b, y));
            CHECK_OK(rkn_krylov_rollback(s));
            CHECK(count(s, "recycled") == count(plain, "recycled"));
        }
        CHECK_OK(rkn_krylov_forget(s));
        CHECK_REFUSED(rkn_krylov_rollback(s), RKN_ERR_STATE, "rkn_krylov_rollback", "s");
        rkn_krylov_destroy(s), rkn_krylov_destroy(plain), rkn_krylov_destroy(copy);
        rkn_operator_destroy(A), rkn_operator_destroy(B);
        sequence_free(q), sequence_free(other);
        free(x), free(y);
    }
}

/* ---- columns in and out: eigenvectors of the Laplacian are known ---- */
enum { L = 400, K = 8 };

static int32_t laplacian(void *user, rkn_trans op, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    (void)op;
    for (int64_t j = 0; j < ncols; ++j, ++*(int *)user)
        for (int i = 0; i < L; ++i) {
            const double *u = (const double *)x + j * ldx;
            ((double *)y + j * ldy)[i] = 2 * u[i] - (i ? u[i - 1] : 0) - (i < L - 1 ? u[i + 1] : 0);
        }
    return 0;
}

static void given(void) {
    static const char *const methods[] = {"gcrodr", "rbicgstab", "rcg", "eigcg", "rminres"};
    double *U = vector_of(RKN_F64, (L + 5) * K), *V = vector_of(RKN_F64, (L + 5) * K), b[L], x[L];
    for (int j = 0; j < K; ++j)
        for (int i = 0; i < L; ++i) U[j * (L + 5) + i] = (j + 1) * sin((j + 1) * (i + 1) * 3.14159265358979323846 / (L + 1));
    for (int i = 0; i < L; ++i) b[i] = uniform();
    int products = 0;
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, L, L, laplacian, &products, NULL, &A));
    CHECK_OK(rkn_operator_set_int(A, "hermitian", 1));
    for (int m = 0; m < 3; ++m) {
        rkn_krylov *s = solver(methods[m], "restart=60 recycle=8"), *t = solver(methods[m], "restart=60 recycle=8"), *u = NULL;
        CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        CHECK_OK(rkn_krylov_set_space(t, RKN_F64, L, K, U, L + 5));
        CHECK(count(t, "recycled") == K && columns_of(t, RKN_F64, L) == K);
        CHECK_OK(rkn_krylov_clone(t, &u));
        products = 0;
        CHECK_OK(rkn_krylov_solve(t, A, NULL, b, x));
        CHECK(products == count(t, "applies") && count(t, "recycle_applies") == K);
        /* eigenvalues 2 - 2 cos(j pi / (L + 1)): without the first eight sqrt(condition) is nine times smaller */
        const int64_t with = count(t, "iterations"), without = count(s, "iterations");
        if (!CHECK(with * 3 < without * 2)) printf("    %s: %d and %d iterations\n", methods[m], (int)with, (int)without);
        CHECK_OK(rkn_krylov_solve(u, A, NULL, b, x));
        CHECK(count(u, "iterations") == with);
        /* out again: what one solver learned helps another; truncated to nothing it does not */
        int64_t k = 0;
        CHECK_OK(rkn_krylov_get_space(t, RKN_F64, L, K, V, L + 5, &k));
        CHECK(k >= K - 1);
        rkn_krylov_destroy(u);
        u = solver(methods[m], "restart=60 recycle=8");
        CHECK_OK(rkn_krylov_set_space(u, RKN_F64, L, k, V, L + 5));
        CHECK_OK(rkn_krylov_solve(u, A, NULL, b, x));
        CHECK(count(u, "iterations") <= with + 2);
        CHECK_OK(rkn_krylov_truncate(u, 2));
        CHECK(count(u, "recycled") == 2 && columns_of(u, RKN_F64, L) == 2);
        CHECK_OK(rkn_krylov_solve(u, A, NULL, b, x));
        rkn_krylov_destroy(u);
        u = solver(methods[m], "restart=60 recycle=8");
        CHECK_OK(rkn_krylov_set_space(u, RKN_F64, L, k, V, L + 5));
        CHECK_OK(rkn_krylov_set_space(u, RKN_F64, L, 0, NULL, 0));
        CHECK_OK(rkn_krylov_solve(u, A, NULL, b, x));
        CHECK(count(u, "iterations") == without && count(u, "recycle_applies") == 0);
        /* linearly dependent columns count once, too many are left */
        for (int j = 1; j < K; ++j) memcpy(V + j * (L + 5), V, L * sizeof *V);
        CHECK_OK(rkn_krylov_set_space(u, RKN_F64, L, K, V, L + 5));
        CHECK_OK(rkn_krylov_solve(u, A, NULL, b, x));
        CHECK_OK(rkn_krylov_set_int(u, "recycle", 3));
        CHECK_OK(rkn_krylov_set_space(u, RKN_F64, L, K, U, L + 5));
        CHECK_OK(rkn_krylov_solve(u, A, NULL, b, x));
        CHECK(count(u, "recycle_applies") == 3);
        /* of another length than the system */
        CHECK_OK(rkn_krylov_set_space(u, RKN_F64, L - 1, 2, U, L + 5));
        CHECK_REFUSED(rkn_krylov_solve(u, A, NULL, b, x), RKN_ERR_SIZE, "rkn_krylov_solve", "A");
        CHECK_OK(rkn_krylov_forget(u));
        CHECK_OK(rkn_krylov_solve(u, A, NULL, b, x));
        /* new arrays take the space over */
        const int64_t held = count(t, "recycled");
        CHECK_OK(rkn_krylov_set_int(t, "restart", 50));
        CHECK_OK(rkn_krylov_solve(t, A, NULL, b, x));
        CHECK(count(t, "recycle_applies") == (held < K ? held : K) && count(t, "iterations") * 3 < without * 2);
        rkn_krylov_destroy(s), rkn_krylov_destroy(t), rkn_krylov_destroy(u);
    }
    rkn_operator_destroy(A);
    free(U), free(V);
}

/* ---- onto another mesh: interpolation from m to 2 m + 1 points ---- */
static int32_t interpolate(void *user, int64_t n, const void *x, int64_t m, void *y) {
    const double *u = x;
    double *v = y;
    ++*(int *)user;
    if (m != 2 * n + 1) return 3;
    for (int64_t i = 0; i < m; ++i)
        v[i] = i % 2 ? u[i / 2] : 0.5 * ((i ? u[i / 2 - 1] : 0) + (i < m - 1 ? u[i / 2] : 0));
    return 0;
}
static rkn_operator *tridiagonal(int n) {
    int32_t *ptr = need(sizeof(int32_t) * (size_t)(n + 1)), *ind = need(sizeof(int32_t) * 3 * (size_t)n), k = 0;
    double *val = vector_of(RKN_F64, 3 * n);
    rkn_operator *A = NULL;
    for (int i = 0; i < n; ++i) {
        for (int j = i - 1; j <= i + 1; ++j)
            if (j >= 0 && j < n) ind[k] = j, val[k++] = i == j ? 2 : -1;
        ptr[i + 1] = k;
    }
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, n, n, RKN_I32, 0, ptr, ind, val, RKN_COPY, &A));
    free(ptr), free(ind), free(val);
    return A;
}

static void prolongated(void) {
    enum { COARSE = 150, FINE = 301 };
    static const char *const methods[] = {"gcrodr", "rcg", "rminres"};
    rkn_operator *coarse = tridiagonal(COARSE), *fine = tridiagonal(FINE);
    double b[FINE], c[FINE], x[FINE];
    for (int i = 0; i < FINE; ++i) b[i] = uniform(), c[i] = uniform();
    for (int m = 0; m < 3; ++m) {
        rkn_krylov *s = solver(methods[m], "restart=40 recycle=8 initial_guess=project"), *t = solver(methods[m], "restart=40 recycle=8");
        int calls = 0;
        CHECK_OK(rkn_krylov_prolongate(t, FINE, interpolate, &calls));
        CHECK(calls == 0);    /* nothing learned, nothing to carry */
        for (int k = 0; k < 2; ++k) CHECK_OK(rkn_krylov_solve(s, coarse, NULL, k ? b : c, x));
        const int64_t held = columns_of(s, RKN_F64, COARSE);
        CHECK_OK(rkn_krylov_prolongate(s, FINE, interpolate, &calls));
        CHECK(calls == held + 2);    /* and two solutions */
        CHECK(columns_of(s, RKN_F64, FINE) == held && count(s, "recycled") == held);
        CHECK_OK(rkn_krylov_solve(s, fine, NULL, b, x));
        CHECK_OK(rkn_krylov_solve(t, fine, NULL, b, x));
        if (!CHECK(count(s, "iterations") * 4 < count(t, "iterations") * 3))
            printf("    %s: %d iterations with the coarse space, %d without\n", methods[m], (int)count(s, "iterations"), (int)count(t, "iterations"));
        rkn_krylov_destroy(s), rkn_krylov_destroy(t);
    }
    rkn_operator_destroy(coarse), rkn_operator_destroy(fine);
}

/* ---- what the memory looks like: a diagonal matrix, whose eigenvalues are its entries ---- */
static double real_of(const rkn_krylov *s, const char *key) {
    double v = NAN;
    CHECK_OK(rkn_krylov_get_real(s, key, &v));
    return v;
}

static void diagnosed(void) {
    enum { n = 600, k = 6 };
    static const char *const methods[] = {"gcrodr", "rcg", "rminres"};
    double d[n], b[n], x[n], re[k + 1], im[k + 1], angles[k + 1];
    for (int i = 0; i < n; ++i) d[i] = i < k ? 0.01 * (i + 1) : 1 + (double)i / n, b[i] = uniform();
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_diagonal(NULL, RKN_F64, n, d, RKN_BORROW, &A));
    CHECK_OK(rkn_operator_set_int(A, "hermitian", 1));
    for (int m = 0; m < 3; ++m) {
        rkn_krylov *s = solver(methods[m], "restart=40 recycle=6 rtol=1e-10");
        int64_t count_ = -1;
        CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        CHECK_OK(rkn_krylov_ritz_values(s, NULL, NULL, 0, &count_));
        CHECK(count_ == 0);    /* not asked for */
        CHECK_OK(rkn_krylov_set_string(s, "diagnostics", "on"));
        for (int again = 0; again < 3; ++again) {
            for (int i = 0; i < n; ++i) b[i] = uniform();
            if (again == 2) CHECK_OK(rkn_krylov_forget(s));
            CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        }
        CHECK_OK(rkn_krylov_ritz_values(s, re, im, k + 1, &count_));
        CHECK(count_ == k);
        for (int j = 0; j < k; ++j)
            if (!CHECK(fabs(re[j] - d[j]) < 1e-6 && fabs(im[j]) < 1e-6)) printf("    %s: Ritz value %g + %g i, eigenvalue %g\n", methods[m], re[j], im[j], d[j]);
        /* another solve with the same matrix: the space stays what it was */
        for (int i = 0; i < n; ++i) b[i] = uniform();
        CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        CHECK_OK(rkn_krylov_angles(s, angles, k + 1, &count_));
        if (count_) CHECK(count_ == k && angles[0] >= 0 && angles[k - 1] < 1e-3);
        /* half of the space replaced by vectors at right angles to all that matters: as many angles are right */
        double *U = vector_of(RKN_F64, n * k);
        for (int j = 0; j < k; ++j) U[j * n + (j < 3 ? j : n - 1 - j)] = 1;
        CHECK_OK(rkn_krylov_forget(s));
        CHECK_OK(rkn_krylov_set_space(s, RKN_F64, n, k, U, n));
        CHECK_OK(rkn_krylov_set_int(s, "restart", 60));
        CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        CHECK_OK(rkn_krylov_angles(s, angles, k + 1, &count_));
        if (!CHECK(count_ == k && angles[2] < 1e-3 && angles[3] > 1.5))
            printf("    %s: %d angles, %g %g %g %g %g %g\n", methods[m], (int)count_, angles[0], angles[1], angles[2], angles[3], angles[4], angles[5]);
        CHECK_REFUSED(rkn_krylov_angles(s, angles, k - 1, NULL), RKN_ERR_SIZE, "rkn_krylov_angles", "cap");
        CHECK_REFUSED(rkn_krylov_angles(NULL, angles, k, NULL), RKN_ERR_NULL, "rkn_krylov_angles", "s");
        CHECK_REFUSED(rkn_krylov_ritz_values(s, re, NULL, k, NULL), RKN_ERR_NULL, "rkn_krylov_ritz_values", "im");
        char text[4000];
        CHECK_OK(rkn_krylov_report(s, text, sizeof text, NULL));
        CHECK(strstr(text, methods[m]) && strstr(text, "converged") && strstr(text, "Ritz values of 6") && strstr(text, "angles"));
        free(U);
        rkn_krylov_destroy(s);
    }
    rkn_operator_destroy(A);
    CHECK_REFUSED(rkn_krylov_report(NULL, NULL, 0, NULL), RKN_ERR_NULL, "rkn_krylov_report", "s");

    /* what is promised about orthogonality: to the rounding of the stored precision; in one pass nothing */
    sequence *q = sequence_make(RKN_F64, 30, 0);
    A = sequence_operator(q);
    double *y = vector_of(RKN_F64, N);
    for (int m = 0; m < 2; ++m) {
        static const char *const options[] = {"restart=100 diagnostics=on rtol=1e-12", "restart=100 diagnostics=on rtol=1e-12 orthogonalization=once",
                                              "restart=100 diagnostics=on basis=single"};
        double loss[3];
        for (int o = 0; o < 3; ++o) {
            rkn_krylov *s = solver(m ? "gcrodr" : "gmres", options[o]);
            CHECK_OK(rkn_krylov_solve(s, A, NULL, q->b, y));
            loss[o] = real_of(s, "orthogonality_loss");
            rkn_krylov_destroy(s);
        }
        if (!CHECK(loss[0] > 0 && loss[0] < 1e-13 && loss[1] > 10 * loss[0] && loss[2] > 1e-9 && loss[2] < 3e-6))
            printf("    %s: %.1e delayed, %.1e once, %.1e in single precision\n", m ? "gcrodr" : "gmres", loss[0], loss[1], loss[2]);
    }
    /* auto says what it weighed */
    rkn_krylov *s = solver("auto", NULL);
    char text[4000];
    CHECK_OK(rkn_krylov_solve(s, A, NULL, q->b, y));
    CHECK_OK(rkn_krylov_report(s, text, sizeof text, NULL));
    CHECK(strstr(text, "576 rows") && strstr(text, "complete factors") && strstr(text, "attempt 1: ") && strstr(text, "iterations: converged"));
    rkn_krylov_destroy(s), rkn_operator_destroy(A);
    sequence_free(q), free(y);
}

/* A preconditioner of the caller's: what may refresh it, and how that fails. */
typedef struct owned {
    const double *d;
    double inverse[50];
    int refreshes, released, fails;
} owned;
static int32_t owned_apply(void *user, rkn_trans op, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    (void)op;
    for (int64_t j = 0; j < ncols; ++j)
        for (int i = 0; i < 50; ++i) ((double *)y)[j * ldy + i] = ((owned *)user)->inverse[i] * ((const double *)x)[j * ldx + i];
    return 0;
}
static int32_t owned_refresh(void *user) {
    owned *o = user;
    ++o->refreshes;
    for (int i = 0; i < 50; ++i) o->inverse[i] = 1 / o->d[i];
    return o->fails;
}
static void owned_release(void *user) { ++((owned *)user)->released; }

static void refreshed(void) {
    double d[50], b[50], x[50];
    owned o = {d, {0}, 0, 0, 0};
    rkn_operator *A = NULL, *M = NULL;
    for (int i = 0; i < 50; ++i) d[i] = 1 + i * i, b[i] = 1;
    CHECK_OK(rkn_operator_create_diagonal(NULL, RKN_F64, 50, d, RKN_BORROW, &A));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, 50, 50, owned_apply, &o, NULL, &M));
    const char *f = "rkn_operator_set_refresh";
    CHECK_REFUSED(rkn_operator_set_refresh(NULL, owned_refresh, &o, owned_release), RKN_ERR_NULL, f, "M");
    CHECK_REFUSED(rkn_operator_set_refresh(A, owned_refresh, &o, owned_release), RKN_ERR_STATE, f, "");
    CHECK(o.released == 0);
    CHECK_OK(rkn_operator_set_refresh(M, owned_refresh, &o, owned_release));
    CHECK_OK(rkn_operator_changed(M));
    CHECK(o.refreshes == 1);
    rkn_krylov *s = solver("cg", NULL), *t = solver("auto", "initial_guess=zero");
    CHECK_OK(rkn_krylov_solve(s, A, M, b, x));
    CHECK(count(s, "iterations") == 1 && o.refreshes == 1);    /* only "auto" calls it by itself */
    CHECK_OK(rkn_krylov_solve(t, A, M, b, x));
    CHECK(count(t, "iterations") == 1 && o.refreshes == 2);
    CHECK_OK(rkn_krylov_solve(t, A, M, b, x));
    CHECK(o.refreshes == 2);    /* nothing has changed */
    for (int i = 0; i < 50; ++i) d[i] = 1 + (49 - i) * (49 - i);
    CHECK_OK(rkn_operator_changed(A));
    CHECK_OK(rkn_krylov_solve(t, A, M, b, x));
    CHECK(o.refreshes == 3);    /* the old one was hopeless */
    for (int i = 0; i < 50; ++i) CHECK(fabs(x[i] * d[i] - 1) < 1e-7);
    o.fails = 5;
    CHECK_REFUSED(rkn_operator_changed(M), RKN_ERR_CALLBACK, "rkn_operator_changed", "refresh");
    CHECK_OK(rkn_krylov_forget(t));
    CHECK_REFUSED(rkn_krylov_solve(t, A, M, b, x), RKN_ERR_CALLBACK, "rkn_krylov_solve", "refresh");
    CHECK(count(t, "callback_status") == 5);
    CHECK_OK(rkn_operator_set_refresh(M, NULL, NULL, NULL));
    CHECK(o.released == 1);
    CHECK_OK(rkn_krylov_solve(t, A, M, b, x));
    rkn_krylov_destroy(s), rkn_krylov_destroy(t), rkn_operator_destroy(A), rkn_operator_destroy(M);
}

/* An operator announced as changed that has not: found out by one apply. */
static void probed(void) {
    double b[L], x[L];
    int products = 0;
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, L, L, laplacian, &products, NULL, &A));
    for (int probe = 0; probe < 2; ++probe) {
        rkn_krylov *s = solver("gcrodr", probe ? "restart=60 recycle=8 probe=on" : "restart=60 recycle=8");
        for (int step = 0; step < 4; ++step) {
            for (int i = 0; i < L; ++i) b[i] = uniform();
            CHECK_OK(rkn_operator_changed(A));
            CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
            if (step && !CHECK(count(s, "recycle_applies") == (probe ? 1 : count(s, "recycled"))))
                printf("    probe %d: %d applies for %d vectors\n", probe, (int)count(s, "recycle_applies"), (int)count(s, "recycled"));
        }
        rkn_krylov_destroy(s);
    }
    rkn_operator_destroy(A);
    /* one that does change is not taken for the old one */
    sequence *q = sequence_make(RKN_F64, 3, 0);
    A = sequence_operator(q);
    double *y = vector_of(RKN_F64, N);
    rkn_krylov *s = solver("gcrodr", "restart=20 recycle=6 probe=on");
    for (int step = 0; step < 8; ++step) {
        sequence_fill(q, step);
        CHECK_OK(rkn_operator_changed(A));
        CHECK_OK(rkn_krylov_solve(s, A, NULL, q->b, y));
        CHECK(residual(q, y) < 2e-8);
        if (step) CHECK(count(s, "recycle_applies") >= 6);
        if (step == 4) CHECK(count(s, "recycle_applies") <= 7);    /* seldom tried where it was in vain */
    }
    rkn_krylov_destroy(s), rkn_operator_destroy(A);
    sequence_free(q), free(y);
}

/* ---- from inside a solve ---- */
typedef struct inside {
    rkn_krylov *s;
    int calls;
} inside;
static int32_t look(void *user, const rkn_progress *p) {
    inside *in = user;
    rkn_krylov *t = NULL;
    int64_t v = 0;
    if (p->iteration == 1) {
        ++in->calls;
        CHECK_STATUS(rkn_krylov_save(in->s, NULL, 0, &v), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_get_space(in->s, RKN_F64, N, 0, NULL, N, &v), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_mark(in->s), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_rollback(in->s), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_truncate(in->s, 0), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_clone(in->s, &t), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_space(in->s, RKN_F64, N, 0, NULL, N), RKN_ERR_BUSY);
    }
    return 0;
}

static void inside_a_solve(void) {
    sequence *q = sequence_make(RKN_F64, 3, 0);
    rkn_operator *A = sequence_operator(q);
    inside in = {solver("gcrodr", NULL), 0};
    double *x = vector_of(RKN_F64, N);
    CHECK_OK(rkn_krylov_set_monitor(in.s, look, &in, NULL));
    CHECK_OK(rkn_krylov_solve(in.s, A, NULL, q->b, x));
    CHECK(in.calls == 1);
    rkn_krylov_destroy(in.s), rkn_operator_destroy(A);
    sequence_free(q), free(x);
}

int main(void) {
    illegal();
    resumed();
    rolled_back();
    given();
    prolongated();
    diagnosed();
    refreshed();
    probed();
    inside_a_solve();
    return done();
}
