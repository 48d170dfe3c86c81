/* A run that can be killed: state to a file every few steps, resumed with the same bits; rejected steps rolled back.
 *
 *     cc -O2 restart.c -o restart -lreknit -lm
 *     ./restart run.state                     runs to the end, or goes on where run.state was written
 *     ./restart run.state --kill 37           kills itself in step 37, as a batch system would
 *
 * Heat spreads in a plate whose conductivity depends on the temperature; implicit Euler with steps that adapt. "auto"
 * chooses how the systems are solved. What it has learned (factors and their age, earlier solutions, its own accounts)
 * is part of the state of the run: without it a resumed run would still be right, but not the same. */
#include <math.h>
#include <reknit.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 90, N = M * M, EVERY = 10 };

typedef struct plate {
    int64_t step, rejected, iterations;
    double t, dt, dt_before;                  /* the next step, the last one */
    double u[N], before[N];                   /* the temperature now, and one step ago */
} plate;

static int32_t ptr[N + 1], col[5 * N];
static double val[5 * N], rhs[N], next[N];

static void check(rkn_status status) {
    if (status == RKN_OK) return;
    fprintf(stderr, "%s\n", rkn_last_error());
    exit(1);
}

/* I + dt L(u): five points, conductivity 1 + u^2 at the faces, the rim at zero. */
static void assemble(const double *u, double dt) {
    const double scale = dt * M * M;
    int32_t k = 0;
    for (int i = 0; i < N; ++i) {
        const int x = i % M, y = i / M, to[4] = {y > 0 ? i - M : -1, x > 0 ? i - 1 : -1, x < M - 1 ? i + 1 : -1, y < M - 1 ? i + M : -1};
        double sum = 1;
        int32_t diagonal = 0;
        ptr[i] = k;
        for (int side = 0; side < 4; ++side) {
            if (side == 2) diagonal = k++;
            const double at_face = to[side] < 0 ? 0.5 * u[i] : 0.5 * (u[i] + u[to[side]]);
            const double c = scale * (1 + at_face * at_face);
            sum += c;
            if (to[side] >= 0) col[k] = to[side], val[k++] = -c;
        }
        col[diagonal] = i, val[diagonal] = sum;
    }
    ptr[N] = k;
}

/* A source that wanders, and is switched over at t = 0.15. */
static double source(int i, double t) {
    const double x = (i % M + 0.5) / M, y = (i / M + 0.5) / M, a = 9 * t + (t > 0.15 ? 2 : 0);
    const double dx = x - 0.5 - 0.3 * cos(a), dy = y - 0.5 - 0.3 * sin(a);
    return 60 * exp(-90 * (dx * dx + dy * dy));
}

/* The solver's bytes behind the plate's; renamed at the end, so that a kill never leaves half a file. */
static void save(const char *path, const plate *p, rkn_krylov *s) {
    char part[4096];
    int64_t bytes;
    snprintf(part, sizeof part, "%s.part", path);
    check(rkn_krylov_save(s, NULL, 0, &bytes));
    void *learned = malloc((size_t)bytes);
    check(rkn_krylov_save(s, learned, bytes, &bytes));
    FILE *f = fopen(part, "wb");
    if (!f || fwrite(p, sizeof *p, 1, f) != 1 || fwrite(&bytes, sizeof bytes, 1, f) != 1 ||
        fwrite(learned, 1, (size_t)bytes, f) != (size_t)bytes || fclose(f) || rename(part, path)) {
        perror(path);
        exit(1);
    }
    free(learned);
}

/* Whether there was a state. The matrix is first made what it was in the last solve: factors are made from it again. */
static int load(const char *path, plate *p, rkn_krylov *s, rkn_operator *A) {
    int64_t bytes;
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    if (fread(p, sizeof *p, 1, f) != 1 || fread(&bytes, sizeof bytes, 1, f) != 1) {
        fprintf(stderr, "%s: not a state of this program\n", path);
        exit(1);
    }
    void *learned = malloc((size_t)bytes);
    if (fread(learned, 1, (size_t)bytes, f) != (size_t)bytes) {
        fprintf(stderr, "%s: cut short\n", path);
        exit(1);
    }
    fclose(f);
    assemble(p->before, p->dt_before);
    check(rkn_operator_changed(A));
    check(rkn_krylov_load(s, A, NULL, learned, bytes));
    free(learned);
    return 1;
}

/* Tries one step; a step that turns out too long leaves nothing behind. */
static void advance(plate *p, rkn_krylov *s, rkn_operator *A) {
    for (;;) {
        const double t = p->t + p->dt;
        int64_t iterations;
        assemble(p->u, p->dt);
        for (int i = 0; i < N; ++i) rhs[i] = p->u[i] + p->dt * source(i, t);
        check(rkn_operator_changed(A));
        check(rkn_krylov_mark(s));
        check(rkn_krylov_solve(s, A, NULL, rhs, next));
        check(rkn_krylov_get_int(s, "iterations", &iterations));
        p->iterations += iterations;

        /* Half the difference from the straight line through the last two points is the error of implicit Euler. */
        double error = 0;
        for (int i = 0; i < N; ++i) {
            const double line = p->u[i] + (p->u[i] - p->before[i]) * p->dt / p->dt_before;
            error = fmax(error, 0.5 * fabs(next[i] - line));
        }
        const double wanted = p->dt * fmin(2, fmax(0.3, 0.9 * sqrt(4e-3 / (error + 1e-30))));
        if (error > 6e-3 && p->step > 0) {
            check(rkn_krylov_rollback(s));
            p->dt = wanted;
            ++p->rejected;
            continue;
        }
        memcpy(p->before, p->u, sizeof p->u);
        memcpy(p->u, next, sizeof p->u);
        p->dt_before = p->dt, p->dt = fmin(wanted, 5e-3);
        p->t = t;
        ++p->step;
        return;
    }
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "run.state";
    const int64_t kill_at = argc > 3 && !strcmp(argv[2], "--kill") ? atoll(argv[3]) : -1;
    static plate p = {.dt = 1e-3, .dt_before = 1e-3};
    rkn_operator *A;
    rkn_krylov *s;
    assemble(p.u, p.dt);
    check(rkn_operator_create_csr(NULL, RKN_F64, N, N, RKN_I32, 0, ptr, col, val, RKN_BORROW, &A));
    check(rkn_krylov_create(NULL, "auto", &s));
    if (load(path, &p, s, A)) printf("resumed after step %lld\n", (long long)p.step);
    while (p.t < 0.3) {
        if (p.step + 1 == kill_at) raise(SIGKILL);
        advance(&p, s, A);
        if (p.step % EVERY == 0) {
            save(path, &p, s);
            printf("step %3lld  t %.4f  dt %.2e  %lld rejected, %lld iterations so far\n", (long long)p.step, p.t, p.dt_before,
                   (long long)p.rejected, (long long)p.iterations);
            fflush(stdout);
        }
    }
    uint64_t hash = 14695981039346656037u;    /* FNV-1a over all bits of the temperature */
    for (size_t i = 0; i < sizeof p.u; ++i) hash = (hash ^ ((const unsigned char *)p.u)[i]) * 1099511628211u;
    printf("end: %lld steps, %lld rejected, %lld iterations, bits %016llx\n", (long long)p.step, (long long)p.rejected,
           (long long)p.iterations, (unsigned long long)hash);
    rkn_krylov_destroy(s);
    rkn_operator_destroy(A);
    return 0;
}
