# Finding and loading the shared library, and what it says about itself.

"""
Where the library is looked for, in this order: the file that `ENV["REKNIT_LIBRARY"]` names, the build
folder of the repository that this package lies in, the system's library path.
"""
function library_candidates()
    named = get(ENV, "REKNIT_LIBRARY", "")
    isempty(named) || return [named]
    built = normpath(@__DIR__, "..", "..", "..", "..", "target", "release", "libreknit.so")
    return [built, LibReknit.LIBRARY]
end

# Once the file is loaded, the `ccall`s of LibReknit find it under its soname.
function load_library()
    candidates = library_candidates()
    failures = String[]
    for path in candidates
        if Libdl.dlopen(path; throw_error = false) !== nothing
            return check_abi(path)
        end
        push!(failures, "  $path" * (isabspath(path) && !isfile(path) ? " (no such file)" : ""))
    end
    error("Reknit: the shared library could not be loaded from\n", join(failures, "\n"),
          "\nBuild it with `make build`, install it, or set ENV[\"REKNIT_LIBRARY\"] to its path.")
end

function check_abi(path)
    abi = LibReknit.rkn_abi()
    abi == LibReknit.RKN_ABI && return nothing
    error("Reknit: $path has ABI $abi, this package was written for ABI $(LibReknit.RKN_ABI)")
end

"""
    Reknit.version() -> VersionNumber

Version of the shared library in use.
"""
version() = VersionNumber(unsafe_string(LibReknit.rkn_version()))

"""
    Reknit.build_info() -> String

How the shared library in use was built.
"""
build_info() = unsafe_string(LibReknit.rkn_build_info())
