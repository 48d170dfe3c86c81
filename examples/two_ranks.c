/* Two ranks in one thread: solving by requests (reverse communication).
 *
 * A rod of 2 x 100 cells makes heat everywhere and loses it at both ends and, from step to step more, to the air:
 *
 *   (2 + loss) t_i - t_(i-1) - t_(i+1) = 1
 *
 * Each half of the rod has its own context, operator and solver, as on a machine of its own. No function is handed to
 * the library: the loop below asks both solvers what they want, and what they want is always the same, a product
 * or a sum over ranks. Both need the other half. Where ranks are processes the same loop calls MPI_Sendrecv
 * and MPI_Allreduce.
 *
 * The solvers remember what the last step taught them, and the later steps take fewer iterations.
 */
#include <reknit.h>

#include <stdio.h>
#include <stdlib.h>

enum { RANKS = 2, CELLS = 100, STEPS = 6 };

typedef struct half {
    rkn_context *ctx;
    rkn_operator *A;
    rkn_krylov *s;
    const rkn_request *wanted;
    double b[CELLS], t[CELLS];
} half;

/* Ends the program with the library's message if a call failed. */
static void check(rkn_status status) {
    if (status < 0) {
        fprintf(stderr, "%s\n", rkn_last_error());
        exit(1);
    }
}

/* Cell i of column j of the vector that a half wants multiplied; beyond the ends of the rod it is 0. */
static double cell(const half *rod, int rank, int64_t i, int64_t j) {
    if (i < 0) return rank == 0 ? 0.0 : cell(rod, rank - 1, CELLS - 1, j);
    if (i == CELLS) return rank == RANKS - 1 ? 0.0 : cell(rod, rank + 1, 0, j);
    const rkn_request *w = rod[rank].wanted;
    return ((const double *)w->x)[i + j * w->ldx];
}

static void multiply(const half *rod, double loss) {
    for (int rank = 0; rank < RANKS; ++rank) {
        const rkn_request *w = rod[rank].wanted;
        for (int64_t j = 0; j < w->ncols; ++j)
            for (int64_t i = 0; i < CELLS; ++i)
                ((double *)w->y)[i + j * w->ldy] =
                    (2.0 + loss) * cell(rod, rank, i, j) - cell(rod, rank, i - 1, j) - cell(rod, rank, i + 1, j);
    }
}

static void reduce(const half *rod) {
    double *p = rod[0].wanted->inout, *q = rod[1].wanted->inout;
    const int is_sum = rod[0].wanted->op == RKN_SUM;
    for (int64_t i = 0; i < rod[0].wanted->n; ++i) p[i] = q[i] = is_sum ? p[i] + q[i] : p[i] > q[i] ? p[i] : q[i];
}

int main(void) {
    static half rod[RANKS];
    for (int rank = 0; rank < RANKS; ++rank) {
        half *h = &rod[rank];
        check(rkn_context_create(&h->ctx));
        check(rkn_context_set_reduce_request(h->ctx));
        check(rkn_operator_create_request(h->ctx, RKN_F64, CELLS, CELLS, RKN_REQUEST_APPLY, &h->A));
        check(rkn_krylov_create(h->ctx, "gcrodr", &h->s));
        check(rkn_krylov_set_options(h->s, "rtol=1e-10 restart=40 recycle=10"));
        for (int i = 0; i < CELLS; ++i) h->b[i] = 1.0;
    }
    printf("step  iterations  products  sums     middle\n");
    for (int step = 1; step <= STEPS; ++step) {
        const double loss = 0.001 * step;
        int products = 0, sums = 0;
        for (int rank = 0; rank < RANKS; ++rank) {
            check(rkn_operator_changed(rod[rank].A)); /* another loss: what is known of A is old */
            check(rkn_krylov_start(rod[rank].s, rod[rank].A, NULL, rod[rank].b, rod[rank].t));
        }
        int32_t kind;
        do {
            for (int rank = 0; rank < RANKS; ++rank) check(rkn_krylov_next(rod[rank].s, 0, &rod[rank].wanted));
            kind = rod[0].wanted->kind;
            if (kind == RKN_REQUEST_APPLY) multiply(rod, loss), ++products;
            if (kind == RKN_REQUEST_REDUCE) reduce(rod), ++sums;
        } while (kind != RKN_REQUEST_DONE);

        int64_t iterations;
        check(rkn_krylov_get_int(rod[0].s, "iterations", &iterations));
        printf("%4d  %10d  %8d  %4d  %9.4f\n", step, (int)iterations, products, sums, rod[0].t[CELLS - 1]);
    }
    for (int rank = 0; rank < RANKS; ++rank) {
        rkn_krylov_destroy(rod[rank].s);
        rkn_operator_destroy(rod[rank].A);
        rkn_context_destroy(rod[rank].ctx);
    }
    return 0;
}
