/* A rank without rows takes part like any other: as many reductions, whatever is set. */
#include "grid.h"

enum { NX = 21, NY = 17 };

typedef struct trial {
    const char *method, *options, *preconditioner;
    rkn_apply_fn precondition;
} trial;

static const trial trials[] = {
    {"cg", "", "none", NULL},
    {"cg", "", "polynomial", apply_polynomial},
    {"minres", "", "polynomial", apply_polynomial},
    {"bicgstab", "", "polynomial", apply_polynomial},
    {"gmres", "restart=20", "polynomial", apply_polynomial},
    {"gmres", "restart=20 side=left", "polynomial", apply_polynomial},
    {"gmres", "restart=20 side=flexible", "polynomial", apply_polynomial},
    {"gcrodr", "restart=20 recycle=6", "polynomial", apply_polynomial},
    {"gcrodr", "restart=20 recycle=6 side=left", "polynomial", apply_polynomial},
    {"rcg", "restart=20 recycle=6", "polynomial", apply_polynomial},
    {"rbicgstab", "restart=20 recycle=6", "polynomial", apply_polynomial},
    {"eigcg", "restart=20 recycle=6", "polynomial", apply_polynomial},
    {"rminres", "restart=20 recycle=6", "polynomial", apply_polynomial},
    {"idr", "", "polynomial", apply_polynomial},
    {"cocg", "", "polynomial", apply_polynomial},
    {"cocr", "", "polynomial", apply_polynomial},
    {"cg", "preconditioner=ssor", "its own", NULL},
    {"cg", "preconditioner=chebyshev", "its own", NULL},
};

enum { PLAIN, SCALED, WEIGHTED, PREVIOUS, NULLSPACE, MODES };
static const char *const mode_names[MODES] = {"plain", "scaled", "weighted", "initial_guess=previous", "a nullspace"};

/* A local matrix for preconditioners that need entries: 4 I. */
static rkn_operator *diagonal(const rkn_context *ctx, int64_t n) {
    double *four = numbers(n);
    int32_t *ptr = (int32_t *)need((size_t)n + 1, sizeof *ptr), *ind = (int32_t *)need((size_t)n, sizeof *ind);
    for (int32_t i = 0; i < n; ++i) four[i] = 4, ind[i] = i, ptr[i + 1] = i + 1;
    rkn_operator *D = NULL;
    EXPECT_OK(rkn_operator_create_csr(ctx, RKN_F64, n, n, RKN_I32, 0, ptr, ind, four, RKN_COPY, &D));
    free(four), free(ptr), free(ind);
    return D;
}

static void solves(const trial *t, int mode) {
    char what[160];
    snprintf(what, sizeof what, "%s %s, %s, %s", t->method, t->options, t->preconditioner, mode_names[mode]);
    if (!begins(what)) return;
    grid g = grid_with_gap(NX, NY);
    g.neumann = mode == NULLSPACE;
    rkn_context *ctx = attached();
    const int64_t n = grid_size(&g);
    part of_A = {.g = &g}, of_M = {.g = &g};
    const int is_diagonal = strstr(t->options, "ssor") != NULL;
    rkn_operator *A = is_diagonal ? diagonal(ctx, n) : operator_of(ctx, apply_laplacian, &of_A);
    rkn_operator *M = t->precondition ? operator_of(ctx, t->precondition, &of_M) : NULL;
    rkn_krylov *s = solver_of(ctx, t->method, t->options);
    double *u = numbers(n), *b = numbers(n), *x = numbers(n), *ones = numbers(n), *scale = numbers(n);
    for (int64_t i = 0; i < n; ++i) {
        ones[i] = 1;
        scale[i] = 2;
    }
    if (mode == SCALED) EXPECT_OK(rkn_krylov_set_scaling(s, n, scale, scale));
    if (mode == WEIGHTED) EXPECT_OK(rkn_krylov_set_weights(s, n, scale));
    if (mode == PREVIOUS) EXPECT_OK(rkn_krylov_set_string(s, "initial_guess", "previous"));
    if (mode == NULLSPACE) {
        EXPECT_OK(rkn_operator_set_nullspace(A, RKN_LEFT, 1, ones, n > 0 ? n : 1));
        EXPECT_OK(rkn_operator_set_nullspace(A, RKN_RIGHT, 1, ones, n > 0 ? n : 1));
    }
    for (int i = 0; i < 2; ++i) {
        exact(&g, i, u, b);
        if (is_diagonal)
            for (int64_t k = 0; k < n; ++k) b[k] = 4 * u[k];
        EXPECT_OK(rkn_krylov_solve(s, A, M, b, x));
        EXPECT_AT_MOST(error_of(&g, x, u), 1e-6);
        const int64_t reductions = count_of(s, "reductions"), iterations = count_of(s, "iterations");
        EXPECT_SAME(reductions);
        EXPECT_SAME(iterations);
        /* Callbacks may hold collective calls. */
        EXPECT_SAME(of_A.calls);
        EXPECT_SAME(of_M.calls);
    }
    if (mode != PREVIOUS) {
        /* A right-hand side of zeros. */
        for (int64_t k = 0; k < n; ++k) b[k] = 0, x[k] = 1;
        EXPECT_OK(rkn_krylov_solve(s, A, M, b, x));
        double worst = 0;
        for (int64_t k = 0; k < n; ++k) worst = fmax(worst, fabs(x[k]));
        EXPECT_AT_MOST(worst, 1e-12);
    }
    rkn_krylov_destroy(s);
    rkn_operator_destroy(M);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    free(u), free(b), free(x), free(ones), free(scale), grid_destroy(&g);
}

int main(int argc, char **argv) {
    begin_tests(&argc, &argv);
    for (size_t i = 0; i < sizeof trials / sizeof *trials; ++i)
        for (int mode = 0; mode < MODES; ++mode) {
            /* These two make their own diagonal part: a singular matrix has no such preconditioner. */
            if (mode == NULLSPACE && strstr(trials[i].options, "preconditioner")) continue;
            solves(&trials[i], mode);
        }
    MPI_Finalize();
    return report();
}
