/* check.h: counted checks and a small matrix that all tests know. */
#ifndef CHECK_H
#define CHECK_H
#undef NDEBUG
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sunlinsol_reknit.h"

static int passed, failed;

static inline int check_at(int ok, const char *what, const char *file, int line) {
    if (ok) {
        ++passed;
    } else {
        ++failed;
        printf("%s:%d: failed: %s (%s)\n", file, line, what, SUNLinSol_ReknitLastMessage());
        fflush(stdout);
    }
    return ok;
}
#define CHECK(condition) check_at(!!(condition), #condition, __FILE__, __LINE__)

static inline int code_at(long got, long want, const char *what, const char *file, int line) {
    if (got != want) printf("%s:%d: %s is %ld, not %ld\n", file, line, what, got, want);
    return check_at(got == want, what, file, line);
}
#define CHECK_CODE(call, want) code_at((call), (want), #call, __FILE__, __LINE__)

static inline int says(const char *words) { return strstr(SUNLinSol_ReknitLastMessage(), words) != NULL; }

static inline int done(void) {
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}

/* Entry (i, j) of a tridiagonal matrix that is neither symmetric nor constant; `shift` moves its diagonal. */
static inline double entry(int64_t i, int64_t j, double shift) {
    if (j == i) return 3 + shift + 0.5 * sin((double)i);
    if (j == i - 1) return -1.25;
    return j == i + 1 ? -0.75 : 0;
}

/* r = b - A x, from the formula above. */
static inline void residual_of(int64_t n, double shift, const double *x, const double *b, double *r) {
    for (int64_t i = 0; i < n; ++i) {
        r[i] = b[i];
        for (int64_t j = i - 1; j <= i + 1; ++j)
            if (j >= 0 && j < n) r[i] -= entry(i, j, shift) * x[j];
    }
}
#endif
