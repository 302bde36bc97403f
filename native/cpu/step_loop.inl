// The fused step on a CPU. Included once per instruction set, inside a namespace of its own; the same bits come out of each.
//
// A tile of 1024 elements at a time: rows into L1-resident scratch (or straight to their destination where that is not read
// again), then the products, then their sums. Stores that alias inputs are written after every row of the tile is formed.

using sada::kMaxRows;
using sada::kMaxSums;
using sada::kTile;
using sada::Row;
using sada::StepRequest;
using sada::Sum;
using sada::TokenLayout;

template <int K>
void form(const Row& row, const float* const* inputs, int64_t at, int n, float* __restrict out) {
  const float* v[K];
  float w[K];
  for (int k = 0; k < K; ++k) v[k] = inputs[row.input[k]] + at, w[k] = row.weight[k];
  for (int j = 0; j < n; ++j) {
    float sum = w[0] * v[0][j];
    for (int k = 1; k < K; ++k) sum = fmaf(w[k], v[k][j], sum);
    out[j] = sum;
  }
}

void form_row(const Row& row, const float* const* inputs, int64_t at, int n, float* out) {
  switch (row.terms) {
    case 0: std::fill(out, out + n, 0.0f); break;
    case 1: form<1>(row, inputs, at, n, out); break;
    case 2: form<2>(row, inputs, at, n, out); break;
    case 3: form<3>(row, inputs, at, n, out); break;
    case 4: form<4>(row, inputs, at, n, out); break;
    case 5: form<5>(row, inputs, at, n, out); break;
    case 6: form<6>(row, inputs, at, n, out); break;
    case 7: form<7>(row, inputs, at, n, out); break;
    default: form<8>(row, inputs, at, n, out); break;
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

// The sum of a tile's first n terms; the last, shorter tile is padded.
float sum_of_tile(const Sum& sum, const float* const* rows, int n) {
  return visit_terms(sum, rows, [n](auto term) {
    if (n == kTile) return sada::tree_sum_of_tile(term);
    float padded[kTile] = {};
    for (int j = 0; j < n; ++j) padded[j] = term(j);
    return sada::tree_sum(padded);
  });
}

void form_terms(const Sum& sum, const float* const* rows, int n, float* terms) {
  visit_terms(sum, rows, [n, terms](auto term) {
    for (int j = 0; j < n; ++j) terms[j] = term(j);
    return 0;
  });
}

// Sums of terms per token, in an order of their own: channels-first, one running sum per pixel column of a token row, over
// (channel, row) in memory order, then the columns of a patch from left to right; token-major, eight lanes (channel mod 8) then a tree.
class TokenSums {
 public:
  TokenSums(const TokenLayout& layout, int64_t length) : layout_(layout) {
    const int64_t columns = layout.channels_first ? layout.grid_width * layout.patch_width : layout.grid_width * 8;
    columns_ = columns;
    sums_.assign(static_cast<size_t>(layout.grid_height * columns), 0.0f);
    (void)length;
  }

  void add(int64_t at, int n, const float* terms) {
    if (layout_.channels_first) add_pixels(at, n, terms);
    else add_channels(at, n, terms);
  }

  void finish(float* means) const {
    const int64_t tokens = layout_.grid_height * layout_.grid_width;
    const float scale = 1.0f / static_cast<float>(layout_.channels * layout_.patch_height * layout_.patch_width);
    for (int64_t t = 0; t < tokens; ++t) means[t] = scale * total(t);
  }

 private:
  float total(int64_t token) const {
    if (layout_.channels_first) {
      const float* s = &sums_[static_cast<size_t>((token / layout_.grid_width) * columns_ + (token % layout_.grid_width) * layout_.patch_width)];
      float sum = s[0];
      for (int64_t p = 1; p < layout_.patch_width; ++p) sum += s[p];
      return sum;
    }
    const float* s = &sums_[static_cast<size_t>(token * 8)];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }

  void add_pixels(int64_t at, int n, const float* terms) {
    const int64_t width = columns_, height = layout_.grid_height * layout_.patch_height;
    for (int64_t done = 0; done < n;) {
      const int64_t element = at + done, x = element % width, y = (element / width) % height;
      const int64_t run = std::min<int64_t>(n - done, width - x);
      float* __restrict to = &sums_[static_cast<size_t>((y / layout_.patch_height) * width + x)];
      const float* from = terms + done;
      for (int64_t j = 0; j < run; ++j) to[j] += from[j];
      done += run;
    }
  }

  void add_channels(int64_t at, int n, const float* terms) {
    for (int j = 0; j < n; ++j) {
      const int64_t element = at + j;
      sums_[static_cast<size_t>(element / layout_.channels * 8 + element % layout_.channels % 8)] += terms[j];
    }
  }

  TokenLayout layout_;
  int64_t columns_ = 0;
  std::vector<float> sums_;
};

bool overlaps(const float* a, const float* b, int64_t length) { return a < b + length && b < a + length; }

// Whether a row may be written while others are still to be formed: nothing reads its destination.
bool is_private(const StepRequest& request, int row) {
  const float* store = request.store[row];
  if (store == nullptr) return false;
  for (int k = 0; k < request.inputs; ++k) {
    if (overlaps(store, request.input[k], request.length)) return false;
  }
  return true;
}

void step(const StepRequest& request, double* sums) {
  alignas(64) static thread_local float scratch[kMaxRows][kTile];
  alignas(64) float terms[kTile];
  static thread_local std::vector<double> partials[kMaxSums];
  bool direct[kMaxRows];
  for (int r = 0; r < request.rows; ++r) direct[r] = is_private(request, r);
  for (int s = 0; s < request.sums; ++s) partials[s].clear();
  TokenSums tokens(request.token_sum >= 0 ? request.layout : TokenLayout{}, request.length);

  for (int64_t at = 0; at < request.length; at += kTile) {
    const int n = static_cast<int>(std::min<int64_t>(kTile, request.length - at));
    const float* rows[kMaxRows];
    for (int r = 0; r < request.rows; ++r) {
      float* out = direct[r] ? request.store[r] + at : scratch[r];
      form_row(request.row[r], request.input, at, n, out);
      rows[r] = out;
    }
    for (int s = 0; s < request.sums; ++s) {
      partials[s].push_back(static_cast<double>(sum_of_tile(request.sum[s], rows, n)));
      if (s != request.token_sum) continue;
      form_terms(request.sum[s], rows, n, terms);
      tokens.add(at, n, terms);
    }
    for (int r = 0; r < request.rows; ++r) {
      if (request.store[r] != nullptr && !direct[r]) std::copy(scratch[r], scratch[r] + n, request.store[r] + at);
    }
  }
  for (int s = 0; s < request.sums; ++s) sums[s] = sada::tree_sum_of_tiles(partials[s]);
  if (request.token_sum >= 0) tokens.finish(request.token_means);
}
