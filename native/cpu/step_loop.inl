// The fused step on a CPU. Included once per instruction set, inside a namespace of its own; the same bits come out of each.
//
// A tile of 1024 elements at a time: rows into L1-resident scratch (or straight to their destination where that is not read
// again), then the products, then their sums. Stores that alias inputs are written after every row of the tile is formed. What is
// stored in half precision is widened a tile at a time, and rounded where it is written.

using sada::bytes_of;
using sada::kMaxInputs;
using sada::kMaxRows;
using sada::kTile;
using sada::kTokenLanes;
using sada::Row;
using sada::StepRequest;
using sada::StepResults;
using sada::Storage;
using sada::StoredStep;
using sada::Sum;
using sada::TokenLayout;

SADA_NOINLINE void widen_tile(const uint16_t* __restrict halves, Storage type, int n, float* __restrict floats) {
  sada::widen(halves, type == Storage::kBfloat16, n, floats);
}

SADA_NOINLINE void narrow_tile(const float* __restrict floats, int n, Storage type, uint16_t* __restrict halves) {
  sada::narrow(floats, type == Storage::kBfloat16, n, halves);
}

// A row's terms, one after the other.
struct Terms {
  int count = 0;
  const float* values[kMaxInputs];
  float weight[kMaxInputs];
};

template <int K>
SADA_NOINLINE void form(const Terms& terms, int n, float* __restrict out) {
  const float* v[K];
  float w[K];
  for (int k = 0; k < K; ++k) v[k] = terms.values[k], w[k] = terms.weight[k];
  for (int j = 0; j < n; ++j) {
    float sum = w[0] * v[0][j];
    for (int k = 1; k < K; ++k) sum = fmaf(w[k], v[k][j], sum);
    out[j] = sum;
  }
}

void form_row(const Row& row, const float* const* inputs, int n, float* out) {
  Terms terms;
  for (int k = 0; k < kMaxInputs; ++k) {
    if (row.has(k)) terms.values[terms.count] = inputs[k], terms.weight[terms.count++] = row.weight[k];
  }
  switch (terms.count) {
    case 0: std::fill(out, out + n, 0.0f); break;
    case 1: form<1>(terms, n, out); break;
    case 2: form<2>(terms, n, out); break;
    case 3: form<3>(terms, n, out); break;
    case 4: form<4>(terms, n, out); break;
    case 5: form<5>(terms, n, out); break;
    case 6: form<6>(terms, n, out); break;
    case 7: form<7>(terms, n, out); break;
    default: form<8>(terms, n, out); break;
  }
}

// Calls `visit` with the sum's j-th term as a function of j.
template <typename Visit>
auto visit_terms(const Sum& sum, const float* const* rows, Visit visit) {
  const float* a = rows[sum.a];
  if (sum.b >= 0) {
    const float* b = rows[sum.b];
    return visit([a, b](int j) { return a[j] * b[j]; });
  }
  if (sum.is_signed) return visit([a](int j) { return a[j]; });
  return visit([a](int j) { return fabsf(a[j]); });
}

// The sum of a tile's first n terms.
float sum_of_tile(const Sum& sum, const float* const* rows, int n) {
  return visit_terms(sum, rows, [n](auto term) {
    if (n == kTile) return sada::tree_sum_of_tile(term);
    float shorter[kTile];
    for (int j = 0; j < n; ++j) shorter[j] = term(j);
    return sada::tree_sum_of_first(shorter, n);
  });
}

void form_terms(const Sum& sum, const float* const* rows, int n, float* __restrict terms) {
  visit_terms(sum, rows, [n, terms](auto term) {
    for (int j = 0; j < n; ++j) terms[j] = term(j);
    return 0;
  });
}

// Adds a tile's terms to the sums per token, whose order token_means.h gives.
void add_pixels(const TokenLayout& layout, int64_t at, int n, const float* __restrict terms, float* __restrict sums) {
  const int64_t width = layout.grid_width * layout.patch_width, height = layout.grid_height * layout.patch_height;
  int64_t x = at % width, y = at / width % height;
  for (int64_t done = 0; done < n;) {
    const int64_t run = std::min<int64_t>(n - done, width - x);
    float* to = sums + y / layout.patch_height * width + x;
    for (int64_t j = 0; j < run; ++j) to[j] += terms[done + j];
    done += run;
    x = 0;
    y = y + 1 < height ? y + 1 : 0;
  }
}

void add_channels(const TokenLayout& layout, int64_t at, int n, const float* __restrict terms, float* __restrict sums) {
  int64_t token = at / layout.channels, channel = at % layout.channels;
  for (int64_t done = 0; done < n;) {
    const int64_t end = std::min<int64_t>(channel + n - done, layout.channels);
    float* lanes = sums + token * kTokenLanes;
    for (; channel < end && channel % kTokenLanes != 0; ++channel) lanes[channel % kTokenLanes] += terms[done++];
    for (; channel + kTokenLanes <= end; channel += kTokenLanes, done += kTokenLanes) {
      for (int lane = 0; lane < kTokenLanes; ++lane) lanes[lane] += terms[done + lane];
    }
    for (; channel < end; ++channel) lanes[channel % kTokenLanes] += terms[done++];
    if (channel == layout.channels) channel = 0, ++token;
  }
}

// The element `at` of a buffer.
template <typename Void>
Void* element(Void* buffer, Storage type, int64_t at) {
  using Byte = std::conditional_t<std::is_const_v<Void>, const char, char>;
  return static_cast<Byte*>(buffer) + at * bytes_of(type);
}

// Whether a row may be formed where it is stored while others are still to be formed: as floats, and nothing reads them.
bool is_private(const StoredStep& step, int row) {
  const StepRequest& request = step.request;
  const void* store = request.store[row];
  if (store == nullptr || step.store_type[row] != Storage::kFloat32) return false;
  for (int k = 0; k < request.inputs; ++k) {
    const void* input = request.input[k];
    if (store < element(input, step.input_type[k], request.length) && input < element(store, Storage::kFloat32, request.length))
      return false;
  }
  return true;
}

// A tile's elements as floats: where they are, or widened.
const float* tile_of(const void* buffer, Storage type, int64_t at, int n, float* widened) {
  const void* from = element(buffer, type, at);
  if (type == Storage::kFloat32) return static_cast<const float*>(from);
  widen_tile(static_cast<const uint16_t*>(from), type, n, widened);
  return widened;
}

void store_tile(const float* row, int n, Storage type, void* to) {
  if (type == Storage::kFloat32) std::copy(row, row + n, static_cast<float*>(to));
  else narrow_tile(row, n, type, static_cast<uint16_t*>(to));
}

void step(const StoredStep& step, const StepResults& results) {
  const StepRequest& request = step.request;
  alignas(64) float scratch[kMaxRows][kTile];
  alignas(64) float widened[kMaxInputs][kTile];
  alignas(64) float terms[kTile];
  bool direct[kMaxRows];
  for (int r = 0; r < request.rows; ++r) direct[r] = is_private(step, r);

  for (int64_t at = 0; at < request.length; at += kTile) {
    const int n = static_cast<int>(std::min<int64_t>(kTile, request.length - at));
    const float* inputs[kMaxInputs];
    for (int k = 0; k < request.inputs; ++k) inputs[k] = tile_of(request.input[k], step.input_type[k], at, n, widened[k]);
    const float* rows[kMaxRows];
    for (int r = 0; r < request.rows; ++r) {
      float* out = direct[r] ? request.store[r] + at : scratch[r];
      form_row(request.row[r], inputs, n, out);
      rows[r] = out;
    }
    for (int s = 0; s < request.sums; ++s) results.tiles[s][at / kTile] = static_cast<double>(sum_of_tile(request.sum[s], rows, n));
    if (request.token_sum >= 0) {
      form_terms(request.sum[request.token_sum], rows, n, terms);
      (request.layout.channels_first ? add_pixels : add_channels)(request.layout, at, n, terms, results.token_sums);
    }
    for (int r = 0; r < request.rows; ++r) {
      if (request.store[r] == nullptr || direct[r]) continue;
      store_tile(scratch[r], n, step.store_type[r], element(static_cast<void*>(request.store[r]), step.store_type[r], at));
    }
  }
}
