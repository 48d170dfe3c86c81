/* reknit.hpp: the C++17 face of reknit.h. Header only; link with -lreknit.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     auto A = rkn::Operator::csr(n, n, ptr, ind, val, rkn::borrow);
 *     rkn::Krylov s{"gcrodr"};
 *     s.set("rtol", 1e-10);
 *     for (int step = 0; step < nsteps; ++step) {
 *         assemble(step, val, b);              // new numbers, same arrays
 *         A.changed();
 *         auto r = s.solve(A, b, x);           // s remembers the last step
 *         if (!r.converged()) std::cerr << r.message << '\n';
 *     }
 *
 * Classes.  Context, Operator, Krylov, Geometry and Sinkhorn are the nouns of the C header: each owns one handle, moves, does
 *     not copy, and destroys the handle in its destructor. get() lends the handle to C code, adopt() takes one over,
 *     release() gives it away. A moved-from object holds NULL; using it is an error, not a crash.
 *
 * Arrays.   An array argument is anything that std::data and std::size accept: std::vector, std::array, std::span,
 *     a C array, Eigen's vectors (reknit_eigen.hpp has its matrices too), or rkn::span{pointer, size}. Element types are
 *     float, double and std::complex of both; index types are signed integers of 4 or 8 bytes. Lengths, strides and
 *     types are checked against the operator before the library sees a pointer.
 *
 * Lifetime. rkn::copy copies the arrays of a matrix; rkn::borrow keeps pointers, so the arrays must outlive the
 *     operator and everything composed from it, and must not be reallocated (no push_back). A temporary container
 *     cannot be lent: that does not compile. Compositions and preconditioners keep their parts alive, so operators,
 *     solvers and contexts may go out of scope in any order. A cost that a Geometry borrows must also outlive the Sinkhorn that
 *     last solved with it. A callable is moved into the library and destroyed
 *     with the last object that holds it; what it captures by reference is yours to keep alive.
 *
 * Errors.   A negative status throws rkn::error, with the status and the library's message. A positive one (stopped
 *     short of the tolerance, x delivered) comes back in the result of solve.
 *
 * Columns.  Several vectors are rkn::columns{data, rows, cols, ld}: what Operator::apply, Krylov::solve and solve_block
 *     take, and what callables and requests of several vectors get.
 *
 * Callables. Operators, rows of a cost, refreshes, prolongations, reductions, inner products, monitors, convergence tests and
 *     log sinks may be any callable. They run on the thread that called the library. An exception that one of them throws
 *     is kept, the library is told to stop, and the exception is thrown again when the C function has returned; the handles stay usable.
 */
#ifndef REKNIT_HPP
#define REKNIT_HPP

#include "reknit.h"

#include <algorithm>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#if __cplusplus >= 202002L
#include <ranges>
#endif

namespace rkn {

enum class scalar : rkn_scalar { f32 = RKN_F32, f64 = RKN_F64, c32 = RKN_C32, c64 = RKN_C64 };
enum class trans : rkn_trans { N = RKN_N, T = RKN_T, H = RKN_H };    // op(A) = A, A^T, A^H
enum class order : rkn_order { column_major = RKN_COLUMN_MAJOR, row_major = RKN_ROW_MAJOR };
enum class triangle : rkn_triangle { lower = RKN_LOWER, upper = RKN_UPPER };
enum class side : rkn_side { left = RKN_LEFT, right = RKN_RIGHT };
enum class reduction : rkn_reduction { sum = RKN_SUM, max = RKN_MAX };

// What happens to the arrays of a matrix; types, so that lending a temporary is found by the compiler.
struct copy_t {
    static constexpr rkn_memory value = RKN_COPY;
};
struct borrow_t {
    static constexpr rkn_memory value = RKN_BORROW;
};
inline constexpr copy_t copy{};
inline constexpr borrow_t borrow{};

/* A negative status. what() is the message of the library: function, argument, value, what it may be. */
class error : public std::runtime_error {
public:
    error(rkn_status status, const std::string &message) : std::runtime_error(message), status_(status) {}
    rkn_status status() const noexcept { return status_; }
    const char *name() const noexcept { return rkn_status_name(status_); }    // "RKN_ERR_SIZE"

private:
    rkn_status status_;
};

/* Contiguous elements that belong to someone else. */
template <class T> class span {
public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using iterator = T *;

    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class U, std::enable_if_t<std::is_same_v<const U, T>, int> = 0>
    constexpr span(span<U> other) noexcept : data_(other.data()), size_(other.size()) {}
    /* Of a container that is only read. */
    template <class V, class U = T, class P = decltype(std::data(std::declval<const V &>())),
              std::enable_if_t<std::is_const_v<U> && std::is_convertible_v<P, U *>, long> = 0>
    constexpr span(const V &v) noexcept : data_(std::data(v)), size_(std::size(v)) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    template <class I> constexpr T &operator[](I i) const noexcept { return data_[i]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/* rows x cols elements, column-major, column j starting at data() + j * ld(). */
template <class T> class columns {
public:
    constexpr columns(T *data, std::int64_t rows, std::int64_t cols, std::int64_t ld) noexcept
        : data_(data), rows_(rows), cols_(cols), ld_(ld) {}
    constexpr columns(T *data, std::int64_t rows, std::int64_t cols) noexcept : columns(data, rows, cols, rows) {}
    template <class U, std::enable_if_t<std::is_same_v<const U, T>, int> = 0>
    constexpr columns(columns<U> other) noexcept : columns(other.data(), other.rows(), other.cols(), other.ld()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::int64_t rows() const noexcept { return rows_; }
    constexpr std::int64_t cols() const noexcept { return cols_; }
    constexpr std::int64_t ld() const noexcept { return ld_; }
    constexpr T &operator()(std::int64_t i, std::int64_t j) const noexcept { return data_[i + j * ld_]; }
    constexpr span<T> column(std::int64_t j) const noexcept {
        return {data_ + j * ld_, static_cast<std::size_t>(rows_)};
    }

private:
    T *data_;
    std::int64_t rows_, cols_, ld_;
};

/* How a matrix of another library is read as several vectors: specialise it with `known` true and
   static rkn::columns<T> of(V &). V is without const. */
template <class V, class = void> struct matrix_view {
    static constexpr bool known = false;
};

/* A NUL-terminated string argument: const char * or std::string. */
class text {
public:
    text(const char *s) noexcept : s_(s) {}
    text(const std::string &s) noexcept : s_(s.c_str()) {}
    const char *get() const noexcept { return s_; }

private:
    const char *s_;
};

namespace detail {

template <class T> struct scalar_of;
template <> struct scalar_of<float> {
    static constexpr scalar value = scalar::f32;
    using wide = double;
};
template <> struct scalar_of<double> {
    static constexpr scalar value = scalar::f64;
    using wide = double;
};
template <> struct scalar_of<std::complex<float>> {
    static constexpr scalar value = scalar::c32;
    using wide = std::complex<double>;
};
template <> struct scalar_of<std::complex<double>> {
    static constexpr scalar value = scalar::c64;
    using wide = std::complex<double>;
};
template <class T> inline constexpr rkn_scalar tag = static_cast<rkn_scalar>(scalar_of<std::remove_cv_t<T>>::value);

template <class I> constexpr rkn_index index_tag() {
    static_assert(std::is_integral_v<I> && std::is_signed_v<I> && (sizeof(I) == 4 || sizeof(I) == 8),
                  "indices are signed integers of 4 or 8 bytes");
    return sizeof(I) == 4 ? RKN_I32 : RKN_I64;
}

template <class V> using element = std::remove_pointer_t<decltype(std::data(std::declval<V &>()))>;
template <class V> using value = std::remove_cv_t<element<V>>;
/* An empty container may have no address, but is not absent: a rank may be without rows. */
inline const double *present(const double *data) {
    static constexpr double nothing = 0;
    return data ? data : &nothing;
}

// An expression, such as Eigen's b + c, has no elements in memory; said here, and not where they are asked for.
template <class V, class = void> struct has_data : std::false_type {};
template <class V> struct has_data<V, std::void_t<decltype(std::data(std::declval<V &>()))>> : std::true_type {};
template <class... V> inline constexpr bool in_memory = (has_data<V>::value && ...);
template <class V, class = void> struct has_strides : std::false_type {};
template <class V>
struct has_strides<V, std::void_t<decltype(std::declval<const V &>().innerStride() + std::declval<const V &>().outerStride())>>
    : std::true_type {};

/* The elements of an array. What knows its strides, as Eigen's types do, must lie without gaps: the row of a matrix
   has an address and a size too. */
template <class V> std::int64_t length(const V &v) {
    if constexpr (has_strides<V>::value) {
        if ((v.size() > 1 && v.innerStride() != 1) || (v.outerSize() > 1 && v.outerStride() != v.innerSize()))
            throw error(RKN_ERR_ARGUMENT, "rkn: an array argument has gaps between its elements, must have none");
    }
    return static_cast<std::int64_t>(std::size(v));
}

template <class V> struct is_columns : std::false_type {};
template <class T> struct is_columns<columns<T>> : std::true_type {};
template <class V>
inline constexpr bool is_block = is_columns<std::remove_cv_t<V>>::value || matrix_view<std::remove_cv_t<V>>::known;
template <class V> struct is_view : std::false_type {};
template <class T> struct is_view<span<T>> : std::true_type {};
template <class T> struct is_view<columns<T>> : std::true_type {};
#if defined(__cpp_lib_ranges)
template <class V> inline constexpr bool outlives = std::ranges::enable_borrowed_range<V>;
#else
template <class V> inline constexpr bool outlives = false;
#endif

// May an argument of deduced type V&& be kept by pointer? An lvalue or a view may, a temporary may not.
template <class V>
inline constexpr bool lasts =
    std::is_lvalue_reference_v<V> || is_view<std::remove_cv_t<V>>::value || outlives<std::remove_cv_t<V>>;

template <class Memory, class... V> constexpr void check_lent() {
    static_assert(std::is_same_v<Memory, copy_t> || std::is_same_v<Memory, borrow_t>, "say rkn::copy or rkn::borrow");
    static_assert(std::is_same_v<Memory, copy_t> || (lasts<V> && ...),
                  "a temporary array cannot be lent: name it, or say rkn::copy");
}

[[noreturn]] inline void fail(rkn_status status, const char *function, const char *argument, const std::string &what) {
    throw error(status, std::string("rkn::") + function + ": argument '" + argument + "' " + what);
}

inline void need_size(const char *function, const char *argument, std::int64_t got, std::int64_t want) {
    if (got != want)
        fail(RKN_ERR_SIZE, function, argument, "has size " + std::to_string(got) + ", must be " + std::to_string(want));
}

inline void need_at_least(const char *function, const char *argument, std::int64_t got, std::int64_t want) {
    if (got < want)
        fail(RKN_ERR_SIZE, function, argument,
             "has size " + std::to_string(got) + ", must be at least " + std::to_string(want));
}

// a * b of two sizes; what does not fit is left to the library to refuse.
inline std::int64_t product(std::int64_t a, std::int64_t b) {
    if (a <= 0 || b <= 0) return 0;
    return a > std::numeric_limits<std::int64_t>::max() / b ? std::numeric_limits<std::int64_t>::max() : a * b;
}

/* The exception that a callable threw during the C call under way on this thread. */
inline std::exception_ptr &thrown() {
    thread_local std::exception_ptr e;
    return e;
}

constexpr std::int32_t callable_threw = -1;

// Runs a callable inside a C callback; no exception leaves it.
template <class F> std::int32_t guarded(F &&f) noexcept {
    try {
        return f();
    } catch (...) {
        if (!thrown()) thrown() = std::current_exception();
        return callable_threw;
    }
}

// Runs one C function: throws what a callable threw meanwhile, then what the library refused. Calls nest,
// since a callable may use the library too: what an outer call has kept is put aside.
template <class F> rkn_status call(F &&f) {
    std::exception_ptr outer = std::exchange(thrown(), nullptr);
    const rkn_status status = f();
    if (std::exception_ptr e = std::exchange(thrown(), std::move(outer))) std::rethrow_exception(e);
    if (status < 0) throw error(status, rkn_last_error());
    return status;
}

// A string from a C function with (buf, cap, need).
template <class F> std::string string_from(F &&f) {
    std::string s(255, '\0');
    for (;;) {
        std::int64_t need = 0;
        const std::int64_t cap = static_cast<std::int64_t>(s.size()) + 1;
        call([&] {
            const rkn_status rc = f(s.data(), cap, &need);
            return rc == RKN_ERR_SIZE && need > cap ? RKN_OK : rc;
        });
        s.resize(need > 0 ? static_cast<std::size_t>(need) - 1 : 0);
        if (need <= cap) return s;
    }
}

// Elements from a C function that takes room for them and tells how many there are.
template <class T, class F> std::vector<T> vector_from(F &&f) {
    std::vector<T> v;
    for (;;) {
        std::int64_t need = 0;
        const std::int64_t cap = static_cast<std::int64_t>(v.size());
        call([&] {
            const rkn_status rc = f(cap ? v.data() : nullptr, cap, &need);
            return rc == RKN_ERR_SIZE && need > cap ? RKN_OK : rc;
        });
        v.resize(static_cast<std::size_t>(need));
        if (need <= cap) return v;
    }
}

// The result of a callable: void counts as 0, an integer is handed on.
template <class F, class... A> std::int32_t result_of(F &f, A &&...a) {
    using R = std::invoke_result_t<F &, A...>;
    static_assert(std::is_void_v<R> || (std::is_integral_v<R> && !std::is_same_v<R, bool>),
                  "the callable returns nothing, or an integer: 0 to go on, anything else to fail");
    if constexpr (std::is_void_v<R>) {
        f(std::forward<A>(a)...);
        return 0;
    } else {
        return static_cast<std::int32_t>(f(std::forward<A>(a)...));
    }
}

// Hands `f` to a C setter or creator and lets it go again if that refuses.
template <class F, class Keep> void keep(std::unique_ptr<F> f, Keep &&c_function) {
    call([&] {
        const rkn_status status = c_function(static_cast<void *>(f.get()));
        if (status >= 0) (void)f.release();
        return status;
    });
}

template <class F> void release(void *user) { delete static_cast<F *>(user); }

// The monitors of all solvers.
template <class F> std::int32_t monitor(void *user, const rkn_progress *progress) {
    return guarded([&]() -> std::int32_t {
        F &f = *static_cast<F *>(user);
        using R = std::invoke_result_t<F &, const rkn_progress &>;
        static_assert(std::is_void_v<R> || std::is_same_v<R, bool>, "a monitor returns nothing, or true to stop");
        if constexpr (std::is_void_v<R>) {
            f(*progress);
            return 0;
        } else {
            return f(*progress) ? 1 : 0;
        }
    });
}

// One scalar in the storage of a tag.
class number {
public:
    number(const char *function, const char *argument, scalar tag, std::complex<double> v) {
        if ((tag == scalar::f32 || tag == scalar::f64) && v.imag() != 0)
            fail(RKN_ERR_SCALAR, function, argument, "is complex, must be real for a real operator");
        c64_ = v;
        c32_ = std::complex<float>(static_cast<float>(v.real()), static_cast<float>(v.imag()));
        single_ = tag == scalar::f32 || tag == scalar::c32;
    }
    // A complex number begins with its real part, so two stores serve four tags.
    const void *get() const noexcept { return single_ ? static_cast<const void *>(&c32_) : &c64_; }

private:
    std::complex<double> c64_;
    std::complex<float> c32_;
    bool single_;
};

template <class Handle, void (*destroy)(Handle *)> class owner {
public:
    owner() noexcept = default;
    owner(owner &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    owner &operator=(owner &&other) noexcept {
        if (this != &other) reset(std::exchange(other.handle_, nullptr));
        return *this;
    }
    owner(const owner &) = delete;
    owner &operator=(const owner &) = delete;
    ~owner() { reset(nullptr); }

    Handle *get() const noexcept { return handle_; }
    Handle **out() noexcept { return &handle_; }
    Handle *release() noexcept { return std::exchange(handle_, nullptr); }
    void reset(Handle *handle) noexcept { destroy(std::exchange(handle_, handle)); }

private:
    Handle *handle_ = nullptr;
};

}    // namespace detail

/* The tag of an element type. */
template <class T> inline constexpr scalar scalar_of = detail::scalar_of<std::remove_cv_t<T>>::value;

// ---------------------------------------------------------------- library

inline std::string version() { return rkn_version(); }
inline std::int32_t version_number() noexcept { return rkn_version_number(); }
inline std::int32_t abi() noexcept { return rkn_abi(); }
inline std::string build_info() { return rkn_build_info(); }
inline std::string status_name(rkn_status status) { return rkn_status_name(status); }
inline std::string last_error() { return rkn_last_error(); }

/* The reference page of the options of "context", "operator", "preconditioner", "krylov", "sequence" or "sinkhorn". */
inline std::string option_reference(text noun) {
    return detail::string_from([&](char *buf, std::int64_t cap, std::int64_t *need) {
        return rkn_option_reference(noun.get(), buf, cap, need);
    });
}

// ---------------------------------------------------------------- context

/* Threads, seed, log sink, reduction hook, interrupt. Everything works without one: one thread, silent, seed 0. */
class Context {
public:
    Context() {
        detail::call([&] { return rkn_context_create(handle_.out()); });
    }

    void set(text key, std::int64_t value) {
        detail::call([&] { return rkn_context_set_int(get(), key.get(), value); });
    }
    std::int64_t get_int(text key) const {
        std::int64_t value = 0;
        detail::call([&] { return rkn_context_get_int(get(), key.get(), &value); });
        return value;
    }

    /* f(rkn::reduction op, rkn::span<double> inout): combines over all ranks in place, same bits on each. */
    template <class F> void set_reduce(F f) {
        detail::keep(std::make_unique<F>(std::move(f)),
                     [&](void *user) { return rkn_context_set_reduce(get(), reduce<F>, user, detail::release<F>); });
    }
    /* Sums over ranks become requests of Krylov::next. */
    void set_reduce_request() {
        detail::call([&] { return rkn_context_set_reduce_request(get()); });
    }
    void clear_reduce() {
        detail::call([&] { return rkn_context_set_reduce(get(), nullptr, nullptr, nullptr); });
    }

    /* f(int level, const char *line) */
    template <class F> void set_log(F f) {
        detail::keep(std::make_unique<F>(std::move(f)),
                     [&](void *user) { return rkn_context_set_log(get(), log<F>, user, detail::release<F>); });
    }
    void clear_log() {
        detail::call([&] { return rkn_context_set_log(get(), nullptr, nullptr, nullptr); });
    }

    /* Ends the running solve with RKN_STOP_INTERRUPT; from any thread or a signal handler. */
    void interrupt() noexcept { (void)rkn_context_interrupt(get()); }

    rkn_context *get() const noexcept { return handle_.get(); }
    rkn_context *release() noexcept { return handle_.release(); }
    static Context adopt(rkn_context *handle) noexcept {
        Context ctx{nullptr};
        *ctx.handle_.out() = handle;
        return ctx;
    }

private:
    explicit Context(std::nullptr_t) noexcept {}

    template <class F> static std::int32_t reduce(void *user, rkn_reduction op, std::int64_t n, double *inout) {
        return detail::guarded([&] {
            return detail::result_of(*static_cast<F *>(user), static_cast<reduction>(op),
                                     span<double>(inout, static_cast<std::size_t>(n)));
        });
    }
    template <class F> static void log(void *user, std::int32_t level, const char *line) {
        detail::guarded([&] { return detail::result_of(*static_cast<F *>(user), static_cast<int>(level), line); });
    }

    detail::owner<rkn_context, rkn_context_destroy> handle_;
};

/* A context or none, as an argument. */
class context_ref {
public:
    context_ref() noexcept = default;
    context_ref(const rkn_context *handle) noexcept : handle_(handle) {}
    context_ref(const Context &ctx) : handle_(ctx.get()) {
        if (!handle_) throw error(RKN_ERR_NULL, "rkn::context_ref: argument 'ctx' was moved from");
    }
    const rkn_context *get() const noexcept { return handle_; }

private:
    const rkn_context *handle_ = nullptr;
};

// ---------------------------------------------------------------- operator

struct shape {
    std::int64_t nrows, ncols;
};

/* A linear map. Preconditioners are operators that approximate an inverse. */
class Operator {
public:
    /* nrows x ncols; rowptr: nrows + 1, colind and values: rowptr[nrows] - base. */
    template <class P, class J, class V, class Memory>
    static Operator csr(std::int64_t nrows, std::int64_t ncols, P &&rowptr, J &&colind, V &&values, Memory memory,
                        std::int32_t base = 0, context_ref ctx = {}) {
        const rkn_index index = check_compressed<P, J, V>("Operator::csr", "rowptr", "colind", nrows, rowptr, colind,
                                                          values, base, 1, memory);
        return make(detail::length(values), [&](rkn_operator **out) {
            return rkn_operator_create_csr(ctx.get(), detail::tag<detail::value<V>>, nrows, ncols, index, base,
                                           std::data(rowptr), std::data(colind), std::data(values), Memory::value, out);
        });
    }

    /* nrows x ncols; colptr: ncols + 1, rowind and values: colptr[ncols] - base. */
    template <class P, class J, class V, class Memory>
    static Operator csc(std::int64_t nrows, std::int64_t ncols, P &&colptr, J &&rowind, V &&values, Memory memory,
                        std::int32_t base = 0, context_ref ctx = {}) {
        const rkn_index index = check_compressed<P, J, V>("Operator::csc", "colptr", "rowind", ncols, colptr, rowind,
                                                          values, base, 1, memory);
        return make(detail::length(values), [&](rkn_operator **out) {
            return rkn_operator_create_csc(ctx.get(), detail::tag<detail::value<V>>, nrows, ncols, index, base,
                                           std::data(colptr), std::data(rowind), std::data(values), Memory::value, out);
        });
    }

    /* nblockrows x nblockcols blocks of block x block values, each block stored in `order`. */
    template <class P, class J, class V, class Memory>
    static Operator bsr(std::int64_t nblockrows, std::int64_t nblockcols, std::int64_t block, order block_order,
                        P &&rowptr, J &&colind, V &&values, Memory memory, std::int32_t base = 0,
                        context_ref ctx = {}) {
        const rkn_index index = check_compressed<P, J, V>("Operator::bsr", "rowptr", "colind", nblockrows, rowptr,
                                                          colind, values, base, detail::product(block, block), memory);
        return make(detail::length(values), [&](rkn_operator **out) {
            return rkn_operator_create_bsr(ctx.get(), detail::tag<detail::value<V>>, nblockrows, nblockcols, block,
                                           static_cast<rkn_order>(block_order), index, base, std::data(rowptr),
                                           std::data(colind), std::data(values), Memory::value, out);
        });
    }

    /* One triangle, diagonal included, of a symmetric n x n matrix in CSR. */
    template <class P, class J, class V, class Memory>
    static Operator csr_symmetric(std::int64_t n, triangle stored, P &&rowptr, J &&colind, V &&values, Memory memory,
                                  std::int32_t base = 0, context_ref ctx = {}) {
        return csr_triangle(0, n, stored, std::forward<P>(rowptr), std::forward<J>(colind), std::forward<V>(values),
                            memory, base, ctx);
    }

    /* One triangle, diagonal included, of a Hermitian n x n matrix in CSR. */
    template <class P, class J, class V, class Memory>
    static Operator csr_hermitian(std::int64_t n, triangle stored, P &&rowptr, J &&colind, V &&values, Memory memory,
                                  std::int32_t base = 0, context_ref ctx = {}) {
        return csr_triangle(1, n, stored, std::forward<P>(rowptr), std::forward<J>(colind), std::forward<V>(values),
                            memory, base, ctx);
    }

    /* Entries in any order, always copied; duplicates are summed in the order given. */
    template <class I, class J, class V>
    static Operator coo(std::int64_t nrows, std::int64_t ncols, const I &rowind, const J &colind, const V &values,
                        std::int32_t base = 0, context_ref ctx = {}) {
        static_assert(std::is_same_v<detail::value<const I>, detail::value<const J>>,
                      "row and column indices are of one type");
        const std::int64_t nnz = detail::length(values);
        detail::need_size("Operator::coo", "rowind", detail::length(rowind), nnz);
        detail::need_size("Operator::coo", "colind", detail::length(colind), nnz);
        return make_assembled([&](rkn_operator **out) {
            return rkn_operator_create_coo(ctx.get(), detail::tag<detail::value<const V>>, nrows, ncols,
                                           detail::index_tag<detail::value<const I>>(), base, nnz, std::data(rowind),
                                           std::data(colind), std::data(values), out);
        });
    }

    /* nrows x ncols values with leading dimension ld (0: packed). */
    template <class V, class Memory>
    static Operator dense(std::int64_t nrows, std::int64_t ncols, order storage, V &&values, Memory,
                          std::int64_t ld = 0, context_ref ctx = {}) {
        detail::check_lent<Memory, V>();
        const std::int64_t line = storage == order::row_major ? ncols : nrows,
                           lines = storage == order::row_major ? nrows : ncols;
        if (ld == 0) ld = std::max<std::int64_t>(line, 1);
        if (line > 0 && lines > 0 && ld >= line) {
            const std::int64_t before = detail::product(lines - 1, ld);
            detail::need_at_least("Operator::dense", "values", detail::length(values),
                                  before + std::min(line, std::numeric_limits<std::int64_t>::max() - before));
        }
        return make(detail::length(values), [&](rkn_operator **out) {
            return rkn_operator_create_dense(ctx.get(), detail::tag<detail::value<V>>, nrows, ncols,
                                             static_cast<rkn_order>(storage), std::data(values), ld, Memory::value,
                                             out);
        });
    }

    template <class V, class Memory> static Operator diagonal(V &&values, Memory, context_ref ctx = {}) {
        detail::check_lent<Memory, V>();
        return make(detail::length(values), [&](rkn_operator **out) {
            return rkn_operator_create_diagonal(ctx.get(), detail::tag<detail::value<V>>, detail::length(values),
                                                std::data(values), Memory::value, out);
        });
    }

    template <class T = double> static Operator identity(std::int64_t n, context_ref ctx = {}) {
        return make(
            0, [&](rkn_operator **out) { return rkn_operator_create_identity(ctx.get(), detail::tag<T>, n, out); });
    }

    template <class T = double> static Operator matrix_market(text path, context_ref ctx = {}) {
        return make_assembled([&](rkn_operator **out) {
            return rkn_operator_create_matrix_market(ctx.get(), detail::tag<T>, path.get(), out);
        });
    }

    /* y <- A x by a callable f(x, y), or y <- op(A) x by f(x, y, rkn::trans op), with x an rkn::span<const T> and y
       an rkn::span<T>. f returns nothing, or an integer that ends the call unless it is 0. Without the third
       argument the operator has no transpose: asking for it throws RKN_ERR_UNSUPPORTED. */
    template <class T = double, class F>
    static Operator from(std::int64_t nrows, std::int64_t ncols, F f, context_ref ctx = {}) {
        return make_callback<T>(nrows, ncols, std::move(f), apply_columnwise<T, F>, ctx);
    }

    /* The same for all columns at once: f(X, Y) or f(X, Y, op) with rkn::columns<const T> and rkn::columns<T>. */
    template <class T = double, class F>
    static Operator from_block(std::int64_t nrows, std::int64_t ncols, F f, context_ref ctx = {}) {
        return make_callback<T>(nrows, ncols, std::move(f), apply_block<T, F>, ctx);
    }

    /* Applied by the program when Krylov::next asks for it, under the name `kind`. */
    template <class T = double>
    static Operator by_request(std::int64_t nrows, std::int64_t ncols, rkn_request_kind kind = RKN_REQUEST_APPLY,
                               context_ref ctx = {}) {
        return make(0, [&](rkn_operator **out) {
            return rkn_operator_create_request(ctx.get(), detail::tag<T>, nrows, ncols, kind, out);
        });
    }

    /* alpha A + beta B */
    static Operator sum(std::complex<double> alpha, const Operator &A, std::complex<double> beta, const Operator &B,
                        context_ref ctx = {}) {
        const detail::number a("Operator::sum", "alpha", A.scalar(), alpha),
            b("Operator::sum", "beta", A.scalar(), beta);
        return make(0, [&](rkn_operator **out) {
            return rkn_operator_create_sum(ctx.get(), a.get(), A.get(), b.get(), B.get(), out);
        });
    }
    /* A B */
    static Operator product(const Operator &A, const Operator &B, context_ref ctx = {}) {
        return make(0,
                    [&](rkn_operator **out) { return rkn_operator_create_product(ctx.get(), A.get(), B.get(), out); });
    }
    /* alpha A */
    static Operator scaled(std::complex<double> alpha, const Operator &A, context_ref ctx = {}) {
        const detail::number a("Operator::scaled", "alpha", A.scalar(), alpha);
        return make(0,
                    [&](rkn_operator **out) { return rkn_operator_create_scaled(ctx.get(), a.get(), A.get(), out); });
    }
    /* A + sigma I */
    static Operator shifted(const Operator &A, std::complex<double> sigma, context_ref ctx = {}) {
        const detail::number a("Operator::shifted", "sigma", A.scalar(), sigma);
        return make(0,
                    [&](rkn_operator **out) { return rkn_operator_create_shifted(ctx.get(), A.get(), a.get(), out); });
    }
    /* A^T or A^H */
    static Operator adjoint(trans op, const Operator &A, context_ref ctx = {}) {
        return make(0, [&](rkn_operator **out) {
            return rkn_operator_create_adjoint(ctx.get(), static_cast<rkn_trans>(op), A.get(), out);
        });
    }
    /* nblockrows x nblockcols operators, row by row; nullptr is a zero block. */
    static Operator block(std::int64_t nblockrows, std::int64_t nblockcols, const std::vector<const Operator *> &blocks,
                          context_ref ctx = {}) {
        detail::need_size("Operator::block", "blocks", detail::length(blocks), detail::product(nblockrows, nblockcols));
        std::vector<const rkn_operator *> handles;
        handles.reserve(blocks.size());
        for (const Operator *b : blocks) {
            if (b && !b->get())
                detail::fail(RKN_ERR_NULL, "Operator::block", "blocks", "holds an operator that was moved from");
            handles.push_back(b ? b->get() : nullptr);
        }
        return make(0, [&](rkn_operator **out) {
            return rkn_operator_create_block(ctx.get(), nblockrows, nblockcols, handles.data(), out);
        });
    }
    /* "ilu levels=2 shift=1e-3" and the like; keeps A. */
    static Operator preconditioner(const Operator &A, text kind, context_ref ctx = {}) {
        return make(0, [&](rkn_operator **out) {
            return rkn_operator_create_preconditioner(ctx.get(), A.get(), kind.get(), out);
        });
    }

    /* Lent numbers were rewritten in place; on a preconditioner: refresh it from its operator. */
    void changed() {
        detail::call([&] { return rkn_operator_changed(get()); });
    }

    /* f() brings a preconditioner made by Operator::from up to date when changed() is called on it, or when a solver
       with the method "auto" finds that this pays; f returns nothing, or an integer that ends the call unless it
       is 0. */
    template <class F> void set_refresh(F f) {
        detail::keep(std::make_unique<F>(std::move(f)),
                     [&](void *user) { return rkn_operator_set_refresh(get(), refresh<F>, user, detail::release<F>); });
    }
    void clear_refresh() {
        detail::call([&] { return rkn_operator_set_refresh(get(), nullptr, nullptr, nullptr); });
    }

    /* New numbers for a copied matrix, in the layout of its creation (coo, matrix_market: of the assembled rows). */
    template <class V> void set_values(const V &values) {
        need_scalar<detail::value<const V>>("Operator::set_values", "values");
        if (nvalues_ != unknown) detail::need_size("Operator::set_values", "values", detail::length(values), nvalues_);
        detail::call([&] { return rkn_operator_set_values(get(), std::data(values)); });
    }

    /* The kernel of A (side::right) or of A^H (side::left); the vectors are copied. */
    template <class V> void set_nullspace(side which, const V &vectors) {
        const auto v = as_columns(vectors);
        need_scalar<std::remove_cv_t<std::remove_pointer_t<decltype(v.data())>>>("Operator::set_nullspace", "vectors");
        detail::need_size("Operator::set_nullspace", "vectors", v.rows(),
                          which == side::right ? shape().ncols : shape().nrows);
        detail::call([&] {
            return rkn_operator_set_nullspace(get(), static_cast<rkn_side>(which), v.cols(), v.data(), v.ld());
        });
    }
    void clear_nullspace(side which) {
        detail::call([&] { return rkn_operator_set_nullspace(get(), static_cast<rkn_side>(which), 0, nullptr, 1); });
    }

    /* y <- op(A) x, for vectors or for rkn::columns. */
    template <class X, class Y> void apply(const X &x, Y &&y, trans op = trans::N) const {
        const auto cx = as_columns(x);
        const auto cy = as_columns(y);
        using T = std::remove_pointer_t<decltype(cy.data())>;
        static_assert(!std::is_const_v<T>, "y is written to");
        static_assert(std::is_same_v<std::remove_cv_t<std::remove_pointer_t<decltype(cx.data())>>, T>,
                      "x and y are of one type");
        need_scalar<T>("Operator::apply", "x");
        const rkn::shape s = shape();
        detail::need_size("Operator::apply", "x", cx.rows(), op == trans::N ? s.ncols : s.nrows);
        detail::need_size("Operator::apply", "y", cy.rows(), op == trans::N ? s.nrows : s.ncols);
        if (cx.cols() != cy.cols())
            detail::fail(RKN_ERR_SIZE, "Operator::apply", "y", "must have as many columns as x");
        detail::call([&] {
            return rkn_operator_apply(get(), static_cast<rkn_trans>(op), cx.cols(), cx.data(), cx.ld(), cy.data(),
                                      cy.ld());
        });
    }

    rkn::shape shape() const {
        rkn::shape s{0, 0};
        detail::call([&] { return rkn_operator_shape(get(), &s.nrows, &s.ncols); });
        return s;
    }
    rkn::scalar scalar() const {
        rkn_scalar s = 0;
        detail::call([&] { return rkn_operator_scalar(get(), &s); });
        return static_cast<rkn::scalar>(s);
    }
    void set(text key, std::int64_t value) {
        detail::call([&] { return rkn_operator_set_int(get(), key.get(), value); });
    }
    std::int64_t get_int(text key) const {
        std::int64_t value = 0;
        detail::call([&] { return rkn_operator_get_int(get(), key.get(), &value); });
        return value;
    }
    std::string view() const {
        return detail::string_from(
            [&](char *buf, std::int64_t cap, std::int64_t *need) { return rkn_operator_view(get(), buf, cap, need); });
    }

    rkn_operator *get() const noexcept { return handle_.get(); }
    rkn_operator *release() noexcept { return handle_.release(); }
    static Operator adopt(rkn_operator *handle) noexcept {
        Operator A;
        *A.handle_.out() = handle;
        A.nvalues_ = unknown;
        return A;
    }

private:
    friend class Krylov;
    friend class Geometry;
    friend class Sinkhorn;
    static constexpr std::int64_t unknown = -1;

    Operator() noexcept = default;

    template <class Make> static Operator make(std::int64_t nvalues, Make &&c_function) {
        Operator A;
        A.nvalues_ = nvalues;
        detail::call([&] { return c_function(A.handle_.out()); });
        return A;
    }

    // set_values then takes the assembled rows.
    template <class Make> static Operator make_assembled(Make &&c_function) {
        Operator A = make(0, c_function);
        A.nvalues_ = A.get_int("entries");
        return A;
    }

    // The lengths that C cannot see, and the tag of the indices.
    template <class P, class J, class V, class Memory>
    static rkn_index check_compressed(const char *function, const char *ptr_name, const char *ind_name, std::int64_t n,
                                      const P &ptr, const J &ind, const V &values, std::int32_t base,
                                      std::int64_t values_each, Memory) {
        detail::check_lent<Memory, P, J, V>();
        using I = detail::value<P>;
        static_assert(std::is_same_v<I, detail::value<J>>, "pointers and indices are of one type");
        if (n >= 0 && n < std::numeric_limits<std::int64_t>::max()) {
            detail::need_size(function, ptr_name, detail::length(ptr), n + 1);
            const std::int64_t end = std::data(ptr)[n];
            const std::int64_t nnz = end > base ? end - base : 0;
            detail::need_at_least(function, ind_name, detail::length(ind), nnz);
            detail::need_at_least(function, "values", detail::length(values), detail::product(nnz, values_each));
        }
        return detail::index_tag<I>();
    }

    template <class P, class J, class V, class Memory>
    static Operator csr_triangle(std::int32_t hermitian, std::int64_t n, triangle stored, P &&rowptr, J &&colind,
                                 V &&values, Memory memory, std::int32_t base, context_ref ctx) {
        const rkn_index index =
            check_compressed<P, J, V>(hermitian ? "Operator::csr_hermitian" : "Operator::csr_symmetric", "rowptr",
                                      "colind", n, rowptr, colind, values, base, 1, memory);
        return make(detail::length(values), [&](rkn_operator **out) {
            return rkn_operator_create_csr_symmetric(
                ctx.get(), detail::tag<detail::value<V>>, n, static_cast<rkn_triangle>(stored), hermitian, index, base,
                std::data(rowptr), std::data(colind), std::data(values), Memory::value, out);
        });
    }

    template <class T, class F>
    static Operator make_callback(std::int64_t nrows, std::int64_t ncols, F f, rkn_apply_fn apply, context_ref ctx) {
        auto held = std::make_unique<held_callable<F>>(held_callable<F>{std::move(f), nrows, ncols});
        Operator A;
        detail::keep(std::move(held), [&](void *user) {
            return rkn_operator_create_callback(ctx.get(), detail::tag<T>, nrows, ncols, apply, user,
                                                detail::release<held_callable<F>>, A.handle_.out());
        });
        return A;
    }

    template <class F> struct held_callable {
        F f;
        std::int64_t nrows, ncols;
    };

    template <class F, class X, class Y> static std::int32_t apply_one(F &f, X x, Y y, trans op) {
        if constexpr (std::is_invocable_v<F &, X &, Y &, trans>) {
            return detail::result_of(f, x, y, op);
        } else {
            static_assert(std::is_invocable_v<F &, X &, Y &>, "the callable takes (x, y) or (x, y, rkn::trans)");
            if (op != trans::N)
                throw error(RKN_ERR_UNSUPPORTED,
                            "rkn::Operator::from: the callable takes no rkn::trans, so the operator has no transpose");
            return detail::result_of(f, x, y);
        }
    }

    template <class T, class F>
    static std::int32_t apply_columnwise(void *user, rkn_trans op, std::int64_t ncols, const void *x, std::int64_t ldx,
                                         void *y, std::int64_t ldy) {
        return detail::guarded([&]() -> std::int32_t {
            auto &held = *static_cast<held_callable<F> *>(user);
            const bool plain = op == RKN_N;
            const columns<const T> X(static_cast<const T *>(x), plain ? held.ncols : held.nrows, ncols, ldx);
            const columns<T> Y(static_cast<T *>(y), plain ? held.nrows : held.ncols, ncols, ldy);
            for (std::int64_t j = 0; j < ncols; ++j)
                if (const std::int32_t rc = apply_one(held.f, X.column(j), Y.column(j), static_cast<trans>(op)))
                    return rc;
            return 0;
        });
    }

    template <class T, class F>
    static std::int32_t apply_block(void *user, rkn_trans op, std::int64_t ncols, const void *x, std::int64_t ldx,
                                    void *y, std::int64_t ldy) {
        return detail::guarded([&] {
            auto &held = *static_cast<held_callable<F> *>(user);
            const bool plain = op == RKN_N;
            return apply_one(
                held.f, columns<const T>(static_cast<const T *>(x), plain ? held.ncols : held.nrows, ncols, ldx),
                columns<T>(static_cast<T *>(y), plain ? held.nrows : held.ncols, ncols, ldy), static_cast<trans>(op));
        });
    }

    template <class F> static std::int32_t refresh(void *user) {
        return detail::guarded([&] { return detail::result_of(*static_cast<F *>(user)); });
    }

    template <class V> static auto as_columns(V &v) {
        static_assert(detail::in_memory<V>, "an expression has no elements in memory: evaluate it into a variable first");
        if constexpr (detail::is_columns<std::remove_cv_t<V>>::value) {
            return v;
        } else if constexpr (detail::is_block<V>) {
            return matrix_view<std::remove_cv_t<V>>::of(v);
        } else {
            const std::int64_t n = detail::length(v);
            return columns<detail::element<V>>(std::data(v), n, 1, std::max<std::int64_t>(n, 1));
        }
    }

    template <class T> void need_scalar(const char *function, const char *argument) const {
        if (scalar() != scalar_of<T>)
            detail::fail(RKN_ERR_SCALAR, function, argument, "has another element type than the operator");
    }

    detail::owner<rkn_operator, rkn_operator_destroy> handle_;
    std::int64_t nvalues_ = 0;
};

// ---------------------------------------------------------------- krylov

/* How a solve ended. */
struct result {
    rkn_status status;               // RKN_OK or one of RKN_STOP_...
    std::int64_t iterations;
    std::int64_t applies;            // of the operator, those for the recycled space included
    double residual_norm;            // ||b - A x||
    double relative_residual;
    std::string message;             // empty when converged

    bool converged() const noexcept { return status == RKN_OK; }
    explicit operator bool() const noexcept { return converged(); }
    const char *name() const noexcept { return rkn_status_name(status); }
};

/* How one column of a block solve ended. */
struct column_result {
    rkn_status status;               // RKN_OK, one of RKN_STOP_... or an error of this column
    std::int64_t iterations;
    double residual_norm;            // ||b - A x||

    bool converged() const noexcept { return status == RKN_OK; }
    explicit operator bool() const noexcept { return converged(); }
    const char *name() const noexcept { return rkn_status_name(status); }
};

struct option {
    std::string key, type, doc;
};

/* What a solve wants of the program that began it by Krylov::start. The arrays are the library's, and valid until the
   next step of the same solver. */
class request {
public:
    request(rkn_status status, const rkn_request *r) noexcept : status_(status), r_(r) {}

    bool done() const noexcept { return r_->kind == RKN_REQUEST_DONE; }
    rkn_status status() const noexcept { return status_; }       // when done: RKN_OK or one of RKN_STOP_...
    rkn_request_kind kind() const noexcept { return r_->kind; }

    /* A product: y <- op(A) x. */
    trans op() const noexcept { return static_cast<trans>(r_->trans); }
    template <class T = double> columns<const T> x() const {
        need_product<T>();
        return {static_cast<const T *>(r_->x), r_->nx, r_->ncols, r_->ldx};
    }
    template <class T = double> columns<T> y() const {
        need_product<T>();
        return {static_cast<T *>(r_->y), r_->ny, r_->ncols, r_->ldy};
    }

    /* A reduction: to be combined over all ranks in place, the same bits on each. */
    rkn::reduction reduction() const noexcept { return static_cast<rkn::reduction>(r_->op); }
    span<double> inout() const noexcept { return {r_->inout, static_cast<std::size_t>(r_->n)}; }

private:
    template <class T> void need_product() const {
        if (!r_->y) detail::fail(RKN_ERR_STATE, "request", "kind", "is no product, and has no columns");
        if (r_->scalar != detail::tag<T>)
            detail::fail(RKN_ERR_SCALAR, "request", "T", "is another element type than the operator's");
    }

    rkn_status status_;
    const rkn_request *r_;
};

/* A linear solver with memory: "cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg",
   "cocr" or "auto". */
class Krylov {
public:
    explicit Krylov(text method, context_ref ctx = {}) {
        detail::call([&] { return rkn_krylov_create(ctx.get(), method.get(), handle_.out()); });
    }

    template <class I, std::enable_if_t<std::is_integral_v<I>, int> = 0> void set(text key, I value) {
        if constexpr (std::is_unsigned_v<I> && sizeof(I) >= sizeof(std::int64_t))
            if (value > static_cast<I>(std::numeric_limits<std::int64_t>::max()))
                detail::fail(RKN_ERR_ARGUMENT, "Krylov::set", "value", "does not fit into 64 bits with a sign");
        detail::call([&] { return rkn_krylov_set_int(get(), key.get(), static_cast<std::int64_t>(value)); });
    }
    template <class R, std::enable_if_t<std::is_floating_point_v<R>, long> = 0> void set(text key, R value) {
        detail::call([&] { return rkn_krylov_set_real(get(), key.get(), static_cast<double>(value)); });
    }
    void set(text key, text value) {
        detail::call([&] { return rkn_krylov_set_string(get(), key.get(), value.get()); });
    }
    /* "restart=40 recycle=20" */
    void options(text options) {
        detail::call([&] { return rkn_krylov_set_options(get(), options.get()); });
    }

    std::int64_t get_int(text key) const {
        std::int64_t value = 0;
        detail::call([&] { return rkn_krylov_get_int(get(), key.get(), &value); });
        return value;
    }
    double get_real(text key) const {
        double value = 0;
        detail::call([&] { return rkn_krylov_get_real(get(), key.get(), &value); });
        return value;
    }
    std::string get_string(text key) const {
        return detail::string_from([&](char *buf, std::int64_t cap, std::int64_t *need) {
            return rkn_krylov_get_string(get(), key.get(), buf, cap, need);
        });
    }

    /* f(const rkn_progress &) after each iteration; returns nothing, or true to stop here. */
    template <class F> void set_monitor(F f) {
        detail::keep(std::make_unique<F>(std::move(f)),
                     [&](void *user) { return rkn_krylov_set_monitor(get(), detail::monitor<F>, user, detail::release<F>); });
    }
    void clear_monitor() {
        detail::call([&] { return rkn_krylov_set_monitor(get(), nullptr, nullptr, nullptr); });
    }

    /* f(rkn_event event, bool begins, double flops, double bytes) at the begin and the end of each phase of a solve. */
    template <class F> void set_events(F f) {
        detail::keep(std::make_unique<F>(std::move(f)),
                     [&](void *user) { return rkn_krylov_set_events(get(), events<F>, user, detail::release<F>); });
    }
    void clear_events() {
        detail::call([&] { return rkn_krylov_set_events(get(), nullptr, nullptr, nullptr); });
    }

    /* bool f(int64_t iteration, double residual_norm, double target): true accepts the iterate. */
    template <class F> void set_converged(F f) {
        detail::keep(std::make_unique<F>(std::move(f)), [&](void *user) {
            return rkn_krylov_set_converged(get(), converged<F>, user, detail::release<F>);
        });
    }
    void clear_converged() {
        detail::call([&] { return rkn_krylov_set_converged(get(), nullptr, nullptr, nullptr); });
    }

    /* f(rkn::columns<const T> X, rkn::columns<const T> Y, rkn::columns<W> out): out <- X^H Y, this rank's part, with
       W double, or std::complex<double> for complex T. */
    template <class T = double, class F> void set_inner(F f) {
        detail::keep(std::make_unique<F>(std::move(f)),
                     [&](void *user) { return rkn_krylov_set_inner(get(), inner<T, F>, user, detail::release<F>); });
    }
    void clear_inner() {
        detail::call([&] { return rkn_krylov_set_inner(get(), nullptr, nullptr, nullptr); });
    }

    /* <x, y> = sum w_i conj(x_i) y_i; copied. */
    template <class W> void set_weights(const W &weights) {
        static_assert(std::is_same_v<detail::value<const W>, double>, "weights are double");
        detail::call([&] { return rkn_krylov_set_weights(get(), detail::length(weights), detail::present(std::data(weights))); });
    }
    void clear_weights() {
        detail::call([&] { return rkn_krylov_set_weights(get(), 0, nullptr); });
    }

    /* Solves (S1 A S2^-1)(S2 x) = S1 b with the diagonals S1 = left, S2 = right; nullptr stands for ones. Copied. */
    template <class L, class R> void set_scaling(const L &left, const R &right) {
        static_assert(std::is_same_v<detail::value<const L>, double> && std::is_same_v<detail::value<const R>, double>,
                      "scalings are double");
        detail::need_size("Krylov::set_scaling", "right", detail::length(right), detail::length(left));
        detail::call([&] {
            return rkn_krylov_set_scaling(get(), detail::length(left), detail::present(std::data(left)), detail::present(std::data(right)));
        });
    }
    template <class L> void set_scaling(const L &left, std::nullptr_t) {
        static_assert(std::is_same_v<detail::value<const L>, double>, "scalings are double");
        detail::call([&] { return rkn_krylov_set_scaling(get(), detail::length(left), detail::present(std::data(left)), nullptr); });
    }
    template <class R> void set_scaling(std::nullptr_t, const R &right) {
        static_assert(std::is_same_v<detail::value<const R>, double>, "scalings are double");
        detail::call([&] { return rkn_krylov_set_scaling(get(), detail::length(right), nullptr, detail::present(std::data(right))); });
    }
    void clear_scaling() {
        detail::call([&] { return rkn_krylov_set_scaling(get(), 0, nullptr, nullptr); });
    }

    /* Checks and allocates ahead of the first solve. */
    void prepare(const Operator &A) {
        detail::call([&] { return rkn_krylov_prepare(get(), A.get(), nullptr); });
    }
    void prepare(const Operator &A, const Operator &M) {
        need_operator("Krylov::prepare", M);
        detail::call([&] { return rkn_krylov_prepare(get(), A.get(), M.get()); });
    }

    /* A x = b, with the preconditioner M or the one that the options name. x is the initial guess too if the option
       initial_guess is "x". Where b and x are rkn::columns, or matrices of which one knows how to read them as such,
       this is solve_block. */
    template <class B, class X> result solve(const Operator &A, const B &b, X &&x) {
        return solve_with(A, nullptr, b, x);
    }
    template <class B, class X> result solve(const Operator &A, const Operator &M, const B &b, X &&x) {
        need_operator("Krylov::solve", M);
        return solve_with(A, M.get(), b, x);
    }

    /* A X = B for several right-hand sides in lockstep. B and X are rkn::columns (or vectors) with the rows of A, of
       one number of columns and apart in memory; what lies between columns is not touched. A step applies A and M to
       all columns at once. Each column goes on to its own end, and with its own memory in the next solve. The result
       has the iterations and norms of the longest column, the applies of all, and the status of the first column that
       misses its tolerance; where that is an error it is thrown, after the others have ended. */
    template <class B, class X> result solve_block(const Operator &A, const B &b, X &&x) {
        return solve_block_with(A, nullptr, b, x);
    }
    template <class B, class X> result solve_block(const Operator &A, const Operator &M, const B &b, X &&x) {
        need_operator("Krylov::solve_block", M);
        return solve_block_with(A, M.get(), b, x);
    }
    /* How the columns of the last solve ended, one by one. */
    std::vector<column_result> column_results() const {
        std::vector<double> norms;
        std::vector<rkn_status> statuses;
        const std::vector<std::int64_t> iterations =
            detail::vector_from<std::int64_t>([&](std::int64_t *counts, std::int64_t cap, std::int64_t *need) {
                norms.resize(static_cast<std::size_t>(cap));
                statuses.resize(static_cast<std::size_t>(cap));
                return rkn_krylov_columns(get(), counts, norms.data(), statuses.data(), cap, need);
            });
        std::vector<column_result> ends;
        for (std::size_t j = 0; j < iterations.size(); ++j) ends.push_back({statuses[j], iterations[j], norms[j]});
        return ends;
    }

    /* The same solve by requests (reverse communication): next() says what is wanted, until request::done. b and x
       must stay where they are until then. Callables that stand beside the requests are called by next(); if one
       throws, the solve is cancelled and next() throws. */
    template <class B, class X> void start(const Operator &A, B &&b, X &x) {
        need_lasting<B>();
        start_with(A, nullptr, b, x);
    }
    template <class B, class X> void start(const Operator &A, const Operator &M, B &&b, X &x) {
        need_lasting<B>();
        need_operator("Krylov::start", M);
        start_with(A, M.get(), b, x);
    }
    /* solve_block by requests. A request for a product has as many columns as wait for one. */
    template <class B, class X> void start_block(const Operator &A, B &&b, X &x) {
        need_lasting<B>();
        start_block_with(A, nullptr, b, x);
    }
    template <class B, class X> void start_block(const Operator &A, const Operator &M, B &&b, X &x) {
        need_lasting<B>();
        need_operator("Krylov::start_block", M);
        start_block_with(A, M.get(), b, x);
    }
    /* prepare, where that takes requests. */
    void start_prepare(const Operator &A) {
        detail::call([&] { return rkn_krylov_start_prepare(get(), A.get(), nullptr); });
    }
    void start_prepare(const Operator &A, const Operator &M) {
        need_operator("Krylov::start_prepare", M);
        detail::call([&] { return rkn_krylov_start_prepare(get(), A.get(), M.get()); });
    }
    /* failed: not 0 if the last request could not be served; the solve then ends. */
    request next(std::int32_t failed = 0) {
        const rkn_request *r = nullptr;
        const rkn_status status = detail::call([&] {
            const rkn_status rc = rkn_krylov_next(get(), failed, &r);
            if (detail::thrown()) (void)rkn_krylov_cancel(get());
            return rc;
        });
        return {status, r};
    }
    /* Ends the solve that is under way, if there is one. */
    void cancel() {
        detail::call([&] { return rkn_krylov_cancel(get()); });
    }

    /* Residual norms of the last solve, the first one before any iteration. */
    std::vector<double> history() const {
        return detail::vector_from<double>([&](double *norms, std::int64_t cap, std::int64_t *need) {
            return rkn_krylov_history(get(), norms, cap, need);
        });
    }

    /* Throws the memory away, keeps the options. */
    void forget() {
        detail::call([&] { return rkn_krylov_forget(get()); });
    }
    /* What is really in force. */
    std::string view() const {
        return detail::string_from(
            [&](char *buf, std::int64_t cap, std::int64_t *need) { return rkn_krylov_view(get(), buf, cap, need); });
    }

    /* How the last solve went and why. */
    std::string report() const {
        return detail::string_from(
            [&](char *buf, std::int64_t cap, std::int64_t *need) { return rkn_krylov_report(get(), buf, cap, need); });
    }
    /* The (harmonic) Ritz values of the vectors kept, the smallest in modulus first; with diagnostics=on. */
    std::vector<std::complex<double>> ritz_values() const {
        std::vector<double> im;
        const std::vector<double> re =
            detail::vector_from<double>([&](double *real, std::int64_t cap, std::int64_t *need) {
                im.resize(static_cast<std::size_t>(cap));
                return rkn_krylov_ritz_values(get(), real, cap ? im.data() : nullptr, cap, need);
            });
        std::vector<std::complex<double>> values;
        for (std::size_t i = 0; i < re.size(); ++i) values.emplace_back(re[i], im[i]);
        return values;
    }
    /* The principal angles between the space before its last update and after it, ascending; with diagnostics=on. */
    std::vector<double> angles() const {
        return detail::vector_from<double>([&](double *angles, std::int64_t cap, std::int64_t *need) {
            return rkn_krylov_angles(get(), angles, cap, need);
        });
    }

    /* The learned space for systems of order n: columns of n elements, one after the other, the most wanted first. */
    template <class T = double> std::vector<T> space(std::int64_t n) const {
        std::int64_t count = 0;
        detail::call([&] { return rkn_krylov_get_space(get(), detail::tag<T>, n, 0, nullptr, n, &count); });
        std::vector<T> U(static_cast<std::size_t>(detail::product(n, count)));
        detail::call([&] {
            return rkn_krylov_get_space(get(), detail::tag<T>, n, count, count ? U.data() : nullptr, n, &count);
        });
        return U;
    }
    /* The space to start the next solve with: rkn::columns, or one vector. Copied. */
    template <class V> void set_space(const V &vectors) {
        const auto v = Operator::as_columns(vectors);
        using T = std::remove_cv_t<std::remove_pointer_t<decltype(v.data())>>;
        detail::call([&] {
            return rkn_krylov_set_space(get(), detail::tag<T>, v.rows(), v.cols(), v.data(), v.ld());
        });
    }
    /* Keeps the first ncols vectors at most. */
    void truncate(std::int64_t ncols) {
        detail::call([&] { return rkn_krylov_truncate(get(), ncols); });
    }
    /* Carries what was learned over to a mesh of n unknowns by f(rkn::span<const T> x, rkn::span<T> y), which writes
       into y the vector x on that mesh. f returns nothing, or an integer that ends the call unless it is 0. T is
       the element type of the systems solved. */
    template <class T = double, class F> void prolongate(std::int64_t n, F &&f) {
        // Functions have no address that a void * may hold; this has.
        auto held = [&f](span<const T> x, span<T> y) { return f(x, y); };
        std::int64_t count = 0;
        detail::call([&] {
            // The library hands out plain addresses: a wrong T is found here or never.
            const rkn_status rc = rkn_krylov_get_space(get(), detail::tag<T>, 0, 0, nullptr, 0, &count);
            if (rc < 0) return rc;
            return rkn_krylov_prolongate(get(), n, prolongation<T, decltype(held)>, &held);
        });
    }

    /* What was learned, as bytes that are the same on every machine. */
    std::vector<std::byte> save() {
        return detail::vector_from<std::byte>([&](std::byte *bytes, std::int64_t cap, std::int64_t *need) {
            return rkn_krylov_save(get(), bytes, cap, need);
        });
    }
    /* The state that save saved, into a solver with the same options; A and M are those of its last solve. */
    template <class Bytes> void load(const Operator &A, const Bytes &bytes) { load_with(A, nullptr, bytes); }
    template <class Bytes> void load(const Operator &A, const Operator &M, const Bytes &bytes) {
        need_operator("Krylov::load", M);
        load_with(A, M.get(), bytes);
    }
    /* A solver with the same options and in the same state, without monitor and convergence test. */
    Krylov clone() {
        Krylov s{nullptr};
        detail::call([&] { return rkn_krylov_clone(get(), s.handle_.out()); });
        return s;
    }
    /* Marks the state that rollback goes back to. */
    void mark() {
        detail::call([&] { return rkn_krylov_mark(get()); });
    }
    /* As if the solves since mark had not been. */
    void rollback() {
        detail::call([&] { return rkn_krylov_rollback(get()); });
    }

    /* The i-th option of the registry, nothing past the end. */
    static std::optional<option> option_at(std::int64_t i) {
        const char *key = nullptr, *type = nullptr, *doc = nullptr;
        const rkn_status status = rkn_krylov_option(i, &key, &type, &doc);
        if (status == RKN_ERR_INDEX) return std::nullopt;
        if (status < 0) throw error(status, rkn_last_error());
        return option{key, type, doc};
    }

    rkn_krylov *get() const noexcept { return handle_.get(); }
    rkn_krylov *release() noexcept { return handle_.release(); }
    static Krylov adopt(rkn_krylov *handle) noexcept {
        Krylov s{nullptr};
        *s.handle_.out() = handle;
        return s;
    }

private:
    explicit Krylov(std::nullptr_t) noexcept {}

    static void need_operator(const char *function, const Operator &M) {
        if (!M.get()) detail::fail(RKN_ERR_NULL, function, "M", "was moved from");
    }

    template <class B> static constexpr void need_lasting() {
        static_assert(detail::lasts<B>, "b is a temporary, and must stay where it is until the solve is done: name it");
    }

    template <class B, class X> static void need_system(const char *function, const Operator &A, const B &b, X &x) {
        using T = detail::element<X>;
        static_assert(!std::is_const_v<T>, "x is written to");
        static_assert(std::is_same_v<detail::value<const B>, T>, "b and x are of one type");
        A.need_scalar<T>(function, "x");
        const shape s = A.shape();
        detail::need_size(function, "b", detail::length(b), s.nrows);
        detail::need_size(function, "x", detail::length(x), s.ncols);
    }

    /* The columns of B and X, checked. */
    template <class B, class X> static auto need_block(const char *function, const Operator &A, const B &b, X &x) {
        const auto cb = Operator::as_columns(b);
        const auto cx = Operator::as_columns(x);
        using T = std::remove_pointer_t<decltype(cx.data())>;
        static_assert(!std::is_const_v<T>, "X is written to");
        static_assert(std::is_same_v<std::remove_cv_t<std::remove_pointer_t<decltype(cb.data())>>, T>,
                      "B and X are of one type");
        A.need_scalar<T>(function, "X");
        const shape s = A.shape();
        detail::need_size(function, "B", cb.rows(), s.nrows);
        detail::need_size(function, "X", cx.rows(), s.ncols);
        if (cb.cols() != cx.cols()) detail::fail(RKN_ERR_SIZE, function, "X", "must have as many columns as B");
        return std::make_pair(cb, cx);
    }

    template <class B, class X> void start_with(const Operator &A, const rkn_operator *M, const B &b, X &x) {
        static_assert(detail::in_memory<B, X>, "an expression has no elements in memory: evaluate it into a variable first");
        need_system("Krylov::start", A, b, x);
        detail::call([&] { return rkn_krylov_start(get(), A.get(), M, std::data(b), std::data(x)); });
    }

    template <class B, class X> void start_block_with(const Operator &A, const rkn_operator *M, const B &b, X &x) {
        const auto block = need_block("Krylov::start_block", A, b, x);
        detail::call([&] {
            return rkn_krylov_start_block(get(), A.get(), M, block.first.cols(), block.first.data(), block.first.ld(),
                                          block.second.data(), block.second.ld());
        });
    }

    template <class B, class X> result solve_with(const Operator &A, const rkn_operator *M, const B &b, X &x) {
        if constexpr (detail::is_block<B> || detail::is_block<X>) {
            return solve_block_with(A, M, b, x);
        } else {
            static_assert(detail::in_memory<B, X>, "an expression has no elements in memory: evaluate it into a variable first");
            need_system("Krylov::solve", A, b, x);
            return outcome_of([&] { return rkn_krylov_solve(get(), A.get(), M, std::data(b), std::data(x)); });
        }
    }

    template <class B, class X> result solve_block_with(const Operator &A, const rkn_operator *M, const B &b, X &x) {
        const auto block = need_block("Krylov::solve_block", A, b, x);
        return outcome_of([&] {
            return rkn_krylov_solve_block(get(), A.get(), M, block.first.cols(), block.first.data(), block.first.ld(),
                                          block.second.data(), block.second.ld());
        });
    }

    // Runs a solve and reads off how it ended.
    template <class F> result outcome_of(F &&f) {
        std::string message;
        const rkn_status status = detail::call([&] {
            const rkn_status rc = f();
            if (rc > 0) message = rkn_last_error();
            return rc;
        });
        return result{status,
                      get_int("iterations"),
                      get_int("applies"),
                      get_real("residual_norm"),
                      get_real("relative_residual"),
                      std::move(message)};
    }

    template <class Bytes> void load_with(const Operator &A, const rkn_operator *M, const Bytes &bytes) {
        static_assert(sizeof(detail::element<const Bytes>) == 1, "a state is saved as bytes");
        detail::call([&] {
            return rkn_krylov_load(get(), A.get(), M, std::data(bytes), detail::length(bytes));
        });
    }

    template <class T, class F>
    static std::int32_t prolongation(void *user, std::int64_t n, const void *x, std::int64_t n_new, void *y) {
        return detail::guarded([&] {
            return detail::result_of(*static_cast<F *>(user),
                                     span<const T>(static_cast<const T *>(x), static_cast<std::size_t>(n)),
                                     span<T>(static_cast<T *>(y), static_cast<std::size_t>(n_new)));
        });
    }

    template <class F> static void events(void *user, rkn_event event, std::int32_t begins, double flops, double bytes) {
        (void)detail::guarded([&]() -> std::int32_t {
            (*static_cast<F *>(user))(event, begins != 0, flops, bytes);
            return 0;
        });
    }

    template <class F>
    static std::int32_t converged(void *user, std::int64_t iteration, double residual_norm, double target,
                                  std::int32_t *accept) {
        return detail::guarded([&]() -> std::int32_t {
            static_assert(std::is_same_v<std::invoke_result_t<F &, std::int64_t, double, double>, bool>,
                          "a convergence test returns bool");
            *accept = (*static_cast<F *>(user))(iteration, residual_norm, target) ? 1 : 0;
            return 0;
        });
    }

    template <class T, class F>
    static std::int32_t inner(void *user, std::int64_t n, std::int64_t k, const void *x, std::int64_t ldx,
                              std::int64_t l, const void *y, std::int64_t ldy, double *out) {
        using W = typename detail::scalar_of<T>::wide;
        return detail::guarded([&] {
            return detail::result_of(*static_cast<F *>(user), columns<const T>(static_cast<const T *>(x), n, k, ldx),
                                     columns<const T>(static_cast<const T *>(y), n, l, ldy),
                                     columns<W>(reinterpret_cast<W *>(out), k, l));
        });
    }

    detail::owner<rkn_krylov, rkn_krylov_destroy> handle_;
};

// ---------------------------------------------------------------- sequence

/* The order in which to solve systems so that neighbours in it are similar: indices from 0, the first to be solved
   first. A column of parameters is one system. options: "method=chain two_opt=5". */
inline std::vector<std::int64_t> sequence_order(columns<const double> parameters, text options = "",
                                                context_ref ctx = {}) {
    std::vector<std::int64_t> order(parameters.cols() > 0 ? static_cast<std::size_t>(parameters.cols()) : 0);
    detail::call([&] {
        return rkn_sequence_order(ctx.get(), parameters.cols(), parameters.rows(), parameters.data(), parameters.ld(),
                                  options.get(), order.data());
    });
    return order;
}

/* The sum of the distances from each system to the next, as they stand or in an order. */
inline double sequence_length(columns<const double> parameters, context_ref ctx = {}) {
    double length = 0;
    detail::call([&] {
        return rkn_sequence_length(ctx.get(), parameters.cols(), parameters.rows(), parameters.data(), parameters.ld(),
                                   nullptr, &length);
    });
    return length;
}
inline double sequence_length(columns<const double> parameters, const std::vector<std::int64_t> &order,
                              context_ref ctx = {}) {
    detail::need_size("sequence_length", "order", detail::length(order), parameters.cols());
    double length = 0;
    detail::call([&] {
        return rkn_sequence_length(ctx.get(), parameters.cols(), parameters.rows(), parameters.data(), parameters.ld(),
                                   order.data(), &length);
    });
    return length;
}

// ---------------------------------------------------------------- geometry

/* What transport costs: C, of n rows and m columns. Solvers keep what they need of it. */
class Geometry {
public:
    /* n x m costs, float or double, with leading dimension ld (0: packed). */
    template <class V, class Memory>
    static Geometry matrix(std::int64_t n, std::int64_t m, order storage, V &&C, Memory, std::int64_t ld = 0,
                           context_ref ctx = {}) {
        detail::check_lent<Memory, V>();
        const std::int64_t line = storage == order::row_major ? m : n, lines = storage == order::row_major ? n : m;
        if (ld == 0) ld = std::max<std::int64_t>(line, 1);
        if (line > 0 && lines > 0 && ld >= line) {
            const std::int64_t before = detail::product(lines - 1, ld);
            detail::need_at_least("Geometry::matrix", "C", detail::length(C),
                                  before + std::min(line, std::numeric_limits<std::int64_t>::max() - before));
        }
        return make([&](rkn_geometry **out) {
            return rkn_geometry_create_matrix(ctx.get(), detail::tag<detail::value<V>>, n, m,
                                              static_cast<rkn_order>(storage), std::data(C), ld, Memory::value, out);
        });
    }

    /* (sum_k w_k |x_k - y_k|^p)^(q/p) from points x to points y: rkn::columns of double, a column a point. p = q = 2 is the
       squared Euclidean distance. weights: w, one an axis; periods: lengths of the box, 0 where an axis does not close; either
       may be {}. All copied. */
    template <class X, class Y, class W = span<const double>, class P = span<const double>>
    static Geometry points(const X &x, const Y &y, double p = 2, double q = 2, const W &weights = {}, const P &periods = {},
                           context_ref ctx = {}) {
        static_assert(std::is_same_v<detail::value<const W>, double> && std::is_same_v<detail::value<const P>, double>,
                      "weights and periods are double");
        const auto cx = doubles(x);
        const auto cy = doubles(y);
        const std::int64_t d = cx.rows();
        detail::need_size("Geometry::points", "y", cy.rows(), d);
        if (std::size(weights) > 0) detail::need_size("Geometry::points", "weights", detail::length(weights), d);
        if (std::size(periods) > 0) detail::need_size("Geometry::points", "periods", detail::length(periods), d);
        return make([&](rkn_geometry **out) {
            return rkn_geometry_create_points(ctx.get(), d, cx.cols(), cx.data(), cx.ld(), cy.cols(), cy.data(), cy.ld(), p, q,
                                              std::size(weights) > 0 ? std::data(weights) : nullptr,
                                              std::size(periods) > 0 ? std::data(periods) : nullptr, out);
        });
    }

    /* sum_k (h_k |i_k - j_k|)^p between the cells i and j of a grid of one to three axes, the last of which runs fastest. h:
       lengths of a cell; periodic: 1 where an axis closes; {} for ones and for none. */
    static Geometry grid(const std::vector<std::int64_t> &size, const std::vector<double> &h = {},
                         const std::vector<std::int32_t> &periodic = {}, double p = 2, context_ref ctx = {}) {
        const std::int64_t d = detail::length(size);
        if (!h.empty()) detail::need_size("Geometry::grid", "h", detail::length(h), d);
        if (!periodic.empty()) detail::need_size("Geometry::grid", "periodic", detail::length(periodic), d);
        return make([&](rkn_geometry **out) {
            return rkn_geometry_create_grid(ctx.get(), d, size.data(), h.empty() ? nullptr : h.data(),
                                            periodic.empty() ? nullptr : periodic.data(), p, out);
        });
    }

    /* n x m, only the entries in compressed rows allowed. rowptr: n + 1, colind and C (double): rowptr[n] - base. Copied. */
    template <class R, class J, class V>
    static Geometry sparse(std::int64_t n, std::int64_t m, const R &rowptr, const J &colind, const V &C, std::int32_t base = 0,
                           context_ref ctx = {}) {
        static_assert(std::is_same_v<detail::value<const V>, double>, "allowed costs are double");
        const rkn_index index = Operator::check_compressed<const R, const J, const V>("Geometry::sparse", "rowptr", "colind", n,
                                                                                      rowptr, colind, C, base, 1, copy);
        return make([&](rkn_geometry **out) {
            return rkn_geometry_create_sparse(ctx.get(), n, m, index, base, std::data(rowptr), std::data(colind),
                                              std::data(C), out);
        });
    }

    /* n x m, by a callable f(i, row) that writes row i into an rkn::span<double>, each time it is needed. f returns nothing, or
       an integer that ends the call unless it is 0. */
    template <class F> static Geometry rows(std::int64_t n, std::int64_t m, F f, context_ref ctx = {}) {
        Geometry G;
        detail::keep(std::make_unique<F>(std::move(f)), [&](void *user) {
            return rkn_geometry_create_callback(ctx.get(), n, m, row<F>, user, detail::release<F>, G.handle_.out());
        });
        return G;
    }

    rkn::shape shape() const {
        rkn::shape s{0, 0};
        detail::call([&] { return rkn_geometry_shape(get(), &s.nrows, &s.ncols); });
        return s;
    }

    rkn_geometry *get() const noexcept { return handle_.get(); }
    rkn_geometry *release() noexcept { return handle_.release(); }
    static Geometry adopt(rkn_geometry *handle) noexcept {
        Geometry G;
        *G.handle_.out() = handle;
        return G;
    }

private:
    friend class Sinkhorn;

    Geometry() noexcept = default;

    template <class Make> static Geometry make(Make &&c_function) {
        Geometry G;
        detail::call([&] { return c_function(G.handle_.out()); });
        return G;
    }

    template <class V> static columns<const double> doubles(const V &v) {
        const auto c = Operator::as_columns(v);
        static_assert(std::is_same_v<std::remove_cv_t<std::remove_pointer_t<decltype(c.data())>>, double>, "points and masses are double");
        return c;
    }

    template <class F> static std::int32_t row(void *user, std::int64_t i, std::int64_t m, double *room) {
        return detail::guarded([&] {
            return detail::result_of(*static_cast<F *>(user), i, span<double>(room, static_cast<std::size_t>(m)));
        });
    }

    detail::owner<rkn_geometry, rkn_geometry_destroy> handle_;
};

// ---------------------------------------------------------------- sinkhorn

/* How a transport solve ended. */
struct transport_result {
    rkn_status status;               // RKN_OK or one of RKN_STOP_...
    std::int64_t iterations;         // Sinkhorn's and Newton's
    double passes;                   // visits of all entries of the plan
    double cost;                     // <C, P>
    double marginal_error;           // L1 errors of both marginals over the mass, from the whole plan
    std::string message;             // empty when converged

    bool converged() const noexcept { return status == RKN_OK; }
    explicit operator bool() const noexcept { return converged(); }
    const char *name() const noexcept { return rkn_status_name(status); }
};

/* P_ij = exp((f_i + g_j - C_ij) / epsilon); -infinity where a point has no mass. */
struct transport_potentials {
    std::vector<double> f, g;
};

/* Entries of a plan in compressed rows, indices from 0. */
struct sparse_plan {
    std::vector<std::int64_t> rowptr, colind;
    std::vector<double> values;
};

/* Derivatives with respect to points, a column a point, packed. */
struct point_gradients {
    std::vector<double> x, y;
};

/* Derivatives with respect to masses, costs (by rows) and points; those not asked for are empty. */
struct transport_gradients {
    rkn_status status;               // RKN_OK or one of RKN_STOP_...
    std::vector<double> a, b, cost, x, y;

    bool converged() const noexcept { return status == RKN_OK; }
};

/* How the search for a barycentre ended; p are its masses on given points. */
struct barycenter_result {
    rkn_status status;               // RKN_OK or one of RKN_STOP_...
    std::int64_t iterations;         // or steps of moving points
    double passes;                   // visits of all entries of a plan
    double primal;                   // the weighted sum of what transport costs, with the entropy
    double marginal_error;           // of the worst input
    std::string message;             // empty when converged
    std::vector<double> p;

    bool converged() const noexcept { return status == RKN_OK; }
    explicit operator bool() const noexcept { return converged(); }
    const char *name() const noexcept { return rkn_status_name(status); }
};

/* A cloud of points, a column each, and their masses (alike if there are none). */
struct point_cloud {
    columns<const double> points;
    span<const double> masses = {};
};

/* One of several problems; the geometry must live through the call. */
struct transport_problem {
    const Geometry *G;
    span<const double> a, b;
};

/* How several problems ended. `status` is that of the first that did not converge, negative if it failed; f, g and cost of one that
   failed or is infeasible are empty and NaN, and the others do not suffer from it. */
struct batch_result {
    rkn_status status;
    std::string message;             // of that problem, empty if all converged
    std::vector<rkn_status> statuses;
    std::vector<double> costs;       // <C, P>
    std::vector<transport_potentials> potentials;

    bool converged() const noexcept { return status == RKN_OK; }
    explicit operator bool() const noexcept { return converged(); }
    const char *name() const noexcept { return rkn_status_name(status); }
};

/* What a divergence is, NaN where a solve stopped short; the rest is of the plan between a and b, with the passes of all three. */
struct divergence_result : transport_result {
    double value;
};

/* lower <= the exact cost of transport <= upper, up to rounding. */
struct transport_bounds {
    double lower, upper;
};

/* diag(x) P diag(y) + u v^T, which has the marginals of the problem. */
struct rounded_plan {
    std::vector<double> x, y, u, v;
};

/* Entropic optimal transport with memory: "auto", "sinkhorn" or "sns". */
class Sinkhorn {
public:
    explicit Sinkhorn(text method, context_ref ctx = {}) {
        detail::call([&] { return rkn_sinkhorn_create(ctx.get(), method.get(), handle_.out()); });
    }

    template <class I, std::enable_if_t<std::is_integral_v<I>, int> = 0> void set(text key, I value) {
        if constexpr (std::is_unsigned_v<I> && sizeof(I) >= sizeof(std::int64_t))
            if (value > static_cast<I>(std::numeric_limits<std::int64_t>::max()))
                detail::fail(RKN_ERR_ARGUMENT, "Sinkhorn::set", "value", "does not fit into 64 bits with a sign");
        detail::call([&] { return rkn_sinkhorn_set_int(get(), key.get(), static_cast<std::int64_t>(value)); });
    }
    template <class R, std::enable_if_t<std::is_floating_point_v<R>, long> = 0> void set(text key, R value) {
        detail::call([&] { return rkn_sinkhorn_set_real(get(), key.get(), static_cast<double>(value)); });
    }
    void set(text key, text value) {
        detail::call([&] { return rkn_sinkhorn_set_string(get(), key.get(), value.get()); });
    }
    /* "epsilon=1e-3 epsilon_relative=max" */
    void options(text options) {
        detail::call([&] { return rkn_sinkhorn_set_options(get(), options.get()); });
    }

    std::int64_t get_int(text key) const {
        std::int64_t value = 0;
        detail::call([&] { return rkn_sinkhorn_get_int(get(), key.get(), &value); });
        return value;
    }
    double get_real(text key) const {
        double value = 0;
        detail::call([&] { return rkn_sinkhorn_get_real(get(), key.get(), &value); });
        return value;
    }
    std::string get_string(text key) const {
        return detail::string_from([&](char *buf, std::int64_t cap, std::int64_t *need) {
            return rkn_sinkhorn_get_string(get(), key.get(), buf, cap, need);
        });
    }

    /* f(const rkn_progress &) after each iteration; returns nothing, or true to stop here. */
    template <class F> void set_monitor(F f) {
        detail::keep(std::make_unique<F>(std::move(f)), [&](void *user) {
            return rkn_sinkhorn_set_monitor(get(), detail::monitor<F>, user, detail::release<F>);
        });
    }
    void clear_monitor() {
        detail::call([&] { return rkn_sinkhorn_set_monitor(get(), nullptr, nullptr, nullptr); });
    }

    /* The plan between the masses a and b (double, not negative, of one sum), one for each row and column of G. */
    template <class A, class B> transport_result solve(const Geometry &G, const A &a, const B &b) {
        return solve_with("Sinkhorn::solve", G, a, b,
                          [&] { return rkn_sinkhorn_solve(get(), G.get(), std::data(a), std::data(b)); });
    }
    /* Sinkhorn's divergence between a and b, and the plan between them. Ga and Gb: the costs among the points of a, and of b. */
    template <class A, class B>
    divergence_result divergence(const Geometry &G, const Geometry &Ga, const Geometry &Gb, const A &a, const B &b) {
        double value = std::numeric_limits<double>::quiet_NaN();
        transport_result r = solve_with("Sinkhorn::divergence", G, a, b, [&] {
            return rkn_sinkhorn_divergence(get(), G.get(), Ga.get(), Gb.get(), std::data(a), std::data(b), &value);
        });
        return divergence_result{std::move(r), value};
    }
    /* The same where both are masses of the same points. */
    template <class A, class B> divergence_result divergence(const Geometry &G, const A &a, const B &b) {
        return divergence(G, G, G, a, b);
    }

    /* Those of the last solve. */
    transport_potentials potentials() const {
        need_own("Sinkhorn::potentials");
        transport_potentials p{std::vector<double>(static_cast<std::size_t>(shape_.nrows)),
                               std::vector<double>(static_cast<std::size_t>(shape_.ncols))};
        detail::call([&] { return rkn_sinkhorn_potentials(get(), p.f.data(), p.g.data()); });
        return p;
    }

    /* y <- P x, for vectors or for rkn::columns of double; P is not formed. */
    template <class X, class Y> void plan_apply(const X &x, Y &&y) const {
        apply("Sinkhorn::plan_apply", RKN_N, x, y, shape_.ncols, shape_.nrows);
    }
    /* y <- P^T x */
    template <class X, class Y> void plan_apply_transposed(const X &x, Y &&y) const {
        apply("Sinkhorn::plan_apply_transposed", RKN_T, x, y, shape_.nrows, shape_.ncols);
    }

    /* The entries of the plan above a threshold. */
    sparse_plan plan_sparse(double threshold) const {
        need_own("Sinkhorn::plan_sparse");
        std::int64_t need = 0;
        detail::call([&] { return rkn_sinkhorn_plan_sparse(get(), threshold, nullptr, nullptr, nullptr, 0, &need); });
        sparse_plan p{std::vector<std::int64_t>(static_cast<std::size_t>(shape_.nrows) + 1),
                      std::vector<std::int64_t>(static_cast<std::size_t>(need)),
                      std::vector<double>(static_cast<std::size_t>(need))};
        if (need > 0)
            detail::call([&] {
                return rkn_sinkhorn_plan_sparse(get(), threshold, p.rowptr.data(), p.colind.data(), p.values.data(), need, &need);
            });
        return p;
    }

    /* Derivatives of the value of the last solve with respect to the points x and y, packed d x n and d x m as these. */
    point_gradients gradient_points(std::int64_t d) const {
        need_own("Sinkhorn::gradient_points");
        point_gradients g = points_of(d);
        detail::call([&] { return rkn_sinkhorn_gradient_points(get(), g.x.data(), d, g.y.data(), d); });
        return g;
    }

    /* Derivatives of a function of (f, g) from its cotangents wf and wg, of one sum; d: coordinates of a point, 0 for costs without
       points; with_cost: also with respect to the cost, n x m by rows. */
    template <class F, class G>
    transport_gradients vjp_potentials(const F &wf, const G &wg, std::int64_t d = 0, bool with_cost = false) {
        static_assert(std::is_same_v<detail::value<const F>, double> && std::is_same_v<detail::value<const G>, double>,
                      "cotangents are double");
        need_own("Sinkhorn::vjp_potentials");
        detail::need_size("Sinkhorn::vjp_potentials", "wf", detail::length(wf), shape_.nrows);
        detail::need_size("Sinkhorn::vjp_potentials", "wg", detail::length(wg), shape_.ncols);
        return gradients(d, with_cost, [&](transport_gradients &g, double *dC, double *dX, double *dY) {
            return rkn_sinkhorn_vjp_potentials(get(), std::data(wf), std::data(wg), g.a.data(), g.b.data(), RKN_ROW_MAJOR, dC,
                                               shape_.ncols, dX, d, dY, d);
        });
    }

    /* The same for a function of the plan from its cotangent W, n x m by rows. */
    template <class V> transport_gradients vjp_plan(const V &W, std::int64_t d = 0, bool with_cost = false) {
        static_assert(std::is_same_v<detail::value<const V>, double>, "a cotangent is double");
        need_own("Sinkhorn::vjp_plan");
        detail::need_size("Sinkhorn::vjp_plan", "W", detail::length(W), shape_.nrows * shape_.ncols);
        return gradients(d, with_cost, [&](transport_gradients &g, double *dC, double *dX, double *dY) {
            return rkn_sinkhorn_vjp_plan(get(), RKN_ROW_MAJOR, std::data(W), shape_.ncols, g.a.data(), g.b.data(), dC,
                                         shape_.ncols, dX, d, dY, d);
        });
    }

    /* The masses on the rows of G between those in the columns of `inputs`, by weights (none: equal ones). The option "barycenter"
       is "entropic" or "debiased". */
    template <class V> barycenter_result barycenter(const Geometry &G, const V &inputs, span<const double> weights = {}) {
        const auto c = Geometry::doubles(inputs);
        const rkn::shape s = G.shape();
        detail::need_size("Sinkhorn::barycenter", "inputs", c.rows(), s.ncols);
        need_weights("Sinkhorn::barycenter", weights, c.cols());
        std::vector<double> p(static_cast<std::size_t>(s.nrows));
        return between(std::move(p), [&](double *to) {
            return rkn_sinkhorn_barycenter(get(), G.get(), c.cols(), c.data(), c.ld(), weights.data(), to);
        });
    }

    /* Moves the points in the columns of x, of masses a (none: equal ones), to between the clouds. */
    barycenter_result barycenter_points(columns<double> x, const std::vector<point_cloud> &clouds, span<const double> weights = {},
                                        span<const double> a = {}) {
        const char *const function = "Sinkhorn::barycenter_points";
        need_weights(function, weights, detail::length(clouds));
        if (!a.empty()) detail::need_size(function, "a", detail::length(a), x.cols());
        std::vector<std::int64_t> cloudptr{0};
        std::vector<double> y, b;
        for (const point_cloud &cloud : clouds) {
            detail::need_size(function, "points", cloud.points.rows(), x.rows());
            if (cloud.masses.empty() != clouds.front().masses.empty())
                detail::fail(RKN_ERR_ARGUMENT, function, "masses", "must be given for all clouds or for none");
            if (!cloud.masses.empty()) detail::need_size(function, "masses", detail::length(cloud.masses), cloud.points.cols());
            for (std::int64_t j = 0; j < cloud.points.cols(); ++j)
                y.insert(y.end(), cloud.points.column(j).begin(), cloud.points.column(j).end());
            b.insert(b.end(), cloud.masses.begin(), cloud.masses.end());
            cloudptr.push_back(cloudptr.back() + cloud.points.cols());
        }
        return between({}, [&](double *) {
            return rkn_sinkhorn_barycenter_points(get(), x.rows(), x.cols(), x.data(), x.ld(), a.data(), detail::length(clouds),
                                                  cloudptr.data(), y.data(), x.rows(), b.empty() ? nullptr : b.data(), weights.data());
        });
    }

    /* The plans of pairs of masses at one cost: the columns of A and of B. */
    template <class V, class W> batch_result solve_batch(const Geometry &G, const V &A, const W &B) {
        const auto a = Geometry::doubles(A), b = Geometry::doubles(B);
        const rkn::shape s = G.shape();
        detail::need_size("Sinkhorn::solve_batch", "A", a.rows(), s.nrows);
        detail::need_size("Sinkhorn::solve_batch", "B", b.rows(), s.ncols);
        if (a.cols() != b.cols()) detail::fail(RKN_ERR_SIZE, "Sinkhorn::solve_batch", "B", "must have as many columns as A");
        const std::size_t n = static_cast<std::size_t>(s.nrows), m = static_cast<std::size_t>(s.ncols);
        std::vector<double> f(n * static_cast<std::size_t>(a.cols())), g(m * static_cast<std::size_t>(a.cols()));
        batch_result r = several(a.cols(), [&](double *costs, rkn_status *statuses) {
            return rkn_sinkhorn_solve_batch(get(), G.get(), a.cols(), a.data(), a.ld(), b.data(), b.ld(), f.data(), s.nrows, g.data(),
                                            s.ncols, costs, statuses);
        });
        for (std::size_t l = 0; l < r.statuses.size(); ++l) {
            r.potentials.emplace_back();
            if (!has_plan(r.statuses[l])) continue;
            r.potentials[l].f.assign(f.data() + l * n, f.data() + (l + 1) * n);
            r.potentials[l].g.assign(g.data() + l * m, g.data() + (l + 1) * m);
        }
        return r;
    }

    /* The plans of problems that have each their own cost. */
    batch_result solve_many(const std::vector<transport_problem> &problems) {
        std::vector<const rkn_geometry *> geometries;
        std::vector<const double *> a, b;
        std::vector<double *> f, g;
        std::vector<transport_potentials> potentials(problems.size());
        for (std::size_t l = 0; l < problems.size(); ++l) {
            if (!problems[l].G) detail::fail(RKN_ERR_NULL, "Sinkhorn::solve_many", "G", "must not be NULL");
            const rkn::shape s = problems[l].G->shape();
            detail::need_size("Sinkhorn::solve_many", "a", detail::length(problems[l].a), s.nrows);
            detail::need_size("Sinkhorn::solve_many", "b", detail::length(problems[l].b), s.ncols);
            potentials[l].f.resize(static_cast<std::size_t>(s.nrows));
            potentials[l].g.resize(static_cast<std::size_t>(s.ncols));
            geometries.push_back(problems[l].G->get());
            a.push_back(problems[l].a.data()), b.push_back(problems[l].b.data());
            f.push_back(potentials[l].f.data()), g.push_back(potentials[l].g.data());
        }
        batch_result r = several(detail::length(problems), [&](double *costs, rkn_status *statuses) {
            return rkn_sinkhorn_solve_many(get(), detail::length(problems), geometries.data(), a.data(), b.data(), f.data(), g.data(),
                                           costs, statuses);
        });
        r.potentials = std::move(potentials);
        for (std::size_t l = 0; l < r.statuses.size(); ++l)
            if (!has_plan(r.statuses[l])) r.potentials[l] = {};
        return r;
    }

    /* Rows first to first + count - 1 of the plan, one after the other. */
    std::vector<double> plan_rows(std::int64_t first, std::int64_t count) const {
        need_own("Sinkhorn::plan_rows");
        // What is wrong with them the library says itself.
        const bool known = first >= 0 && count >= 0 && first <= shape_.nrows && count <= shape_.nrows - first;
        std::vector<double> rows(static_cast<std::size_t>(known ? count * shape_.ncols : 0));
        const std::int64_t ld = std::max<std::int64_t>(shape_.ncols, 1);
        detail::call([&] { return rkn_sinkhorn_plan_rows(get(), first, count, rows.data(), ld); });
        return rows;
    }
    /* Bounds of the exact cost, from the plan. */
    transport_bounds bracket() {
        transport_bounds bounds{0, 0};
        detail::call([&] { return rkn_sinkhorn_bracket(get(), &bounds.lower, &bounds.upper); });
        return bounds;
    }
    /* The plan rounded to its marginals. */
    rounded_plan round() {
        need_own("Sinkhorn::round");
        const std::size_t n = static_cast<std::size_t>(shape_.nrows), m = static_cast<std::size_t>(shape_.ncols);
        rounded_plan r{std::vector<double>(n), std::vector<double>(m), std::vector<double>(n), std::vector<double>(m)};
        detail::call([&] { return rkn_sinkhorn_round(get(), r.x.data(), r.y.data(), r.u.data(), r.v.data()); });
        return r;
    }

    /* What was learned, as bytes that are the same on every machine. */
    std::vector<std::byte> save() {
        return detail::vector_from<std::byte>([&](std::byte *bytes, std::int64_t cap, std::int64_t *need) {
            return rkn_sinkhorn_save(get(), bytes, cap, need);
        });
    }
    /* The state that save saved: the next solve goes on bit for bit, with this object's options. */
    template <class Bytes> void load(const Bytes &bytes) {
        static_assert(sizeof(detail::element<const Bytes>) == 1, "a state is saved as bytes");
        detail::call([&] { return rkn_sinkhorn_load(get(), std::data(bytes), detail::length(bytes)); });
    }

    /* Throws the memory away, keeps the options. */
    void forget() {
        detail::call([&] { return rkn_sinkhorn_forget(get()); });
    }

    rkn_sinkhorn *get() const noexcept { return handle_.get(); }
    rkn_sinkhorn *release() noexcept { return handle_.release(); }
    static Sinkhorn adopt(rkn_sinkhorn *handle) noexcept {
        Sinkhorn s{nullptr};
        *s.handle_.out() = handle;
        return s;
    }

private:
    explicit Sinkhorn(std::nullptr_t) noexcept {}

    template <class A, class B, class Solve>
    transport_result solve_with(const char *function, const Geometry &G, const A &a, const B &b, Solve &&c_function) {
        static_assert(detail::in_memory<const A, const B>,
                      "an expression has no elements in memory: evaluate it into a variable first");
        static_assert(std::is_same_v<detail::value<const A>, double> && std::is_same_v<detail::value<const B>, double>,
                      "masses are double");
        const rkn::shape s = G.shape();
        detail::need_size(function, "a", detail::length(a), s.nrows);
        detail::need_size(function, "b", detail::length(b), s.ncols);
        std::string message;
        const rkn_status status = detail::call([&] {
            const rkn_status rc = c_function();
            if (rc > 0) message = rkn_last_error();
            // Without a way for all masses no potentials are delivered: those of the solve before stay.
            if (rc >= 0 && rc != RKN_STOP_INFEASIBLE) shape_ = s;
            (void)rkn_sinkhorn_get_int(get(), "solves", &solves_);
            return rc;
        });
        return transport_result{status,           get_int("iterations"),      get_real("passes"),
                                get_real("cost"), get_real("marginal_error"), std::move(message)};
    }

    // The size of the potentials is known to who solved: after a solve by C code, or before adopt, this object is not it.
    void need_own(const char *function) const {
        if (get_int("solves") != solves_)
            throw error(RKN_ERR_STATE, std::string("rkn::") + function +
                                           ": the last solve was not one of this object, so the size of the plan is not known");
    }

    static std::size_t count(std::int64_t rows, std::int64_t columns) {
        return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
    }

    point_gradients points_of(std::int64_t d) const {
        if (d < 0) detail::fail(RKN_ERR_SIZE, "Sinkhorn", "d", "must not be negative");
        return point_gradients{std::vector<double>(count(d, shape_.nrows)), std::vector<double>(count(d, shape_.ncols))};
    }

    template <class Call> transport_gradients gradients(std::int64_t d, bool with_cost, Call &&c_function) {
        point_gradients points = points_of(d);
        transport_gradients g{RKN_OK,
                              std::vector<double>(count(1, shape_.nrows)),
                              std::vector<double>(count(1, shape_.ncols)),
                              std::vector<double>(with_cost ? count(shape_.nrows, shape_.ncols) : 0),
                              std::move(points.x),
                              std::move(points.y)};
        g.status = detail::call([&] {
            return c_function(g, with_cost ? g.cost.data() : nullptr, d > 0 ? g.x.data() : nullptr, d > 0 ? g.y.data() : nullptr);
        });
        return g;
    }

    static void need_weights(const char *function, span<const double> weights, std::int64_t k) {
        if (!weights.empty()) detail::need_size(function, "weights", detail::length(weights), k);
    }

    template <class F> barycenter_result between(std::vector<double> p, F &&c_function) {
        std::string message;
        const rkn_status status = detail::call([&] {
            const rkn_status rc = c_function(p.data());
            if (rc > 0) message = rkn_last_error();
            return rc;
        });
        if (status == RKN_STOP_INFEASIBLE) p.clear();
        return barycenter_result{status,
                                 get_int("iterations"),
                                 get_real("passes"),
                                 get_real("primal"),
                                 get_real("marginal_error"),
                                 std::move(message),
                                 std::move(p)};
    }

    static bool has_plan(rkn_status status) noexcept { return status >= 0 && status != RKN_STOP_INFEASIBLE; }

    // A problem that fails has its status in the result; what fails as a whole, before any problem has one, is thrown.
    template <class F> batch_result several(std::int64_t k, F &&c_function) {
        constexpr rkn_status unset = std::numeric_limits<rkn_status>::max();
        batch_result r{RKN_OK, {}, std::vector<rkn_status>(static_cast<std::size_t>(k), unset),
                       std::vector<double>(static_cast<std::size_t>(k), std::numeric_limits<double>::quiet_NaN()), {}};
        detail::call([&] {
            r.status = c_function(r.costs.data(), r.statuses.data());
            if (r.status != RKN_OK) r.message = rkn_last_error();
            return r.statuses.empty() || r.statuses.front() == unset ? r.status : RKN_OK;
        });
        return r;
    }

    template <class X, class Y>
    void apply(const char *function, rkn_trans op, const X &x, Y &y, std::int64_t nx, std::int64_t ny) const {
        need_own(function);
        const auto cx = Operator::as_columns(x);
        const auto cy = Operator::as_columns(y);
        static_assert(std::is_same_v<std::remove_cv_t<std::remove_pointer_t<decltype(cx.data())>>, double> &&
                          std::is_same_v<std::remove_pointer_t<decltype(cy.data())>, double>,
                      "x and y are double, y is written to");
        if (shape_.nrows > 0) {
            detail::need_size(function, "x", cx.rows(), nx);
            detail::need_size(function, "y", cy.rows(), ny);
        }
        if (cx.cols() != cy.cols()) detail::fail(RKN_ERR_SIZE, function, "y", "must have as many columns as x");
        detail::call([&] { return rkn_sinkhorn_plan_apply(get(), op, cx.cols(), cx.data(), cx.ld(), cy.data(), cy.ld()); });
    }

    detail::owner<rkn_sinkhorn, rkn_sinkhorn_destroy> handle_;
    rkn::shape shape_{0, 0};         // of the plan, (0, 0) for none
    std::int64_t solves_ = 0;
};

// ---------------------------------------------------------------- exact transport in one dimension

/* Entries of a plan on a line or circle: masses[k] goes from point rows[k] to point columns[k], indices from 0. */
struct line_plan {
    std::vector<std::int64_t> rows, columns;
    std::vector<double> masses;
};

/* A cost and its derivatives, with respect to the points x and y and to their masses: f and g are potentials. */
struct line_gradient {
    double cost;
    std::vector<double> x, y, f, g;
};

namespace detail {

// An array of doubles, or nothing: equal masses.
template <class V> const double *masses(const char *function, const char *argument, const V &v, std::int64_t count) {
    static_assert(std::is_same_v<value<const V>, double>, "masses are double");
    if (std::size(v) == 0) return nullptr;
    need_size(function, argument, length(v), count);
    return std::data(v);
}

// f(n, x, a, m, y, b) of two sets of points.
template <class X, class Y, class A, class B, class F>
void with_points(const char *function, const X &x, const Y &y, const A &a, const B &b, F &&f) {
    static_assert(std::is_same_v<value<const X>, double> && std::is_same_v<value<const Y>, double>, "points are double");
    const std::int64_t n = length(x), m = length(y);
    const double *of_x = masses(function, "a", a, n), *of_y = masses(function, "b", b, m);
    call([&] { return f(n, std::data(x), of_x, m, std::data(y), of_y); });
}

template <class X, class Y, class A, class B, class F>
line_plan plan_of(const char *function, const X &x, const Y &y, const A &a, const B &b, F &&f) {
    line_plan p;
    const std::size_t most = std::size(x) + std::size(y);
    p.rows.resize(most), p.columns.resize(most), p.masses.resize(most);
    std::int64_t need = 0;
    with_points(function, x, y, a, b, [&](auto... points) {
        return f(points..., p.rows.data(), p.columns.data(), p.masses.data(), static_cast<std::int64_t>(most), &need);
    });
    const std::size_t count = static_cast<std::size_t>(need);
    p.rows.resize(count), p.columns.resize(count), p.masses.resize(count);
    return p;
}

template <class X, class Y, class A, class B, class F>
line_gradient gradient_of(const char *function, const X &x, const Y &y, const A &a, const B &b, F &&f) {
    const std::size_t n = std::size(x), m = std::size(y);
    line_gradient d{0, std::vector<double>(n), std::vector<double>(m), std::vector<double>(n), std::vector<double>(m)};
    with_points(function, x, y, a, b, [&](auto... points) {
        return f(points..., &d.cost, d.x.data(), d.y.data(), d.f.data(), d.g.data());
    });
    return d;
}

// Points, a column each.
template <class V> auto points_of(V &v) {
    static_assert(in_memory<V>, "an expression has no elements in memory: evaluate it into a variable first");
    static_assert(is_block<V>, "several points are rkn::columns, or a matrix that rkn::matrix_view knows");
    if constexpr (is_columns<std::remove_cv_t<V>>::value) {
        return v;
    } else {
        return matrix_view<std::remove_cv_t<V>>::of(v);
    }
}

// f(d, n, x, ldx, a, m, y, ldy, b) of two clouds.
template <class X, class Y, class A, class B, class F>
void with_clouds(const char *function, const X &x, const Y &y, const A &a, const B &b, F &&f) {
    const auto cx = points_of(x);
    const auto cy = points_of(y);
    static_assert(std::is_same_v<std::remove_cv_t<std::remove_pointer_t<decltype(cx.data())>>, double> &&
                      std::is_same_v<std::remove_cv_t<std::remove_pointer_t<decltype(cy.data())>>, double>,
                  "points are double");
    need_size(function, "y", cy.rows(), cx.rows());
    const double *of_x = masses(function, "a", a, cx.cols()), *of_y = masses(function, "b", b, cy.cols());
    call([&] { return f(cx.rows(), cx.cols(), cx.data(), cx.ld(), of_x, cy.cols(), cy.data(), cy.ld(), of_y); });
}

}    // namespace detail

/* The least sum of P_ij |x_i - y_j|^p over plans between points on a line, in any order; no root is taken. a, b: masses of one
   sum; {} for equal ones. */
template <class X, class Y, class A = span<const double>, class B = span<const double>>
double wasserstein_line(const X &x, const Y &y, double p = 2, const A &a = {}, const B &b = {}) {
    double cost = 0;
    detail::with_points("wasserstein_line", x, y, a, b,
                        [&](auto... points) { return rkn_wasserstein_line(points..., p, &cost); });
    return cost;
}

/* Its plan, the same for all p: at most n + m - 1 entries. */
template <class X, class Y, class A = span<const double>, class B = span<const double>>
line_plan wasserstein_line_plan(const X &x, const Y &y, const A &a = {}, const B &b = {}) {
    return detail::plan_of("wasserstein_line_plan", x, y, a, b,
                           [&](auto... all) { return rkn_wasserstein_line_plan(all...); });
}

/* Its derivatives; f_i + g_j <= |x_i - y_j|^p, with equality where the plan has mass. */
template <class X, class Y, class A = span<const double>, class B = span<const double>>
line_gradient wasserstein_line_gradient(const X &x, const Y &y, double p = 2, const A &a = {}, const B &b = {}) {
    return detail::gradient_of("wasserstein_line_gradient", x, y, a, b,
                               [&](auto n, auto px, auto pa, auto m, auto py, auto pb, auto... out) {
                                   return rkn_wasserstein_line_gradient(n, px, pa, m, py, pb, p, out...);
                               });
}

/* The same on a circle of length period, where the shorter way round counts; places in any turn. The plan depends on p. */
template <class X, class Y, class A = span<const double>, class B = span<const double>>
double wasserstein_circle(double period, const X &x, const Y &y, double p = 2, const A &a = {}, const B &b = {}) {
    double cost = 0;
    detail::with_points("wasserstein_circle", x, y, a, b,
                        [&](auto... points) { return rkn_wasserstein_circle(period, points..., p, &cost); });
    return cost;
}
template <class X, class Y, class A = span<const double>, class B = span<const double>>
line_plan wasserstein_circle_plan(double period, const X &x, const Y &y, double p = 2, const A &a = {}, const B &b = {}) {
    return detail::plan_of("wasserstein_circle_plan", x, y, a, b,
                           [&](auto n, auto px, auto pa, auto m, auto py, auto pb, auto... out) {
                               return rkn_wasserstein_circle_plan(period, n, px, pa, m, py, pb, p, out...);
                           });
}
template <class X, class Y, class A = span<const double>, class B = span<const double>>
line_gradient wasserstein_circle_gradient(double period, const X &x, const Y &y, double p = 2, const A &a = {},
                                          const B &b = {}) {
    return detail::gradient_of("wasserstein_circle_gradient", x, y, a, b,
                               [&](auto n, auto px, auto pa, auto m, auto py, auto pb, auto... out) {
                                   return rkn_wasserstein_circle_gradient(period, n, px, pa, m, py, pb, p, out...);
                               });
}

/* The mean over random directions of the cost on a line of the projections of x and y: rkn::columns of double, a column a
   point. The same seed gives the same directions, whatever the threads of ctx. */
template <class X, class Y, class A = span<const double>, class B = span<const double>>
double wasserstein_sliced(const X &x, const Y &y, std::int64_t projections, double p = 2, std::int64_t seed = 0,
                          const A &a = {}, const B &b = {}, context_ref ctx = {}) {
    double cost = 0;
    detail::with_clouds("wasserstein_sliced", x, y, a, b, [&](auto... clouds) {
        return rkn_wasserstein_sliced(ctx.get(), clouds..., p, projections, seed, &cost, nullptr, 0);
    });
    return cost;
}

/* That, and its derivative with respect to x into gradient: rkn::columns of the shape of x. */
template <class X, class Y, class G, class A = span<const double>, class B = span<const double>>
double wasserstein_sliced_gradient(const X &x, const Y &y, G &&gradient, std::int64_t projections, double p = 2,
                                   std::int64_t seed = 0, const A &a = {}, const B &b = {}, context_ref ctx = {}) {
    const auto cx = detail::points_of(x);
    const auto cg = detail::points_of(gradient);
    static_assert(std::is_same_v<std::remove_pointer_t<decltype(cg.data())>, double>, "gradient is double and written to");
    detail::need_size("wasserstein_sliced_gradient", "gradient", cg.rows(), cx.rows());
    detail::need_size("wasserstein_sliced_gradient", "gradient", cg.cols(), cx.cols());
    double cost = 0;
    detail::with_clouds("wasserstein_sliced_gradient", x, y, a, b, [&](auto... clouds) {
        return rkn_wasserstein_sliced(ctx.get(), clouds..., p, projections, seed, &cost, cg.data(), cg.ld());
    });
    return cost;
}

// ---------------------------------------------------------------- membership

/* A doubly stochastic matrix by rows, and its potentials: G_ij = exp((u_i + v_j + K_ij) / eta). */
struct ds_projection {
    rkn_status status;               // RKN_OK or one of RKN_STOP_...
    std::vector<double> G, u, v;

    bool converged() const noexcept { return status == RKN_OK; }
};

struct ds_gradient {
    rkn_status status;
    std::vector<double> K;           // n x n, by rows

    bool converged() const noexcept { return status == RKN_OK; }
};

struct coding_rate_result {
    double rate;
    std::vector<double> Z, Pi;       // gradients, packed by columns; empty if not asked for
};

namespace detail {
/* The order of a square matrix from its entries. */
template <class V> std::int64_t order_of(const char *function, const char *name, const V &v) {
    static_assert(std::is_same_v<value<const V>, double>, "matrices are double");
    std::int64_t n = 0;
    while (n * n < length(v)) ++n;
    need_size(function, name, length(v), n * n);
    return n;
}
}    // namespace detail

/* argmin -<K, G> + eta sum G log G over doubly stochastic G. K: n x n by rows (by columns it is all transposed). start: the
   projection of a similar K to start from, or nullptr. */
template <class V>
ds_projection ds_project(const V &K, double eta, double tolerance = 1e-9, const ds_projection *start = nullptr,
                         context_ref ctx = {}) {
    const std::int64_t n = detail::order_of("ds_project", "K", K);
    const auto size = static_cast<std::size_t>(n);
    ds_projection p{RKN_OK, std::vector<double>(size * size), std::vector<double>(size), std::vector<double>(size)};
    if (start) {
        detail::need_size("ds_project", "start", detail::length(start->u), n);
        detail::need_size("ds_project", "start", detail::length(start->v), n);
        p.u = start->u;
        p.v = start->v;
    }
    p.status = detail::call([&] {
        return rkn_ds_project(ctx.get(), n, std::data(K), n, eta, tolerance, p.G.data(), n, p.u.data(), p.v.data(), start ? 1 : 0);
    });
    return p;
}

/* The derivative with respect to K of a function of G = ds_project(K, eta), from its derivatives W with respect to the entries of
   G; all n x n by rows. */
template <class V, class W> ds_gradient ds_project_vjp(const V &G, const W &w, double eta, context_ref ctx = {}) {
    const std::int64_t n = detail::order_of("ds_project_vjp", "G", G);
    detail::need_size("ds_project_vjp", "W", detail::order_of("ds_project_vjp", "W", w), n);
    ds_gradient d{RKN_OK, std::vector<double>(static_cast<std::size_t>(n * n))};
    d.status = detail::call([&] {
        return rkn_ds_project_vjp(ctx.get(), n, eta, std::data(G), n, std::data(w), n, d.K.data(), n);
    });
    return d;
}

/* logdet(I + alpha Z Z^T), without a factor 1/2; Z: rkn::columns of double, a column a sample. */
inline coding_rate_result coding_rate(columns<const double> Z, double alpha, bool with_gradient = false, context_ref ctx = {}) {
    coding_rate_result r{0, {}, {}};
    if (with_gradient) r.Z.resize(static_cast<std::size_t>(Z.rows() * Z.cols()));
    detail::call([&] {
        return rkn_coding_rate(ctx.get(), Z.rows(), Z.cols(), Z.data(), Z.ld(), alpha, &r.rate, with_gradient ? r.Z.data() : nullptr,
                               Z.rows());
    });
    return r;
}

/* sum_j (N_j / n) logdet(I + d / (N_j eps2) Z diag(Pi_j) Z^T), N_j = sum_i Pi_ij; Pi: n x k, a column a cluster. */
inline coding_rate_result coding_rate(columns<const double> Z, columns<const double> Pi, double eps2, bool with_gradient = false,
                                      context_ref ctx = {}) {
    coding_rate_result r{0, {}, {}};
    detail::need_size("coding_rate", "Pi", Pi.rows(), Z.cols());
    if (with_gradient) {
        r.Z.resize(static_cast<std::size_t>(Z.rows() * Z.cols()));
        r.Pi.resize(static_cast<std::size_t>(Pi.rows() * Pi.cols()));
    }
    detail::call([&] {
        return rkn_coding_rate_clustered(ctx.get(), Z.rows(), Z.cols(), Pi.cols(), Z.data(), Z.ld(), Pi.data(), Pi.ld(), eps2,
                                         &r.rate, with_gradient ? r.Z.data() : nullptr, Z.rows(),
                                         with_gradient ? r.Pi.data() : nullptr, Pi.rows());
    });
    return r;
}

}    // namespace rkn

#endif
