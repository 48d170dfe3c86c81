/* What a call across the boundary costs, checks included: nanoseconds, the best of many batches.
 * gcc -O2 -Iinclude benches/calls.c -o build/calls -Ltarget/release -lreknit, as `make bench` does. */
#include <reknit.h>

#include <stdio.h>
#include <time.h>

enum { CALLS = 100000, BATCHES = 50 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

#define MEASURE(name, call)                                                   \
    do {                                                                      \
        double best = 1e300;                                                  \
        for (int batch = 0; batch < BATCHES; ++batch) {                       \
            const double start = now();                                       \
            for (int i = 0; i < CALLS; ++i) failed |= (call) != RKN_OK;       \
            const double each = (now() - start) / CALLS;                      \
            if (each < best) best = each;                                     \
        }                                                                     \
        printf("| %-28s | %6.1f |\n", name, best);                            \
    } while (0)

/* Products with diag(1, ..., n) by requests: nanoseconds each, and of a solve that is cancelled at its first. */
static int by_requests(void) {
    enum { n = 64 };
    int failed = 0;
    double b[n], x[n], each = 1e300, begun = 1e300;
    const rkn_request *r;
    rkn_operator *A = NULL;
    rkn_krylov *s = NULL;
    for (int i = 0; i < n; ++i) b[i] = 1;
    failed |= rkn_operator_create_request(NULL, RKN_F64, n, n, RKN_REQUEST_APPLY, &A) != RKN_OK;
    failed |= rkn_krylov_create(NULL, "cg", &s) != RKN_OK;
    failed |= rkn_krylov_set_options(s, "rtol=1e-300 verify=never max_iterations=300") != RKN_OK;
    for (int batch = 0; batch < BATCHES; ++batch) {
        int products = 0;
        double start = now();
        failed |= rkn_krylov_start(s, A, NULL, b, x) != RKN_OK;
        for (; rkn_krylov_next(s, 0, &r) == RKN_OK && r->kind == RKN_REQUEST_APPLY; ++products)
            for (int i = 0; i < n; ++i) ((double *)r->y)[i] = (i + 1) * ((const double *)r->x)[i];
        if ((now() - start) / products < each) each = (now() - start) / products;
        start = now();
        failed |= rkn_krylov_start(s, A, NULL, b, x) != RKN_OK;
        failed |= rkn_krylov_next(s, 0, &r) != RKN_OK;
        failed |= rkn_krylov_cancel(s) != RKN_OK;
        if (now() - start < begun) begun = now() - start;
    }
    printf("| %-28s | %6.1f |\n| %-28s | %6.1f |\n", "an iteration by requests", each, "start, one request, cancel", begun);
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    return failed;
}

int main(void) {
    int failed = 0;
    double values[1] = {2}, b[1] = {4}, x[1];
    int64_t v;
    rkn_operator *A = NULL;
    rkn_krylov *s = NULL;
    failed |= rkn_operator_create_diagonal(NULL, RKN_F64, 1, values, RKN_BORROW, &A) != RKN_OK;
    failed |= rkn_krylov_create(NULL, "cg", &s) != RKN_OK;
    printf("| call | ns |\n|---|---|\n");
    MEASURE("rkn_operator_changed", rkn_operator_changed(A));
    MEASURE("rkn_operator_get_int", rkn_operator_get_int(A, "products", &v));
    MEASURE("rkn_operator_apply, 1 x 1", rkn_operator_apply(A, RKN_N, 1, b, 1, x, 1));
    MEASURE("rkn_krylov_get_int", rkn_krylov_get_int(s, "iterations", &v));
    MEASURE("rkn_krylov_solve, 1 x 1", rkn_krylov_solve(s, A, NULL, b, x));
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    return failed | by_requests();
}
