# Copyright (c) 2026 The reknit authors
#
# SPDX-License-Identifier: (MIT OR Apache-2.0)

import os

from spack_repo.builtin.build_systems.makefile import MakefilePackage

from spack.package import *


class Reknit(MakefilePackage):
    """Solvers with memory for sequences of related linear systems: Krylov methods that recycle what they have
    learned, as a shared library with a C interface for C, C++, Fortran and Julia, alone or under MPI."""

    # The archive of `make dist` lies beside this recipe. It holds all crates, so that nothing else is fetched.
    url = f"file://{os.path.dirname(os.path.abspath(__file__))}/reknit-0.1.0.tar.gz"

    license("MIT OR Apache-2.0")

    version("0.1.0")

    depends_on("c", type="build")
    depends_on("rust@1.85:", type="build")
    depends_on("gmake", type="build")

    requires("platform=linux", msg="reknit is built and tested on Linux")

    # The optimisation of the whole program is one job; more of them would only share the memory.
    parallel = False
    build_targets = ["build", "target/release/libreknit.a"]
    # `make test` installs what it misses by the system's package manager.
    build_time_test_callbacks = []

    @property
    def install_targets(self):
        return ["install", f"PREFIX={self.prefix}"]
