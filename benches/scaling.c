/* How time and memory grow: one solver on a drifting Darcy sequence on an m x m grid.
 *
 *     scaling m systems METHOD PC [options]
 *
 * -div(k grad u) = 1 by finite volumes, k = exp of smooth waves that drift from system to system; the matrix is rewritten
 * in place. PC is "none" or a preconditioner of the library. One JSON line: seconds of all solves (assembly left
 * out), iterations, peak memory of the process, worst true residual. */
#include <math.h>
#include <reknit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void check(rkn_status rc) {
    if (rc == RKN_OK) return;
    fprintf(stderr, "%s\n", rkn_last_error());
    exit(1);
}
static double k(double x, double y, double t) {
    return exp(2 * sin(9 * x + 4 * y + t) + 1.5 * cos(17 * y - 6 * x - 2 * t) + sin(31 * x * y + t));
}

int main(int argc, char **argv) {
    if (argc < 5) return fprintf(stderr, "usage: %s m systems METHOD PC [options]\n", argv[0]), 1;
    const int m = atoi(argv[1]), systems = atoi(argv[2]), n = m * m;
    int *ptr = malloc(sizeof *ptr * (size_t)(n + 1)), *col = malloc(sizeof *col * 5 * (size_t)n);
    double *val = malloc(sizeof *val * 5 * (size_t)n), *b = malloc(sizeof *b * (size_t)n), *x = malloc(sizeof *x * (size_t)n);
    const double h = 1.0 / m;
    rkn_operator *A = NULL;
    rkn_krylov *s = NULL;
    check(rkn_krylov_create(NULL, argv[3], &s));
    if (strcmp(argv[4], "none")) check(rkn_krylov_set_string(s, "preconditioner", argv[4]));
    if (argc > 5) check(rkn_krylov_set_options(s, argv[5]));
    double seconds = 0, worst = 0;
    int64_t iterations = 0, v = 0;
    for (int i = 0; i < n; ++i) b[i] = h * h;
    for (int step = 0; step < systems; ++step) {
        int at = 0;
        for (int i = 0; i < n; ++i) {
            const int p = i % m, q = i / m;
            const double cx = (p + 0.5) * h, cy = (q + 0.5) * h, t = 0.02 * step;
            const double w = k(cx - h / 2, cy, t), e = k(cx + h / 2, cy, t), lo = k(cx, cy - h / 2, t), hi = k(cx, cy + h / 2, t);
            ptr[i] = at;
            if (q > 0) col[at] = i - m, val[at++] = -lo;
            if (p > 0) col[at] = i - 1, val[at++] = -w;
            col[at] = i, val[at++] = w + e + lo + hi;
            if (p < m - 1) col[at] = i + 1, val[at++] = -e;
            if (q < m - 1) col[at] = i + m, val[at++] = -hi;
        }
        ptr[n] = at;
        const double begun = now();
        if (step == 0) check(rkn_operator_create_csr(NULL, RKN_F64, n, n, RKN_I32, 0, ptr, col, val, RKN_BORROW, &A));
        else check(rkn_operator_changed(A));
        check(rkn_krylov_solve(s, A, NULL, b, x));
        seconds += now() - begun;
        check(rkn_krylov_get_int(s, "iterations", &v));
        iterations += v;
        double r2 = 0;
        for (int i = 0; i < n; ++i) {
            double r = b[i];
            for (int j = ptr[i]; j < ptr[i + 1]; ++j) r -= val[j] * x[col[j]];
            r2 += r * r;
        }
        worst = fmax(worst, sqrt(r2 / n) / (h * h));
    }
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("{\"m\":%d,\"n\":%d,\"method\":\"%s\",\"pc\":\"%s\",\"systems\":%d,\"seconds\":%.4f,\"iterations\":%ld,\"megabytes\":%.1f,\"worst_residual\":%.2e}\n",
           m, n, argv[3], argv[4], systems, seconds, (long)iterations, (double)use.ru_maxrss / 1024, worst);
    rkn_krylov_destroy(s), rkn_operator_destroy(A);
    free(ptr), free(col), free(val), free(b), free(x);
    return 0;
}
