# What all nouns share: an opaque pointer of the library, owned by a Julia object.

# A Handle goes into a `ccall` as it is: `ccall` keeps it alive during the call, and a closed one throws.
abstract type Handle end

Base.unsafe_convert(::Type{Ptr{Cvoid}}, h::Handle) = isopen(h) ? h.handle :
    throw(ReknitError(ERR_HANDLE, "this $(nameof(typeof(h))) has been closed"))

Base.isopen(h::Handle) = h.handle != C_NULL

"""
    close(A); close(ctx); close(s)

Gives back what the library holds for the object, now instead of when the garbage collector finds it. Any order
is fine: a sum of operators survives its parts. Using a closed object throws a `ReknitError`; closing it twice
does nothing.
"""
function Base.close(h::Handle)
    pointer, h.handle = h.handle, C_NULL
    pointer == C_NULL || destroy(h, pointer)
    return nothing
end

# Calls a `rkn_NOUN_create*`, whose last argument receives the handle.
function create(constructor, args...)
    out = Ref{Ptr{Cvoid}}(C_NULL)
    check(constructor(args..., out))
    return out[]
end

or_null(::Nothing) = C_NULL
or_null(x) = x

# Text that a function of the library writes into a buffer: with capacity 0 it only measures.
function text(f, args...)
    need = Ref{Int64}(0)
    check(f(args..., C_NULL, 0, need))
    buffer = Vector{UInt8}(undef, need[])
    check(f(args..., buffer, length(buffer), need))
    return String(buffer[1:end-1])              # without the closing NUL
end

# Prints what is in force as the library tells it. Displaying an object never throws because it is closed or busy.
function show_view(io::IO, h::Handle, view)
    show(io, h)
    isopen(h) || return nothing
    try
        print(io, ":\n", chomp(text(view, h)))
    catch e
        e isa ReknitError || rethrow()
        print(io, " (", e.message, ")")
    end
end

"""
    Reknit.option_reference(noun) -> String

The reference page of a noun's options: `"context"`, `"operator"`, `"preconditioner"`, `"krylov"`, `"sequence"` or
`"sinkhorn"`.
"""
option_reference(noun) = text(LibReknit.rkn_option_reference, String(noun))
