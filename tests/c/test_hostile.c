/* Hosts that make life hard: threads, floating-point traps, another locale, fork, no memory, no output, signals.
   What could kill or wedge the process runs in a child. */
#define _GNU_SOURCE
#include "check.h"
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __SSE2__
#include <xmmintrin.h>
#endif

#define GARBAGE ((void *)(uintptr_t)0x51)

/* Runs a function in a child: its checks come back through a pipe. `seconds` bound a hang. */
static void in_child(const char *name, void (*function)(void), unsigned seconds) {
    int ends[2];
    fflush(stdout);
    if (pipe(ends)) exit(2);
    const pid_t child = fork();
    if (child == 0) {
        int counts[2];
        alarm(seconds);
        passed = failed = 0;
        function();
        counts[0] = passed, counts[1] = failed;
        fflush(stdout);
        _exit(write(ends[1], counts, sizeof counts) != sizeof counts);
    }
    close(ends[1]);
    int counts[2] = {0, 0}, status = 0;
    const ssize_t got = read(ends[0], counts, sizeof counts);
    close(ends[0]);
    waitpid(child, &status, 0);
    passed += counts[0], failed += counts[1];
    if (!CHECK(got == sizeof counts && WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        if (WIFSIGNALED(status))
            printf("    %s: killed by signal %d (%s)\n", name, WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
            printf("    %s: exit code %d\n", name, WEXITSTATUS(status));
    }
    if (counts[1]) printf("    in %s\n", name);
}

/* One solve of everything: all methods on 1-D Poisson, with an error in between. */
static void exercise(void) {
    enum { n = 40 };
    static const char *const methods[] = {"cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"};
    poisson P = poisson_make(n);
    double *b = ones(n), x[n];
    rkn_operator *A = poisson_operator(&P), *M = NULL;
    CHECK_OK(rkn_operator_create_preconditioner(NULL, A, "ssor", &M));
    for (size_t m = 0; m < sizeof methods / sizeof *methods; ++m) {
        rkn_krylov *s = NULL;
        CHECK_OK(rkn_krylov_create(NULL, methods[m], &s));
        CHECK_REFUSED(rkn_krylov_set_real(s, "rtol", -1), RKN_ERR_ARGUMENT, "rkn_krylov_set_real", "rtol");
        CHECK_OK(rkn_krylov_set_options(s, "rtol=1.5e-10 atol=0.0"));
        CHECK_OK(rkn_krylov_solve(s, A, M, b, x));
        CHECK(poisson_off(n, x) < 1e-7);
        rkn_krylov_destroy(s);
    }
    rkn_operator_destroy(A), rkn_operator_destroy(M), poisson_free(&P), free(b);
}

/* ---- handles: fuzz-like misuse first ---- */

static void any_order(void) {
    enum { n = 10 };
    poisson P = poisson_make(n);
    double *b = ones(n), x[n];
    /* every permutation of destroying a context, an operator, a preconditioner, a product and a solver */
    for (int order = 0; order < 120; ++order) {
        rkn_context *ctx = NULL;
        rkn_operator *A = NULL, *M = NULL, *AM = NULL;
        rkn_krylov *s = NULL;
        const int before = failed;
        CHECK_OK(rkn_context_create(&ctx));
        CHECK_OK(rkn_operator_create_csr(ctx, RKN_F64, n, n, RKN_I32, 0, P.ptr, P.ind, P.val, RKN_BORROW, &A));
        CHECK_OK(rkn_operator_create_preconditioner(ctx, A, "ilu0", &M));
        CHECK_OK(rkn_operator_create_product(ctx, A, M, &AM));
        CHECK_OK(rkn_krylov_create(ctx, "gmres", &s));
        CHECK_OK(rkn_krylov_solve(s, A, M, b, x));
        int left[5] = {0, 1, 2, 3, 4}, rest = order;
        for (int k = 5; k > 0; --k) {
            const int pick = rest % k, which = left[pick];
            rest /= k;
            left[pick] = left[k - 1];
            switch (which) {
            case 0: rkn_context_destroy(ctx); break;
            case 1: rkn_operator_destroy(A); break;
            case 2: rkn_operator_destroy(M); break;
            case 3:
                CHECK_OK(rkn_operator_apply(AM, RKN_N, 1, b, n, x, n));    /* whatever is gone already: A A^-1 b = b */
                CHECK(fabs(x[n / 2] - 1) < 1e-12);
                rkn_operator_destroy(AM);
                break;
            default: rkn_krylov_destroy(s);
            }
        }
        rkn_context_destroy(ctx), rkn_operator_destroy(A), rkn_operator_destroy(M), rkn_operator_destroy(AM),
            rkn_krylov_destroy(s);    /* again */
        if (failed > before) printf("    in order %d\n", order);
    }
    poisson_free(&P), free(b);
}

/* Calls with every kind of dead, wrong and invented handle in random places: a negative status and a message, never a crash. */
static void random_misuse(void) {
    enum { n = 6 };
    poisson P = poisson_make(n);
    double *b = ones(n), x[2 * n];
    rkn_context *ctx = NULL, *dead_ctx = NULL;
    rkn_operator *A = poisson_operator(&P), *dead_A = poisson_operator(&P);
    rkn_krylov *s = NULL, *dead_s = NULL;
    CHECK_OK(rkn_context_create(&ctx)), CHECK_OK(rkn_context_create(&dead_ctx)), CHECK_OK(rkn_krylov_create(NULL, "cg", &s)),
        CHECK_OK(rkn_krylov_create(NULL, "cg", &dead_s));
    rkn_context_destroy(dead_ctx), rkn_operator_destroy(dead_A), rkn_krylov_destroy(dead_s);
    void *const pool[] = {NULL, ctx, A, s, dead_ctx, dead_A, dead_s, GARBAGE, &P, (void *)UINTPTR_MAX, (char *)(void *)A + 1};
    enum { kinds = sizeof pool / sizeof *pool };
    int silent = 0;
    for (int round = 0; round < 20000; ++round) {
        void *const p = pool[(int)((uniform() + 1) * kinds / 2)], *const q = pool[(int)((uniform() + 1) * kinds / 2)],
                    *const r = pool[(int)((uniform() + 1) * kinds / 2)];
        int64_t v = (int64_t)(uniform() * 20), w = (int64_t)(uniform() * 20);
        rkn_status rc = 0;
        rkn_operator *made = NULL;
        switch (round % 13) {
        case 0: rc = rkn_context_set_int(p, "seed", v); break;
        case 1: rc = rkn_context_get_int(p, "seed", &v); break;
        case 2: rc = rkn_krylov_solve(p, q, r, b, x); break;
        case 3: rc = rkn_krylov_prepare(p, q, r); break;
        case 4: rc = rkn_operator_apply(p, (rkn_trans)(v % 4), w % 2, b, n + v % 2, x, n + w % 3); break;
        case 5: rc = rkn_operator_create_product(p, q, r, &made); break;
        case 6: rc = rkn_operator_create_sum(p, b, q, b, r, &made); break;
        case 7: rc = rkn_operator_create_preconditioner(p, q, "ilu0", &made); break;
        case 8: rc = rkn_operator_shape(p, &v, &w); break;
        case 9: rc = rkn_krylov_set_int(p, "max_iterations", v); break;
        case 10: rc = rkn_krylov_history(p, x, v % n, &w); break;
        case 11: rc = rkn_operator_set_nullspace(p, (rkn_side)(v % 3), 0, NULL, w); break;
        default: rc = rkn_operator_create_adjoint(p, (rkn_trans)(v % 4), q, &made);
        }
        if (strcmp(rkn_status_name(rc), "RKN_UNKNOWN") == 0 || rc == RKN_ERR_INTERNAL || (rc != 0 && !*rkn_last_error())) ++silent;
        rkn_operator_destroy(made);
    }
    CHECK(silent == 0);
    CHECK_OK(rkn_krylov_set_int(s, "max_iterations", 1000));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(poisson_off(n, x) < 1e-7);
    rkn_context_destroy(ctx), rkn_operator_destroy(A), rkn_krylov_destroy(s), poisson_free(&P), free(b);
}

/* ---- threads ---- */

typedef struct blocking {
    int64_t n;
    sem_t inside, go;
    int block;
    rkn_krylov *s;
    rkn_operator *A;
    rkn_status end;
    double *b, *x;
    pthread_t owner;
    int foreign;    /* calls on another thread than the one that called the library */
} blocking;

static int32_t blocking_apply(void *user, rkn_trans trans, int64_t ncols, const void *xv, int64_t ldx, void *yv, int64_t ldy) {
    blocking *p = user;
    (void)trans;
    if (!pthread_equal(pthread_self(), p->owner)) ++p->foreign;
    if (p->block) {
        p->block = 0;
        sem_post(&p->inside);
        sem_wait(&p->go);
    }
    for (int64_t j = 0; j < ncols; ++j) {
        const double *x = (const double *)xv + j * ldx;
        double *y = (double *)yv + j * ldy;
        for (int64_t i = 0; i < p->n; ++i) y[i] = 2 * x[i] - (i ? x[i - 1] : 0) - (i < p->n - 1 ? x[i + 1] : 0);
    }
    return 0;
}
static void *solve_there(void *user) {
    blocking *p = user;
    p->owner = pthread_self();
    p->end = rkn_krylov_solve(p->s, p->A, NULL, p->b, p->x);
    return NULL;
}

static void two_threads(void) {
    enum { n = 50 };
    double y[n], z[n], v = 0;
    int64_t k = 0, rows = 0;
    char text[4000];
    pthread_t thread;
    blocking p = {.n = n, .block = 1, .b = ones(n), .x = need(n * 8), .owner = pthread_self()};
    sem_init(&p.inside, 0, 0), sem_init(&p.go, 0, 0);
    CHECK_OK(rkn_krylov_create(NULL, "gmres", &p.s));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, n, n, blocking_apply, &p, NULL, &p.A));
    if (pthread_create(&thread, NULL, solve_there, &p)) exit(2);
    sem_wait(&p.inside);
    /* the solver is in use */
    CHECK_REFUSED(rkn_krylov_solve(p.s, p.A, NULL, p.b, y), RKN_ERR_BUSY, "rkn_krylov_solve", "s");
    CHECK_STATUS(rkn_krylov_set_int(p.s, "restart", 10), RKN_ERR_BUSY);
    CHECK_STATUS(rkn_krylov_set_options(p.s, "restart=10"), RKN_ERR_BUSY);
    CHECK_STATUS(rkn_krylov_get_int(p.s, "iterations", &k), RKN_ERR_BUSY);
    CHECK_STATUS(rkn_krylov_get_real(p.s, "residual_norm", &v), RKN_ERR_BUSY);
    CHECK_STATUS(rkn_krylov_view(p.s, text, sizeof text, &k), RKN_ERR_BUSY);
    CHECK_STATUS(rkn_krylov_history(p.s, y, n, &k), RKN_ERR_BUSY);
    CHECK_STATUS(rkn_krylov_forget(p.s), RKN_ERR_BUSY);
    /* and so is the operator, which holds a callback */
    rkn_krylov *t = NULL;
    CHECK_OK(rkn_krylov_create(NULL, "gmres", &t));
    CHECK_REFUSED(rkn_operator_apply(p.A, RKN_N, 1, p.b, n, y, n), RKN_ERR_BUSY, "rkn_operator_apply", "");
    CHECK_REFUSED(rkn_krylov_solve(t, p.A, NULL, p.b, y), RKN_ERR_BUSY, "rkn_krylov_solve", "");
    CHECK_STATUS(rkn_operator_changed(p.A), RKN_ERR_BUSY);
    /* other handles are free: this thread works meanwhile */
    poisson P = poisson_make(n);
    rkn_operator *B = poisson_operator(&P);
    CHECK_OK(rkn_krylov_solve(t, B, NULL, p.b, z));
    CHECK(poisson_off(n, z) < 1e-5);
    sem_post(&p.go);
    pthread_join(thread, NULL);
    CHECK(p.end == RKN_OK && poisson_off(n, p.x) < 1e-5 && p.foreign == 0);
    /* free again, and usable from here */
    p.owner = pthread_self();
    CHECK_OK(rkn_krylov_solve(p.s, p.A, NULL, p.b, y));
    CHECK(poisson_off(n, y) < 1e-5 && p.foreign == 0);
    CHECK_OK(rkn_operator_shape(p.A, &rows, &k));
    rkn_krylov_destroy(p.s), rkn_krylov_destroy(t), rkn_operator_destroy(p.A), rkn_operator_destroy(B), poisson_free(&P);
    sem_destroy(&p.inside), sem_destroy(&p.go), free(p.b), free(p.x);
}

/* Handles destroyed while another thread is inside them: the call under way ends in good order. */
static void destroyed_in_use(void) {
    enum { n = 50 };
    pthread_t thread;
    blocking p = {.n = n, .block = 1, .b = ones(n), .x = need(n * 8)};
    sem_init(&p.inside, 0, 0), sem_init(&p.go, 0, 0);
    CHECK_OK(rkn_krylov_create(NULL, "gcrodr", &p.s));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, n, n, blocking_apply, &p, NULL, &p.A));
    if (pthread_create(&thread, NULL, solve_there, &p)) exit(2);
    sem_wait(&p.inside);
    rkn_operator_destroy(p.A);
    rkn_krylov_destroy(p.s);
    sem_post(&p.go);
    pthread_join(thread, NULL);
    CHECK(p.end == RKN_OK && poisson_off(n, p.x) < 1e-5);
    rkn_krylov_destroy(p.s), rkn_operator_destroy(p.A);
    sem_destroy(&p.inside), sem_destroy(&p.go), free(p.b), free(p.x);
}

/* Handles destroyed by the callback that they are running. */
static int32_t suicidal(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    blocking *p = user;
    if (p->s) rkn_krylov_destroy(p->s), rkn_operator_destroy(p->A), p->s = NULL;
    return blocking_apply(user, trans, ncols, x, ldx, y, ldy);
}
static int let_go;
static void count_release(void *user) { (void)user, ++let_go; }

static void destroyed_by_callback(void) {
    enum { n = 30 };
    double x[n];
    blocking p = {.n = n, .b = ones(n), .owner = pthread_self()};
    rkn_krylov *s = NULL;
    rkn_operator *A = NULL;
    CHECK_OK(rkn_krylov_create(NULL, "gmres", &s));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, n, n, suicidal, &p, count_release, &A));
    p.s = s, p.A = A;
    const rkn_status rc = rkn_krylov_solve(s, A, NULL, p.b, x);
    CHECK(rc == RKN_OK && poisson_off(n, x) < 1e-5);
    rkn_krylov_destroy(s), rkn_operator_destroy(A);
    CHECK(let_go == 1);
    free(p.b);
}

/* Many threads, each with handles of its own, and all with one matrix: a const handle without a callback is shared. */
static void *work(void *user) {
    enum { n = 400 };
    rkn_operator *A = user;
    double *b = ones(n), x[n], y[n];
    int bad = 0;
    for (int round = 0; round < 20; ++round) {
        rkn_context *ctx = NULL;
        rkn_krylov *s = NULL;
        rkn_operator *M = NULL;
        bad += rkn_context_create(&ctx) != RKN_OK;
        bad += rkn_krylov_create(ctx, round % 2 ? "cg" : "gcrodr", &s) != RKN_OK;
        bad += rkn_operator_create_preconditioner(ctx, A, "ic0", &M) != RKN_OK;
        bad += rkn_krylov_set_real(s, "rtol", -1) != RKN_ERR_ARGUMENT || !strstr(rkn_last_error(), "rtol");
        bad += rkn_krylov_solve(s, A, M, b, x) != RKN_OK;
        bad += !(poisson_off(n, x) < 1e-5);
        bad += rkn_operator_apply(A, RKN_N, 1, x, n, y, n) != RKN_OK;
        rkn_context_destroy(ctx), rkn_krylov_destroy(s), rkn_operator_destroy(M);
    }
    free(b);
    return (void *)(intptr_t)bad;
}
static void many_threads(void) {
    pthread_t threads[4];
    poisson P = poisson_make(400);
    rkn_operator *A = poisson_operator(&P);
    for (int i = 0; i < 4; ++i)
        if (pthread_create(&threads[i], NULL, work, A)) exit(2);
    for (int i = 0; i < 4; ++i) {
        void *bad = NULL;
        pthread_join(threads[i], &bad);
        CHECK((intptr_t)bad == 0);
    }
    rkn_operator_destroy(A), poisson_free(&P);
}

/* What may be shared and is used by four threads at once: a context with hooks, a callback operator, getters. A call is
   done or refused as busy; no callback is entered twice at a time; afterwards every handle works. */
typedef struct shared {
    rkn_context *ctx;
    rkn_operator *A;
    rkn_krylov *s;
    int inside, entered_twice, wrong, hooks_let_go;
} shared;
static void enter(shared *p) {
    if (__atomic_add_fetch(&p->inside, 1, __ATOMIC_SEQ_CST) > 1) __atomic_store_n(&p->entered_twice, 1, __ATOMIC_SEQ_CST);
}
static void leave(shared *p) { __atomic_sub_fetch(&p->inside, 1, __ATOMIC_SEQ_CST); }
static void shared_log(void *user, int32_t level, const char *line) { (void)user, (void)level, (void)line; }
static int32_t shared_reduce(void *user, rkn_reduction op, int64_t n, double *inout) {
    return (void)user, (void)op, (void)n, (void)inout, 0;
}
static void shared_release(void *user) { __atomic_add_fetch(&((shared *)user)->hooks_let_go, 1, __ATOMIC_SEQ_CST); }
static int32_t shared_apply(void *user, rkn_trans trans, int64_t ncols, const void *xv, int64_t ldx, void *yv, int64_t ldy) {
    (void)trans;
    enter(user);
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < 20; ++i) ((double *)yv)[i + j * ldy] = (double)(i + 1) * ((const double *)xv)[i + j * ldx];
    leave(user);
    return 0;
}
static void *share(void *user) {
    enum { n = 20 };
    shared *p = user;
    double *b = ones(n), x[n];
    int64_t v = 0;
    int wrong = 0;
    for (int round = 0; round < 3000; ++round) {
        rkn_krylov *s = NULL;
        rkn_status rc = rkn_krylov_create(p->ctx, "cg", &s);
        wrong += rc != RKN_OK && rc != RKN_ERR_BUSY;
        if (rc == RKN_OK) {
            rc = rkn_krylov_solve(s, p->A, NULL, b, x);
            wrong += rc != RKN_OK && rc != RKN_ERR_BUSY;
            wrong += rc == RKN_OK && !(fabs(x[n - 1] - 1.0 / n) < 1e-6);
        }
        rkn_krylov_destroy(s);
        rc = rkn_operator_apply(p->A, RKN_N, 1, b, n, x, n);
        wrong += rc != RKN_OK && rc != RKN_ERR_BUSY;
        for (int k = 0; k < 50; ++k) {
            rc = rkn_krylov_get_int(p->s, "iterations", &v);
            wrong += rc != RKN_OK && rc != RKN_ERR_BUSY;
        }
    }
    __atomic_add_fetch(&p->wrong, wrong, __ATOMIC_SEQ_CST);
    free(b);
    return NULL;
}
static void shared_by_threads(void) {
    enum { n = 20 };
    pthread_t threads[4];
    shared p = {0};
    double *b = ones(n), x[n];
    CHECK_OK(rkn_context_create(&p.ctx));
    CHECK_OK(rkn_context_set_log(p.ctx, shared_log, &p, shared_release));
    CHECK_OK(rkn_context_set_reduce(p.ctx, shared_reduce, &p, shared_release));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, n, n, shared_apply, &p, shared_release, &p.A));
    CHECK_OK(rkn_krylov_create(NULL, "cg", &p.s));
    for (int i = 0; i < 4; ++i)
        if (pthread_create(&threads[i], NULL, share, &p)) exit(2);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    CHECK(p.wrong == 0 && p.entered_twice == 0 && p.hooks_let_go == 0);
    CHECK_OK(rkn_krylov_set_int(p.s, "max_iterations", 50));
    CHECK_OK(rkn_krylov_solve(p.s, p.A, NULL, b, x));
    CHECK(fabs(x[n - 1] - 1.0 / n) < 1e-6);
    rkn_context_destroy(p.ctx), rkn_operator_destroy(p.A), rkn_krylov_destroy(p.s);
    CHECK(p.hooks_let_go == 3);
    free(b);
}

/* Callbacks stay on the caller's thread, also while the kernels use others. */
static pthread_t caller;
static int strayed, called;
static void look(void) {
    ++called;
    if (!pthread_equal(pthread_self(), caller)) ++strayed;
}
static void staying_log(void *user, int32_t level, const char *line) { (void)user, (void)level, (void)line, look(); }
static int32_t staying_reduce(void *user, rkn_reduction op, int64_t n, double *inout) {
    return (void)user, (void)op, (void)n, (void)inout, look(), 0;
}
static int32_t staying_monitor(void *user, const rkn_progress *p) { return (void)user, (void)p, look(), 0; }
static int32_t staying_converged(void *user, int64_t iteration, double residual_norm, double target, int32_t *converged) {
    (void)user, (void)iteration;
    look();
    *converged = residual_norm <= target;
    return 0;
}
static int32_t staying_apply(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    look();
    return rkn_operator_apply(user, trans, ncols, x, ldx, y, ldy);
}
static void callbacks_stay(void) {
    enum { n = 200000 };
    double *b = ones(n), *x = need(n * 8), *d = need(n * 8);
    rkn_context *ctx = NULL;
    rkn_operator *D = NULL, *A = NULL, *M = NULL;
    rkn_krylov *s = NULL;
    for (int i = 0; i < n; ++i) d[i] = 1 + i % 100;
    caller = pthread_self();
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_int(ctx, "threads", 3));
    CHECK_OK(rkn_context_set_int(ctx, "log_level", 3));
    CHECK_OK(rkn_context_set_log(ctx, staying_log, NULL, NULL));
    CHECK_OK(rkn_context_set_reduce(ctx, staying_reduce, NULL, NULL));
    CHECK_OK(rkn_operator_create_diagonal(ctx, RKN_F64, n, d, RKN_BORROW, &D));
    CHECK_OK(rkn_operator_create_callback(ctx, RKN_F64, n, n, staying_apply, D, NULL, &A));
    CHECK_OK(rkn_operator_create_shifted(ctx, A, b, &M));    /* a callback inside a composition */
    CHECK_OK(rkn_krylov_create(ctx, "gcrodr", &s));
    CHECK_OK(rkn_krylov_set_monitor(s, staying_monitor, NULL, NULL));
    CHECK_OK(rkn_krylov_set_converged(s, staying_converged, NULL, NULL));
    CHECK_OK(rkn_krylov_solve(s, M, NULL, b, x));
    CHECK(called > 20 && strayed == 0);
    CHECK(fabs(x[99] - 1.0 / 101) < 1e-6);
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_operator_destroy(D), rkn_operator_destroy(M), rkn_context_destroy(ctx);
    free(b), free(x), free(d);
}

/* ---- interrupts from a signal handler and from a thread ---- */

static rkn_context *signalled;
static volatile sig_atomic_t handler_runs;
static void handler(int number) {
    (void)number;
    ++handler_runs;
    rkn_context_interrupt(signalled);
}
typedef struct slow {
    int64_t n;
    int answer;
} slow;
static int32_t slow_apply(void *user, rkn_trans trans, int64_t ncols, const void *xv, int64_t ldx, void *yv, int64_t ldy) {
    slow *p = user;
    (void)trans;
    usleep(1000);
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < p->n; ++i) ((double *)yv)[i + j * ldy] = ((double)i + 1) * ((const double *)xv)[i + j * ldx];
    return p->answer;
}
static void *interrupt_soon(void *user) {
    usleep(30000);
    rkn_context_interrupt(user);
    return NULL;
}
static void interrupts(void) {
    enum { n = 2000 };
    slow p = {n, 0};
    double *b = ones(n), *x = need(n * 8);
    rkn_operator *A = NULL;
    rkn_krylov *s = NULL;
    CHECK_OK(rkn_context_create(&signalled));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, n, n, slow_apply, &p, NULL, &A));
    CHECK_OK(rkn_krylov_create(signalled, "gmres", &s));
    CHECK_OK(rkn_krylov_set_real(s, "rtol", 1e-14));
    signal(SIGALRM, handler);
    const struct itimerval soon = {{0, 0}, {0, 30000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_STATUS(rkn_krylov_solve(s, A, NULL, b, x), RKN_STOP_INTERRUPT);
    CHECK(handler_runs == 1);
    signal(SIGALRM, SIG_DFL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, interrupt_soon, signalled)) exit(2);
    CHECK_STATUS(rkn_krylov_solve(s, A, NULL, b, x), RKN_STOP_INTERRUPT);
    pthread_join(thread, NULL);
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_context_destroy(signalled);
    free(b), free(x);
}

/* ---- floating point ---- */

enum { TRAPS = FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW };
/* fegetexcept and fegetround read the x87 unit on x86; doubles are computed by the other one. */
static int environment_is_mine(void) {
#ifdef __SSE2__
    if ((_mm_getcsr() & 0x7f80) != (0x1f80 & ~((unsigned)TRAPS << 7)) + 0x4000) return 0;    /* masks, and upward in the rounding field */
#endif
    return fegetexcept() == TRAPS && fegetround() == FE_UPWARD;
}
static int wrong_environment;
static int32_t looking_apply(void *user, rkn_trans trans, int64_t ncols, const void *xv, int64_t ldx, void *yv, int64_t ldy) {
    (void)trans;
    const int64_t n = *(const int64_t *)user;
    if (!environment_is_mine()) ++wrong_environment;
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < n; ++i) ((double *)yv)[i + j * ldy] = (double)(i + 1) * ((const double *)xv)[i + j * ldx];
    return 0;
}
static int32_t looking_monitor(void *user, const rkn_progress *p) {
    (void)user, (void)p;
    if (!environment_is_mine()) ++wrong_environment;
    return 0;
}
static int32_t nan_apply(void *user, rkn_trans trans, int64_t ncols, const void *xv, int64_t ldx, void *yv, int64_t ldy) {
    (void)trans, (void)xv, (void)ldx;
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < *(const int64_t *)user; ++i) ((double *)yv)[i + j * ldy] = i ? INFINITY : NAN;
    return 0;
}
static void traps(void) {
    static const char *const methods[] = {"cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"};
    enum { n = 40 };
    int64_t size = n;
    double *b = ones(n), x[n], zero[n] = {0}, huge[n];
    rkn_operator *A = NULL, *Z = NULL, *N = NULL, *H = NULL;
    poisson P = poisson_make(n);
    for (int i = 0; i < n; ++i) huge[i] = 1e300;
    fesetround(FE_UPWARD);
    feenableexcept(TRAPS);
    exercise();
    CHECK(environment_is_mine());
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, n, n, looking_apply, &size, NULL, &A));
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, n, n, nan_apply, &size, NULL, &N));
    CHECK_OK(rkn_operator_create_diagonal(NULL, RKN_F64, n, zero, RKN_BORROW, &Z));
    CHECK_OK(rkn_operator_create_diagonal(NULL, RKN_F64, n, huge, RKN_BORROW, &H));
    for (size_t m = 0; m < sizeof methods / sizeof *methods; ++m) {
        rkn_krylov *s = NULL;
        CHECK_OK(rkn_krylov_create(NULL, methods[m], &s));
        CHECK_OK(rkn_krylov_set_int(s, "max_iterations", 500));
        CHECK_OK(rkn_krylov_set_monitor(s, looking_monitor, NULL, NULL));
        CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        CHECK(fabs(x[n - 1] - 1.0 / n) < 1e-7);
        CHECK(wrong_environment == 0);
        /* what divides by zero, makes a NaN or overflows inside stays inside */
        CHECK(rkn_krylov_solve(s, Z, NULL, b, x) != RKN_OK);
        CHECK_STATUS(rkn_krylov_solve(s, N, NULL, b, x), RKN_ERR_NONFINITE);
        const rkn_status rc = rkn_krylov_solve(s, H, NULL, huge, x);
        if (!CHECK(rc == RKN_OK || rc == RKN_ERR_NONFINITE)) printf("    %s: %s\n", methods[m], rkn_status_name(rc));
        CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        CHECK(environment_is_mine());
        CHECK(fetestexcept(TRAPS) == 0);    /* the caller's flags are the caller's */
        rkn_krylov_destroy(s);
    }
    rkn_operator *M = NULL;
    for (int32_t k = 0; k < P.ptr[n]; ++k) P.val[k] = 0;
    rkn_operator *S = poisson_operator(&P);
    static const char *const kinds[] = {"jacobi", "block_jacobi", "ssor", "ilu0", "ic0", "ilut", "ict", "lu", "llt", "ldlt", "chebyshev", "amg"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k) {
        const rkn_status rc = rkn_operator_create_preconditioner(NULL, S, kinds[k], &M);
        if (!CHECK(rc == RKN_ERR_SINGULAR || rc == RKN_ERR_INDEFINITE))
            printf("    %s of the zero matrix: %s\n", kinds[k], rkn_status_name(rc));
        rkn_operator_destroy(M);
    }
    CHECK_OK(rkn_operator_apply(H, RKN_N, 1, huge, n, x, n));
    CHECK(isinf(x[0]));
    CHECK(environment_is_mine());
    fedisableexcept(TRAPS);
    fesetround(FE_TONEAREST);
    rkn_operator_destroy(A), rkn_operator_destroy(Z), rkn_operator_destroy(N), rkn_operator_destroy(H), rkn_operator_destroy(S),
        poisson_free(&P), free(b);
}

/* Pool threads inherit the environment of the thread that makes them: traps must not follow. */
static void traps_with_threads(void) {
    enum { n = 200000 };
    double *b = ones(n), *x = need(n * 8), *d = need(n * 8);
    rkn_context *ctx = NULL;
    rkn_operator *A = NULL;
    for (int i = 0; i < n; ++i) d[i] = 1e300, b[i] = 1e300;
    feenableexcept(TRAPS);
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_int(ctx, "threads", 4));
    CHECK_OK(rkn_operator_create_diagonal(ctx, RKN_F64, n, d, RKN_BORROW, &A));
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, b, n, x, n));
    CHECK(isinf(x[0]) && isinf(x[n - 1]));
    rkn_krylov *s = NULL;
    CHECK_OK(rkn_krylov_create(ctx, "gcrodr", &s));
    const rkn_status rc = rkn_krylov_solve(s, A, NULL, b, x);
    CHECK(rc == RKN_OK || rc == RKN_ERR_NONFINITE);
    CHECK(fegetexcept() == TRAPS);
    fedisableexcept(TRAPS);
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_context_destroy(ctx);
    free(b), free(x), free(d);
}

/* ---- locale ---- */

static void comma(void) {
    const char *got = setlocale(LC_ALL, "de_DE.UTF-8");
    if (!got) got = setlocale(LC_ALL, "de_DE");
    if (!got) {
        printf("test_hostile: no locale de_DE here, skipped\n");
        return;
    }
    char text[6000], number[20];
    snprintf(number, sizeof number, "%.1f", 0.5);
    CHECK(strcmp(number, "0,5") == 0);
    exercise();
    rkn_krylov *s = NULL;
    double v = 0;
    CHECK_OK(rkn_krylov_create(NULL, "gcrodr", &s));
    CHECK_OK(rkn_krylov_set_options(s, "rtol=2.5e-7 atol=0.125"));
    CHECK_OK(rkn_krylov_get_real(s, "rtol", &v));
    CHECK(v == 2.5e-7);
    CHECK_OK(rkn_krylov_get_real(s, "atol", &v));
    CHECK(v == 0.125);
    CHECK_OK(rkn_krylov_view(s, text, sizeof text, NULL));
    CHECK(strstr(text, "2.5e-7") && strstr(text, "2,5") == NULL);
    rkn_krylov_destroy(s);
    FILE *f = fopen("test_hostile.mtx", "w");
    fputs("%%MatrixMarket matrix array real general\n1 1\n1.25\n", f);
    fclose(f);
    rkn_operator *A = NULL, *M = NULL;
    double x = 2, y = 0;
    CHECK_OK(rkn_operator_create_matrix_market(NULL, RKN_F64, "test_hostile.mtx", &A));
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, &x, 1, &y, 1));
    CHECK(y == 2.5);
    CHECK_OK(rkn_operator_create_preconditioner(NULL, A, "ssor omega=1.5", &M));
    rkn_operator_destroy(A), rkn_operator_destroy(M);
    remove("test_hostile.mtx");
    snprintf(number, sizeof number, "%.1f", 0.5);
    CHECK(strcmp(number, "0,5") == 0);    /* the locale is as it was */
}

/* ---- fork ---- */

static void forked(void) {
    enum { n = 150000 };
    poisson P = poisson_make(n);
    double *x = need(n * 8), *y = need(n * 8), *z = need(n * 8);
    rkn_context *ctx = NULL;
    rkn_operator *A = NULL;
    rkn_krylov *s = NULL;
    for (int i = 0; i < n; ++i) x[i] = sin(i);
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_int(ctx, "threads", 3));
    CHECK_OK(rkn_operator_create_csr(ctx, RKN_F64, n, n, RKN_I32, 0, P.ptr, P.ind, P.val, RKN_BORROW, &A));
    CHECK_OK(rkn_krylov_create(ctx, "gcrodr", &s));
    CHECK_OK(rkn_krylov_set_options(s, "max_iterations=12 restart=8 recycle=3"));
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, n, y, n));    /* the threads exist now */
    CHECK_STATUS(rkn_krylov_solve(s, A, NULL, x, z), RKN_STOP_ITERATIONS);
    CHECK_OK(rkn_krylov_forget(s));
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        /* the child has one thread only, and the same handles */
        double *u = need(n * 8), *w = need(n * 8);
        alarm(60);
        int bad = rkn_operator_apply(A, RKN_N, 1, x, n, u, n) != RKN_OK || memcmp(u, y, n * 8) != 0;
        bad |= (rkn_krylov_solve(s, A, NULL, x, w) != RKN_STOP_ITERATIONS || memcmp(w, z, n * 8) != 0) << 1;
        rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_context_destroy(ctx);
        failed = 0;
        exercise();
        bad |= (failed != 0) << 2;
        _exit(bad);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        printf("    child: exit code %d, signal %d\n", WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    /* the parent goes on */
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, n, z, n));
    CHECK(memcmp(z, y, n * 8) == 0);
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_context_destroy(ctx);
    poisson_free(&P), free(x), free(y), free(z);
}

/* ---- memory ---- */

/* Bounds the address space at what is in use plus some megabytes. */
static void limit_memory(int64_t megabytes) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld", &pages) != 1) exit(2);
    fclose(f);
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)(megabytes << 20);
    if (setrlimit(RLIMIT_AS, &limit)) exit(2);
}

static void starved(void) {
    enum { n = 3000000, w = 300 };
    poisson P = poisson_make(n);
    double *b = ones(n), *x = need((size_t)n * 8);
    rkn_operator *A = poisson_operator(&P), *B = NULL, *M = NULL;
    rkn_krylov *s = NULL;
    int32_t *ptr = need((w * w + 1) * 4), *ind = need(5 * w * w * 4), k = 0;
    double *val = need(5 * w * w * 8);
    for (int32_t i = 0; i < w * w; ++i) {
        const int32_t at[5] = {i - w, i - 1, i, i + 1, i + w};
        const int there[5] = {i >= w, i % w > 0, 1, i % w < w - 1, i < w * w - w};
        for (int a = 0; a < 5; ++a)
            if (there[a]) ind[k] = at[a], val[k] = a == 2 ? 4 : -1, ++k;
        ptr[i + 1] = k;
    }
    rkn_operator *G = NULL;
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, w * w, w * w, RKN_I32, 0, ptr, ind, val, RKN_BORROW, &G));
    exercise();    /* what is made once is made now */
    limit_memory(12);
    rkn_operator *const mark = (rkn_operator *)GARBAGE;
    B = mark;
    CHECK_REFUSED(rkn_operator_create_csr(NULL, RKN_F64, n, n, RKN_I32, 0, P.ptr, P.ind, P.val, RKN_COPY, &B), RKN_ERR_MEMORY,
                  "rkn_operator_create_csr", "");
    CHECK(B == NULL);
    CHECK_STATUS(rkn_operator_create_coo(NULL, RKN_F64, n, n, RKN_I32, 0, n, P.ind, P.ind, P.val, &B), RKN_ERR_MEMORY);
    CHECK_STATUS(rkn_operator_create_diagonal(NULL, RKN_F64, n, P.val, RKN_COPY, &B), RKN_ERR_MEMORY);
    CHECK_STATUS(rkn_operator_create_dense(NULL, RKN_F64, 3, n, RKN_ROW_MAJOR, P.val, n, RKN_COPY, &B), RKN_ERR_MEMORY);
    CHECK_STATUS(rkn_operator_set_nullspace(A, RKN_RIGHT, 1, b, n), RKN_ERR_MEMORY);
    static const char *const kinds[] = {"jacobi",      "block_jacobi", "ssor", "ilu0", "ic0", "ilu levels=1",
                                        "ic levels=1", "ilut",         "ict",  "lu",   "llt", "ldlt"};
    for (size_t q = 0; q < sizeof kinds / sizeof *kinds; ++q) {
        const rkn_status rc = rkn_operator_create_preconditioner(NULL, A, kinds[q], &M);
        if (!CHECK(rc == RKN_ERR_MEMORY && M == NULL)) printf("    %s: %s\n", kinds[q], rkn_status_name(rc));
    }
    /* fill that only shows on the way */
    static const char *const filling[] = {"lu", "llt", "ldlt", "ilu levels=60", "ilut drop_tolerance=0 fill=1000"};
    for (size_t q = 0; q < sizeof filling / sizeof *filling; ++q) {
        const rkn_status rc = rkn_operator_create_preconditioner(NULL, G, filling[q], &M);
        if (!CHECK(rc == RKN_ERR_MEMORY && M == NULL)) printf("    filling %s: %s\n", filling[q], rkn_status_name(rc));
        rkn_operator_destroy(M);
    }
    static const char *const methods[] = {"cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"};
    double small_x[w], small_b[w];
    poisson Q = poisson_make(w);
    rkn_operator *S = poisson_operator(&Q);
    for (int i = 0; i < w; ++i) small_b[i] = 1;
    for (size_t m = 0; m < sizeof methods / sizeof *methods; ++m) {
        CHECK_OK(rkn_krylov_create(NULL, methods[m], &s));
        CHECK_REFUSED(rkn_krylov_solve(s, A, NULL, b, x), RKN_ERR_MEMORY, "rkn_krylov_solve", "");
        CHECK_STATUS(rkn_krylov_prepare(s, A, NULL), RKN_ERR_MEMORY);
        CHECK_OK(rkn_krylov_solve(s, S, NULL, small_b, small_x));    /* a problem that fits still works, with the same solver */
        CHECK(poisson_off(w, small_x) < 1e-3);
        rkn_krylov_destroy(s);
    }
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, b, n, x, n));
    CHECK(x[0] == 1 && x[1] == 0);
    exercise();
    rkn_operator_destroy(A), rkn_operator_destroy(S), rkn_operator_destroy(G);
}

/* Threads that cannot be had are an error or are done without; never a crash. */
static void no_threads(void) {
    enum { n = 300000 };
    poisson P = poisson_make(n);
    double *x = ones(n), *y = need((size_t)n * 8);
    rkn_context *ctx = NULL;
    rkn_operator *A = NULL;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_int(ctx, "threads", 64));
    CHECK_OK(rkn_operator_create_csr(ctx, RKN_F64, n, n, RKN_I32, 0, P.ptr, P.ind, P.val, RKN_BORROW, &A));
    limit_memory(24);    /* 64 stacks do not fit */
    const rkn_status rc = rkn_operator_apply(A, RKN_N, 1, x, n, y, n);
    if (!CHECK(rc == RKN_ERR_THREADS || rc == RKN_ERR_MEMORY || rc == RKN_OK))
        printf("    %s: %s\n", rkn_status_name(rc), rkn_last_error());
    if (rc == RKN_OK) CHECK(y[0] == 1 && y[1] == 0);
    CHECK_OK(rkn_context_set_int(ctx, "threads", 1));
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, n, y, n));
    CHECK(y[0] == 1 && y[1] == 0);
    rkn_operator_destroy(A), rkn_context_destroy(ctx);
}

/* ---- solves by requests ---- */

enum { ROD = 25 };
static rkn_krylov *rod_s;
static rkn_operator *rod_A;
static double rod_b[ROD], rod_x[ROD];

/* Serves at most `limit` products with tridiag(-1, 2, -1); returns how the solve ended, or RKN_OK. */
static rkn_status rod_serve(rkn_krylov *s, int limit) {
    const rkn_request *r = NULL;
    for (int k = 0; k < limit; ++k) {
        const rkn_status rc = rkn_krylov_next(s, 0, &r);
        if (r->kind == RKN_REQUEST_DONE) return rc;
        for (int64_t j = 0; j < r->ncols; ++j) {
            const double *x = (const double *)r->x + j * r->ldx;
            double *y = (double *)r->y + j * r->ldy;
            for (int i = 0; i < ROD; ++i) y[i] = 2 * x[i] - (i ? x[i - 1] : 0) - (i < ROD - 1 ? x[i + 1] : 0);
        }
    }
    return RKN_OK;
}
static void rod_make(void) {
    for (int i = 0; i < ROD; ++i) rod_b[i] = 1;
    CHECK_OK(rkn_operator_create_request(NULL, RKN_F64, ROD, ROD, RKN_REQUEST_APPLY, &rod_A));
    CHECK_OK(rkn_krylov_create(NULL, "gcrodr", &rod_s));
}

/* The solve of the parent cannot go on here; everything else can. */
static void requests_in_child(void) {
    const rkn_request *r = NULL;
    int64_t iterations = -1;
    rkn_krylov *s = NULL;
    double x[ROD];
    CHECK_REFUSED(rkn_krylov_next(rod_s, 0, &r), RKN_ERR_STATE, "rkn_krylov_next", "");
    CHECK_SAYS("fork");
    CHECK(r->kind == RKN_REQUEST_DONE);
    CHECK_STATUS(rkn_krylov_cancel(rod_s), RKN_ERR_STATE);
    CHECK_STATUS(rkn_krylov_forget(rod_s), RKN_ERR_BUSY);
    CHECK_OK(rkn_krylov_get_int(rod_s, "iterations", &iterations));
    rkn_krylov_destroy(rod_s), rkn_operator_destroy(rod_A);
    rod_make();
    CHECK_OK(rkn_krylov_start(rod_s, rod_A, NULL, rod_b, x));
    CHECK_OK(rod_serve(rod_s, 1000));
    CHECK(poisson_off(ROD, x) < 1e-6);
    CHECK_OK(rkn_krylov_create(NULL, "cg", &s));
    rkn_krylov_destroy(s), rkn_krylov_destroy(rod_s), rkn_operator_destroy(rod_A);
}
static void requests_forked(void) {
    rod_make();
    CHECK_OK(rkn_krylov_start(rod_s, rod_A, NULL, rod_b, rod_x));
    in_child("requests_in_child before the first", requests_in_child, 60);
    CHECK_OK(rod_serve(rod_s, 7));
    in_child("requests_in_child", requests_in_child, 60);
    CHECK_OK(rod_serve(rod_s, 1000));
    CHECK(poisson_off(ROD, rod_x) < 1e-6);
    rkn_krylov_destroy(rod_s), rkn_operator_destroy(rod_A);
}

static volatile sig_atomic_t signals;
static void on_signal(int number) {
    (void)number;
    ++signals;
}
/* A signal that this thread blocks waits: no thread of the library takes it. */
static void requests_signalled(void) {
    sigset_t one;
    signal(SIGUSR1, on_signal);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    rod_make();
    CHECK_OK(rkn_krylov_start(rod_s, rod_A, NULL, rod_b, rod_x));
    CHECK_OK(rod_serve(rod_s, 2));
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    kill(getpid(), SIGUSR1);
    usleep(20000);
    CHECK_OK(rod_serve(rod_s, 2));
    CHECK(signals == 0);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    CHECK(signals == 1);
    CHECK_OK(rod_serve(rod_s, 1000));
    rkn_krylov_destroy(rod_s), rkn_operator_destroy(rod_A);
}

/* No memory for the stack of a solve by requests: its start is refused, and the solver still solves. */
static void no_stack(void) {
    enum { n = 12 };
    poisson P = poisson_make(n);
    rkn_operator *A = poisson_operator(&P);
    double *b = ones(n), x[n];
    rkn_krylov *s = NULL;
    const rkn_request *r = NULL;
    CHECK_OK(rkn_krylov_create(NULL, "cg", &s));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    limit_memory(1);
    CHECK_REFUSED(rkn_krylov_start(s, A, NULL, b, x), RKN_ERR_THREADS, "rkn_krylov_start", "");
    CHECK_STATUS(rkn_krylov_next(s, 0, &r), RKN_ERR_STATE);
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(poisson_off(n, x) < 1e-6);
    rkn_krylov_destroy(s), rkn_operator_destroy(A);
}

/* ---- output ---- */

static void prints_nothing(void) {
    int ends[2];
    char buf[200] = {0};
    fflush(stdout);
    const int out = dup(1), err = dup(2);
    if (pipe(ends)) exit(2);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    dup2(ends[1], 1), dup2(ends[1], 2);
    const int before = failed;
    exercise();
    any_order();
    rkn_operator *A = NULL;
    rkn_operator_create_matrix_market(NULL, RKN_F64, "no/such/file", &A);
    rkn_operator_apply((rkn_operator *)GARBAGE, RKN_N, 1, NULL, 1, NULL, 1);
    if (failed == before) fflush(stdout);
    const ssize_t got = read(ends[0], buf, sizeof buf - 1);
    dup2(out, 1), dup2(err, 2);
    if (!CHECK(got <= 0 || failed > before)) printf("    printed: %s\n", buf);
    close(out), close(err), close(ends[0]), close(ends[1]);
}
static void closed_output(void) {
    close(0), close(1), close(2);
    exercise();
    random_misuse();
    /* nothing took the free descriptors */
    CHECK(fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0);
}

int main(void) {
    in_child("random_misuse", random_misuse, 120);
    in_child("starved", starved, 300);    /* before there are threads, whose arenas hold memory in reserve */
    in_child("no_threads", no_threads, 60);
    in_child("no_stack", no_stack, 60);
    any_order();
    two_threads();
    in_child("destroyed_in_use", destroyed_in_use, 60);
    in_child("destroyed_by_callback", destroyed_by_callback, 60);
    many_threads();
    in_child("shared_by_threads", shared_by_threads, 120);
    callbacks_stay();
    in_child("interrupts", interrupts, 60);
    in_child("traps", traps, 60);
    in_child("traps_with_threads", traps_with_threads, 60);
    in_child("comma", comma, 60);
    in_child("forked", forked, 120);
    requests_forked();
    in_child("requests_signalled", requests_signalled, 60);
    prints_nothing();
    in_child("closed_output", closed_output, 120);
    exercise();
    return done();
}
