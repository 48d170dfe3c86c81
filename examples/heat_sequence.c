/* Heat conduction in a plate: 64 implicit time steps, 64 related linear systems.
 *
 *   c dT/dt - div(k(x, T) grad T) = q(x - s(t)),   T in kelvin above the coolant
 *
 * A steel plate of 60 mm a side carries sixteen square inlays of copper. Its lower edge is cooled, the others
 * are insulated. A heater s(t) creeps once around; steel conducts better the hotter it is; and half-way a crack
 * opens in the middle, across three quarters of the plate. Cell-centred finite volumes on n x n cells,
 * backward Euler with k taken from the last step: each step is one symmetric positive definite system whose
 * pattern never changes and whose numbers drift.
 *
 * Five ways to solve each of them, side by side, to the same true residual:
 *   memory    GCRO-DR(40,20) + ILU(0), which remembers twenty vectors from step to step
 *   forget    the same, told to forget before every step
 *   cg+ic0    conjugate gradients with an incomplete Cholesky factor
 *   direct    a sparse Cholesky factorisation at every step
 *   lagged    CG with a Cholesky factor that is renewed at every eighth step only
 *
 * The slow modes are what counts: each inlay evens out its own temperature at once, but exchanges heat with the
 * others through the steel only. There are about as many such modes as inlays, they change little from step to
 * step, and a solver that remembers them need not find them again. That saves most of the iterations. It does
 * not make GCRO-DR the fastest way to solve this problem: an iteration of CG is much cheaper, and in two
 * dimensions a factorisation costs next to nothing. Those two need what this plate happens to have, symmetry or
 * a cheap factor; GCRO-DR needs neither.
 *
 * Usage: heat_sequence [cells a side, 208] [steps, 64] [output folder for the plot]
 */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include <reknit.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MEMORY, FORGET, CG_IC0, DIRECT, LAGGED, WAYS };
static const char *const way_names[WAYS] = {"memory", "forget", "cg+ic0", "direct", "lagged"};
enum { LAG = 8 };

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

/* ---- the plate, in SI units ----------------------------------------------------------------- */

static const double side = 0.06, time_step = 20.0;      /* m, s */
static const double capacity = 3.8e6;                   /* J/(m^3 K); steel and copper differ little */
static const double copper = 390.0, steel = 15.0;       /* W/(m K) */
static const double steel_gain = 0.001;                 /* relative, 1/K */
static const double crack = 0.01;                       /* what it leaves of the conductivity */
static const double peak = 3e8, heater = 0.05;          /* W/m^3, radius over side */

typedef struct plate {
    int n, steps;   /* cells a side, time steps */
    int32_t *ptr, *col;
    double *val;    /* the matrix of the present step, in place */
    double *k, *b;  /* conductivity of the cells, right-hand side */
} plate;

/* The five-point pattern, columns ascending. */
static plate plate_create(int n, int steps) {
    plate p = {.n = n, .steps = steps};
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

/* The middle three fifths of each quarter. */
static int in_inlay(int n, int i) {
    int u = 4 * i % n;
    return 5 * u >= n && 5 * u < 4 * n;
}

static double conductivity(const plate *p, int step, int i, int j, double temperature) {
    if (in_inlay(p->n, i) && in_inlay(p->n, j)) return copper;
    double k = steel * (1.0 + steel_gain * temperature);
    int cracked = step >= p->steps / 2 && j == p->n / 2 && 4 * i < 3 * p->n;
    return cracked ? crack * k : k;
}

/* Where the heater is: once around a square of half the side. Lengths are relative to the side. */
static void heater_at(double turn, double *x, double *y) {
    double u = 4.0 * turn;
    int edge = (int)u;
    double f = 0.5 * (u - edge);
    switch (edge) {
    case 0: *x = 0.25 + f; *y = 0.25; break;
    case 1: *x = 0.75; *y = 0.25 + f; break;
    case 2: *x = 0.75 - f; *y = 0.75; break;
    default: *x = 0.25; *y = 0.75 - f; break;
    }
}

static double harmonic(double a, double b) { return 2.0 * a * b / (a + b); }

/* Matrix and right-hand side of the step that starts from the temperatures t. */
static void plate_assemble(plate *p, int step, const double *t) {
    int n = p->n;
    double area = side / n * (side / n), mass = capacity * area / time_step, sx, sy;
    heater_at((double)step / p->steps, &sx, &sy);
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) p->k[j * n + i] = conductivity(p, step, i, j, t[j * n + i]);
    int32_t at = 0;
    for (int j = 0; j < n; ++j)
        for (int i = 0; i < n; ++i) {
            int c = j * n + i;
            double kc = p->k[c];
            double south = j > 0 ? harmonic(kc, p->k[c - n]) : 2.0 * kc;
            double west = i > 0 ? harmonic(kc, p->k[c - 1]) : 0.0;
            double east = i < n - 1 ? harmonic(kc, p->k[c + 1]) : 0.0;
            double north = j < n - 1 ? harmonic(kc, p->k[c + n]) : 0.0;
            if (j > 0) p->val[at++] = -south;
            if (i > 0) p->val[at++] = -west;
            p->val[at++] = mass + south + west + east + north;
            if (i < n - 1) p->val[at++] = -east;
            if (j < n - 1) p->val[at++] = -north;
            double dx = ((i + 0.5) / n - sx) / heater, dy = ((j + 0.5) / n - sy) / heater;
            double decay = 1.0 + dx * dx + dy * dy;
            p->b[c] = mass * t[c] + area * peak / (decay * decay);
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

static void add(score *total, score r) {
    total->iterations += r.iterations;
    total->applies += r.applies;
    total->seconds += r.seconds;
    if (r.residual > total->residual) total->residual = r.residual;
}

/* ---- output --------------------------------------------------------------------------------- */

static void print_head(int n, int steps) {
    printf("heat conduction, %d x %d cells, %d steps, relative residual 1e-8\n", n, n, steps);
    printf("    ");
    for (int w = 0; w < WAYS; ++w) printf(" | %-26s", way_names[w]);
    printf("\nstep");
    for (int w = 0; w < WAYS; ++w) printf(" | iter applies     ms    resid");
    printf("\n");
}

static void print_row(const char *label, const score *r) {
    printf("%4s", label);
    for (int w = 0; w < WAYS; ++w)
        printf(" |%5d%7d%8.1f%8.1e", (int)r[w].iterations, (int)r[w].applies, 1e3 * r[w].seconds, r[w].residual);
    printf("\n");
    fflush(stdout);
}

static FILE *open_output(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    return f;
}

/* Temperatures for the plot, one text row a row of cells. */
static void write_snapshot(const char *folder, int step, int n, const double *t) {
    char name[32];
    snprintf(name, sizeof name, "temperature_%03d.txt", step);
    FILE *f = open_output(folder, name);
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
    if (n < 8 || n > 20000 || steps < 1) {
        fprintf(stderr, "usage: heat_sequence [cells a side, at least 8] [steps] [output folder]\n");
        return 2;
    }
    size_t cells = (size_t)n * n;
    plate p = plate_create(n, steps);
    double *t = allocate(cells * sizeof *t), *x[WAYS];
    plate_assemble(&p, 0, t);

    /* The matrix is borrowed: each step writes new numbers into p.val. */
    rkn_operator *A, *ilu, *ic, *direct, *lagged;
    check(rkn_operator_create_csr(NULL, RKN_F64, (int64_t)cells, (int64_t)cells, RKN_I32, 0, p.ptr, p.col, p.val,
                                  RKN_BORROW, &A));
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

    FILE *csv = folder ? open_output(folder, "steps.csv") : NULL;
    if (csv) fprintf(csv, "step,way,iterations,applies,seconds,residual\n");
    print_head(n, steps);
    score total[WAYS];
    memset(total, 0, sizeof total);
    for (int step = 0; step < steps; ++step) {
        plate_assemble(&p, step, t);
        check(rkn_operator_changed(A));
        check(rkn_krylov_forget(s[FORGET]));
        score row[WAYS];
        for (int w = 0; w < WAYS; ++w) {
            memcpy(x[w], t, cells * sizeof *t);
            row[w] = solve(s[w], A, M[w], w != LAGGED || step % LAG == 0, p.b, x[w]);
            add(&total[w], row[w]);
            if (csv)
                fprintf(csv, "%d,%s,%d,%d,%.6f,%.3e\n", step, way_names[w], (int)row[w].iterations,
                        (int)row[w].applies, row[w].seconds, row[w].residual);
        }
        char label[16];
        snprintf(label, sizeof label, "%d", step);
        print_row(label, row);
        memcpy(t, x[DIRECT], cells * sizeof *t);
        if (folder && (step + 1) % (steps >= 4 ? steps / 4 : 1) == 0) write_snapshot(folder, step + 1, n, t);
    }
    print_row("all", total);
    double hottest = 0.0;
    for (size_t c = 0; c < cells; ++c)
        if (t[c] > hottest) hottest = t[c];
    printf("hottest cell at the end: %.6f K\n", hottest);

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
