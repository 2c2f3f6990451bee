// One pass over blocks of rows, each row read once: B = A W^T, sweeps of coordinate descent, and the block's share of
// H^T A, H^T H and of three scalars. One thread block has one block of rows and walks through it in tiles that fit into
// shared memory. Storage may be half precision; arithmetic is single, sums of H^T H and of the scalars are double.
// Every thread adds in a fixed order, and nothing is added across thread blocks: the same rows give the same bits.
//
// K: concepts; C: channels of one thread at most.
template <typename S, int K, int C>
KERNEL void fused_pass(
    const S* A, int c, const float* W, const float* Q, const float* scaled, const float* inverse,
    const long long* starts, float* Ht, long long n, float* HtA, double* HtH, double* scalars,
    int tile, int sweeps, int cold
) {
    constexpr int PAIRS = (K * K + THREADS - 1) / THREADS;
    SHARED(float, shared);
    const int stride = c + 8;  // neighbouring rows in different banks
    float* const a = shared;
    float* const partial = a + tile * stride;  // (THREADS, K)
    float* const b = partial + THREADS * K;    // (tile, K)
    float* const h = b + tile * K;             // (tile, K)
    PRIVATE(float, gathered, C * K);
    PRIVATE(double, pairs, PAIRS);
    PRIVATE(double, sums, 3);

    EACH(t)
    UNROLL(C * K)
    for (int i = 0; i < C * K; ++i) MINE(gathered, t)[i] = 0.0f;
    UNROLL(PAIRS)
    for (int i = 0; i < PAIRS; ++i) MINE(pairs, t)[i] = 0.0;
    UNROLL(3)
    for (int i = 0; i < 3; ++i) MINE(sums, t)[i] = 0.0;
    END

    const long long first = starts[BLOCK_INDEX], last = starts[BLOCK_INDEX + 1];
    const int parts = THREADS / tile;  // threads that share a row
    for (long long begin = first; begin < last; begin += tile) {
        const int rows = last - begin < tile ? (int)(last - begin) : tile;

        EACH(t)
        for (int i = t; i < rows * c; i += THREADS) a[i / c * stride + i % c] = (float)A[begin * c + i];
        END

        EACH(t)
        const int row = t / parts, part = t % parts;
        float dot[K];
        UNROLL(K)
        for (int j = 0; j < K; ++j) dot[j] = 0.0f;
        if (row < rows)
            for (int i = part; i < c; i += parts) {
                const float value = a[row * stride + i];
                UNROLL(K)
                for (int j = 0; j < K; ++j) dot[j] += value * W[j * c + i];
            }
        UNROLL(K)
        for (int j = 0; j < K; ++j) partial[t * K + j] = dot[j];
        END

        EACH(t)
        for (int i = t; i < rows * K; i += THREADS) {
            const int row = i / K, j = i % K;
            float total = 0.0f;
            for (int part = 0; part < parts; ++part) total += partial[(row * parts + part) * K + j];
            b[i] = total;
        }
        END

        EACH(t)
        if (t < rows) {
            float x[K];
            UNROLL(K)
            for (int j = 0; j < K; ++j) {
                const float start = b[t * K + j] * inverse[j] / K;
                x[j] = cold ? (start > 0.0f ? start : 0.0f) : Ht[j * n + begin + t];
            }
            for (int sweep = 0; sweep < sweeps; ++sweep) {
                UNROLL(K)
                for (int j = 0; j < K; ++j) {
                    float value = b[t * K + j] * inverse[j];
                    UNROLL(K)
                    for (int i = 0; i < K; ++i) value -= scaled[j * K + i] * x[i];
                    x[j] = value > 0.0f ? value : 0.0f;
                }
            }
            float inner = 0.0f, violation = 0.0f, product = 0.0f;
            UNROLL(K)
            for (int j = 0; j < K; ++j) {
                const float linear = b[t * K + j];
                float gradient = -linear;
                UNROLL(K)
                for (int i = 0; i < K; ++i) gradient += Q[j * K + i] * x[i];
                if (x[j] > 0.0f || gradient < 0.0f) violation += gradient * gradient;
                inner += x[j] * linear;
                product += linear * linear;
                h[t * K + j] = x[j];
                Ht[j * n + begin + t] = x[j];
            }
            MINE(sums, t)[0] += inner;
            MINE(sums, t)[1] += violation;
            MINE(sums, t)[2] += product;
        }
        END

        EACH(t)
        UNROLL(C)
        for (int u = 0; u < C; ++u) {
            const int i = t + u * THREADS;
            if (i < c)
                for (int row = 0; row < rows; ++row) {
                    const float value = a[row * stride + i];
                    UNROLL(K)
                    for (int j = 0; j < K; ++j) MINE(gathered, t)[u * K + j] += value * h[row * K + j];
                }
        }
        UNROLL(PAIRS)
        for (int u = 0; u < PAIRS; ++u) {
            const int pair = t + u * THREADS;
            if (pair < K * K)
                for (int row = 0; row < rows; ++row)
                    MINE(pairs, t)[u] += (double)h[row * K + pair / K] * h[row * K + pair % K];
        }
        END
    }

    EACH(t)
    UNROLL(C)
    for (int u = 0; u < C; ++u) {
        UNROLL(K)
        for (int j = 0; j < K; ++j)
            if (t + u * THREADS < c)
                HtA[((long long)BLOCK_INDEX * K + j) * c + t + u * THREADS] = MINE(gathered, t)[u * K + j];
    }
    UNROLL(PAIRS)
    for (int u = 0; u < PAIRS; ++u)
        if (t + u * THREADS < K * K) HtH[(long long)BLOCK_INDEX * K * K + t + u * THREADS] = MINE(pairs, t)[u];
    if (t < tile)
        UNROLL(3)
        for (int i = 0; i < 3; ++i) scalars[((long long)BLOCK_INDEX * tile + t) * 3 + i] = MINE(sums, t)[i];
    END
}
