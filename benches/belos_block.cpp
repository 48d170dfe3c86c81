// Trilinos Belos where benches/block.c stands: belos_block FILE METHOD PRECONDITIONER COLUMNS MODE [BLOCKS RECYCLED]
//
// METHOD cg, gmres or gcrodr; PRECONDITIONER none, ilu or ic; MODE pseudo or block. The right-hand sides are those of
// benches/block.c. Debian: libtrilinos-belos-dev, libtrilinos-ifpack-dev and what they need.
#include <BelosBlockCGSolMgr.hpp>
#include <BelosBlockGmresSolMgr.hpp>
#include <BelosEpetraAdapter.hpp>
#include <BelosGCRODRSolMgr.hpp>
#include <BelosLinearProblem.hpp>
#include <BelosPseudoBlockCGSolMgr.hpp>
#include <BelosPseudoBlockGmresSolMgr.hpp>
#include <Epetra_CrsMatrix.h>
#include <Epetra_Map.h>
#include <Epetra_MultiVector.h>
#include <Epetra_SerialComm.h>
#include <Ifpack_IC.h>
#include <Ifpack_ILU.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

using Multi = Epetra_MultiVector;
using Op = Epetra_Operator;

static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

static void need(std::FILE *f, void *to, std::size_t size, std::size_t count) {
    if (std::fread(to, size, count, f) != count) {
        std::fprintf(stderr, "the file is short\n");
        std::exit(2);
    }
}

static double noise(std::uint64_t &seed) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(seed >> 11) / 4503599627370496.0 - 1;
}

int main(int argc, char **argv) {
    if (argc < 6) {
        std::fprintf(stderr, "usage: belos_block FILE METHOD PRECONDITIONER COLUMNS pseudo|block [BLOCKS RECYCLED]\n");
        return 2;
    }
    const std::string method = argv[2], pc = argv[3], mode = argv[5];
    const int columns = std::atoi(argv[4]), blocks = argc > 6 ? std::atoi(argv[6]) : 30, recycled = argc > 7 ? std::atoi(argv[7]) : 10;
    std::FILE *f = std::fopen(argv[1], "rb");
    if (!f) {
        std::perror(argv[1]);
        return 2;
    }
    char magic[8];
    std::int64_t head[4];
    need(f, magic, 1, 8);
    need(f, head, 8, 4);
    const std::int64_t n = head[0], systems = head[1], np = head[3];
    Epetra_SerialComm comm;
    Epetra_Map map(static_cast<int>(n), 0, comm);
    auto params = Teuchos::rcp(new Teuchos::ParameterList);
    params->set("Convergence Tolerance", 1e-8);
    params->set("Maximum Iterations", 20000);
    params->set("Verbosity", 0);
    if (mode == "block") params->set("Block Size", columns);
    auto problem = Teuchos::rcp(new Belos::LinearProblem<double, Multi, Op>);
    Teuchos::RCP<Belos::SolverManager<double, Multi, Op>> solver;
    if (method == "cg" && mode == "block") solver = Teuchos::rcp(new Belos::BlockCGSolMgr<double, Multi, Op>(problem, params));
    else if (method == "cg") solver = Teuchos::rcp(new Belos::PseudoBlockCGSolMgr<double, Multi, Op>(problem, params));
    else {
        params->set("Num Blocks", blocks);
        params->set("Maximum Restarts", 1000);
        if (method == "gcrodr") {
            params->set("Num Recycled Blocks", recycled);
            solver = Teuchos::rcp(new Belos::GCRODRSolMgr<double, Multi, Op>(problem, params));
        } else if (mode == "block") solver = Teuchos::rcp(new Belos::BlockGmresSolMgr<double, Multi, Op>(problem, params));
        else solver = Teuchos::rcp(new Belos::PseudoBlockGmresSolMgr<double, Multi, Op>(problem, params));
    }
    double setup = 0, seconds = 0, worst = 0;
    long steps = 0;
    int failed = 0;
    std::uint64_t seed = 1;
    std::vector<std::int64_t> ptr(n + 1);
    std::vector<double> skip(n + np + 1);
    for (std::int64_t k = 0; k < systems; ++k) {
        std::int64_t nnz;
        need(f, &nnz, 8, 1);
        std::vector<int> col(nnz);
        std::vector<double> val(nnz);
        need(f, ptr.data(), 8, n + 1);
        need(f, col.data(), 4, nnz);
        need(f, val.data(), 8, nnz);
        need(f, skip.data(), 8, n + np);
        auto A = Teuchos::rcp(new Epetra_CrsMatrix(Copy, map, 8));
        for (int i = 0; i < n; ++i) A->InsertGlobalValues(i, static_cast<int>(ptr[i + 1] - ptr[i]), &val[ptr[i]], &col[ptr[i]]);
        A->FillComplete();
        A->OptimizeStorage();
        auto B = Teuchos::rcp(new Multi(map, columns)), X = Teuchos::rcp(new Multi(map, columns));
        for (int j = 0; j < columns; ++j)
            for (int i = 0; i < n; ++i) (*B)[j][i] = noise(seed);
        const double t0 = now();
        Teuchos::RCP<Op> prec;
        if (pc == "ilu") {
            auto p = Teuchos::rcp(new Ifpack_ILU(A.get()));
            p->Initialize();
            p->Compute();
            prec = p;
        } else if (pc == "ic") {
            auto p = Teuchos::rcp(new Ifpack_IC(A.get()));
            p->Initialize();
            p->Compute();
            prec = p;
        }
        problem->setOperator(A);
        problem->setLHS(X);
        problem->setRHS(B);
        if (prec != Teuchos::null) {
            auto wrapped = Teuchos::rcp(new Belos::EpetraPrecOp(prec));
            if (method == "cg") problem->setLeftPrec(wrapped);
            else problem->setRightPrec(wrapped);
        }
        problem->setProblem();
        solver->setProblem(problem);
        const double t1 = now();
        failed += solver->solve() != Belos::Converged;
        setup += t1 - t0;
        seconds += now() - t1;
        steps += solver->getNumIters();
        Multi R(map, columns);
        A->Apply(*X, R);
        R.Update(1.0, *B, -1.0);
        std::vector<double> rn(columns), bn(columns);
        R.Norm2(rn.data());
        B->Norm2(bn.data());
        for (int j = 0; j < columns; ++j)
            if (!(rn[j] / bn[j] <= worst)) worst = rn[j] / bn[j];
    }
    std::printf("{\"peer\":\"belos\",\"method\":\"%s\",\"pc\":\"%s\",\"columns\":%d,\"mode\":\"%s\",\"systems\":%ld,\"failed\":%d,\"iterations\":%ld,"
                "\"setup_s\":%.4f,\"solve_s\":%.4f,\"worst_residual\":%.3e}\n",
                method.c_str(), pc.c_str(), columns, mode.c_str(), static_cast<long>(systems), failed, steps, setup, seconds, worst);
    std::fclose(f);
}
