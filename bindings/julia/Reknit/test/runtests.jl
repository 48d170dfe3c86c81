# The tests lie beside those of the other languages.
include(joinpath(@__DIR__, "..", "..", "..", "..", "tests", "julia", "runtests.jl"))
