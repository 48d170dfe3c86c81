/* Operators: every format, scalar, index type and base against explicit dense arithmetic. */
#include "check.h"

#define GARBAGE ((void *)(uintptr_t)0x51)

static rkn_operator *out;

/* A creation that must be refused, and must leave NULL in the out handle. */
#define REFUSED(call, want, function, argument)           \
    do {                                                  \
        out = (rkn_operator *)GARBAGE;                    \
        CHECK_REFUSED(call, want, function, argument);    \
        CHECK(out == NULL);                               \
    } while (0)

typedef rkn_status (*compressed_fn)(const rkn_context *, rkn_scalar, int64_t, int64_t, rkn_index, int32_t, const void *, const void *, const void *, rkn_memory, rkn_operator **);

static int released;
static void release(void *user) { ++*(int *)user; }

/* ---- illegal input ---- */

static const int32_t ptr3[4] = {0, 1, 2, 3}, ind3[3] = {0, 1, 2};
static const double val3[3] = {2, 3, 4};

static void illegal_compressed(compressed_fn create, const char *function, const char *ptr_name, const char *ind_name, int by_row) {
    static const int32_t late[4] = {1, 1, 2, 3}, falling[4] = {0, 2, 1, 3}, beyond[3] = {0, 1, 3}, below[3] = {0, -1, 2}, one_based[3] = {0, 1, 2}, ptr1[4] = {1, 2, 3, 4};
    static const int64_t endless[4] = {0, 1, 2, INT64_MAX}, many[4] = {0, 1, 2, INT64_MAX / 4}, backwards[4] = {0, INT64_MIN, 2, 3};
    static const double bad[3] = {2, NAN, 4}, wide[3] = {2, 3, -INFINITY};
    struct {
        rkn_scalar scalar;
        int64_t nrows, ncols;
        rkn_index index;
        int32_t base;
        const void *ptr, *ind, *val;
        rkn_memory memory;
        rkn_status want;
        const char *argument;
    } table[] = {
        {RKN_F64, 3, 3, RKN_I32, 0, NULL, ind3, val3, RKN_COPY, RKN_ERR_NULL, ptr_name},
        {RKN_F64, 3, 3, RKN_I32, 0, ptr3, NULL, val3, RKN_COPY, RKN_ERR_NULL, ind_name},
        {RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, NULL, RKN_COPY, RKN_ERR_NULL, "values"},
        {4, 3, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, RKN_ERR_ARGUMENT, "scalar"},
        {-1, 3, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, RKN_ERR_ARGUMENT, "scalar"},
        {RKN_F64, -1, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, RKN_ERR_SIZE, "nrows"},
        {RKN_F64, 3, -1, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, RKN_ERR_SIZE, "ncols"},
        {RKN_F64, by_row ? INT64_MAX : 3, by_row ? 3 : INT64_MAX, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, RKN_ERR_SIZE, by_row ? "nrows" : "ncols"},
        {RKN_F64, by_row ? INT64_MAX / 8 : 3, by_row ? 3 : INT64_MAX / 8, RKN_I64, 0, ptr3, ind3, val3, RKN_COPY, RKN_ERR_SIZE, by_row ? "nrows" : "ncols"},
        {RKN_F64, INT64_MIN, INT64_MIN, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, RKN_ERR_SIZE, "nrows"},
        {RKN_F64, 3, 3, 2, 0, ptr3, ind3, val3, RKN_COPY, RKN_ERR_ARGUMENT, "index"},
        {RKN_F64, 3, 3, RKN_I32, 2, ptr3, ind3, val3, RKN_COPY, RKN_ERR_ARGUMENT, "base"},
        {RKN_F64, 3, 3, RKN_I32, -1, ptr3, ind3, val3, RKN_COPY, RKN_ERR_ARGUMENT, "base"},
        {RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val3, 2, RKN_ERR_ARGUMENT, "memory"},
        {RKN_F64, 3, 3, RKN_I32, 0, late, ind3, val3, RKN_COPY, RKN_ERR_INDEX, ptr_name},
        {RKN_F64, 3, 3, RKN_I32, 1, ptr3, ind3, val3, RKN_COPY, RKN_ERR_INDEX, ptr_name},
        {RKN_F64, 3, 3, RKN_I32, 0, falling, ind3, val3, RKN_BORROW, RKN_ERR_INDEX, ptr_name},
        {RKN_F64, 3, 3, RKN_I64, 0, backwards, ind3, val3, RKN_BORROW, RKN_ERR_INDEX, ptr_name},
        {RKN_F64, 3, 3, RKN_I64, 0, endless, ind3, val3, RKN_BORROW, RKN_ERR_SIZE, ""},
        {RKN_F64, 3, 3, RKN_I64, 0, many, ind3, val3, RKN_BORROW, RKN_ERR_SIZE, ""},
        {RKN_F64, 3, 3, RKN_I32, 0, ptr3, beyond, val3, RKN_COPY, RKN_ERR_INDEX, ind_name},
        {RKN_F64, 3, 3, RKN_I32, 0, ptr3, below, val3, RKN_BORROW, RKN_ERR_INDEX, ind_name},
        {RKN_F64, 3, 3, RKN_I32, 1, ptr1, one_based, val3, RKN_BORROW, RKN_ERR_INDEX, ind_name},
        {RKN_F64, 0, 0, RKN_I32, 0, ptr3 + 1, ind3, val3, RKN_COPY, RKN_ERR_INDEX, ptr_name},
        {RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, bad, RKN_COPY, RKN_ERR_NONFINITE, "values"},
        {RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, wide, RKN_BORROW, RKN_ERR_NONFINITE, "values"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; ++i) {
        const int before = failed;
        REFUSED(create(NULL, table[i].scalar, table[i].nrows, table[i].ncols, table[i].index, table[i].base, table[i].ptr, table[i].ind, table[i].val, table[i].memory, &out),
                table[i].want, function, table[i].argument);
        if (failed > before) printf("    in row %d of the table\n", (int)i);
    }
    CHECK_REFUSED(create(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, NULL), RKN_ERR_NULL, function, "out");
    REFUSED(create((const rkn_context *)GARBAGE, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, &out), RKN_ERR_HANDLE, function, "ctx");

    /* the messages say where, what, and what it may be */
    REFUSED(create(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, beyond, val3, RKN_COPY, &out), RKN_ERR_INDEX, function, ind_name);
    CHECK_SAYS("has 3 at position 2, must lie in 0..2 (base 0)");
    REFUSED(create(NULL, RKN_F64, 3, 3, RKN_I32, 1, ptr1, one_based, val3, RKN_COPY, &out), RKN_ERR_INDEX, function, ind_name);
    CHECK_SAYS("has 0 at position 0, must lie in 1..3 (base 1)");
    REFUSED(create(NULL, RKN_F64, 3, 3, RKN_I32, 0, falling, ind3, val3, RKN_COPY, &out), RKN_ERR_INDEX, function, ptr_name);
    CHECK_SAYS("has 1 at position 2");
    REFUSED(create(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, bad, RKN_COPY, &out), RKN_ERR_NONFINITE, function, "values");
    CHECK_SAYS("at position 1");

    /* and the correct call works */
    CHECK_OK(create(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, &out));
    rkn_operator_destroy(out);
}

static void illegal_other_formats(void) {
    static const int32_t upper[3] = {0, 2, 2}, high[3] = {0, 1, 3};
    static const double bad[9] = {1, 2, INFINITY}, fine[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const double slanted[6] = {2, 0, 3, 1, 4, 0};
    const char *f = "rkn_operator_create_bsr";
    static const int32_t ptr1[2] = {0, 1}, ind1[1] = {0}, off1[1] = {1}, ptr1late[2] = {1, 1};

    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, NULL, ind1, fine, RKN_COPY, &out), RKN_ERR_NULL, f, "rowptr");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, NULL, fine, RKN_COPY, &out), RKN_ERR_NULL, f, "colind");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, NULL, RKN_COPY, &out), RKN_ERR_NULL, f, "values");
    CHECK_REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_bsr(NULL, 9, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_ARGUMENT, f, "scalar");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, -1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_SIZE, f, "nblockrows");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, -1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_SIZE, f, "nblockcols");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 0, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_SIZE, f, "block");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, -3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_SIZE, f, "block");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, INT64_C(1) << 40, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_SIZE, f, "block");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, INT64_MAX, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_SIZE, f, "block");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, 2, RKN_I32, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_ARGUMENT, f, "order");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, 7, 0, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_ARGUMENT, f, "index");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 5, ptr1, ind1, fine, RKN_COPY, &out), RKN_ERR_ARGUMENT, f, "base");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, fine, -1, &out), RKN_ERR_ARGUMENT, f, "memory");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1late, ind1, fine, RKN_COPY, &out), RKN_ERR_INDEX, f, "rowptr");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, off1, fine, RKN_COPY, &out), RKN_ERR_INDEX, f, "colind");
    REFUSED(rkn_operator_create_bsr(NULL, RKN_F64, 1, 1, 3, RKN_ROW_MAJOR, RKN_I32, 0, ptr1, ind1, bad, RKN_COPY, &out), RKN_ERR_NONFINITE, f, "values");

    f = "rkn_operator_create_csr_symmetric";
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, RKN_LOWER, 0, RKN_I32, 0, NULL, ind3, val3, RKN_COPY, &out), RKN_ERR_NULL, f, "rowptr");
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, RKN_LOWER, 0, RKN_I32, 0, ptr3, NULL, val3, RKN_COPY, &out), RKN_ERR_NULL, f, "colind");
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, RKN_LOWER, 0, RKN_I32, 0, ptr3, ind3, NULL, RKN_COPY, &out), RKN_ERR_NULL, f, "values");
    CHECK_REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, RKN_LOWER, 0, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, -3, RKN_LOWER, 0, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, &out), RKN_ERR_SIZE, f, "n");
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, 2, 0, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, &out), RKN_ERR_ARGUMENT, f, "triangle");
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, RKN_LOWER, 2, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, &out), RKN_ERR_ARGUMENT, f, "hermitian");
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, RKN_LOWER, 0, RKN_I32, 0, ptr3, high, val3, RKN_COPY, &out), RKN_ERR_INDEX, f, "colind");
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, RKN_LOWER, 0, RKN_I32, 0, ptr3, upper, val3, RKN_COPY, &out), RKN_ERR_INDEX, f, "colind");    /* not in the triangle */
    REFUSED(rkn_operator_create_csr_symmetric(NULL, RKN_F64, 3, RKN_LOWER, 0, RKN_I32, 0, ptr3, ind3, bad, RKN_COPY, &out), RKN_ERR_NONFINITE, f, "values");
    /* a Hermitian diagonal counts as real */
    double one[6] = {1, 0, 1, 0, 1, 0}, got[6];
    CHECK_OK(rkn_operator_create_csr_symmetric(NULL, RKN_C64, 3, RKN_LOWER, 1, RKN_I32, 0, ptr3, ind3, slanted, RKN_COPY, &out));
    CHECK_OK(rkn_operator_apply(out, RKN_N, 1, one, 3, got, 3));
    CHECK(got[0] == 2 && got[2] == 3 && got[3] == 0 && got[4] == 4);
    rkn_operator_destroy(out);

    f = "rkn_operator_create_coo";
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, 3, NULL, ind3, val3, &out), RKN_ERR_NULL, f, "rowind");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, 3, ind3, NULL, val3, &out), RKN_ERR_NULL, f, "colind");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, 3, ind3, ind3, NULL, &out), RKN_ERR_NULL, f, "values");
    CHECK_REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, 3, ind3, ind3, val3, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, -3, 3, RKN_I32, 0, 3, ind3, ind3, val3, &out), RKN_ERR_SIZE, f, "nrows");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, -3, RKN_I32, 0, 3, ind3, ind3, val3, &out), RKN_ERR_SIZE, f, "ncols");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, -1, ind3, ind3, val3, &out), RKN_ERR_SIZE, f, "nnz");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, INT64_MAX, ind3, ind3, val3, &out), RKN_ERR_SIZE, f, "");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, INT64_MAX, 3, RKN_I32, 0, 3, ind3, ind3, val3, &out), RKN_ERR_SIZE, f, "nrows");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, 3, high, ind3, val3, &out), RKN_ERR_INDEX, f, "rowind");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, 3, ind3, high, val3, &out), RKN_ERR_INDEX, f, "colind");
    REFUSED(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, 3, ind3, ind3, bad, &out), RKN_ERR_NONFINITE, f, "values");

    f = "rkn_operator_create_dense";
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, 3, RKN_ROW_MAJOR, NULL, 3, RKN_COPY, &out), RKN_ERR_NULL, f, "values");
    CHECK_REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, 3, RKN_ROW_MAJOR, fine, 3, RKN_COPY, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, -3, 3, RKN_ROW_MAJOR, fine, 3, RKN_COPY, &out), RKN_ERR_SIZE, f, "nrows");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, -3, RKN_ROW_MAJOR, fine, 3, RKN_COPY, &out), RKN_ERR_SIZE, f, "ncols");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, 3, RKN_ROW_MAJOR, fine, 2, RKN_COPY, &out), RKN_ERR_SIZE, f, "ld");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, 2, RKN_COLUMN_MAJOR, fine, 2, RKN_COPY, &out), RKN_ERR_SIZE, f, "ld");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, 3, RKN_ROW_MAJOR, fine, INT64_MAX, RKN_COPY, &out), RKN_ERR_SIZE, f, "ld");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, INT64_C(1) << 40, INT64_C(1) << 40, RKN_ROW_MAJOR, fine, INT64_C(1) << 40, RKN_BORROW, &out), RKN_ERR_SIZE, f, "");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, 3, 5, fine, 3, RKN_COPY, &out), RKN_ERR_ARGUMENT, f, "order");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, 3, RKN_ROW_MAJOR, fine, 3, 5, &out), RKN_ERR_ARGUMENT, f, "memory");
    REFUSED(rkn_operator_create_dense(NULL, RKN_F64, 3, 3, RKN_ROW_MAJOR, bad, 3, RKN_BORROW, &out), RKN_ERR_NONFINITE, f, "values");

    f = "rkn_operator_create_diagonal";
    REFUSED(rkn_operator_create_diagonal(NULL, RKN_F64, 3, NULL, RKN_COPY, &out), RKN_ERR_NULL, f, "values");
    CHECK_REFUSED(rkn_operator_create_diagonal(NULL, RKN_F64, 3, fine, RKN_COPY, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_diagonal(NULL, RKN_F64, -1, fine, RKN_COPY, &out), RKN_ERR_SIZE, f, "n");
    REFUSED(rkn_operator_create_diagonal(NULL, RKN_F64, INT64_MAX, fine, RKN_COPY, &out), RKN_ERR_SIZE, f, "n");
    REFUSED(rkn_operator_create_diagonal(NULL, 5, 3, fine, RKN_COPY, &out), RKN_ERR_ARGUMENT, f, "scalar");
    REFUSED(rkn_operator_create_diagonal(NULL, RKN_F64, 3, fine, 3, &out), RKN_ERR_ARGUMENT, f, "memory");
    REFUSED(rkn_operator_create_diagonal(NULL, RKN_F64, 3, bad, RKN_COPY, &out), RKN_ERR_NONFINITE, f, "values");

    f = "rkn_operator_create_identity";
    CHECK_REFUSED(rkn_operator_create_identity(NULL, RKN_F64, 3, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_identity(NULL, RKN_F64, -1, &out), RKN_ERR_SIZE, f, "n");
    REFUSED(rkn_operator_create_identity(NULL, 17, 3, &out), RKN_ERR_ARGUMENT, f, "scalar");
}

static int32_t identity_callback(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    (void)trans;
    const int64_t n = *(const int64_t *)user;
    for (int64_t j = 0; j < ncols; ++j)
        for (int64_t i = 0; i < n; ++i) ((double *)y)[i + j * ldy] = ((const double *)x)[i + j * ldx];
    return 0;
}

static void illegal_compositions(void) {
    rkn_operator *A = NULL, *F = NULL, *R = NULL, *S = NULL, *C = NULL, *dead = NULL;
    const double one[2] = {1, 0}, nan = NAN;
    static const double r[6] = {1, 2, 3, 4, 5, 6};
    static const double singular[4] = {1, 2, 2, 4}, indefinite[4] = {1, 3, 3, 1}, hollow[4] = {0, 1, 1, 0};
    int64_t n = 3;
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, &A));
    CHECK_OK(rkn_operator_create_identity(NULL, RKN_F32, 3, &F));
    CHECK_OK(rkn_operator_create_dense(NULL, RKN_F64, 2, 3, RKN_ROW_MAJOR, r, 3, RKN_COPY, &R));
    CHECK_OK(rkn_operator_create_identity(NULL, RKN_F64, 3, &dead));
    rkn_operator_destroy(dead);
    rkn_krylov *s = NULL;
    CHECK_OK(rkn_krylov_create(NULL, "cg", &s));
    const rkn_operator *wrong = (const rkn_operator *)(const void *)s;

    const char *f = "rkn_operator_create_callback";
    REFUSED(rkn_operator_create_callback(NULL, RKN_F64, 3, 3, NULL, &n, release, &out), RKN_ERR_NULL, f, "apply");
    CHECK_REFUSED(rkn_operator_create_callback(NULL, RKN_F64, 3, 3, identity_callback, &released, release, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_callback(NULL, RKN_F64, -3, 3, identity_callback, &released, release, &out), RKN_ERR_SIZE, f, "nrows");
    REFUSED(rkn_operator_create_callback(NULL, RKN_F64, 3, INT64_MIN, identity_callback, &released, release, &out), RKN_ERR_SIZE, f, "ncols");
    REFUSED(rkn_operator_create_callback(NULL, 44, 3, 3, identity_callback, &released, release, &out), RKN_ERR_ARGUMENT, f, "scalar");
    CHECK(released == 0);    /* a callback that was refused is not let go */
    CHECK_OK(rkn_operator_create_callback(NULL, RKN_F64, 3, 3, identity_callback, &n, NULL, &C));

    f = "rkn_operator_create_sum";
    REFUSED(rkn_operator_create_sum(NULL, NULL, A, one, A, &out), RKN_ERR_NULL, f, "alpha");
    REFUSED(rkn_operator_create_sum(NULL, one, NULL, one, A, &out), RKN_ERR_NULL, f, "A");
    REFUSED(rkn_operator_create_sum(NULL, one, A, NULL, A, &out), RKN_ERR_NULL, f, "beta");
    REFUSED(rkn_operator_create_sum(NULL, one, A, one, NULL, &out), RKN_ERR_NULL, f, "B");
    CHECK_REFUSED(rkn_operator_create_sum(NULL, one, A, one, A, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_sum(NULL, one, A, one, F, &out), RKN_ERR_SCALAR, f, "B");
    REFUSED(rkn_operator_create_sum(NULL, one, A, one, R, &out), RKN_ERR_SIZE, f, "B");
    REFUSED(rkn_operator_create_sum(NULL, one, dead, one, A, &out), RKN_ERR_HANDLE, f, "A");
    REFUSED(rkn_operator_create_sum(NULL, one, A, one, wrong, &out), RKN_ERR_HANDLE, f, "B");
    REFUSED(rkn_operator_create_sum(NULL, &nan, A, one, A, &out), RKN_ERR_NONFINITE, f, "alpha");
    REFUSED(rkn_operator_create_sum(NULL, one, A, &nan, A, &out), RKN_ERR_NONFINITE, f, "beta");

    f = "rkn_operator_create_product";
    REFUSED(rkn_operator_create_product(NULL, NULL, A, &out), RKN_ERR_NULL, f, "A");
    REFUSED(rkn_operator_create_product(NULL, A, NULL, &out), RKN_ERR_NULL, f, "B");
    CHECK_REFUSED(rkn_operator_create_product(NULL, A, A, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_product(NULL, A, R, &out), RKN_ERR_SIZE, f, "B");
    REFUSED(rkn_operator_create_product(NULL, A, F, &out), RKN_ERR_SCALAR, f, "B");
    REFUSED(rkn_operator_create_product(NULL, dead, A, &out), RKN_ERR_HANDLE, f, "A");

    f = "rkn_operator_create_scaled";
    REFUSED(rkn_operator_create_scaled(NULL, NULL, A, &out), RKN_ERR_NULL, f, "alpha");
    REFUSED(rkn_operator_create_scaled(NULL, one, NULL, &out), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_create_scaled(NULL, one, A, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_scaled(NULL, &nan, A, &out), RKN_ERR_NONFINITE, f, "alpha");
    REFUSED(rkn_operator_create_scaled(NULL, one, dead, &out), RKN_ERR_HANDLE, f, "A");

    f = "rkn_operator_create_shifted";
    REFUSED(rkn_operator_create_shifted(NULL, NULL, one, &out), RKN_ERR_NULL, f, "A");
    REFUSED(rkn_operator_create_shifted(NULL, A, NULL, &out), RKN_ERR_NULL, f, "sigma");
    CHECK_REFUSED(rkn_operator_create_shifted(NULL, A, one, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_shifted(NULL, R, one, &out), RKN_ERR_SIZE, f, "A");
    REFUSED(rkn_operator_create_shifted(NULL, A, &nan, &out), RKN_ERR_NONFINITE, f, "sigma");

    f = "rkn_operator_create_adjoint";
    REFUSED(rkn_operator_create_adjoint(NULL, RKN_T, NULL, &out), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_create_adjoint(NULL, RKN_T, A, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_adjoint(NULL, 3, A, &out), RKN_ERR_ARGUMENT, f, "trans");
    REFUSED(rkn_operator_create_adjoint(NULL, -1, A, &out), RKN_ERR_ARGUMENT, f, "trans");
    REFUSED(rkn_operator_create_adjoint(NULL, RKN_H, dead, &out), RKN_ERR_HANDLE, f, "A");

    f = "rkn_operator_create_block";
    const rkn_operator *blocks[4] = {A, NULL, NULL, A};
    REFUSED(rkn_operator_create_block(NULL, 2, 2, NULL, &out), RKN_ERR_NULL, f, "blocks");
    CHECK_REFUSED(rkn_operator_create_block(NULL, 2, 2, blocks, NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_block(NULL, 0, 2, blocks, &out), RKN_ERR_SIZE, f, "blocks");
    REFUSED(rkn_operator_create_block(NULL, 2, -1, blocks, &out), RKN_ERR_SIZE, f, "nblockcols");
    REFUSED(rkn_operator_create_block(NULL, INT64_C(1) << 32, INT64_C(1) << 32, blocks, &out), RKN_ERR_SIZE, f, "");
    blocks[1] = R;
    REFUSED(rkn_operator_create_block(NULL, 2, 2, blocks, &out), RKN_ERR_SIZE, f, "blocks");
    blocks[1] = F;
    REFUSED(rkn_operator_create_block(NULL, 2, 2, blocks, &out), RKN_ERR_SCALAR, f, "blocks");
    blocks[1] = dead;
    REFUSED(rkn_operator_create_block(NULL, 2, 2, blocks, &out), RKN_ERR_HANDLE, f, "blocks");
    blocks[0] = blocks[1] = NULL;    /* a row whose height nobody knows */
    REFUSED(rkn_operator_create_block(NULL, 2, 2, blocks, &out), RKN_ERR_SIZE, f, "blocks");
    blocks[3] = NULL;
    REFUSED(rkn_operator_create_block(NULL, 2, 2, blocks, &out), RKN_ERR_ARGUMENT, f, "blocks");

    f = "rkn_operator_create_preconditioner";
    REFUSED(rkn_operator_create_preconditioner(NULL, NULL, "ilu0", &out), RKN_ERR_NULL, f, "A");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, NULL, &out), RKN_ERR_NULL, f, "kind");
    CHECK_REFUSED(rkn_operator_create_preconditioner(NULL, A, "ilu0", NULL), RKN_ERR_NULL, f, "out");
    REFUSED(rkn_operator_create_preconditioner(NULL, dead, "ilu0", &out), RKN_ERR_HANDLE, f, "A");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "jacoby", &out), RKN_ERR_KEY, f, "jacoby");
    CHECK_SAYS("did you mean 'jacobi'?");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "", &out), RKN_ERR_KEY, f, "");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "ilu lvels=2", &out), RKN_ERR_KEY, f, "lvels");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "ilu levels=two", &out), RKN_ERR_KEY, f, "levels");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "ilu levels=-1", &out), RKN_ERR_ARGUMENT, f, "levels");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "ilu shift=nan", &out), RKN_ERR_NONFINITE, f, "shift");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "jacobi levels=1", &out), RKN_ERR_KEY, f, "levels");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "ssor omega=2.5", &out), RKN_ERR_ARGUMENT, f, "omega");
    REFUSED(rkn_operator_create_preconditioner(NULL, A, "ilu levels", &out), RKN_ERR_KEY, f, "levels");
    static const char *const kinds[] = {"jacobi", "block_jacobi", "ssor", "ilu", "ilu0", "ic", "ic0", "ilut", "ict", "lu", "llt", "ldlt"};
    static const int32_t ptr2[3] = {0, 2, 4}, ind2[4] = {0, 1, 0, 1};
    rkn_operator *Z = NULL;
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 2, 2, RKN_I32, 0, ptr2, ind2, singular, RKN_COPY, &S));
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 2, 2, RKN_I32, 0, ptr2, ind2, hollow, RKN_COPY, &Z));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        REFUSED(rkn_operator_create_preconditioner(NULL, R, kinds[i], &out), RKN_ERR_SIZE, f, "A");              /* not square */
        REFUSED(rkn_operator_create_preconditioner(NULL, C, kinds[i], &out), RKN_ERR_UNSUPPORTED, f, "");         /* no entries */
    }
    /* numbers that a kind cannot work with */
    REFUSED(rkn_operator_create_preconditioner(NULL, Z, "jacobi", &out), RKN_ERR_SINGULAR, f, "");
    CHECK_SAYS("row 0");
    REFUSED(rkn_operator_create_preconditioner(NULL, Z, "ssor", &out), RKN_ERR_SINGULAR, f, "");
    REFUSED(rkn_operator_create_preconditioner(NULL, Z, "ilu0", &out), RKN_ERR_SINGULAR, f, "");
    CHECK_SAYS("row 0");
    REFUSED(rkn_operator_create_preconditioner(NULL, S, "ilu0", &out), RKN_ERR_SINGULAR, f, "");
    CHECK_SAYS("row 1");
    REFUSED(rkn_operator_create_preconditioner(NULL, S, "lu", &out), RKN_ERR_SINGULAR, f, "");
    rkn_operator_destroy(S);
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 2, 2, RKN_I32, 0, ptr2, ind2, indefinite, RKN_COPY, &S));
    REFUSED(rkn_operator_create_preconditioner(NULL, S, "ic0", &out), RKN_ERR_INDEFINITE, f, "");
    CHECK_SAYS("row 1");
    REFUSED(rkn_operator_create_preconditioner(NULL, S, "llt", &out), RKN_ERR_INDEFINITE, f, "");
    /* and one that works */
    CHECK_OK(rkn_operator_create_preconditioner(NULL, S, "lu", &out));
    rkn_operator_destroy(out), rkn_operator_destroy(S), rkn_operator_destroy(Z);
    rkn_operator_destroy(A), rkn_operator_destroy(F), rkn_operator_destroy(R), rkn_operator_destroy(C), rkn_krylov_destroy(s);
}

static void illegal_use(void) {
    rkn_operator *A = NULL, *dead = NULL, *R = NULL;
    static const double r[6] = {1, 2, 3, 4, 5, 6};
    double x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {7, 7, 7, 7, 7, 7}, bad[3] = {1, NAN, 1};
    int64_t v = 77, w = 77;
    rkn_scalar s = 77;
    char buf[4] = "zzz";
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_COPY, &A));
    CHECK_OK(rkn_operator_create_dense(NULL, RKN_F64, 2, 3, RKN_ROW_MAJOR, r, 3, RKN_BORROW, &R));
    CHECK_OK(rkn_operator_create_identity(NULL, RKN_F64, 3, &dead));
    rkn_operator_destroy(dead);

    const char *f = "rkn_operator_apply";
    CHECK_REFUSED(rkn_operator_apply(NULL, RKN_N, 1, x, 3, y, 3), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, 1, NULL, 3, y, 3), RKN_ERR_NULL, f, "x");
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, 1, x, 3, NULL, 3), RKN_ERR_NULL, f, "y");
    CHECK_REFUSED(rkn_operator_apply(dead, RKN_N, 1, x, 3, y, 3), RKN_ERR_HANDLE, f, "A");
    CHECK_REFUSED(rkn_operator_apply(A, 3, 1, x, 3, y, 3), RKN_ERR_ARGUMENT, f, "trans");
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, -1, x, 3, y, 3), RKN_ERR_SIZE, f, "ncols");
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, INT64_MAX, x, 3, y, 3), RKN_ERR_SIZE, f, "");
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, 2, x, 2, y, 3), RKN_ERR_SIZE, f, "ldx");
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, 2, x, 3, y, 2), RKN_ERR_SIZE, f, "ldy");
    CHECK_REFUSED(rkn_operator_apply(R, RKN_T, 1, x, 1, y, 3), RKN_ERR_SIZE, f, "ldx");
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, 2, x, INT64_MAX, y, 3), RKN_ERR_SIZE, f, "");
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, 1, (char *)(void *)x + 1, 3, y, 3), RKN_ERR_ARGUMENT, f, "x");    /* not aligned */
    CHECK_REFUSED(rkn_operator_apply(A, RKN_N, 1, y + 2, 3, y, 3), RKN_ERR_ARGUMENT, f, "y");                    /* overlaps x */
    for (int i = 0; i < 6; ++i) CHECK(y[i] == 7);
    CHECK_OK(rkn_operator_apply(A, RKN_N, 0, NULL, 3, NULL, 3));    /* no columns, nothing to read */

    f = "rkn_operator_shape";
    CHECK_REFUSED(rkn_operator_shape(NULL, &v, &w), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_shape(dead, &v, &w), RKN_ERR_HANDLE, f, "A");
    CHECK(v == 77 && w == 77);
    CHECK_OK(rkn_operator_shape(R, NULL, &w));    /* each may be left out */
    CHECK_OK(rkn_operator_shape(R, &v, NULL));
    CHECK(v == 2 && w == 3);
    v = w = 77;
    f = "rkn_operator_scalar";
    CHECK_REFUSED(rkn_operator_scalar(NULL, &s), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_scalar(A, NULL), RKN_ERR_NULL, f, "scalar");
    CHECK(s == 77);
    f = "rkn_operator_set_int";
    CHECK_REFUSED(rkn_operator_set_int(NULL, "hermitian", 1), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_set_int(A, NULL, 1), RKN_ERR_NULL, f, "key");
    CHECK_REFUSED(rkn_operator_set_int(A, "hermitan", 1), RKN_ERR_KEY, f, "hermitan");
    CHECK_REFUSED(rkn_operator_set_int(A, "hermitian", 2), RKN_ERR_ARGUMENT, f, "hermitian");
    CHECK_REFUSED(rkn_operator_set_int(A, "products", 2), RKN_ERR_KEY, f, "products");
    f = "rkn_operator_get_int";
    CHECK_REFUSED(rkn_operator_get_int(NULL, "products", &v), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_get_int(A, NULL, &v), RKN_ERR_NULL, f, "key");
    CHECK_REFUSED(rkn_operator_get_int(A, "products", NULL), RKN_ERR_NULL, f, "value");
    CHECK_REFUSED(rkn_operator_get_int(A, "product", &v), RKN_ERR_KEY, f, "product");
    CHECK(v == 77);
    f = "rkn_operator_view";
    CHECK_REFUSED(rkn_operator_view(NULL, buf, 4, &v), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_view(A, NULL, 4000, &v), RKN_ERR_NULL, f, "buf");
    CHECK_REFUSED(rkn_operator_view(A, buf, -4, &v), RKN_ERR_SIZE, f, "cap");
    CHECK_REFUSED(rkn_operator_view(A, buf, 2, &v), RKN_ERR_SIZE, f, "cap");
    CHECK(buf[2] == 'z');

    f = "rkn_operator_set_values";
    CHECK_REFUSED(rkn_operator_set_values(NULL, x), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_set_values(A, NULL), RKN_ERR_NULL, f, "values");
    CHECK_REFUSED(rkn_operator_set_values(A, bad), RKN_ERR_NONFINITE, f, "values");
    CHECK_REFUSED(rkn_operator_set_values(R, x), RKN_ERR_STATE, f, "");      /* lent */
    CHECK_REFUSED(rkn_operator_set_values(dead, x), RKN_ERR_HANDLE, f, "A");
    f = "rkn_operator_changed";
    CHECK_REFUSED(rkn_operator_changed(NULL), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_changed(dead), RKN_ERR_HANDLE, f, "A");
    CHECK_REFUSED(rkn_operator_changed(A), RKN_ERR_STATE, f, "");            /* copied */
    f = "rkn_operator_set_nullspace";
    CHECK_REFUSED(rkn_operator_set_nullspace(NULL, RKN_RIGHT, 1, x, 3), RKN_ERR_NULL, f, "A");
    CHECK_REFUSED(rkn_operator_set_nullspace(A, RKN_RIGHT, 1, NULL, 3), RKN_ERR_NULL, f, "vectors");
    CHECK_REFUSED(rkn_operator_set_nullspace(A, 2, 1, x, 3), RKN_ERR_ARGUMENT, f, "side");
    CHECK_REFUSED(rkn_operator_set_nullspace(A, RKN_RIGHT, -1, x, 3), RKN_ERR_SIZE, f, "ncols");
    CHECK_REFUSED(rkn_operator_set_nullspace(A, RKN_RIGHT, 1, x, 2), RKN_ERR_SIZE, f, "ld");
    CHECK_REFUSED(rkn_operator_set_nullspace(A, RKN_RIGHT, 1, bad, 3), RKN_ERR_NONFINITE, f, "vectors");

    /* everything as before */
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, 3, y, 3));
    CHECK(y[0] == 2 && y[1] == 6 && y[2] == 12 && y[3] == 7);
    rkn_operator_destroy(A), rkn_operator_destroy(R);
    rkn_operator_destroy(A);                    /* twice */
    rkn_operator_destroy(dead);
    rkn_operator_destroy(NULL);
    rkn_operator_destroy((rkn_operator *)GARBAGE);
}

/* ---- op(A) x against dense arithmetic ---- */

/* All transposes, one and several columns, padded leading dimensions; the padding stays as it was. */
static void check_apply(rkn_operator *A, rkn_scalar s, int64_t m, int64_t n, const cplx *D, double tolerance, const char *what) {
    static const int64_t widths[] = {1, 2, 3, 4, 5, 9};
    const int before = failed;
    int64_t rows = -1, cols = -1;
    rkn_scalar tag = -1;
    CHECK_OK(rkn_operator_shape(A, &rows, &cols));
    CHECK_OK(rkn_operator_scalar(A, &tag));
    CHECK(rows == m && cols == n && tag == s);
    for (rkn_trans t = RKN_N; t <= RKN_H; ++t)
        for (size_t k = 0; k < sizeof widths / sizeof *widths; ++k) {
            const int64_t nin = t == RKN_N ? n : m, nout = t == RKN_N ? m : n, width = widths[k], ldx = nin + 2, ldy = nout + 3;
            void *x = vector_of(s, ldx * width), *y = vector_of(s, ldy * width);
            cplx *dx = dense_of(nin + 1, 1), *dy = dense_of(nout + 1, 1);
            for (int64_t i = 0; i < ldx * width; ++i) put(s, x, i, any(s));
            for (int64_t i = 0; i < ldy * width; ++i) put(s, y, i, 77);
            CHECK_OK(rkn_operator_apply(A, t, width, x, ldx, y, ldy));
            double worst = 0;
            int clean = 1;
            for (int64_t j = 0; j < width; ++j) {
                for (int64_t i = 0; i < nin; ++i) dx[i] = get(s, x, i + j * ldx);
                dense_apply(t, m, n, D, dx, dy);
                const double d = off(s, nout, (char *)y + (size_t)(j * ldy) * size_of(s), dy);
                if (!(d <= worst)) worst = d;
                for (int64_t i = nout; i < ldy; ++i) clean &= get(s, y, i + j * ldy) == 77;
            }
            if (!CHECK(worst <= tolerance)) printf("    off by %.3g with trans %d, %d columns\n", worst, (int)t, (int)width);
            CHECK(clean);
            free(x), free(y), free(dx), free(dy);
        }
    if (failed > before) printf("    for %s, scalar %d, %d x %d\n", what, (int)s, (int)m, (int)n);
}

/* About half of the entries, one empty row and one empty column. */
static cplx *sparse_matrix(rkn_scalar s, int64_t m, int64_t n) {
    cplx *D = dense_of(m, n);
    for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
            const cplx v = any(s);
            if (uniform() > 0 && i != m / 2 && j != n / 3) D[i * n + j] = v;
        }
    return D;
}

typedef struct compressed {
    int64_t nnz;
    void *ptr, *ind, *val;
} compressed;

enum { SORTED, REVERSED, DOUBLED };    /* DOUBLED: each entry twice, as a half */

/* D by rows, or by columns; only the entries that `stored` selects (0 all, -1 lower, 1 upper triangle). */
static compressed compress(const cplx *D, int64_t m, int64_t n, rkn_scalar s, rkn_index index, int32_t base, int by_column, int arrangement, int stored) {
    const int64_t outer = by_column ? n : m, inner = by_column ? m : n;
    compressed c = {0, indices_of(index, outer + 1), indices_of(index, 2 * m * n), vector_of(s, 2 * m * n)};
    put_index(index, c.ptr, 0, base);
    for (int64_t o = 0; o < outer; ++o) {
        for (int twice = 0; twice <= (arrangement == DOUBLED); ++twice)
            for (int64_t q = 0; q < inner; ++q) {
                const int64_t p = arrangement == REVERSED ? inner - 1 - q : q, i = by_column ? p : o, j = by_column ? o : p;
                if (D[i * n + j] == 0 || (stored < 0 && j > i) || (stored > 0 && j < i)) continue;
                put_index(index, c.ind, c.nnz, p + base);
                put(s, c.val, c.nnz, arrangement == DOUBLED ? D[i * n + j] / 2 : D[i * n + j]);
                ++c.nnz;
            }
        put_index(index, c.ptr, o + 1, c.nnz + base);
    }
    return c;
}
static void compressed_free(compressed *c) { free(c->ptr), free(c->ind), free(c->val); }
static void overwrite(compressed *c, rkn_scalar s, rkn_index index, int64_t outer) {
    memset(c->ptr, 0x7f, (size_t)(outer + 1) * (index == RKN_I32 ? 4 : 8));
    memset(c->ind, 0x7f, (size_t)c->nnz * (index == RKN_I32 ? 4 : 8));
    memset(c->val, 0x7f, (size_t)c->nnz * size_of(s));
}

static void sparse_formats(rkn_scalar s, rkn_index index, int32_t base, rkn_memory memory, int arrangement) {
    const int64_t m = 11, n = 8;
    const double tolerance = 50 * epsilon_of(s);
    rkn_operator *A = NULL;
    cplx *D = sparse_matrix(s, m, n);
    for (int by_column = 0; by_column < 2; ++by_column) {
        compressed c = compress(D, m, n, s, index, base, by_column, arrangement, 0);
        CHECK_OK((by_column ? rkn_operator_create_csc : rkn_operator_create_csr)(NULL, s, m, n, index, base, c.ptr, c.ind, c.val, memory, &A));
        if (memory == RKN_COPY) overwrite(&c, s, index, by_column ? n : m);    /* a copy does not mind */
        check_apply(A, s, m, n, D, tolerance, by_column ? "csc" : "csr");
        int64_t entries = -1;
        CHECK_OK(rkn_operator_get_int(A, "entries", &entries));
        CHECK(entries == c.nnz);
        rkn_operator_destroy(A);
        compressed_free(&c);
    }
    /* COO: rows of the compressed form written out; the order of the entries does not matter */
    compressed c = compress(D, m, n, s, index, base, 0, arrangement, 0);
    void *rowind = indices_of(index, c.nnz);
    for (int64_t i = 0, k = 0; i < m; ++i) {
        const int64_t end = (index == RKN_I32 ? ((int32_t *)c.ptr)[i + 1] : ((int64_t *)c.ptr)[i + 1]) - base;
        for (; k < end; ++k) put_index(index, rowind, k, i + base);
    }
    CHECK_OK(rkn_operator_create_coo(NULL, s, m, n, index, base, c.nnz, rowind, c.ind, c.val, &A));
    overwrite(&c, s, index, m);
    check_apply(A, s, m, n, D, tolerance, "coo");
    rkn_operator_destroy(A);
    free(rowind), compressed_free(&c), free(D);
}

static void block_format(rkn_scalar s, rkn_index index, int32_t base, rkn_memory memory, rkn_order order, int64_t b) {
    const int64_t mb = 3, nb = 4, m = mb * b, n = nb * b;
    static const int present[3][4] = {{1, 0, 1, 1}, {0, 0, 0, 0}, {1, 1, 0, 1}};
    cplx *D = dense_of(m, n);
    void *ptr = indices_of(index, mb + 1), *ind = indices_of(index, mb * nb), *val = vector_of(s, m * n);
    int64_t k = 0;
    put_index(index, ptr, 0, base);
    for (int64_t I = 0; I < mb; ++I) {
        for (int64_t q = 0; q < nb; ++q) {
            const int64_t J = I == 2 ? nb - 1 - q : q;    /* the last block row is unsorted */
            if (!present[I][J]) continue;
            put_index(index, ind, k, J + base);
            for (int64_t i = 0; i < b; ++i)
                for (int64_t j = 0; j < b; ++j) {
                    const cplx v = any(s);
                    D[(I * b + i) * n + J * b + j] = v;
                    put(s, val, k * b * b + (order == RKN_ROW_MAJOR ? i * b + j : j * b + i), v);
                }
            ++k;
        }
        put_index(index, ptr, I + 1, k + base);
    }
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_bsr(NULL, s, mb, nb, b, order, index, base, ptr, ind, val, memory, &A));
    check_apply(A, s, m, n, D, 50 * epsilon_of(s), "bsr");
    rkn_operator_destroy(A);
    free(D), free(ptr), free(ind), free(val);
}

static void symmetric_format(rkn_scalar s, rkn_index index, int32_t base, rkn_memory memory, rkn_triangle triangle, int hermitian, int arrangement) {
    const int64_t n = 9;
    cplx *D = sparse_matrix(s, n, n);
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < i; ++j) D[j * n + i] = hermitian ? conj(D[i * n + j]) : D[i * n + j];
        if (hermitian) D[i * n + i] = creal(D[i * n + i]);
    }
    compressed c = compress(D, n, n, s, index, base, 0, arrangement, triangle == RKN_LOWER ? -1 : 1);
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_csr_symmetric(NULL, s, n, triangle, hermitian, index, base, c.ptr, c.ind, c.val, memory, &A));
    check_apply(A, s, n, n, D, 50 * epsilon_of(s), hermitian ? "csr_symmetric, hermitian" : "csr_symmetric");
    int64_t known = -1;
    CHECK_OK(rkn_operator_get_int(A, "hermitian", &known));
    CHECK(known == (hermitian || !is_complex(s)));
    rkn_operator_destroy(A), compressed_free(&c), free(D);
}

static void dense_format(rkn_scalar s, rkn_memory memory, rkn_order order, int64_t extra) {
    const int64_t m = 7, n = 5, ld = (order == RKN_ROW_MAJOR ? n : m) + extra;
    cplx *D = dense_of(m, n);
    void *val = vector_of(s, ld * (m + n));
    for (int64_t i = 0; i < ld * (m + n); ++i) put(s, val, i, NAN);    /* what is not part of the matrix is never looked at */
    for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) put(s, val, order == RKN_ROW_MAJOR ? i * ld + j : j * ld + i, D[i * n + j] = any(s));
    rkn_operator *A = NULL;
    CHECK_OK(rkn_operator_create_dense(NULL, s, m, n, order, val, ld, memory, &A));
    check_apply(A, s, m, n, D, 50 * epsilon_of(s), "dense");
    rkn_operator_destroy(A), free(D), free(val);
}

static void formats(void) {
    for (int t = 0; t < 4; ++t) {
        const rkn_scalar s = scalars[t];
        for (rkn_memory memory = RKN_COPY; memory <= RKN_BORROW; ++memory) {
            for (rkn_index index = RKN_I32; index <= RKN_I64; ++index)
                for (int32_t base = 0; base < 2; ++base) {
                    for (int arrangement = SORTED; arrangement <= DOUBLED; ++arrangement) {
                        sparse_formats(s, index, base, memory, arrangement);
                        for (int k = 0; k < 4; ++k) symmetric_format(s, index, base, memory, k & 1, k >> 1, arrangement);
                    }
                    for (rkn_order order = RKN_COLUMN_MAJOR; order <= RKN_ROW_MAJOR; ++order)
                        for (int64_t b = 1; b <= 5; ++b) block_format(s, index, base, memory, order, b);
                }
            for (rkn_order order = RKN_COLUMN_MAJOR; order <= RKN_ROW_MAJOR; ++order)
                for (int64_t extra = 0; extra < 3; ++extra) dense_format(s, memory, order, extra);

            const int64_t n = 6;
            cplx *D = dense_of(n, n);
            void *d = vector_of(s, n);
            for (int64_t i = 0; i < n; ++i) put(s, d, i, D[i * n + i] = any(s));
            rkn_operator *A = NULL;
            CHECK_OK(rkn_operator_create_diagonal(NULL, s, n, d, memory, &A));
            check_apply(A, s, n, n, D, epsilon_of(s), "diagonal");
            rkn_operator_destroy(A);
            for (int64_t i = 0; i < n; ++i) D[i * n + i] = 1;
            CHECK_OK(rkn_operator_create_identity(NULL, s, n, &A));
            check_apply(A, s, n, n, D, 0, "identity");
            rkn_operator_destroy(A), free(D), free(d);
        }
    }
}

/* Nothing is a matrix too; empty arrays may be NULL, as an empty std::vector has them. */
static void empty(void) {
    static const int32_t zeros[4] = {0, 0, 0, 0};
    const rkn_operator *blocks[1];
    rkn_operator *A = NULL, *B = NULL;
    double x[3] = {1, 2, 3}, y[3] = {7, 7, 7};
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 3, 3, RKN_I32, 0, zeros, NULL, NULL, RKN_BORROW, &A));    /* no entries */
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, 3, y, 3));
    CHECK(y[0] == 0 && y[1] == 0 && y[2] == 0);
    rkn_operator_destroy(A);
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 0, 0, RKN_I32, 0, zeros, NULL, NULL, RKN_COPY, &A));      /* no rows */
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, NULL, 1, NULL, 1));
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, NULL, 0, NULL, 0));
    blocks[0] = A;
    CHECK_OK(rkn_operator_create_block(NULL, 1, 1, blocks, &B));
    CHECK_OK(rkn_operator_apply(B, RKN_H, 2, NULL, 0, NULL, 0));
    rkn_operator_destroy(A), rkn_operator_destroy(B);
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 0, 3, RKN_I32, 0, zeros, NULL, NULL, RKN_COPY, &A));      /* 0 x 3 */
    y[0] = y[1] = y[2] = 7;
    CHECK_OK(rkn_operator_apply(A, RKN_T, 1, NULL, 0, y, 3));
    CHECK(y[0] == 0 && y[1] == 0 && y[2] == 0);
    rkn_operator_destroy(A);
    CHECK_OK(rkn_operator_create_coo(NULL, RKN_F64, 3, 3, RKN_I32, 0, 0, NULL, NULL, NULL, &A));
    rkn_operator_destroy(A);
    CHECK_OK(rkn_operator_create_dense(NULL, RKN_F64, 0, 0, RKN_ROW_MAJOR, NULL, 0, RKN_COPY, &A));
    rkn_operator_destroy(A);
    CHECK_OK(rkn_operator_create_diagonal(NULL, RKN_F64, 0, NULL, RKN_COPY, &A));
    rkn_operator_destroy(A);
    CHECK_OK(rkn_operator_create_identity(NULL, RKN_F64, 0, &A));
    CHECK_OK(rkn_operator_create_preconditioner(NULL, A, "jacobi", &B));
    rkn_operator_destroy(A), rkn_operator_destroy(B);
}

/* A matrix long enough for several threads: A x = 1 exactly, and the same bits from 1, 2, 3 and 7 of them. */
static void threads(void) {
    enum { n = 300000 };
    poisson P = poisson_make(n);
    double *x = need(n * 8), *y = need(n * 8), *first = need(n * 8);
    for (int t = 0; t < 4; ++t) {
        static const int counts[] = {1, 2, 3, 7};
        rkn_context *ctx = NULL;
        rkn_operator *A = NULL;
        CHECK_OK(rkn_context_create(&ctx));
        CHECK_OK(rkn_context_set_int(ctx, "threads", counts[t]));
        CHECK_OK(rkn_operator_create_csr(ctx, RKN_F64, n, n, RKN_I32, 0, P.ptr, P.ind, P.val, RKN_BORROW, &A));
        for (rkn_trans trans = RKN_N; trans <= RKN_H; ++trans) {
            for (int64_t i = 0; i < n; ++i) x[i] = (double)(i + 1) * (double)(n - i) / 2;    /* below 2^53: exact */
            CHECK_OK(rkn_operator_apply(A, trans, 1, x, n, y, n));
            int all = 1;
            for (int64_t i = 0; i < n; ++i) all &= y[i] == 1;
            CHECK(all);
            for (int64_t i = 0; i < n; ++i) x[i] = sin((double)i);
            CHECK_OK(rkn_operator_apply(A, trans, 1, x, n, y, n));
            if (t == 0 && trans == RKN_N) memcpy(first, y, n * 8);
            if (trans == RKN_N) CHECK(memcmp(first, y, n * 8) == 0);
        }
        rkn_operator_destroy(A), rkn_context_destroy(ctx);
    }
    poisson_free(&P), free(x), free(y), free(first);
}

/* ---- callbacks ---- */

typedef struct dense_map {
    rkn_scalar s;
    int64_t m, n, calls, columns;
    const cplx *D;
    int32_t answer;
    int released;
} dense_map;

static int32_t dense_callback(void *user, rkn_trans trans, int64_t ncols, const void *x, int64_t ldx, void *y, int64_t ldy) {
    dense_map *map = user;
    const int64_t nin = trans == RKN_N ? map->n : map->m, nout = trans == RKN_N ? map->m : map->n;
    ++map->calls, map->columns += ncols;
    if (map->answer) return map->answer;
    cplx *dx = dense_of(nin, 1), *dy = dense_of(nout, 1);
    for (int64_t j = 0; j < ncols; ++j) {
        for (int64_t i = 0; i < nin; ++i) dx[i] = get(map->s, x, i + j * ldx);
        dense_apply(trans, map->m, map->n, map->D, dx, dy);
        for (int64_t i = 0; i < nout; ++i) put(map->s, y, i + j * ldy, dy[i]);
    }
    free(dx), free(dy);
    return 0;
}
static void dense_release(void *user) { ++((dense_map *)user)->released; }

static void callbacks(void) {
    for (int t = 0; t < 4; ++t) {
        const rkn_scalar s = scalars[t];
        cplx *D = sparse_matrix(s, 6, 4);
        dense_map map = {s, 6, 4, 0, 0, D, 0, 0};
        rkn_operator *A = NULL, *B = NULL;
        int64_t v = -1;
        CHECK_OK(rkn_operator_create_callback(NULL, s, 6, 4, dense_callback, &map, dense_release, &A));
        check_apply(A, s, 6, 4, D, 50 * epsilon_of(s), "callback");
        char x[16 * 16] = {0}, y[16 * 16];
        map.calls = map.columns = 0;
        CHECK_OK(rkn_operator_apply(A, RKN_N, 3, x, 4, y, 6));
        CHECK(map.calls == 1 && map.columns == 3);    /* a block is one call */
        map.answer = -42;
        CHECK_REFUSED(rkn_operator_apply(A, RKN_N, 1, x, 4, y, 6), RKN_ERR_CALLBACK, "rkn_operator_apply", "");
        CHECK_SAYS("-42");
        CHECK_OK(rkn_operator_get_int(A, "callback_status", &v));
        CHECK(v == -42);
        map.answer = 0;
        check_apply(A, s, 6, 4, D, 50 * epsilon_of(s), "callback after an error");
        CHECK_OK(rkn_operator_create_adjoint(NULL, RKN_H, A, &B));
        rkn_operator_destroy(A);
        CHECK(map.released == 0);                     /* B holds it */
        CHECK_OK(rkn_operator_apply(B, RKN_N, 1, x, 6, y, 4));
        rkn_operator_destroy(B);
        CHECK(map.released == 1);
        free(D);
    }
}

/* ---- compositions ---- */

static rkn_operator *as_dense(rkn_scalar s, int64_t m, int64_t n, const cplx *D) {
    void *val = vector_of(s, m * n);
    rkn_operator *A = NULL;
    for (int64_t i = 0; i < m * n; ++i) put(s, val, i, D[i]);
    CHECK_OK(rkn_operator_create_dense(NULL, s, m, n, RKN_ROW_MAJOR, val, n > 0 ? n : 1, RKN_COPY, &A));
    free(val);
    return A;
}
static rkn_operator *as_csr(rkn_scalar s, int64_t m, int64_t n, const cplx *D) {
    rkn_operator *A = NULL;
    compressed c = compress(D, m, n, s, RKN_I64, 1, 0, SORTED, 0);
    CHECK_OK(rkn_operator_create_csr(NULL, s, m, n, RKN_I64, 1, c.ptr, c.ind, c.val, RKN_COPY, &A));
    compressed_free(&c);
    return A;
}

static void compositions(void) {
    enum { m = 5, n = 4, l = 6 };
    for (int t = 0; t < 4; ++t) {
        const rkn_scalar s = scalars[t];
        const double tolerance = 200 * epsilon_of(s);
        cplx *A = sparse_matrix(s, m, n), *B = sparse_matrix(s, m, n), *C = sparse_matrix(s, n, l), *Q = sparse_matrix(s, n, n), *W = dense_of(2 * l, 2 * l);
        dense_map map = {s, m, n, 0, 0, B, 0, 0};
        const cplx alpha = any(s), beta = any(s);
        char a[16], b[16];
        rkn_operator *opA = as_csr(s, m, n, A), *opB = NULL, *opC = as_dense(s, n, l, C), *opQ = as_csr(s, n, n, Q), *op = NULL, *outer = NULL;
        put(s, a, 0, alpha), put(s, b, 0, beta);
        CHECK_OK(rkn_operator_create_callback(NULL, s, m, n, dense_callback, &map, dense_release, &opB));

        for (int i = 0; i < m * n; ++i) W[i] = alpha * A[i] + beta * B[i];
        CHECK_OK(rkn_operator_create_sum(NULL, a, opA, b, opB, &op));
        put(s, a, 0, 99), put(s, b, 0, 99);    /* the numbers are taken at creation */
        check_apply(op, s, m, n, W, tolerance, "sum");
        rkn_operator_destroy(op);
        put(s, a, 0, alpha), put(s, b, 0, beta);

        CHECK_OK(rkn_operator_create_product(NULL, opA, opC, &op));
        for (int i = 0; i < m; ++i)
            for (int j = 0; j < l; ++j) {
                W[i * l + j] = 0;
                for (int k = 0; k < n; ++k) W[i * l + j] += A[i * n + k] * C[k * l + j];
            }
        check_apply(op, s, m, l, W, tolerance, "product");
        rkn_operator_destroy(op);

        CHECK_OK(rkn_operator_create_scaled(NULL, a, opA, &op));
        for (int i = 0; i < m * n; ++i) W[i] = alpha * A[i];
        check_apply(op, s, m, n, W, tolerance, "scaled");
        rkn_operator_destroy(op);

        CHECK_OK(rkn_operator_create_shifted(NULL, opQ, b, &op));
        for (int i = 0; i < n * n; ++i) W[i] = Q[i] + (i % (n + 1) ? 0 : beta);
        check_apply(op, s, n, n, W, tolerance, "shifted");
        rkn_operator_destroy(op);

        for (rkn_trans trans = RKN_T; trans <= RKN_H; ++trans) {
            CHECK_OK(rkn_operator_create_adjoint(NULL, trans, opB, &op));
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < m; ++j) W[i * m + j] = trans == RKN_H ? conj(B[j * n + i]) : B[j * n + i];
            check_apply(op, s, n, m, W, tolerance, "adjoint");
            rkn_operator_destroy(op);
        }

        /* [A 0; Q alpha Q], then its adjoint, the parts destroyed before the whole is used */
        rkn_operator *opS = NULL;
        CHECK_OK(rkn_operator_create_scaled(NULL, a, opQ, &opS));
        const rkn_operator *blocks[4] = {opA, NULL, opQ, opS};
        CHECK_OK(rkn_operator_create_block(NULL, 2, 2, blocks, &op));
        for (int i = 0; i < m + n; ++i)
            for (int j = 0; j < 2 * n; ++j)
                W[i * 2 * n + j] = i < m ? (j < n ? A[i * n + j] : 0) : j < n ? Q[(i - m) * n + j] : alpha * Q[(i - m) * n + j - n];
        check_apply(op, s, m + n, 2 * n, W, tolerance, "block");
        CHECK_OK(rkn_operator_create_adjoint(NULL, RKN_H, op, &outer));
        rkn_operator_destroy(opS), rkn_operator_destroy(opQ), rkn_operator_destroy(op), rkn_operator_destroy(opA);
        cplx *V = dense_of(2 * n, m + n);
        for (int i = 0; i < 2 * n; ++i)
            for (int j = 0; j < m + n; ++j) V[i * (m + n) + j] = conj(W[j * 2 * n + i]);
        check_apply(outer, s, 2 * n, m + n, V, tolerance, "adjoint of a block");
        rkn_operator_destroy(outer);

        /* C^H (C C^H) C by nested products of one operator with itself */
        rkn_operator *CH = NULL, *gram = NULL, *fourth = NULL;
        CHECK_OK(rkn_operator_create_adjoint(NULL, RKN_H, opC, &CH));
        CHECK_OK(rkn_operator_create_product(NULL, CH, opC, &gram));
        CHECK_OK(rkn_operator_create_product(NULL, gram, gram, &fourth));
        cplx *G = dense_of(l, l), *G2 = dense_of(l, l);
        for (int i = 0; i < l; ++i)
            for (int j = 0; j < l; ++j)
                for (int k = 0; k < n; ++k) G[i * l + j] += conj(C[k * l + i]) * C[k * l + j];
        for (int i = 0; i < l; ++i)
            for (int j = 0; j < l; ++j)
                for (int k = 0; k < l; ++k) G2[i * l + j] += G[i * l + k] * G[k * l + j];
        check_apply(fourth, s, l, l, G2, 10 * tolerance, "nested product");
        rkn_operator_destroy(opC), rkn_operator_destroy(CH), rkn_operator_destroy(gram), rkn_operator_destroy(fourth);

        CHECK(map.released == 0);
        rkn_operator_destroy(opB);
        CHECK(map.released == 1);
        free(A), free(B), free(C), free(Q), free(W), free(V), free(G), free(G2);
    }
}

/* ---- numbers that change ---- */

static int64_t version_of(const rkn_operator *A) {
    int64_t v = -1;
    CHECK_OK(rkn_operator_get_int(A, "version", &v));
    return v;
}

static void new_numbers(void) {
    double val[3] = {2, 3, 4}, one = 1, x[3] = {1, 1, 1}, y[3], fresh[3] = {5, 6, 7}, bad[3] = {5, INFINITY, 7};
    rkn_operator *A = NULL, *S = NULL, *P = NULL;
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val, RKN_BORROW, &A));
    CHECK_OK(rkn_operator_create_shifted(NULL, A, &one, &S));
    CHECK_OK(rkn_operator_create_product(NULL, S, S, &P));
    const int64_t vA = version_of(A), vS = version_of(S), vP = version_of(P);
    val[0] = 10;
    CHECK_OK(rkn_operator_changed(A));
    CHECK(version_of(A) > vA && version_of(S) > vS && version_of(P) > vP);    /* a composite follows its parts */
    CHECK_OK(rkn_operator_apply(P, RKN_N, 1, x, 3, y, 3));
    CHECK(y[0] == 121 && y[1] == 16 && y[2] == 25);
    val[1] = NAN;
    CHECK_REFUSED(rkn_operator_changed(A), RKN_ERR_NONFINITE, "rkn_operator_changed", "");
    val[1] = 3;
    CHECK_OK(rkn_operator_changed(A));
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, 3, y, 3));
    CHECK(y[0] == 10 && y[1] == 3 && y[2] == 4);
    CHECK_STATUS(rkn_operator_set_values(S, fresh), RKN_ERR_STATE);
    rkn_operator_destroy(A), rkn_operator_destroy(S), rkn_operator_destroy(P);

    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val, RKN_COPY, &A));
    const int64_t before = version_of(A);
    CHECK_STATUS(rkn_operator_set_values(A, bad), RKN_ERR_NONFINITE);
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, 3, y, 3));
    CHECK(y[0] == 10 && y[1] == 3 && y[2] == 4);              /* none of the refused numbers was taken */
    CHECK(version_of(A) == before);
    CHECK_OK(rkn_operator_set_values(A, fresh));
    CHECK(version_of(A) > before);
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, 3, y, 3));
    CHECK(y[0] == 5 && y[1] == 6 && y[2] == 7);
    rkn_operator_destroy(A);
}

/* set_values takes the layout of the creation: format by format. */
static void new_numbers_by_format(void) {
    for (int t = 0; t < 4; ++t) {
        const rkn_scalar s = scalars[t];
        const double tolerance = 50 * epsilon_of(s);
        const int64_t m = 6, n = 6;
        cplx *D = sparse_matrix(s, m, n), *E = dense_of(m, n);
        rkn_operator *A = NULL;
        for (int64_t i = 0; i < m * n; ++i) E[i] = D[i] == 0 ? 0 : D[i] * 3 - 2;
        for (int64_t i = 0; i < m * n; ++i)
            if (D[i] != 0 && E[i] == 0) E[i] = 1;
        for (int by_column = 0; by_column < 2; ++by_column) {
            compressed c = compress(D, m, n, s, RKN_I32, 0, by_column, REVERSED, 0), e = compress(E, m, n, s, RKN_I32, 0, by_column, REVERSED, 0);
            CHECK_OK((by_column ? rkn_operator_create_csc : rkn_operator_create_csr)(NULL, s, m, n, RKN_I32, 0, c.ptr, c.ind, c.val, RKN_COPY, &A));
            CHECK_OK(rkn_operator_set_values(A, e.val));
            check_apply(A, s, m, n, E, tolerance, "set_values of a sparse matrix");
            rkn_operator_destroy(A), compressed_free(&c), compressed_free(&e);
        }
        /* COO with duplicates, 2 entries at (0, 0) and 1 at (5, 2): the numbers of the assembled rows */
        int64_t row[3] = {5, 0, 0}, col[3] = {2, 0, 0};
        void *val = vector_of(s, m * (n + 1)), *x = vector_of(s, n);
        for (int64_t i = 0; i < 3; ++i) put(s, val, i, (double)(i + 1));
        CHECK_OK(rkn_operator_create_coo(NULL, s, m, n, RKN_I64, 0, 3, row, col, val, &A));
        put(s, val, 0, 40), put(s, val, 1, 20), put(s, val, 2, NAN);
        CHECK_OK(rkn_operator_set_values(A, val));
        memset(E, 0, (size_t)(m * n) * sizeof *E);
        E[0] = 40, E[5 * n + 2] = 20;
        check_apply(A, s, m, n, E, tolerance, "set_values of coo");
        rkn_operator_destroy(A);
        /* dense, with padding */
        for (rkn_order order = RKN_COLUMN_MAJOR; order <= RKN_ROW_MAJOR; ++order) {
            const int64_t ld = n + 1;
            for (int64_t i = 0; i < ld * n; ++i) put(s, val, i, 1);
            CHECK_OK(rkn_operator_create_dense(NULL, s, m, n, order, val, ld, RKN_COPY, &A));
            for (int64_t i = 0; i < m; ++i)
                for (int64_t j = 0; j < n; ++j) put(s, val, order == RKN_ROW_MAJOR ? i * ld + j : j * ld + i, E[i * n + j] = any(s));
            CHECK_OK(rkn_operator_set_values(A, val));
            check_apply(A, s, m, n, E, tolerance, "set_values of a dense matrix");
            rkn_operator_destroy(A);
        }
        /* a diagonal */
        CHECK_OK(rkn_operator_create_diagonal(NULL, s, n, val, RKN_COPY, &A));
        memset(E, 0, (size_t)(m * n) * sizeof *E);
        for (int64_t i = 0; i < n; ++i) put(s, val, i, E[i * n + i] = any(s));
        CHECK_OK(rkn_operator_set_values(A, val));
        check_apply(A, s, n, n, E, tolerance, "set_values of a diagonal");
        rkn_operator_destroy(A);
        free(D), free(E), free(val), free(x);
    }
}

static void counts(void) {
    rkn_operator *A = NULL;
    double x[9] = {0}, y[9];
    int64_t v = -1, length = 0;
    CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, 3, 3, RKN_I32, 0, ptr3, ind3, val3, RKN_BORROW, &A));
    CHECK_OK(rkn_operator_get_int(A, "products", &v));
    CHECK(v == 0);
    CHECK_OK(rkn_operator_apply(A, RKN_N, 1, x, 3, y, 3));
    CHECK_OK(rkn_operator_apply(A, RKN_T, 3, x, 3, y, 3));
    CHECK_OK(rkn_operator_get_int(A, "products", &v));
    CHECK(v == 4);
    CHECK_OK(rkn_operator_get_int(A, "entries", &v));
    CHECK(v == 3);
    CHECK_OK(rkn_operator_get_int(A, "hermitian", &v));
    CHECK(v == 0);
    CHECK_OK(rkn_operator_set_int(A, "hermitian", 1));
    CHECK_OK(rkn_operator_get_int(A, "hermitian", &v));
    CHECK(v == 1);
    char page[1000];
    CHECK_OK(rkn_operator_view(A, page, sizeof page, &length));
    CHECK((int64_t)strlen(page) == length - 1 && strstr(page, "csr") != NULL);
    rkn_operator_destroy(A);
}

/* ---- Matrix Market files ---- */

static const char *const path = "test_operator.mtx";
static void write_file(const char *text) {
    FILE *f = fopen(path, "wb");
    if (!f || fputs(text, f) < 0 || fclose(f)) {
        perror(path);
        exit(2);
    }
}

static void matrix_market(void) {
    const char *f = "rkn_operator_create_matrix_market";
    rkn_operator *A = NULL;
    REFUSED(rkn_operator_create_matrix_market(NULL, RKN_F64, NULL, &out), RKN_ERR_NULL, f, "path");
    CHECK_REFUSED(rkn_operator_create_matrix_market(NULL, RKN_F64, path, NULL), RKN_ERR_NULL, f, "out");
    write_file("%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 1\n");
    REFUSED(rkn_operator_create_matrix_market(NULL, 4, path, &out), RKN_ERR_ARGUMENT, f, "scalar");
    REFUSED(rkn_operator_create_matrix_market(NULL, RKN_F64, "no/such/file.mtx", &out), RKN_ERR_FILE, f, "");
    CHECK_SAYS("no/such/file.mtx");
    REFUSED(rkn_operator_create_matrix_market(NULL, RKN_F64, "/", &out), RKN_ERR_FILE, f, "");
    static const struct {
        const char *text;
        rkn_status want;
    } broken[] = {
        {"", RKN_ERR_FORMAT},
        {"\n", RKN_ERR_FORMAT},
        {"1 1 1\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real\n1 1 1\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket tensor coordinate real general\n1 1 1\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate quaternion general\n1 1 1\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real lopsided\n1 1 1\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n-2 2 1\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 x\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 1\n2 2 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n3 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 0 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 one\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 nan\n", RKN_ERR_NONFINITE},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 1e999\n", RKN_ERR_NONFINITE},
        {"%%MatrixMarket matrix coordinate complex general\n2 2 1\n1 1 1\n", RKN_ERR_SCALAR},    /* before the entries are read */
        {"%%MatrixMarket matrix coordinate real symmetric\n2 3 1\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 1\n", RKN_ERR_FORMAT},    /* above the diagonal */
        {"%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n1 1 1\n", RKN_ERR_FORMAT},    /* a diagonal that must be 0 */
        {"%%MatrixMarket matrix array pattern general\n1 1\n1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix array real general\n1 1\n1\n2\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n9223372036854775807 9223372036854775807 9223372036854775807\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n99999999999999999999999 1 1\n1 1 1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix array real general\n4000000000 4000000000\n1\n", RKN_ERR_FORMAT},
        {"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 \xff\xfe\n", RKN_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; ++i) {
        write_file(broken[i].text);
        const int before = failed;
        REFUSED(rkn_operator_create_matrix_market(NULL, RKN_F64, path, &out), broken[i].want, f, "");
        if (failed > before) printf("    for the file\n%s\n", broken[i].text);
    }
    write_file("%%MatrixMarket matrix coordinate real general\n3 3 2\n1 1 1\n2 five 1\n");
    REFUSED(rkn_operator_create_matrix_market(NULL, RKN_F64, path, &out), RKN_ERR_FORMAT, f, "");
    CHECK_SAYS("line 4");

    const cplx i_ = IMAG;
    const struct {
        const char *text;
        int64_t m, n;
        int complex_only;
        cplx D[9];
    } good[] = {
        {"%%MatrixMarket matrix coordinate real general\n% a comment\n\n2 3 4\n1 1 1.5\n2 3 -2.5e-1\n1 3 4\n\n1 1 1\n", 2, 3, 0, {2.5, 0, 4, 0, 0, -0.25}},
        {"%%MATRIXMARKET MATRIX Coordinate Integer General\r\n%\r\n2 2 2\r\n1 2 7\r\n2 1 -8\r\n", 2, 2, 0, {0, 7, -8, 0}},
        {"%%MatrixMarket matrix coordinate pattern general\n2 2 2\n1 2\n2 2\n", 2, 2, 0, {0, 1, 0, 1}},
        {"%%MatrixMarket matrix coordinate pattern symmetric\n2 2 2\n2 1\n2 2\n", 2, 2, 0, {0, 1, 1, 1}},
        {"%%MatrixMarket matrix coordinate real symmetric\n3 3 3\n1 1 2\n2 1 3\n3 2 -1\n", 3, 3, 0, {2, 3, 0, 3, 0, -1, 0, -1, 0}},
        {"%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n2 1 3\n", 2, 2, 0, {0, -3, 3, 0}},
        {"%%MatrixMarket matrix array real general\n2 3\n1\n2\n3\n4\n5\n6\n", 2, 3, 0, {1, 3, 5, 2, 4, 6}},
        {"%%MatrixMarket matrix array real symmetric\n2 2\n1\n2\n3\n", 2, 2, 0, {1, 2, 2, 3}},
        {"%%MatrixMarket matrix array real skew-symmetric\n3 3\n1\n2\n3\n", 3, 3, 0, {0, -1, -2, 1, 0, -3, 2, 3, 0}},
        {"%%MatrixMarket matrix coordinate complex general\n2 2 2\n1 2 1 -2\n2 1 0 3\n", 2, 2, 1, {0, 1 - 2 * i_, 3 * i_, 0}},
        {"%%MatrixMarket matrix coordinate complex symmetric\n2 2 2\n1 1 1 1\n2 1 0 3\n", 2, 2, 1, {1 + i_, 3 * i_, 3 * i_, 0}},
        {"%%MatrixMarket matrix coordinate complex hermitian\n2 2 2\n1 1 5 0\n2 1 1 3\n", 2, 2, 1, {5, 1 - 3 * i_, 1 + 3 * i_, 0}},
        {"%%MatrixMarket matrix coordinate complex skew-symmetric\n2 2 1\n2 1 1 3\n", 2, 2, 1, {0, -1 - 3 * i_, 1 + 3 * i_, 0}},
        {"%%MatrixMarket matrix array complex hermitian\n2 2\n1 0\n2 3\n4 0\n", 2, 2, 1, {1, 2 - 3 * i_, 2 + 3 * i_, 4}},
        {"%%MatrixMarket matrix coordinate real general\n2 2 0\n", 2, 2, 0, {0}},
        {"%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 1", 1, 1, 0, {1}},    /* no newline at the end */
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i)
        for (int t = 0; t < 4; ++t) {
            const rkn_scalar s = scalars[t];
            write_file(good[i].text);
            const int before = failed;
            if (good[i].complex_only && !is_complex(s)) {
                REFUSED(rkn_operator_create_matrix_market(NULL, s, path, &out), RKN_ERR_SCALAR, f, "");
            } else if (CHECK_OK(rkn_operator_create_matrix_market(NULL, s, path, &A))) {
                check_apply(A, s, good[i].m, good[i].n, good[i].D, epsilon_of(s) * 10, "matrix_market");
                rkn_operator_destroy(A);
            }
            if (failed > before) printf("    for the file\n%s\n", good[i].text);
        }
    remove(path);
}

/* ---- preconditioners ---- */

/* M against D^-1, by dense elimination, for all transposes. */
static void check_inverse(rkn_operator *M, rkn_scalar s, int64_t n, const cplx *D, double tolerance, const char *what) {
    for (rkn_trans t = RKN_N; t <= RKN_H; ++t) {
        cplx *E = dense_of(n, n), *b = dense_of(n, 1), *want = dense_of(n, 1);
        void *x = vector_of(s, n), *y = vector_of(s, n);
        for (int64_t i = 0; i < n; ++i) {
            put(s, x, i, b[i] = any(s));
            for (int64_t j = 0; j < n; ++j) E[i * n + j] = t == RKN_N ? D[i * n + j] : t == RKN_T ? D[j * n + i] : conj(D[j * n + i]);
        }
        dense_solve(n, E, b, want);
        CHECK_OK(rkn_operator_apply(M, t, 1, x, n, y, n));
        const double d = off(s, n, y, want);
        if (!CHECK(d <= tolerance)) printf("    %s is off by %.3g, scalar %d, trans %d\n", what, d, (int)s, (int)t);
        free(E), free(b), free(want), free(x), free(y);
    }
}

/* Diagonally dominant, with the pattern of a 5 x 4 grid; Hermitian and positive if asked for. */
static cplx *grid_matrix(rkn_scalar s, int hermitian) {
    enum { w = 5, n = 20 };
    cplx *D = dense_of(n, n);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < i; ++j)
            if (i - j == w || (i - j == 1 && i % w)) {
                D[i * n + j] = any(s) - 1;
                D[j * n + i] = hermitian ? conj(D[i * n + j]) : any(s) - 1;
            }
    for (int i = 0; i < n; ++i) D[i * n + i] = 12 + (hermitian ? 0 : any(s));
    return D;
}

/* tridiagonal: no fill, so that incomplete is complete */
static cplx *tridiagonal(rkn_scalar s, int64_t n, int hermitian) {
    cplx *D = dense_of(n, n);
    for (int64_t i = 0; i < n; ++i) {
        D[i * n + i] = 5;
        if (i) D[i * n + i - 1] = any(s), D[(i - 1) * n + i] = hermitian ? conj(D[i * n + i - 1]) : any(s);
    }
    return D;
}

static void exact_kinds(void) {
    static const struct {
        const char *kind;
        int tridiagonal, hermitian;
    } table[] = {
        {"lu", 0, 0}, {"lu", 0, 1}, {"llt", 0, 1}, {"ldlt", 0, 1}, {"ilu0", 1, 0}, {"ilu", 1, 0}, {"ilu levels=0", 1, 0}, {"ic0", 1, 1}, {"ic", 1, 1},
        {"ilu levels=20", 0, 0}, {"ic levels=20", 0, 1}, {"ilut drop_tolerance=0", 0, 0}, {"ict drop_tolerance=0", 0, 1},
    };
    for (size_t k = 0; k < sizeof table / sizeof *table; ++k)
        for (int t = 0; t < 4; ++t) {
            const rkn_scalar s = scalars[t];
            const int64_t n = table[k].tridiagonal ? 15 : 20;
            cplx *D = table[k].tridiagonal ? tridiagonal(s, n, table[k].hermitian) : grid_matrix(s, table[k].hermitian);
            for (int arrangement = SORTED; arrangement <= DOUBLED; ++arrangement) {    /* unsorted and doubled entries too */
                compressed c = compress(D, n, n, s, RKN_I32, 1, 0, arrangement, 0);
                rkn_operator *A = NULL, *M = NULL;
                CHECK_OK(rkn_operator_create_csr(NULL, s, n, n, RKN_I32, 1, c.ptr, c.ind, c.val, RKN_BORROW, &A));
                if (CHECK_OK(rkn_operator_create_preconditioner(NULL, A, table[k].kind, &M))) {
                    rkn_operator_destroy(A);    /* M holds what it needs */
                    check_inverse(M, s, n, D, 1000 * epsilon_of(s), table[k].kind);
                    rkn_operator_destroy(M);
                } else {
                    printf("    for %s, scalar %d\n", table[k].kind, (int)s);
                    rkn_operator_destroy(A);
                }
                compressed_free(&c);
            }
            /* the other sources of entries */
            rkn_operator *M = NULL, *sources[3] = {as_dense(s, n, n, D), NULL, NULL};
            compressed c = compress(D, n, n, s, RKN_I64, 0, 1, SORTED, 0);
            CHECK_OK(rkn_operator_create_csc(NULL, s, n, n, RKN_I64, 0, c.ptr, c.ind, c.val, RKN_COPY, &sources[1]));
            compressed_free(&c);
            if (table[k].hermitian) {
                c = compress(D, n, n, s, RKN_I32, 0, 0, SORTED, 1);
                CHECK_OK(rkn_operator_create_csr_symmetric(NULL, s, n, RKN_UPPER, 1, RKN_I32, 0, c.ptr, c.ind, c.val, RKN_COPY, &sources[2]));
                compressed_free(&c);
            }
            for (int q = 0; q < 3; ++q) {
                if (!sources[q]) continue;
                if (CHECK_OK(rkn_operator_create_preconditioner(NULL, sources[q], table[k].kind, &M))) check_inverse(M, s, n, D, 1000 * epsilon_of(s), table[k].kind);
                rkn_operator_destroy(sources[q]), rkn_operator_destroy(M);
                M = NULL;
            }
            free(D);
        }
}

/* Kinds with a closed form: Jacobi D^-1, SSOR ((1 / (w (2 - w))) (D + w L) D^-1 (D + w U))^-1, block Jacobi, the identity. */
static void splitting_kinds(void) {
    const int64_t n = 20;
    for (int t = 0; t < 4; ++t) {
        const rkn_scalar s = scalars[t];
        cplx *D = grid_matrix(s, 0), *E = dense_of(n, n), *G = dense_of(n, n);
        rkn_operator *A = as_csr(s, n, n, D), *M = NULL;
        for (int64_t i = 0; i < n; ++i) E[i * n + i] = D[i * n + i];
        CHECK_OK(rkn_operator_create_preconditioner(NULL, A, "jacobi", &M));
        check_inverse(M, s, n, E, 100 * epsilon_of(s), "jacobi");
        rkn_operator_destroy(M);
        for (int64_t i = 0; i < n; ++i) E[i * n + i] = 1;
        CHECK_OK(rkn_operator_create_preconditioner(NULL, A, "identity", &M));
        check_inverse(M, s, n, E, 0, "identity");
        rkn_operator_destroy(M);
        static const double omegas[] = {1, 1.4, 0.6};
        static const char *const kinds[] = {"ssor", "ssor omega=1.4", "ssor omega=0.6"};
        for (int k = 0; k < 3; ++k) {
            const double w = omegas[k];
            for (int64_t i = 0; i < n; ++i)
                for (int64_t j = 0; j < n; ++j) {
                    cplx v = 0;
                    for (int64_t p = 0; p < n; ++p) {
                        const cplx low = p < i ? w * D[i * n + p] : p == i ? D[i * n + i] : 0, up = j > p ? w * D[p * n + j] : p == j ? D[j * n + j] : 0;
                        v += low / D[p * n + p] * up;
                    }
                    G[i * n + j] = v / (w * (2 - w));
                }
            CHECK_OK(rkn_operator_create_preconditioner(NULL, A, kinds[k], &M));
            check_inverse(M, s, n, G, 200 * epsilon_of(s), kinds[k]);
            rkn_operator_destroy(M);
        }
        rkn_operator_destroy(A), free(D), free(E), free(G);
    }
}

static void refresh(void) {
    enum { n = 15 };
    cplx *D = tridiagonal(RKN_F64, n, 1), *E = dense_of(n, n);
    compressed c = compress(D, n, n, RKN_F64, RKN_I32, 0, 0, SORTED, 0);
    static const char *const kinds[] = {"lu", "llt", "ldlt", "ilu0", "ic0", "ilut drop_tolerance=0", "ict drop_tolerance=0"};
    double *val = c.val;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k) {
        rkn_operator *A = NULL, *M = NULL;
        double x[n] = {1}, y[n];
        CHECK_OK(rkn_operator_create_csr(NULL, RKN_F64, n, n, RKN_I32, 0, c.ptr, c.ind, val, RKN_BORROW, &A));
        CHECK_OK(rkn_operator_create_preconditioner(NULL, A, kinds[k], &M));
        for (int64_t i = 0; i < c.nnz; ++i) val[i] *= 4;
        CHECK_OK(rkn_operator_changed(A));
        check_inverse(M, RKN_F64, n, D, 1e-13, kinds[k]);      /* changed(A) leaves M as it is */
        const int64_t before = version_of(M);
        CHECK_OK(rkn_operator_changed(M));
        CHECK(version_of(M) > before);
        for (int i = 0; i < n * n; ++i) E[i] = 4 * D[i];
        check_inverse(M, RKN_F64, n, E, 1e-13, kinds[k]);
        for (int64_t i = 0; i < c.nnz; ++i) val[i] *= 0.25;
        /* numbers that cannot be factored: M is unusable until a refresh succeeds */
        double kept[3 * n];
        memcpy(kept, val, (size_t)c.nnz * 8);
        memset(val, 0, (size_t)c.nnz * 8);
        CHECK_OK(rkn_operator_changed(A));
        CHECK(rkn_operator_changed(M) < 0);
        CHECK_STATUS(rkn_operator_apply(M, RKN_N, 1, x, n, y, n), RKN_ERR_STATE);
        memcpy(val, kept, (size_t)c.nnz * 8);
        CHECK_OK(rkn_operator_changed(A));
        CHECK_STATUS(rkn_operator_apply(M, RKN_N, 1, x, n, y, n), RKN_ERR_STATE);
        CHECK_OK(rkn_operator_changed(M));
        check_inverse(M, RKN_F64, n, D, 1e-13, kinds[k]);
        rkn_operator_destroy(A), rkn_operator_destroy(M);
    }
    free(D), free(E), compressed_free(&c);
}

int main(void) {
    illegal_compressed(rkn_operator_create_csr, "rkn_operator_create_csr", "rowptr", "colind", 1);
    illegal_compressed(rkn_operator_create_csc, "rkn_operator_create_csc", "colptr", "rowind", 0);
    illegal_other_formats();
    illegal_compositions();
    illegal_use();
    formats();
    empty();
    threads();
    callbacks();
    compositions();
    new_numbers();
    new_numbers_by_format();
    counts();
    matrix_market();
    exact_kinds();
    splitting_kinds();
    refresh();
    return done();
}
