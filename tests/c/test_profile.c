/* Where the time of a solve goes: events that nest, flops counted by hand, and the table of the report. */
#include "check.h"

enum { N = 400, DEEP = 8 };

/* Each end must match the last begin. */
typedef struct events {
    int depth, wrong, released, begins[6], ends[6], open[DEEP];
    double flops[6], bytes[6];
} events;

static void take(void *user, rkn_event event, int32_t begins, double flops, double bytes) {
    events *e = user;
    if (event < RKN_EVENT_SOLVE || event > RKN_EVENT_REDUCE) {
        e->wrong++;
    } else if (begins) {
        e->begins[event]++;
        e->wrong += flops != 0 || bytes != 0 || e->depth == DEEP || (e->depth == 0) != (event == RKN_EVENT_SOLVE);
        if (e->depth < DEEP) e->open[e->depth++] = event;
    } else {
        e->ends[event]++;
        e->wrong += e->depth == 0 || e->open[e->depth - 1] != event;
        if (e->depth > 0) e->depth--;
        e->flops[event] += flops;
        e->bytes[event] += bytes;
    }
}
static void let_go(void *user) { ((events *)user)->released++; }

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
static int balanced(const events *e) {
    int ok = e->depth == 0 && e->wrong == 0;
    for (int k = 0; k < 6; ++k) ok = ok && e->begins[k] == e->ends[k];
    return ok;
}
static int report_has(rkn_krylov *s, const char *words) {
    char text[8000];
    CHECK_OK(rkn_krylov_report(s, text, sizeof text, NULL));
    return strstr(text, words) != NULL;
}

/* Products with 2 flops an entry, sums with 2 a row, three updates of 2 a row in a step of CG. */
static void test_flops(void) {
    poisson P = poisson_make(N);
    const double nnz = P.ptr[N];
    rkn_operator *A = poisson_operator(&P);
    double *b = ones(N), *x = ones(N);
    rkn_krylov *s = NULL;
    events e = {0};
    CHECK_OK(rkn_krylov_create(NULL, "cg", &s));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(count(s, "flops") == 0 && count(s, "bytes") == 0 && real_of(s, "apply_seconds") == 0);
    CHECK(!report_has(s, "inner products"));

    CHECK_OK(rkn_krylov_set_events(s, take, &e, let_go));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(balanced(&e));
    const double its = (double)count(s, "iterations"), applies = (double)count(s, "applies");
    CHECK(its > 100 && e.begins[RKN_EVENT_SOLVE] == 1 && e.begins[RKN_EVENT_SETUP] == 1);
    CHECK(e.begins[RKN_EVENT_APPLY] == applies && e.begins[RKN_EVENT_PRECONDITION] == 0 && e.begins[RKN_EVENT_REDUCE] == 0);
    CHECK(e.flops[RKN_EVENT_APPLY] == 2 * nnz * applies);
    CHECK(e.bytes[RKN_EVENT_APPLY] == ((8 + 4) * nnz + 2 * 8 * N) * applies);
    /* p^H A p, r^H z and r^H r in each step, and a few at both ends */
    CHECK(fmod(e.flops[RKN_EVENT_INNER], 2 * N) == 0);
    const double inner = e.flops[RKN_EVENT_INNER] / (2 * N);
    CHECK(inner >= 3 * its && inner <= 3 * its + 10);
    const double updates = (double)count(s, "flops") - e.flops[RKN_EVENT_APPLY] - e.flops[RKN_EVENT_INNER];
    CHECK(updates >= 6 * N * (its - 1) && updates <= 6 * N * its + 20 * N);
    CHECK(e.flops[RKN_EVENT_SOLVE] == (double)count(s, "flops") && e.bytes[RKN_EVENT_SOLVE] == (double)count(s, "bytes"));
    const double parts = real_of(s, "apply_seconds") + real_of(s, "inner_seconds") + real_of(s, "reduce_seconds");
    CHECK(real_of(s, "apply_seconds") > 0 && parts <= real_of(s, "setup_seconds") + real_of(s, "solve_seconds"));
    CHECK(report_has(s, "inner products") && report_has(s, "updates"));

    /* a new sink lets the old one go; none at all, too; the option alone fills the table */
    events other = {0};
    CHECK_OK(rkn_krylov_set_events(s, take, &other, let_go));
    CHECK(e.released == 1);
    CHECK_OK(rkn_krylov_set_events(s, NULL, NULL, NULL));
    CHECK(other.released == 1 && other.begins[RKN_EVENT_SOLVE] == 0);
    CHECK_OK(rkn_krylov_set_string(s, "profile", "on"));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(report_has(s, "inner products") && e.begins[RKN_EVENT_SOLVE] == 1);
    CHECK_REFUSED(rkn_krylov_set_events(NULL, take, &e, let_go), RKN_ERR_NULL, "rkn_krylov_set_events", "s");
    CHECK(e.released == 1);
    CHECK_OK(rkn_krylov_set_events(s, take, &e, let_go));
    rkn_krylov_destroy(s);
    CHECK(e.released == 2);
    rkn_operator_destroy(A);
    poisson_free(&P);
    free(b), free(x);
}

/* An outer operator that solves within: each solver has its own account, and the outer one goes on. */
typedef struct inner_solve {
    rkn_krylov *s;
    rkn_operator *A;
    events e;
} inner_solve;

static int32_t solve_inside(void *user, rkn_trans t, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    inner_solve *in = user;
    (void)t;
    for (int64_t j = 0; j < ncols; ++j) {
        if (rkn_krylov_solve(in->s, in->A, NULL, (const double *)x + j * ldx, (double *)y + j * ldy) != RKN_OK) return 1;
    }
    return 0;
}
static int32_t fail(void *user, rkn_trans t, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    (void)user, (void)t, (void)ncols, (void)x, (void)ldx, (void)y, (void)ldy;
    return 7;
}

static void test_nested(void) {
    poisson P = poisson_make(N);
    double *b = ones(N), *x = ones(N);
    inner_solve in = {.A = poisson_operator(&P)};
    rkn_operator *M = NULL, *bad = NULL;
    rkn_krylov *s = NULL;
    events e = {0};
    CHECK_OK(rkn_krylov_create(NULL, "cg", &in.s));
    CHECK_OK(rkn_krylov_set_real(in.s, "rtol", 1e-10));
    CHECK_OK(rkn_krylov_set_events(in.s, take, &in.e, NULL));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, N, N, solve_inside, &in, NULL, &M));
    CHECK_OK(rkn_krylov_create(NULL, "gcrodr", &s));
    CHECK_OK(rkn_krylov_set_events(s, take, &e, NULL));
    CHECK_OK(rkn_krylov_solve(s, in.A, M, b, x));
    CHECK(poisson_off(N, x) < 1e-6);
    CHECK(balanced(&e) && balanced(&in.e));
    CHECK(e.begins[RKN_EVENT_SOLVE] == 1 && in.e.begins[RKN_EVENT_SOLVE] == e.begins[RKN_EVENT_PRECONDITION]);
    CHECK(e.begins[RKN_EVENT_PRECONDITION] == count(s, "preconditioner_applies"));
    CHECK(e.flops[RKN_EVENT_PRECONDITION] >= in.e.flops[RKN_EVENT_SOLVE]);

    /* a failing callback closes all phases */
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, N, N, fail, NULL, NULL, &bad));
    CHECK_STATUS(rkn_krylov_solve(s, bad, NULL, b, x), RKN_ERR_CALLBACK);
    CHECK(balanced(&e) && e.begins[RKN_EVENT_SOLVE] == 2);

    /* columns in step: one event a shared product */
    double *B = need(4 * N * sizeof *B), *X = need(4 * N * sizeof *X);
    rkn_operator *own = NULL;
    for (int i = 0; i < 4 * N; ++i) B[i] = creal(any(RKN_F64));
    events block = {0};
    rkn_krylov *t = NULL;
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, N, N, solve_inside, &in, NULL, &own));
    CHECK_OK(rkn_krylov_create(NULL, "gmres", &t));
    CHECK_OK(rkn_krylov_set_events(t, take, &block, NULL));
    CHECK_OK(rkn_krylov_solve_block(t, own, NULL, 4, B, N, X, N));
    CHECK(balanced(&block) && block.begins[RKN_EVENT_SOLVE] == 1);
    CHECK(block.begins[RKN_EVENT_APPLY] > 0 && 3 * block.begins[RKN_EVENT_APPLY] < count(t, "applies"));
    rkn_krylov_destroy(t);
    rkn_krylov_destroy(s);
    rkn_krylov_destroy(in.s);
    rkn_operator_destroy(own);
    rkn_operator_destroy(bad);
    rkn_operator_destroy(M);
    rkn_operator_destroy(in.A);
    poisson_free(&P);
    free(b), free(x), free(B), free(X);
}

/* Sums over ranks and the solver's own preconditioner, driven by requests. */
static int32_t one_rank(void *user, rkn_reduction op, int64_t n, double *inout) {
    (void)op, (void)n, (void)inout;
    ++*(int *)user;
    return 0;
}

static void test_sums(void) {
    poisson P = poisson_make(N);
    double *b = ones(N), *x = ones(N);
    int sums = 0;
    events e = {0};
    rkn_context *ctx = NULL;
    rkn_krylov *s = NULL;
    rkn_operator *A = NULL;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_reduce(ctx, one_rank, &sums, NULL));
    CHECK_OK(rkn_operator_create_csr(ctx, RKN_F64, N, N, RKN_I32, 0, P.ptr, P.ind, P.val, RKN_BORROW, &A));
    CHECK_OK(rkn_krylov_create(ctx, "gcrodr", &s));
    CHECK_OK(rkn_krylov_set_options(s, "preconditioner=jacobi"));
    CHECK_OK(rkn_krylov_set_events(s, take, &e, NULL));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(balanced(&e) && sums > 0 && e.begins[RKN_EVENT_REDUCE] == sums);
    CHECK(e.begins[RKN_EVENT_PRECONDITION] == count(s, "preconditioner_applies"));
    const int by_callbacks = e.begins[RKN_EVENT_INNER];
    CHECK_OK(rkn_krylov_forget(s));
    CHECK_OK(rkn_krylov_start(s, A, NULL, b, x));
    const rkn_request *r = NULL;
    CHECK_OK(rkn_krylov_next(s, 0, &r));
    CHECK(r->kind == RKN_REQUEST_DONE);
    CHECK(balanced(&e) && e.begins[RKN_EVENT_SOLVE] == 2 && e.begins[RKN_EVENT_INNER] == 2 * by_callbacks);
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    poisson_free(&P);
    free(b), free(x);
}

int main(void) {
    test_flops();
    test_nested();
    test_sums();
    return done();
}
