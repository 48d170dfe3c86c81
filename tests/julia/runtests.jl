# Runs the tests of the Julia package; the last line is `N passed, N failed`.
#
#     tests/julia/run.sh                                                      with the repository's julia
#     julia --project=bindings/julia/Reknit -e 'using Pkg; Pkg.test()'        as any other package

using Test

passes(set::Test.DefaultTestSet) =
    set.n_passed + mapreduce(passes, +, filter(r -> r isa Test.DefaultTestSet, set.results); init = 0)

# (passed, failed) of one file, whose last value is its test set. A set with failures throws their numbers.
function run_file(name)
    try
        return (passes(include(joinpath(@__DIR__, name))), 0)
    catch e
        cause = e isa LoadError ? e.error : e
        cause isa Test.TestSetException && return (cause.pass, cause.fail + cause.error)
        showerror(stderr, e, catch_backtrace())
        println(stderr)
        return (0, 1)
    end
end

counts = map(run_file, ("test_context.jl", "test_operator.jl", "test_krylov.jl", "test_block.jl", "test_learned.jl", "test_reverse.jl",
                        "test_sequence.jl", "test_sinkhorn.jl", "test_barycenter.jl", "test_line.jl", "test_derivative.jl", "test_objects.jl", "test_linearsolve.jl"))
passed, failed = sum(first, counts), sum(last, counts)
println(passed, " passed, ", failed, " failed")
exit(failed == 0 ? 0 : 1)
