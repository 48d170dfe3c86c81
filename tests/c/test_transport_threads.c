/* Several threads read one transport solver at once: the same numbers as one thread, and the solver is free afterwards. */
#include "check.h"
#include <pthread.h>

#define THREADS 4
#define ROUNDS 1000
#define SHORT 500
#define N 6
#define M 5
#define D 2

struct shared {
    const rkn_sinkhorn *s;
    double f[N], g[M], y[N], rows[N * M], dx[D * N], cost;
    int64_t ptr[N + 1], ind[N * M];
    double val[N * M];
    int64_t entries;
};
struct reader {
    const struct shared *expected;
    int64_t wrong, failed;
    rkn_status first;
};

/* Everything that reads, once. */
static rkn_status look(const rkn_sinkhorn *s, struct shared *into) {
    const double x[M] = {1, -2, 3, -4, 5};
    rkn_status rc = rkn_sinkhorn_potentials(s, into->f, into->g);
    if (rc == RKN_OK) rc = rkn_sinkhorn_plan_apply(s, RKN_N, 1, x, M, into->y, N);
    if (rc == RKN_OK) rc = rkn_sinkhorn_plan_rows(s, 0, N, into->rows, M);
    if (rc == RKN_OK) rc = rkn_sinkhorn_gradient_points(s, into->dx, D, NULL, D);
    if (rc == RKN_OK) rc = rkn_sinkhorn_plan_sparse(s, 0, into->ptr, into->ind, into->val, N * M, &into->entries);
    if (rc == RKN_OK) rc = rkn_sinkhorn_get_real(s, "cost", &into->cost);
    return rc;
}
static int same(const struct shared *a, const struct shared *b) {
    return !memcmp(a->f, b->f, sizeof a->f) && !memcmp(a->g, b->g, sizeof a->g) && !memcmp(a->y, b->y, sizeof a->y) &&
           !memcmp(a->rows, b->rows, sizeof a->rows) && !memcmp(a->dx, b->dx, sizeof a->dx) && !memcmp(a->ptr, b->ptr, sizeof a->ptr) &&
           !memcmp(a->val, b->val, sizeof a->val) && a->cost == b->cost && a->entries == b->entries;
}
static void *read_on(void *argument) {
    struct reader *r = argument;
    for (int k = 0; k < ROUNDS; ++k) {
        struct shared got;
        memset(&got, 0, sizeof got);
        const rkn_status rc = look(r->expected->s, &got);
        if (rc != RKN_OK) {
            if (!r->failed++) r->first = rc;
        } else if (!same(&got, r->expected)) {
            ++r->wrong;
        }
        /* Short calls, so that begins and ends of many readers meet. */
        for (int l = 0; l < SHORT; ++l)
            if (rkn_sinkhorn_potentials(r->expected->s, NULL, NULL) != RKN_OK) ++r->failed;
    }
    return NULL;
}

static void test_readers(void) {
    double x[D * N], y[D * M], a[N], b[M];
    rkn_geometry *G = NULL;
    rkn_sinkhorn *s = NULL;
    for (int k = 0; k < D * N; ++k) x[k] = uniform();
    for (int k = 0; k < D * M; ++k) y[k] = uniform();
    for (int i = 0; i < N; ++i) a[i] = 1.0 / N;
    for (int j = 0; j < M; ++j) b[j] = 1.0 / M;
    CHECK_OK(rkn_geometry_create_points(NULL, D, N, x, D, M, y, D, 2, 2, NULL, NULL, &G));
    CHECK_OK(rkn_sinkhorn_create(NULL, "auto", &s));
    CHECK_OK(rkn_sinkhorn_set_real(s, "epsilon", 0.1));
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    struct shared expected;
    memset(&expected, 0, sizeof expected);
    expected.s = s;
    CHECK_OK(look(s, &expected));
    CHECK(expected.entries == N * M);
    pthread_t threads[THREADS];
    struct reader readers[THREADS];
    for (int k = 0; k < THREADS; ++k) {
        readers[k] = (struct reader){&expected, 0, 0, RKN_OK};
        CHECK(pthread_create(&threads[k], NULL, read_on, &readers[k]) == 0);
    }
    for (int k = 0; k < THREADS; ++k) {
        CHECK(pthread_join(threads[k], NULL) == 0);
        CHECK(readers[k].failed == 0);
        CHECK(readers[k].first == RKN_OK);
        CHECK(readers[k].wrong == 0);
    }
    /* Nobody is counted as a reader any more. */
    CHECK_OK(rkn_sinkhorn_solve(s, G, a, b));
    CHECK_OK(rkn_sinkhorn_forget(s));
    rkn_sinkhorn_destroy(s), rkn_geometry_destroy(G);
}

struct host {
    rkn_sinkhorn *s;
    int64_t asked, answered;
};
static int32_t row(void *user, int64_t i, int64_t m, double *out) {
    struct host *h = user;
    double cost;
    ++h->asked;
    if (rkn_sinkhorn_get_real(h->s, "cost", &cost) == RKN_OK && rkn_sinkhorn_potentials(h->s, NULL, NULL) != RKN_ERR_NULL) ++h->answered;
    for (int64_t j = 0; j < m; ++j) out[j] = (double)((i - j) * (i - j));
    return 0;
}

/* A row that is asked for while the plan is read may itself ask the solver. */
static void test_rows_that_ask(void) {
    struct host h = {NULL, 0, 0};
    const double a[3] = {0.25, 0.25, 0.5}, x[3] = {1, 1, 1};
    double y[3] = {0, 0, 0};
    rkn_geometry *G = NULL;
    CHECK_OK(rkn_sinkhorn_create(NULL, "sinkhorn", &h.s));
    CHECK_OK(rkn_sinkhorn_set_real(h.s, "epsilon", 1));
    CHECK_OK(rkn_geometry_create_callback(NULL, 3, 3, row, &h, NULL, &G));
    CHECK_OK(rkn_sinkhorn_solve(h.s, G, a, a));
    h.asked = h.answered = 0;
    CHECK_OK(rkn_sinkhorn_plan_apply(h.s, RKN_N, 1, x, 3, y, 3));
    CHECK(h.asked == 3 && h.answered == 3);
    for (int i = 0; i < 3; ++i) CHECK(fabs(y[i] - a[i]) < 1e-5);
    rkn_sinkhorn_destroy(h.s), rkn_geometry_destroy(G);
}

int main(void) {
    test_readers();
    test_rows_that_ask();
    return done();
}
