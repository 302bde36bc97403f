// Convolution along one axis, included into a namespace by each instruction set. `twice`: 2·n·stride floats of the caller's, as the loops'
// objects hold no library code. Added up in the order of k, product and sum each rounded: the same bits wherever it is compiled.
void convolve(const Convolution& given, float* twice) {
  const int64_t length = given.n * given.stride;
  float* values = given.values;
  for (int64_t block = 0; block < given.blocks; ++block, values += length) {
    std::memcpy(twice, values, static_cast<size_t>(length) * sizeof(float));
    std::memcpy(twice + length, values, static_cast<size_t>(length) * sizeof(float));
    std::memset(values, 0, static_cast<size_t>(length) * sizeof(float));
    int64_t k = 0;
    // Four at a time: a sum is loaded and stored once for four products.
    for (; k + 4 <= given.n; k += 4) {
      const float *a = twice + k * given.stride, *b = a + given.stride, *c = b + given.stride, *d = c + given.stride;
      const float wa = given.response[k], wb = given.response[k + 1], wc = given.response[k + 2], wd = given.response[k + 3];
      float* __restrict sums = values;
      for (int64_t i = 0; i < length; ++i) sums[i] = (((sums[i] + wa * a[i]) + wb * b[i]) + wc * c[i]) + wd * d[i];
    }
    for (; k < given.n; ++k) {
      const float* from = twice + k * given.stride;
      const float weight = given.response[k];
      float* __restrict sums = values;
      for (int64_t i = 0; i < length; ++i) sums[i] += weight * from[i];
    }
  }
}
