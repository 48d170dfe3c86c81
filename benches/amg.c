/* Multigrid of the caller's and of reknit's own on one sequence: amg [cells a side] [steps]
 *
 * The rows of examples/hypre_amg.c, and after them "auto" with nothing but the matrix: with a preconditioner of its own
 * choice, and with reknit's multigrid. The matrices, the right-hand side, the tolerance and the initial guess are the
 * same. With REPORT in the environment also what auto says of its last solve. benches/amg.sh builds and runs it. */
#define main example
#include "../examples/hypre_amg.c"
#undef main

static void alone(block *a, int steps, const double *b, double *x, const char *preconditioner) {
    rkn_operator *A = NULL;
    rkn_krylov *s = NULL;
    int64_t iterations = 0, rebuilds = 0, v = 0;
    double preparing = 0, worst = 0, r = 0;
    char method[64], with[64], name[160], report[8000];
    assemble(a, 0);
    check(rkn_operator_create_csr(NULL, RKN_F64, a->n, a->n, RKN_I32, 0, a->ptr, a->col, a->val, RKN_BORROW, &A));
    check(rkn_operator_set_int(A, "hermitian", 1));
    check(rkn_krylov_create(NULL, "auto", &s));
    check(rkn_krylov_set_string(s, "initial_guess", "project"));
    if (preconditioner) check(rkn_krylov_set_string(s, "preconditioner", preconditioner));
    const double begun = seconds_now();
    for (int step = 0; step < steps; ++step) {
        assemble(a, 0.05 * step);
        check(rkn_operator_changed(A));
        check(rkn_krylov_solve(s, A, NULL, b, x));
        check(rkn_krylov_get_int(s, "iterations", &v));
        iterations += v;
        check(rkn_krylov_get_real(s, "setup_seconds", &r));
        preparing += r;
        check(rkn_krylov_get_real(s, "relative_residual", &r));
        if (!(r <= worst)) worst = r;
    }
    const double seconds = seconds_now() - begun;
    check(rkn_krylov_get_int(s, "rebuilds", &rebuilds));
    check(rkn_krylov_get_string(s, "chosen_method", method, sizeof method, NULL));
    check(rkn_krylov_get_string(s, "chosen_preconditioner", with, sizeof with, NULL));
    snprintf(name, sizeof name, "auto alone, %s: %s + %s", preconditioner ? "told" : "own choice", method, preconditioner ? preconditioner : with);
    printf("%-26s %8d %12d %10.2f %10.2f %.1e\n", name, (int)rebuilds, (int)iterations, preparing, seconds, worst);
    if (getenv("REPORT")) {
        check(rkn_krylov_report(s, report, sizeof report, NULL));
        fputs(report, stderr);
    }
    rkn_krylov_destroy(s), rkn_operator_destroy(A);
}

int main(int argc, char **argv) {
    if (example(argc, argv)) return 1;
    const int m = argc > 1 ? atoi(argv[1]) : 40, steps = argc > 2 ? atoi(argv[2]) : 12;
    block a = {.m = m, .n = m * m * m};
    const size_t n = (size_t)a.n;
    a.ptr = malloc((n + 1) * sizeof *a.ptr), a.col = malloc(7 * n * sizeof *a.col), a.val = malloc(7 * n * sizeof *a.val);
    double *b = malloc(n * sizeof *b), *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; ++i) b[i] = 1.0 / ((double)m * m);
    alone(&a, steps, b, x, NULL);
    alone(&a, steps, b, x, "amg");
    free(a.ptr), free(a.col), free(a.val), free(b), free(x);
    return 0;
}
