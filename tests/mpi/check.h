/* check.h: collective checks. A check holds if it holds on all ranks, so all ranks must reach it. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reknit_mpi.h"

static int passed, failed, my_rank, all_ranks;

/* What runs now: named when a check fails, and the last line of a run that hangs. */
static char current[200];

/* The program's argument: cases whose names contain it run. */
static const char *wanted = "";

/* Whether this case is to run. */
static inline int begins(const char *what) {
    if (!strstr(what, wanted)) return 0;
    snprintf(current, sizeof current, "%s", what);
    if (my_rank == 0) {
        printf("on %d: %s\n", all_ranks, current);
        fflush(stdout);
    }
    return 1;
}

static inline int agreed(int ok) {
    int all = 0;
    MPI_Allreduce(&ok, &all, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (all) ++passed;
    else ++failed;
    return all;
}

static inline int expect_at(int ok, const char *what, const char *file, int line) {
    if (!ok) {
        printf("%s:%d: rank %d of %d, %s: failed: %s\n", file, line, my_rank, all_ranks, current, what);
        fflush(stdout);
    }
    return agreed(ok);
}
#define EXPECT(condition) expect_at(!!(condition), #condition, __FILE__, __LINE__)

static inline int status_at(rkn_status got, rkn_status want, const char *what, const char *file, int line) {
    if (got != want) {
        printf("%s:%d: rank %d of %d, %s: failed: %s is %s, not %s (%s)\n", file, line, my_rank, all_ranks, current, what,
               rkn_status_name(got), rkn_status_name(want), got ? rkn_last_error() : "");
        fflush(stdout);
    }
    return agreed(got == want);
}
#define EXPECT_STATUS(call, want) status_at((call), (want), #call, __FILE__, __LINE__)
#define EXPECT_OK(call) EXPECT_STATUS(call, RKN_OK)

static inline int at_most_at(double got, double most, const char *what, const char *file, int line) {
    const int ok = got <= most;
    if (!ok) {
        printf("%s:%d: rank %d of %d, %s: failed: %s is %g, more than %g\n", file, line, my_rank, all_ranks, current, what, got, most);
        fflush(stdout);
    }
    return agreed(ok);
}
#define EXPECT_AT_MOST(value, most) at_most_at((value), (most), #value, __FILE__, __LINE__)

/* The same bytes on all ranks. */
static inline int same_at(const void *data, size_t bytes, const char *what, const char *file, int line) {
    void *first = malloc(bytes + 1);
    if (my_rank == 0) memcpy(first, data, bytes);
    MPI_Bcast(first, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
    const int ok = memcmp(first, data, bytes) == 0;
    free(first);
    return expect_at(ok, what, file, line);
}
#define EXPECT_SAME(value) same_at(&(value), sizeof(value), #value " is the same on all ranks", __FILE__, __LINE__)

/* The last error of this rank contains these words. */
static inline int says(const char *words) { return strstr(rkn_last_error(), words) != NULL; }

static inline void *need(size_t count, size_t bytes) {
    void *p = calloc(count + 1, bytes);
    if (!p) MPI_Abort(MPI_COMM_WORLD, 1);
    return p;
}

static inline double *numbers(int64_t n) { return (double *)need((size_t)n, sizeof(double)); }

static inline int64_t count_of(const rkn_krylov *s, const char *key) {
    int64_t value = -1;
    rkn_krylov_get_int(s, key, &value);
    return value;
}

static inline double real_of(const rkn_krylov *s, const char *key) {
    double value = NAN;
    rkn_krylov_get_real(s, key, &value);
    return value;
}

static inline void begin_tests(int *argc, char ***argv) {
    MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &my_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &all_ranks);
    if (*argc > 1) wanted = (*argv)[1];
}

/* The last line of a test program, after MPI_Finalize. */
static inline int report(void) {
    if (my_rank == 0) printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}

#endif
