# Statuses of the library: negative ones become exceptions, the others are returned.

# STOP_ITERATIONS, ERR_BUSY, REQUEST_APPLY, ... under the names of the header without their prefix.
for name in names(LibReknit; all = true)
    text = String(name)
    if any(kind -> startswith(text, kind), ("RKN_STOP_", "RKN_ERR_", "RKN_REQUEST_", "RKN_EVENT_")) || text == "RKN_OK"
        @eval const $(Symbol(text[5:end])) = LibReknit.$name
    end
end

"""
    ReknitError(status, message)

The library refused a call or failed in it. `status` is negative: one of `Reknit.ERR_NULL`, `ERR_ARGUMENT`,
`ERR_SIZE`, `ERR_SCALAR`, `ERR_INDEX`, `ERR_NONFINITE`, `ERR_KEY`, `ERR_HANDLE`, `ERR_BUSY`, `ERR_STATE`,
`ERR_SINGULAR`, `ERR_INDEFINITE`, `ERR_UNSUPPORTED`, `ERR_CALLBACK`, `ERR_MEMORY`, `ERR_FILE`, `ERR_FORMAT`,
`ERR_THREADS`, `ERR_INTERNAL`. `message` names the function, the argument, what it was and what it may be.
"""
struct ReknitError <: Exception
    status::Int32
    message::String
end

Base.showerror(io::IO, e::ReknitError) = print(io, "ReknitError ", status_name(e.status), ": ", e.message)

"""
    Reknit.status_name(status) -> String

Name of a status, such as `"RKN_ERR_SIZE"`.
"""
status_name(status::Integer) = unsafe_string(LibReknit.rkn_status_name(status))

# What every call's status goes through. The exception of a callback is the cause of the status, so it comes first.
function check(status::Int32)
    throw_caught()
    status < 0 && throw(ReknitError(status, unsafe_string(LibReknit.rkn_last_error())))
    return status
end
