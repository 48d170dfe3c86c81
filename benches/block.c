/* Several right-hand sides at once: block FILE METHOD PRECONDITIONER COLUMNS MODE [OPTIONS]
 *
 * The matrix of each system in FILE (layout in benches/sequence.c, real numbers) with COLUMNS right-hand sides:
 * random numbers in (-1, 1), the same in every run and in benches/belos_block.cpp. MODE one: a solve for each;
 * pseudo, block: one block solve, of that blocking. One line of JSON; the true residuals are recomputed here.
 * SYSTEMS=1 in the environment takes the first system only.
 */
#include "bench.h"

#include <math.h>
#include <string.h>

static double noise(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) / 4503599627370496.0 - 1;
}

static int64_t count_of(const rkn_krylov *s, const char *key) {
    int64_t v;
    check(rkn_krylov_get_int(s, key, &v));
    return v;
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: block FILE METHOD PRECONDITIONER COLUMNS one|pseudo|block [OPTIONS]\n");
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
    int64_t systems = head[1];
    if (getenv("SYSTEMS") && atol(getenv("SYSTEMS")) < systems) systems = atol(getenv("SYSTEMS"));
    const int64_t n = head[0], params = head[3], columns = atoll(argv[4]);
    const int one = !strcmp(argv[5], "one"), has_pc = strcmp(argv[3], "none") != 0;
    if (head[2] != 1 || columns < 1) {
        fprintf(stderr, "real files and at least one column only\n");
        return 2;
    }
    rkn_krylov *s = NULL;
    check(rkn_krylov_create(NULL, argv[2], &s));
    check(rkn_krylov_set_real(s, "rtol", 1e-8));
    if (argc > 6) check(rkn_krylov_set_options(s, argv[6]));
    if (!one) check(rkn_krylov_set_string(s, "blocking", argv[5]));

    int64_t *ptr = malloc(8 * (n + 1)), kept = -1;
    int32_t *ptr32 = malloc(4 * (n + 1)), *col = NULL;
    double *val = NULL, *b = malloc(8 * n * columns), *x = malloc(8 * n * columns), *skip = malloc(8 * (n + params + 1));
    double setup = 0, seconds = 0, worst = 0;
    int64_t steps = 0, applies = 0;
    int failed = 0;
    uint64_t seed = 1;
    rkn_operator *A = NULL, *M = NULL;
    for (int64_t k = 0; k < systems; ++k) {
        int64_t nnz;
        need(f, &nnz, 8, 1);
        if (kept >= 0 && kept != nnz) {
            fprintf(stderr, "one pattern only\n");
            return 2;
        }
        if (kept < 0) col = malloc(4 * nnz), val = malloc(8 * nnz);
        need(f, ptr, 8, n + 1);
        need(f, col, 4, nnz);
        need(f, val, 8, nnz);
        need(f, skip, 8, n + params);
        for (int64_t i = 0; i < n * columns; ++i) b[i] = noise(&seed);
        const double t0 = now();
        if (kept < 0) {
            for (int64_t i = 0; i <= n; ++i) ptr32[i] = (int32_t)ptr[i];
            check(rkn_operator_create_csr(NULL, RKN_F64, n, n, RKN_I32, 0, ptr32, col, val, RKN_BORROW, &A));
            if (has_pc) check(rkn_operator_create_preconditioner(NULL, A, argv[3], &M));
        } else {
            check(rkn_operator_changed(A));
            if (M) check(rkn_operator_changed(M));
        }
        kept = nnz;
        const double t1 = now();
        if (one) {
            for (int64_t j = 0; j < columns; ++j) {
                const rkn_status status = rkn_krylov_solve(s, A, M, b + j * n, x + j * n);
                check(status);
                failed += status != RKN_OK;
                steps += count_of(s, "iterations");
                applies += count_of(s, "applies");
            }
        } else {
            const rkn_status status = rkn_krylov_solve_block(s, A, M, columns, b, n, x, n);
            check(status);
            failed += status != RKN_OK;
            steps += count_of(s, "iterations");
            applies += count_of(s, "applies");
        }
        setup += t1 - t0;
        seconds += now() - t1;
        for (int64_t j = 0; j < columns; ++j) {
            double rr = 0, bb = 0;
            for (int64_t i = 0; i < n; ++i) {
                double r = b[j * n + i];
                bb += r * r;
                for (int64_t e = ptr[i]; e < ptr[i + 1]; ++e) r -= val[e] * x[j * n + col[e]];
                rr += r * r;
            }
            if (!(sqrt(rr / bb) <= worst)) worst = sqrt(rr / bb);
        }
    }
    printf("{\"peer\":\"reknit\",\"method\":\"%s\",\"pc\":\"%s\",\"columns\":%ld,\"mode\":\"%s\",\"systems\":%ld,\"failed\":%d,\"iterations\":%ld,"
           "\"applies\":%ld,\"setup_s\":%.4f,\"solve_s\":%.4f,\"worst_residual\":%.3e}\n",
           argv[2], argv[3], (long)columns, argv[5], (long)systems, failed, (long)steps, (long)applies, setup, seconds, worst);
    rkn_krylov_destroy(s);
    rkn_operator_destroy(M);
    rkn_operator_destroy(A);
    free(ptr), free(ptr32), free(col), free(val), free(b), free(x), free(skip);
    fclose(f);
    return 0;
}
