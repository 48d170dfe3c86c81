/* reknit_eigen.hpp: Eigen's matrices and vectors in reknit.hpp, where they lie. Header only; Eigen 3.3 or later.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     Eigen::SparseMatrix<double> K = ...;
 *     rkn::Operator A = rkn::eigen::borrow(K);                     // K's own arrays, no copy
 *     Eigen::IncompleteLUT<double> ilut;
 *     rkn::Operator M = rkn::eigen::preconditioner(ilut, K);       // ilut.compute(K)
 *     rkn::Krylov s{"gcrodr"};
 *     for (int step = 0; step < nsteps; ++step) {
 *         assemble(step, K, b);                                    // new numbers, same pattern
 *         A.changed();
 *         M.changed();                                             // ilut.factorize(K); leave it out to let M age
 *         s.solve(A, M, b, x);                                     // VectorXd, Map, Ref, or MatrixXd
 *     }
 *
 * Vectors.  s.solve(A, b, x), A.apply(x, y) and so on take any of Eigen's vectors whose elements lie one after the
 *     other: Matrix, Array, Map, Ref, a column of a matrix. One with gaps (a row of a matrix by columns, a Map with
 *     an inner stride) throws RKN_ERR_ARGUMENT. An expression (b + c, K * x) has no elements to read and does not
 *     compile; write it into a vector, or say .eval().
 * Matrices. Those by columns are several right-hand sides, with the outer stride that they have: s.solve(A, B, X).
 *     Those by rows do not compile there.
 * Lifetime. That of reknit.hpp: borrow keeps pointers. Inserting an entry, makeCompressed, resize and assignment from
 *     another matrix may move the arrays; then make a new operator.
 */
#ifndef REKNIT_EIGEN_HPP
#define REKNIT_EIGEN_HPP

#include "reknit.hpp"

#include <Eigen/Core>
#include <Eigen/SparseCore>

namespace rkn {
namespace eigen {
namespace detail {

template <class D> std::true_type derives_dense(const Eigen::DenseBase<D> *);
std::false_type derives_dense(const void *);
template <class D> std::true_type derives_sparse(const Eigen::SparseMatrixBase<D> *);
std::false_type derives_sparse(const void *);
template <class D> std::true_type derives_stored(const Eigen::SparseCompressedBase<D> *);
std::false_type derives_stored(const void *);
template <class D> std::true_type derives_diagonal(const Eigen::DiagonalBase<D> *);
std::false_type derives_diagonal(const void *);

template <class V> inline constexpr bool is_dense = decltype(derives_dense(static_cast<V *>(nullptr)))::value;
template <class V> inline constexpr bool is_sparse = decltype(derives_sparse(static_cast<V *>(nullptr)))::value;
template <class V> inline constexpr bool is_stored = decltype(derives_stored(static_cast<V *>(nullptr)))::value;
template <class V> inline constexpr bool is_diagonal = decltype(derives_diagonal(static_cast<V *>(nullptr)))::value;

template <class V> inline constexpr bool is_matrix = is_dense<V> || is_sparse<V>;

template <class V> struct is_map : std::false_type {};
template <class P, int options, class S> struct is_map<Eigen::Map<P, options, S>> : std::true_type {};

template <class V> constexpr bool is_by_rows() { return (V::Flags & Eigen::RowMajorBit) != 0; }

template <class V> constexpr void check_in_memory() {
    static_assert((V::Flags & Eigen::DirectAccessBit) != 0,
                  "an expression has no elements in memory: evaluate it into a matrix first");
    static_assert(V::InnerStrideAtCompileTime == 1, "the elements of a column, or of a row by rows, have gaps");
}

// The elements of n lines of Eigen's `size` elements each, `stride` apart.
template <class V> auto elements(V &v) {
    const Eigen::Index lines = v.outerSize(), line = v.innerSize();
    const Eigen::Index total = lines > 0 && line > 0 ? (lines - 1) * v.outerStride() + line : 0;
    return span(v.data(), static_cast<std::size_t>(total));
}

template <class S, class Memory> Operator sparse(const S &A, Memory memory, context_ref ctx) {
    using Index = typename S::StorageIndex;
    if (!A.isCompressed())
        throw error(RKN_ERR_ARGUMENT, "rkn::eigen: the sparse matrix has room for insertions: call makeCompressed() first");
    const auto size = [](Eigen::Index n) { return static_cast<std::size_t>(n); };
    const span<const Index> outer(A.outerIndexPtr(), size(A.outerSize()) + 1);
    const auto entries = size(static_cast<Eigen::Index>(outer[A.outerSize()]));
    const span<const Index> inner(A.innerIndexPtr(), entries);
    const span<const typename S::Scalar> values(A.valuePtr(), entries);
    return is_by_rows<S>() ? Operator::csr(A.rows(), A.cols(), outer, inner, values, memory, 0, ctx)
                           : Operator::csc(A.rows(), A.cols(), outer, inner, values, memory, 0, ctx);
}

template <class D, class Memory> Operator dense(const D &A, Memory memory, context_ref ctx) {
    check_in_memory<D>();
    return Operator::dense(A.rows(), A.cols(), is_by_rows<D>() ? order::row_major : order::column_major, elements(A),
                           memory, A.outerSize() > 1 ? A.outerStride() : 0, ctx);
}

template <class D, class Memory> Operator diagonal(const D &A, Memory memory, context_ref ctx) {
    const auto &values = A.diagonal();
    check_in_memory<std::decay_t<decltype(values)>>();
    return Operator::diagonal(span(values.data(), static_cast<std::size_t>(values.size())), memory, ctx);
}

}    // namespace detail

/* The operator of a matrix whose arrays stay where they are and outlive it: a sparse one (SparseMatrix, Map or Ref of
   it, by rows or columns, compressed, indices of 4 or 8 bytes), a dense one (Matrix, Array, Map, Ref, a block), or a
   diagonal one (DiagonalMatrix, v.asDiagonal()). Write new numbers into it and call changed(). A is a variable or a
   Map: another temporary could go and leave the operator behind. A sparse matrix with room between its columns
   throws RKN_ERR_ARGUMENT. Rows are faster than columns: SparseMatrix<double, Eigen::RowMajor> where one can choose. */
template <class E> Operator borrow(E &&A, context_ref ctx = {}) {
    using V = std::remove_cv_t<std::remove_reference_t<E>>;
    static_assert(std::is_lvalue_reference_v<E> || detail::is_map<V>::value,
                  "a temporary matrix cannot be lent: name it, or say rkn::eigen::copy");
    if constexpr (detail::is_sparse<V>) {
        static_assert(detail::is_stored<V>, "an expression has no arrays to lend: evaluate it into a matrix first");
        return detail::sparse(A, rkn::borrow, ctx);
    } else if constexpr (detail::is_diagonal<V>) {
        return detail::diagonal(A, rkn::borrow, ctx);
    } else {
        static_assert(detail::is_dense<V>, "borrow takes Eigen's sparse, dense and diagonal matrices");
        return detail::dense(A, rkn::borrow, ctx);
    }
}

/* The operator of a copy of a matrix or of an expression of matrices. New numbers come by set_values. */
template <class E> Operator copy(const E &A, context_ref ctx = {}) {
    if constexpr (detail::is_sparse<E>) {
        using Row = Eigen::SparseMatrix<typename E::Scalar, Eigen::RowMajor, typename E::StorageIndex>;
        using Column = Eigen::SparseMatrix<typename E::Scalar, Eigen::ColMajor, typename E::StorageIndex>;
        std::conditional_t<detail::is_by_rows<E>(), Row, Column> values(A);
        values.makeCompressed();
        return detail::sparse(values, rkn::copy, ctx);
    } else if constexpr (detail::is_diagonal<E>) {
        const auto values = A.diagonal().eval();
        return Operator::diagonal(span(values.data(), static_cast<std::size_t>(values.size())), rkn::copy, ctx);
    } else {
        static_assert(detail::is_dense<E>, "copy takes Eigen's sparse, dense and diagonal matrices");
        const auto values = A.eval();
        return detail::dense(values, rkn::copy, ctx);
    }
}

template <class T> using vector_map = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, 1>>;
template <class T> using const_vector_map = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>;
template <class T>
using matrix_map = Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>, 0, Eigen::OuterStride<>>;
template <class T>
using const_matrix_map = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>, 0, Eigen::OuterStride<>>;

/* rkn::span and rkn::columns, which callables and requests get, as maps of Eigen on the same elements. */
template <class T> auto map(span<T> x) {
    using V = std::conditional_t<std::is_const_v<T>, const_vector_map<std::remove_cv_t<T>>, vector_map<std::remove_cv_t<T>>>;
    return V(x.data(), static_cast<Eigen::Index>(x.size()));
}
template <class T> auto map(columns<T> X) {
    using V = std::conditional_t<std::is_const_v<T>, const_matrix_map<std::remove_cv_t<T>>, matrix_map<std::remove_cv_t<T>>>;
    return V(X.data(), X.rows(), X.cols(), Eigen::OuterStride<>(X.ld()));
}

/* Operator::from with maps of Eigen: f(x, y), y <- A x, or f(x, y, rkn::trans), y <- op(A) x, for expressions and for
   types that only know how to multiply:

       rkn::eigen::from(n, n, [&](auto x, auto y) { y.noalias() = K * x + u * u.dot(x); });

   x is const_vector_map<T> and y vector_map<T>. f is moved into the operator. */
template <class T = double, class F> Operator from(std::int64_t nrows, std::int64_t ncols, F f, context_ref ctx = {}) {
    if constexpr (std::is_invocable_v<F &, const_vector_map<T> &, vector_map<T> &, trans>) {
        return Operator::from<T>(
            nrows, ncols,
            [f = std::move(f)](span<const T> x, span<T> y, trans op) mutable {
                auto in = eigen::map(x);
                auto out = eigen::map(y);
                return f(in, out, op);
            },
            ctx);
    } else {
        return Operator::from<T>(
            nrows, ncols,
            [f = std::move(f)](span<const T> x, span<T> y) mutable {
                auto in = eigen::map(x);
                auto out = eigen::map(y);
                return f(in, out);
            },
            ctx);
    }
}

/* The same for all columns at once: f(X, Y) or f(X, Y, rkn::trans) with const_matrix_map<T> and matrix_map<T>. */
template <class T = double, class F>
Operator from_block(std::int64_t nrows, std::int64_t ncols, F f, context_ref ctx = {}) {
    if constexpr (std::is_invocable_v<F &, const_matrix_map<T> &, matrix_map<T> &, trans>) {
        return Operator::from_block<T>(
            nrows, ncols,
            [f = std::move(f)](columns<const T> X, columns<T> Y, trans op) mutable {
                auto in = eigen::map(X);
                auto out = eigen::map(Y);
                return f(in, out, op);
            },
            ctx);
    } else {
        return Operator::from_block<T>(
            nrows, ncols,
            [f = std::move(f)](columns<const T> X, columns<T> Y) mutable {
                auto in = eigen::map(X);
                auto out = eigen::map(Y);
                return f(in, out);
            },
            ctx);
    }
}

namespace detail {

// Eigen's diagonal preconditioners keep their Scalar to themselves.
template <class P, class = void> struct scalar_of {
    using type = double;
};
template <class P> struct scalar_of<P, std::void_t<typename P::Scalar>> {
    using type = typename P::Scalar;
};

template <class P, class K, class = void> struct refactorizes : std::false_type {};
template <class P, class K>
struct refactorizes<P, K, std::void_t<decltype(std::declval<P &>().factorize(std::declval<const K &>()))>>
    : std::true_type {};

template <class P> void need_success(const P &solver) {
    if (solver.info() != Eigen::Success)
        throw error(RKN_ERR_SINGULAR, "rkn::eigen::preconditioner: Eigen's factorization failed: " +
                                          std::string(solver.info() == Eigen::NumericalIssue ? "NumericalIssue"
                                                                                             : "InvalidInput"));
}

}    // namespace detail

/* M, applied by solver.solve(r): a factorization or preconditioner of Eigen (IncompleteLUT, IncompleteCholesky,
   SimplicialLDLT, SparseLU, LLT, ...) that has been computed and outlives the operator. It has no transpose. T is its
   element type, to be named for a DiagonalPreconditioner of other numbers than double. */
template <class T = void, class P> Operator preconditioner(P &solver, context_ref ctx = {}) {
    using U = std::conditional_t<std::is_void_v<T>, typename detail::scalar_of<P>::type, T>;
    return from<U>(solver.rows(), solver.cols(), [&solver](auto r, auto z) { z = solver.solve(r); }, ctx);
}

/* The same from a matrix, now and whenever M is refreshed: solver.compute(K) here, then solver.factorize(K), where the
   solver has that, by M.changed() or by a solver with the method "auto" that finds it worth while. K and solver
   outlive the operator, and K keeps its pattern. A factorization that fails throws RKN_ERR_SINGULAR. */
template <class T = void, class P, class K, std::enable_if_t<detail::is_matrix<K>, int> = 0>
Operator preconditioner(P &solver, const K &A, context_ref ctx = {}) {
    solver.compute(A);
    detail::need_success(solver);
    Operator M = preconditioner<T>(solver, ctx);
    M.set_refresh([&solver, &A] {
        if constexpr (detail::refactorizes<P, K>::value)
            solver.factorize(A);
        else
            solver.compute(A);
        detail::need_success(solver);
    });
    return M;
}
template <class T = void, class P, class K, std::enable_if_t<detail::is_matrix<K>, int> = 0>
Operator preconditioner(P &solver, const K &&A, context_ref ctx = {}) = delete;    // a temporary: M would outlive it

}    // namespace eigen

template <class V> struct matrix_view<V, std::enable_if_t<eigen::detail::is_dense<V>>> {
    static constexpr bool known = !V::IsVectorAtCompileTime;
    template <class U> static auto of(U &v) {
        eigen::detail::check_in_memory<V>();
        static_assert(!eigen::detail::is_by_rows<V>(), "vectors are the columns of a matrix by columns, this one is by rows");
        const std::int64_t rows = v.rows(), cols = v.cols();
        return columns(v.data(), rows, cols, cols > 1 ? v.outerStride() : std::max<std::int64_t>(rows, 1));
    }
};

}    // namespace rkn

#endif
