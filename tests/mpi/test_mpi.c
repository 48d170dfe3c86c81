/* Solves over ranks: the hook, the same counts and bits on all ranks, shared unknowns, nullspaces, and back to
 * one rank. The truth is the discrete solution in closed form (grid.h). */
#include "grid.h"

/* ---- attaching ------------------------------------------------------------------------------- */

static void attaching_is_refused(void) {
    if (!begins("refused attachments")) return;
    rkn_context *ctx = NULL;
    EXPECT_OK(rkn_context_create(&ctx));
    EXPECT_STATUS(rkn_mpi_attach(NULL, MPI_COMM_WORLD), RKN_ERR_NULL);
    EXPECT(says("'ctx' is NULL"));
    EXPECT_STATUS(rkn_mpi_attach(ctx, MPI_COMM_NULL), RKN_ERR_ARGUMENT);
    /* A mistake of one rank is everybody's status, and nobody is left with a hook. */
    EXPECT_STATUS(rkn_mpi_attach(my_rank == all_ranks - 1 ? NULL : ctx, MPI_COMM_WORLD), RKN_ERR_NULL);
    grid g = grid_of_self(9, 7);
    part p = {.g = &g};
    rkn_operator *A = operator_of(ctx, apply_laplacian, &p);
    rkn_krylov *s = solver_of(ctx, "cg", "");
    double *u = numbers(grid_size(&g)), *b = numbers(grid_size(&g)), *x = numbers(grid_size(&g));
    exact(&g, 0, u, b);
    double error = 0;
    if (my_rank == 0) {
        rkn_krylov_solve(s, A, NULL, b, x);
        error = error_of(&g, x, u);
    }
    EXPECT_AT_MOST(error, 1e-6);
    /* Attaching twice is no leak of the first duplicate, and not refused. */
    EXPECT_OK(rkn_mpi_attach(ctx, MPI_COMM_WORLD));
    EXPECT_OK(rkn_mpi_attach(ctx, MPI_COMM_SELF));
    EXPECT_OK(rkn_krylov_solve(s, A, NULL, b, x));
    EXPECT_AT_MOST(error_of(&g, x, u), 1e-6);
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    free(u), free(b), free(x), grid_destroy(&g);
}

static void intercommunicators_are_refused(void) {
    if (!begins("an intercommunicator")) return;
    rkn_context *ctx = NULL;
    EXPECT_OK(rkn_context_create(&ctx));
    if (all_ranks > 1) {
        MPI_Comm side, both;
        MPI_Comm_split(MPI_COMM_WORLD, my_rank == 0, my_rank, &side);
        MPI_Intercomm_create(side, 0, MPI_COMM_WORLD, my_rank == 0 ? 1 : 0, 7, &both);
        EXPECT_STATUS(rkn_mpi_attach(ctx, both), RKN_ERR_ARGUMENT);
        MPI_Comm_free(&both);
        MPI_Comm_free(&side);
    }
    rkn_context_destroy(ctx);
}

static void the_hook_combines(void) {
    if (!begins("the hook")) return;
    enum { N = 1000 };
    rkn_mpi_ranks ranks = {MPI_COMM_WORLD, my_rank};
    double values[N], expected[N];
    for (int i = 0; i < N; ++i) {
        values[i] = (my_rank + 1) * (i - 400);
        expected[i] = all_ranks * (all_ranks + 1) / 2 * (i - 400);
    }
    EXPECT(rkn_mpi_reduce(&ranks, RKN_SUM, N, values) == 0);
    EXPECT(memcmp(values, expected, sizeof values) == 0);
    for (int i = 0; i < N; ++i) {
        values[i] = i % all_ranks == my_rank ? -1.0 : -2.0 - my_rank;
        expected[i] = -1.0;
    }
    EXPECT(rkn_mpi_reduce(&ranks, RKN_MAX, N, values) == 0);
    EXPECT(memcmp(values, expected, sizeof values) == 0);
    /* Sums that depend on the order: the same bits all the same. */
    for (int i = 0; i < N; ++i) values[i] = sin(1.0 + i + 1000 * my_rank) * pow(10, (i * 7 + my_rank * 5) % 17);
    EXPECT(rkn_mpi_reduce(&ranks, RKN_SUM, N, values) == 0);
    EXPECT_SAME(values);
    values[0] = my_rank;
    EXPECT(rkn_mpi_reduce(&ranks, RKN_SUM, 0, values) == 0 && values[0] == my_rank);
}

/* ---- the methods ----------------------------------------------------------------------------- */

typedef struct trial {
    const char *method, *options, *preconditioner;
    rkn_apply_fn precondition;
    int per_iteration, per_cycle;    /* reductions at most */
    int is_erratic;                  /* counts follow the rounding of the sums */
} trial;

static const trial trials[] = {
    {"cg", "rtol=1e-9", "none", NULL, 2, 8, 0},
    {"cg", "rtol=1e-9", "jacobi", apply_jacobi, 2, 8, 0},
    {"cg", "rtol=1e-9", "polynomial", apply_polynomial, 2, 8, 0},
    {"minres", "rtol=1e-9", "polynomial", apply_polynomial, 2, 8, 0},
    {"bicgstab", "rtol=1e-9", "polynomial", apply_polynomial, 3, 8, 1},
    {"gmres", "rtol=1e-9 restart=20", "jacobi", apply_jacobi, 2, 4, 0},
    {"gmres", "rtol=1e-9 restart=20", "polynomial", apply_polynomial, 2, 4, 0},
    {"gmres", "rtol=1e-9 restart=20 side=left", "polynomial", apply_polynomial, 2, 4, 0},
    {"gmres", "rtol=1e-9 restart=20 side=flexible", "polynomial", apply_polynomial, 2, 4, 0},
    {"gcrodr", "rtol=1e-9 restart=20 recycle=6", "none", NULL, 2, 8, 0},
    {"gcrodr", "rtol=1e-9 restart=20 recycle=6", "jacobi", apply_jacobi, 2, 8, 0},
    {"gcrodr", "rtol=1e-9 restart=20 recycle=6", "polynomial", apply_polynomial, 2, 8, 0},
    {"gcrodr", "rtol=1e-9 restart=20 recycle=6 side=left", "polynomial", apply_polynomial, 2, 8, 0},
    {"rbicgstab", "rtol=1e-9 restart=20 recycle=6", "polynomial", apply_polynomial, 3, 10, 1},
    {"rcg", "rtol=1e-9 restart=20 recycle=6", "none", NULL, 2, 8, 0},
    {"rcg", "rtol=1e-9 restart=20 recycle=6", "polynomial", apply_polynomial, 2, 8, 0},
    {"eigcg", "rtol=1e-9 restart=20 recycle=6", "none", NULL, 2, 8, 0},
    {"eigcg", "rtol=1e-9 restart=20 recycle=6", "polynomial", apply_polynomial, 2, 8, 0},
    {"rminres", "rtol=1e-9 restart=20 recycle=6", "polynomial", apply_polynomial, 2, 8, 0},
    {"auto", "rtol=1e-9", "none", NULL, 2, 20, 0},
    {"auto", "rtol=1e-9 restart=20 recycle=6", "jacobi", apply_jacobi, 2, 20, 0},
    {"auto", "rtol=1e-9 restart=20 recycle=6 initial_guess=pod", "polynomial", apply_polynomial, 2, 20, 0},
    {"idr", "rtol=1e-9", "polynomial", apply_polynomial, 2, 8, 1},
    {"cocg", "rtol=1e-9", "jacobi", apply_jacobi, 2, 8, 0},
    {"cocr", "rtol=1e-9", "polynomial", apply_polynomial, 2, 8, 0},
};

enum { NX = 31, NY = 24, SOLVES = 3 };

typedef struct score {
    int64_t iterations, reductions, restarts;
    double residual, error;
} score;

/* Counts what goes over ranks, for the truth about the key "reductions". */
typedef struct counted {
    rkn_mpi_ranks ranks;
    int64_t calls;
} counted;

static int32_t counting(void *user, rkn_reduction op, int64_t n, double *inout) {
    counted *c = (counted *)user;
    ++c->calls;
    return rkn_mpi_reduce(&c->ranks, op, n, inout);
}

/* A sequence of right-hand sides; between the last two the operator is said to have changed. */
static void run(const rkn_context *ctx, const trial *t, grid *g, score *scores) {
    part of_A = {.g = g}, of_M = {.g = g};
    rkn_operator *A = operator_of(ctx, apply_laplacian, &of_A), *M = t->precondition ? operator_of(ctx, t->precondition, &of_M) : NULL;
    rkn_krylov *s = solver_of(ctx, t->method, t->options);
    const int64_t n = grid_size(g) * g->parts;
    double *u = numbers(n), *b = numbers(n), *x = numbers(n);
    for (int i = 0; i < SOLVES; ++i) {
        if (i == SOLVES - 1) EXPECT_OK(rkn_operator_changed(A));
        exact(g, i, u, b);
        EXPECT_OK(rkn_krylov_solve(s, A, M, b, x));
        scores[i] = (score){count_of(s, "iterations"), count_of(s, "reductions"), count_of(s, "restarts"), real_of(s, "residual_norm"), error_of(g, x, u)};
    }
    int64_t length = 0;
    EXPECT_OK(rkn_krylov_history(s, NULL, 0, &length));
    EXPECT_SAME(length);
    double *norms = numbers(length);
    EXPECT_OK(rkn_krylov_history(s, norms, length, NULL));
    same_at(norms, sizeof(double) * (size_t)length, "the history is the same on all ranks", __FILE__, __LINE__);
    rkn_krylov_destroy(s);
    rkn_operator_destroy(M);
    rkn_operator_destroy(A);
    free(u), free(b), free(x), free(norms);
}

static void methods_solve(const trial *t) {
    char what[120];
    snprintf(what, sizeof what, "%s %s, %s", t->method, t->options, t->preconditioner);
    if (!begins(what)) return;
    score alone[SOLVES], together[SOLVES];
    grid whole = grid_of_self(NX, NY), strips = grid_of_world(NX, NY, 0);
    run(NULL, t, &whole, alone);
    rkn_context *ctx = attached();
    run(ctx, t, &strips, together);
    for (int i = 0; i < SOLVES; ++i) {
        EXPECT(t->is_erratic || together[i].iterations == alone[i].iterations);
        EXPECT_AT_MOST(together[i].error, 1e-7);
        EXPECT_SAME(together[i]);
        EXPECT_AT_MOST((double)together[i].reductions, (double)(t->per_iteration * together[i].iterations + t->per_cycle * (together[i].restarts + 2)));
        EXPECT(together[i].reductions >= together[i].iterations);
    }
    if (!strcmp(t->method, "gcrodr") || !strcmp(t->method, "rcg") || !strcmp(t->method, "rminres")) EXPECT(together[1].iterations < together[0].iterations);

    counted hook = {{MPI_COMM_WORLD, my_rank}, 0};
    score again[SOLVES];
    EXPECT_OK(rkn_context_set_reduce(ctx, counting, &hook, NULL));
    run(ctx, t, &strips, again);
    int64_t reported = 0;
    for (int i = 0; i < SOLVES; ++i) reported += again[i].reductions;
    EXPECT(hook.calls == reported);
    EXPECT(memcmp(again, together, sizeof again) == 0);
    rkn_context_destroy(ctx);
    grid_destroy(&whole), grid_destroy(&strips);
}

/* ---- unknowns that two ranks hold ------------------------------------------------------------ */

static double share_of(const grid *g, int row) {
    const int doubled = (row == 0 && g->south != MPI_PROC_NULL) || (row == g->rows - 1 && g->north != MPI_PROC_NULL);
    return doubled ? 0.5 : 1.0;
}

static int32_t shared_inner(void *user, int64_t n, int64_t k, const void *x, int64_t ldx, int64_t l, const void *y, int64_t ldy, double *out) {
    const grid *g = (const grid *)user;
    for (int64_t q = 0; q < l; ++q)
        for (int64_t p = 0; p < k; ++p) {
            double sum = 0;
            for (int64_t i = 0; i < n; ++i)
                sum += share_of(g, (int)(i / g->nx)) * ((const double *)x)[p * ldx + i] * ((const double *)y)[q * ldy + i];
            out[p + q * k] = sum;
        }
    return 0;
}

static void shared_unknowns(const trial *t, int by_hook) {
    char what[120];
    snprintf(what, sizeof what, "shared rows by %s, %s %s, %s", by_hook ? "inner products" : "weights", t->method, t->options, t->preconditioner);
    if (!begins(what)) return;
    score alone[SOLVES];
    grid whole = grid_of_self(NX, NY), g = grid_of_world(NX, NY, 1);
    run(NULL, t, &whole, alone);
    rkn_context *ctx = attached();
    part of_A = {.g = &g}, of_M = {.g = &g};
    rkn_operator *A = operator_of(ctx, apply_laplacian, &of_A), *M = t->precondition ? operator_of(ctx, t->precondition, &of_M) : NULL;
    rkn_krylov *s = solver_of(ctx, t->method, t->options);
    const int64_t n = grid_size(&g);
    double *u = numbers(n), *b = numbers(n), *x = numbers(n), *w = numbers(n);
    for (int64_t i = 0; i < n; ++i) w[i] = share_of(&g, (int)(i / g.nx));
    if (by_hook) EXPECT_OK(rkn_krylov_set_inner(s, shared_inner, &g, NULL));
    else EXPECT_OK(rkn_krylov_set_weights(s, n, w));
    for (int i = 0; i < 2; ++i) {
        exact(&g, i, u, b);
        EXPECT_OK(rkn_krylov_solve(s, A, M, b, x));
        EXPECT(t->is_erratic || count_of(s, "iterations") == alone[i].iterations);
        EXPECT_AT_MOST(error_of(&g, x, u), 1e-7);
        /* The weighted norm counts each unknown once: it is the norm on one rank. */
        if (!t->is_erratic) EXPECT_AT_MOST(fabs(real_of(s, "residual_norm") / alone[i].residual - 1), 1e-3);
    }
    rkn_krylov_destroy(s);
    rkn_operator_destroy(M);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    free(u), free(b), free(x), free(w), grid_destroy(&g), grid_destroy(&whole);
}

/* ---- a singular operator, complex numbers ---------------------------------------------------- */

static void nullspaces(const char *method) {
    char what[80];
    snprintf(what, sizeof what, "no flux through the rim, %s", method);
    if (!begins(what)) return;
    grid g = grid_of_world(NX, NY, 0);
    g.neumann = 1;
    rkn_context *ctx = attached();
    part p = {.g = &g};
    rkn_operator *A = operator_of(ctx, apply_laplacian, &p);
    const int64_t n = grid_size(&g);
    double *u = numbers(n), *b = numbers(n), *x = numbers(n), *constant = numbers(n);
    for (int64_t i = 0; i < n; ++i) constant[i] = 3;
    EXPECT_OK(rkn_operator_set_nullspace(A, RKN_LEFT, 1, constant, n));
    EXPECT_OK(rkn_operator_set_nullspace(A, RKN_RIGHT, 1, constant, n));
    rkn_krylov *s = solver_of(ctx, method, "rtol=1e-9");
    for (int i = 0; i < 2; ++i) {
        exact(&g, i, u, b);
        /* What lies in the nullspace is projected off, with the mean over all ranks. */
        for (int64_t k = 0; k < n; ++k) b[k] += 5;
        EXPECT_OK(rkn_krylov_solve(s, A, NULL, b, x));
        EXPECT_AT_MOST(error_of(&g, x, u), 1e-7);
    }
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    free(u), free(b), free(x), free(constant), grid_destroy(&g);
}

static void complex_numbers(const trial *t) {
    char what[120];
    snprintf(what, sizeof what, "complex, %s %s, %s", t->method, t->options, t->preconditioner);
    if (!begins(what)) return;
    score alone[SOLVES], together[SOLVES];
    grid whole = grid_of_self(NX, NY), strips = grid_of_world(NX, NY, 0);
    whole.parts = strips.parts = 2;
    run(NULL, t, &whole, alone);
    rkn_context *ctx = attached();
    run(ctx, t, &strips, together);
    for (int i = 0; i < SOLVES; ++i) {
        EXPECT(t->is_erratic || together[i].iterations == alone[i].iterations);
        EXPECT_AT_MOST(together[i].error, 1e-7);
        EXPECT_SAME(together[i]);
    }
    rkn_context_destroy(ctx);
    grid_destroy(&whole), grid_destroy(&strips);
}

/* The one preconditioner of the library that multiplies with the whole operator. */
static void chebyshev_over_ranks(void) {
    if (!begins("the library's own chebyshev")) return;
    grid g = grid_of_world(NX, NY, 0);
    rkn_context *ctx = attached();
    part p = {.g = &g};
    rkn_operator *A = operator_of(ctx, apply_laplacian, &p);
    const int64_t n = grid_size(&g);
    double *u = numbers(n), *b = numbers(n), *x = numbers(n);
    exact(&g, 0, u, b);
    rkn_krylov *plain = solver_of(ctx, "cg", "rtol=1e-9"), *s = solver_of(ctx, "cg", "rtol=1e-9 preconditioner=chebyshev");
    EXPECT_OK(rkn_krylov_solve(plain, A, NULL, b, x));
    EXPECT_OK(rkn_krylov_solve(s, A, NULL, b, x));
    EXPECT_AT_MOST(error_of(&g, x, u), 1e-7);
    EXPECT(count_of(s, "iterations") < count_of(plain, "iterations"));
    rkn_krylov_destroy(s);
    rkn_krylov_destroy(plain);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    free(u), free(b), free(x), grid_destroy(&g);
}

/* Squares of the entries vanish in double precision; the norm must not, on any rank. */
static void tiny_numbers(void) {
    if (!begins("entries of 1e-170, on one rank only")) return;
    grid g = grid_of_world(NX, NY, 0);
    rkn_context *ctx = attached();
    part p = {.g = &g};
    rkn_operator *A = operator_of(ctx, apply_jacobi, &p);
    const int64_t n = grid_size(&g);
    double *b = numbers(n), *x = numbers(n), worst = 0;
    for (int64_t i = 0; i < n; ++i) b[i] = my_rank == all_ranks - 1 ? 1e-170 : 0;
    rkn_krylov *s = solver_of(ctx, "gmres", "");
    EXPECT_OK(rkn_krylov_solve(s, A, NULL, b, x));
    for (int64_t i = 0; i < n; ++i) worst = fmax(worst, fabs(x[i] - 4 * b[i]));
    EXPECT_AT_MOST(worst, 1e-176);
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    free(b), free(x), grid_destroy(&g);
}

/* ---- a preconditioner that ages ---------------------------------------------------------------- */

/* A = Laplacian + D(t) with large, drifting D; M divides by the diagonal as it was at the last refresh. */
typedef struct drift {
    grid *g;
    double t, *kept;
    int refreshes;
} drift;

static double reaction(const grid *g, int64_t i, double t) {
    return 300 * (1.1 + sin(1.7 * (double)(g->first * g->nx + i) + t));
}
static int32_t apply_drift(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    drift *d = (drift *)user;
    (void)trans;
    for (int64_t j = 0; j < ncols; ++j) {
        const double *from = (const double *)x + j * ldx;
        double *to = (double *)y + j * ldy;
        laplacian(d->g, from, to);
        for (int64_t i = 0; i < grid_size(d->g); ++i) to[i] += reaction(d->g, i, d->t) * from[i];
    }
    return 0;
}
static int32_t apply_kept(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    drift *d = (drift *)user;
    (void)trans;
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < grid_size(d->g); ++i) ((double *)y)[j * ldy + i] = ((const double *)x)[j * ldx + i] / d->kept[i];
    return 0;
}
static int32_t refresh_kept(void *user) {
    drift *d = (drift *)user;
    d->refreshes++;
    for (int64_t i = 0; i < grid_size(d->g); ++i) d->kept[i] = 4 + reaction(d->g, i, d->t);
    return 0;
}

enum { STEPS = 10 };
typedef struct ageing {
    int64_t iterations[STEPS], refreshes[STEPS];
    double residual[STEPS];
} ageing;

static ageing run_ageing(const rkn_context *ctx, grid *g) {
    const int64_t n = grid_size(g);
    drift d = {.g = g, .kept = numbers(n)};
    double *b = numbers(n), *x = numbers(n), *r = numbers(n);
    rkn_operator *A = NULL, *M = NULL;
    ageing seen;
    EXPECT_OK(rkn_operator_create_callback(ctx, RKN_F64, n, n, apply_drift, &d, NULL, &A));
    EXPECT_OK(rkn_operator_create_callback(ctx, RKN_F64, n, n, apply_kept, &d, NULL, &M));
    EXPECT_OK(rkn_operator_set_refresh(M, refresh_kept, &d, NULL));
    EXPECT_OK(rkn_operator_set_int(A, "hermitian", 1));
    EXPECT_OK(rkn_operator_set_int(M, "hermitian", 1));
    rkn_krylov *s = solver_of(ctx, "auto", "rtol=1e-8 setup_cost=6 initial_guess=zero");
    for (int64_t i = 0; i < n; ++i) b[i] = cos(0.3 * (double)(g->first * g->nx + i));
    for (int k = 0; k < STEPS; ++k) {
        d.t = 0.15 * k;
        EXPECT_OK(rkn_operator_changed(A));
        EXPECT_OK(rkn_krylov_solve(s, A, M, b, x));
        apply_drift(&d, RKN_N, 1, x, n, r, n);
        double sums[2] = {0, 0}, all[2];
        for (int64_t i = 0; i < n; ++i) sums[0] += (b[i] - r[i]) * (b[i] - r[i]), sums[1] += b[i] * b[i];
        MPI_Allreduce(sums, all, 2, MPI_DOUBLE, MPI_SUM, g->comm);
        seen.iterations[k] = count_of(s, "iterations");
        seen.refreshes[k] = d.refreshes;
        seen.residual[k] = sqrt(all[0] / all[1]);
    }
    rkn_krylov_destroy(s);
    rkn_operator_destroy(M);
    rkn_operator_destroy(A);
    free(d.kept), free(b), free(x), free(r);
    return seen;
}

/* "auto" refreshes at the same steps on all ranks, and on one rank as on several. */
static void ranks_decide_alike(void) {
    if (!begins("auto and a preconditioner that ages")) return;
    grid whole = grid_of_self(NX, NY), strips = grid_of_world(NX, NY, 0);
    rkn_context *ctx = attached();
    const ageing alone = run_ageing(NULL, &whole), together = run_ageing(ctx, &strips);
    EXPECT_SAME(together.iterations);
    EXPECT_SAME(together.refreshes);
    EXPECT(memcmp(together.iterations, alone.iterations, sizeof alone.iterations) == 0);
    EXPECT(memcmp(together.refreshes, alone.refreshes, sizeof alone.refreshes) == 0);
    EXPECT(together.refreshes[STEPS - 1] > 1 && together.refreshes[STEPS - 1] < STEPS);
    for (int k = 0; k < STEPS; ++k) EXPECT_AT_MOST(together.residual[k], 1.01e-8);
    rkn_context_destroy(ctx);
    grid_destroy(&whole), grid_destroy(&strips);
}

/* ---- back to one rank ------------------------------------------------------------------------ */

static void serial_again(void) {
    if (!begins("back to one rank")) return;
    grid g = grid_of_self(17, 13);
    rkn_context *ctx = attached();
    EXPECT_OK(rkn_context_set_reduce(ctx, NULL, NULL, NULL));
    part p = {.g = &g};
    rkn_operator *A = operator_of(ctx, apply_laplacian, &p);
    rkn_krylov *s = solver_of(ctx, "gcrodr", "rtol=1e-9 restart=30 recycle=10");
    double *u = numbers(grid_size(&g)), *b = numbers(grid_size(&g)), *x = numbers(grid_size(&g)), worst = 0;
    rkn_status status = RKN_OK;
    /* Each rank solves other systems, and another number of them. */
    for (int i = 0; i <= my_rank; ++i) {
        exact(&g, 10 * my_rank + i, u, b);
        const rkn_status now = rkn_krylov_solve(s, A, NULL, b, x);
        if (now != RKN_OK) status = now;
        worst = fmax(worst, error_of(&g, x, u));
    }
    EXPECT_OK(status);
    EXPECT_AT_MOST(worst, 1e-7);
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    rkn_context_destroy(ctx);
    free(u), free(b), free(x), grid_destroy(&g);
}

int main(int argc, char **argv) {
    begin_tests(&argc, &argv);
    attaching_is_refused();
    intercommunicators_are_refused();
    the_hook_combines();
    const int count = (int)(sizeof trials / sizeof *trials);
    for (int i = 0; i < count; ++i) methods_solve(&trials[i]);
    for (int i = 0; i < count; ++i) {
        shared_unknowns(&trials[i], 0);
        shared_unknowns(&trials[i], 1);
        complex_numbers(&trials[i]);
    }
    nullspaces("cg");
    nullspaces("minres");
    nullspaces("gmres");
    nullspaces("gcrodr");
    nullspaces("rcg");
    nullspaces("rminres");
    nullspaces("idr");
    nullspaces("cocg");
    nullspaces("cocr");
    chebyshev_over_ranks();
    ranks_decide_alike();
    tiny_numbers();
    serial_again();

    /* Handles that outlive MPI: the hook refuses, and nothing of MPI is freed. */
    grid g = grid_of_world(NX, NY, 0);
    part p = {.g = &g};
    rkn_context *ctx = attached();
    rkn_operator *A = operator_of(ctx, apply_jacobi, &p);
    rkn_krylov *s = solver_of(ctx, "cg", "");
    double *b = numbers(grid_size(&g)), *x = numbers(grid_size(&g));
    rkn_context_destroy(ctx);
    MPI_Finalize();
    if (rkn_krylov_solve(s, A, NULL, b, x) == RKN_ERR_CALLBACK) ++passed;
    else ++failed;
    if (rkn_mpi_attach(NULL, MPI_COMM_WORLD) == RKN_ERR_STATE) ++passed;
    else ++failed;
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    free(b), free(x), grid_destroy(&g);
    return report();
}
