/* The library as such, and contexts. */
#include "check.h"

#define GARBAGE ((void *)(uintptr_t)0x51)

static int released;
static void release(void *user) { ++*(int *)user; }
static int32_t reduce_nothing(void *user, rkn_reduction op, int64_t n, double *inout) {
    (void)op, (void)n, (void)inout;
    ++*(int *)user;
    return 0;
}

static void illegal(void) {
    rkn_context *ctx = NULL;
    int64_t v = 77;

    CHECK_REFUSED(rkn_context_create(NULL), RKN_ERR_NULL, "rkn_context_create", "out");
    CHECK_OK(rkn_context_create(&ctx));
    CHECK(ctx != NULL);

    CHECK_REFUSED(rkn_context_set_int(ctx, NULL, 1), RKN_ERR_NULL, "rkn_context_set_int", "key");
    CHECK_REFUSED(rkn_context_get_int(ctx, NULL, &v), RKN_ERR_NULL, "rkn_context_get_int", "key");
    CHECK_REFUSED(rkn_context_get_int(ctx, "threads", NULL), RKN_ERR_NULL, "rkn_context_get_int", "value");
    /* NULL is a context to work with, but none to set or ask. */
    CHECK_REFUSED(rkn_context_get_int(NULL, "threads", &v), RKN_ERR_NULL, "rkn_context_get_int", "ctx");
    CHECK_REFUSED(rkn_context_set_int(NULL, "threads", 2), RKN_ERR_NULL, "rkn_context_set_int", "ctx");
    CHECK_REFUSED(rkn_context_set_reduce(NULL, reduce_nothing, NULL, NULL), RKN_ERR_NULL, "rkn_context_set_reduce", "ctx");
    CHECK_REFUSED(rkn_context_set_log(NULL, NULL, NULL, NULL), RKN_ERR_NULL, "rkn_context_set_log", "ctx");
    CHECK_STATUS(rkn_context_interrupt(NULL), RKN_ERR_NULL);

    CHECK_REFUSED(rkn_context_set_int(ctx, "threds", 2), RKN_ERR_KEY, "rkn_context_set_int", "threds");
    CHECK_SAYS("did you mean 'threads'?");
    CHECK_REFUSED(rkn_context_set_int(ctx, "", 2), RKN_ERR_KEY, "rkn_context_set_int", "");
    CHECK_REFUSED(rkn_context_get_int(ctx, "seeds", &v), RKN_ERR_KEY, "rkn_context_get_int", "seeds");
    CHECK_REFUSED(rkn_context_set_int(ctx, "\xff\xfe", 2), RKN_ERR_ARGUMENT, "rkn_context_set_int", "key");
    CHECK_REFUSED(rkn_context_set_int(ctx, "threads", 0), RKN_ERR_ARGUMENT, "rkn_context_set_int", "threads");
    CHECK_REFUSED(rkn_context_set_int(ctx, "threads", -3), RKN_ERR_ARGUMENT, "rkn_context_set_int", "threads");
    CHECK_REFUSED(rkn_context_set_int(ctx, "threads", INT64_MAX), RKN_ERR_ARGUMENT, "rkn_context_set_int", "threads");
    CHECK_REFUSED(rkn_context_set_int(ctx, "log_level", -1), RKN_ERR_ARGUMENT, "rkn_context_set_int", "log_level");
    CHECK(v == 77);    /* outputs are written on success only */
    CHECK_OK(rkn_context_get_int(ctx, "threads", &v));
    CHECK(v == 1);     /* refused values changed nothing */

    /* dead, wrong and invented handles */
    rkn_krylov *s = NULL;
    CHECK_OK(rkn_krylov_create(NULL, "cg", &s));
    CHECK_REFUSED(rkn_context_get_int((rkn_context *)(void *)s, "threads", &v), RKN_ERR_HANDLE, "rkn_context_get_int", "ctx");
    CHECK_REFUSED(rkn_context_get_int((rkn_context *)GARBAGE, "threads", &v), RKN_ERR_HANDLE, "rkn_context_get_int", "ctx");
    rkn_krylov *t = (rkn_krylov *)GARBAGE;
    CHECK_REFUSED(rkn_krylov_create((rkn_context *)(void *)s, "cg", &t), RKN_ERR_HANDLE, "rkn_krylov_create", "ctx");
    CHECK(t == NULL);  /* an out handle is NULL first */
    rkn_context_destroy((rkn_context *)(void *)s);    /* another kind: nothing happens */
    CHECK_OK(rkn_krylov_get_int(s, "iterations", &v));
    rkn_krylov_destroy(s);

    rkn_context_destroy(ctx);
    CHECK_REFUSED(rkn_context_set_int(ctx, "threads", 1), RKN_ERR_HANDLE, "rkn_context_set_int", "ctx");
    rkn_context_destroy(ctx);                          /* twice */
    rkn_context_destroy(NULL);
    rkn_context_destroy((rkn_context *)GARBAGE);
    CHECK_REFUSED(rkn_krylov_create(ctx, "cg", &t), RKN_ERR_HANDLE, "rkn_krylov_create", "ctx");
    CHECK_OK(rkn_context_create(&ctx));
    rkn_context_destroy(ctx);
}

static void versions(void) {
    char want[40];
    snprintf(want, sizeof want, "%d.%d.%d", RKN_VERSION_MAJOR, RKN_VERSION_MINOR, RKN_VERSION_PATCH);
    CHECK(strcmp(rkn_version(), want) == 0);
    CHECK(strcmp(rkn_version(), "0.1.0") == 0);
    CHECK(rkn_version_number() == 10000 * RKN_VERSION_MAJOR + 100 * RKN_VERSION_MINOR + RKN_VERSION_PATCH);
    CHECK(rkn_version_number() == RKN_VERSION_NUMBER);
    CHECK(rkn_abi() == RKN_ABI);
    CHECK(strlen(rkn_build_info()) > 0);
    CHECK(strstr(rkn_build_info(), "/home/") == NULL && strstr(rkn_build_info(), "/root/") == NULL);
}

static void names(void) {
    static const struct {
        rkn_status status;
        const char *name;
    } table[] = {
        {0, "RKN_OK"},
        {1, "RKN_STOP_ITERATIONS"},
        {2, "RKN_STOP_TIME"},
        {3, "RKN_STOP_STAGNATION"},
        {4, "RKN_STOP_MONITOR"},
        {5, "RKN_STOP_INTERRUPT"},
        {6, "RKN_STOP_BREAKDOWN"},
        {7, "RKN_STOP_INFEASIBLE"},
        {8, "RKN_STOP_PRECISION"},
        {-1, "RKN_ERR_NULL"},
        {-2, "RKN_ERR_ARGUMENT"},
        {-3, "RKN_ERR_SIZE"},
        {-4, "RKN_ERR_SCALAR"},
        {-5, "RKN_ERR_INDEX"},
        {-6, "RKN_ERR_NONFINITE"},
        {-7, "RKN_ERR_KEY"},
        {-8, "RKN_ERR_HANDLE"},
        {-9, "RKN_ERR_BUSY"},
        {-10, "RKN_ERR_STATE"},
        {-20, "RKN_ERR_SINGULAR"},
        {-21, "RKN_ERR_INDEFINITE"},
        {-22, "RKN_ERR_UNSUPPORTED"},
        {-30, "RKN_ERR_CALLBACK"},
        {-31, "RKN_ERR_MEMORY"},
        {-32, "RKN_ERR_FILE"},
        {-33, "RKN_ERR_FORMAT"},
        {-34, "RKN_ERR_THREADS"},
        {-99, "RKN_ERR_INTERNAL"},
        {9, "RKN_UNKNOWN"},
        {-11, "RKN_UNKNOWN"},
        {INT32_MAX, "RKN_UNKNOWN"},
        {INT32_MIN, "RKN_UNKNOWN"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; ++i)
        if (!CHECK(strcmp(rkn_status_name(table[i].status), table[i].name) == 0))
            printf("    status %d is '%s'\n", (int)table[i].status, rkn_status_name(table[i].status));
}

static void keys(void) {
    rkn_context *ctx = NULL;
    int64_t v = -1;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_get_int(ctx, "seed", &v));
    CHECK(v == 0);
    CHECK_OK(rkn_context_set_int(ctx, "seed", 1234567890123));
    CHECK_OK(rkn_context_get_int(ctx, "seed", &v));
    CHECK(v == 1234567890123);
    CHECK_OK(rkn_context_set_int(ctx, "threads", 2));
    CHECK_OK(rkn_context_get_int(ctx, "threads", &v));
    CHECK(v == 2);
    CHECK_OK(rkn_context_set_int(ctx, "log_level", 3));
    CHECK_OK(rkn_context_get_int(ctx, "log_level", &v));
    CHECK(v == 3);
    rkn_context_destroy(ctx);
}

static void reference(void) {
    static const char *const nouns[] = {"context", "operator", "preconditioner", "krylov"};
    static const char *const holds[] = {"threads", "hermitian", "levels", "recycle"};
    char buf[8];
    int64_t length = -1;
    CHECK_REFUSED(rkn_option_reference(NULL, buf, 8, &length), RKN_ERR_NULL, "rkn_option_reference", "noun");
    CHECK_REFUSED(rkn_option_reference("sinkhole", buf, 8, &length), RKN_ERR_KEY, "rkn_option_reference", "sinkhole");
    CHECK_REFUSED(rkn_option_reference("krylov", NULL, 100000, &length), RKN_ERR_NULL, "rkn_option_reference", "buf");
    CHECK_REFUSED(rkn_option_reference("krylov", buf, -1, &length), RKN_ERR_SIZE, "rkn_option_reference", "cap");
    CHECK_REFUSED(rkn_option_reference("krylov", NULL, 0, NULL), RKN_ERR_SIZE, "rkn_option_reference", "cap");
    for (int i = 0; i < 4; ++i) {
        memset(buf, 'z', sizeof buf);
        CHECK_REFUSED(rkn_option_reference(nouns[i], buf, 7, &length), RKN_ERR_SIZE, "rkn_option_reference", "cap");
        CHECK(length > 7 && buf[7] == 'z');
        const int64_t told = length;
        CHECK_OK(rkn_option_reference(nouns[i], NULL, 0, &length));    /* asks for the length */
        CHECK(length == told);
        char *page = need((size_t)length + 1);
        page[length] = 'z';
        CHECK_STATUS(rkn_option_reference(nouns[i], page, length - 1, NULL), RKN_ERR_SIZE);
        CHECK_OK(rkn_option_reference(nouns[i], page, length, NULL));
        CHECK(page[length] == 'z' && (int64_t)strlen(page) == length - 1);
        if (!CHECK(strstr(page, holds[i]) != NULL)) printf("    the page of '%s' does not hold '%s'\n", nouns[i], holds[i]);
        free(page);
    }
}

/* A message stays with its thread and is replaced by the next failure only. */
static void messages(void) {
    rkn_context *ctx = NULL;
    CHECK_STATUS(rkn_context_create(NULL), RKN_ERR_NULL);
    char kept[200];
    snprintf(kept, sizeof kept, "%s", rkn_last_error());
    CHECK(strcmp(kept, "rkn_context_create: argument 'out' is NULL") == 0);
    CHECK_OK(rkn_context_create(&ctx));
    CHECK(strcmp(kept, rkn_last_error()) == 0);
    rkn_context_destroy(ctx);
}

static void hooks(void) {
    rkn_context *ctx = NULL;
    int a = 0, b = 0;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_reduce(ctx, reduce_nothing, &a, release));
    CHECK(a == 0);
    CHECK_OK(rkn_context_set_reduce(ctx, reduce_nothing, &b, release));
    CHECK(a == 1 && b == 0);                           /* the first one was let go, once */
    CHECK_OK(rkn_context_set_reduce(ctx, NULL, NULL, NULL));
    CHECK(a == 1 && b == 1);
    CHECK_OK(rkn_context_set_reduce(ctx, reduce_nothing, &a, NULL));    /* no release is fine */
    CHECK_OK(rkn_context_set_reduce(ctx, reduce_nothing, &b, release));
    rkn_context_destroy(ctx);
    CHECK(a == 1 && b == 2);
    CHECK_STATUS(rkn_context_set_reduce(ctx, reduce_nothing, &released, release), RKN_ERR_HANDLE);
    CHECK(released == 0);                              /* what was refused is not let go either */
}

typedef struct reductions {
    int64_t sums, maxima, longest;
    int32_t fail_at, calls;
} reductions;

static int32_t reduce(void *user, rkn_reduction op, int64_t n, double *inout) {
    reductions *r = user;
    if (op == RKN_SUM)
        ++r->sums;
    else if (op == RKN_MAX)
        ++r->maxima;
    else
        return 99;
    if (n > r->longest) r->longest = n;
    for (int64_t i = 0; i < n; ++i)
        if (inout[i] != inout[i]) return 98;
    return ++r->calls == r->fail_at ? 17 : 0;
}

/* One rank that reduces with itself gets the answer of no rank at all; an error of the hook ends the solve. */
static void reducing(void) {
    enum { n = 50 };
    poisson P = poisson_make(n);
    double *b = ones(n), x[n], y[n];
    rkn_operator *A = poisson_operator(&P);
    rkn_context *ctx = NULL;
    reductions r = {0, 0, 0, 0, 0};
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_reduce(ctx, reduce, &r, NULL));
    static const char *const methods[] = {"cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"};
    for (size_t m = 0; m < sizeof methods / sizeof *methods; ++m) {
        rkn_krylov *s = NULL, *t = NULL;
        int64_t with = 0, without = -1, reported = 0, v = 0;
        r = (reductions){0, 0, 0, 0, 0};
        CHECK_OK(rkn_krylov_create(ctx, methods[m], &s));
        CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        CHECK_OK(rkn_krylov_get_int(s, "iterations", &with));
        CHECK_OK(rkn_krylov_get_int(s, "reductions", &reported));
        CHECK(r.sums > 0 && reported == r.calls);
        CHECK(poisson_off(n, x) < 1e-6);
        CHECK_OK(rkn_krylov_create(NULL, methods[m], &t));
        CHECK_OK(rkn_krylov_solve(t, A, NULL, b, y));
        CHECK_OK(rkn_krylov_get_int(t, "iterations", &without));
        /* idr draws other shadow vectors where there may be other ranks */
        if (strcmp(methods[m], "idr")) {
            CHECK(with == without);
            CHECK(memcmp(x, y, sizeof x) == 0);
        }

        CHECK_OK(rkn_krylov_forget(s));
        r = (reductions){0, 0, 0, 3, 0};
        CHECK_REFUSED(rkn_krylov_solve(s, A, NULL, b, x), RKN_ERR_CALLBACK, "rkn_krylov_solve", "");
        CHECK_OK(rkn_krylov_get_int(s, "callback_status", &v));
        CHECK(v == 17);
        r.fail_at = 0;
        CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
        CHECK(poisson_off(n, x) < 1e-6);
        rkn_krylov_destroy(s), rkn_krylov_destroy(t);
    }
    rkn_context_destroy(ctx), rkn_operator_destroy(A);
    poisson_free(&P), free(b);
}

typedef struct lines {
    int count, highest, newlines;
} lines;
static void keep_line(void *user, int32_t level, const char *line) {
    lines *l = user;
    ++l->count;
    if (level > l->highest) l->highest = level;
    if (strchr(line, '\n')) ++l->newlines;
}

static void logging(void) {
    enum { n = 40 };
    poisson P = poisson_make(n);
    double *b = ones(n), x[n];
    rkn_operator *A = poisson_operator(&P);
    rkn_context *ctx = NULL;
    rkn_krylov *s = NULL;
    lines l = {0, 0, 0};
    int let_go = 0;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_log(ctx, keep_line, &l, NULL));
    CHECK_OK(rkn_krylov_create(ctx, "gmres", &s));
    CHECK_OK(rkn_krylov_set_int(s, "restart", 5));
    CHECK_OK(rkn_context_set_int(ctx, "log_level", 3));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(l.count > 0 && l.highest <= 3 && l.newlines == 0);
    const int loud = l.count;
    l.count = l.highest = 0;
    CHECK_OK(rkn_context_set_int(ctx, "log_level", 1));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(l.count < loud && l.highest <= 1);
    l.count = 0;
    CHECK_OK(rkn_context_set_int(ctx, "log_level", 0));
    CHECK_OK(rkn_krylov_solve(s, A, NULL, b, x));
    CHECK(l.count == 0);
    CHECK_OK(rkn_context_set_log(ctx, keep_line, &let_go, release));
    CHECK_OK(rkn_context_set_log(ctx, NULL, NULL, NULL));
    CHECK(let_go == 1);
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_context_destroy(ctx);
    poisson_free(&P), free(b);
}

/* Handles may be destroyed in any order: the context first, while a solver and operators that were made with it live on. */
static void order(void) {
    enum { n = 30 };
    poisson P = poisson_make(n);
    double *b = ones(n), x[n];
    rkn_context *ctx = NULL;
    rkn_operator *A = NULL, *M = NULL;
    rkn_krylov *s = NULL;
    int let_go = 0;
    CHECK_OK(rkn_context_create(&ctx));
    CHECK_OK(rkn_context_set_int(ctx, "threads", 2));
    CHECK_OK(rkn_context_set_reduce(ctx, reduce_nothing, &let_go, NULL));
    CHECK_OK(rkn_operator_create_csr(ctx, RKN_F64, n, n, RKN_I32, 0, P.ptr, P.ind, P.val, RKN_COPY, &A));
    CHECK_OK(rkn_operator_create_preconditioner(ctx, A, "ilu0", &M));
    CHECK_OK(rkn_krylov_create(ctx, "cg", &s));
    rkn_context_destroy(ctx);
    rkn_operator *A2 = A;
    CHECK_OK(rkn_krylov_solve(s, A, M, b, x));
    CHECK(let_go > 0 && poisson_off(n, x) < 1e-6);
    rkn_operator_destroy(A);
    CHECK_STATUS(rkn_krylov_solve(s, A2, M, b, x), RKN_ERR_HANDLE);
    CHECK_OK(rkn_operator_apply(M, RKN_N, 1, b, n, x, n));     /* the preconditioner holds what it needs */
    rkn_operator_destroy(M), rkn_krylov_destroy(s);
    poisson_free(&P), free(b);
}

int main(void) {
    illegal();
    versions();
    names();
    keys();
    reference();
    messages();
    hooks();
    reducing();
    logging();
    order();
    return done();
}
