// The BLAS and LAPACK routines of SciPy, borrowed at run time through scipy.linalg.cython_*.
#pragma once

namespace tk {

// Fortran conventions: column-major, everything by pointer, 32-bit integers.
struct Lapack {
    void (*dgemm)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*,
                  double*, int*);
    void (*dsytrd)(char*, int*, double*, int*, double*, double*, double*, double*, int*, int*);
    void (*dsterf)(int*, double*, double*, int*);
    void (*dormtr)(char*, char*, char*, int*, int*, double*, int*, double*, double*, int*, double*,
                   int*, int*);
};

}  // namespace tk
