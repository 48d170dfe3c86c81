/* Heat conduction on a plate: 64 implicit time steps, 64 related linear systems.
 *
 *   c dT/dt - div(k(x, T) grad T) = q(x - s(t)),   T = 0 on the rim of the unit square
 *
 * A source s(t) walks around the plate, the conductivity grows with the temperature, and half-way an
 * inclusion in the middle fails and conducts a hundred times worse from then on. Cell-centred finite
 * volumes on n x n cells, backward Euler with k taken from the last step: each step is one symmetric
 * positive definite system whose pattern never changes and whose numbers drift.
 *
 * Five ways to solve each of them, side by side:
 *   memory    GCRO-DR(40,20) + ILU(0), its recycled space kept from step to step
 *   forget    the same, told to forget before every step
 *   cg+ic0    conjugate gradients with an incomplete Cholesky factor
 *   direct    a sparse Cholesky factorisation at every step
 *   lagged    CG with a Cholesky factor that is renewed every tenth step only
 *
 * Usage: heat_sequence [cells a side, 208] [steps, 64] [output folder for the plot]
 */
#include <reknit.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MEMORY, FORGET, CG_IC0, DIRECT, LAGGED, WAYS };
static const char *const way_names[WAYS] = {"memory", "forget", "cg+ic0", "direct", "lagged"};
enum { LAG = 10 };

/* Ends the program with the library's message if a call failed. */
static void check(rkn_status status) {
    if (status < 0) {
        fprintf(stderr, "%s\n", rkn_last_error());
        exit(1);
    }
}

static void *allocate(size_t bytes) {
    void *p = calloc(1, bytes);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the plate ------------------------------------------------------------------------------ */

typedef struct plate {
    int n;          /* cells a side */
    double dt;
    int jump;       /* step at which the inclusion fails */
    int32_t *ptr, *col;
    double *val;    /* the matrix of the present step, in place */
    double *k, *b;  /* conductivity of the cells, right-hand side */
} plate;

/* The five-point pattern, columns ascending. */
static plate plate_create(int n, int steps) {
    plate p = {.n = n, .dt = 0.5 / steps, .jump = steps / 2};
    size_t cells = (size_t)n * n;
    p.ptr = allocate((cells + 1) * sizeof *p.ptr);
    p.col = allocate(5 * cells * sizeof *p.col);
    p.val = allocate(5 * cells * sizeof *p.val);
    p.k = allocate(cells * sizeof *p.k);
    p.b = allocate(cells * sizeof *p.b);
    int32_t at = 0;
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) {
            int32_t cell = j * n + i;
            if (j > 0) p.col[at++] = cell - n;
            if (i > 0) p.col[at++] = cell - 1;
            p.col[at++] = cell;
            if (i < n - 1) p.col[at++] = cell + 1;
            if (j < n - 1) p.col[at++] = cell + n;
            p.ptr[cell + 1] = at;
        }
    return p;
}

static void plate_destroy(plate *p) {
    free(p->ptr);
    free(p->col);
    free(p->val);
    free(p->k);
    free(p->b);
}

/* Where the source is: once around a square of side 1/2. */
static void source_at(double turn, double *x, double *y) {
    double u = 4.0 * turn;
    int side = (int)u;
    double f = 0.5 * (u - side);
    switch (side % 4) {
    case 0: *x = 0.25 + f; *y = 0.25; break;
    case 1: *x = 0.75; *y = 0.25 + f; break;
    case 2: *x = 0.75 - f; *y = 0.75; break;
    default: *x = 0.25; *y = 0.75 - f; break;
    }
}

static double conductivity(const plate *p, int step, int i, int j, double temperature) {
    double x = (i + 0.5) / p->n, y = (j + 0.5) / p->n;
    int inside = x > 0.4 && x < 0.6 && y > 0.35 && y < 0.65;
    double k = 1.0 + 0.5 * temperature;
    return inside && step >= p->jump ? 0.01 * k : k;
}

static double harmonic(double a, double b) { return 2.0 * a * b / (a + b); }

/* Matrix and right-hand side of the step from temperature t, multiplied by the cell's area. */
static void plate_assemble(plate *p, int step, int steps, const double *t) {
    int n = p->n;
    double h = 1.0 / n, mass = h * h / p->dt, sx, sy;
    source_at((double)step / steps, &sx, &sy);
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) p->k[j * n + i] = conductivity(p, step, i, j, t[j * n + i]);
    int32_t at = 0;
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) {
            int c = j * n + i;
            double kc = p->k[c];
            double south = j > 0 ? harmonic(kc, p->k[c - n]) : 2.0 * kc;
            double west = i > 0 ? harmonic(kc, p->k[c - 1]) : 2.0 * kc;
            double east = i < n - 1 ? harmonic(kc, p->k[c + 1]) : 2.0 * kc;
            double north = j < n - 1 ? harmonic(kc, p->k[c + n]) : 2.0 * kc;
            if (j > 0) p->val[at++] = -south;
            if (i > 0) p->val[at++] = -west;
            p->val[at++] = mass + south + west + east + north;
            if (i < n - 1) p->val[at++] = -east;
            if (j < n - 1) p->val[at++] = -north;
            double dx = (i + 0.5) * h - sx, dy = (j + 0.5) * h - sy;
            double width = 1.0 + 400.0 * (dx * dx + dy * dy);
            p->b[c] = mass * t[c] + h * h * 200.0 / (width * width);
        }
}

/* ---- one system, one way -------------------------------------------------------------------- */

typedef struct score {
    int64_t iterations, applies;
    double seconds, residual;
} score;

/* The preconditioner M is renewed if `renew`; that time counts. x starts from the last step. */
static score solve(rkn_krylov *s, rkn_operator *A, rkn_operator *M, int renew, const double *b, double *x) {
    score r;
    double start = now();
    if (renew) check(rkn_operator_changed(M));
    rkn_status status = rkn_krylov_solve(s, A, M, b, x);
    r.seconds = now() - start;
    check(status);
    if (status != RKN_OK) fprintf(stderr, "%s\n", rkn_last_error());
    check(rkn_krylov_get_int(s, "iterations", &r.iterations));
    check(rkn_krylov_get_int(s, "applies", &r.applies));
    check(rkn_krylov_get_real(s, "relative_residual", &r.residual));
    return r;
}

/* Temperatures for the plot, one text row a row of cells. */
static void write_snapshot(const char *folder, int step, int n, const double *t) {
    char name[4096];
    snprintf(name, sizeof name, "%s/temperature_%03d.txt", folder, step);
    FILE *f = fopen(name, "w");
    if (!f) return;
    for (int j = 0; j < n; ++j) {
        for (int i = 0; i < n; ++i) fprintf(f, "%.5g ", t[j * n + i]);
        fputc('\n', f);
    }
    fclose(f);
}

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 208;
    int steps = argc > 2 ? atoi(argv[2]) : 64;
    const char *folder = argc > 3 ? argv[3] : NULL;
    if (n < 2 || n > 20000 || steps < 1) {
        fprintf(stderr, "usage: heat_sequence [cells a side] [steps] [output folder]\n");
        return 2;
    }
    size_t cells = (size_t)n * n;
    plate p = plate_create(n, steps);
    double *t = allocate(cells * sizeof *t), *x[WAYS];
    plate_assemble(&p, 0, steps, t);

    /* The matrix is borrowed: each step writes new numbers into p.val. */
    rkn_operator *A = NULL, *ilu = NULL, *ic = NULL, *direct = NULL, *lagged = NULL;
    check(rkn_operator_create_csr(NULL, RKN_F64, (int64_t)cells, (int64_t)cells, RKN_I32, 0, p.ptr, p.col, p.val, RKN_BORROW, &A));
    check(rkn_operator_create_preconditioner(NULL, A, "ilu0", &ilu));
    check(rkn_operator_create_preconditioner(NULL, A, "ic0", &ic));
    check(rkn_operator_create_preconditioner(NULL, A, "llt", &direct));
    check(rkn_operator_create_preconditioner(NULL, A, "llt", &lagged));
    rkn_operator *M[WAYS] = {ilu, ilu, ic, direct, lagged};

    rkn_krylov *s[WAYS];
    for (int w = 0; w < WAYS; ++w) {
        x[w] = allocate(cells * sizeof *x[w]);
        check(rkn_krylov_create(NULL, w <= FORGET ? "gcrodr" : "cg", &s[w]));
        check(rkn_krylov_set_options(s[w], "rtol=1e-8 initial_guess=x"));
        if (w <= FORGET) check(rkn_krylov_set_options(s[w], "restart=40 recycle=20"));
    }

    FILE *csv = NULL;
    if (folder) {
        char name[4096];
        snprintf(name, sizeof name, "%s/steps.csv", folder);
        csv = fopen(name, "w");
        if (csv) fprintf(csv, "step,way,iterations,applies,seconds,residual\n");
    }
    printf("heat conduction, %d x %d cells, %d steps, relative residual 1e-8\n", n, n, steps);
    printf("each way: iterations, applies of A, milliseconds, true relative residual\n");
    printf("step");
    for (int w = 0; w < WAYS; ++w) printf(" | %-26s", way_names[w]);
    printf("\n");

    score total[WAYS];
    memset(total, 0, sizeof total);
    for (int step = 0; step < steps; ++step) {
        plate_assemble(&p, step, steps, t);
        check(rkn_operator_changed(A));
        check(rkn_krylov_forget(s[FORGET]));
        printf("%4d", step);
        for (int w = 0; w < WAYS; ++w) {
            memcpy(x[w], t, cells * sizeof *t);
            int renew = w == LAGGED ? step % LAG == 0 : 1;
            score r = solve(s[w], A, M[w], renew, p.b, x[w]);
            printf(" | %4d %4d %7.1f %8.1e", (int)r.iterations, (int)r.applies, 1e3 * r.seconds, r.residual);
            if (csv) fprintf(csv, "%d,%s,%d,%d,%.6f,%.3e\n", step, way_names[w], (int)r.iterations, (int)r.applies, r.seconds, r.residual);
            total[w].iterations += r.iterations;
            total[w].applies += r.applies;
            total[w].seconds += r.seconds;
            if (r.residual > total[w].residual) total[w].residual = r.residual;
        }
        printf("\n");
        fflush(stdout);
        memcpy(t, x[DIRECT], cells * sizeof *t);
        if (folder && (step + 1) % (steps / 4 ? steps / 4 : 1) == 0) write_snapshot(folder, step + 1, n, t);
    }
    printf(" all");
    for (int w = 0; w < WAYS; ++w)
        printf(" | %4d %4d %7.0f %8.1e", (int)total[w].iterations, (int)total[w].applies, 1e3 * total[w].seconds, total[w].residual);
    printf("\n");
    double hottest = 0.0;
    for (size_t c = 0; c < cells; ++c)
        if (t[c] > hottest) hottest = t[c];
    printf("hottest cell at the end: %.6f\n", hottest);

    if (csv) fclose(csv);
    for (int w = 0; w < WAYS; ++w) {
        rkn_krylov_destroy(s[w]);
        free(x[w]);
    }
    rkn_operator_destroy(lagged);
    rkn_operator_destroy(direct);
    rkn_operator_destroy(ic);
    rkn_operator_destroy(ilu);
    rkn_operator_destroy(A);
    plate_destroy(&p);
    free(t);
    return 0;
}
