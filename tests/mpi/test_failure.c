/* One rank fails, or wants to stop: the solve ends on all ranks, none waits for ever (run.sh sets a limit of
 * time), and the next solve works. */
#include "grid.h"

enum { NX = 23, NY = 17, CODE = 17 };

/* A sequence of solves over ranks, its two operators told when to fail. */
typedef struct scene {
    grid g;
    part of_A, of_M;
    rkn_context *ctx;
    rkn_operator *A, *M;
    rkn_krylov *s;
    int64_t n;
    double *u, *b, *x;
} scene;

static scene *scene_create(const char *method, const char *options, rkn_apply_fn precondition) {
    scene *z = (scene *)need(1, sizeof *z);
    z->g = grid_of_world(NX, NY, 0);
    z->n = grid_size(&z->g);
    z->of_A.g = z->of_M.g = &z->g;
    z->of_A.value = z->of_M.value = CODE;
    z->ctx = attached();
    z->A = operator_of(z->ctx, apply_laplacian, &z->of_A);
    z->M = precondition ? operator_of(z->ctx, precondition, &z->of_M) : NULL;
    z->s = solver_of(z->ctx, method, options);
    z->u = numbers(z->n), z->b = numbers(z->n), z->x = numbers(z->n);
    exact(&z->g, 0, z->u, z->b);
    return z;
}

static void scene_destroy(scene *z) {
    rkn_krylov_destroy(z->s);
    rkn_operator_destroy(z->M);
    rkn_operator_destroy(z->A);
    rkn_context_destroy(z->ctx);
    free(z->u), free(z->b), free(z->x);
    grid_destroy(&z->g);
    free(z);
}

static rkn_status solve(scene *z) { return rkn_krylov_solve(z->s, z->A, z->M, z->b, z->x); }

static void next_solve_works(scene *z) {
    z->of_A.fail_at = z->of_M.fail_at = 0;
    exact(&z->g, 0, z->u, z->b);
    EXPECT_OK(solve(z));
    EXPECT_AT_MOST(error_of(&z->g, z->x, z->u), 1e-6);
}

/* ||v|| over all ranks. */
static double norm_of(const scene *z, const double *v) {
    double local = 0, sum = 0;
    for (int64_t i = 0; i < z->n; ++i) local += v[i] * v[i];
    MPI_Allreduce(&local, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return sqrt(sum);
}

static double residual_of(scene *z) {
    double *r = numbers(z->n);
    laplacian(&z->g, z->x, r);
    for (int64_t i = 0; i < z->n; ++i) r[i] = z->b[i] - r[i];
    const double norm = norm_of(z, r);
    free(r);
    return norm;
}

static int is_finite(const scene *z) {
    for (int64_t i = 0; i < z->n; ++i)
        if (!isfinite(z->x[i])) return 0;
    return 1;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

typedef struct trial {
    const char *method, *options;
    rkn_apply_fn precondition;
    const char *preconditioner;
} trial;

static const trial trials[] = {
    {"cg", "", NULL, "none"},
    {"cg", "", apply_jacobi, "jacobi"},
    {"cg", "", apply_polynomial, "polynomial"},
    {"minres", "", apply_polynomial, "polynomial"},
    {"bicgstab", "", apply_jacobi, "jacobi"},
    {"bicgstab", "", apply_polynomial, "polynomial"},
    {"gmres", "restart=8", NULL, "none"},
    {"gmres", "restart=8", apply_jacobi, "jacobi"},
    {"gmres", "restart=8", apply_polynomial, "polynomial"},
    {"gmres", "restart=8 side=left", apply_polynomial, "polynomial"},
    {"gmres", "restart=8 side=flexible", apply_polynomial, "polynomial"},
    {"gcrodr", "restart=12 recycle=6", NULL, "none"},
    {"gcrodr", "restart=12 recycle=6", apply_jacobi, "jacobi"},
    {"gcrodr", "restart=12 recycle=6", apply_polynomial, "polynomial"},
    {"gcrodr", "restart=12 recycle=6 side=left", apply_polynomial, "polynomial"},
    {"rcg", "restart=12 recycle=6", NULL, "none"},
    {"rcg", "restart=12 recycle=6", apply_polynomial, "polynomial"},
    {"rbicgstab", "restart=12 recycle=6", NULL, "none"},
    {"rbicgstab", "restart=12 recycle=6", apply_polynomial, "polynomial"},
    {"eigcg", "restart=12 recycle=6", NULL, "none"},
    {"eigcg", "restart=12 recycle=6", apply_polynomial, "polynomial"},
    {"rminres", "restart=12 recycle=6", NULL, "none"},
    {"rminres", "restart=12 recycle=6", apply_polynomial, "polynomial"},
    {"idr", "", NULL, "none"},
    {"idr", "", apply_polynomial, "polynomial"},
    {"cocg", "", apply_polynomial, "polynomial"},
    {"cocr", "", apply_polynomial, "polynomial"},
};

/* The last rank's callback fails in its k-th call of the solve. */
static void callback_fails(const trial *t, int in_M, int64_t k, int in_second_solve) {
    char what[160];
    snprintf(what, sizeof what, "%s %s, %s: %s fails in call %d%s", t->method, t->options, t->preconditioner, in_M ? "M" : "A", (int)k,
             in_second_solve ? " of the second solve" : "");
    if (!begins(what)) return;
    scene *z = scene_create(t->method, t->options, t->precondition);
    part *failing = in_M ? &z->of_M : &z->of_A;
    if (in_second_solve) {
        EXPECT_OK(solve(z));
        EXPECT_OK(rkn_operator_changed(z->A));
    }
    const int mine = my_rank == all_ranks - 1;
    if (mine) failing->fail_at = failing->calls + k;
    EXPECT_STATUS(solve(z), RKN_ERR_CALLBACK);
    EXPECT(count_of(z->s, "callback_status") == (mine ? CODE : 0));
    EXPECT(says(mine ? "returned 17" : "another rank"));
    /* Callbacks may hold collective calls, so they are called equally often. */
    EXPECT_SAME(z->of_A.calls);
    EXPECT_SAME(z->of_M.calls);
    EXPECT(is_finite(z));
    /* x is one iterate, not this rank's newer and that rank's older part. */
    if (*t->method == 'g') EXPECT_AT_MOST(residual_of(z), (1 + 1e-10) * norm_of(z, z->b));
    next_solve_works(z);
    scene_destroy(z);
}

static int32_t failing_inner(void *user, int64_t n, int64_t k, const void *x, int64_t ldx, int64_t l, const void *y, int64_t ldy, double *out) {
    part *p = (part *)user;
    for (int64_t q = 0; q < l; ++q)
        for (int64_t r = 0; r < k; ++r) {
            out[r + q * k] = 0;
            for (int64_t i = 0; i < n; ++i) out[r + q * k] += ((const double *)x)[r * ldx + i] * ((const double *)y)[q * ldy + i];
        }
    return outcome_of(p);
}

static void inner_product_fails(const char *method) {
    char what[80];
    snprintf(what, sizeof what, "%s: the inner product fails", method);
    if (!begins(what)) return;
    scene *z = scene_create(method, "", apply_polynomial);
    part of_inner = {&z->g, 0, my_rank == all_ranks - 1 ? 9 : 0, CODE};
    EXPECT_OK(rkn_krylov_set_inner(z->s, failing_inner, &of_inner, NULL));
    EXPECT_STATUS(solve(z), RKN_ERR_CALLBACK);
    next_solve_works(z);
    scene_destroy(z);
}

/* A preconditioner of the library that multiplies with the failing operator several times a call. */
static void chebyshev_fails(int64_t k) {
    char what[80];
    snprintf(what, sizeof what, "chebyshev degree=4: A fails in call %d", (int)k);
    if (!begins(what)) return;
    scene *z = scene_create("cg", "preconditioner='chebyshev degree=4'", NULL);
    if (my_rank == all_ranks - 1) z->of_A.fail_at = k;
    EXPECT_STATUS(solve(z), RKN_ERR_CALLBACK);
    next_solve_works(z);
    scene_destroy(z);
}

/* The first factor fails; the second one exchanges rows all the same. */
static void product_fails(void) {
    if (!begins("a product of two callbacks: the first fails")) return;
    scene *z = scene_create("gmres", "", NULL);
    part of_B = {&z->g, 0, my_rank == all_ranks - 1 ? 3 : 0, CODE};
    rkn_operator *B = operator_of(z->ctx, apply_polynomial, &of_B), *AB = NULL;
    EXPECT_OK(rkn_operator_create_product(z->ctx, z->A, B, &AB));
    EXPECT_STATUS(rkn_krylov_solve(z->s, AB, NULL, z->b, z->x), RKN_ERR_CALLBACK);
    next_solve_works(z);
    rkn_operator_destroy(AB);
    rkn_operator_destroy(B);
    scene_destroy(z);
}

static int32_t quitting_converged(void *user, int64_t iteration, double residual_norm, double target, int32_t *converged) {
    *converged = residual_norm <= target;
    return iteration == *(const int64_t *)user ? CODE : 0;
}

static void convergence_test_fails(const char *method, int64_t iteration) {
    char what[80];
    snprintf(what, sizeof what, "%s: the convergence test fails at iteration %d", method, (int)iteration);
    if (!begins(what)) return;
    scene *z = scene_create(method, "", NULL);
    int64_t when = my_rank == all_ranks - 1 ? iteration : -1;
    EXPECT_OK(rkn_krylov_set_converged(z->s, quitting_converged, &when, NULL));
    EXPECT_STATUS(solve(z), RKN_ERR_CALLBACK);
    EXPECT_OK(rkn_krylov_set_converged(z->s, NULL, NULL, NULL));
    next_solve_works(z);
    scene_destroy(z);
}

/* The callback of one rank delivers a NaN: all see it in the sum, none goes on alone. */
static int32_t apply_nan(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    part *p = (part *)user;
    apply_laplacian(user, trans, ncols, x, ldx, y, ldy);
    if (p->calls == p->fail_at) ((double *)y)[0] = NAN;
    return 0;
}

static void callback_returns_nan(const char *method) {
    char what[80];
    snprintf(what, sizeof what, "%s: one entry of A x is NaN", method);
    if (!begins(what)) return;
    scene *z = scene_create(method, "", apply_polynomial);
    part of_N = {&z->g, 0, my_rank == all_ranks - 1 ? 4 : 0, 0};
    rkn_operator *N = operator_of(z->ctx, apply_nan, &of_N);
    EXPECT_STATUS(rkn_krylov_solve(z->s, N, z->M, z->b, z->x), RKN_ERR_NONFINITE);
    EXPECT(is_finite(z));
    next_solve_works(z);
    rkn_operator_destroy(N);
    scene_destroy(z);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void nan_in_b(const char *method) {
    char what[80];
    snprintf(what, sizeof what, "%s: NaN in b", method);
    if (!begins(what)) return;
    scene *z = scene_create(method, "", apply_polynomial);
    if (my_rank == all_ranks - 1) z->b[2] = NAN;
    EXPECT_STATUS(solve(z), my_rank == all_ranks - 1 ? RKN_ERR_NONFINITE : RKN_ERR_CALLBACK);
    next_solve_works(z);
    scene_destroy(z);
}

static void nan_in_x(void) {
    if (!begins("NaN in x")) return;
    scene *z = scene_create("gmres", "initial_guess=x", NULL);
    if (my_rank == all_ranks - 1) z->x[2] = NAN;
    EXPECT_STATUS(solve(z), my_rank == all_ranks - 1 ? RKN_ERR_NONFINITE : RKN_ERR_CALLBACK);
    z->x[2] = 0;
    next_solve_works(z);
    scene_destroy(z);
}

/* Runs a solve with other arguments on the last rank. */
static void refused(scene *z, const rkn_operator *A, const rkn_operator *M, const void *b, void *x, rkn_status want) {
    const int mine = my_rank == all_ranks - 1;
    const rkn_status status = mine ? rkn_krylov_solve(z->s, A, M, b, x) : solve(z);
    EXPECT_STATUS(status, mine ? want : RKN_ERR_CALLBACK);
    next_solve_works(z);
}

static void wrong_sizes(const char *options) {
    char what[120];
    snprintf(what, sizeof what, "wrong sizes, %s", options);
    if (!begins(what)) return;
    scene *z = scene_create("cg", options, NULL);
    rkn_operator *flat = NULL, *small = NULL;
    EXPECT_OK(rkn_operator_create_callback(z->ctx, RKN_F64, z->n, z->n + 1, apply_laplacian, &z->of_A, NULL, &flat));
    EXPECT_OK(rkn_operator_create_identity(z->ctx, RKN_F64, z->n - 1, &small));
    refused(z, flat, NULL, z->b, z->x, RKN_ERR_SIZE);
    if (!*options) refused(z, z->A, small, z->b, z->x, RKN_ERR_SIZE);
    rkn_operator_destroy(flat);
    rkn_operator_destroy(small);

    double *weights = numbers(z->n);
    for (int64_t i = 0; i < z->n; ++i) weights[i] = 1;
    EXPECT_OK(rkn_krylov_set_weights(z->s, my_rank == all_ranks - 1 ? z->n - 1 : z->n, weights));
    EXPECT_STATUS(solve(z), my_rank == all_ranks - 1 ? RKN_ERR_SIZE : RKN_ERR_CALLBACK);
    EXPECT_OK(rkn_krylov_set_weights(z->s, 0, NULL));
    next_solve_works(z);
    free(weights);
    scene_destroy(z);
}

enum { B_IS_NULL, X_IS_NULL, X_IS_B, A_IS_NULL, A_IS_DEAD, M_IS_SINGLE, MISTAKES };

static void wrong_arguments(int mistake) {
    const char *const names[MISTAKES] = {"b is NULL", "x is NULL", "x is b", "A is NULL", "A is dead", "M has another scalar"};
    if (!begins(names[mistake])) return;
    scene *z = scene_create("cg", "", NULL);
    rkn_operator *dead = NULL, *single = NULL;
    EXPECT_OK(rkn_operator_create_identity(z->ctx, RKN_F32, z->n, &single));
    EXPECT_OK(rkn_operator_create_identity(z->ctx, RKN_F64, z->n, &dead));
    rkn_operator_destroy(dead);
    switch (mistake) {
    case B_IS_NULL: refused(z, z->A, NULL, NULL, z->x, RKN_ERR_NULL); break;
    case X_IS_NULL: refused(z, z->A, NULL, z->b, NULL, RKN_ERR_NULL); break;
    case X_IS_B: refused(z, z->A, NULL, z->b, z->b, RKN_ERR_ARGUMENT); break;
    case A_IS_NULL: refused(z, NULL, NULL, z->b, z->x, RKN_ERR_NULL); break;
    case A_IS_DEAD: refused(z, dead, NULL, z->b, z->x, RKN_ERR_HANDLE); break;
    default: refused(z, z->A, single, z->b, z->x, RKN_ERR_SCALAR); break;
    }
    rkn_operator_destroy(single);
    scene_destroy(z);
}

/* The solver's own preconditioner cannot be made on one rank. */
static void factorisation_fails(void) {
    if (!begins("a zero pivot on one rank")) return;
    scene *z = scene_create("gmres", "preconditioner=ilu0", NULL);
    double *diagonal = numbers(z->n);
    for (int64_t i = 0; i < z->n; ++i) {
        diagonal[i] = 2;
        z->b[i] = 6;
    }
    int32_t *ptr = (int32_t *)need((size_t)z->n + 1, sizeof *ptr), *ind = (int32_t *)need((size_t)z->n, sizeof *ind);
    for (int32_t i = 0; i < z->n; ++i) ptr[i + 1] = i + 1, ind[i] = i;
    if (my_rank == all_ranks - 1) diagonal[3] = 0;
    rkn_operator *D = NULL;
    EXPECT_OK(rkn_operator_create_csr(z->ctx, RKN_F64, z->n, z->n, RKN_I32, 0, ptr, ind, diagonal, RKN_BORROW, &D));
    EXPECT_STATUS(rkn_krylov_solve(z->s, D, NULL, z->b, z->x), my_rank == all_ranks - 1 ? RKN_ERR_SINGULAR : RKN_ERR_CALLBACK);
    diagonal[3] = 2;
    EXPECT_OK(rkn_operator_changed(D));
    EXPECT_OK(rkn_krylov_solve(z->s, D, NULL, z->b, z->x));
    double worst = 0;
    for (int64_t i = 0; i < z->n; ++i) worst = fmax(worst, fabs(z->x[i] - 3));
    EXPECT_AT_MOST(worst, 1e-12);
    rkn_operator_destroy(D);
    free(diagonal), free(ptr), free(ind);
    scene_destroy(z);
}

/* ---- stops ----------------------------------------------------------------------------------- */

typedef struct watch {
    int64_t stop_at;
    rkn_context *interrupt;
} watch;

static int32_t observe(void *user, const rkn_progress *progress) {
    const watch *w = (const watch *)user;
    if (progress->iteration != w->stop_at) return 0;
    if (w->interrupt) rkn_context_interrupt(w->interrupt);
    return !w->interrupt;
}

static void stops(const trial *t, int by_interrupt, int64_t iteration) {
    char what[160];
    snprintf(what, sizeof what, "%s %s, %s: %s at iteration %d", t->method, t->options, t->preconditioner, by_interrupt ? "interrupt" : "monitor", (int)iteration);
    if (!begins(what)) return;
    scene *z = scene_create(t->method, t->options, t->precondition);
    watch w = {my_rank == all_ranks - 1 ? iteration : -1, by_interrupt ? z->ctx : NULL};
    EXPECT_OK(rkn_krylov_set_monitor(z->s, observe, &w, NULL));
    EXPECT_STATUS(solve(z), by_interrupt ? RKN_STOP_INTERRUPT : RKN_STOP_MONITOR);
    const int64_t done = count_of(z->s, "iterations");
    EXPECT_SAME(done);
    EXPECT(done >= iteration && done <= iteration + 1);
    /* x is delivered: its residual is the one reported. */
    const double reported = real_of(z->s, "residual_norm");
    EXPECT_AT_MOST(fabs(residual_of(z) - reported), 1e-10 * (1 + reported));
    EXPECT_OK(rkn_krylov_set_monitor(z->s, NULL, NULL, NULL));
    next_solve_works(z);
    scene_destroy(z);
}

static void time_runs_out(void) {
    if (!begins("the time is up on one rank")) return;
    scene *z = scene_create("gcrodr", "", apply_polynomial);
    if (my_rank == all_ranks - 1) EXPECT_OK(rkn_krylov_set_real(z->s, "time_limit", 1e-9));
    else EXPECT_OK(rkn_krylov_set_real(z->s, "time_limit", 1e6));
    EXPECT_STATUS(solve(z), RKN_STOP_TIME);
    EXPECT_OK(rkn_krylov_set_real(z->s, "time_limit", 1e6));
    next_solve_works(z);
    scene_destroy(z);
}

/* Asked for before the solve, by one rank. */
static void interrupted_before(void) {
    if (!begins("an interrupt before the solve")) return;
    scene *z = scene_create("cg", "", NULL);
    if (my_rank == all_ranks - 1) rkn_context_interrupt(z->ctx);
    EXPECT_STATUS(solve(z), RKN_STOP_INTERRUPT);
    next_solve_works(z);
    scene_destroy(z);
}

int main(int argc, char **argv) {
    begin_tests(&argc, &argv);
    const int count = (int)(sizeof trials / sizeof *trials);
    for (int i = 0; i < count; ++i) {
        const trial *t = &trials[i];
        const int64_t calls[] = {1, 2, 5, 9};
        for (int k = 0; k < 4; ++k) {
            callback_fails(t, 0, calls[k], 0);
            if (t->precondition) callback_fails(t, 1, calls[k], 0);
        }
        if (!strstr(t->options, "recycle")) continue;
        callback_fails(t, 0, 1, 1);
        callback_fails(t, 0, 4, 1);
        if (t->precondition) callback_fails(t, 1, 1, 1);
    }
    const char *const methods[] = {"cg", "minres", "bicgstab", "gmres", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; ++i) {
        inner_product_fails(methods[i]);
        convergence_test_fails(methods[i], 0);
        convergence_test_fails(methods[i], 3);
        callback_returns_nan(methods[i]);
        nan_in_b(methods[i]);
    }
    product_fails();
    chebyshev_fails(2);
    chebyshev_fails(22);
    chebyshev_fails(24);
    nan_in_x();
    wrong_sizes("");
    wrong_sizes("preconditioner=chebyshev");
    for (int mistake = 0; mistake < MISTAKES; ++mistake) wrong_arguments(mistake);
    factorisation_fails();
    for (int i = 0; i < count; ++i) {
        stops(&trials[i], 0, 0);
        stops(&trials[i], 0, 3);
        stops(&trials[i], 1, 3);
    }
    time_runs_out();
    interrupted_before();
    MPI_Finalize();
    return report();
}
