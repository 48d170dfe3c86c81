/* The library loaded and unloaded at run time by a host that is not linked with it: REKNIT_LIBRARY names the file. */
#include "check.h"
#include <dlfcn.h>

static void *library;
static void *symbol(const char *name) {
    void *p = dlsym(library, name);
    if (!CHECK(p != NULL)) exit(1);
    return p;
}
/* ISO C has no conversion from an object to a function pointer; POSIX promises that the bits serve. */
#define FUNCTION(name, type)                                                                                                               \
    type name;                                                                                                                             \
    *(void **)&name = symbol(#name)

typedef const char *(*text_fn)(void);
typedef rkn_status (*context_fn)(rkn_context **);
typedef void (*context_destroy_fn)(rkn_context *);
typedef rkn_status (*set_fn)(rkn_context *, const char *, int64_t);
typedef rkn_status (*csr_fn)(const rkn_context *, rkn_scalar, int64_t, int64_t, rkn_index, int32_t, const void *, const void *,
                             const void *, rkn_memory, rkn_operator **);
typedef rkn_status (*create_fn)(const rkn_context *, const char *, rkn_krylov **);
typedef rkn_status (*solve_fn)(rkn_krylov *, const rkn_operator *, const rkn_operator *, const void *, void *);
typedef void (*operator_destroy_fn)(rkn_operator *);
typedef void (*krylov_destroy_fn)(rkn_krylov *);

static void once(void) {
    enum { n = 40 };
    poisson P = poisson_make(n);
    double *b = ones(n), x[n];
    FUNCTION(rkn_context_create, context_fn);
    FUNCTION(rkn_context_destroy, context_destroy_fn);
    FUNCTION(rkn_context_set_int, set_fn);
    FUNCTION(rkn_operator_create_csr, csr_fn);
    FUNCTION(rkn_operator_destroy, operator_destroy_fn);
    FUNCTION(rkn_krylov_create, create_fn);
    FUNCTION(rkn_krylov_solve, solve_fn);
    FUNCTION(rkn_krylov_destroy, krylov_destroy_fn);
    FUNCTION(rkn_last_error, text_fn);
    rkn_context *ctx = NULL;
    rkn_operator *A = NULL;
    rkn_krylov *s = NULL;
    CHECK(rkn_krylov_solve(NULL, NULL, NULL, NULL, NULL) == RKN_ERR_NULL);
    CHECK(strstr(rkn_last_error(), "rkn_krylov_solve") != NULL);
    CHECK(rkn_context_create(&ctx) == RKN_OK);
    CHECK(rkn_context_set_int(ctx, "threads", 2) == RKN_OK);
    CHECK(rkn_operator_create_csr(ctx, RKN_F64, n, n, RKN_I32, 0, P.ptr, P.ind, P.val, RKN_BORROW, &A) == RKN_OK);
    CHECK(rkn_krylov_create(ctx, "gcrodr", &s) == RKN_OK);
    CHECK(rkn_krylov_solve(s, A, NULL, b, x) == RKN_OK);
    CHECK(poisson_off(n, x) < 1e-6);
    rkn_krylov_destroy(s), rkn_operator_destroy(A), rkn_context_destroy(ctx);
    poisson_free(&P), free(b);
}

int main(void) {
    const char *path = getenv("REKNIT_LIBRARY");
    if (!path) {
        fprintf(stderr, "set REKNIT_LIBRARY to the library's file\n");
        return 2;
    }
    for (int round = 0; round < 20; ++round) {
        library = dlopen(path, round % 2 ? RTLD_NOW | RTLD_LOCAL : RTLD_LAZY | RTLD_GLOBAL);
        if (!CHECK(library != NULL)) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        once();
        CHECK(dlclose(library) == 0);
    }
    return done();
}
