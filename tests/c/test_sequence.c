/* The order of a sequence: against loops and closed forms written out here. */
#include "check.h"

#define ORDER "rkn_sequence_order"
#define LENGTH "rkn_sequence_length"
#define GARBAGE ((void *)(uintptr_t)0x51)

static double distance(int64_t dim, const double *a, const double *b) {
    double sum = 0;
    for (int64_t k = 0; k < dim; ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sqrt(sum);
}

static double *numbers(int64_t count) {
    double *p = need((size_t)count * sizeof *p);
    for (int64_t i = 0; i < count; ++i) p[i] = uniform();
    return p;
}

static int is_permutation(int64_t count, const int64_t *order) {
    char *seen = need((size_t)count);
    int fine = 1;
    for (int64_t i = 0; i < count; ++i) {
        fine = fine && order[i] >= 0 && order[i] < count && !seen[order[i]];
        if (fine) seen[order[i]] = 1;
    }
    free(seen);
    return fine;
}

static void illegal(void) {
    enum { dim = 6, count = 5, ld = 7 };
    double *p = numbers(ld * count), length = 77;
    int64_t order[count] = {4, 4, 4, 4, 4};
    rkn_context *ctx = NULL;

    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, NULL, ld, NULL, order), RKN_ERR_NULL, ORDER, "parameters");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, NULL, NULL), RKN_ERR_NULL, ORDER, "order");
    CHECK_REFUSED(rkn_sequence_length(NULL, count, dim, NULL, ld, NULL, &length), RKN_ERR_NULL, LENGTH, "parameters");
    CHECK_REFUSED(rkn_sequence_length(NULL, count, dim, p, ld, NULL, NULL), RKN_ERR_NULL, LENGTH, "length");

    CHECK_REFUSED(rkn_sequence_order(NULL, -1, dim, p, ld, NULL, order), RKN_ERR_SIZE, ORDER, "count");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, -1, p, ld, NULL, order), RKN_ERR_SIZE, ORDER, "dim");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, -1, NULL, order), RKN_ERR_SIZE, ORDER, "ld");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, dim - 1, NULL, order), RKN_ERR_SIZE, ORDER, "ld");
    CHECK_SAYS("be at least 6");
    CHECK_REFUSED(rkn_sequence_order(NULL, INT64_MAX, dim, p, ld, NULL, order), RKN_ERR_SIZE, ORDER, "ld");
    CHECK_REFUSED(rkn_sequence_order(NULL, INT64_MAX, 1, p, 1, NULL, order), RKN_ERR_SIZE, ORDER, "parameters");
    CHECK_REFUSED(rkn_sequence_order(NULL, INT64_MAX, 0, p, 1, NULL, order), RKN_ERR_SIZE, ORDER, "order");
    CHECK_REFUSED(rkn_sequence_length(NULL, count, dim, p, 1, NULL, &length), RKN_ERR_SIZE, LENGTH, "ld");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, (double *)(void *)((char *)p + 1), ld, NULL, order), RKN_ERR_ARGUMENT, ORDER, "parameters");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, NULL, (int64_t *)(void *)(p + 3)), RKN_ERR_ARGUMENT, ORDER, "order");
    CHECK_SAYS("overlapping parameters");

    CHECK_REFUSED(rkn_sequence_order((rkn_context *)GARBAGE, count, dim, p, ld, NULL, order), RKN_ERR_HANDLE, ORDER, "ctx");
    CHECK_REFUSED(rkn_sequence_length((rkn_context *)GARBAGE, count, dim, p, ld, NULL, &length), RKN_ERR_HANDLE, LENGTH, "ctx");
    CHECK_OK(rkn_context_create(&ctx));
    rkn_context_destroy(ctx);
    CHECK_REFUSED(rkn_sequence_order(ctx, count, dim, p, ld, NULL, order), RKN_ERR_HANDLE, ORDER, "ctx");

    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "methd=chain", order), RKN_ERR_KEY, ORDER, "methd");
    CHECK_SAYS("did you mean 'method'?");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "method=cain", order), RKN_ERR_ARGUMENT, ORDER, "method");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "start=5", order), RKN_ERR_ARGUMENT, ORDER, "start");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "start=one", order), RKN_ERR_KEY, ORDER, "start");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "method=curve start=1", order), RKN_ERR_KEY, ORDER, "start");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "chunks=0", order), RKN_ERR_ARGUMENT, ORDER, "chunks");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "two_opt=-1", order), RKN_ERR_ARGUMENT, ORDER, "two_opt");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "nx=3", order), RKN_ERR_KEY, ORDER, "nx");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "features=dct nx=3 ny=3", order), RKN_ERR_SIZE, ORDER, "dim");
    CHECK_SAYS("3 * 3");
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, "\xff", order), RKN_ERR_ARGUMENT, ORDER, "options");

    order[3] = count;
    CHECK_REFUSED(rkn_sequence_length(NULL, count, dim, p, ld, order, &length), RKN_ERR_INDEX, LENGTH, "order");
    CHECK_SAYS("has 5 at position 3, must lie in 0..4");
    order[3] = -1;
    CHECK_REFUSED(rkn_sequence_length(NULL, count, dim, p, ld, order, &length), RKN_ERR_INDEX, LENGTH, "order");
    order[3] = 4;

    p[2 * ld + 1] = NAN;
    length = 77;
    CHECK_REFUSED(rkn_sequence_order(NULL, count, dim, p, ld, NULL, order), RKN_ERR_NONFINITE, ORDER, "parameters");
    CHECK_SAYS("NaN in row 1 of column 2");
    p[2 * ld + 1] = -INFINITY;
    CHECK_REFUSED(rkn_sequence_length(NULL, count, dim, p, ld, NULL, &length), RKN_ERR_NONFINITE, LENGTH, "parameters");
    p[2 * ld + 1] = 0, p[ld - 1] = NAN;    /* in the gap between columns */
    for (int i = 0; i < count; ++i) CHECK(order[i] == 4);    /* outputs are written on success only */
    CHECK(length == 77);
    CHECK_OK(rkn_sequence_order(NULL, count, dim, p, ld, NULL, order));
    CHECK(is_permutation(count, order));
    CHECK_OK(rkn_sequence_length(NULL, count, dim, p, ld, order, &length));
    CHECK(length > 0);
    free(p);
}

static void empty(void) {
    int64_t order[3] = {7, 7, 7};
    double length = 77;
    CHECK_OK(rkn_sequence_order(NULL, 0, 4, NULL, 4, NULL, NULL));
    CHECK_OK(rkn_sequence_length(NULL, 0, 4, NULL, 4, NULL, &length));
    CHECK(length == 0);
    CHECK_OK(rkn_sequence_order(NULL, 3, 0, NULL, 9, "", order));
    CHECK(order[0] == 0 && order[1] == 1 && order[2] == 2);
    CHECK_OK(rkn_sequence_length(NULL, 3, 0, NULL, 9, order, &length));
    CHECK(length == 0);
}

/* Algorithm 1 of arXiv 2401.09516 as a loop over marks. */
static void chain_by_search(int64_t count, int64_t dim, const double *p, int64_t ld, int64_t start, int64_t *order) {
    char *used = need((size_t)count);
    order[0] = start;
    used[start] = 1;
    for (int64_t i = 1; i < count; ++i) {
        int64_t best = -1;
        double least = INFINITY;
        for (int64_t j = 0; j < count; ++j) {
            const double d = distance(dim, p + order[i - 1] * ld, p + j * ld);
            if (!used[j] && d < least) least = d, best = j;
        }
        order[i] = best;
        used[best] = 1;
    }
    free(used);
}

static void chain(void) {
    static const int64_t dims[] = {1, 2, 5, 30};
    enum { count = 900 };
    int64_t order[count], want[count];
    for (int k = 0; k < 4; ++k) {
        const int64_t dim = dims[k], ld = dim + k;
        double *p = numbers(ld * count), length = 0, sum = 0;
        CHECK_OK(rkn_sequence_order(NULL, count, dim, p, ld, "method=chain start=17", order));
        chain_by_search(count, dim, p, ld, 17, want);
        CHECK(memcmp(order, want, sizeof order) == 0);
        CHECK_OK(rkn_sequence_order(NULL, count, dim, p, ld, NULL, order));    /* auto; begins with system 0 */
        chain_by_search(count, dim, p, ld, 0, want);
        CHECK(memcmp(order, want, sizeof order) == 0);
        CHECK_OK(rkn_sequence_length(NULL, count, dim, p, ld, order, &length));
        for (int i = 1; i < count; ++i) sum += distance(dim, p + order[i - 1] * ld, p + order[i] * ld);
        CHECK(fabs(length - sum) < 1e-12 * sum);
        CHECK_OK(rkn_sequence_length(NULL, count, dim, p, ld, NULL, &length));
        CHECK(length > sum);
        free(p);
    }
}

/* A Hilbert curve through a grid goes from neighbour to neighbour. */
static void curve(void) {
    enum { side = 16, square = side * side, cube = square * side };
    double *p = need(3 * cube * sizeof *p), length = 0;
    int64_t *order = need(cube * sizeof *order);
    for (int j = 0; j < cube; ++j) {
        const int i = j * 1237 % cube;
        p[3 * j] = i % side, p[3 * j + 1] = i / side % side, p[3 * j + 2] = i / square;
    }
    CHECK_OK(rkn_sequence_order(NULL, cube, 3, p, 3, "method=curve", order));
    CHECK(is_permutation(cube, order));
    CHECK_OK(rkn_sequence_length(NULL, cube, 3, p, 3, order, &length));
    CHECK(length == cube - 1);
    for (int j = 0; j < square; ++j) {
        const int i = j * 77 % square;
        p[2 * j] = i % side, p[2 * j + 1] = i / side;
    }
    CHECK_OK(rkn_sequence_order(NULL, square, 2, p, 2, "method=curve", order));
    CHECK_OK(rkn_sequence_length(NULL, square, 2, p, 2, order, &length));
    CHECK(is_permutation(square, order) && length == square - 1);
    free(p), free(order);
}

static void threads(void) {
    static const char *const options[] = {"method=chain", "method=grouped group_size=700 two_opt=2", "method=curve", "features=dct nx=8 ny=8 modes=3 chunks=3"};
    enum { count = 2500, dim = 64 };
    double *p = numbers(dim * count);
    int64_t *first = need(count * sizeof *first), *order = need(count * sizeof *order);
    for (int k = 0; k < 4; ++k)
        for (int t = 1; t <= 7; t += t == 1 ? 1 : 5) {
            rkn_context *ctx = NULL;
            CHECK_OK(rkn_context_create(&ctx));
            CHECK_OK(rkn_context_set_int(ctx, "threads", t));
            CHECK_OK(rkn_sequence_order(ctx, count, dim, p, dim, options[k], t == 1 ? first : order));
            CHECK(t == 1 ? is_permutation(count, first) : memcmp(first, order, count * sizeof *order) == 0);
            rkn_context_destroy(ctx);
        }
    free(p), free(first), free(order);
}

/* Many systems: by cells of the curve. */
static void many(void) {
    const int64_t count = 300000;
    double *p = numbers(2 * count), before = 0, curve = 0, grouped = 0, shorter = 0;
    int64_t *order = need((size_t)count * sizeof *order);
    CHECK_OK(rkn_sequence_length(NULL, count, 2, p, 2, NULL, &before));
    CHECK_OK(rkn_sequence_order(NULL, count, 2, p, 2, "method=curve", order));
    CHECK_OK(rkn_sequence_length(NULL, count, 2, p, 2, order, &curve));
    CHECK_OK(rkn_sequence_order(NULL, count, 2, p, 2, NULL, order));
    CHECK(is_permutation(count, order));
    CHECK_OK(rkn_sequence_length(NULL, count, 2, p, 2, order, &grouped));
    CHECK_OK(rkn_sequence_order(NULL, count, 2, p, 2, "two_opt=3", order));
    CHECK(is_permutation(count, order));
    CHECK_OK(rkn_sequence_length(NULL, count, 2, p, 2, order, &shorter));
    CHECK(shorter < grouped && grouped < curve && curve < before / 100);
    free(p), free(order);
}

static void reference(void) {
    char page[8000];
    CHECK_OK(rkn_option_reference("sequence", page, sizeof page, NULL));
    CHECK(strstr(page, "group_size") != NULL);
    CHECK_REFUSED(rkn_option_reference("sequenc", page, sizeof page, NULL), RKN_ERR_KEY, "rkn_option_reference", "sequence");
}

int main(void) {
    illegal();
    empty();
    chain();
    curve();
    threads();
    many();
    reference();
    return done();
}
