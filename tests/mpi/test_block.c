/* Several right-hand sides over ranks, one of which has no rows: as many reductions as the longest column alone. */
#include "grid.h"

enum { NX = 21, NY = 17, COLUMNS = 5 };

typedef struct trial {
    const char *method, *options;
    int more;    /* reductions that a step of a block takes beyond those of a column alone */
} trial;

static const trial trials[] = {
    {"cg", "", 0},
    {"minres", "", 0},
    {"bicgstab", "", 0},
    {"gmres", "restart=20", 0},
    {"gmres", "restart=20 side=left", 0},
    {"gcrodr", "restart=20 recycle=6", 0},
    {"rcg", "restart=20 recycle=6", 0},
    {"rminres", "restart=20 recycle=6", 0},
    {"idr", "", 0},
    {"cocr", "", 0},
    {"auto", "", 0},
    {"cg", "blocking=block", 1},
    {"gmres", "restart=20 blocking=block", 1},
    {"gmres", "restart=20 blocking=block side=left", 1},
    {"gcrodr", "restart=20 recycle=6 blocking=block", 1},
};

/* Right-hand sides side by side, `ld` apart, with their solutions. */
static void sides(const grid *g, int first, int64_t ld, double *u, double *b) {
    for (int j = 0; j < COLUMNS; ++j) exact(g, first + j, u + j * ld, b + j * ld);
}

static void solves(const trial *t, int has_gap) {
    char what[160];
    snprintf(what, sizeof what, "%s %s, %s", t->method, t->options, has_gap ? "a rank without rows" : "rows on all ranks");
    if (!begins(what)) return;
    grid g = has_gap ? grid_with_gap(NX, NY) : grid_of_world(NX, NY, 0);
    rkn_context *ctx = attached();
    const int64_t n = grid_size(&g), ld = n + 3;
    part of_A = {.g = &g}, of_M = {.g = &g};
    rkn_operator *A = operator_of(ctx, apply_laplacian, &of_A), *M = operator_of(ctx, apply_polynomial, &of_M);
    rkn_krylov *s = solver_of(ctx, t->method, t->options);
    double *u = numbers(COLUMNS * ld), *b = numbers(COLUMNS * ld), *x = numbers(COLUMNS * ld);
    for (int round = 0; round < 2; ++round) {
        if (round == 1) EXPECT_OK(rkn_operator_changed(A));
        sides(&g, COLUMNS * round, ld, u, b);
        int64_t longest = 0, reductions = 0;
        for (int j = 0; j < COLUMNS; ++j) {
            rkn_krylov *alone = solver_of(ctx, t->method, t->options);
            EXPECT_OK(rkn_krylov_solve(alone, A, M, b + j * ld, x));
            if (count_of(alone, "reductions") > reductions) reductions = count_of(alone, "reductions");
            if (count_of(alone, "iterations") > longest) longest = count_of(alone, "iterations");
            rkn_krylov_destroy(alone);
        }
        EXPECT_OK(rkn_krylov_solve_block(s, A, M, COLUMNS, b, ld, x, ld));
        const int64_t steps = count_of(s, "iterations"), sums = count_of(s, "reductions");
        for (int j = 0; j < COLUMNS; ++j) EXPECT_AT_MOST(error_of(&g, x + j * ld, u + j * ld), 1e-6);
        EXPECT_SAME(steps);
        EXPECT_SAME(sums);
        EXPECT_SAME(of_A.calls);
        EXPECT_SAME(of_M.calls);
        /* Columns that end earlier check their residuals by themselves, and memory takes some to renew. */
        EXPECT_AT_MOST((double)sums, (double)(reductions + t->more * steps + 30));
        EXPECT_AT_MOST((double)steps, (double)(longest + 2));
        int64_t iterations[COLUMNS];
        double norms[COLUMNS];
        rkn_status statuses[COLUMNS];
        EXPECT_OK(rkn_krylov_columns(s, iterations, norms, statuses, COLUMNS, NULL));
        same_at(iterations, sizeof iterations, "the columns end alike on all ranks", __FILE__, __LINE__);
        same_at(norms, sizeof norms, "the norms are the same on all ranks", __FILE__, __LINE__);
        for (int j = 0; j < COLUMNS; ++j) EXPECT(statuses[j] == RKN_OK);
    }
    rkn_krylov_destroy(s);
    rkn_operator_destroy(M);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    free(u), free(b), free(x), grid_destroy(&g);
}

/* A callback that fails on one rank ends the solve on all of them, at any of its calls. */
static void failures(const trial *t) {
    char what[160];
    snprintf(what, sizeof what, "%s %s, the last rank fails", t->method, t->options);
    if (!begins(what)) return;
    grid g = grid_with_gap(NX, NY);
    rkn_context *ctx = attached();
    const int64_t n = grid_size(&g);
    double *u = numbers(COLUMNS * n), *b = numbers(COLUMNS * n), *x = numbers(COLUMNS * n);
    sides(&g, 0, n, u, b);
    for (int64_t fail_at = 1; fail_at <= 6; ++fail_at) {
        const int fails = my_rank == all_ranks - 1;
        part of_A = {.g = &g, .fail_at = fails ? fail_at : 0, .value = 5}, of_M = {.g = &g};
        rkn_operator *A = operator_of(ctx, apply_laplacian, &of_A), *M = operator_of(ctx, apply_polynomial, &of_M);
        rkn_krylov *s = solver_of(ctx, t->method, t->options);
        const rkn_status status = rkn_krylov_solve_block(s, A, M, COLUMNS, b, n > 0 ? n : 1, x, n > 0 ? n : 1);
        EXPECT(status == RKN_ERR_CALLBACK);
        EXPECT_SAME(of_A.calls);
        EXPECT_SAME(of_M.calls);
        int64_t wild = 0;
        for (int64_t i = 0; i < COLUMNS * n; ++i) wild += !isfinite(x[i]);
        EXPECT(wild == 0);
        EXPECT_OK(rkn_krylov_solve_block(s, A, M, COLUMNS, b, n > 0 ? n : 1, x, n > 0 ? n : 1));
        rkn_krylov_destroy(s);
        rkn_operator_destroy(M);
        rkn_operator_destroy(A);
    }
    rkn_context_destroy(ctx);
    free(u), free(b), free(x), grid_destroy(&g);
}

int main(int argc, char **argv) {
    begin_tests(&argc, &argv);
    for (size_t i = 0; i < sizeof trials / sizeof *trials; ++i) {
        for (int has_gap = 0; has_gap < 2; ++has_gap) solves(&trials[i], has_gap);
        failures(&trials[i]);
    }
    MPI_Finalize();
    return report();
}
