"""Contract of `randomized_pca`: projection of the features on their leading principal components.

    randomized_pca(X, n_components) -> Z

``X`` is (n, d), float16, float32 or float64, any strides; ``Z`` is (n, n_components) float64. The
randomised range finder of Halko, Martinsson and Tropp (SIAM Review 2011) with one power iteration
and ten extra directions, drawn by NumPy's legacy generator from a fixed seed: the projection that
the published PARC takes through scikit-learn's ``PCA(n_components, svd_solver="randomized",
iterated_power=1, random_state=1919)``, signs of the components included. With one power iteration
the result depends on the random directions, so they are part of the contract.

``n_components`` is in [1, min(n, d)]. All arithmetic is float64; X is centred without a copy of it.
Bits are those of BLAS and LAPACK, and may change with their number of threads.
"""

SEED = 1919
OVERSAMPLES = 10
POWER_ITERATIONS = 1
