/* What the programs here share. */
#ifndef REKNIT_BENCH_H
#define REKNIT_BENCH_H

#include <reknit.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline void check(rkn_status status) {
    if (status < 0) {
        fprintf(stderr, "%s\n", rkn_last_error());
        exit(1);
    }
}

static inline void need(FILE *f, void *to, size_t size, size_t count) {
    if (fread(to, size, count, f) != count) {
        fprintf(stderr, "the file is short\n");
        exit(2);
    }
}

static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
