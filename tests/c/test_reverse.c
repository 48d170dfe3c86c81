/* Solving by requests: the same bits as by callbacks, and every way in which a host can misbehave in between. */
#define _GNU_SOURCE
#include "check.h"
#include <dirent.h>
#include <fenv.h>
#include <pthread.h>
#include <unistd.h>

#define GARBAGE ((void *)(uintptr_t)0x51)
#define START "rkn_krylov_start"
#define NEXT "rkn_krylov_next"

static const char *const methods[] = {"auto", "cg", "minres", "gmres", "bicgstab", "gcrodr"};
enum { METHODS = sizeof methods / sizeof *methods };

static rkn_krylov *solver(const rkn_context *ctx, const char *method, const char *options) {
    rkn_krylov *s = NULL;
    CHECK_OK(rkn_krylov_create(ctx, method, &s));
    CHECK_OK(rkn_krylov_set_options(s, options));
    return s;
}
static int64_t count(const rkn_krylov *s, const char *key) {
    int64_t v = -1;
    CHECK_OK(rkn_krylov_get_int(s, key, &v));
    return v;
}
/* Threads of this process, after those that have ended are gone from the table. */
static int threads(void) {
    int n = 0;
    for (int wait = 0; wait < 100; ++wait) {
        DIR *tasks = opendir("/proc/self/task");
        if (!tasks) return 1;
        n = 0;
        for (const struct dirent *e; (e = readdir(tasks));) n += e->d_name[0] != '.';
        closedir(tasks);
        if (n == 1) break;
        usleep(1000);
    }
    return n;
}

/* ---- the problem: tridiag(-1, 2 + loss, -1), and its diagonal as a preconditioner ---- */
typedef struct rod {
    rkn_scalar scalar;
    int64_t n;
    double loss;
    int products;
} rod;

static void rod_apply(rod *p, int is_inverse, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    ++p->products;
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < p->n; ++i) {
            const int64_t at = i + j * ldx;
            cplx v = get(p->scalar, x, at);
            if (is_inverse)
                v /= 2 + p->loss + 0.1 * (double)(i % 3);
            else {
                v *= 2 + p->loss + 0.1 * (double)(i % 3);
                if (i > 0) v -= get(p->scalar, x, at - 1);
                if (i < p->n - 1) v -= get(p->scalar, x, at + 1);
            }
            put(p->scalar, y, i + j * ldy, v);
        }
}
static int32_t forward(void *user, rkn_trans t, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    (void)t;
    rod_apply(user, 0, ncols, x, ldx, y, ldy);
    return 0;
}
static int32_t backward(void *user, rkn_trans t, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    (void)t;
    rod_apply(user, 1, ncols, x, ldx, y, ldy);
    return 0;
}
static void serve(rod *p, const rkn_request *r) {
    CHECK(r->size == sizeof *r && r->scalar == p->scalar && r->nx == p->n && r->ny == p->n && r->ncols > 0);
    rod_apply(p, r->kind == RKN_REQUEST_PRECONDITION, r->ncols, r->x, r->ldx, r->y, r->ldy);
}

/* The operators by callback and by request. */
typedef struct pair {
    rkn_operator *A, *M;
} pair;
static pair by_callback(rod *p) {
    pair c = {NULL, NULL};
    CHECK_OK(rkn_operator_create_callback(NULL, p->scalar, p->n, p->n, forward, p, NULL, &c.A));
    CHECK_OK(rkn_operator_create_callback(NULL, p->scalar, p->n, p->n, backward, p, NULL, &c.M));
    return c;
}
static pair by_request(const rkn_context *ctx, const rod *p) {
    pair r = {NULL, NULL};
    CHECK_OK(rkn_operator_create_request(ctx, p->scalar, p->n, p->n, RKN_REQUEST_APPLY, &r.A));
    CHECK_OK(rkn_operator_create_request(ctx, p->scalar, p->n, p->n, RKN_REQUEST_PRECONDITION, &r.M));
    return r;
}
static void pair_destroy(pair p) { rkn_operator_destroy(p.A), rkn_operator_destroy(p.M); }

/* Serves a solve to its end; the k-th request (from 1) fails with `value`. */
static rkn_status drive(rkn_krylov *s, rod *p, int fail_at, int32_t value, int *asked) {
    const rkn_request *r = NULL;
    rkn_status rc;
    int k = 0, fails = 0;
    for (;;) {
        rc = rkn_krylov_next(s, fails ? value : 0, &r);
        if (!CHECK(r != NULL) || r->kind == RKN_REQUEST_DONE) break;
        CHECK(rc == RKN_OK);
        fails = ++k == fail_at;
        if (!fails) serve(p, r);
    }
    if (asked) *asked = k;
    return rc;
}

/* ---- illegal input ---- */

static void illegal(void) {
    enum { n = 5 };
    rod p = {RKN_F64, n, 0, 0};
    rkn_operator *const mark = (rkn_operator *)GARBAGE;
    rkn_operator *A = mark, *R = NULL, *W = NULL;
    const rkn_request *r = NULL;
    double b[n] = {1, 1, 1, 1, 1}, x[n] = {7, 7, 7, 7, 7};
    rkn_krylov *s = solver(NULL, "gmres", "rtol=1e-10");

    static const char *const create = "rkn_operator_create_request";
    CHECK_REFUSED(rkn_operator_create_request(NULL, RKN_F64, n, n, RKN_REQUEST_APPLY, NULL), RKN_ERR_NULL, create, "out");
    CHECK_REFUSED(rkn_operator_create_request(NULL, RKN_F64, -1, n, RKN_REQUEST_APPLY, &A), RKN_ERR_SIZE, create, "nrows");
    CHECK(A == NULL);
    CHECK_REFUSED(rkn_operator_create_request(NULL, RKN_F64, n, INT64_MAX, RKN_REQUEST_APPLY, &A), RKN_ERR_SIZE, create, "ncols");
    CHECK_REFUSED(rkn_operator_create_request(NULL, 9, n, n, RKN_REQUEST_APPLY, &A), RKN_ERR_ARGUMENT, create, "scalar");
    CHECK_REFUSED(rkn_operator_create_request((rkn_context *)GARBAGE, RKN_F64, n, n, RKN_REQUEST_APPLY, &A), RKN_ERR_HANDLE, create, "ctx");
    static const int32_t kinds[] = {INT32_MIN, -1, RKN_REQUEST_DONE, RKN_REQUEST_REDUCE, 4, RKN_REQUEST_USER - 1};
    for (size_t q = 0; q < sizeof kinds / sizeof *kinds; ++q)
        CHECK_REFUSED(rkn_operator_create_request(NULL, RKN_F64, n, n, kinds[q], &A), RKN_ERR_ARGUMENT, create, "kind");
    CHECK_REFUSED(rkn_context_set_reduce_request(NULL), RKN_ERR_NULL, "rkn_context_set_reduce_request", "ctx");
    CHECK_REFUSED(rkn_context_set_reduce_request((rkn_context *)GARBAGE), RKN_ERR_HANDLE, "rkn_context_set_reduce_request", "ctx");

    /* nothing under way */
    CHECK_REFUSED(rkn_krylov_next(s, 0, NULL), RKN_ERR_NULL, NEXT, "request");
    CHECK_REFUSED(rkn_krylov_next(NULL, 0, &r), RKN_ERR_NULL, NEXT, "s");
    CHECK(r && r->kind == RKN_REQUEST_DONE && r->size == sizeof *r);
    CHECK_REFUSED(rkn_krylov_next((rkn_krylov *)GARBAGE, 0, &r), RKN_ERR_HANDLE, NEXT, "s");
    r = NULL;
    CHECK_REFUSED(rkn_krylov_next(s, 0, &r), RKN_ERR_STATE, NEXT, "");
    CHECK(r && r->kind == RKN_REQUEST_DONE);
    CHECK_OK(rkn_krylov_cancel(s));
    CHECK_REFUSED(rkn_krylov_cancel(NULL), RKN_ERR_NULL, "rkn_krylov_cancel", "s");

    /* who starts wrongly has not started */
    CHECK_OK(rkn_operator_create_request(NULL, RKN_F64, n, n, RKN_REQUEST_APPLY, &R));
    CHECK_OK(rkn_operator_create_request(NULL, RKN_F64, n, n + 1, RKN_REQUEST_USER, &W));
    CHECK_REFUSED(rkn_krylov_start(NULL, R, NULL, b, x), RKN_ERR_NULL, START, "s");
    CHECK_REFUSED(rkn_krylov_start(s, NULL, NULL, b, x), RKN_ERR_NULL, START, "A");
    CHECK_REFUSED(rkn_krylov_start(s, (rkn_operator *)GARBAGE, NULL, b, x), RKN_ERR_HANDLE, START, "A");
    CHECK_REFUSED(rkn_krylov_start(s, R, (rkn_operator *)GARBAGE, b, x), RKN_ERR_HANDLE, START, "M");
    CHECK_REFUSED(rkn_krylov_start(s, R, NULL, NULL, x), RKN_ERR_NULL, START, "b");
    CHECK_REFUSED(rkn_krylov_start(s, R, NULL, b, NULL), RKN_ERR_NULL, START, "x");
    CHECK_REFUSED(rkn_krylov_start(s, R, NULL, x, x), RKN_ERR_ARGUMENT, START, "x");
    CHECK_REFUSED(rkn_krylov_start_prepare(s, NULL, NULL), RKN_ERR_NULL, "rkn_krylov_start_prepare", "A");
    CHECK_STATUS(rkn_krylov_next(s, 0, &r), RKN_ERR_STATE);
    CHECK(threads() == 1);

    /* what the solver itself finds comes with the first step */
    CHECK_OK(rkn_krylov_start(s, W, NULL, b, x));
    CHECK_REFUSED(rkn_krylov_next(s, 0, &r), RKN_ERR_SIZE, NEXT, "A");
    CHECK(r->kind == RKN_REQUEST_DONE && count(s, "status") == RKN_ERR_SIZE);
    b[2] = NAN;
    CHECK_OK(rkn_krylov_start(s, R, NULL, b, x));
    CHECK_REFUSED(rkn_krylov_next(s, 0, &r), RKN_ERR_NONFINITE, NEXT, "b");
    b[2] = 1;
    for (int i = 0; i < n; ++i) CHECK(x[i] == 7);

    /* a failure before there was a request */
    CHECK_OK(rkn_krylov_start(s, R, NULL, b, x));
    CHECK_REFUSED(rkn_krylov_next(s, 3, &r), RKN_ERR_ARGUMENT, NEXT, "failed");
    CHECK_OK(drive(s, &p, 0, 0, NULL));

    /* nobody to ask */
    CHECK_REFUSED(rkn_operator_apply(R, RKN_N, 1, b, n, x, n), RKN_ERR_STATE, "rkn_operator_apply", "");
    CHECK_SAYS("rkn_krylov_start");
    CHECK_REFUSED(rkn_krylov_solve(s, R, NULL, b, x), RKN_ERR_STATE, "rkn_krylov_solve", "");
    CHECK_STATUS(rkn_operator_create_preconditioner(NULL, R, "chebyshev", &A), RKN_ERR_STATE);
    CHECK_STATUS(rkn_operator_create_preconditioner(NULL, R, "ilu0", &A), RKN_ERR_UNSUPPORTED);
    rkn_krylov_destroy(s), rkn_operator_destroy(R), rkn_operator_destroy(W);
}

/* ---- the same bits ---- */

static int is_equal(rkn_scalar scalar, int64_t n, const void *x, const void *y) {
    return memcmp(x, y, (size_t)n * size_of(scalar)) == 0;
}

static void same_solves(rkn_krylov *s, rkn_krylov *t) {
    static const char *const keys[] = {"iterations", "applies", "recycle_applies", "verify_applies", "preconditioner_applies", "restarts",
                                       "reductions", "recycled", "solves", "status", "callback_status"};
    for (size_t q = 0; q < sizeof keys / sizeof *keys; ++q)
        if (!CHECK(count(s, keys[q]) == count(t, keys[q]))) printf("    %s\n", keys[q]);
    double a[300], b[300];
    int64_t na = 0, nb = 0;
    CHECK_OK(rkn_krylov_history(s, a, 300, &na));
    CHECK_OK(rkn_krylov_history(t, b, 300, &nb));
    CHECK(na == nb && memcmp(a, b, (size_t)na * sizeof *a) == 0);
}

/* A sequence of systems, by callback and by request, in one scalar. */
static void sequence(rkn_scalar scalar, const char *method, const char *options, int has_m) {
    enum { n = 80 };
    rod p = {scalar, n, 0.01, 0}, q = p;
    void *b = vector_of(scalar, n), *x = vector_of(scalar, n), *y = vector_of(scalar, n);
    const pair c = by_callback(&p), r = by_request(NULL, &q);
    rkn_krylov *s = solver(NULL, method, options), *t = solver(NULL, method, options);
    const pair both[2] = {c, r};
    for (int i = 0; i < 2; ++i) {
        CHECK_OK(rkn_operator_set_int(both[i].A, "hermitian", 1));
        CHECK_OK(rkn_operator_set_int(both[i].M, "hermitian", 1));
    }
    for (int step = 0; step < 4; ++step) {
        for (int64_t i = 0; i < n; ++i) put(scalar, b, i, any(scalar));
        p.loss = q.loss = 0.01 + 0.002 * step;
        if (step != 2) {    /* once nothing changes */
            CHECK_OK(rkn_operator_changed(c.A));
            CHECK_OK(rkn_operator_changed(r.A));
        }
        const rkn_status rc = rkn_krylov_solve(s, c.A, has_m ? c.M : NULL, b, x);
        CHECK_OK(rkn_krylov_start(t, r.A, has_m ? r.M : NULL, b, y));
        const rkn_status end = drive(t, &q, 0, 0, NULL);
        if (!CHECK(rc >= 0 && rc == end && is_equal(scalar, n, x, y) && p.products == q.products))
            printf("    %s '%s' scalar %d step %d: %s, %s\n", method, options, scalar, step, rkn_status_name(rc), rkn_last_error());
        same_solves(s, t);
    }
    rkn_krylov_destroy(s), rkn_krylov_destroy(t);
    pair_destroy(c), pair_destroy(r);
    free(b), free(x), free(y);
}

static void same_bits(void) {
    for (int m = 0; m < METHODS; ++m)
        for (int k = 0; k < 4; ++k)
            for (int has_m = 0; has_m < 2; ++has_m) {
                const char *const tight = is_single(scalars[k]) ? "rtol=1e-4 max_iterations=200" : "rtol=1e-10 max_iterations=200";
                sequence(scalars[k], methods[m], tight, has_m);
            }
    static const char *const variants[] = {"restart=12 recycle=4", "restart=12 recycle=4 side=left", "restart=20 recycle=6 initial_guess=previous",
                                           "restart=20 recycle=6 initial_guess=project", "restart=12 recycle=4 basis=single"};
    for (size_t v = 0; v < sizeof variants / sizeof *variants; ++v)
        for (int has_m = 0; has_m < 2; ++has_m) sequence(RKN_F64, "gcrodr", variants[v], has_m);
    sequence(RKN_F64, "cg", "preconditioner=chebyshev rtol=1e-8", 0);
    sequence(RKN_F64, "gmres", "max_iterations=5", 1);
}

/* Operators of other kinds beside those by request, and within them. */
static void mixed(void) {
    enum { n = 60, OWN = RKN_REQUEST_USER + 7 };
    rod p = {RKN_F64, n, 0.02, 0};
    poisson P = poisson_make(n);
    rkn_operator *C = poisson_operator(&P), *I = NULL, *J = NULL, *S = NULL, *M = NULL;
    const double one = 1, half = 0.5;
    double *b = ones(n), x[n], y[n];
    const rkn_request *r = NULL;
    CHECK_OK(rkn_operator_create_preconditioner(NULL, C, "ic0", &M));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, n, n, forward, &p, NULL, &J));
    CHECK_OK(rkn_operator_create_request(NULL, RKN_F64, n, n, OWN, &I));
    /* C / 2 + the request, with a matrix's preconditioner; C alone and a request for M */
    rkn_krylov *s = solver(NULL, "gcrodr", "rtol=1e-10"), *t = solver(NULL, "gcrodr", "rtol=1e-10");
    CHECK_OK(rkn_operator_create_sum(NULL, &half, C, &one, J, &S));
    CHECK_OK(rkn_krylov_solve(s, S, M, b, x));
    rkn_operator_destroy(S);
    CHECK_OK(rkn_operator_create_sum(NULL, &half, C, &one, I, &S));
    CHECK_OK(rkn_krylov_start(t, S, M, b, y));
    rkn_operator_destroy(I);    /* its sum keeps it */
    int asked = 0;
    while (rkn_krylov_next(t, 0, &r) == RKN_OK && r->kind != RKN_REQUEST_DONE) {
        CHECK(r->kind == OWN && r->trans == RKN_N);
        rod_apply(&p, 0, r->ncols, r->x, r->ldx, r->y, r->ldy);
        /* the host may use what is in use to read */
        if (asked++ == 2) CHECK_OK(rkn_operator_apply(M, RKN_N, 1, b, n, (double[n]){0}, n));
    }
    CHECK(asked > 3 && is_equal(RKN_F64, n, x, y));
    rkn_krylov_destroy(s), rkn_krylov_destroy(t), rkn_operator_destroy(S), rkn_operator_destroy(J);

    /* no request at all: done at once */
    s = solver(NULL, "cg", "rtol=1e-12");
    CHECK_OK(rkn_krylov_start(s, C, M, b, x));
    CHECK_OK(rkn_krylov_next(s, 0, &r));
    CHECK(r->kind == RKN_REQUEST_DONE && poisson_off(n, x) < 1e-8);
    /* an adjoint asks for the adjoint */
    rkn_operator *H = NULL;
    CHECK_OK(rkn_operator_create_request(NULL, RKN_F64, n, n, RKN_REQUEST_APPLY, &I));
    CHECK_OK(rkn_operator_create_adjoint(NULL, RKN_H, I, &H));
    CHECK_OK(rkn_krylov_start(s, H, NULL, b, x));
    while (rkn_krylov_next(s, 0, &r) == RKN_OK && r->kind != RKN_REQUEST_DONE) {
        CHECK(r->trans == RKN_H);
        serve(&p, r);
    }
    CHECK(count(s, "status") == RKN_OK);
    char text[100];
    CHECK_OK(rkn_operator_view(I, text, sizeof text, NULL));
    CHECK(strstr(text, "request"));
    rkn_krylov_destroy(s), rkn_operator_destroy(H), rkn_operator_destroy(I), rkn_operator_destroy(M), rkn_operator_destroy(C);
    poisson_free(&P), free(b);
}

static void prepared(void) {
    enum { n = 50 };
    rod p = {RKN_F64, n, 0.02, 0};
    double *b = ones(n), x[n];
    rkn_context *ctx = NULL;
    const rkn_request *r = NULL;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_reduce_request(ctx));
    const pair o = by_request(ctx, &p);
    rkn_krylov *s = solver(ctx, "cg", "preconditioner=chebyshev");
    CHECK_STATUS(rkn_krylov_prepare(s, o.A, NULL), RKN_ERR_STATE);
    CHECK_OK(rkn_krylov_start_prepare(s, o.A, NULL));
    int products = 0, sums = 0;
    while (rkn_krylov_next(s, 0, &r) == RKN_OK && r->kind != RKN_REQUEST_DONE) {
        if (r->kind == RKN_REQUEST_REDUCE)
            CHECK(r->inout && r->n > 0), ++sums;
        else
            serve(&p, r), ++products;
    }
    CHECK(products > 0 && sums > 0);
    const int64_t rebuilds = count(s, "rebuilds");
    CHECK(rebuilds > 0 && count(s, "solves") == 0);
    CHECK_OK(rkn_krylov_start(s, o.A, NULL, b, x));
    while (rkn_krylov_next(s, 0, &r) == RKN_OK && r->kind != RKN_REQUEST_DONE)
        if (r->kind != RKN_REQUEST_REDUCE) serve(&p, r);
    CHECK(count(s, "status") == RKN_OK && count(s, "rebuilds") == rebuilds);
    CHECK_STATUS(rkn_krylov_solve(s, o.A, NULL, b, x), RKN_ERR_STATE);
    CHECK_OK(rkn_context_set_reduce(ctx, NULL, NULL, NULL));
    CHECK_OK(rkn_krylov_start(s, o.A, NULL, b, x));
    CHECK_OK(drive(s, &p, 0, 0, NULL));
    rkn_krylov_destroy(s), pair_destroy(o), rkn_context_destroy(ctx), free(b);
}

/* ---- endings ---- */

static void failures(void) {
    enum { n = 20 };
    rod p = {RKN_F64, n, 0.01, 0};
    double *b = ones(n), want[n], x[n];
    const pair o = by_request(NULL, &p);
    for (int m = 0; m < METHODS; ++m) {
        rkn_krylov *s = solver(NULL, methods[m], "rtol=1e-10");
        int total = 0, asked = 0;
        CHECK_OK(rkn_krylov_start(s, o.A, o.M, b, want));
        CHECK_OK(drive(s, &p, 0, 0, &total));
        for (int k = 1; k <= total; ++k) {
            CHECK_OK(rkn_krylov_forget(s));
            CHECK_OK(rkn_krylov_start(s, o.A, o.M, b, x));
            CHECK_STATUS(drive(s, &p, k, -k, &asked), RKN_ERR_CALLBACK);
            CHECK(asked >= k && asked <= k + 2 && count(s, "callback_status") == -k && count(s, "status") == RKN_ERR_CALLBACK);
            for (int i = 0; i < n; ++i) CHECK(isfinite(x[i]));
        }
        CHECK_OK(rkn_krylov_forget(s));
        CHECK_OK(rkn_krylov_start(s, o.A, o.M, b, x));
        CHECK_OK(drive(s, &p, 0, 0, NULL));
        CHECK(count(s, "callback_status") == 0 && is_equal(RKN_F64, n, x, want));
        rkn_krylov_destroy(s);
    }
    CHECK(threads() == 1);
    pair_destroy(o), free(b);
}

/* The host goes away at the k-th request, for every k: it cancels, or destroys the solver, or all there is. */
static void goes_away(void) {
    enum { n = 20 };
    rod p = {RKN_F64, n, 0.01, 0};
    double *b = ones(n), want[n], x[n];
    const rkn_request *r = NULL;
    for (int m = 0; m < METHODS; ++m) {
        pair o = by_request(NULL, &p);
        rkn_krylov *s = solver(NULL, methods[m], "rtol=1e-10");
        int total = 0;
        CHECK_OK(rkn_krylov_start(s, o.A, o.M, b, want));
        CHECK_OK(drive(s, &p, 0, 0, &total));
        for (int k = 0; k <= total; ++k) {
            CHECK_OK(rkn_krylov_forget(s));
            for (int i = 0; i < n; ++i) x[i] = 3;
            CHECK_OK(rkn_krylov_start(s, o.A, o.M, b, x));
            for (int i = 0; i < k; ++i) {
                CHECK_OK(rkn_krylov_next(s, 0, &r));
                if (i < k - 1) serve(&p, r);
            }
            CHECK_OK(rkn_krylov_cancel(s));
            for (int i = 0; i < n; ++i) CHECK(k ? isfinite(x[i]) : x[i] == 3);
            CHECK_STATUS(rkn_krylov_next(s, 0, &r), RKN_ERR_STATE);
            CHECK(count(s, "status") == RKN_ERR_CALLBACK && count(s, "callback_status") == 0);
            char reason[100];
            CHECK_OK(rkn_krylov_get_string(s, "reason", reason, sizeof reason, NULL));
            CHECK(strstr(reason, "cancelled"));

            rkn_krylov *d = solver(NULL, methods[m], "rtol=1e-10");
            CHECK_OK(rkn_krylov_start(d, o.A, o.M, b, x));
            for (int i = 0; i < k; ++i) {
                CHECK_OK(rkn_krylov_next(d, 0, &r));
                if (i < k - 1) serve(&p, r);
            }
            if (k % 2) {
                pair_destroy(o);
                rkn_krylov_destroy(d);
                o = by_request(NULL, &p);
            } else
                rkn_krylov_destroy(d);
            CHECK_STATUS(rkn_krylov_next(d, 0, &r), RKN_ERR_HANDLE);
        }
        CHECK_OK(rkn_krylov_forget(s));
        CHECK_OK(rkn_krylov_start(s, o.A, o.M, b, x));
        CHECK_OK(drive(s, &p, 0, 0, NULL));
        CHECK(is_equal(RKN_F64, n, x, want));
        rkn_krylov_destroy(s), pair_destroy(o);
    }
    CHECK(threads() == 1);
    free(b);
}

static void many(void) {
    enum { n = 15 };
    rod p = {RKN_F64, n, 0.01, 0};
    double *b = ones(n), x[n];
    const pair o = by_request(NULL, &p);
    rkn_krylov *s = solver(NULL, "gcrodr", "restart=6 recycle=2");
    for (int k = 0; k < 200; ++k) {
        CHECK_OK(rkn_krylov_start(s, o.A, NULL, b, x));
        CHECK_OK(drive(s, &p, 0, 0, NULL));
    }
    CHECK(threads() == 1);
    rkn_krylov_destroy(s), pair_destroy(o), free(b);
}

/* ---- in between ---- */

static void in_between(void) {
    enum { n = 25 };
    rod p = {RKN_F64, n, 0.01, 0};
    double *b = ones(n), x[n], y[n], weights[n], value, norms[100];
    const rkn_request *r = NULL;
    int64_t whole = 0;
    char text[2000];
    pair o = by_request(NULL, &p);
    for (int i = 0; i < n; ++i) weights[i] = 1;
    rkn_krylov *s = solver(NULL, "gmres", "rtol=1e-10");
    CHECK_OK(rkn_krylov_start(s, o.A, o.M, b, x));
    for (int k = 0; k < 8; ++k) {
        CHECK_REFUSED(rkn_krylov_start(s, o.A, o.M, b, y), RKN_ERR_BUSY, START, "s");
        CHECK_STATUS(rkn_krylov_start_prepare(s, o.A, NULL), RKN_ERR_BUSY);
        CHECK_REFUSED(rkn_krylov_solve(s, o.A, o.M, b, y), RKN_ERR_BUSY, "rkn_krylov_solve", "s");
        CHECK_SAYS("rkn_krylov_cancel");
        CHECK_STATUS(rkn_krylov_prepare(s, o.A, o.M), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_forget(s), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_int(s, "restart", 3), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_real(s, "rtol", 1e-3), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_string(s, "side", "left"), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_options(s, "rtol=1e-3"), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_monitor(s, NULL, NULL, NULL), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_converged(s, NULL, NULL, NULL), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_inner(s, NULL, NULL, NULL), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_weights(s, n, weights), RKN_ERR_BUSY);
        CHECK_STATUS(rkn_krylov_set_scaling(s, n, weights, weights), RKN_ERR_BUSY);
        CHECK_REFUSED(rkn_operator_changed(o.A), RKN_ERR_BUSY, "rkn_operator_changed", "A");
        CHECK_OK(rkn_krylov_get_int(s, "iterations", &whole));
        CHECK_OK(rkn_krylov_get_real(s, "residual_norm", &value));
        CHECK_OK(rkn_krylov_get_string(s, "method", text, sizeof text, NULL));
        CHECK_OK(rkn_krylov_view(s, text, sizeof text, NULL));
        CHECK_OK(rkn_krylov_history(s, norms, 100, &whole));
        CHECK_STATUS(rkn_krylov_next(s, 0, NULL), RKN_ERR_NULL);
        CHECK_OK(rkn_krylov_next(s, 0, &r));
        serve(&p, r);
    }
    CHECK(whole > 1);
    /* A and M go; the solve has them until its end */
    pair_destroy(o);
    CHECK_STATUS(rkn_operator_changed(o.A), RKN_ERR_HANDLE);
    CHECK_OK(drive(s, &p, 0, 0, NULL));
    CHECK_OK(rkn_krylov_set_options(s, "rtol=1e-3"));
    /* the interrupt of a context */
    rkn_context *ctx = NULL;
    CHECK_OK(rkn_context_create(&ctx));
    o = by_request(ctx, &p);
    rkn_krylov *t = solver(ctx, "cg", "rtol=1e-10");
    CHECK_OK(rkn_krylov_start(t, o.A, NULL, b, x));
    for (int k = 0; k < 4; ++k) {
        CHECK_OK(rkn_krylov_next(t, 0, &r));
        serve(&p, r);
    }
    CHECK_OK(rkn_context_interrupt(ctx));
    CHECK_STATUS(drive(t, &p, 0, 0, NULL), RKN_STOP_INTERRUPT);
    rkn_krylov_destroy(s), rkn_krylov_destroy(t), pair_destroy(o), rkn_context_destroy(ctx), free(b);
}

/* ---- callbacks beside requests ---- */

typedef struct watch {
    pthread_t thread;
    rkn_krylov *s;
    int monitor, converged, inner, log, reduce, apply, released, rounding, wrong, kills;
    rod *p;
} watch;

static void seen(watch *w, int *counter) {
    ++*counter;
    w->wrong += !pthread_equal(w->thread, pthread_self()) || fegetround() != w->rounding;
}
static int32_t on_monitor(void *user, const rkn_progress *progress) {
    watch *w = user;
    const rkn_request *r = NULL;
    int64_t iterations = -1;
    seen(w, &w->monitor);
    w->wrong += rkn_krylov_get_int(w->s, "iterations", &iterations) != RKN_OK || iterations != progress->iteration;
    w->wrong += rkn_krylov_next(w->s, 0, &r) != RKN_ERR_BUSY || r->kind != RKN_REQUEST_DONE;
    w->wrong += rkn_krylov_cancel(w->s) != RKN_ERR_BUSY;
    if (w->kills && progress->iteration == 3) rkn_krylov_destroy(w->s);
    return 0;
}
static int32_t on_converged(void *user, int64_t iteration, double norm, double target, int32_t *yes) {
    (void)iteration;
    seen(user, &((watch *)user)->converged);
    *yes = norm <= target;
    return 0;
}
static int32_t on_inner(void *user, int64_t n, int64_t k, const void *x, int64_t ldx, int64_t l, const void *y, int64_t ldy, double *out) {
    seen(user, &((watch *)user)->inner);
    for (int64_t j = 0; j < l; ++j)
        for (int64_t i = 0; i < k; ++i) {
            double sum = 0;
            for (int64_t q = 0; q < n; ++q) sum += ((const double *)x)[q + i * ldx] * ((const double *)y)[q + j * ldy];
            out[i + j * k] = sum;
        }
    return 0;
}
static void on_log(void *user, int32_t level, const char *line) {
    (void)level, (void)line;
    seen(user, &((watch *)user)->log);
}
static int32_t on_reduce(void *user, rkn_reduction op, int64_t n, double *inout) {
    (void)op, (void)n, (void)inout;
    seen(user, &((watch *)user)->reduce);
    return 0;
}
static int32_t on_apply(void *user, rkn_trans t, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    watch *w = user;
    seen(w, &w->apply);
    return backward(w->p, t, ncols, x, ldx, y, ldy);
}
static void on_release(void *user) { seen(user, &((watch *)user)->released); }

static void *step_elsewhere(void *user) {
    watch *w = user;
    const rkn_request *r = NULL;
    w->thread = pthread_self();
    fesetround(w->rounding);
    for (int k = 0; k < 3; ++k)
        if (rkn_krylov_next(w->s, 0, &r) == RKN_OK) serve(w->p, r);
    return NULL;
}

/* Every callback there is, always on the thread that called rkn_krylov_next, with its rounding. */
static void callbacks(void) {
    enum { n = 30 };
    rod p = {RKN_F64, n, 0.01, 0};
    double *b = ones(n), x[n];
    for (int way = 0; way < 4; ++way) {
        watch w = {.thread = pthread_self(), .rounding = FE_TONEAREST, .p = &p};
        rkn_context *ctx = NULL;
        rkn_operator *A = NULL, *M = NULL;
        const rkn_request *r = NULL;
        CHECK_OK(rkn_context_create(&ctx));
        CHECK_OK(rkn_context_set_int(ctx, "log_level", 3));
        CHECK_OK(rkn_context_set_log(ctx, on_log, &w, on_release));
        CHECK_OK(rkn_context_set_reduce(ctx, on_reduce, &w, on_release));
        CHECK_OK(rkn_operator_create_request(ctx, RKN_F64, n, n, RKN_REQUEST_APPLY, &A));
        CHECK_OK(rkn_operator_create_callback(ctx, RKN_F64, n, n, on_apply, &w, on_release, &M));
        rkn_krylov *s = w.s = solver(ctx, "gcrodr", "rtol=1e-10 restart=10 recycle=3");
        CHECK_OK(rkn_krylov_set_monitor(s, on_monitor, &w, on_release));
        CHECK_OK(rkn_krylov_set_converged(s, on_converged, &w, on_release));
        CHECK_OK(rkn_krylov_set_inner(s, on_inner, &w, on_release));
        CHECK_OK(rkn_krylov_start(s, A, M, b, x));
        CHECK(w.reduce == 0 && w.monitor == 0);
        w.rounding = FE_UPWARD;
        CHECK(fesetround(FE_UPWARD) == 0);
        int k = 0;
        w.kills = way == 2;
        rkn_status rc;
        while ((rc = rkn_krylov_next(s, 0, &r)) == RKN_OK && r->kind != RKN_REQUEST_DONE) {
            CHECK(fegetround() == FE_UPWARD);
            serve(&p, r);
            if (++k == 3) {
                CHECK_OK(rkn_context_set_reduce(ctx, NULL, NULL, NULL));    /* the solve goes on with the old one */
                pthread_t other;
                w.rounding = FE_DOWNWARD;
                if (pthread_create(&other, NULL, step_elsewhere, &w) || pthread_join(other, NULL)) exit(2);
                w.rounding = FE_UPWARD;
                w.thread = pthread_self();
            }
            if (k == 8 && way == 1) break;
            if (way == 3 && k == 8) CHECK_STATUS(rkn_krylov_next(s, 17, &r), RKN_ERR_CALLBACK);
            if (way == 3 && k == 8) break;
        }
        CHECK(fegetround() == FE_UPWARD);
        fesetround(FE_TONEAREST);
        w.rounding = FE_TONEAREST;
        if (way == 0) CHECK(rc == RKN_OK);
        if (way == 2) CHECK_STATUS(rc, RKN_ERR_HANDLE);
        const int calls = w.monitor + w.converged + w.inner + w.log + w.reduce + w.apply;
        rkn_krylov_destroy(s);
        CHECK(calls == w.monitor + w.converged + w.inner + w.log + w.reduce + w.apply);    /* no callback any more */
        rkn_operator_destroy(A), rkn_operator_destroy(M), rkn_context_destroy(ctx);
        CHECK(w.released == 6 && w.wrong == 0);
        if (way == 0) CHECK(w.monitor > 3 && w.converged > 3 && w.inner > 3 && w.log > 0 && w.reduce > 3 && w.apply > 3);
    }
    CHECK(threads() == 1);
    free(b);
}

/* ---- ranks: two solvers in one thread ---- */

typedef struct rank {
    rkn_context *ctx;
    rkn_operator *A;
    rkn_krylov *s;
    const rkn_request *r;
    rkn_status rc;
    double b[30], x[30];
} rank;

static void ranks_make(rank two[2], const char *method, const char *options) {
    for (int k = 0; k < 2; ++k) {
        rank *me = &two[k];
        CHECK_OK(rkn_context_create(&me->ctx));
        CHECK_OK(rkn_context_set_reduce_request(me->ctx));
        CHECK_OK(rkn_operator_create_request(me->ctx, RKN_F64, 30, 30, RKN_REQUEST_APPLY, &me->A));
        me->s = solver(me->ctx, method, options);
        for (int i = 0; i < 30; ++i) me->b[i] = 1;
    }
}
static void ranks_free(rank two[2]) {
    for (int k = 0; k < 2; ++k) rkn_krylov_destroy(two[k].s), rkn_operator_destroy(two[k].A), rkn_context_destroy(two[k].ctx);
}
static double at(const rank two[2], int64_t i, int64_t j) {
    if (i < 0 || i >= 60) return 0;
    const rkn_request *r = two[i / 30].r;
    return ((const double *)r->x)[i % 30 + j * r->ldx];
}
/* Steps both to the end; the fail_at-th request fails on one of them. Returns how many there were. */
static int ranks_drive(rank two[2], int who, int fail_at) {
    int k = 0, fails[2] = {0, 0};
    do {
        for (int q = 0; q < 2; ++q) two[q].rc = rkn_krylov_next(two[q].s, fails[q], &two[q].r);
        if (!CHECK(two[0].r->kind == two[1].r->kind)) exit(2);
        fails[who] = ++k == fail_at ? 9 : 0;
        /* a sum that fails fails for both */
        fails[1 - who] = two[0].r->kind == RKN_REQUEST_REDUCE ? fails[who] : 0;
        if (two[0].r->kind == RKN_REQUEST_REDUCE) {
            CHECK(two[0].r->n == two[1].r->n && two[0].r->op == two[1].r->op);
            for (int64_t i = 0; i < two[0].r->n; ++i) {
                double *p = &two[0].r->inout[i], *q = &two[1].r->inout[i];
                *p = *q = two[0].r->op == RKN_SUM ? *p + *q : fmax(*p, *q);
            }
        } else if (two[0].r->kind == RKN_REQUEST_APPLY)
            for (int q = 0; q < 2; ++q)
                for (int64_t j = 0; j < two[q].r->ncols; ++j)
                    for (int64_t i = 30 * q; i < 30 * q + 30; ++i)
                        ((double *)two[q].r->y)[i % 30 + j * two[q].r->ldy] = 2 * at(two, i, j) - at(two, i - 1, j) - at(two, i + 1, j);
    } while (two[0].r->kind != RKN_REQUEST_DONE);
    return k - 1;
}
static void ranks_start(rank two[2]) {
    for (int q = 0; q < 2; ++q) {
        CHECK_OK(rkn_operator_changed(two[q].A));
        CHECK_OK(rkn_krylov_start(two[q].s, two[q].A, NULL, two[q].b, two[q].x));
    }
}

static void two_ranks(void) {
    for (int m = 0; m < METHODS; ++m) {
        rank two[2];
        ranks_make(two, methods[m], "rtol=1e-12");
        for (int step = 0; step < 3; ++step) {
            ranks_start(two);
            ranks_drive(two, 0, 0);
            for (int q = 0; q < 2; ++q) {
                if (!CHECK(two[q].rc == RKN_OK)) printf("    %s: %s\n", methods[m], rkn_last_error());
                for (int i = 0; i < 30; ++i) CHECK(fabs(two[q].x[i] - poisson_solution(60, 30 * q + i)) < 1e-6);
            }
            CHECK(count(two[0].s, "iterations") == count(two[1].s, "iterations"));
        }
        /* one fails, both end; then all is as before */
        for (int k = 1; k < 12; ++k) {
            ranks_start(two);
            const rkn_status want = ranks_drive(two, k % 2, k) >= k ? RKN_ERR_CALLBACK : RKN_OK;
            CHECK(two[0].rc == want && two[1].rc == want);
        }
        /* a wrong argument on one */
        two[1].b[3] = NAN;
        ranks_start(two);
        ranks_drive(two, 0, 0);
        CHECK(two[1].rc == RKN_ERR_NONFINITE && two[0].rc == RKN_ERR_CALLBACK);
        two[1].b[3] = 1;
        CHECK_OK(rkn_krylov_start(two[0].s, two[0].A, NULL, two[0].b, two[0].x));
        CHECK_OK(rkn_krylov_start(two[1].s, two[1].A, NULL, NULL, two[1].x));
        ranks_drive(two, 0, 0);
        CHECK(two[1].rc == RKN_ERR_NULL && two[0].rc == RKN_ERR_CALLBACK);
        CHECK_OK(rkn_krylov_forget(two[0].s));
        CHECK_OK(rkn_krylov_forget(two[1].s));
        ranks_start(two);
        ranks_drive(two, 0, 0);
        CHECK(two[0].rc == RKN_OK && two[1].rc == RKN_OK);
        ranks_free(two);
    }
    CHECK(threads() == 1);
}

int main(void) {
    illegal();
    same_bits();
    mixed();
    prepared();
    failures();
    goes_away();
    many();
    in_between();
    callbacks();
    two_ranks();
    return done();
}
