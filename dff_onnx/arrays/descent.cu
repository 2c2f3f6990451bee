// Coordinate descent of many small non-negative least squares: one thread has one column of one problem, needs no other,
// and makes all sweeps in registers. Q and B come with their rows divided by the diagonal, which is taken out of Q.
template <typename T, int K>
KERNEL void coordinate_descent(T* X, const T* B, const T* Q, long long m, long long problems, int sweeps) {
    EACH(thread)
    const long long at = (long long)BLOCK_INDEX * THREADS + thread;
    if (at < m * problems) {
        const long long problem = at / m, column = at % m;
        T* const x_out = X + problem * K * m + column;
        const T* const b = B + problem * K * m + column;
        const T* const q = Q + problem * K * K;
        T x[K];
        UNROLL(K)
        for (int i = 0; i < K; ++i) x[i] = x_out[i * m];
        for (int sweep = 0; sweep < sweeps; ++sweep) {
            UNROLL(K)
            for (int j = 0; j < K; ++j) {
                T value = b[j * m];
                UNROLL(K)
                for (int i = 0; i < K; ++i) value -= q[j * K + i] * x[i];
                x[j] = value > T(0) ? value : T(0);
            }
        }
        UNROLL(K)
        for (int i = 0; i < K; ++i) x_out[i * m] = x[i];
    }
    END
}
