/* reknit on a sequence of linear systems from a file: sequence FILE METHOD PRECONDITIONER [OPTIONS [ORDER]]
 *
 * METHOD is a Krylov method, PRECONDITIONER a kind ("ilu0", "none"), OPTIONS text such as
 * "restart=40 recycle=20 rtol=1e-8". ORDER is text for rkn_sequence_order ("method=chain"), which then
 * sorts the systems by their parameters; without it they are taken as they stand. The file has the layout
 *
 *   "RKNSEQ01", int64 rows, systems, scalar (1 double, 3 double complex), parameters; then a system:
 *   int64 entries, int64 rowptr[rows + 1], int32 colind[entries], scalar values[entries],
 *   scalar rhs[rows], double parameters[parameters]
 *
 * little-endian. As a careful user runs it: one operator as long as the pattern stays, its values
 * rewritten in place and announced if they differ, x = 0 at the start. The true residual is recomputed
 * here. One JSON line, in which "path" is the length of the order in parameters, that of the file being 1;
 * with EACH in the environment also a line a system, with REPORT the solver's own report of the last one.
 * FORGET makes the solver forget what it learned before each system: gcrodr is then GMRES with deflated
 * restarts. SYSTEMS=20 solves the first twenty only, enough for a method without memory.
 */
#include "bench.h"

#include <complex.h>
#include <string.h>

/* ||b - A x|| / ||b||, computed from the file's arrays. */
static double true_residual(int is_complex, int64_t n, const int64_t *ptr, const int32_t *col, const void *val, const void *b, const void *x) {
    double rr = 0, bb = 0;
    for (int64_t i = 0; i < n; ++i) {
        double complex r = is_complex ? ((const double complex *)b)[i] : ((const double *)b)[i];
        bb += creal(r) * creal(r) + cimag(r) * cimag(r);
        for (int64_t k = ptr[i]; k < ptr[i + 1]; ++k)
            r -= is_complex ? ((const double complex *)val)[k] * ((const double complex *)x)[col[k]]
                            : ((const double *)val)[k] * ((const double *)x)[col[k]];
        rr += creal(r) * creal(r) + cimag(r) * cimag(r);
    }
    return csqrt(rr / bb);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: sequence FILE METHOD PRECONDITIONER [OPTIONS [ORDER]]\n");
        return 2;
    }
    FILE *f = fopen(argv[1], "rb");
    if (!f) {
        perror(argv[1]);
        return 2;
    }
    char magic[8];
    int64_t head[4];
    need(f, magic, 1, 8);
    need(f, head, 8, 4);
    int64_t n = head[0], count = head[1], params = head[3];
    int is_complex = head[2] == 3, has_pc = strcmp(argv[3], "none") != 0;
    size_t size = is_complex ? 16 : 8;

    rkn_krylov *s = NULL;
    check(rkn_krylov_create(NULL, argv[2], &s));
    check(rkn_krylov_set_real(s, "rtol", 1e-8));
    if (argc > 4) check(rkn_krylov_set_options(s, argv[4]));

    int64_t *ptr = malloc(8 * (n + 1)), *kept_ptr = malloc(8 * (n + 1)), kept = -1;
    int32_t *ptr32 = malloc(4 * (n + 1)), *col = NULL, *kept_col = NULL;
    void *val = NULL, *kept_val = NULL, *b = malloc(size * n), *x = malloc(size * n);
    double setup = 0, sort = 0, path = 1, seconds = 0, worst = 0;
    int64_t iterations = 0, applies = 0;
    int failed = 0;
    rkn_operator *A = NULL, *M = NULL;

    int64_t *at = malloc(8 * count), *order = malloc(8 * count);        /* where each system stands in the file */
    double *parameters = malloc(8 * (params * count + 1));
    for (int64_t k = 0; k < count; ++k) {
        int64_t nnz;
        at[k] = ftell(f);
        order[k] = k;
        need(f, &nnz, 8, 1);
        fseek(f, 8 * (n + 1) + (4 + (int64_t)size) * nnz + (int64_t)size * n, SEEK_CUR);
        need(f, parameters + k * params, 8, params);
    }
    if (argc > 5) {
        double t0 = now();
        check(rkn_sequence_order(NULL, count, params, parameters, params, argv[5], order));
        sort = now() - t0;
        double before;
        check(rkn_sequence_length(NULL, count, params, parameters, params, NULL, &before));
        check(rkn_sequence_length(NULL, count, params, parameters, params, order, &path));
        path = before > 0 ? path / before : 1;
    }
    if (getenv("SYSTEMS") && atol(getenv("SYSTEMS")) < count) count = atol(getenv("SYSTEMS"));

    for (int64_t k = 0; k < count; ++k) {
        int64_t nnz;
        fseek(f, at[order[k]], SEEK_SET);
        need(f, &nnz, 8, 1);
        col = realloc(col, 4 * nnz);
        val = realloc(val, size * nnz);
        need(f, ptr, 8, n + 1);
        need(f, col, 4, nnz);
        need(f, val, size, nnz);
        need(f, b, size, n);
        int same = kept == nnz && !memcmp(ptr, kept_ptr, 8 * (n + 1)) && !memcmp(col, kept_col, 4 * nnz);
        int unchanged = same && !memcmp(val, kept_val, size * nnz);
        if (getenv("FORGET")) check(rkn_krylov_forget(s));
        double t0 = now();
        if (unchanged) {
            /* nothing to announce: preconditioners and A U are kept */
        } else if (same) {
            memcpy(kept_val, val, size * nnz);
            check(rkn_operator_changed(A));
            if (M) check(rkn_operator_changed(M));
        } else {
            rkn_operator_destroy(A);
            rkn_operator_destroy(M);
            M = NULL;
            kept = nnz;
            kept_col = realloc(kept_col, 4 * nnz);
            kept_val = realloc(kept_val, size * nnz);
            memcpy(kept_ptr, ptr, 8 * (n + 1));
            memcpy(kept_col, col, 4 * nnz);
            memcpy(kept_val, val, size * nnz);
            for (int64_t i = 0; i <= n; ++i) ptr32[i] = (int32_t)ptr[i];
            t0 = now();
            check(rkn_operator_create_csr(NULL, is_complex ? RKN_C64 : RKN_F64, n, n, RKN_I32, 0, ptr32, kept_col, kept_val, RKN_BORROW, &A));
            if (has_pc) check(rkn_operator_create_preconditioner(NULL, A, argv[3], &M));
        }
        double t1 = now();
        rkn_status status = rkn_krylov_solve(s, A, M, b, x);
        double t2 = now();
        check(status);
        int64_t v;
        check(rkn_krylov_get_int(s, "iterations", &v));
        iterations += v;
        check(rkn_krylov_get_int(s, "applies", &v));
        applies += v;
        setup += t1 - t0;
        seconds += t2 - t1;
        failed += status != RKN_OK;
        if (getenv("EACH")) {
            char method[64], with[64];
            int64_t its, rebuilds;
            check(rkn_krylov_get_int(s, "iterations", &its));
            check(rkn_krylov_get_int(s, "rebuilds", &rebuilds));
            check(rkn_krylov_get_string(s, "chosen_method", method, sizeof method, NULL));
            check(rkn_krylov_get_string(s, "chosen_preconditioner", with, sizeof with, NULL));
            fprintf(stderr, "%4ld: %4ld iterations, %.4f s, %s %s, %ld rebuilds\n", (long)order[k], (long)its, t2 - t0, method, with, (long)rebuilds);
        }
        double r = true_residual(is_complex, n, ptr, col, val, b, x);
        if (!(r <= worst)) worst = r;
    }
    if (getenv("REPORT")) {
        char report[8000];
        check(rkn_krylov_report(s, report, sizeof report, NULL));
        fputs(report, stderr);
    }
    printf("{\"peer\":\"reknit\",\"method\":\"%s\",\"pc\":\"%s\",\"options\":\"%s\",\"systems\":%ld,\"failed\":%d,\"iterations\":%ld,"
           "\"applies\":%ld,\"sort_s\":%.4f,\"path\":%.3f,\"setup_s\":%.4f,\"solve_s\":%.4f,\"worst_residual\":%.3e}\n",
           argv[2], argv[3], argc > 4 ? argv[4] : "", (long)count, failed, (long)iterations, (long)applies, sort, path, setup, seconds, worst);
    rkn_operator_destroy(A);
    rkn_operator_destroy(M);
    rkn_krylov_destroy(s);
    fclose(f);
    free(ptr); free(kept_ptr); free(ptr32); free(col); free(kept_col); free(val); free(kept_val); free(b); free(x);
    free(at); free(order); free(parameters);
    return 0;
}
